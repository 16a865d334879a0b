//! The evidence table of a message: what the latest probes at a cluster, or at the vantage, saw.

use crate::model::etcd::{Condition, MemberAnswer};
use crate::model::health::{Health, Version};
use crate::model::message::ProbeLine;
use crate::model::observation::{AddressAnswer, Observation, Reading};
use crate::model::phase::{Phases, Unseen};
use crate::model::probe::{Probe, ProbeKind};
use crate::model::subject::{Name, Subject};

use super::assessment::Assessment;
use super::view::View;

/// Rows that are stored with a message; the mail shows six of them.
const MOST: usize = 24;

/// The latest deciding probes at everything in `cluster`, or at what belongs to the vantage.
#[must_use]
pub fn lines(view: &View, cluster: Option<&Name>) -> Vec<ProbeLine> {
    let probes: Vec<&Observation> = match cluster {
        Some(cluster) => view
            .cluster_snapshot(cluster)
            .iter()
            .flat_map(|cluster_snapshot| cluster_snapshot.observations.values())
            .map(AsRef::as_ref)
            .collect(),
        None => view.vantage().values().map(AsRef::as_ref).collect(),
    };
    let decides = |observation: &&Observation| {
        matches!(
            observation.probe.kind,
            ProbeKind::Readyz
                | ProbeKind::Version
                | ProbeKind::EtcdStatus
                | ProbeKind::EtcdRead
                | ProbeKind::EtcdHealth
                | ProbeKind::Reference
                | ProbeKind::Resolver
        ) || (observation.probe.kind.canary().is_some() && !is_well(view, observation))
    };
    let mut lines: Vec<ProbeLine> =
        probes.into_iter().filter(decides).flat_map(|observation| lines_of(view, observation)).collect();
    // Of two probes of one kind at one endpoint, over a new and over the kept connection, the later one is shown.
    lines.sort_by(|a, b| (&a.probe.subject, a.probe.kind, b.at).cmp(&(&b.probe.subject, b.probe.kind, a.at)));
    lines.dedup_by(|a, b| a.probe.subject == b.probe.subject && a.probe.kind == b.probe.kind);
    if lines.len() > MOST {
        // What decides is kept before what only adds to it.
        lines.sort_by_key(|line| matches!(line.probe.kind, ProbeKind::Version | ProbeKind::EtcdRead));
        lines.truncate(MOST);
        lines.sort_by(|a, b| (&a.probe.subject, a.probe.kind).cmp(&(&b.probe.subject, b.probe.kind)));
    }
    lines
}

/// Whether a canary was answered, and not slowly: of those that are well a mail has no use.
fn is_well(view: &View, observation: &Observation) -> bool {
    let is_answer = matches!(&observation.outcome, Ok(Reading::Canary(answer)) if answer.result.is_answer());
    is_answer && observation.phases.first_byte.unwrap_or_default() <= view.policy().slow_after
}

/// The latest probe at the files of `cluster`, or of the vantage: how many items, and which ends first.
#[must_use]
pub fn stored(view: &View, cluster: Option<&Name>) -> Option<ProbeLine> {
    let files_view = view.files_view(cluster)?;
    let subject = cluster.map_or(Subject::Vantage, |name| Subject::Cluster(name.clone()));
    let reading = files_view.reading();
    let first = reading
        .held()
        .find(|held| held.item().life.is_some_and(|life| !life.not_after.is_endless()) && held.is_current());
    let end = first.and_then(|held| {
        let (_, file, item) = held.places().next()?;
        Some(format!("; first to expire: {} at {} in {}", item.holder, item.life?.not_after, file.path))
    });
    Some(ProbeLine {
        probe: Probe::anew(subject, ProbeKind::Files),
        address: String::new(),
        at: files_view.at().wall,
        phases: Phases::default(),
        outcome: Ok(format!("{} certificates and tokens{}", reading.len(), end.unwrap_or_default())),
        good: true,
    })
}

