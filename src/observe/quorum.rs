//! One Status round, read as a vote: who answers, which leader a majority of the configured voters agrees on.
//!
//! The leader is never taken from responders alone: two of five members agreeing is no leader.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::etcd::{Alarm, AlarmKind, Condition, MemberAnswer, MemberHealth, MemberStatus, ReadAnswer};
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::subject::Name;
use crate::model::verdict::Symptom;

use super::sign::Sign;

/// A round, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Sign of each member.
    pub members: BTreeMap<Name, Sign>,
    /// Sign of each member's mind: good when it follows the agreed leader, bad when it answers and does not. While no
    /// leader is agreed nobody can be told to differ.
    pub minds: BTreeMap<Name, Sign>,
    /// Sign for the leader: good when a majority of voters follows one.
    pub leader: Sign,
    /// Sign for alarms: bad when any member reports one, good only when a majority reports none.
    pub alarm: Sign,
    /// The agreed leader's member id.
    pub agreed: Option<u64>,
    /// The raft term in which it leads.
    pub term: Option<u64>,
    /// Alarms that any member reports.
    pub alarms: Vec<Alarm>,
    /// Voters among the configured members.
    pub voters: usize,
    /// Voters that answered.
    pub answering: usize,
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

/// Counts a round. `is_learner` tells of members known from earlier rounds to have no vote.
#[must_use]
pub fn count(answers: &[MemberAnswer<MemberStatus>], is_learner: impl Fn(&Name) -> bool) -> Count {
    let votes = |answer: &&MemberAnswer<MemberStatus>| match &answer.answer {
        Ok(status) => !status.is_learner,
        Err(_) => !is_learner(&answer.member),
    };
    let voters: Vec<_> = answers.iter().filter(votes).collect();
    let needed = majority(voters.len());
    let seen = || voters.iter().filter_map(|answer| answer.answer.as_ref().ok());

    let mut followers: BTreeMap<u64, usize> = BTreeMap::new();
    for leader in seen().filter_map(|status| status.leader) {
        *followers.entry(leader).or_default() += 1;
    }
    let agreed = followers.into_iter().find(|(_, count)| *count >= needed).map(|(leader, _)| leader);

    let term = agreed
        .and_then(|leader| seen().filter(|status| status.leader == Some(leader)).map(|status| status.raft_term).max());

    let alarms = alarms_of(answers);
    let refused = voters.iter().filter(|answer| answer.answer.as_ref().is_err_and(is_kept_from_us)).count();
    let quiet = seen().filter(|status| status.alarms.is_empty()).count();
    // Members that are kept from us may well agree; with them in doubt nothing bad is said.
    let undecided = seen().count() + refused >= needed && refused > 0;
    Count {
        members: answers.iter().map(|answer| (answer.member.clone(), member_sign(answer))).collect(),
        minds: answers.iter().map(|answer| (answer.member.clone(), mind(answer, agreed))).collect(),
        leader: match agreed {
            Some(_) => Sign::Good,
            None if undecided => Sign::Unclear,
            None => Sign::Bad(Symptom::Silent(NO_LEADER)),
        },
        alarm: if !alarms.is_empty() {
            Sign::Bad(Symptom::Status(0))
        } else if quiet >= needed {
            Sign::Good
        } else {
            Sign::Unclear
        },
        agreed,
        term,
        alarms,
        voters: voters.len(),
        answering: seen().count(),
    }
}

/// The sign of each member's linearizable read. A read that fails says something of one member only where a majority
/// of the voters can be read, and only when the member took the question.
#[must_use]
pub fn reads(answers: &[MemberAnswer<ReadAnswer>], is_learner: impl Fn(&Name) -> bool) -> BTreeMap<Name, Sign> {
    let voters = answers.iter().filter(|answer| !is_learner(&answer.member)).count();
    let is_served = answers.iter().filter(|answer| answer.answer.is_ok()).count() >= majority(voters);
    let sign = |answer: &MemberAnswer<ReadAnswer>| match &answer.answer {
        Ok(_) => Sign::Good,
        Err(unseen) if unseen.is_unresolved() || unseen.cause.is_refusal() => Sign::of_unseen(*unseen),
        // Learners serve no such reads.
        Err(unseen) if is_served && unseen.phase >= Phase::FirstByte && !is_learner(&answer.member) => {
            Sign::of_unseen(*unseen)
        }
        Err(_) => Sign::Unclear,
    };
    answers.iter().map(|answer| (answer.member.clone(), sign(answer))).collect()
}

