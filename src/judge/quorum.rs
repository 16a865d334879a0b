//! F01 etcd quorum lost or no leader, F02 one member down.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::Now;
use crate::model::verdict::{Evidence, Finding, Verdict, Why};
use crate::observe::probe_runs::BadRun;
use crate::observe::quorum::{Count, majority};
use crate::observe::view::Aspect;

use super::commands::{Command, Commands, Program};
use super::context::{RuleContext, SubjectState};
use super::edges::Edge;
use super::words::Words;
use super::{Rule, phrases};
use crate::model::addresses::Addresses;

/// F01: fewer than a majority of the voters answer, or those that answer agree on no leader.
pub struct QuorumLost;

/// F02: one member is down while the others still agree.
pub struct MemberDown;

/// The name of an etcd in texts: its own name only where a cluster may have several.
pub(super) fn etcd_name(subject: &Subject) -> String {
    match subject {
        Subject::Etcd(_, name) | Subject::EtcdMember(_, name, _) if !matches!(name.as_str(), "etcd" | "main") => {
            format!("etcd {}", phrases::fit(name.as_str(), 14))
        }
        Subject::Etcd(..)
        | Subject::EtcdMember(..)
        | Subject::Vantage
        | Subject::Reference(_)
        | Subject::Resolver(_)
        | Subject::Proxy(_)
        | Subject::Cluster(_)
        | Subject::Vip(_)
        | Subject::Apiserver(..)
        | Subject::Stored(..)
        | Subject::Chain(..) => "etcd".into(),
    }
}

/// The state of silent members, those of the same state together, so that the outage of a site is one sentence.
fn states(silent: &[(Subject, Unseen)], addresses: &Addresses) -> String {
    let mut alike: Vec<(String, Vec<String>)> = Vec::new();
    for (member, unseen) in silent {
        let (state, place) = (phrases::state(*unseen), phrases::place(member, addresses));
        match alike.iter_mut().find(|(known, _)| *known == state) {
            Some((_, places)) => places.push(place),
            None => alike.push((state, vec![place])),
        }
    }
    let sentence = |(state, places): &(String, Vec<String>)| {
        format!("{} {} {state}", phrases::list(places), if places.len() == 1 { "is" } else { "are" })
    };
    alike.iter().map(sentence).collect::<Vec<_>>().join("; ")
}

/// The first line of the commands: what to do, and not to do, before anything else.
const WARNING: &str = "first, on every member: copy the data. Do not 'member remove', do not delete data while there is \
    no quorum";

impl Words for QuorumLost {
    fn id(&self) -> RuleId {
        RuleId::F01
    }

