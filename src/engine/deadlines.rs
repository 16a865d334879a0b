//! What makes the engine act without an input, and when: one table from which both the next wake-up and what is done at
//! it derive.

use std::time::Duration;

use crate::model::time::{Mono, Now};

use super::{Engine, RestoreState};

/// A snapshot older than this means that the scheduler has stopped: it is renewed this often even where little is
/// probed.
const SNAPSHOT_AGE: Duration = Duration::from_secs(2);

/// What the engine waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deadline {
    /// What was known before the start is waited for no longer.
    Restored,
    /// The next scheduled probe.
    Schedule,
    /// The next probe of a burst.
    Burst,
    /// An instance is asked for its requests, because an overload is suspected.
    DumpRound,
    /// The budget of a cluster allows a probe that was put off.
    Budget,
    /// A probe under way is given up.
    Overdue,
    /// A cluster in which nothing changed is evaluated.
    Evaluation,
    /// The hold of an alarm ends.
    Hold,
    /// An alarm waits no longer for its cause, or for others of its rule.
    Assignment,
    /// A timer of an incident ends: it settles, is told again, of what remains or became worse.
    Incident,
    /// A message may be attempted.
    Delivery,
    /// A silence ends.
    Silence,
    /// Everything is written anew after a write that failed.
    Rewrite,
    /// The heartbeat.
    Heartbeat,
    /// The snapshot is renewed.
    Snapshot,
}

impl Deadline {
    pub(super) const ALL: [Self; 15] = [
        Self::Restored,
        Self::Schedule,
        Self::Burst,
        Self::DumpRound,
        Self::Budget,
        Self::Overdue,
        Self::Evaluation,
        Self::Hold,
        Self::Assignment,
        Self::Incident,
        Self::Delivery,
        Self::Silence,
        Self::Rewrite,
        Self::Heartbeat,
        Self::Snapshot,
    ];
}

impl Engine {
    /// When this is due; `None` while it is not waited for.
    pub(super) fn deadline(&self, deadline: Deadline) -> Option<Mono> {
        let policy = self.view.policy();
        match deadline {
            Deadline::Restored => match self.persisted {
                RestoreState::Awaited { until } => Some(until),
                RestoreState::Known | RestoreState::Empty => None,
            },
            Deadline::Schedule => self.schedule.next(),
            Deadline::Burst => self.bursts.next(),
            Deadline::DumpRound => self.dump_rounds.next(),
            Deadline::Budget => self.budget.next(),
            Deadline::Overdue => self.in_flight.next(),
            Deadline::Evaluation => self.touched.next().filter(|_| self.is_awake()),
            Deadline::Hold => self.lifecycle.next().map(|(at, _)| at).filter(|_| self.is_awake()),
            Deadline::Assignment => self.assignments.next().filter(|_| self.is_awake()),
            Deadline::Incident => self.incidents.next(self.view.path().is_isolated()).filter(|_| self.is_awake()),
            Deadline::Delivery => self.outbox.next(policy, |outlet, message| self.may_go(outlet, message)),
            Deadline::Silence => self.silences.next(),
            Deadline::Rewrite => self.rewrite.next(),
            Deadline::Heartbeat => self.view.inventory().heartbeat.then(|| self.heartbeat.due()),
            Deadline::Snapshot => {
                let renewal = if self.is_snapshot_stale { policy.snapshot_pause } else { SNAPSHOT_AGE };
                Some(self.snapshot.at.mono.plus(renewal))
            }
        }
    }

    /// Whether this is due at `now`.
    pub(super) fn is_due(&self, deadline: Deadline, now: Now) -> bool {
        self.deadline(deadline).is_some_and(|at| at <= now.mono)
    }
}
