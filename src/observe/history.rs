//! Bounded aggregates: latency and outcome counts per endpoint, kind and phase. The phase in which a probe failed
//! counts as well: a timeout is time that clients lose.
//!
//! The number of series is fixed by the inventory and the closed sets of kinds, phases and causes.

use std::sync::Arc;

use crate::model::etcd::MemberAnswer;
use crate::model::health::{Health, Version};
use crate::model::observation::{Observation, Reading};
use crate::model::phase::{Phase, Phases, Unseen};
use crate::model::snapshot::ClusterSnapshot;
use crate::model::subject::Subject;
use crate::model::tally::{Asked, BAD_STATUS, NOT_READY, OK};

/// Adds one observation to the counts of its cluster.
pub fn count(cluster_snapshot: &mut ClusterSnapshot, observation: &Observation) {
    match &observation.outcome {
        Ok(Reading::EtcdStatus(answers)) => count_round(cluster_snapshot, observation, answers),
        Ok(Reading::EtcdRead(answers)) => count_round(cluster_snapshot, observation, answers),
        Ok(Reading::EtcdAlarms(answers)) => count_round(cluster_snapshot, observation, answers),
        Ok(Reading::EtcdMembers(answers)) => count_round(cluster_snapshot, observation, answers),
        Ok(Reading::EtcdHealth(answers)) => count_round(cluster_snapshot, observation, answers),
        Ok(Reading::EtcdMetrics(answers)) => count_round(cluster_snapshot, observation, answers),
        Ok(reading) => {
            add(cluster_snapshot, observation, &observation.probe.subject, &observation.phases, Ok(word(reading)))
        }
        Err(unseen) => {
            add(cluster_snapshot, observation, &observation.probe.subject, &observation.phases, Err(*unseen))
        }
    }
}

fn count_round<T>(cluster_snapshot: &mut ClusterSnapshot, observation: &Observation, answers: &[MemberAnswer<T>]) {
    for (member, answer) in observation.by_member(answers) {
        let outcome = answer.answer.as_ref().map(|_| OK).map_err(|unseen| *unseen);
        add(cluster_snapshot, observation, &member, &answer.phases, outcome);
    }
}

fn add(
    cluster_snapshot: &mut ClusterSnapshot,
    observation: &Observation,
    subject: &Subject,
    phases: &Phases,
    outcome: Result<&'static str, Unseen>,
) {
    let (kind, connection) = (observation.probe.kind, observation.probe.connection);
    let word = outcome.unwrap_or_else(|unseen| unseen.cause.as_str());
    let tally = Arc::make_mut(cluster_snapshot.tallies.or_default(subject));
    let asked = Asked { kind, connection };
    tally.end(asked, word);
    // How long a z-page takes decides nothing, and a histogram of it would be lines for nobody.
    if kind.is_zpage() {
        return;
    }
    if outcome.is_ok() {
        tally.answered(asked, phases.total());
    }
    // What a dump costs is known by its outcome; users do not wait for it. Of a canary only the server's
    // time counts.
    if kind.shows_use() {
        return;
    }
    let is_kept = |phase: &Phase| kind.canary().is_none() || *phase == Phase::FirstByte;
    for (phase, spent) in phases.reached().filter(|(phase, _)| is_kept(phase)) {
        tally.reached(asked, phase, spent);
    }
}

fn word(reading: &Reading) -> &'static str {
    match reading {
        Reading::Health(Health { foreign: Some(_), .. }) | Reading::Version(Version { foreign: Some(_), .. }) => {
            "foreign"
        }
        Reading::Health(Health { status: 200, .. }) => OK,
        Reading::Health(_) => NOT_READY,
        Reading::Version(version) if version.status != 200 => BAD_STATUS,
        Reading::Canary(answer) if !answer.result.is_answer() => BAD_STATUS,
        Reading::PriorityLevels(Err(_))
        | Reading::RequestDump(Err(_))
        | Reading::ApiserverMetrics(Err(_))
        | Reading::Statusz(Err(_))
        | Reading::Flagz(Err(_)) => BAD_STATUS,
        Reading::Version(_)
        | Reading::EtcdStatus(_)
        | Reading::EtcdRead(_)
        | Reading::EtcdAlarms(_)
        | Reading::EtcdMembers(_)
        | Reading::EtcdHealth(_)
        | Reading::EtcdMetrics(_)
        | Reading::Chain
        | Reading::Addresses(_)
        | Reading::Reference
        | Reading::Resolver(_)
        | Reading::OwnClock(_)
        | Reading::Files(_)
        | Reading::PriorityLevels(Ok(_))
        | Reading::RequestDump(Ok(_))
        | Reading::ApiserverMetrics(Ok(_))
        | Reading::Canary(_)
        | Reading::Statusz(Ok(_))
        | Reading::Flagz(Ok(_)) => OK,
    }
}
