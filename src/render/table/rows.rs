//! The rows of all probes: one for a probe, and one for each member of a round.

use std::collections::BTreeMap;

use crate::model::apiserver_metrics::{ApiserverMetrics, NoPage};
use crate::model::byte_size::words as size;
use crate::model::canary::{CanaryAnswer, CanaryResult};
use crate::model::etcd::{Condition, EtcdAlarm, EtcdAlarmKind, MemberAnswer, MemberMetrics, MemberStatus};
use crate::model::flow_control::{NoDump, PriorityLevels};
use crate::model::health::{Health, Version};
use crate::model::observation::{AddressAnswer, Observation, Reading};
use crate::model::phase::{Cause, Unseen};
use crate::model::probe::Probe;
use crate::model::subject::Subject;
use crate::model::zpages::{NoZpage, Statusz};

use super::row::{Row, Saw, row};
use super::{Pass, certificate_files};

/// Failing parts that a row names before it counts the rest.
const NAMED_PARTS: usize = 6;

/// All rows: clusters first, then the vantage; by subject, then by probe.
pub(super) fn rows(pass: Pass<'_>) -> Vec<Row> {
    let mut all: Vec<Row> = pass.observations.iter().flat_map(|observation| of(pass, observation)).collect();
    all.sort_by(|one, other| key(one).cmp(&key(other)));
    all
}

fn key(row: &Row) -> (bool, &Subject, &Probe) {
    (row.subject.cluster().is_none(), &row.subject, &row.probe)
}

