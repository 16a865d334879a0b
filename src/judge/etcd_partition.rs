//! F03: etcd members that answer here, but are cut off from each other.
//!
//! An ordinary election raises none: while no leader is agreed no member is compared with it, and a member that differs
//! must do so in three probes and then through the hold. A member that gives no answer at all is F02, a lost majority
//! F01, a member of another cluster or one that leads its own F57.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::etcd::{Apart, Apartness, MemberStatus};
use crate::model::finding::{Evidence, Kind};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::Now;
use crate::model::verdict::{Finding, Symptom, Verdict, Why};
use crate::observe::aspect::Aspect;
use crate::observe::probe_runs::BadRun;
use crate::observe::quorum::majority;

use super::commands::{Command, Commands, Program};
use super::context::{RuleContext, SubjectState, all_good, gravest};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::quorum::etcd_name;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F03: every member can be seen from here, yet some do not follow the majority's leader.
pub struct EtcdPartition;

/// etcd members that answer, but do not follow the leader of the majority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// The leader that the majority follows, by configured name where known.
    pub leader: String,
    /// The majority's raft term.
    pub term: u64,
    /// Voters that follow it and can be read.
    pub following: usize,
    /// Voters.
    pub of: usize,
    /// The others.
    pub apart: Vec<Apart>,
}

impl Kind for Split {
    const TAG: &'static str = "split";
}

impl Evidence for Split {
    fn headline(&self, finding: &Finding) -> String {
        format!("{} network partition", etcd_name(&finding.subject))
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let etcd = etcd_name(&finding.subject);
        let Self { leader, term, following, of, apart } = self;
        let each: Vec<String> = apart
            .iter()
            .map(|apart| format!("{} {}", phrases::place(&apart.member, addresses), differs(&apart.how)))
            .collect();
        format!(
            "All these members of {etcd} respond to vedette, but are cut off from each other: {}. {following} of \
             {of} voters have leader {leader} (term {term}) and work.",
            each.join("; ")
        )
    }

    fn impact(&self, _: &Finding) -> String {
        let Self { following, of, apart, .. } = self;
        let names: Vec<String> = apart.iter().map(|apart| apart.member.short().to_owned()).collect();
        let spare = following.saturating_sub(majority(*of));
        let room = match spare {
            0 => "The majority works, with no fault tolerance left: if one more member fails, all writes \
                  stop."
                .to_owned(),
            1 => "The majority works and can lose one more member.".to_owned(),
            spare => format!("The majority works and can lose {spare} more members."),
        };
        format!(
            "{room} Apiservers that use {} fail or hang: writes and consistent reads there time out after 7 s, \
             cached reads and watches return stale data.",
            phrases::list(&names)
        )
    }

    fn likely_cause(&self, _: &Finding) -> String {
        let Self { apart, .. } = self;
        let is_any = |test: fn(&Apartness) -> bool| apart.iter().any(|apart| test(&apart.how));
        if is_any(|how| matches!(how, Apartness::OtherCluster { .. })) {
            "It belongs to another etcd cluster: a data directory restored or wiped on that host, or an address in \
             vedette's configuration that leads to a member of another cluster."
        } else if is_any(|how| matches!(how, Apartness::ReadsFail(_))) {
            "It receives from the leader but cannot reach it: the peer network (port 2380) is cut in one direction, \
             or the member itself hangs on its disk or CPU."
        } else {
            "The peer network (port 2380) between it and the others is cut, while the client port (2379) is reachable \
             from here: firewall, routing, MTU, or a peer certificate that has expired or is not trusted."
        }
        .into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let Self { apart, .. } = self;
        let Some(Apart { member: first, how }) = apart.first() else { return Vec::new() };
        let members = commands.members(&finding.subject);
        let others: Vec<Subject> = members.iter().filter(|member| *member != first).cloned().collect();
        let via = others.first().unwrap_or(first);
        let mut next = Vec::new();
        if matches!(how, Apartness::OtherCluster { .. }) {
            next.extend(commands.etcdctl(via));
            next.push(commands.etcd_members(&others));
            next.push(commands.etcd_members(std::slice::from_ref(first)).note("what the other cluster has"));
            next.extend(commands.etcd_urls(first));
            next.push(commands.logs(first, Program::Etcd));
            return next;
        }
        next.extend(commands.peer_ports(first, &others));
        next.push(commands.logs(first, Program::Etcd));
        next.extend(commands.peer_file(first));
        next.extend(commands.etcdctl(via));
        next.push(commands.etcd_status(&members));
        next
    }