fn mind(answer: &MemberAnswer<MemberStatus>, agreed: Option<u64>) -> Sign {
    match (&answer.answer, agreed) {
        (Ok(status), Some(_)) if status.leader == agreed => Sign::Good,
        (Ok(_), Some(_)) => Sign::Bad(Symptom::Silent(NO_LEADER)),
        (Ok(_), None) | (Err(_), _) => Sign::Unclear,
    }
}

/// Counts a round of `/health`. A member that is well has read with a majority, so it follows the leader of that
/// majority; who leads is not told.
#[must_use]
pub fn count_healths(answers: &[MemberAnswer<MemberHealth>], is_learner: impl Fn(&Name) -> bool) -> Count {
    let voters: Vec<_> = answers.iter().filter(|answer| !is_learner(&answer.member)).collect();
    let needed = majority(voters.len());
    let in_condition = |wanted: &[Condition]| {
        let seen = voters.iter().filter_map(|answer| answer.answer.as_ref().ok());
        seen.filter(|health| wanted.contains(&health.condition)).count()
    };
    let answering = voters.iter().filter(|answer| answer.answer.is_ok()).count();
    let refused = voters.iter().filter(|answer| answer.answer.as_ref().is_err_and(is_kept_from_us)).count();
    let led = in_condition(&[Condition::Well, Condition::Full]);
    // Neither a refusal nor an alarm that hides the rest says that there is no leader.
    let in_doubt = refused + in_condition(&[Condition::Corrupt]);
    let is_seen = |condition| {
        answers.iter().any(|answer| answer.answer.as_ref().is_ok_and(|health| health.condition == condition))
    };
    // `/health` does not name who raised an alarm, so its member id is 0.
    let alarms: Vec<Alarm> = [(Condition::Full, AlarmKind::NoSpace), (Condition::Corrupt, AlarmKind::Corrupt)]
        .into_iter()
        .filter(|(condition, _)| is_seen(*condition))
        .map(|(_, kind)| Alarm { member_id: 0, kind })
        .collect();
    Count {
        members: answers
            .iter()
            .map(|answer| {
                let sign = answer.answer.as_ref().map_or_else(|unseen| Sign::of_unseen(*unseen), |_| Sign::Good);
                (answer.member.clone(), sign)
            })
            .collect(),
        minds: answers.iter().map(|answer| (answer.member.clone(), Sign::Unclear)).collect(),
        leader: if led >= needed {
            Sign::Good
        } else if led + in_doubt >= needed {
            Sign::Unclear
        } else {
            Sign::Bad(Symptom::Silent(NO_LEADER))
        },
        alarm: if !alarms.is_empty() {
            Sign::Bad(Symptom::Status(0))
        } else if in_condition(&[Condition::Well]) >= needed {
            Sign::Good
        } else {
            Sign::Unclear
        },
        agreed: None,
        term: None,
        alarms,
        voters: voters.len(),
        answering,
    }
}

const NO_LEADER: Unseen = Unseen { phase: Phase::FirstByte, cause: Cause::Unavailable };

fn member_sign(answer: &MemberAnswer<MemberStatus>) -> Sign {
    match &answer.answer {
        Ok(_) => Sign::Good,
        Err(unseen) => Sign::of_unseen(*unseen),
    }
}

/// Refused to us, or of a name that our DNS does not know: the member may well be fine.
const fn is_kept_from_us(unseen: &Unseen) -> bool {
    unseen.cause.is_refusal() || unseen.is_unresolved()
}

fn alarms_of(answers: &[MemberAnswer<MemberStatus>]) -> Vec<Alarm> {
    let mut alarms: Vec<Alarm> = answers
        .iter()
        .filter_map(|answer| answer.answer.as_ref().ok())
        .flat_map(|status| status.alarms.clone())
        .collect();
    alarms.sort_unstable();
    alarms.dedup();
    alarms
}