/// The rows of one probe.
pub(in crate::render) fn of(pass: Pass<'_>, observation: &Observation) -> Vec<Row> {
    match &observation.outcome {
        Ok(
            Reading::Health(Health { status, foreign: Some(page), .. })
            | Reading::Version(Version { status, foreign: Some(page), .. }),
        ) => vec![row(pass, observation, Saw::Foreign, &format!("{status}: {}", page.as_str()))],
        Ok(Reading::Health(health)) => vec![row(pass, observation, health_saw(health.status), &healthy(health))],
        Ok(Reading::Version(version)) => {
            let name = version.git_version.as_deref().map_or_else(String::new, |name| format!(" {name}"));
            vec![row(pass, observation, health_saw(version.status), &format!("{}{name}", version.status))]
        }
        Ok(Reading::EtcdStatus(answers)) => {
            let names: BTreeMap<u64, &str> = answers
                .iter()
                .filter_map(|answer| Some((answer.answer.as_ref().ok()?.member_id, answer.member.as_str())))
                .collect();
            let rows = members(pass, observation, answers, |status| member(status, &names));
            let statuses = answers.iter().map(|answer| answer.answer.as_ref().ok().cloned());
            rows.into_iter().zip(statuses).map(|(row, status)| Row { status, ..row }).collect()
        }
        Ok(Reading::EtcdRead(answers)) => {
            let revision = |revision| format!("revision {revision}");
            let said =
                |read: Option<i64>| read.map_or_else(|| "majority confirmed, result denied".to_owned(), revision);
            members(pass, observation, answers, |read| (Saw::Ok, said(read.revision)))
        }
        Ok(Reading::EtcdAlarms(answers)) => members(pass, observation, answers, |alarms| match kinds(alarms) {
            none if none.is_empty() => (Saw::Ok, "no alarm".to_owned()),
            kinds => (Saw::Alarm, kinds),
        }),
        Ok(Reading::EtcdMembers(answers)) => {
            members(pass, observation, answers, |listed| (Saw::Ok, format!("{} members", listed.len())))
        }
        Ok(Reading::Files(reading)) => certificate_files::rows(pass, observation, reading),
        Ok(Reading::EtcdHealth(answers)) => members(pass, observation, answers, |health| {
            let saw = match health.condition {
                Condition::Well => Saw::Ok,
                Condition::Full | Condition::Corrupt | Condition::Alarmed => Saw::Alarm,
                Condition::Ill => Saw::NoLeader,
            };
            let reason = health.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
            (saw, format!("{}{reason}", health.condition.as_str()))
        }),
        Ok(Reading::EtcdMetrics(answers)) => members(pass, observation, answers, |page| (Saw::Ok, metrics(page))),
        Ok(Reading::Chain) => vec![row(pass, observation, Saw::Ok, &chain(observation))],
        Ok(Reading::Addresses(answers)) => {
            let unseen = answers.iter().find_map(|told| told.answer.err());
            let saw = unseen.map_or(Saw::Ok, silent);
            vec![Row { unseen, ..row(pass, observation, saw, &AddressAnswer::summary(answers)) }]
        }
        Ok(Reading::Reference) => vec![row(pass, observation, Saw::Ok, "responds")],
        Ok(Reading::Resolver(answer)) => {
            let (saw, code) = match answer.rcode {
                0 => (Saw::Ok, "NOERROR".to_owned()),
                3 => (Saw::Ok, "NXDOMAIN".to_owned()),
                2 => (Saw::NotReady, "SERVFAIL".to_owned()),
                other => (Saw::NotReady, format!("code {other}")),
            };
            let addresses = if answer.addresses == 1 { "address" } else { "addresses" };
            vec![row(pass, observation, saw, &format!("{code}, {} {addresses}", answer.addresses))]
        }
        Ok(Reading::OwnClock(clock)) => {
            let result = if clock.is_synchronised { "synchronised" } else { "not synchronised" };
            let error = clock.max_error.as_secs_f64();
            vec![row(pass, observation, Saw::Ok, &format!("{result}, error up to {error:.3} s"))]
        }
        Ok(Reading::PriorityLevels(dump)) => vec![match dump {
            Ok(levels) => row(pass, observation, Saw::Ok, &waiting(levels)),
            Err(instead) => row(pass, observation, no_dump(*instead), &instead.to_string()),
        }],
        Ok(Reading::RequestDump(dump)) => vec![match dump {
            Ok(load) => row(pass, observation, Saw::Ok, &format!("{} requests", load.requests())),
            Err(instead) => row(pass, observation, no_dump(*instead), &instead.to_string()),
        }],
        Ok(Reading::ApiserverMetrics(page)) => vec![match page {
            Ok(metrics) => row(pass, observation, Saw::Ok, &seats(metrics)),
            Err(instead) => row(pass, observation, no_page(*instead), &instead.to_string()),
        }],
        Ok(Reading::Canary(answer)) => vec![row(pass, observation, canary(&answer.result), &canary_said(answer))],
        Ok(Reading::Statusz(page)) => vec![match page {
            Ok(status) => row(pass, observation, Saw::Ok, &started(status)),
            Err(instead) => row(pass, observation, no_zpage(*instead), &instead.to_string()),
        }],
        Ok(Reading::Flagz(page)) => vec![match page {
            Ok(flags) => row(pass, observation, Saw::Ok, &format!("{} flags", flags.len())),
            Err(instead) => row(pass, observation, no_zpage(*instead), &instead.to_string()),
        }],
        Err(unseen) => vec![Row {
            unseen: Some(*unseen),
            ..row(pass, observation, silent(*unseen), &failed(observation, *unseen))
        }],
    }
}

/// How many wait in which levels.
fn waiting(levels: &PriorityLevels) -> String {
    let waits = levels.levels.iter().filter(|(_, level)| level.waiting > 0);
    let waits: Vec<String> = waits.map(|(name, level)| format!("{} wait in {name}", level.waiting)).collect();
    if waits.is_empty() { "nothing waits".to_owned() } else { waits.join(", ") }
}

/// How many seats are taken.
fn seats(metrics: &ApiserverMetrics) -> String {
    metrics.all_seats().map_or_else(|| "responds".to_owned(), |(used, all)| format!("{used} of {all} seats taken"))
}