    fn concerned(&self) -> Vec<Subject> {
        self.apart.iter().map(|apart| apart.member.clone()).collect()
    }
}

fn differs(how: &Apartness) -> String {
    match how {
        Apartness::NoLeader { term } => format!("has no leader (term {term})"),
        Apartness::OtherLeader { leader, term } => format!("has leader {leader} (term {term})"),
        Apartness::OtherCluster { cluster_id } => format!("is a member of another etcd cluster ({cluster_id:x})"),
        Apartness::ReadsFail(unseen) => {
            format!("has the leader, but linearizable reads on it fail ({unseen}) and succeed on the others")
        }
    }
}

impl Rule for EtcdPartition {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F03,
            name: "EtcdPartition",
            in_short: "etcd partition",
            title: "etcd network partition: members cannot reach each other",
            impact: "The majority works, with less fault tolerance.",
            likely_cause: "The peer network (port 2380) between the members.",
            shows: Shows::Etcd,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<Split>()
    }

    fn explains(&self) -> &'static [Edge] {
        // Which apiserver prefers which member is not known: so all faults of apiservers meanwhile are grouped with it.
        const EDGES: [Edge; 7] = [
            Edge::in_cluster(RuleId::F05),
            Edge::in_cluster(RuleId::F22),
            Edge::in_cluster(RuleId::F61),
            Edge::in_cluster(RuleId::F25),
            Edge::in_cluster(RuleId::F49),
            Edge::in_cluster(RuleId::F58),
            Edge::in_cluster(RuleId::F50),
        ];
        &EDGES
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        // A sole member cannot be split from others.
        let etcds = context.etcds().into_iter().filter(|etcd| context.members(etcd).len() > 1);
        etcds.map(|etcd| (etcd.clone(), judge_split(context, etcd))).collect()
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{Sample, lines, member};

        Sample::of(
            "prod-eu1/etcd/etcd",
            Level::Warning,
            Arc::new(Split {
                leader: "etcd-1".into(),
                term: 8,
                following: 2,
                of: 3,
                apart: vec![Apart { member: member("etcd-3"), how: Apartness::NoLeader { term: 7 } }],
            }),
        )
        .probes(vec![lines::healthy(1), lines::healthy(2), lines::member(3, "no leader, term 9", false)])
    }
}

fn judge_split(context: &RuleContext<'_>, etcd: Subject) -> Verdict {
    let members = context.members(&etcd);
    let leader = context.subject_state(&etcd, Aspect::Leader);
    let Some((_, count)) = context.view.count(&etcd).filter(|_| leader.good().is_some()) else {
        // Without an agreed leader F01 reports the fault.
        return Verdict::Unknown(Why::Unclear);
    };
    let mut apart = Vec::new();
    let mut since: Option<Now> = None;
    let mut lasted = Duration::ZERO;
    let mut path_unproven = false;
    let raised = context.raised_of(RuleId::F03, &etcd);
    let told: &[Apart] = raised.and_then(Finding::seen::<Split>).map_or(&[], |split| &split.apart);
    for member in &members {
        let Some((bad, is_unproven, how)) = apartness(context, &etcd, member) else { continue };
        let first = bad.run.first;
        since = since.filter(|known| known.mono <= first.mono).or(Some(first));
        let of_member = raised.filter(|_| told.iter().any(|apart| apart.member == *member));
        lasted = lasted.max(context.bad_for(member, shown_by(&how), first, of_member));
        path_unproven |= is_unproven;
        apart.push(Apart { member: member.clone(), how });
    }
    let Some(since) = since else { return together(context, &etcd, &members) };

    let is_apart = |member: &Subject| apart.iter().any(|apart| apart.member == *member);
    let following = members
        .iter()
        .filter(|member| context.is_voter(member) && !is_apart(member))
        .filter(|member| context.subject_state(member, Aspect::Answer).good().is_some())
        .count();
    let is_on_the_edge =
        following <= majority(count.voters) && apart.iter().any(|apart| context.is_voter(&apart.member));
    let is_grave = is_on_the_edge && lasted >= context.policy().redundancy_loss_critical_after;
    let leader = count.agreed.map(|id| context.member_name(&etcd, id)).unwrap_or_default();
    Verdict::Bad(Finding {
        rule: RuleId::F03,
        level: if is_grave { Level::Critical } else { Level::Warning },
        since: since.wall,
        hold: context.policy().redundancy_loss_for,
        path_unproven,
        evidence: Arc::new(Split { leader, term: count.term.unwrap_or_default(), following, of: count.voters, apart }),
        subject: etcd,
    })
}

