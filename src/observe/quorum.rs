//! One Status round, read as a vote: who answers, which leader a majority of the configured voters agrees on.
//!
//! The leader is never taken from responders alone: two of five members agreeing is no leader. The cluster that the
//! members report is read here as well: it may be another one than is configured, or several.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::etcd::{
    Condition, EtcdAlarm, EtcdAlarmKind, MemberAnswer, MemberHealth, MemberMetrics, MemberStatus, ReadAnswer,
};
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::subject::Name;
use crate::model::verdict::Symptom;

use super::assessment::Assessment;
use super::membership::{Membership, main_cluster};

/// A round, counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Sign of each member.
    pub members: BTreeMap<Name, Assessment>,
    /// Sign of each member's view of the leader: good when it follows the agreed leader, bad when it answers and does
    /// not. While no leader is agreed there is nothing to compare with.
    pub minds: BTreeMap<Name, Assessment>,
    /// Sign for the leader: good when a majority of voters follows one.
    pub leader: Assessment,
    /// Sign for each kind of alarm: bad when any member reports it, good only when a majority reports none of it.
    pub raised: BTreeMap<EtcdAlarmKind, Assessment>,
    /// The cluster of the agreed leader.
    pub cluster: Option<u64>,
    /// The agreed leader's member id.
    pub agreed: Option<u64>,
    /// The raft term in which it leads.
    pub term: Option<u64>,
    /// Alarms that any member reports.
    pub alarms: Vec<EtcdAlarm>,
    /// Voters: those of etcd's own list where it is known, else the configured members that may have a vote.
    pub voters: usize,
    /// Watched voters that answered.
    pub answering: usize,
    /// Voters that are not watched, or have never started.
    pub unwatched: usize,
    /// Sign for whether the members are one cluster of as many members as are configured.
    pub as_configured: Assessment,
}

/// Voters that make a majority of `voters`.
#[must_use]
pub const fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// Whether our own requests of a round left so far apart that the answers cannot be compared.
#[must_use]
pub fn is_spread<T>(answers: &[MemberAnswer<T>], most: Duration) -> bool {
    let sent = answers.iter().filter(|answer| answer.answer.is_ok()).map(|answer| answer.sent_after);
    let (first, last) = (sent.clone().min(), sent.max());
    first.zip(last).is_some_and(|(first, last)| last.saturating_sub(first) > most)
}

/// What is known of the members beside what they answer in this round.
pub struct Before<'a> {
    /// A member's status of an earlier round.
    pub status: &'a dyn Fn(&Name) -> Option<&'a MemberStatus>,
    /// etcd's own list of its members.
    pub list: Option<Membership<'a>>,
    /// Whether that list has been asked for, with whatever result.
    pub is_list_asked: bool,
}

/// Who answers for a voter: several addresses may lead to one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Voter<'a> {
    /// A member that has reported its id.
    Known(u64),
    /// One that never has.
    Unseen(&'a Name),
}

/// Counts a round. `is_learner` says which members are known from earlier rounds to have no vote.
#[must_use]
pub fn count(answers: &[MemberAnswer<MemberStatus>], is_learner: impl Fn(&Name) -> bool) -> Count {
    let nothing = Before { status: &|_| None, list: None, is_list_asked: true };
    count_with(answers, is_learner, &nothing)
}

