//! A small cluster, probes of it, and the one check that all tables share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::judge::context::RuleContext;
use crate::judge::judge;
use crate::model::apiserver_metrics::{ApiserverMetrics, NoPage};
use crate::model::canary::{CanaryAnswer, CanaryResult};
use crate::model::etcd::{
    Condition, EtcdAlarm, EtcdAlarmKind, MemberAnswer, MemberHealth, MemberListing, MemberMetrics, MemberStatus,
    ReadAnswer,
};
pub(super) use crate::model::fixture::{at, inventory, name, of};
use crate::model::flow_control::{NoDump, PriorityLevel, PriorityLevels};
use crate::model::health::{Foreign, Health, Version};
use crate::model::inventory::{Inventory, MetricsListener};
use crate::model::observation::{AddressAnswer, Observation, Reading};
use crate::model::phase::{Cause, Phase, Phases, Unseen};
use crate::model::policy::Policy;
use crate::model::probe::{Probe, ProbeKind};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::Now;
use crate::model::verdict::{FindingKey, Verdict, Why};
use crate::observe::view::View;

/// What a rule says of a subject; `Bad` with its level and the hold it asks for, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Says {
    Good,
    Bad(Level, u64),
    Suspected,
    Unclear,
    Stale,
    NeverSeen,
    Vantage,
    /// The rule has no such subject.
    Nothing,
}

/// One probe and what it saw.
#[derive(Clone)]
pub(super) struct Seen {
    probe: Probe,
    outcome: Result<Reading, Unseen>,
    took: Duration,
    phase: Phase,
    proves_path: bool,
}

impl Seen {
    /// What was probed.
    pub(super) const fn subject(&self) -> &Subject {
        &self.probe.subject
    }

    /// Whether all members of an etcd cluster were.
    pub(super) const fn is_round(&self) -> bool {
        matches!(self.outcome, Ok(Reading::EtcdStatus(_) | Reading::EtcdRead(_)))
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Ok(Reading::EtcdStatus(answers)) => {
                let words = answers.iter().map(|answer| answer.answer.as_ref().map(|status| status.leader));
                write!(f, "{}: {:?}", self.probe, words.collect::<Vec<_>>())
            }
            outcome => write!(f, "{}: {outcome:?}", self.probe),
        }
    }
}

/// What a member does in a round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Member {
    Up,
    Leaderless,
    /// Leads for itself.
    Apart,
    /// Follows a leader that no other member follows.
    Elsewhere,
    /// A member of another etcd cluster.
    Stray,
    Learner,
    Full,
    Corrupt,
    Gone,
    Hung,
    Unwelcoming,
    /// Its name has no address.
    Nameless,
}

/// Lets `probes` happen at their milliseconds in the standard cluster, judges at the last of them, and expects each of
/// `expected`; no other fault may be found. `None` is no probe, only time.
pub(super) fn check(probes: &[(u64, Option<Seen>)], expected: &[(RuleId, &str, Says)]) {
    check_in(inventory(2, 3), probes, expected);
}

pub(super) fn check_in(inventory: Inventory, probes: &[(u64, Option<Seen>)], expected: &[(RuleId, &str, Says)]) {
    let verdicts = verdicts(&view(inventory, probes), end(probes));
    let latest = &probes[probes.len().saturating_sub(12)..];

    for (rule, subject, says) in expected {
        assert_eq!(said(&verdicts, *rule, subject), *says, "{rule} of {subject} after {latest:?}");
    }
    // What a table's few probes leave unseen is no fault.
    let is_fault = |key: &FindingKey| !crate::judge::rule(key.rule).is_listed_only();
    for (key, verdict) in verdicts.iter().filter(|(key, verdict)| is_fault(key) && matches!(verdict, Verdict::Bad(_))) {
        let is_expected = expected.iter().any(|(rule, subject, _)| *rule == key.rule && key.subject == of(subject));
        assert!(is_expected, "nobody expects {verdict:?} after {latest:?}");
    }
}

/// What is believed after `probes`.
pub(super) fn view(inventory: Inventory, probes: &[(u64, Option<Seen>)]) -> View {
    let mut view = View::new(Arc::new(inventory), Policy::default());
    // The list of members was asked for, and no member reported it.
    view.take(&Arc::new(observation(0, &list_round(Vec::new()))), at(0));
    for (millis, seen) in probes {
        if let Some(seen) = seen {
            view.take(&Arc::new(observation(*millis, seen)), at(*millis));
        }
    }
    view
}

