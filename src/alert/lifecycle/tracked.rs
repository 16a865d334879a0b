//! One alarm with the time booked on its hold: how a verdict changes it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::alert::route::is_told;
use crate::model::incident::{Alarm, IncidentId, Stage};
use crate::model::policy::Policy;
use crate::model::time::{Mono, Now};
use crate::model::verdict::{Finding, Why};

use super::Step;

/// One alarm with the time booked on its hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct TrackedAlarm {
    /// Shared with snapshots.
    pub(super) alarm: Arc<Alarm>,
    /// Until when the time has been booked.
    pub(super) booked: Mono,
    /// When it was last recorded.
    pub(super) written: Mono,
    /// When it was last evaluated as bad: good probes from before that do not count for recovery.
    pub(super) stood: Now,
    /// When its hold ended, or when it was restored after a restart.
    pub(super) fired: Option<Mono>,
    /// Its keys in the index.
    pub(super) filed: Filed,
}

/// The keys of an alarm in the index.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Filed {
    pub(super) ends: Option<Mono>,
    pub(super) is_unassigned: bool,
    pub(super) is_cause: bool,
    pub(super) incident: Option<IncidentId>,
}

/// While a verdict is unknown, the rest of a hold does not shrink; this keeps the engine from evaluating without pause.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);

impl TrackedAlarm {
    pub(super) fn stand(&mut self, finding: Finding, passed: Duration, now: Now) -> Step {
        self.stood = now;
        let before = &self.alarm.finding;
        let worsened = finding.level > before.level
            || finding.band() > before.band()
            || finding.evidence.names_culprit() && !before.evidence.names_culprit();
        let since = self.alarm.finding.since.min(finding.since);
        let finding = Finding { since, ..finding };
        if self.alarm.finding != finding {
            Arc::make_mut(&mut self.alarm).finding = finding;
        }
        match self.alarm.stage {
            Stage::Pending { since, held } => {
                let held = held.saturating_add(passed);
                if held >= self.alarm.finding.hold {
                    self.set_stage(Stage::Firing { since: now.wall });
                    self.written = now.mono;
                    self.fired = Some(now.mono);
                    return Step::Fired;
                }
                self.set_stage(Stage::Pending { since, held });
                Step::None
            }
            Stage::Firing { .. } if worsened => Step::Worsened,
            Stage::Firing { .. } => Step::None,
            Stage::Clearing { since, .. } => {
                self.set_stage(Stage::Firing { since });
                if worsened { Step::Worsened } else { Step::Changed }
            }
        }
    }

    /// The time from the first good probe to the last counts, not the time that has passed since: what comes after the
    /// last probe is not known yet.
    pub(super) fn clear(&mut self, since: Now, until: Now, probes: u32, policy: &Policy) -> Step {
        let fired = match self.alarm.stage {
            Stage::Pending { .. } => return Step::Dropped,
            Stage::Firing { since } | Stage::Clearing { since, .. } => since,
        };
        let since = if since.mono < self.stood.mono { self.stood } else { since };
        let held = until.mono.since(since.mono);
        if held >= policy.keep_firing_for && probes >= policy.recovery_probes {
            return Step::Recovered(since.wall);
        }
        let was_firing = matches!(self.alarm.stage, Stage::Firing { .. });
        self.set_stage(Stage::Clearing { since: fired, good_since: since.wall, held });
        if was_firing { Step::Changed } else { Step::None }
    }

    /// A suspicion breaks a recovery: good probes must come in a row. Other doubts only stop the clocks.
    pub(super) fn doubt(&mut self, why: Why) -> Step {
        match (why, self.alarm.stage) {
            (Why::Suspected { .. }, Stage::Clearing { since, .. }) => {
                self.set_stage(Stage::Firing { since });
                Step::Changed
            }
            _ => Step::None,
        }
    }

    fn set_stage(&mut self, stage: Stage) {
        if self.alarm.stage != stage {
            Arc::make_mut(&mut self.alarm).stage = stage;
        }
    }

    pub(super) fn ends(&self) -> Option<Mono> {
        let left = match self.alarm.stage {
            Stage::Pending { held, .. } => self.alarm.finding.hold.saturating_sub(held),
            // The next probe decides, not the clock.
            Stage::Clearing { .. } | Stage::Firing { .. } => return None,
        };
        Some(self.booked.plus(left.max(SHORTEST_WAIT)))
    }

    pub(super) fn new(alarm: Alarm, fired: Option<Mono>, now: Now) -> Self {
        Self { alarm: Arc::new(alarm), booked: now.mono, written: now.mono, stood: now, fired, filed: Filed::default() }
    }

    /// Whether its severity is one that is mailed.
    pub(super) fn is_loud(&self) -> bool {
        is_told(self.alarm.finding.level)
    }

    pub(super) fn is_due_for_writing(&self, policy: &Policy, now: Mono) -> bool {
        let counts = matches!(self.alarm.stage, Stage::Pending { .. } | Stage::Clearing { .. });
        counts && now.since(self.written) >= policy.hold_renewal
    }
}
