//! The engine: the only place that knows the order observe -> judge -> alert.
//!
//! Synchronous and pure. Four calls: [`Engine::handle`], [`Engine::next_action`], [`Engine::next_deadline`],
//! [`Engine::snapshot`]. No clock, no randomness, no I/O: time comes in with every input, probes go out as actions and
//! come back as observations. The same inputs give the same actions.

mod assigning;
mod checkpoint;
mod composing;
mod deadlines;
mod delivering;
mod evaluation_due;
mod heartbeat;
mod judging;
mod notifying;
mod persisting;
mod probing;
mod recipients;
mod relations;
mod reload;
mod replacements;
mod restore;
mod scheduling_delay;
mod silencing;
mod snapshot;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::alert::group::Incidents;
use crate::alert::lifecycle::Lifecycle;
use crate::alert::outbox::Outbox;
use crate::alert::refused_recipients::RefusedRecipients;
use crate::alert::silence::Silences;
use crate::model::exchange::{Action, Change, Input};
use crate::model::incident::IncidentId;
use crate::model::inventory::Inventory;
use crate::model::plan::Plan;
use crate::model::policy::Policy;
use crate::model::reload::Configured;
use crate::model::snapshot::{Counters, Snapshot};
use crate::model::subject::Name;
use crate::model::time::{Mono, Now};
use crate::observe::budget::Budget;
use crate::observe::burst::Bursts;
use crate::observe::dump_rounds::DumpRounds;
use crate::observe::in_flight::InFlight;
use crate::observe::schedule::Schedule;
use crate::observe::view::View;

pub use checkpoint::{CheckpointError, UnwrittenError};

use assigning::Assignments;
use deadlines::Deadline;
use evaluation_due::EvaluationDue;
use heartbeat::HeartbeatTimer;
use persisting::{Noted, Rewrite};
use scheduling_delay::SchedulingDelay;

/// What is evaluated together: a cluster, or the vantage (`None`).
type Scope = Option<Name>;

/// The engine.
#[derive(Debug, Serialize, Deserialize)]
pub struct Engine {
    view: View,
    schedule: Schedule,
    in_flight: InFlight,
    bursts: Bursts,
    #[serde(default)]
    dump_rounds: DumpRounds,
    budget: Budget,
    lifecycle: Lifecycle,
    incidents: Incidents,
    outbox: Outbox,
    refused: RefusedRecipients,
    silences: Silences,

    touched: EvaluationDue,
    actions: VecDeque<Action>,
    changes: Vec<Change>,
    sequence: u64,

    assignments: Assignments,
    /// Clusters with withheld mail that may be sent now.
    stirred: BTreeSet<Name>,
    /// Incidents with a message that the outbox had no room for.
    dropped: BTreeSet<IncidentId>,
    noted: Noted,

    persisted: RestoreState,
    heartbeat: HeartbeatTimer,
    wakeups: SchedulingDelay,
    counters: Counters,
    store_works: Option<bool>,
    rewrite: Rewrite,
    is_stopping: bool,
    configured: Configured,

    /// Made of the rest, and therefore not in a checkpoint.
    #[serde(skip, default = "snapshot::none")]
    snapshot: Arc<Snapshot>,
    is_snapshot_stale: bool,
    /// An order waits for its result.
    is_snapshot_urgent: bool,
}

/// What is known of the time before this start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum RestoreState {
    /// The store has not answered yet; nothing is evaluated until then.
    Awaited { until: Mono },
    /// It has answered.
    Known,
    /// It has not, or could not: alarms from before are forgotten.
    Empty,
}

impl Engine {
    /// An engine that has seen nothing. Probes start at once; evaluation waits for [`Input::Restored`], at most the
    /// policy's `persist_wait`.
    #[must_use]
    pub fn new(inventory: Arc<Inventory>, policy: Policy, now: Now) -> Self {
        let policy = Arc::new(policy);
        let schedule = Schedule::new(Plan::new(&inventory, &policy), &inventory.vantage, now.mono);
        let awaited = RestoreState::Awaited { until: now.mono.plus(policy.persist_wait) };
        let heartbeat = HeartbeatTimer::new(&policy, now.mono);
        let mut view = View::new(Arc::clone(&inventory), Arc::clone(&policy));
        view.set_planned(schedule.plan());
        let mut budget = Budget::default();
        budget.set_plan(schedule.plan(), &policy);
        Self {
            snapshot: Arc::new(snapshot::empty(inventory, policy, now)),
            view,
            schedule,
            in_flight: InFlight::default(),
            bursts: Bursts::default(),
            dump_rounds: DumpRounds::default(),
            budget,
            lifecycle: Lifecycle::new(relations::relations()),
            incidents: Incidents::new(relations::relations()),
            outbox: Outbox::default(),
            refused: RefusedRecipients::default(),
            silences: Silences::default(),
            touched: EvaluationDue::default(),
            actions: VecDeque::new(),
            changes: Vec::new(),
            sequence: 0,
            assignments: Assignments::default(),
            stirred: BTreeSet::new(),
            dropped: BTreeSet::new(),
            noted: Noted::default(),
            persisted: awaited,
            heartbeat,
            wakeups: SchedulingDelay::new(now),
            counters: Counters::default(),
            store_works: None,
            rewrite: Rewrite::default(),
            is_stopping: false,
            configured: Configured::at_start(now.wall),
            is_snapshot_stale: true,
            is_snapshot_urgent: false,
        }
    }

    /// Processes an input. `now` is when it is handled; both clocks are sampled once per input.
    pub fn handle(&mut self, input: Input, now: Now) {
        self.counters.inputs += 1;
        self.check_wakeups(now);
        match input {
            Input::Restored(persisted) => self.restore(persisted, now),
            Input::Observed(observation) => self.observe(*observation, now),
            Input::Persisted { sequence, result } => self.persisted(sequence, &result, now),
            Input::Delivered(receipts) => self.delivered(receipts, now),
            Input::Ordered(order) => self.order(order, now),
            Input::Beaten { accepted } => self.beaten(accepted),
            Input::Reconfigured(reload) => self.reconfigure(reload, now),
            Input::Elapsed => {}
            Input::Stopping => self.stop(),
        }
        self.turn(now);
    }

    /// The next thing to do, in order.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Input::Elapsed`] is to be handed in if nothing else happens before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        if self.is_stopping {
            return None;
        }
        Deadline::ALL.into_iter().filter_map(|deadline| self.deadline(deadline)).min()
    }

    /// The snapshot of what is known. At most the policy's `snapshot_pause` behind.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    /// Everything that follows from an input, or from time alone.
    fn turn(&mut self, now: Now) {
        if self.is_due(Deadline::Restored, now) {
            self.persisted = RestoreState::Empty;
        }
        if !self.is_stopping {
            self.notice_overdue(now);
            self.probe_due(now);
        }
        self.end_silences(now);
        if self.is_awake() {
            self.judge_touched(now);
            self.notify(now);
        }
        self.flush(now);
        if !self.is_stopping {
            self.send_due(now);
            self.beat_due(now);
        }
        self.renew_snapshot(now);
        self.wakeups.promise(self.next_deadline(), now.mono);
    }

    const fn is_awake(&self) -> bool {
        !matches!(self.persisted, RestoreState::Awaited { .. })
    }

    /// Stores holds once more, so that a restart loses none of them.
    fn stop(&mut self) {
        self.is_stopping = true;
        self.note_alarms();
    }
}