pub(super) fn verdicts(view: &View, now: Now) -> Vec<(FindingKey, Verdict)> {
    let inventory = Arc::clone(view.inventory());
    let clusters = inventory.clusters.iter().map(Some);
    clusters.chain([None]).flat_map(|cluster| judge(&RuleContext { view, cluster, now, raised: &[] })).collect()
}

pub(super) fn said(verdicts: &[(FindingKey, Verdict)], rule: RuleId, subject: &str) -> Says {
    let key = FindingKey { rule, subject: of(subject) };
    match verdicts.iter().find(|(known, _)| *known == key).map(|(_, verdict)| verdict) {
        Some(Verdict::Good { .. }) => Says::Good,
        Some(Verdict::Bad(finding)) => Says::Bad(finding.level, finding.hold.as_secs()),
        Some(Verdict::Unknown(Why::Suspected { .. })) => Says::Suspected,
        Some(Verdict::Unknown(Why::NeverSeen)) => Says::NeverSeen,
        Some(Verdict::Unknown(Why::Stale)) => Says::Stale,
        Some(Verdict::Unknown(Why::Unclear)) => Says::Unclear,
        Some(Verdict::Unknown(Why::Vantage)) => Says::Vantage,
        None => Says::Nothing,
    }
}

pub(super) fn end(probes: &[(u64, Option<Seen>)]) -> Now {
    at(probes.last().map_or(0, |(millis, _)| *millis))
}

/// The same probe at each of these milliseconds.
pub(super) fn each(times: &[u64], seen: Option<Seen>) -> Vec<(u64, Option<Seen>)> {
    times.iter().copied().zip(std::iter::repeat(seen)).collect()
}

/// A page of metrics.
pub(super) fn metrics_page(subject: &str, page: ApiserverMetrics) -> Option<Seen> {
    seen(Probe::anew(of(subject), ProbeKind::ApiserverMetrics), Ok(Reading::ApiserverMetrics(Ok(Arc::new(page)))))
}

/// What came instead of one.
pub(super) fn no_metrics_page(subject: &str, instead: NoPage) -> Option<Seen> {
    seen(Probe::anew(of(subject), ProbeKind::ApiserverMetrics), Ok(Reading::ApiserverMetrics(Err(instead))))
}

/// Several probes, in the order of their times.
pub(super) fn together(groups: &[Vec<(u64, Option<Seen>)>]) -> Vec<(u64, Option<Seen>)> {
    let mut probes = groups.concat();
    probes.sort_by_key(|(millis, _)| *millis);
    probes
}

pub(super) const REFUSED: Unseen = Unseen { phase: Phase::Dial, cause: Cause::Refused };
pub(super) const MUTE: Unseen = Unseen { phase: Phase::Dial, cause: Cause::Timeout };

pub(super) fn ready(subject: &str) -> Option<Seen> {
    answered(subject, 200, &[])
}

pub(super) fn not_ready(subject: &str, failing: &[&str]) -> Option<Seen> {
    answered(subject, 500, failing)
}

pub(super) fn answered(subject: &str, status: u16, failing: &[&str]) -> Option<Seen> {
    let failing: Vec<String> = failing.iter().map(|part| (*part).to_owned()).collect();
    let health =
        Health { status, listed: failing.len(), failing, server_date: None, retry_after_secs: None, foreign: None };
    seen(Probe::anew(of(subject), ProbeKind::Readyz), Ok(Reading::Health(health)))
}

pub(super) fn took(millis: u64, seen: Option<Seen>) -> Option<Seen> {
    seen.map(|seen| Seen { took: Duration::from_millis(millis), ..seen })
}

pub(super) fn version(subject: &str) -> Option<Seen> {
    version_status(subject, 200)
}

pub(super) fn version_status(subject: &str, status: u16) -> Option<Seen> {
    let version = Version { status, git_version: None, server_date: None, retry_after_secs: None, foreign: None };
    seen(Probe::reused(of(subject), ProbeKind::Version), Ok(Reading::Version(version)))
}

