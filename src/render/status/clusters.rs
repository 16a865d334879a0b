//! The verdict line of each cluster, and everything seen of one.

use crate::model::incident::{Alarm, Incident, Stage};
use crate::model::inventory::{Cluster, Etcd};
use crate::model::observation::Observation;
use crate::model::policy::QuotaTier;
use crate::model::probe::ProbeKind;
use crate::model::rule::Level;
use crate::model::snapshot::ClusterSnapshot;
use crate::model::subject::{Name, Subject};
use crate::model::time::Now;
use crate::model::verdict::Finding;
use crate::render::metrics::Page;
use crate::render::metrics::fresh::is_fresh;
use crate::render::table::row::Saw;

use super::facts::{ClusterLine, Detail, Endpoint, State};
use super::gaps::Missing;
use super::incidents::{self, RECOVERING};
use super::itself;
use super::load::load;
use super::members::{deciding_round, members};
use super::moment::{mono, said, short, wall};
use super::probes::{API, CANARIES, broken, cell_of, latest, never, saw};

/// What is shown in place of a count while the vantage has no network.
const NOT_SEEN: &str = "not visible";

/// The verdict line.
pub(super) fn line(page: Page<'_>, name: &Name, cluster_snapshot: &ClusterSnapshot, gaps: &[Missing]) -> ClusterLine {
    let (state, mut why, since) = verdict(page, name, gaps);
    // The rules report a lost quorum when a whole site is unreachable, so the line says it.
    if state == State::Down && is_silent(page, name, cluster_snapshot) {
        why.push_str("; no endpoint responds");
    }
    let silence = page.snapshot.silences.iter().find(|silence| silence.cluster == *name);
    ClusterLine {
        name: name.to_string(),
        state,
        why: said(&why),
        since,
        silenced: silence.map(|silence| wall(silence.until, page.now)),
        instances: instances(page, name, cluster_snapshot),
        members: answering(page, name, cluster_snapshot),
        vip: vip(page, name, cluster_snapshot),
        // Probes go on while the vantage has no network, but show nothing.
        seen: match page.snapshot.isolated_since {
            Some(since) => Some(wall(since, page.now)),
            None => oldest(page, name, cluster_snapshot).map(|at| mono(at, page.now)),
        },
    }
}

/// The state of a cluster. Confirmed findings decide first; without them, everything that decides must be fresh and
/// good.
fn verdict(page: Page<'_>, name: &Name, gaps: &[Missing]) -> (State, String, Option<super::facts::Moment>) {
    let ongoing = loudest(page, name);
    if let Some(since) = page.snapshot.isolated_since {
        let before = ongoing.map_or_else(
            || "all was well before".to_owned(),
            |alarm| format!("before: {}, {}", state(&alarm.finding).as_str(), headline(page, alarm)),
        );
        return (State::Unknown, format!("not visible: vedette has no network; {before}"), Some(wall(since, page.now)));
    }
    // What is asked directly, as etcd members are, is still known.
    let is_seen = ongoing.is_some_and(|alarm| alarm.finding.subject.etcd().is_some());
    if let Some(lost) = behind_failing_proxy(page, name).filter(|_| !is_seen) {
        let before = ongoing.map_or_else(String::new, |alarm| {
            format!("; before: {}, {}", state(&alarm.finding).as_str(), headline(page, alarm))
        });
        let why = format!("not visible: {}{before}", headline(page, lost));
        return (State::Unknown, why, Some(wall(lost.finding.since, page.now)));
    }
    if let Some(alarm) = ongoing {
        let incident = speaking(page, alarm);
        let is_recovering = incident.is_some_and(|incident| incidents::course(page, incident) == RECOVERING);
        let held = match alarm.stage {
            Stage::Pending { .. } => " (pending, mail after its grace period)",
            Stage::Clearing { .. } if is_recovering || incident.is_none() => " (recovering)",
            Stage::Firing { .. } | Stage::Clearing { .. } => "",
        };
        let why = format!("{}{held}", headline(page, alarm));
        let since = incident.map_or(alarm.finding.since, |incident| incident.opened);
        return (state(&alarm.finding), why, Some(wall(since, page.now)));
    }
    let mut deciding = gaps.iter().filter(|missing| missing.decides);
    match deciding.next() {
        Some(first) => {
            let rest = deciding.count();
            let more = if rest > 0 { format!("; and {rest} more") } else { String::new() };
            (State::Unknown, format!("{}: {}{more}", first.gap.about, first.gap.text), first.gap.seen.clone())
        }
        None => (State::Ok, "all checks pass".to_owned(), None),
    }
}