/// How a member that answers differs from the majority, confirmed by probes.
fn apartness<'a>(context: &RuleContext<'a>, etcd: &Subject, member: &Subject) -> Option<(&'a BadRun, bool, Apartness)> {
    context.subject_state(member, Aspect::Answer).good()?;
    if let SubjectState::Bad { bad, path_unproven } = context.subject_state(member, Aspect::Mind) {
        let (_, status) = context.view.status(member)?;
        return Some((bad, path_unproven, mind(context, etcd, status)));
    }
    if let SubjectState::Bad { bad, path_unproven } = context.subject_state(member, Aspect::Read)
        && let Symptom::Silent(unseen) = bad.symptom
    {
        return Some((bad, path_unproven, Apartness::ReadsFail(unseen)));
    }
    None
}

/// By which probes of a member it shows.
const fn shown_by(how: &Apartness) -> Aspect {
    match how {
        Apartness::NoLeader { .. } | Apartness::OtherLeader { .. } | Apartness::OtherCluster { .. } => Aspect::Mind,
        Apartness::ReadsFail(_) => Aspect::Read,
    }
}

fn mind(context: &RuleContext<'_>, etcd: &Subject, status: &MemberStatus) -> Apartness {
    match status.leader {
        Some(leader) => Apartness::OtherLeader { leader: context.member_name(etcd, leader), term: status.raft_term },
        None => Apartness::NoLeader { term: status.raft_term },
    }
}

/// Good only when every member was seen to follow, and none of them fails its reads. A member whose reads were reported
/// to fail must serve one again.
fn together(context: &RuleContext<'_>, etcd: &Subject, members: &[Subject]) -> Verdict {
    let raised = context.raised_of(RuleId::F03, etcd).and_then(Finding::seen::<Split>);
    let told: &[Apart] = raised.map_or(&[], |raised| &raised.apart);
    let was_unreadable = |member: &Subject| {
        told.iter().any(|apart| apart.member == *member && matches!(apart.how, Apartness::ReadsFail(_)))
    };
    let minds: Vec<SubjectState<'_>> =
        members.iter().map(|member| context.subject_state(member, Aspect::Mind)).collect();
    // Reads that were never served or are refused to us show nothing either way.
    let reads: Vec<SubjectState<'_>> = members
        .iter()
        .filter(|member| {
            let says = context.view.track(member, Aspect::Read).is_some_and(|read| read.refused().is_none());
            says || was_unreadable(member)
        })
        .map(|member| context.subject_state(member, Aspect::Read))
        .collect();
    let doubts = minds.iter().chain(&reads).filter_map(|subject_state| match subject_state {
        SubjectState::Unknown(why) => Some(*why),
        SubjectState::Bad { bad, .. } => Some(Why::Suspected { since: bad.run.first }),
        SubjectState::Good(_) => None,
    });
    let runs: Option<Vec<_>> = minds.iter().chain(&reads).map(SubjectState::good).collect();
    runs.and_then(all_good).unwrap_or_else(|| Verdict::Unknown(gravest(doubts)))
}
