//! What the plan asks of a cluster per second, against what we promise never to ask.
//!
//! Counts what is planned at steady state. Confirmations come on top; all together stay below the ceiling that follows
//! from the plan, and wait where they would not.
//! Called by the configuration check, which refuses a plan that could not be kept, and by `vedette check`.

use super::read_context::ReadContext;
use super::settings::Cluster;
use crate::model::plan::Plan;
use crate::model::policy::Policy;
use crate::model::subject::Subject;
use crate::parse::diagnostic::Diagnostic;
use crate::parse::yaml::Position;

/// Planned requests per second to one cluster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Planned {
    /// To apiservers, through the API VIP or directly.
    pub apiservers: f64,
    /// To etcd members, handshakes for their chain included.
    pub etcd: f64,
    /// What we promise to stay below for apiservers: 0.6 for each, and 2.
    pub apiservers_goal: f64,
    /// What we promise to stay below for etcd: 0.5 for each member.
    pub etcd_goal: f64,
}

/// Slack for sums of fractions; the default plan meets the goal for etcd exactly.
const ROUNDING: f64 = 1e-9;

impl Planned {
    /// The plan for `cluster` under `policy`.
    #[must_use]
    pub fn new(cluster: &Cluster, policy: &Policy) -> Self {
        let listed = cluster.listed();
        let plan = Plan::of_cluster(&cluster.name, &listed, policy);
        let members: usize = listed.etcds.values().map(|etcd| etcd.members.len()).sum();
        Self {
            apiservers: plan.rate_of(|subject| !subject.is_etcd()).requests,
            etcd: plan.rate_of(Subject::is_etcd).requests,
            apiservers_goal: 0.6 * count(listed.apiservers.len()) + 2.0,
            etcd_goal: 0.5 * count(members),
        }
    }

    /// Both together.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.apiservers + self.etcd
    }

    /// What may be planned at most: what may be sent to any cluster, and twice the goal where that is more.
    #[must_use]
    pub fn most(&self, policy: &Policy) -> f64 {
        f64::from(policy.ceiling_least).max(2.0 * (self.apiservers_goal + self.etcd_goal))
    }
}

impl ReadContext<'_> {
    /// Complains when the plan for `cluster`, written at `position`, asks too much.
    pub(super) fn budget(&self, cluster: &Cluster, position: Position, policy: &Policy) {
        let planned = Planned::new(cluster, policy);
        let name = &cluster.name;
        let most = planned.most(policy);
        if planned.total() > most + ROUNDING {
            let total = planned.total();
            let diagnostic =
                Diagnostic::error(position, format!("{total:.1} requests/s planned for '{name}', limit {most:.0}"));
            self.complaints
                .add(diagnostic.hint("lengthen the intervals under 'timing', or split the cluster's instances"));
            return;
        }
        for (what, asked, goal) in
            [("apiservers", planned.apiservers, planned.apiservers_goal), ("etcd", planned.etcd, planned.etcd_goal)]
        {
            if asked > goal + ROUNDING {
                let text = format!("{asked:.1} requests/s planned for {what} of '{name}'; {goal:.1} are enough");
                self.complaints.add(Diagnostic::warning(position, text).hint("lengthen the intervals under 'timing'"));
            }
        }
    }
}

fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}