fn lines_of(view: &View, observation: &Observation) -> Vec<ProbeLine> {
    match &observation.outcome {
        Ok(Reading::EtcdStatus(answers)) => members(view, observation, answers, |status| {
            let good = status.leader.is_some() && status.errors.is_empty() && status.alarms.is_empty();
            let leader = status.leader.map_or_else(|| "no leader".to_owned(), |leader| format!("leader {leader:x}"));
            let errors: Vec<&str> = status.errors.iter().map(String::as_str).collect();
            let alarms: Vec<&str> = status.alarms.iter().map(|alarm| alarm.kind.as_str()).collect();
            let trouble = [errors, alarms].concat();
            let trouble = if trouble.is_empty() { String::new() } else { format!("; {}", trouble.join(", ")) };
            (good, format!("{leader}, term {}{trouble}", status.raft_term))
        }),
        Ok(Reading::EtcdRead(answers)) => members(view, observation, answers, |read| match read.revision {
            Some(revision) => (true, format!("linearizable read at revision {revision}")),
            None => (true, "linearizable read, its result denied to this user".to_owned()),
        }),
        Ok(Reading::EtcdHealth(answers)) => members(view, observation, answers, |health| {
            let reason = health.reason.as_deref().map_or_else(String::new, |reason| format!(" ({reason})"));
            (health.condition == Condition::Well, format!("health: {}{reason}", health.condition.as_str()))
        }),
        Ok(Reading::Canary(answer)) => {
            let (subject, good) = (&observation.probe.subject, answer.result.is_answer());
            vec![ProbeLine { good, ..line(view, observation, subject, Ok(answer.result.to_string())) }]
        }
        Ok(reading) => {
            let good = matches!(Assessment::of(observation), Assessment::Good);
            vec![ProbeLine { good, ..line(view, observation, &observation.probe.subject, Ok(reading_text(reading))) }]
        }
        Err(unseen) => vec![line(view, observation, &observation.probe.subject, Err(*unseen))],
    }
}

fn reading_text(reading: &Reading) -> String {
    match reading {
        Reading::Health(Health { status, foreign: Some(page), .. })
        | Reading::Version(Version { status, foreign: Some(page), .. }) => format!("HTTP {status}: {}", page.as_str()),
        Reading::Health(health) if health.failing.is_empty() => format!("HTTP {}", health.status),
        Reading::Health(health) => format!("HTTP {}, failing checks: {}", health.status, health.failing.join(", ")),
        Reading::Version(version) => version.git_version.clone().unwrap_or_else(|| format!("HTTP {}", version.status)),
        Reading::Resolver(answer) => format!("response code {}", answer.rcode),
        Reading::Reference => "responds".to_owned(),
        Reading::Canary(answer) => answer.result.to_string(),
        Reading::Addresses(answers) => AddressAnswer::summary(answers),
        Reading::EtcdStatus(_)
        | Reading::EtcdRead(_)
        | Reading::EtcdAlarms(_)
        | Reading::EtcdMembers(_)
        | Reading::EtcdHealth(_)
        | Reading::EtcdMetrics(_)
        | Reading::Chain
        | Reading::OwnClock(_)
        | Reading::Files(_)
        | Reading::PriorityLevels(_)
        | Reading::RequestDump(_)
        | Reading::ApiserverMetrics(_)
        | Reading::Statusz(_)
        | Reading::Flagz(_) => "responds".to_owned(),
    }
}

fn members<T>(
    view: &View,
    observation: &Observation,
    answers: &[MemberAnswer<T>],
    text: impl Fn(&T) -> (bool, String),
) -> Vec<ProbeLine> {
    observation
        .by_member(answers)
        .map(|(member, answer)| {
            let (good, outcome) = match &answer.answer {
                Ok(seen) => {
                    let (good, text) = text(seen);
                    (good, Ok(text))
                }
                Err(unseen) => (false, Err(*unseen)),
            };
            ProbeLine { phases: answer.phases, good, ..line(view, observation, &member, outcome) }
        })
        .collect()
}

fn line(view: &View, observation: &Observation, subject: &Subject, outcome: Result<String, Unseen>) -> ProbeLine {
    ProbeLine {
        probe: Probe { subject: subject.clone(), ..observation.probe.clone() },
        address: view.inventory().address(subject).to_owned(),
        at: observation.scheduled.wall,
        phases: observation.phases,
        good: outcome.is_ok(),
        outcome,
    }
}