/// Counts a round with what is known besides. Voters are those of etcd's own list where it is known: one that is not
/// watched counts in the majority, one that has never started does as well, and one that is configured twice counts
/// once.
#[must_use]
pub fn count_with(
    answers: &[MemberAnswer<MemberStatus>],
    is_learner: impl Fn(&Name) -> bool,
    before: &Before<'_>,
) -> Count {
    let statuses: Vec<&MemberStatus> = answers.iter().filter_map(|answer| answer.answer.as_ref().ok()).collect();
    let main = main_cluster(&statuses);
    let listed = before.list.map(|list| list.voters());
    let votes = |answer: &&MemberAnswer<MemberStatus>| match &answer.answer {
        Ok(status) => {
            let has_vote = listed.as_ref().map_or(!status.is_learner, |listed| listed.contains(&status.member_id));
            // Beside a list of voters, a member of another cluster has no vote in this one.
            has_vote && (listed.is_none() || Some(status.cluster_id) == main)
        }
        Err(_) => match (before.status)(&answer.member).filter(|_| listed.is_some()) {
            Some(status) => listed.as_ref().is_some_and(|listed| listed.contains(&status.member_id)),
            None => !is_learner(&answer.member),
        },
    };
    let mut voters: BTreeMap<Voter<'_>, &MemberAnswer<MemberStatus>> = BTreeMap::new();
    for answer in answers.iter().filter(votes) {
        let id = answer.answer.as_ref().ok().or_else(|| (before.status)(&answer.member)).map(|status| status.member_id);
        let voter = id.map_or(Voter::Unseen(&answer.member), Voter::Known);
        let known = voters.entry(voter).or_insert(answer);
        if known.answer.is_err() {
            *known = answer;
        }
    }
    let total = listed.as_ref().map_or(voters.len(), |listed| listed.len());
    let unstarted = before.list.map_or(0, |list| list.unstarted().len());
    // A member that was never seen counts as one of the list.
    let unwatched = total.saturating_sub(voters.len() + unstarted);
    let needed = majority(total);
    let seen = || voters.values().filter_map(|answer| answer.answer.as_ref().ok());
    let answering = seen().count();

    let mut followers: BTreeMap<(u64, u64), usize> = BTreeMap::new();
    for status in seen() {
        if let Some(leader) = status.leader {
            *followers.entry((status.cluster_id, leader)).or_default() += 1;
        }
    }
    let most = followers.into_iter().max_by_key(|(_, count)| *count);
    // A leader that hears no majority steps down within an election, and its followers drop it (etcd always checks its
    // quorum), so where some voters are not watched, the answers of those that are suffice.
    let agreed = most.filter(|(_, count)| count + unwatched >= needed).map(|(leader, _)| leader);
    let term = agreed.and_then(|(cluster, leader)| {
        let follows = |status: &&MemberStatus| status.leader == Some(leader) && status.cluster_id == cluster;
        seen().filter(|status| follows(status)).map(|status| status.raft_term).max()
    });

    let alarms = alarms_of(answers);
    let refused = voters.values().filter(|answer| is_refused(answer)).count();
    let quiet = |kind| {
        seen().filter(|status| status.alarms.iter().all(|alarm| alarm.kind != kind)).count() + unwatched >= needed
    };
    // Members that refuse us may well agree, so they count as undecided and not as bad. So do those that cannot be
    // asked from here.
    let undecided = (answering + refused >= needed && refused > 0) || (answering == 0 && unwatched >= needed);
    // Before the member list is known, a member that has never been seen may be a learner: then fewer are needed.
    let unseen = voters.keys().filter(|voter| matches!(voter, Voter::Unseen(_))).count();
    let may_be_fewer =
        !before.is_list_asked && most.is_some_and(|(_, count)| count >= majority(total.saturating_sub(unseen)));
    let rulers = leaders(&statuses).len();
    Count {
        members: answers.iter().map(|answer| (answer.member.clone(), member_assessment(answer))).collect(),
        minds: answers.iter().map(|answer| (answer.member.clone(), mind(answer, agreed))).collect(),
        leader: match agreed {
            Some(_) => Assessment::Good,
            // Each of them accepts writes, or they only use TLS otherwise than configured: quorum is not lost.
            None if rulers > 1 || speaking_otherwise(voters.values().copied()) >= needed => Assessment::Alive,
            None if undecided || may_be_fewer => Assessment::Unclear,
            None => Assessment::Bad(Symptom::Silent(NO_LEADER)),
        },
        raised: raised(&alarms, quiet),
        cluster: agreed.map(|(cluster, _)| cluster),
        agreed: agreed.map(|(_, leader)| leader),
        term,
        alarms,
        voters: total,
        answering,
        unwatched: unwatched + unstarted,
        as_configured: as_configured(answers),
    }
}

/// Members that report themselves as leader, each once, by cluster and id.
fn leaders(statuses: &[&MemberStatus]) -> BTreeSet<(u64, u64)> {
    let leads = |status: &&&MemberStatus| status.leader == Some(status.member_id);
    statuses.iter().filter(leads).map(|status| (status.cluster_id, status.member_id)).collect()
}

/// Whether the members are one cluster of as many members as are configured, by what they report: bad as soon as one is
/// not, good only when all have answered.
#[must_use]
pub fn as_configured(answers: &[MemberAnswer<MemberStatus>]) -> Assessment {
    let statuses: Vec<&MemberStatus> = answers.iter().filter_map(|answer| answer.answer.as_ref().ok()).collect();
    let clusters: BTreeSet<u64> = statuses.iter().map(|status| status.cluster_id).collect();
    let members: BTreeSet<(u64, u64)> = statuses.iter().map(|status| (status.cluster_id, status.member_id)).collect();
    let is_other = clusters.len() > 1 || members.len() < statuses.len() || leaders(&statuses).len() > 1;
    whether(is_other || answers.iter().any(has_tls_mismatch), statuses.len() == answers.len())
}