/// A dump of priority levels: their names, with the requests that wait and that were turned away since the start.
pub(super) fn levels(subject: &str, levels: &[(&str, u32, u64)]) -> Option<Seen> {
    let level = |(name, waiting, rejected): &(&str, u32, u64)| {
        ((*name).to_owned(), PriorityLevel { waiting: *waiting, rejected: *rejected, ..PriorityLevel::default() })
    };
    let levels = levels.iter().map(level).collect();
    no_levels(subject, Ok(PriorityLevels { levels, ..PriorityLevels::default() }))
}

/// What comes of a question for the priority levels.
pub(super) fn no_levels(subject: &str, came: Result<PriorityLevels, NoDump>) -> Option<Seen> {
    let reading = Reading::PriorityLevels(came.map(Arc::new));
    seen(Probe::reused(of(subject), ProbeKind::PriorityLevels), Ok(reading))
}

/// What comes of a canary.
pub(super) fn canary(subject: &str, kind: ProbeKind, result: CanaryResult) -> Option<Seen> {
    let said = (!result.is_answer()).then(|| "the server's words".to_owned());
    seen(Probe::anew(of(subject), kind), Ok(Reading::Canary(CanaryAnswer { result, said })))
}

/// Something else answers `/readyz`.
pub(super) fn foreign(subject: &str, status: u16, page: Foreign) -> Option<Seen> {
    let health = Health {
        status,
        listed: 0,
        failing: Vec::new(),
        server_date: None,
        retry_after_secs: None,
        foreign: Some(page),
    };
    seen(Probe::anew(of(subject), ProbeKind::Readyz), Ok(Reading::Health(health)))
}

/// Something else answers `/version`.
pub(super) fn foreign_version(subject: &str, status: u16, page: Foreign) -> Option<Seen> {
    let version = Version { status, git_version: None, server_date: None, retry_after_secs: None, foreign: Some(page) };
    seen(Probe::reused(of(subject), ProbeKind::Version), Ok(Reading::Version(version)))
}

/// The peer's kernel refuses, which proves our path.
pub(super) fn dead(subject: &str) -> Option<Seen> {
    unseen(subject, REFUSED)
}

/// Our DNS knows no address for it.
pub(super) const NAMELESS: Unseen = Unseen { phase: Phase::Resolve, cause: Cause::NoSuchName };

/// Nothing comes back.
pub(super) fn mute(subject: &str) -> Option<Seen> {
    unseen(subject, MUTE)
}

pub(super) fn unseen(subject: &str, unseen: Unseen) -> Option<Seen> {
    let kind = if subject.starts_with("vantage/") { ProbeKind::Reference } else { ProbeKind::Readyz };
    seen(Probe::anew(of(subject), kind), Err(unseen))
}

/// The reference target answers: our path works.
pub(super) fn path_works() -> Option<Seen> {
    seen(Probe::anew(of("vantage/reference/relay"), ProbeKind::Reference), Ok(Reading::Reference))
}

/// One Status round of `prod/etcd/main`: `etcd-1` does the first of these, and so on.
pub(super) fn round(members: &[Member]) -> Option<Seen> {
    round_with(members, |_| {})
}

/// A Status round in which every answer was changed by `change`.
pub(super) fn round_with(members: &[Member], change: impl Fn(&mut MemberStatus)) -> Option<Seen> {
    let mut answers: Vec<_> = members.iter().zip(1_u8..).map(|(member, n)| answer(*member, n)).collect();
    answers.iter_mut().filter_map(|answer| answer.answer.as_mut().ok()).for_each(change);
    let is_any_heard = members.iter().any(|member| *member != Member::Hung);
    let probe = Probe::reused(of("prod/etcd/main"), ProbeKind::EtcdStatus);
    let outcome = Ok(Reading::EtcdStatus(answers));
    Some(Seen { probe, outcome, took: Duration::ZERO, phase: Phase::FirstByte, proves_path: is_any_heard })
}

/// A handshake with each address of the name of `subject`.
pub(super) fn addresses(subject: &str, answers: &[Result<(), Unseen>]) -> Option<Seen> {
    let answer =
        |(answer, n): (&Result<(), Unseen>, u8)| AddressAnswer { address: [10, 0, 0, n].into(), answer: *answer };
    let reading = Reading::Addresses(answers.iter().zip(1_u8..).map(answer).collect());
    seen(Probe::anew(of(subject), ProbeKind::Addresses), Ok(reading))
}

