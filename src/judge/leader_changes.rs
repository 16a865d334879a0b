//! F05: etcd changes its leader again and again.
//!
//! One election is normal for etcd; this rule counts them over a quarter of an hour.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::etcd::Election;
use crate::model::finding::{Evidence, Kind};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Verdict, Why};
use crate::observe::aspect::Aspect;
use crate::observe::elections::Step;

use super::commands::{Command, Commands};
use super::context::RuleContext;
use super::description::{Description, Shows};
use super::edges::Edge;
use super::quorum::etcd_name;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F05: a leader that does not last.
pub struct LeaderChanges;

/// Elections listed with their time.
const TOLD: usize = 8;

/// What stops working, whatever was seen.
const IMPACT: &str = "Each election stops every write for one to two seconds: requests fail with \"etcdserver: \
    leader changed\" or time out, and controllers may lose their leases. Between elections the cluster works.";

/// Leaders elected one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elections {
    /// How many were seen within `window`; several between two rounds count once.
    pub count: usize,
    /// The time they are counted over.
    pub window: Duration,
    /// The latest of them, oldest first.
    pub latest: Vec<Election>,
}

impl Kind for Elections {
    const TAG: &'static str = "elections";
}

impl Evidence for Elections {
    fn headline(&self, finding: &Finding) -> String {
        format!("{}: frequent leader changes", etcd_name(&finding.subject))
    }

    fn what(&self, finding: &Finding, _: &Addresses) -> String {
        let etcd = etcd_name(&finding.subject);
        let Self { count, window, latest } = self;
        let each: Vec<String> =
            latest.iter().map(|one| format!("{} in term {} at {}", one.leader, one.term, one.at)).collect();
        let last = if latest.len() < *count { format!("the last {}: ", latest.len()) } else { String::new() };
        format!("{etcd} elected {count} leaders in {}: {last}{}.", phrases::lasting(*window), each.join("; "))
    }

    fn impact(&self, _: &Finding) -> String {
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        let Self { latest, .. } = self;
        let mut leaders: Vec<&str> = latest.iter().map(|election| election.leader.as_str()).collect();
        leaders.sort_unstable();
        leaders.dedup();
        match leaders.as_slice() {
            [only] => format!(
                "{only} is elected each time: its heartbeats come late because of a slow disk, too little CPU or a \
                 lossy peer link of its host."
            ),
            _ => CAUSES.into(),
        }
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let members = commands.members(&finding.subject);
        let Some((first, others)) = members.split_first() else { return Vec::new() };
        let mut next = vec![
            commands.etcd_complaints(first).note("on each member"),
            commands.pressure(&members).note("slow disks (io) are the usual reason"),
        ];
        next.extend(commands.disk_latency(&members));
        next.extend(commands.ping_peers(first, others));
        next.extend(commands.etcdctl(first));
        next.push(commands.etcd_status(&members));
        next
    }
}

const CAUSES: &str = "Heartbeats between members come too late: a slow disk (fsync), too little CPU, or a slow or \
    lossy peer network. A leader that restarts repeatedly has the same effect.";

impl Rule for LeaderChanges {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F05,
            name: "EtcdFrequentLeaderChanges",
            in_short: "etcd leader changes",
            title: "frequent etcd leader changes",
            impact: IMPACT,
            likely_cause: CAUSES,
            shows: Shows::Etcd,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<Elections>()
    }

    fn explains(&self) -> &'static [Edge] {
        // Every election is a second or two in which apiservers find etcd failing.
        const EDGES: [Edge; 4] = [
            Edge::in_cluster(RuleId::F25),
            Edge::in_cluster(RuleId::F49),
            Edge::in_cluster(RuleId::F50),
            Edge::in_cluster(RuleId::F58),
        ];
        &EDGES
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let etcds = context.etcds().into_iter().filter(|etcd| context.members(etcd).len() > 1);
        etcds.map(|etcd| (etcd.clone(), judge_elections(context, etcd))).collect()
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{OPENED, Sample, lines};

        let elected = |after: u64, term, leader: &str| Election {
            at: OPENED.plus(Duration::from_secs(after)),
            term,
            leader: leader.into(),
        };
        let latest = vec![elected(0, 8, "etcd-2"), elected(95, 9, "etcd-1"), elected(212, 11, "etcd-2")];
        Sample::of(
            "prod-eu1/etcd/etcd",
            Level::Warning,
            Arc::new(Elections { count: 3, window: Duration::from_secs(900), latest }),
        )
        .probes(vec![lines::healthy(1), lines::healthy(2), lines::healthy(3)])
    }
}

fn judge_elections(context: &RuleContext<'_>, etcd: Subject) -> Verdict {
    let policy = context.policy();
    let window = policy.flap_window;
    let Some(elections) = context.view.elections(&etcd) else { return Verdict::Unknown(Why::NeverSeen) };
    let steps: Vec<&Step> = elections.within(context.now.mono, window).collect();
    let Some(first) = steps.first().filter(|_| steps.len() >= policy.flap_warning) else {
        let subject_state = context.subject_state(&etcd, Aspect::Leader);
        // One below the threshold is neither: else each election at the edge would end one incident and open another.
        let is_calm = steps.len() + 1 < policy.flap_warning && elections.covers(context.now.mono, window);
        return if is_calm { subject_state.unless_bad() } else { Verdict::Unknown(Why::Unclear) };
    };
    let level = if steps.len() >= policy.flap_critical { Level::Critical } else { Level::Warning };
    let latest = steps.iter().rev().take(TOLD).rev();
    Verdict::Bad(Finding {
        rule: RuleId::F05,
        level,
        since: first.at.wall,
        hold: Duration::ZERO,
        path_unproven: false,
        evidence: Arc::new(Elections {
            count: steps.len(),
            window,
            latest: latest
                .map(|step| Election {
                    at: step.at.wall,
                    term: step.term,
                    leader: context.member_name(&etcd, step.leader),
                })
                .collect(),
        }),
        subject: etcd,
    })
}