/// The same of metrics listeners, by whether they use TLS as configured.
#[must_use]
pub fn listeners_as_configured(answers: &[MemberAnswer<MemberHealth>]) -> Assessment {
    whether(answers.iter().any(has_tls_mismatch), answers.iter().all(|answer| answer.answer.is_ok()))
}

/// The same of their metrics, by the ids and leaders in them.
#[must_use]
pub fn pages_as_configured(answers: &[MemberAnswer<MemberMetrics>]) -> Assessment {
    let pages: Vec<&MemberMetrics> = answers.iter().filter_map(|answer| answer.answer.as_ref().ok()).collect();
    let ids: Vec<&String> = pages.iter().filter_map(|page| page.member_id.as_ref()).collect();
    let distinct: BTreeSet<&String> = ids.iter().copied().collect();
    let leading = pages.iter().filter(|page| page.is_leader == Some(true)).count();
    // Three names that lead to one member would show three leaders.
    let is_same = distinct.len() < ids.len();
    whether(is_same || leading > 1, pages.len() == answers.len())
}

fn whether(is_bad: bool, is_complete: bool) -> Assessment {
    match (is_bad, is_complete) {
        (true, _) => RAISED,
        (false, true) => Assessment::Good,
        (false, false) => Assessment::Unclear,
    }
}

fn speaking_otherwise<'a, T: 'a>(answers: impl Iterator<Item = &'a MemberAnswer<T>>) -> usize {
    answers.filter(|answer| has_tls_mismatch(answer)).count()
}

fn has_tls_mismatch<T>(answer: &MemberAnswer<T>) -> bool {
    answer.answer.as_ref().is_err_and(|unseen| unseen.cause.is_tls_mismatch())
}

/// The sign of each member's linearizable read. A failed read counts against one member only where a majority of the
/// voters can be read, and only when the member received the request.
#[must_use]
pub fn reads(answers: &[MemberAnswer<ReadAnswer>], is_learner: impl Fn(&Name) -> bool) -> BTreeMap<Name, Assessment> {
    let voters = answers.iter().filter(|answer| !is_learner(&answer.member)).count();
    let is_served = answers.iter().filter(|answer| answer.answer.is_ok()).count() >= majority(voters);
    let assessment = |answer: &MemberAnswer<ReadAnswer>| match &answer.answer {
        Ok(_) => Assessment::Good,
        Err(unseen) if unseen.is_unresolved() || unseen.cause.is_refusal() => Assessment::of_unseen(*unseen),
        // Learners serve no such reads.
        Err(unseen) if is_served && unseen.phase >= Phase::FirstByte && !is_learner(&answer.member) => {
            Assessment::of_unseen(*unseen)
        }
        Err(_) => Assessment::Unclear,
    };
    answers.iter().map(|answer| (answer.member.clone(), assessment(answer))).collect()
}

/// A member of another cluster, or one that leads its own, belongs to none of the voters and is not compared with them.
fn mind(answer: &MemberAnswer<MemberStatus>, agreed: Option<(u64, u64)>) -> Assessment {
    match (&answer.answer, agreed) {
        (Ok(status), Some((cluster, _))) if status.cluster_id != cluster => Assessment::Unclear,
        (Ok(status), Some((_, leader))) if status.leader == Some(leader) => Assessment::Good,
        (Ok(status), Some(_)) if status.leader == Some(status.member_id) => Assessment::Unclear,
        (Ok(_), Some(_)) => Assessment::Bad(Symptom::Silent(NO_LEADER)),
        (Ok(_), None) | (Err(_), _) => Assessment::Unclear,
    }
}

