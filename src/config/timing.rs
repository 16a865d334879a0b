//! The intervals, deadlines and holds that may be changed, with the range each makes sense in.
//!
//! The rest of [`Policy`] follows from how the judgement works and is nobody's choice. What the intervals cost a
//! cluster is checked in [`super::budget`].

use std::time::Duration;

use super::desk::Desk;
use super::raw::Section;
use super::scalar;
use crate::model::policy::Policy;
use crate::parse::flaw::Flaw;
use crate::parse::yaml::Node;

/// One key of `timing`.
pub(super) struct Knob {
    pub(super) key: &'static str,
    /// The shortest and the longest that is accepted.
    pub(super) range: (Duration, Duration),
    /// Its place in the policy.
    pub(super) of: fn(&mut Policy) -> &mut Duration,
}

const fn knob(key: &'static str, millis: (u64, u64), of: fn(&mut Policy) -> &mut Duration) -> Knob {
    Knob { key, range: (Duration::from_millis(millis.0), Duration::from_millis(millis.1)), of }
}

const INTERVAL: (u64, u64) = (500, 3_600_000);
const DEADLINE: (u64, u64) = (100, 60_000);
const HOLD: (u64, u64) = (1_000, 86_400_000);

/// All of them. A half second between looks is the shortest that a burst still adds anything to; an hour is the
/// longest that can be called watching.
pub(super) const KNOBS: [Knob; 27] = [
    knob("readyz_interval", INTERVAL, |policy| &mut policy.readyz_interval),
    knob("vip_interval", INTERVAL, |policy| &mut policy.vip_interval),
    knob("ordinary_interval", INTERVAL, |policy| &mut policy.ordinary_interval),
    knob("etcd_status_interval", INTERVAL, |policy| &mut policy.etcd_status_interval),
    knob("etcd_read_interval", INTERVAL, |policy| &mut policy.etcd_read_interval),
    knob("etcd_alarms_interval", INTERVAL, |policy| &mut policy.etcd_alarms_interval),
    knob("etcd_members_interval", INTERVAL, |policy| &mut policy.etcd_members_interval),
    knob("etcd_metrics_interval", INTERVAL, |policy| &mut policy.etcd_metrics_interval),
    knob("chain_interval", INTERVAL, |policy| &mut policy.chain_interval),
    knob("reference_interval", INTERVAL, |policy| &mut policy.reference_interval),
    knob("files_interval", INTERVAL, |policy| &mut policy.files_interval),
    knob("dial_deadline", DEADLINE, |policy| &mut policy.dial_deadline),
    knob("tls_deadline", DEADLINE, |policy| &mut policy.tls_deadline),
    knob("answer_deadline", DEADLINE, |policy| &mut policy.answer_deadline),
    knob("member_deadline", DEADLINE, |policy| &mut policy.member_deadline),
    knob("slow_after", DEADLINE, |policy| &mut policy.slow_after),
    knob("unproven_after", HOLD, |policy| &mut policy.unproven_after),
    knob("redundancy_hold", HOLD, |policy| &mut policy.redundancy_hold),
    knob("redundancy_critical", HOLD, |policy| &mut policy.redundancy_critical),
    knob("sole_hold", HOLD, |policy| &mut policy.sole_hold),
    knob("leaderless_hold", HOLD, |policy| &mut policy.leaderless_hold),
    knob("recovery_hold", HOLD, |policy| &mut policy.recovery_hold),
    knob("remains_after", HOLD, |policy| &mut policy.remains_after),
    knob("stale_after", HOLD, |policy| &mut policy.stale_after),
    knob("blind_mail", HOLD, |policy| &mut policy.blind_mail),
    knob("repeat_after", HOLD, |policy| &mut policy.repeat_after),
    knob("mute_after", HOLD, |policy| &mut policy.mute_after),
];

impl Desk<'_> {
    /// Changes `policy` as `node` says.
    pub(super) fn timing(&self, node: &Node, policy: &mut Policy) {
        let keys = KNOBS.map(|knob| knob.key);
        let Some(section) = Section::open(node, &keys, self.complaints) else { return };
        for knob in &KNOBS {
            let (least, most) = knob.range;
            if let Some(duration) = section.read(knob.key, |text| scalar::duration_within(text, least, most)) {
                *(knob.of)(policy) = duration;
            }
        }
        let below = |lower: Duration, upper: Duration, key: &str, other: &str| {
            if lower >= upper {
                let mark = section.find(key).or_else(|| section.find(other)).map_or(section.mark, |node| node.mark);
                self.complaints.add(Flaw::error(mark, format!("'{key}' must be shorter than '{other}'")));
            }
        };
        below(policy.slow_after, policy.answer_deadline, "slow_after", "answer_deadline");
        below(policy.redundancy_hold, policy.redundancy_critical, "redundancy_hold", "redundancy_critical");
    }
}
