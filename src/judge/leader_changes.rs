//! F05: etcd changes its leader again and again.
//!
//! One election is normal for etcd; this rule counts them over a quarter of an hour.

use std::time::Duration;

use crate::model::etcd::Election;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Evidence, Finding, Verdict, Why};
use crate::observe::elections::Step;
use crate::observe::view::Aspect;

use super::commands::{Command, Commands};
use super::context::RuleContext;
use super::edges::Edge;
use super::quorum::etcd_name;
use super::words::Words;
use super::{Rule, phrases};
use crate::model::addresses::Addresses;

/// F05: a leader that does not last.
pub struct LeaderChanges;

/// Elections listed with their time.
const TOLD: usize = 8;

impl Words for LeaderChanges {
    fn id(&self) -> RuleId {
        RuleId::F05
    }

    fn title(&self) -> &'static str {
        "frequent etcd leader changes"
    }

    fn headline(&self, finding: &Finding) -> String {
        format!("{}: frequent leader changes", etcd_name(&finding.subject))
    }

    fn what(&self, finding: &Finding, _: &Addresses) -> String {
        let etcd = etcd_name(&finding.subject);
        let Evidence::Elections { count, window, latest } = &finding.evidence else {
            return format!("{etcd} elects leader after leader.");
        };
        let each: Vec<String> =
            latest.iter().map(|one| format!("{} in term {} at {}", one.leader, one.term, one.at)).collect();
        let last = if latest.len() < *count { format!("the last {}: ", latest.len()) } else { String::new() };
        format!("{etcd} elected {count} leaders in {}: {last}{}.", phrases::lasting(*window), each.join("; "))
    }

    fn impact(&self, _: &Finding) -> String {
        "Each election stops every write for one to two seconds: requests fail with \"etcdserver: leader changed\" or \
         time out, and controllers may lose their leases. Between elections the cluster works."
            .into()
    }

    fn likely_cause(&self, finding: &Finding) -> String {
        let Evidence::Elections { latest, .. } = &finding.evidence else { return CAUSES.into() };
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
        evidence: Evidence::Elections {
            count: steps.len(),
            window,
            latest: latest
                .map(|step| Election {
                    at: step.at.wall,
                    term: step.term,
                    leader: context.member_name(&etcd, step.leader),
                })
                .collect(),
        },
        subject: etcd,
    })
}
