//! The intervals, deadlines and holds that may be changed, with the range each makes sense in.
//!
//! The rest of [`Policy`] follows from how the evaluation works and cannot be configured. What the intervals cost a
//! cluster is checked in [`super::budget`].

use std::time::Duration;

use super::read_context::ReadContext;
use super::scalar;
use super::yaml_tree::Section;
use crate::model::policy::Policy;
use crate::parse::diagnostic::Diagnostic;
use crate::parse::yaml::Node;

/// One key of `timing`.
pub(super) struct TimingKey {
    pub(super) key: &'static str,
    /// The shortest and the longest that is accepted.
    pub(super) range: (Duration, Duration),
    /// Its place in the policy.
    pub(super) of: fn(&mut Policy) -> &mut Duration,
}

const fn timing_key(key: &'static str, millis: (u64, u64), of: fn(&mut Policy) -> &mut Duration) -> TimingKey {
    TimingKey { key, range: (Duration::from_millis(millis.0), Duration::from_millis(millis.1)), of }
}

const INTERVAL: (u64, u64) = (500, 3_600_000);
/// The handler holds the lock of priority and fairness while it writes.
const DUMPS: (u64, u64) = (10_000, 3_600_000);
/// Each calls every webhook that matches.
const DRY_RUNS: (u64, u64) = (5_000, 3_600_000);
/// The Lease is read some seconds after it was written.
const LEASES: (u64, u64) = (10_000, 3_600_000);
const DEADLINE: (u64, u64) = (100, 60_000);
const HOLD: (u64, u64) = (1_000, 86_400_000);

/// All of them. Under half a second between probes a burst would add nothing; with more than an hour it would be no
/// monitoring.
pub(super) const KNOBS: [TimingKey; 31] = [
    timing_key("readyz_interval", INTERVAL, |policy| &mut policy.readyz_interval),
    timing_key("vip_interval", INTERVAL, |policy| &mut policy.vip_interval),
    timing_key("version_interval", INTERVAL, |policy| &mut policy.version_interval),
    timing_key("priority_levels_interval", DUMPS, |policy| &mut policy.priority_levels_interval),
    timing_key("lease_interval", LEASES, |policy| &mut policy.lease_interval),
    timing_key("create_interval", DRY_RUNS, |policy| &mut policy.create_interval),
    timing_key("secret_interval", DRY_RUNS, |policy| &mut policy.secret_interval),
    timing_key("etcd_status_interval", INTERVAL, |policy| &mut policy.etcd_status_interval),
    timing_key("etcd_read_interval", INTERVAL, |policy| &mut policy.etcd_read_interval),
    timing_key("etcd_alarms_interval", INTERVAL, |policy| &mut policy.etcd_alarms_interval),
    timing_key("etcd_members_interval", INTERVAL, |policy| &mut policy.etcd_members_interval),
    timing_key("etcd_metrics_interval", INTERVAL, |policy| &mut policy.etcd_metrics_interval),
    timing_key("etcd_tls_interval", INTERVAL, |policy| &mut policy.etcd_tls_interval),
    timing_key("reference_interval", INTERVAL, |policy| &mut policy.reference_interval),
    timing_key("files_interval", INTERVAL, |policy| &mut policy.files_interval),
    timing_key("connect_timeout", DEADLINE, |policy| &mut policy.connect_timeout),
    timing_key("tls_timeout", DEADLINE, |policy| &mut policy.tls_timeout),
    timing_key("response_timeout", DEADLINE, |policy| &mut policy.response_timeout),
    timing_key("etcd_member_timeout", DEADLINE, |policy| &mut policy.etcd_member_timeout),
    timing_key("slow_after", DEADLINE, |policy| &mut policy.slow_after),
    timing_key("unproven_after", HOLD, |policy| &mut policy.unproven_after),
    timing_key("redundancy_loss_for", HOLD, |policy| &mut policy.redundancy_loss_for),
    timing_key("redundancy_loss_critical_after", HOLD, |policy| &mut policy.redundancy_loss_critical_after),
    timing_key("single_instance_for", HOLD, |policy| &mut policy.single_instance_for),
    timing_key("no_leader_for", HOLD, |policy| &mut policy.no_leader_for),
    timing_key("keep_firing_for", HOLD, |policy| &mut policy.keep_firing_for),
    timing_key("ongoing_after", HOLD, |policy| &mut policy.ongoing_after),
    timing_key("not_loaded_after", HOLD, |policy| &mut policy.not_loaded_after),
    timing_key("isolated_for", HOLD, |policy| &mut policy.isolated_for),
    timing_key("repeat_interval", HOLD, |policy| &mut policy.repeat_interval),
    timing_key("withhold_heartbeat_after", HOLD, |policy| &mut policy.withhold_heartbeat_after),
];

impl ReadContext<'_> {
    /// Changes `policy` as `node` says.
    pub(super) fn timing(&self, node: &Node, policy: &mut Policy) {
        let keys = KNOBS.map(|timing_key| timing_key.key);
        let Some(section) = Section::open(node, &keys, self.complaints) else { return };
        for timing_key in &KNOBS {
            let (least, most) = timing_key.range;
            if let Some(duration) = section.read(timing_key.key, |text| scalar::duration_within(text, least, most)) {
                *(timing_key.of)(policy) = duration;
            }
        }
        let below = |lower: Duration, upper: Duration, key: &str, other: &str| {
            if lower >= upper {
                let position =
                    section.find(key).or_else(|| section.find(other)).map_or(section.position, |node| node.position);
                self.complaints.add(Diagnostic::error(position, format!("'{key}' must be shorter than '{other}'")));
            }
        };
        below(policy.slow_after, policy.response_timeout, "slow_after", "response_timeout");
        below(
            policy.redundancy_loss_for,
            policy.redundancy_loss_critical_after,
            "redundancy_loss_for",
            "redundancy_loss_critical_after",
        );
    }
}
