//! F09: etcd raised NOSPACE.

use std::time::Duration;

use crate::model::etcd::AlarmKind;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Evidence, Finding, Verdict, Why};
use crate::observe::view::Aspect;

use super::edges::Edge;
use super::quorum::etcd_name;
use super::scene::{Scene, Standing};
use super::words::{Addresses, Words};
use super::{Rule, phrases};

/// F09: the backend reached its quota and etcd takes no writes.
pub struct NoSpace;

impl Words for NoSpace {
    fn id(&self) -> RuleId {
        RuleId::F09
    }

    fn title(&self) -> &'static str {
        "etcd raised NOSPACE"
    }

    fn headline(&self, finding: &Finding) -> String {
        format!("{} is full (NOSPACE)", etcd_name(&finding.subject))
    }

    fn what(&self, finding: &Finding, _: &Addresses) -> String {
        let etcd = etcd_name(&finding.subject);
        let Evidence::Alarm { raised_by, db_size_bytes, db_quota_bytes, .. } = &finding.evidence else {
            return format!("{etcd} has raised NOSPACE and takes no writes.");
        };
        let by = if raised_by.is_empty() { String::new() } else { format!(", raised by {}", phrases::list(raised_by)) };
        let size = match (db_size_bytes, db_quota_bytes) {
            (Some(size), Some(quota)) => {
                format!(" The largest backend has {} of its {} quota.", phrases::bytes(*size), phrases::bytes(*quota))
            }
            (Some(size), None) => format!(" The largest backend has {}; its quota is not told.", phrases::bytes(*size)),
            (None, _) => String::new(),
        };
        format!("{etcd} stands under its NOSPACE alarm{by}: it takes no writes.{size}")
    }

    fn impact(&self, _: &Finding) -> String {
        "Every write fails with \"database space exceeded\": deploys, scaling, leader elections, node heartbeats. \
         Deletes and reads still work. It does not heal by itself, even when space is freed: the alarm must be disarmed."
            .into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        "Something writes too much (events, leases, a controller in a loop, large custom resources), or old space was \
         never given back by defragmentation."
            .into()
    }

    fn next_commands(&self, finding: &Finding, addresses: &Addresses) -> Vec<String> {
        let mut members = phrases::members(&finding.subject, addresses);
        if members.is_empty() {
            members.push(finding.subject.clone());
        }
        let one: &[Subject] = members.get(..1).unwrap_or_default();
        vec![
            phrases::ETCDCTL_FILES.into(),
            phrases::etcdctl(&members, addresses, "endpoint status -w table"),
            phrases::compact(one, addresses),
            phrases::etcdctl(
                one,
                addresses,
                "--command-timeout=5m defrag # each member, one at a time, the leader last",
            ),
            phrases::etcdctl(one, addresses, "alarm disarm # when every member is well under its quota"),
        ]
    }
}

impl Rule for NoSpace {
    fn explains(&self) -> &'static [Edge] {
        const EDGES: [Edge; 1] = [Edge::at_subject(RuleId::F08)];
        &EDGES
    }

    fn judge(&self, scene: &Scene<'_>) -> Vec<(Subject, Verdict)> {
        scene.etcds().into_iter().map(|etcd| (etcd.clone(), judge_alarm(scene, etcd))).collect()
    }
}

fn judge_alarm(scene: &Scene<'_>, etcd: Subject) -> Verdict {
    let standing = scene.standing(&etcd, Aspect::Alarm);
    let Standing::Bad { bad, path_unproven } = standing else { return standing.unless_bad() };
    let Some((_, count)) = scene.view.count(&etcd) else { return Verdict::Unknown(Why::NeverSeen) };
    let mut raised: Vec<u64> =
        count.alarms.iter().filter(|alarm| alarm.kind == AlarmKind::NoSpace).map(|alarm| alarm.member_id).collect();
    // Another kind of alarm is another rule's matter; it hides nothing here, but it is no all-clear either.
    if raised.is_empty() {
        return Verdict::Unknown(Why::Unclear);
    }
    // A metrics listener tells of the alarm, not of who raised it.
    raised.retain(|id| *id != 0);
    let members = scene.members(&etcd);
    let size = |member: &Subject| {
        let told = scene.view.status(member).map(|(_, status)| status.db_size_bytes);
        told.or_else(|| scene.view.metrics(member)?.1.db_size_bytes)
    };
    let quota = |member: &Subject| scene.view.facts(member).quota.map(|quota| quota.bytes);
    let db_size_bytes = members.iter().filter_map(size).max();
    let db_quota_bytes = members.iter().filter_map(quota).min();
    let raised_by = raised.iter().map(|id| scene.member_name(&etcd, *id)).collect();
    Verdict::Bad(Finding {
        rule: RuleId::F09,
        subject: etcd,
        level: Level::Critical,
        since: bad.run.first.wall,
        hold: Duration::ZERO,
        path_unproven,
        evidence: Evidence::Alarm { kind: AlarmKind::NoSpace, raised_by, db_size_bytes, db_quota_bytes },
    })
}