/// The alarm that decides the state of the cluster.
fn loudest<'a>(page: Page<'a>, name: &Name) -> Option<&'a Alarm> {
    let alarms = page.snapshot.alarms.iter().map(AsRef::as_ref);
    alarms
        .filter(|alarm: &&Alarm| alarm.finding.subject.cluster() == Some(name) && alarm.finding.level > Level::Info)
        .max_by_key(|alarm| (state(&alarm.finding), alarm.is_firing(), alarm.finding.level))
}

/// The alarm of the proxy in front of this cluster while it is not clearing. The cluster is then shown as unknown,
/// because its apiservers cannot be probed.
fn behind_failing_proxy<'a>(page: Page<'a>, name: &Name) -> Option<&'a Alarm> {
    page.snapshot.alarms.iter().map(AsRef::as_ref).find(|alarm: &&Alarm| {
        !alarm.is_clearing() && alarm.finding.evidence.lost_clusters().iter().any(|(cluster, _)| cluster == name)
    })
}

fn headline(page: Page<'_>, alarm: &Alarm) -> String {
    let finding = speaking(page, alarm).map_or(&alarm.finding, |incident| incident.root());
    finding.headline()
}

/// The incident that an alarm belongs to.
fn speaking<'a>(page: Page<'a>, alarm: &Alarm) -> Option<&'a Incident> {
    page.snapshot
        .incidents
        .iter()
        .map(AsRef::as_ref)
        .find(|incident: &&Incident| Some(&incident.id) == alarm.incident.as_ref())
}

/// Whether users are served while `finding` is ongoing.
pub(super) fn state(finding: &Finding) -> State {
    if finding.evidence.is_outage() { State::Down } else { State::Degraded }
}

/// Everything seen of `name`.
pub(super) fn detail(page: Page<'_>, name: &Name, cluster_snapshot: &ClusterSnapshot) -> Detail {
    Detail {
        cluster: name.to_string(),
        planned: format!("{:.1} requests/s", cluster_snapshot.planned.requests),
        endpoints: subjects(page, name).iter().map(|subject| endpoint(page, subject, cluster_snapshot)).collect(),
        members: members(page, name, cluster_snapshot),
        canaries: canaries(page, name, cluster_snapshot),
        load: load(page, name, cluster_snapshot),
        quota_marks: page.snapshot.policy.quota_tiers.iter().map(QuotaTier::percent).collect(),
    }
}

fn endpoint(page: Page<'_>, subject: &Subject, cluster_snapshot: &ClusterSnapshot) -> Endpoint {
    let is_vip = subject.is_vip();
    // /livez is not probed through the API VIP, because the balancer chooses which instance answers.
    let kinds = API.iter().filter(|kind| !(is_vip && **kind == ProbeKind::Livez));
    let mut cells: Vec<_> = kinds
        .map(|kind| {
            let observation = latest(cluster_snapshot, subject, *kind);
            observation.and_then(|observation| cell_of(page, observation, subject)).unwrap_or_else(|| never(*kind))
        })
        .collect();
    cells.extend(broken(cluster_snapshot, subject).and_then(|observation| cell_of(page, observation, subject)));
    Endpoint {
        name: if is_vip { "API VIP".to_owned() } else { subject.short().to_owned() },
        address: short(page.snapshot.inventory.address(subject)),
        itself: itself::of(page, subject, cluster_snapshot),
        cells,
    }
}

/// The instances with the canaries that are switched on.
fn canaries(page: Page<'_>, name: &Name, cluster_snapshot: &ClusterSnapshot) -> Vec<Endpoint> {
    let Some(cluster) = page.snapshot.inventory.clusters.get(name) else { return Vec::new() };
    let Some(canaries) = &cluster.canaries else { return Vec::new() };
    let is_on = |kind: &&ProbeKind| kind.canary().is_some_and(|canary| canaries.has(canary));
    let row = |instance: &Subject| Endpoint {
        name: if instance.is_vip() { "API VIP".to_owned() } else { instance.short().to_owned() },
        address: short(page.snapshot.inventory.address(instance)),
        itself: None,
        cells: CANARIES
            .iter()
            .filter(is_on)
            .map(|kind| {
                let observation = latest(cluster_snapshot, instance, *kind);
                observation.and_then(|observation| cell_of(page, observation, instance)).unwrap_or_else(|| never(*kind))
            })
            .collect(),
    };
    cluster.instances(name).iter().map(row).collect()
}

