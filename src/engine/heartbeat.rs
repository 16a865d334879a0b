//! The outgoing heartbeat: withheld while vedette has no network, stalls or cannot send mail, so that its receiver
//! raises an alarm.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::exchange::Action;
use crate::model::policy::Policy;
use crate::model::snapshot::HeartbeatState;
use crate::model::time::{Mono, Now};

use super::Engine;
use super::deadlines::Deadline;

/// The first heartbeat comes within this time of the start.
const FIRST_BEAT: Duration = Duration::from_secs(5);

/// A stall withholds the heartbeat for this long, because a scheduler that stalls again and again does not work.
const STALL_SHOWS: Duration = Duration::from_secs(10);

/// When it beats next, and whether a beat is under way.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct HeartbeatTimer {
    due: Mono,
    is_under_way: bool,
}

impl HeartbeatTimer {
    pub(super) fn new(policy: &Policy, now: Mono) -> Self {
        Self { due: now.plus(policy.heartbeat_interval.min(FIRST_BEAT)), is_under_way: false }
    }

    pub(super) const fn due(&self) -> Mono {
        self.due
    }

    /// The next beat comes no later than this.
    pub(super) fn hurry(&mut self, at: Mono) {
        self.due = self.due.min(at);
    }
}

impl Engine {
    pub(super) fn heartbeat_state(&self, now: Now) -> HeartbeatState {
        let is_recent = |at| now.mono.since(at) < STALL_SHOWS;
        let is_old = |since| now.mono.since(since) >= self.view.policy().withhold_heartbeat_after;
        if !self.view.inventory().heartbeat {
            HeartbeatState::Off
        } else if self.view.path().is_isolated() {
            HeartbeatState::Isolated
        } else if self.wakeups.stalled_at().is_some_and(is_recent) {
            HeartbeatState::Stalled
        } else if self.outbox.oldest_critical().is_some_and(is_old) {
            HeartbeatState::MailStuck
        } else {
            HeartbeatState::Sending
        }
    }

    pub(super) fn beaten(&mut self, accepted: bool) {
        self.heartbeat.is_under_way = false;
        let counter = if accepted { &mut self.counters.beats } else { &mut self.counters.beats_failed };
        *counter += 1;
    }

    pub(super) fn beat_due(&mut self, now: Now) {
        if !self.is_due(Deadline::Heartbeat, now) {
            return;
        }
        self.heartbeat.due = now.mono.plus(self.view.policy().heartbeat_interval);
        let beats = self.heartbeat_state(now) == HeartbeatState::Sending;
        if beats && !self.heartbeat.is_under_way {
            self.heartbeat.is_under_way = true;
            self.actions.push_back(Action::Beat);
        }
    }
}