/// The same for the page of metrics.
const fn no_page(instead: NoPage) -> Saw {
    match instead {
        NoPage::Forbidden => Saw::Refused,
        NoPage::Shed { .. } => Saw::Shed,
        // A gap, which F53 lists, and no fault of what is watched.
        NoPage::Status(_) | NoPage::Foreign | NoPage::TooLarge => Saw::Ok,
    }
}

/// What a canary lacks is a gap, not a fault.
const fn canary(result: &CanaryResult) -> Saw {
    match result {
        CanaryResult::Done { .. } | CanaryResult::Rejected => Saw::Ok,
        CanaryResult::Forbidden => Saw::Refused,
        CanaryResult::Shed { .. } => Saw::Shed,
        CanaryResult::Missing | CanaryResult::Terminating | CanaryResult::Conflict | CanaryResult::Foreign => {
            Saw::Unknown
        }
        CanaryResult::Webhook { .. }
        | CanaryResult::TimedOut
        | CanaryResult::Undecryptable
        | CanaryResult::Status(_) => Saw::NotReady,
    }
}

fn canary_said(answer: &CanaryAnswer) -> String {
    match &answer.said {
        Some(said) => format!("{}: {said}", answer.result),
        None => answer.result.to_string(),
    }
}

/// A right that is missing and a server without priority and fairness are gaps, not faults.
const fn no_dump(instead: NoDump) -> Saw {
    match instead {
        NoDump::Forbidden => Saw::Refused,
        NoDump::Shed { .. } => Saw::Shed,
        NoDump::Missing | NoDump::Status(_) | NoDump::Foreign => Saw::Ok,
    }
}

/// Since when its process runs, in which versions.
fn started(status: &Statusz) -> String {
    let since = status.started.map(|started| format!("started {started}"));
    let emulates = status.emulates().map(|version| format!("emulates {version}"));
    let parts: Vec<String> = [since, status.binary_version.clone(), emulates].into_iter().flatten().collect();
    parts.join(", ")
}

/// The same of z-pages.
const fn no_zpage(instead: NoZpage) -> Saw {
    match instead {
        NoZpage::Shed => Saw::Shed,
        // The right is one to give or not.
        NoZpage::Forbidden | NoZpage::Missing | NoZpage::Status(_) | NoZpage::Foreign => Saw::Ok,
    }
}

fn members<T>(
    pass: Pass<'_>,
    observation: &Observation,
    answers: &[MemberAnswer<T>],
    say: impl Fn(&T) -> (Saw, String),
) -> Vec<Row> {
    let of_member = |(subject, answer): (Subject, &MemberAnswer<T>)| {
        let (saw, result, unseen) = match &answer.answer {
            Ok(read) => {
                let (saw, result) = say(read);
                (saw, result, None)
            }
            Err(unseen) => (silent(*unseen), failed(observation, *unseen), Some(*unseen)),
        };
        let address = pass.inventory.address(&subject).to_owned();
        Row { subject, address, unseen, phases: answer.phases, end: None, ..row(pass, observation, saw, &result) }
    };
    observation.by_member(answers).map(of_member).collect()
}

const fn health_saw(status: u16) -> Saw {
    match status {
        200 => Saw::Ok,
        429 => Saw::Shed,
        401 | 403 => Saw::Refused,
        _ => Saw::NotReady,
    }
}

fn healthy(health: &Health) -> String {
    let mut parts: Vec<&str> = health.failing.iter().take(NAMED_PARTS).map(String::as_str).collect();
    let rest = health.failing.len().saturating_sub(NAMED_PARTS);
    let more = format!("{rest} more");
    if rest > 0 {
        parts.push(&more);
    }
    if parts.is_empty() { health.status.to_string() } else { format!("{}: {}", health.status, parts.join(", ")) }
}

