//! Families about etcd, from the latest rounds of statuses, alarms and health. What a member's own metrics add is in
//! `etcd_page.rs`.

use std::collections::BTreeSet;

use crate::model::etcd::{Condition, EtcdAlarm, EtcdAlarmKind, MemberMetrics, MemberStatus};
use crate::model::inventory::Etcd;
use crate::model::observation::{Observation, Reading};
use crate::model::probe::ProbeKind;
use crate::model::subject::Subject;

use super::drawing::{Drawing, Scope};
use super::family::{Family, count, flag};
use super::rounds::{fresh_rounds, healths, statuses};
use super::sample::Labels;
use super::{Page, etcd_page};

pub(super) fn families(page: Page<'_>) -> Vec<Drawing> {
    let alarms = page.format.gauge(
        "vedette_etcd_alarm",
        "Whether the etcd alarm is active. Absent when too few members respond to rule it out.",
    );
    members(page).into_iter().chain([alarms.by_scope(alarms_of)]).chain(etcd_page::families(page)).collect()
}

fn members(page: Page<'_>) -> [Drawing; 6] {
    let leader = page.format.gauge("vedette_etcd_is_leader", "Whether the member is the leader, by its own status.");
    let led = page.format.gauge("vedette_etcd_has_leader", "Whether the member has a leader.");
    let learner = page.format.gauge("vedette_etcd_is_learner", "Whether the member is a learner (has no vote).");
    let term = page.format.gauge("vedette_etcd_raft_term", "Raft term that the member reports.");
    let size = page.format.gauge("vedette_etcd_db_size_bytes", "Size of the member's database file.");
    let used = page.format.gauge("vedette_etcd_db_in_use_bytes", "Part of the member's database file that is in use.");
    [
        leader.by_scope(|scope, family| {
            let is_leader = |status: &MemberStatus| Some(flag(status.leader == Some(status.member_id)));
            reported(scope, family, is_leader, |read| read.is_leader.map(flag));
        }),
        led.by_scope(|scope, family| {
            let has_leader = |status: &MemberStatus| Some(flag(status.leader.is_some()));
            reported(scope, family, has_leader, |read| read.has_leader.map(flag));
        }),
        learner.by_scope(|scope, family| {
            let is_learner = |status: &MemberStatus| Some(flag(status.is_learner));
            reported(scope, family, is_learner, |read| read.is_learner.map(flag));
        }),
        term.by_scope(|scope, family| reported(scope, family, |status| Some(count(status.raft_term)), |_| None)),
        size.by_scope(|scope, family| {
            let size = |status: &MemberStatus| Some(count(status.db_size_bytes));
            reported(scope, family, size, |read| read.db_size_bytes.map(count));
        }),
        used.by_scope(|scope, family| {
            let used = |status: &MemberStatus| status.db_in_use_bytes.map(count);
            reported(scope, family, used, |read| read.db_in_use_bytes.map(count));
        }),
    ]
}

/// Adds what each member reports in its status. Where no status is asked for, the metrics listener reports the same,
/// only less often.
fn reported(
    scope: Scope<'_>,
    family: &mut Family,
    in_status: fn(&MemberStatus) -> Option<f64>,
    on_page: fn(&MemberMetrics) -> Option<f64>,
) {
    for (_, observation) in fresh_rounds(scope, ProbeKind::EtcdStatus) {
        for (member, answer) in statuses(observation) {
            family.known(&Labels::of(&member), answer.ok().and_then(in_status));
        }
    }
    for (member, read) in etcd_page::pages(scope).filter(|(member, _)| etcd_page::is_all_we_have(scope, member)) {
        family.known(&Labels::of(&member), on_page(read));
    }
}

/// One gauge per etcd cluster and kind. 1 as soon as one member reports the alarm; 0 only when a majority of the
/// configured members reports none, because a member cut off from the others may not know of it.
fn alarms_of(scope: Scope<'_>, family: &mut Family) {
    for (subject, needed) in etcds(scope) {
        let healths: Vec<_> = fresh_rounds(scope, ProbeKind::EtcdHealth)
            .filter(|(of, _)| **of == subject)
            .flat_map(|(_, observation)| healths(observation))
            .filter_map(|(_, answer)| answer.ok().map(|health| health.condition))
            .collect();
        let mut told: BTreeSet<Subject> = BTreeSet::new();
        let mut kinds: BTreeSet<EtcdAlarmKind> = BTreeSet::new();
        let rounds = [ProbeKind::EtcdStatus, ProbeKind::EtcdAlarms].into_iter();
        for (_, observation) in rounds.flat_map(|kind| fresh_rounds(scope, kind)).filter(|(of, _)| **of == subject) {
            for (member, known) in alarms(observation) {
                told.insert(member);
                kinds.extend(known.iter().map(|alarm| alarm.kind));
            }
        }
        kinds.extend(healths.iter().filter_map(|condition| match condition {
            Condition::Full => Some(EtcdAlarmKind::NoSpace),
            Condition::Corrupt => Some(EtcdAlarmKind::Corrupt),
            Condition::Alarmed => Some(EtcdAlarmKind::Other),
            Condition::Well | Condition::Ill => None,
        }));
        let quiet = healths.iter().filter(|condition| **condition == Condition::Well).count();
        for kind in EtcdAlarmKind::ALL {
            let is_ruled_out = told.len() >= needed || quiet >= needed;
            let value = if kinds.contains(&kind) { Some(1.0) } else { is_ruled_out.then_some(0.0) };
            family.known(&Labels::of(&subject).with("kind", kind.as_str()), value);
        }
    }
}

/// Members that answered, each with the alarms it knows.
fn alarms(observation: &Observation) -> Vec<(Subject, &[EtcdAlarm])> {
    match &observation.outcome {
        Ok(Reading::EtcdStatus(answers)) => observation
            .by_member(answers)
            .filter_map(|(member, answer)| Some((member, answer.answer.as_ref().ok()?.alarms.as_slice())))
            .collect(),
        Ok(Reading::EtcdAlarms(answers)) => observation
            .by_member(answers)
            .filter_map(|(member, answer)| Some((member, answer.answer.as_ref().ok()?.as_slice())))
            .collect(),
        _ => Vec::new(),
    }
}

/// Configured etcd clusters, each with the number of members that make a majority.
fn etcds(scope: Scope<'_>) -> impl Iterator<Item = (Subject, usize)> {
    let cluster = scope.cluster.and_then(|(name, _)| scope.page.snapshot.inventory.clusters.get_key_value(name));
    cluster.into_iter().flat_map(|(name, cluster)| {
        let majority = |parts: &Etcd| parts.members.len() / 2 + 1;
        cluster.etcds.iter().map(move |(etcd, parts)| (Subject::Etcd(name.clone(), etcd.clone()), majority(parts)))
    })
}
