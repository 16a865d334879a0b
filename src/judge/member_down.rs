//! F02: one etcd member is down while the others still agree.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::finding::{Evidence, Kind};
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Verdict, Why};
use crate::observe::aspect::Aspect;
use crate::observe::quorum::majority;

use super::commands::{Command, Commands, Program};
use super::context::{RuleContext, SubjectState};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::quorum::etcd_name;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F02: one member is down while the others still agree.
pub struct MemberDown;

/// One probe that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberSilent {
    /// Why the last probe saw nothing.
    pub unseen: Unseen,
    /// Members or instances of the same kind that still work.
    pub remaining: usize,
    /// Of how many.
    pub of: usize,
}

impl Kind for MemberSilent {
    const TAG: &'static str = "silent";
}

impl Evidence for MemberSilent {
    fn headline(&self, finding: &Finding) -> String {
        let etcd = etcd_name(&finding.subject);
        let room = 50 - " member  is down".len() - etcd.len();
        format!("{etcd} member {} is down", phrases::fit(finding.subject.short(), room))
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let member = phrases::place(&finding.subject, addresses);
        let etcd = etcd_name(&finding.subject);
        let Self { unseen, remaining, of } = self;
        format!(
            "Member {member} of {etcd} is {}. The other {remaining} of {of} have a leader.",
            phrases::state(*unseen)
        )
    }

    fn impact(&self, _: &Finding) -> String {
        let Self { remaining, of, .. } = self;
        let spare = remaining.saturating_sub(of / 2 + 1);
        match spare {
            0 => "No fault tolerance left: if one more member fails, all writes stop. An apiserver that uses only \
                 this member is not ready."
                .into(),
            1 => "etcd works and can lose one more member.".into(),
            spare => format!("etcd works and can lose {spare} more members."),
        }
    }

    fn likely_cause(&self, _: &Finding) -> String {
        let unseen = self.unseen;
        if unseen.cause == Cause::Refused {
            "The host responds but nothing listens: the etcd process ended (full disk, damaged data, expired \
             certificate, out of memory) and does not come back."
                .into()
        } else if unseen.cause == Cause::Timeout {
            "The host or its network is down, or the process hangs, for instance on its disk. A running \
             defragmentation also makes a member unresponsive, about 10 to 40 s per GB."
                .into()
        } else if matches!(unseen.cause, Cause::TlsBroken | Cause::TlsAlert) {
            "The TLS set-up of this member: certificate, key or client CA.".into()
        } else {
            format!("The last probe ended with: {unseen}.")
        }
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let members = commands.members(&finding.subject);
        let other = members.iter().find(|member| **member != finding.subject).unwrap_or(&finding.subject);
        let mut next = vec![
            commands.containers(&finding.subject, Program::Etcd),
            commands.logs(&finding.subject, Program::Etcd),
            commands.room(&finding.subject),
        ];
        next.extend(commands.etcdctl(other));
        next.push(commands.etcd_status(&members));
        next
    }
}

impl Rule for MemberDown {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F02,
            name: "EtcdMemberDown",
            in_short: "etcd member down",
            title: "one etcd member down",
            impact: "etcd works, with less fault tolerance.",
            likely_cause: "The member's process, host or network.",
            shows: Shows::Etcd,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<MemberSilent>()
    }

    fn explains(&self) -> &'static [Edge] {
        // A member that fails again and again loses the leadership each time it has it.
        const EDGES: [Edge; 1] = [Edge::in_cluster(RuleId::F05)];
        &EDGES
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let mut verdicts = Vec::new();
        for etcd in context.etcds() {
            let members = context.members(&etcd);
            // The loss of a sole member is the loss of the quorum, unless etcd itself knows of others.
            let is_sole = members.len() < 2 && context.voters(&etcd).all < 2;
            for member in &members {
                let verdict = match judge_member(context, member, &members) {
                    Verdict::Bad(_) if is_sole => Verdict::Unknown(Why::Unclear),
                    verdict @ (Verdict::Good { .. } | Verdict::Bad(_) | Verdict::Unknown(_)) => verdict,
                };
                verdicts.push((member.clone(), verdict));
            }
        }
        verdicts
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{REFUSED, Sample, lines};

        Sample::of(
            "prod-eu1/etcd/etcd/etcd-2",
            Level::Warning,
            Arc::new(MemberSilent { unseen: REFUSED, remaining: 2, of: 3 }),
        )
        .probes(vec![lines::healthy(1), lines::no_member(2, REFUSED), lines::healthy(3)])
    }
}

fn judge_member(context: &RuleContext<'_>, member: &Subject, members: &[Subject]) -> Verdict {
    let subject_state = context.subject_state(member, Aspect::Answer);
    let SubjectState::Bad { bad, path_unproven } = subject_state else { return subject_state.unless_bad() };
    let etcd = member.etcd().unwrap_or_else(|| member.clone());
    let voters = context.voters(&etcd);
    // A learner has no vote: its loss costs no tolerance, and its presence adds none. One member under several names
    // counts once.
    let alive: BTreeSet<Result<u64, &Subject>> = members
        .iter()
        .filter(|other| context.is_voter(other) && context.subject_state(other, Aspect::Answer).good().is_some())
        .map(|other| context.view.status(other).map_or(Err(other), |(_, status)| Ok(status.member_id)))
        .collect();
    let remaining = alive.len() + voters.unwatched;
    let raised = context.raised_of(RuleId::F02, member);
    let lasted = context.bad_for(member, Aspect::Answer, bad.run.first, raised);
    let is_on_the_edge = context.is_voter(member) && remaining <= majority(voters.all);
    let level = if is_on_the_edge && lasted >= context.policy().redundancy_loss_critical_after {
        Level::Critical
    } else {
        Level::Warning
    };
    let unseen = context.view.member_unseen(member).unwrap_or(NO_ANSWER);
    Verdict::Bad(Finding {
        rule: RuleId::F02,
        subject: member.clone(),
        level,
        since: bad.run.first.wall,
        hold: context.policy().redundancy_loss_for,
        path_unproven,
        evidence: Arc::new(MemberSilent { unseen, remaining, of: voters.all }),
    })
}

const NO_ANSWER: Unseen = Unseen { phase: Phase::FirstByte, cause: Cause::Timeout };