    fn title(&self) -> &'static str {
        "etcd quorum lost or no leader"
    }

    fn headline(&self, finding: &Finding) -> String {
        format!("{} has lost quorum", etcd_name(&finding.subject))
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let etcd = etcd_name(&finding.subject);
        let Evidence::Quorum { needed, answering, silent, leaderless, unwatched } = &finding.evidence else {
            return format!("{etcd} cannot form a majority.");
        };
        let total = answering.len() + silent.len() + unwatched;
        let mut rest = states(silent, addresses);
        if *unwatched > 0 {
            let break_off = if rest.is_empty() { "" } else { "; " };
            let verb = if *unwatched == 1 { "is" } else { "are" };
            rest = format!("{rest}{break_off}{unwatched} more in its own list {verb} not monitored or never started");
        }
        if *leaderless {
            let rest = if rest.is_empty() { rest } else { format!(" {rest}.") };
            return format!(
                "{} of {total} members of {etcd} respond, but have no leader ({needed} must agree on one).{rest}",
                answering.len()
            );
        }
        match answering.len() {
            0 if total == 1 => format!("The only member of {etcd} does not respond. {rest}."),
            0 => format!("0 of {total} members of {etcd} respond; {needed} are needed. {rest}."),
            some => format!("{some} of {total} members of {etcd} respond; {needed} are needed. {rest}."),
        }
    }

    fn impact(&self, _: &Finding) -> String {
        "All writes fail: kubectl apply, deploys, scaling, rescheduling, node leases. Running pods keep running and \
         serving. Some reads still answer, with stale data."
            .into()
    }

    fn likely_cause(&self, finding: &Finding) -> String {
        let Evidence::Quorum { silent, leaderless, .. } = &finding.evidence else {
            return "Members are down or cut off from each other.".into();
        };
        if *leaderless {
            return "The members run but cannot elect: the peer network (port 2380) between them is cut, their disks \
                    are too slow, or their clocks or peer certificates are off."
                .into();
        }
        let refused = silent.iter().filter(|(_, unseen)| unseen.cause == Cause::Refused).count();
        if refused == silent.len() {
            "The members that are down refuse connections: their processes are not running, for instance after a \
             full disk, an expired certificate or a bad rollout. Their hosts are up."
                .into()
        } else if refused == 0 {
            "The members that are down do not respond at all: their hosts or the network to them are down, or the \
             processes hang, for instance on a dead disk."
                .into()
        } else {
            "Some members refuse connections (etcd not running), others do not respond (host or network down). One \
             more member may be enough to restore quorum: start with the easiest."
                .into()
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "special words for some cases, a general sentence for all others"
    )]
    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let (answering, silent) = match &finding.evidence {
            Evidence::Quorum { answering, silent, .. } => {
                (answering.clone(), silent.iter().map(|(member, _)| member.clone()).collect::<Vec<_>>())
            }
            _ => (Vec::new(), Vec::new()),
        };
        let mut all: Vec<Subject> = answering.iter().chain(&silent).cloned().collect();
        all.sort();
        let Some(first) = silent.first().or_else(|| answering.first()) else { return Vec::new() };
        let mut next =
            vec![commands.containers(first, Program::Etcd), commands.logs(first, Program::Etcd), commands.room(first)];
        next.extend(commands.etcdctl(answering.first().unwrap_or(first)));
        next.push(commands.etcd_status(&all));
        next.push(commands.copy_data(first, WARNING));
        next
    }
}

impl Words for MemberDown {
    fn id(&self) -> RuleId {
        RuleId::F02
    }