/// The API VIP and the instances.
fn subjects(page: Page<'_>, name: &Name) -> Vec<Subject> {
    let Some(cluster) = page.snapshot.inventory.clusters.get(name) else { return Vec::new() };
    cluster.vip.iter().map(|_| Subject::Vip(name.clone())).chain(cluster.apiserver_subjects(name)).collect()
}

fn word(page: Page<'_>, cluster_snapshot: &ClusterSnapshot, subject: &Subject) -> Option<Saw> {
    let observation = latest(cluster_snapshot, subject, ProbeKind::Readyz)?;
    saw(page, observation).into_iter().next().map(|(_, saw, _)| saw)
}

fn instances(page: Page<'_>, name: &Name, cluster_snapshot: &ClusterSnapshot) -> String {
    let all: Vec<Subject> = subjects(page, name).into_iter().filter(Subject::is_apiserver).collect();
    if page.snapshot.isolated_since.is_some() && !all.is_empty() {
        return NOT_SEEN.to_owned();
    }
    let ready = all.iter().filter(|subject| word(page, cluster_snapshot, subject) == Some(Saw::Ok)).count();
    if all.is_empty() { "not monitored".to_owned() } else { format!("{ready} of {} ready", all.len()) }
}

fn answering(page: Page<'_>, name: &Name, cluster_snapshot: &ClusterSnapshot) -> String {
    let Some(cluster) = page.snapshot.inventory.clusters.get(name) else { return String::new() };
    let all: usize = cluster.etcds.values().map(|etcd| etcd.members.len()).sum();
    let answered: usize = rounds(name, cluster)
        .filter_map(|(round, kind)| latest(cluster_snapshot, &round, kind))
        .flat_map(|observation| saw(page, observation))
        .filter(|(subject, saw, _)| subject.is_etcd_member() && matches!(saw, Saw::Ok | Saw::Alarm | Saw::NoLeader))
        .count();
    match all {
        0 => "not monitored".to_owned(),
        _ if page.snapshot.isolated_since.is_some() => NOT_SEEN.to_owned(),
        all => format!("{answered} of {all} respond"),
    }
}

fn vip(page: Page<'_>, name: &Name, cluster_snapshot: &ClusterSnapshot) -> String {
    let has_one = page.snapshot.inventory.clusters.get(name).is_some_and(|cluster| cluster.vip.is_some());
    match word(page, cluster_snapshot, &Subject::Vip(name.clone())) {
        Some(_) if page.snapshot.isolated_since.is_some() => NOT_SEEN.to_owned(),
        Some(saw) => saw.as_str().to_owned(),
        None if has_one => "no result yet".to_owned(),
        None => "none configured".to_owned(),
    }
}

/// Scheduled start of the oldest among the latest deciding probes; `None` when one of them was never made.
fn oldest(page: Page<'_>, name: &Name, cluster_snapshot: &ClusterSnapshot) -> Option<Now> {
    let observations: Option<Vec<Now>> = deciding(page, name)
        .into_iter()
        .map(|(subject, kind)| Some(latest(cluster_snapshot, &subject, kind)?.scheduled))
        .collect();
    observations?.into_iter().min_by_key(|at| at.mono)
}

/// Whether everything that decides was probed lately, and nothing of it has answered or refused.
fn is_silent(page: Page<'_>, name: &Name, cluster_snapshot: &ClusterSnapshot) -> bool {
    let observations = deciding(page, name).into_iter().map(|(subject, kind)| latest(cluster_snapshot, &subject, kind));
    let is_mute = |observation: &Observation| saw(page, observation).iter().all(|(_, saw, _)| *saw == Saw::Unreachable);
    let mut observations = observations.peekable();
    observations.peek().is_some()
        && observations.all(|observation| {
            observation.is_some_and(|observation| is_fresh(page, observation) && is_mute(observation))
        })
}

/// The probes without which nothing is known of `name`.
fn deciding(page: Page<'_>, name: &Name) -> Vec<(Subject, ProbeKind)> {
    let Some(cluster) = page.snapshot.inventory.clusters.get(name) else { return Vec::new() };
    let asked = subjects(page, name).into_iter().map(|subject| (subject, ProbeKind::Readyz));
    asked.chain(rounds(name, cluster)).collect()
}

fn rounds<'a>(name: &'a Name, cluster: &'a Cluster) -> impl Iterator<Item = (Subject, ProbeKind)> + 'a {
    let round = |(etcd, parts): (&Name, &Etcd)| (Subject::Etcd(name.clone(), etcd.clone()), deciding_round(parts));
    cluster.etcds.iter().map(round)
}