/// Counts a round of `/health`. A member that is well has read with a majority, so it follows the leader of that
/// majority; which one leads is not reported.
#[must_use]
pub fn count_healths(answers: &[MemberAnswer<MemberHealth>], is_learner: impl Fn(&Name) -> bool) -> Count {
    let voters: Vec<_> = answers.iter().filter(|answer| !is_learner(&answer.member)).collect();
    let needed = majority(voters.len());
    let in_condition = |wanted: &[Condition]| {
        let seen = voters.iter().filter_map(|answer| answer.answer.as_ref().ok());
        seen.filter(|health| wanted.contains(&health.condition)).count()
    };
    let answering = voters.iter().filter(|answer| answer.answer.is_ok()).count();
    let refused = voters.iter().filter(|answer| is_refused(answer)).count();
    let led = in_condition(&[Condition::Well, Condition::Full]);
    // Neither a refusal nor an alarm that hides the rest shows that there is no leader.
    let in_doubt = refused + in_condition(&[Condition::Corrupt, Condition::Alarmed]);
    let is_seen = |condition| {
        answers.iter().any(|answer| answer.answer.as_ref().is_ok_and(|health| health.condition == condition))
    };
    // `/health` does not name who raised an alarm, so its member id is 0.
    let told = [
        (Condition::Full, EtcdAlarmKind::NoSpace),
        (Condition::Corrupt, EtcdAlarmKind::Corrupt),
        (Condition::Alarmed, EtcdAlarmKind::Other),
    ];
    let alarms: Vec<EtcdAlarm> = told
        .into_iter()
        .filter(|(condition, _)| is_seen(*condition))
        .map(|(_, kind)| EtcdAlarm { member_id: 0, kind })
        .collect();
    Count {
        members: answers.iter().map(|answer| (answer.member.clone(), member_assessment(answer))).collect(),
        minds: answers.iter().map(|answer| (answer.member.clone(), Assessment::Unclear)).collect(),
        leader: if led >= needed {
            Assessment::Good
        } else if speaking_otherwise(voters.iter().copied()) >= needed {
            Assessment::Alive
        } else if led + in_doubt >= needed {
            Assessment::Unclear
        } else {
            Assessment::Bad(Symptom::Silent(NO_LEADER))
        },
        // NOSPACE was taken out of the question that `Full` answers; nothing else is known behind another alarm.
        raised: raised(&alarms, |kind| {
            let quiet: &[Condition] = match kind {
                EtcdAlarmKind::NoSpace => &[Condition::Well],
                EtcdAlarmKind::Corrupt | EtcdAlarmKind::Other => &[Condition::Well, Condition::Full],
            };
            in_condition(quiet) >= needed
        }),
        agreed: None,
        term: None,
        alarms,
        cluster: None,
        voters: voters.len(),
        answering,
        unwatched: 0,
        as_configured: listeners_as_configured(answers),
    }
}

/// The sign for each kind among `alarms`; `is_quiet` says whether a majority reports none of a kind.
fn raised(alarms: &[EtcdAlarm], is_quiet: impl Fn(EtcdAlarmKind) -> bool) -> BTreeMap<EtcdAlarmKind, Assessment> {
    let assessment = |kind: EtcdAlarmKind| match alarms.iter().any(|alarm| alarm.kind == kind) {
        true => RAISED,
        false if is_quiet(kind) => Assessment::Good,
        false => Assessment::Unclear,
    };
    EtcdAlarmKind::ALL.into_iter().map(|kind| (kind, assessment(kind))).collect()
}

/// The sign for each kind of alarm by one round of alarm lists. A member asks the majority before it answers, so one
/// answer is enough.
#[must_use]
pub fn listed_alarms(
    answers: &[MemberAnswer<Vec<EtcdAlarm>>],
) -> (Vec<EtcdAlarm>, BTreeMap<EtcdAlarmKind, Assessment>) {
    let seen: Vec<&Vec<EtcdAlarm>> = answers.iter().filter_map(|answer| answer.answer.as_ref().ok()).collect();
    let mut alarms: Vec<EtcdAlarm> = seen.iter().copied().flatten().copied().collect();
    alarms.sort_unstable();
    alarms.dedup();
    let signs = raised(&alarms, |_| !seen.is_empty());
    (alarms, signs)
}

const RAISED: Assessment = Assessment::Bad(Symptom::Status(0));

const NO_LEADER: Unseen = Unseen { phase: Phase::FirstByte, cause: Cause::Unavailable };

fn member_assessment<T>(answer: &MemberAnswer<T>) -> Assessment {
    match &answer.answer {
        Ok(_) => Assessment::Good,
        // It works, but not as what it is configured: another rule reports that.
        Err(unseen) if unseen.cause.is_tls_mismatch() => Assessment::Alive,
        Err(unseen) => Assessment::of_unseen(*unseen),
    }
}

/// Our credentials were refused, our DNS does not know the name, or TLS is not as configured: the member may work
/// nevertheless.
fn is_refused<T>(answer: &MemberAnswer<T>) -> bool {
    let is_kept_from_us =
        |unseen: &Unseen| unseen.cause.is_refusal() || unseen.is_unresolved() || unseen.cause.is_tls_mismatch();
    answer.answer.as_ref().is_err_and(is_kept_from_us)
}

fn alarms_of(answers: &[MemberAnswer<MemberStatus>]) -> Vec<EtcdAlarm> {
    let mut alarms: Vec<EtcdAlarm> = answers
        .iter()
        .filter_map(|answer| answer.answer.as_ref().ok())
        .flat_map(|status| status.alarms.clone())
        .collect();
    alarms.sort_unstable();
    alarms.dedup();
    alarms
}