/// One round of linearizable reads.
pub(super) fn reads(members: &[Result<(), Unseen>]) -> Option<Seen> {
    let answer = |(served, n): (&Result<(), Unseen>, u8)| MemberAnswer {
        member: name(&format!("etcd-{n}")),
        sent_after: Duration::ZERO,
        phases: Phases::default(),
        answer: served.map(|()| ReadAnswer { revision: Some(50) }),
    };
    let probe = Probe::reused(of("prod/etcd/main"), ProbeKind::EtcdRead);
    seen(probe, Ok(Reading::EtcdRead(members.iter().zip(1_u8..).map(answer).collect())))
}

/// One round of alarm lists, which all members tell alike.
pub(super) fn alarm_lists(members: u8, kinds: &[EtcdAlarmKind]) -> Option<Seen> {
    let alarms: Vec<EtcdAlarm> = kinds.iter().map(|kind| EtcdAlarm { member_id: 1, kind: *kind }).collect();
    let answer = |n: u8| MemberAnswer {
        member: name(&format!("etcd-{n}")),
        sent_after: Duration::ZERO,
        phases: Phases::default(),
        answer: Ok(alarms.clone()),
    };
    let probe = Probe::reused(of("prod/etcd/main"), ProbeKind::EtcdAlarms);
    seen(probe, Ok(Reading::EtcdAlarms((1..=members).map(answer).collect())))
}

/// One round of member lists, told alike by the first `tellers`: ids, names (empty before the first start), and whether
/// they have no vote.
pub(super) fn lists(tellers: u8, listed: &[(u64, &str, bool)]) -> Option<Seen> {
    let list: Vec<MemberListing> = listed
        .iter()
        .map(|(id, name, is_learner)| MemberListing {
            id: *id,
            name: (*name).into(),
            is_learner: *is_learner,
            client_urls: if name.is_empty() { Vec::new() } else { vec![format!("https://10.0.0.2{id}:2379")] },
        })
        .collect();
    let answer = |n: u8| MemberAnswer {
        member: name(&format!("etcd-{n}")),
        sent_after: Duration::ZERO,
        phases: Phases::default(),
        answer: Ok(list.clone()),
    };
    Some(list_round((1..=tellers).map(answer).collect()))
}

fn list_round(answers: Vec<MemberAnswer<Vec<MemberListing>>>) -> Seen {
    let probe = Probe::reused(of("prod/etcd/main"), ProbeKind::EtcdMembers);
    Seen {
        probe,
        outcome: Ok(Reading::EtcdMembers(answers)),
        took: Duration::ZERO,
        phase: Phase::FirstByte,
        proves_path: false,
    }
}

/// One page of each metrics listener, for members that have a vote or have none.
pub(super) fn pages(learners: &[bool]) -> Option<Seen> {
    let answer = |(is_learner, n): (&bool, u8)| MemberAnswer {
        member: name(&format!("etcd-{n}")),
        sent_after: Duration::ZERO,
        phases: Phases::default(),
        answer: Ok(MemberMetrics { is_learner: Some(*is_learner), ..MemberMetrics::default() }),
    };
    let probe = Probe::anew(of("prod/etcd/main"), ProbeKind::EtcdMetrics);
    seen(probe, Ok(Reading::EtcdMetrics(learners.iter().zip(1_u8..).map(answer).collect())))
}

/// One page of each metrics listener.
pub(super) fn pages_of(pages: &[MemberMetrics]) -> Option<Seen> {
    let answer = |(page, n): (&MemberMetrics, u8)| MemberAnswer {
        member: name(&format!("etcd-{n}")),
        sent_after: Duration::ZERO,
        phases: Phases::default(),
        answer: Ok(page.clone()),
    };
    let probe = Probe::anew(of("prod/etcd/main"), ProbeKind::EtcdMetrics);
    seen(probe, Ok(Reading::EtcdMetrics(pages.iter().zip(1_u8..).map(answer).collect())))
}