    fn title(&self) -> &'static str {
        "one etcd member down"
    }

    fn headline(&self, finding: &Finding) -> String {
        let etcd = etcd_name(&finding.subject);
        let room = 50 - " member  is down".len() - etcd.len();
        format!("{etcd} member {} is down", phrases::fit(finding.subject.short(), room))
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let member = phrases::place(&finding.subject, addresses);
        let etcd = etcd_name(&finding.subject);
        let Evidence::Silent { unseen, remaining, of } = &finding.evidence else {
            return format!("Member {member} of {etcd} does not respond.");
        };
        format!(
            "Member {member} of {etcd} is {}. The other {remaining} of {of} have a leader.",
            phrases::state(*unseen)
        )
    }

    fn impact(&self, finding: &Finding) -> String {
        let Evidence::Silent { remaining, of, .. } = &finding.evidence else {
            return "etcd works, with less fault tolerance.".into();
        };
        let spare = remaining.saturating_sub(of / 2 + 1);
        match spare {
            0 => "No fault tolerance left: if one more member fails, all writes stop. An apiserver that uses only \
                 this member is not ready."
                .into(),
            1 => "etcd works and can lose one more member.".into(),
            spare => format!("etcd works and can lose {spare} more members."),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "special words for some cases, a general sentence for all others"
    )]
    fn likely_cause(&self, finding: &Finding) -> String {
        use crate::model::phase::Cause;
        let Evidence::Silent { unseen, .. } = &finding.evidence else {
            return "The member's process, host or network.".into();
        };
        match unseen.cause {
            Cause::Refused => {
                "The host responds but nothing listens: the etcd process ended (full disk, damaged data, expired \
                 certificate, out of memory) and does not come back."
                    .into()
            }
            Cause::Timeout => "The host or its network is down, or the process hangs, for instance on its disk. A \
                               running defragmentation also makes a member unresponsive, about 10 to 40 s per GB."
                .into(),
            Cause::TlsBroken | Cause::TlsAlert => {
                "The TLS set-up of this member: certificate, key or client CA.".into()
            }
            _ => format!("The last probe ended with: {unseen}."),
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

impl Rule for QuorumLost {
    fn explains(&self) -> &'static [Edge] {
        const EDGES: [Edge; 9] = [
            Edge::in_cluster(RuleId::F02),
            Edge::in_cluster(RuleId::F03),
            Edge::in_cluster(RuleId::F05),
            Edge::in_cluster(RuleId::F22),
            Edge::in_cluster(RuleId::F24),
            Edge::in_cluster(RuleId::F25),
            Edge::in_cluster(RuleId::F49),
            Edge::in_cluster(RuleId::F58),
            Edge::in_cluster(RuleId::F50),
        ];
        &EDGES
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        context.etcds().into_iter().map(|etcd| (etcd.clone(), judge_quorum(context, etcd))).collect()
    }
}

fn judge_quorum(context: &RuleContext<'_>, etcd: Subject) -> Verdict {
    let subject_state = context.subject_state(&etcd, Aspect::Leader);
    let SubjectState::Bad { bad, path_unproven } = subject_state else { return subject_state.unless_bad() };
    let Some((_, count)) = context.view.count(&etcd) else { return Verdict::Unknown(Why::NeverSeen) };

    let needed = majority(count.voters);
    // Voters that are not watched may well be running: it is only known that no watched member follows a leader.
    let is_leaderless = count.answering > 0 && count.answering + count.unwatched >= needed;
    let lasted = bad.run.last.mono.since(bad.run.first.mono);
    if is_leaderless && lasted < context.policy().no_leader_for {
        return Verdict::Unknown(Why::Suspected { since: bad.run.first });
    }
    Verdict::Bad(Finding {
        rule: RuleId::F01,
        level: Level::Critical,
        since: first_bad(context, &etcd, bad).wall,
        hold: if count.voters <= 1 { context.policy().single_instance_for } else { Duration::ZERO },
        path_unproven,
        evidence: quorum_evidence(context, &etcd, count, is_leaderless),
        subject: etcd,
    })
}

/// When the quorum was lost: at the first bad probe of the member that failed last, if that was before the first round
/// without a leader.
fn first_bad(context: &RuleContext<'_>, etcd: &Subject, bad: &BadRun) -> Now {
    let members = context.members(etcd);
    let youngest = members
        .iter()
        .filter_map(|member| context.view.track(member, Aspect::Answer)?.bad().map(|bad| bad.run.first))
        .max_by_key(|first| first.mono);
    youngest.filter(|first| first.mono < bad.run.first.mono).unwrap_or(bad.run.first)
}

fn quorum_evidence(context: &RuleContext<'_>, etcd: &Subject, count: &Count, leaderless: bool) -> Evidence {
    let mut answering = Vec::new();
    let mut silent = Vec::new();
    for member in context.members(etcd) {
        let track = context.view.track(&member, Aspect::Answer);
        let unresolved = track.and_then(|track| track.unresolved()).map(|(unseen, _)| unseen);
        match context.view.member_unseen(&member).or(unresolved) {
            Some(unseen) => silent.push((member, unseen)),
            None => answering.push(member),
        }
    }
    Evidence::Quorum { needed: majority(count.voters), answering, silent, leaderless, unwatched: count.unwatched }
}

impl Rule for MemberDown {
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
    let lasted = context.now.mono.since(bad.run.first.mono);
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
        evidence: Evidence::Silent { unseen, remaining, of: voters.all },
    })
}

const NO_ANSWER: Unseen = Unseen { phase: Phase::FirstByte, cause: Cause::Timeout };
