//! The intervals, deadlines and holds that may be changed, with the range each makes sense in.
//!
//! The rest of [`Policy`] follows from how the judgement works and is nobody's choice. What the intervals cost a
//! cluster is checked in [`super::budget`].

use std::time::Duration;

use super::raw::Section;
use super::read_context::ReadContext;
use super::scalar;
use crate::model::policy::Policy;
use crate::parse::flaw::Flaw;
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
const DEADLINE: (u64, u64) = (100, 60_000);
const HOLD: (u64, u64) = (1_000, 86_400_000);

/// All of them. A half second between probes is the shortest that a burst still adds anything to; an hour is the
/// longest that can be called watching.
pub(super) const KNOBS: [TimingKey; 27] = [
    timing_key("readyz_interval", INTERVAL, |policy| &mut policy.readyz_interval),
    timing_key("vip_interval", INTERVAL, |policy| &mut policy.vip_interval),
    timing_key("ordinary_interval", INTERVAL, |policy| &mut policy.ordinary_interval),
    timing_key("etcd_status_interval", INTERVAL, |policy| &mut policy.etcd_status_interval),
    timing_key("etcd_read_interval", INTERVAL, |policy| &mut policy.etcd_read_interval),
    timing_key("etcd_alarms_interval", INTERVAL, |policy| &mut policy.etcd_alarms_interval),
    timing_key("etcd_members_interval", INTERVAL, |policy| &mut policy.etcd_members_interval),
    timing_key("etcd_metrics_interval", INTERVAL, |policy| &mut policy.etcd_metrics_interval),
    timing_key("chain_interval", INTERVAL, |policy| &mut policy.chain_interval),
    timing_key("reference_interval", INTERVAL, |policy| &mut policy.reference_interval),
    timing_key("files_interval", INTERVAL, |policy| &mut policy.files_interval),
    timing_key("dial_deadline", DEADLINE, |policy| &mut policy.dial_deadline),
    timing_key("tls_deadline", DEADLINE, |policy| &mut policy.tls_deadline),
    timing_key("answer_deadline", DEADLINE, |policy| &mut policy.answer_deadline),
    timing_key("member_deadline", DEADLINE, |policy| &mut policy.member_deadline),
    timing_key("slow_after", DEADLINE, |policy| &mut policy.slow_after),
    timing_key("unproven_after", HOLD, |policy| &mut policy.unproven_after),
    timing_key("redundancy_hold", HOLD, |policy| &mut policy.redundancy_hold),
    timing_key("redundancy_critical", HOLD, |policy| &mut policy.redundancy_critical),
    timing_key("sole_hold", HOLD, |policy| &mut policy.sole_hold),
    timing_key("leaderless_hold", HOLD, |policy| &mut policy.leaderless_hold),
    timing_key("recovery_hold", HOLD, |policy| &mut policy.recovery_hold),
    timing_key("remains_after", HOLD, |policy| &mut policy.remains_after),
    timing_key("stale_after", HOLD, |policy| &mut policy.stale_after),
    timing_key("blind_mail", HOLD, |policy| &mut policy.blind_mail),
    timing_key("repeat_after", HOLD, |policy| &mut policy.repeat_after),
    timing_key("mute_after", HOLD, |policy| &mut policy.mute_after),
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
                self.complaints.add(Flaw::error(position, format!("'{key}' must be shorter than '{other}'")));
            }
        };
        below(policy.slow_after, policy.answer_deadline, "slow_after", "answer_deadline");
        below(policy.redundancy_hold, policy.redundancy_critical, "redundancy_hold", "redundancy_critical");
    }
}
