//! What is not known: probes that never ended or are too old, refused credentials, faults not yet confirmed.
//!
//! A gap that *decides* keeps its cluster from being called ok.

use std::sync::Arc;

use crate::model::incident::Alarm;
use crate::model::probe::ProbeKind;
use crate::model::rule::Level;
use crate::model::snapshot::ClusterSnapshot;
use crate::model::subject::{Name, Subject};
use crate::render::metrics::Page;
use crate::render::metrics::fresh::is_fresh;
use crate::render::table::row::Saw;

use super::facts::Gap;
use super::members::{deciding_round, statuses};
use super::moment::{mono, said, wall};
use super::probes::{latest, saw};

/// A gap of one cluster.
pub(super) struct Missing {
    pub(super) gap: Gap,
    pub(super) decides: bool,
}

/// All gaps of one cluster, those that decide first.
pub(super) fn of(page: Page<'_>, name: &Name, cluster_snapshot: &ClusterSnapshot) -> Vec<Missing> {
    let mut all = Vec::new();
    for (subject, kind, decides) in expected(page, name) {
        match latest(cluster_snapshot, &subject, kind) {
            None => all.push(missing(&subject, &format!("{}: no result since the start", kind.as_str()), decides)),
            Some(observation) if !is_fresh(page, observation) => {
                let mut gap = missing(&subject, &format!("{}: the last probe is too old", kind.as_str()), decides);
                gap.gap.seen = Some(mono(observation.scheduled, page.now));
                all.push(gap);
            }
            Some(observation) if decides => {
                for (of, saw, result) in saw(page, observation) {
                    if let Some(text) = doubt(page, &of, saw, &result) {
                        let mut gap = missing(&of, &text, true);
                        gap.gap.seen = Some(mono(observation.scheduled, page.now));
                        all.push(gap);
                    }
                }
            }
            Some(_) => {}
        }
    }
    all.extend(untold_quotas(page, name, cluster_snapshot));
    all.extend(listed(page, name));
    all.sort_by_key(|missing| !missing.decides);
    all
}

/// Every probe that should exist, and whether it decides.
fn expected(page: Page<'_>, name: &Name) -> Vec<(Subject, ProbeKind, bool)> {
    let Some(cluster) = page.snapshot.inventory.clusters.get(name) else { return Vec::new() };
    let mut all = Vec::new();
    if cluster.vip.is_some() {
        all.push((Subject::Vip(name.clone()), ProbeKind::Readyz, true));
        all.push((Subject::Vip(name.clone()), ProbeKind::Version, false));
    }
    for subject in cluster.apiserver_subjects(name) {
        all.push((subject.clone(), ProbeKind::Readyz, true));
        all.push((subject.clone(), ProbeKind::Livez, false));
        all.push((subject, ProbeKind::Version, false));
    }
    for (etcd, parts) in &cluster.etcds {
        let round = Subject::Etcd(name.clone(), etcd.clone());
        all.push((round.clone(), deciding_round(parts), true));
        if !parts.is_metrics_only {
            all.push((round.clone(), ProbeKind::EtcdRead, false));
            all.push((round.clone(), ProbeKind::EtcdMembers, false));
            if !parts.listens_everywhere() {
                all.push((round.clone(), ProbeKind::EtcdAlarms, false));
            }
        }
        if !parts.listeners.is_empty() {
            all.push((round, ProbeKind::EtcdMetrics, false));
        }
        let shown = parts.members.keys().filter(|member| parts.shows_chain(member));
        let member = |member: &Name| Subject::EtcdMember(name.clone(), etcd.clone(), member.clone());
        all.extend(shown.map(|shown| (member(shown), ProbeKind::Chain, false)));
    }
    all
}

/// Why a fresh probe leaves its subject in doubt; `None` when it is good, or when an alarm reports it already.
fn doubt(page: Page<'_>, subject: &Subject, saw: Saw, result: &str) -> Option<String> {
    match saw {
        Saw::Ok | Saw::Alarm => None,
        Saw::Refused => Some(format!("alive, but rejects vedette's credential ({result})")),
        Saw::Unknown => Some(format!("vedette itself failed ({result})")),
        Saw::Shed => Some(format!("alive, but rejects requests for overload ({result})")),
        Saw::NotReady | Saw::Foreign | Saw::NoLeader | Saw::Unreachable | Saw::Down
            if page.snapshot.isolated_since.is_some() =>
        {
            Some(format!("not visible from here ({result})"))
        }
        Saw::NotReady | Saw::Foreign | Saw::NoLeader | Saw::Unreachable | Saw::Down => {
            let is_told = page.snapshot.alarms.iter().any(|alarm| speaks_of(alarm, subject));
            (!is_told).then(|| format!("the latest probe failed ({result}), not confirmed"))
        }
    }
}

fn speaks_of(alarm: &Alarm, subject: &Subject) -> bool {
    let about = &alarm.finding.subject;
    about == subject
        || about.cluster() == subject.cluster()
            && (about.is_cluster() || about.is_etcd() && about.etcd() == subject.etcd())
}

fn untold_quotas(page: Page<'_>, name: &Name, cluster_snapshot: &ClusterSnapshot) -> Vec<Missing> {
    let Some(cluster) = page.snapshot.inventory.clusters.get(name) else { return Vec::new() };
    let mut all = Vec::new();
    for etcd in cluster.etcds.keys() {
        let round = Subject::Etcd(name.clone(), etcd.clone());
        let is_told = |member: &Name| {
            let subject = Subject::EtcdMember(name.clone(), etcd.clone(), member.clone());
            cluster_snapshot.members.get(&subject).is_some_and(|facts| facts.quota.is_some())
        };
        let untold: Vec<String> = statuses(cluster_snapshot, &round)
            .into_iter()
            .filter(|(member, status)| status.db_quota_bytes.is_none() && !is_told(member))
            .map(|(member, _)| member.to_string())
            .collect();
        if !untold.is_empty() {
            let text = format!(
                "quota of {}: unknown (etcd reports it from 3.6 on; before, its metrics listener, or `quota`)",
                untold.join(", ")
            );
            all.push(missing(&round, &text, false));
        }
    }
    all
}

/// Findings that are only listed: what cannot be seen or cannot fail over here.
fn listed(page: Page<'_>, name: &Name) -> Vec<Missing> {
    let of_cluster = |alarm: &&Arc<Alarm>| {
        alarm.finding.level == Level::Info
            && alarm.finding.band().is_none()
            && alarm.finding.subject.cluster() == Some(name)
    };
    let addresses = page.snapshot.inventory.addresses(Some(name));
    page.snapshot
        .alarms
        .iter()
        .filter(of_cluster)
        .flat_map(|alarm| {
            let finding = &alarm.finding;
            let each = finding.listed(&addresses).map(|(_, items)| items);
            let each = each.unwrap_or_else(|| vec![finding.what(&addresses)]);
            each.into_iter().map(move |text| {
                let mut gap = missing(&finding.subject, &format!("{}: {text}", finding.rule), false);
                gap.gap.seen = Some(wall(finding.since, page.now));
                gap
            })
        })
        .collect()
}

fn missing(about: &Subject, text: &str, decides: bool) -> Missing {
    Missing { gap: Gap { about: about.to_string(), text: said(text), seen: None }, decides }
}
