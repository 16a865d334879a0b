//! What the configured probes ask of a cluster per second, against what we promise never to ask.
//!
//! Counts what is planned at steady state. Confirmations come on top; all together stay below the ceiling that follows
//! from the plan, and wait where they would not.
//! Called by the configuration check, which refuses a plan that could not be kept, and by `vedette check`.

use std::time::Duration;

use super::read_context::ReadContext;
use super::settings::{Cluster, Etcd, Host};
use crate::model::policy::{PLANNED_ADDRESSES, Policy};
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
        let ordinary = 2.0 * per_second(policy.version_interval);
        let instances = count(cluster.apiservers.len());
        let vips = count(usize::from(cluster.vip.is_some()));
        let connected = cluster.vip.iter().chain(cluster.apiservers.iter().map(|(_, endpoint)| endpoint));
        let named = connected.filter(|endpoint| matches!(endpoint.address.host, Host::Name(_))).count();
        let members = count(cluster.etcds.iter().map(|etcd| etcd.members.len()).sum());
        Self {
            apiservers: instances * (per_second(policy.readyz_interval) + ordinary)
                + vips * (per_second(policy.vip_interval) + ordinary)
                + count(named) * f64::from(PLANNED_ADDRESSES) * per_second(policy.etcd_tls_interval),
            // The sum of nothing is -0.0, and would be printed so.
            etcd: cluster.etcds.iter().map(|etcd| asked_of(etcd, policy)).fold(0.0, |sum, asked| sum + asked),
            apiservers_goal: 0.6 * instances + 2.0,
            etcd_goal: 0.5 * members,
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

/// Requests per second to one etcd cluster, as `observe/schedule.rs` plans them.
fn asked_of(etcd: &Etcd, policy: &Policy) -> f64 {
    let members = count(etcd.members.len());
    let listeners = count(etcd.listeners.len());
    let chains = etcd.listeners.iter().filter(|(_, listener)| listener.is_tls).count();
    let pages = listeners * per_second(policy.etcd_metrics_interval);
    if etcd.is_metrics_only {
        return pages
            + listeners * per_second(policy.etcd_status_interval)
            + count(chains) * per_second(policy.etcd_tls_interval);
    }
    let mut rounds = vec![
        policy.etcd_status_interval,
        policy.etcd_read_interval,
        policy.etcd_members_interval,
        policy.etcd_tls_interval,
    ];
    if etcd.listeners.len() < etcd.members.len() {
        rounds.push(policy.etcd_alarms_interval);
    }
    pages + members * rounds.into_iter().map(per_second).sum::<f64>()
}

fn per_second(interval: Duration) -> f64 {
    1.0 / interval.as_secs_f64()
}

fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}