/// One round of health from each metrics listener.
pub(super) fn healths(conditions: &[Condition]) -> Option<Seen> {
    let answer = |(condition, n): (&Condition, u8)| MemberAnswer {
        member: name(&format!("etcd-{n}")),
        sent_after: Duration::ZERO,
        phases: Phases::default(),
        answer: Ok(MemberHealth { condition: *condition, reason: None }),
    };
    let probe = Probe::anew(of("prod/etcd/main"), ProbeKind::EtcdHealth);
    seen(probe, Ok(Reading::EtcdHealth(conditions.iter().zip(1_u8..).map(answer).collect())))
}

/// The standard cluster, its etcd seen through metrics listeners alone.
pub(super) fn listening(members: u8) -> Inventory {
    let mut inventory = inventory(2, members);
    for etcd in inventory.clusters.values_mut().flat_map(|cluster| cluster.etcds.values_mut()) {
        let listener = || MetricsListener { url: "http://10.0.0.1:2381".into(), is_tls: false };
        etcd.listeners = etcd.members.keys().map(|member| (member.clone(), listener())).collect();
        etcd.is_metrics_only = true;
    }
    inventory
}

pub(super) fn seen(probe: Probe, outcome: Result<Reading, Unseen>) -> Option<Seen> {
    let proves_path = outcome.as_ref().err().is_none_or(|unseen| unseen.cause != Cause::Timeout);
    Some(Seen { probe, outcome, took: Duration::from_millis(5), phase: Phase::FirstByte, proves_path })
}

fn answer(member: Member, n: u8) -> MemberAnswer<MemberStatus> {
    let alarm = |kind| vec![EtcdAlarm { member_id: u64::from(n), kind }];
    let status = MemberStatus {
        version: "3.6.16".into(),
        cluster_id: if member == Member::Stray { 2 } else { 1 },
        member_id: u64::from(n),
        leader: match member {
            Member::Leaderless => None,
            Member::Apart | Member::Stray => Some(u64::from(n)),
            Member::Elsewhere => Some(99),
            Member::Up
            | Member::Learner
            | Member::Full
            | Member::Corrupt
            | Member::Gone
            | Member::Hung
            | Member::Unwelcoming
            | Member::Nameless => Some(1),
        },
        raft_term: 3,
        raft_index: 100,
        raft_applied_index: Some(100),
        revision: 50,
        db_size_bytes: 20 << 20,
        db_in_use_bytes: None,
        db_quota_bytes: None,
        is_learner: member == Member::Learner,
        storage_version: None,
        downgrade: None,
        alarms: match member {
            Member::Full => alarm(EtcdAlarmKind::NoSpace),
            Member::Corrupt => alarm(EtcdAlarmKind::Corrupt),
            Member::Up
            | Member::Leaderless
            | Member::Apart
            | Member::Elsewhere
            | Member::Stray
            | Member::Learner
            | Member::Gone
            | Member::Hung
            | Member::Unwelcoming
            | Member::Nameless => Vec::new(),
        },
        errors: Vec::new(),
    };
    let answer = match member {
        Member::Gone => Err(REFUSED),
        Member::Hung => Err(MUTE),
        Member::Nameless => Err(NAMELESS),
        Member::Unwelcoming => Err(Unseen { phase: Phase::FirstByte, cause: Cause::CredentialRejected }),
        Member::Up
        | Member::Leaderless
        | Member::Apart
        | Member::Elsewhere
        | Member::Stray
        | Member::Learner
        | Member::Full
        | Member::Corrupt => Ok(status),
    };
    MemberAnswer { member: name(&format!("etcd-{n}")), sent_after: Duration::ZERO, phases: Phases::default(), answer }
}

/// The time in the phase that took most of it.
pub(super) fn took_in(phase: Phase, millis: u64, seen: Option<Seen>) -> Option<Seen> {
    took(millis, seen).map(|seen| Seen { phase, ..seen })
}

fn spent(seen: &Seen) -> Phases {
    let mut phases = Phases::default();
    phases.record(seen.phase, seen.took);
    phases
}

fn observation(millis: u64, seen: &Seen) -> Observation {
    Observation {
        request: None,
        probe: seen.probe.clone(),
        scheduled: at(millis),
        finished: at(millis).plus(seen.took),
        phases: spent(seen),
        served: None,
        own_flaw: None,
        greeting: None,
        proves_path: seen.proves_path,
        outcome: seen.outcome.clone(),
    }
}