fn member(status: &MemberStatus, names: &BTreeMap<u64, &str>) -> (Saw, String) {
    let role = match status.leader {
        Some(leader) if leader == status.member_id => "leader".to_owned(),
        Some(leader) => {
            names.get(&leader).map_or_else(|| format!("follower of {leader:x}"), |name| format!("follower of {name}"))
        }
        None => "no leader".to_owned(),
    };
    let learner = if status.is_learner { ", learner" } else { "" };
    let quota = status.db_quota_bytes.map_or_else(String::new, |quota| format!(" of {}", size(quota)));
    let alarms = kinds(&status.alarms);
    let saw = match status.leader {
        None => Saw::NoLeader,
        Some(_) if alarms.is_empty() => Saw::Ok,
        Some(_) => Saw::Alarm,
    };
    let alarms = if alarms.is_empty() { alarms } else { format!(", {alarms}") };
    let size = size(status.db_size_bytes);
    (saw, format!("{role}{learner}, term {}, db {size}{quota}{alarms}, {}", status.raft_term, status.version))
}

fn metrics(page: &MemberMetrics) -> String {
    let quota = page.db_quota_bytes.map_or_else(String::new, |quota| format!(" of {}", size(quota)));
    let db = page.db_size_bytes.map(|bytes| format!("db {}{quota}", size(bytes)));
    let leader = page.has_leader.map(|has| if has { "has a leader" } else { "no leader" }.to_owned());
    let defragments = page.is_defragmenting.filter(|is| *is).map(|_| "defragmenting".to_owned());
    let parts: Vec<String> = [leader, db, defragments, page.version.clone()].into_iter().flatten().collect();
    if parts.is_empty() { "no etcd metrics".to_owned() } else { parts.join(", ") }
}

fn kinds(alarms: &[EtcdAlarm]) -> String {
    let mut kinds: Vec<EtcdAlarmKind> = alarms.iter().map(|alarm| alarm.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.into_iter().map(EtcdAlarmKind::as_str).collect::<Vec<_>>().join(", ")
}

fn chain(observation: &Observation) -> String {
    observation.served.as_ref().map_or_else(
        || "handshake completed".to_owned(),
        |served| {
            let ends = served.earliest().map_or_else(String::new, |first| format!(", {}", first.not_after.ending()));
            format!("chain of {}{ends}, {}", served.chain.len(), served.trust.as_str())
        },
    )
}

/// How a probe failed, and where our own credential is to blame, why.
fn failed(observation: &Observation, unseen: Unseen) -> String {
    match observation.own_flaw.as_ref().filter(|_| unseen.cause == Cause::OwnCredential) {
        Some(diagnostic) => format!("{unseen}: {diagnostic}"),
        None => unseen.to_string(),
    }
}

const fn silent(unseen: Unseen) -> Saw {
    if unseen.is_unresolved() {
        return Saw::Unknown;
    }
    match unseen.cause {
        Cause::CredentialRejected | Cause::ClientCertificateRejected | Cause::TokenWithheld | Cause::NoCredential => {
            Saw::Refused
        }
        Cause::OwnCredential
        | Cause::OwnFault
        | Cause::ProxyDenied
        | Cause::ProxyLogin
        | Cause::ProxyDown
        | Cause::ProxyUnreachable
        | Cause::ProxySilent => Saw::Unknown,
        Cause::Timeout | Cause::Unreachable | Cause::NoSuchName | Cause::ResolverFailed => Saw::Unreachable,
        Cause::Refused
        | Cause::Reset
        | Cause::Closed
        | Cause::TlsBroken
        | Cause::TlsAlert
        | Cause::ProtocolBroken
        | Cause::TooLarge
        | Cause::Unavailable
        | Cause::WithoutTls
        | Cause::WithTls
        | Cause::ServerError
        | Cause::ProxyTarget => Saw::Down,
        Cause::Foreign => Saw::Foreign,
    }
}
