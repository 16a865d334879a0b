//! F01: etcd quorum lost or no leader.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::finding::{Evidence, Kind};
use crate::model::phase::{Cause, Unseen};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::{Name, Subject};
use crate::model::time::Now;
use crate::model::verdict::{Finding, Verdict, Why};
use crate::observe::aspect::Aspect;
use crate::observe::probe_runs::BadRun;
use crate::observe::quorum::{Count, majority};

use super::commands::{Command, Commands, Program};
use super::context::{RuleContext, SubjectState};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F01: fewer than a majority of the voters answer, or those that answer agree on no leader.
pub struct QuorumLost;

/// The name of an etcd in texts: its own name only where a cluster may have several.
pub(super) fn etcd_name(subject: &Subject) -> String {
    match subject.etcd_name().map(Name::as_str) {
        None | Some("etcd" | "main") => "etcd".into(),
        Some(name) => format!("etcd {}", phrases::fit(name, 14)),
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
const WARNING: &str = "first, on every member: copy the data. Do not 'member remove', do not delete data while there \
    is no quorum";

/// What stops working, whatever was seen.
const IMPACT: &str = "All writes fail: kubectl apply, deploys, scaling, rescheduling, node leases. Running pods keep \
    running and serving. Some reads still answer, with stale data.";

/// etcd members by what they answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    /// Voters that must answer and agree.
    pub needed: usize,
    /// Members that answered and follow the agreed leader, or answered at all when none is agreed.
    pub answering: Vec<Subject>,
    /// Members that did not answer, and why.
    pub silent: Vec<(Subject, Unseen)>,
    /// Whether a majority answers but agrees on no leader.
    pub leaderless: bool,
    /// Voters of etcd's own list that are not watched, or have never started.
    #[serde(default)]
    pub unwatched: usize,
}

impl Kind for Quorum {
    const TAG: &'static str = "quorum";
}

impl Evidence for Quorum {
    fn headline(&self, finding: &Finding) -> String {
        format!("{} has lost quorum", etcd_name(&finding.subject))
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let etcd = etcd_name(&finding.subject);
        let Self { needed, answering, silent, leaderless, unwatched } = self;
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
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        let Self { silent, leaderless, .. } = self;
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

    fn next_commands(&self, _: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let Self { answering, silent, .. } = self;
        let silent = || silent.iter().map(|(member, _)| member);
        let mut all: Vec<Subject> = answering.iter().chain(silent()).cloned().collect();
        all.sort();
        let Some(first) = silent().next().or_else(|| answering.first()) else { return Vec::new() };
        let mut next =
            vec![commands.containers(first, Program::Etcd), commands.logs(first, Program::Etcd), commands.room(first)];
        next.extend(commands.etcdctl(answering.first().unwrap_or(first)));
        next.push(commands.etcd_status(&all));
        next.push(commands.copy_data(first, WARNING));
        next
    }

    fn is_outage(&self) -> bool {
        true
    }

    fn may_be_lost_site(&self) -> bool {
        self.answering.is_empty() && self.silent.iter().all(|(_, unseen)| unseen.is_silence())
    }

    fn concerned(&self) -> Vec<Subject> {
        self.silent.iter().map(|(member, _)| member.clone()).collect()
    }
}

impl Rule for QuorumLost {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F01,
            name: "EtcdQuorumLost",
            in_short: "etcd quorum lost",
            title: "etcd quorum lost or no leader",
            impact: IMPACT,
            likely_cause: "Members are down or cut off from each other.",
            shows: Shows::Etcd,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<Quorum>()
    }

    fn explains(&self) -> &'static [Edge] {
        const EDGES: [Edge; 14] = [
            Edge::in_cluster(RuleId::F02),
            Edge::in_cluster(RuleId::F03),
            Edge::in_cluster(RuleId::F05),
            // Requests that wait for etcd hold their seats.
            Edge::in_cluster(RuleId::F18),
            Edge::in_cluster(RuleId::F21),
            Edge::in_cluster(RuleId::F38),
            Edge::in_cluster(RuleId::F22),
            Edge::in_cluster(RuleId::F61),
            Edge::in_cluster(RuleId::F24),
            // Their liveness probes fail without etcd.
            Edge::in_cluster(RuleId::F37),
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

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{MUTE, REFUSED, Sample, lines, member};

        Sample::of(
            "prod-eu1/etcd/etcd",
            Level::Critical,
            Arc::new(Quorum {
                needed: 2,
                answering: vec![member("etcd-1")],
                silent: vec![(member("etcd-2"), REFUSED), (member("etcd-3"), MUTE)],
                leaderless: false,
                unwatched: 0,
            }),
        )
        .probes(vec![
            lines::member(1, "no leader, term 7", false),
            lines::no_member(2, REFUSED),
            lines::no_member(3, MUTE),
        ])
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
        evidence: Arc::new(quorum_evidence(context, &etcd, count, is_leaderless)),
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

fn quorum_evidence(context: &RuleContext<'_>, etcd: &Subject, count: &Count, leaderless: bool) -> Quorum {
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
    Quorum { needed: majority(count.voters), answering, silent, leaderless, unwatched: count.unwatched }
}
