//! Families about etcd, from the latest rounds of statuses, alarms and health. What a member's own metrics add is in
//! `etcd_page.rs`.

use std::collections::BTreeSet;

use crate::model::etcd::{Condition, EtcdAlarm, EtcdAlarmKind};
use crate::model::observation::{Observation, Reading};
use crate::model::probe::ProbeKind;
use crate::model::subject::Subject;

use super::family::{Family, count, flag};
use super::rounds::{fresh_rounds, healths, statuses};
use super::sample::Labels;
use super::{Page, etcd_page};

pub(super) fn families(page: Page<'_>) -> Vec<Family> {
    let mut all = members(page);
    all.push(alarms(page));
    all.extend(etcd_page::families(page));
    all
}

fn members(page: Page<'_>) -> Vec<Family> {
    let mut leader =
        page.format.gauge("vedette_etcd_is_leader", "Whether the member is the leader, by its own status.");
    let mut led = page.format.gauge("vedette_etcd_has_leader", "Whether the member has a leader.");
    let mut learner = page.format.gauge("vedette_etcd_is_learner", "Whether the member is a learner (has no vote).");
    let mut term = page.format.gauge("vedette_etcd_raft_term", "Raft term that the member reports.");
    let mut size = page.format.gauge("vedette_etcd_db_size_bytes", "Size of the member's database file.");
    let mut used =
        page.format.gauge("vedette_etcd_db_in_use_bytes", "Part of the member's database file that is in use.");
    for (_, observation) in fresh_rounds(page, ProbeKind::EtcdStatus) {
        for (member, answer) in statuses(observation) {
            let Ok(status) = answer else { continue };
            let labels = Labels::of(&member);
            leader.sample(&labels, flag(status.leader == Some(status.member_id)));
            led.sample(&labels, flag(status.leader.is_some()));
            learner.sample(&labels, flag(status.is_learner));
            term.sample(&labels, count(status.raft_term));
            size.sample(&labels, count(status.db_size_bytes));
            used.known(&labels, status.db_in_use_bytes.map(count));
        }
    }
    // Where no status is asked for, the metrics listener reports the same, only less often.
    for (member, read) in etcd_page::pages(page).filter(|(member, _)| etcd_page::is_all_we_have(page, member)) {
        let labels = Labels::of(&member);
        leader.known(&labels, read.is_leader.map(flag));
        led.known(&labels, read.has_leader.map(flag));
        learner.known(&labels, read.is_learner.map(flag));
        size.known(&labels, read.db_size_bytes.map(count));
        used.known(&labels, read.db_in_use_bytes.map(count));
    }
    vec![leader, led, learner, term, size, used]
}

/// One gauge per etcd cluster and kind. 1 as soon as one member reports the alarm; 0 only when a majority of the
/// configured members reports none, because a member cut off from the others may not know of it.
fn alarms(page: Page<'_>) -> Family {
    let mut raised = page.format.gauge(
        "vedette_etcd_alarm",
        "Whether the etcd alarm is active. Absent when too few members respond to rule it out.",
    );
    for (subject, needed) in etcds(page) {
        let healths: Vec<_> = fresh_rounds(page, ProbeKind::EtcdHealth)
            .filter(|(of, _)| **of == subject)
            .flat_map(|(_, observation)| healths(observation))
            .filter_map(|(_, answer)| answer.ok().map(|health| health.condition))
            .collect();
        let mut told: BTreeSet<Subject> = BTreeSet::new();
        let mut kinds: BTreeSet<EtcdAlarmKind> = BTreeSet::new();
        let rounds = [ProbeKind::EtcdStatus, ProbeKind::EtcdAlarms].into_iter();
        for (_, observation) in rounds.flat_map(|kind| fresh_rounds(page, kind)).filter(|(of, _)| **of == subject) {
            for (member, known) in reported(observation) {
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
            raised.known(&Labels::of(&subject).with("kind", kind.as_str()), value);
        }
    }
    raised
}

/// Members that answered, each with the alarms it knows.
fn reported(observation: &Observation) -> Vec<(Subject, &[EtcdAlarm])> {
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
fn etcds(page: Page<'_>) -> impl Iterator<Item = (Subject, usize)> {
    page.snapshot.inventory.clusters.iter().flat_map(|(name, cluster)| {
        cluster
            .etcds
            .iter()
            .map(|(etcd, parts)| (Subject::Etcd(name.clone(), etcd.clone()), parts.members.len() / 2 + 1))
    })
}
