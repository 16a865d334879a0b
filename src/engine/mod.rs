//! The engine: the only place that knows the order observe -> judge -> alert.
//!
//! Synchronous and pure. Four calls: [`Engine::handle`], [`Engine::next_action`], [`Engine::next_deadline`],
//! [`Engine::snapshot`]. No clock, no randomness, no I/O: time comes in with every input, looks go out as actions and
//! come back as observations. The same inputs give the same actions.

mod hush;
mod memory;
mod picture;
mod reload;
mod tell;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::alert::group::Incidents;
use crate::alert::ladder::{Ladder, Step};
use crate::alert::outbox::Outbox;
use crate::alert::silence::Silences;
use crate::judge;
use crate::judge::edges::explains;
use crate::judge::scene::Scene;
use crate::model::exchange::{Action, Change, Input, Memory};
use crate::model::incident::{Alarm, Incident};
use crate::model::inventory::Inventory;
use crate::model::observation::Observation;
use crate::model::policy::Policy;
use crate::model::probe::Probe;
use crate::model::reload::Configured;
use crate::model::snapshot::{Counters, Snapshot};
use crate::model::subject::{Name, Subject};
use crate::model::time::{Mono, Now};
use crate::model::verdict::{FindingKey, Verdict};
use crate::observe::burst::Bursts;
use crate::observe::flight::{Attention, Flight};
use crate::observe::schedule::Schedule;
use crate::observe::view::View;

/// What is judged together: a cluster, or the vantage (`None`).
type Scope = Option<Name>;

/// The engine.
#[derive(Debug)]
pub struct Engine {
    view: View,
    schedule: Schedule,
    flight: Flight,
    bursts: Bursts,
    ladder: Ladder,
    incidents: Incidents,
    outbox: Outbox,
    silences: Silences,

    touched: BTreeSet<Scope>,
    actions: VecDeque<Action>,
    changes: Vec<Change>,
    sequence: u64,

    memory: MemoryState,
    heart: Heart,
    pulse: Pulse,
    counters: Counters,
    store_works: Option<bool>,
    rewrite: Rewrite,
    is_stopping: bool,
    configured: Configured,

    snapshot: Arc<Snapshot>,
    is_snapshot_stale: bool,
    /// Somebody waits to see what they asked for.
    is_snapshot_urgent: bool,
}

/// What is known of the time before this start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MemoryState {
    /// The store has not answered yet; nothing is judged until then.
    Awaited { until: Mono },
    /// It has answered.
    Known,
    /// It has not, or could not: alarms from before are forgotten.
    Empty,
}

/// The outgoing heartbeat.
#[derive(Debug, Clone, Copy)]
struct Heart {
    due: Mono,
    is_under_way: bool,
}

/// Writing everything anew after a failed persist: what it would have written or deleted is not known one by one.
#[derive(Debug, Clone, Copy, Default)]
struct Rewrite {
    due: Option<Mono>,
    under_way: Option<u64>,
}

/// The engine's own regularity.
#[derive(Debug, Clone)]
struct Pulse {
    started: Now,
    last: Now,
    promised: Option<Mono>,
    stalled_at: Option<Mono>,
    lags: VecDeque<(Mono, Duration)>,
}

impl Engine {
    /// An engine that has seen nothing. Looks start at once; judging waits for [`Input::Restored`], at most the
    /// policy's `persist_wait`.
    #[must_use]
    pub fn new(inventory: Arc<Inventory>, policy: Policy, now: Now) -> Self {
        let policy = Arc::new(policy);
        let schedule = Schedule::new(&inventory, &policy, now.mono);
        let awaited = MemoryState::Awaited { until: now.mono.plus(policy.persist_wait) };
        let first_beat = now.mono.plus(policy.heartbeat_interval.min(FIRST_BEAT));
        let mut view = View::new(Arc::clone(&inventory), Arc::clone(&policy));
        for (cluster, rate) in schedule.planned(&inventory) {
            view.set_planned(&cluster, rate);
        }
        let pulse = Pulse { started: now, last: now, promised: None, stalled_at: None, lags: VecDeque::new() };
        Self {
            snapshot: Arc::new(picture::empty(inventory, policy, now)),
            view,
            schedule,
            flight: Flight::default(),
            bursts: Bursts::default(),
            ladder: Ladder::default(),
            incidents: Incidents::new(explains),
            outbox: Outbox::default(),
            silences: Silences::default(),
            touched: BTreeSet::new(),
            actions: VecDeque::new(),
            changes: Vec::new(),
            sequence: 0,
            memory: awaited,
            heart: Heart { due: first_beat, is_under_way: false },
            pulse,
            counters: Counters::default(),
            store_works: None,
            rewrite: Rewrite::default(),
            is_stopping: false,
            configured: Configured::at_start(now.wall),
            is_snapshot_stale: true,
            is_snapshot_urgent: false,
        }
    }

    /// Takes in what happened. `now` is when it is handled; both clocks are sampled once per input.
    pub fn handle(&mut self, input: Input, now: Now) {
        self.counters.inputs += 1;
        self.feel_pulse(now);
        match input {
            Input::Restored(memory) => self.restore(memory, now),
            Input::Observed(observation) => self.observe(*observation, now),
            Input::Persisted { sequence, result } => self.persisted(sequence, &result, now),
            Input::Delivered { message, receipt } => self.delivered(&message, receipt, now),
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
        let policy = self.view.policy();
        let memory = match self.memory {
            MemoryState::Awaited { until } => Some(until),
            MemoryState::Known | MemoryState::Empty => None,
        };
        let heart = self.view.inventory().heartbeat.then_some(self.heart.due);
        let renewal = if self.is_snapshot_stale { policy.snapshot_pause } else { SNAPSHOT_AGE };
        let snapshot = Some(self.snapshot.at.mono.plus(renewal));
        let ladder = self.ladder.next().map(|(at, _)| at).filter(|_| self.is_awake());
        let outbox = self.outbox.next(|message| self.may_go(message));
        let incidents = self.incidents.next(policy, self.view.path().is_blind());
        [
            self.schedule.next(),
            self.bursts.next(),
            self.flight.next(),
            memory,
            heart,
            snapshot,
            ladder,
            outbox,
            incidents,
            self.silences.next(),
            self.rewrite.due.filter(|_| self.rewrite.under_way.is_none()),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The picture of what is believed. At most the policy's `snapshot_pause` behind.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    /// Everything that follows from an input, or from time alone.
    fn turn(&mut self, now: Now) {
        if let MemoryState::Awaited { until } = self.memory
            && until <= now.mono
        {
            self.memory = MemoryState::Empty;
        }
        if !self.is_stopping {
            self.notice_overdue(now);
            self.look_due(now);
        }
        self.end_silences(now);
        if self.is_awake() {
            self.judge_touched(now);
            self.tell(now);
        }
        self.flush(now);
        if !self.is_stopping {
            self.send_due(now);
            self.beat_due(now);
        }
        self.renew_snapshot(now);
        self.pulse.promised = self.next_deadline();
    }

    const fn is_awake(&self) -> bool {
        !matches!(self.memory, MemoryState::Awaited { .. })
    }

    /// A wake-up much later than promised, or clocks that went apart, void the looks they covered.
    fn feel_pulse(&mut self, now: Now) {
        let policy = self.view.policy();
        let lag = self.pulse.promised.map_or(Duration::ZERO, |promised| now.mono.since(promised));
        let monotonic = i64::try_from(now.mono.since(self.pulse.last.mono).as_millis()).unwrap_or(i64::MAX);
        let gap = now.wall.millis_since(self.pulse.last.wall).saturating_sub(monotonic).unsigned_abs();
        let is_clock_set = Duration::from_millis(gap) > policy.clock_gap;
        let is_stalled = lag > policy.loop_lag || is_clock_set;
        if is_clock_set {
            self.view.set_clock(now.mono);
        }
        if is_stalled {
            self.pulse.stalled_at = Some(now.mono);
            self.view.void_until(now.mono);
            self.touched.extend(self.view.inventory().clusters.keys().cloned().map(Some));
        }
        let lags = &mut self.pulse.lags;
        if lags.back().is_none_or(|(at, known)| lag > *known || now.mono.since(*at) >= Duration::from_secs(1)) {
            lags.push_back((now.mono, lag));
        }
        while lags.front().is_some_and(|(at, _)| now.mono.since(*at) > LAG_WINDOW) || lags.len() > 256 {
            lags.pop_front();
        }
        self.pulse.last = now;
    }

    fn observe(&mut self, observation: Observation, now: Now) {
        if let Some(id) = observation.look {
            self.flight.land(id);
        }
        if !self.view.concerns(&observation) {
            return;
        }
        let observation = Arc::new(observation);
        let taken = self.view.take(&observation, now);
        self.counters.voided += u64::from(taken.is_void);
        self.counters.late += u64::from(taken.is_late);
        self.is_snapshot_stale = true;
        for (subject, first) in &taken.turned_bad {
            self.burst(subject, *first, now);
        }
        if let Some(subject) = &taken.doubtful_chain {
            self.bursts.second_handshake(subject, now.mono);
        }
        if let Some(cluster) = taken.touched {
            self.touched.insert(Some(cluster));
        }
        if !observation.proves_path || self.view.path().is_blind() || self.ladder.alarm(&blind_key()).is_some() {
            self.touched.insert(None);
        }
    }

    fn burst(&mut self, subject: &Subject, first: Now, now: Now) {
        let inventory = Arc::clone(self.view.inventory());
        self.bursts.start(subject, first, &inventory, self.view.policy(), now.mono);
    }

    fn notice_overdue(&mut self, now: Now) {
        let policy = self.view.policy().clone();
        while let Some(attention) = self.flight.pop(&policy, now.mono) {
            match attention {
                Attention::Overdue(probe, scheduled) => {
                    if self.view.take_overdue(&probe, scheduled.mono, now.mono) {
                        self.burst(&probe.subject, scheduled, now);
                    }
                }
                Attention::GivenUp(_) => self.counters.lost += 1,
            }
        }
    }

    fn look_due(&mut self, now: Now) {
        while let Some((probe, due, missed)) = self.schedule.pop(now.mono) {
            self.counters.skipped += missed;
            self.look(probe, due, false, now);
        }
        let policy = self.view.policy().clone();
        while let Some((probe, due)) = self.bursts.pop(&policy, now.mono) {
            self.look(probe, due, true, now);
        }
        self.counters.bursts_shed = self.bursts.shed();
    }

    fn look(&mut self, probe: Probe, due: Mono, in_burst: bool, now: Now) {
        let scheduled = now.minus(now.mono.since(due));
        match self.flight.start(probe, scheduled, in_burst, self.view.policy()) {
            Some(look) => {
                self.counters.looks += 1;
                self.counters.burst_looks += u64::from(in_burst);
                self.actions.push_back(Action::Look(look));
            }
            None => self.counters.skipped += 1,
        }
    }

    fn judge_touched(&mut self, now: Now) {
        let policy = self.view.policy().clone();
        while let Some((at, key)) = self.ladder.next().filter(|(at, _)| *at <= now.mono) {
            let scope = key.subject.cluster().cloned();
            // Judged already in this turn and still due: its verdict cannot tell, so its clock stands still.
            if !self.touched.insert(scope) || at > now.mono {
                break;
            }
        }
        // The vantage first: what it says decides what is believed of all others.
        for scope in std::mem::take(&mut self.touched) {
            self.judge_scope(scope.as_ref(), &policy, now);
        }
    }

    fn judge_scope(&mut self, scope: Option<&Name>, policy: &Policy, now: Now) {
        let inventory = Arc::clone(self.view.inventory());
        let cluster = scope.and_then(|name| inventory.clusters.get_key_value(name));
        if scope.is_some() && cluster.is_none() {
            return;
        }
        let verdicts = judge::judge(&Scene { view: &self.view, cluster, now });
        self.withdraw_unjudged(scope, &verdicts, now);
        for (key, verdict) in verdicts {
            if key == blind_key() {
                self.set_blind(&verdict, now);
            }
            let step = self.ladder.take(&key, verdict, policy, now);
            self.follow(&key, step, now);
        }
    }

    /// What no rule speaks of any more, because the configuration changed, would stay open for ever.
    fn withdraw_unjudged(&mut self, scope: Option<&Name>, verdicts: &[(FindingKey, Verdict)], now: Now) {
        let of_scope = self.ladder.alarms().filter(|alarm| alarm.finding.subject.cluster() == scope);
        let is_judged = |key: &FindingKey| verdicts.iter().any(|(judged, _)| judged == key);
        let unjudged: Vec<FindingKey> = of_scope.map(Alarm::key).filter(|key| !is_judged(key)).collect();
        for key in unjudged {
            let is_stored = matches!(key.subject, Subject::Stored(..));
            // Not yet looked at, or not readable now: it may still be there.
            if is_stored && !self.view.knows_all_files(scope) {
                continue;
            }
            self.ladder.withdraw(&key);
            self.changes.push(Change::AlarmOver(key.clone()));
            // What is in no file any more was replaced or taken away, and that is the end of it.
            self.recover_everywhere(&key, now.wall, !is_stored, now);
        }
    }

    fn set_blind(&mut self, verdict: &Verdict, now: Now) {
        let was_blind = self.view.path().is_blind();
        match verdict {
            Verdict::Bad(_) if !was_blind => {
                self.view.set_blind(true, now.mono);
                self.touched.extend(self.view.inventory().clusters.keys().cloned().map(Some));
            }
            Verdict::Good { .. } if was_blind => {
                self.view.set_blind(false, now.mono);
                self.outbox.hurry(now.mono);
                self.touched.extend(self.view.inventory().clusters.keys().cloned().map(Some));
            }
            Verdict::Good { .. } | Verdict::Bad(_) | Verdict::Unknown(_) => {}
        }
    }

    /// Writes down what a step means, and hands it on to the incident that speaks for the alarm.
    fn follow(&mut self, key: &FindingKey, step: Step, now: Now) {
        match step {
            Step::None => return,
            Step::Raised | Step::Fired => self.note_alarm(key),
            Step::Changed => {
                self.note_alarm(key);
                if let Some((incident, finding)) = self.spoken_for(key) {
                    self.incidents.refresh(&incident, &finding);
                }
            }
            Step::Worsened => {
                self.note_alarm(key);
                if let Some((incident, finding)) = self.spoken_for(key) {
                    let said = self.incidents.worsen(&incident, &finding, now.mono);
                    self.note_incident(&incident);
                    self.say(said, now);
                }
            }
            Step::Recovered(at) => {
                self.changes.push(Change::AlarmOver(key.clone()));
                self.recover_everywhere(key, at, false, now);
            }
            Step::Dropped => self.changes.push(Change::AlarmOver(key.clone())),
        }
        self.is_snapshot_stale = true;
    }

    fn note_alarm(&mut self, key: &FindingKey) {
        if let Some(alarm) = self.ladder.alarm(key) {
            self.changes.push(Change::Alarm(Box::new(alarm.clone())));
        }
    }

    fn flush(&mut self, now: Now) {
        if self.rewrite.due.is_some_and(|due| due <= now.mono) && self.rewrite.under_way.is_none() {
            self.rewrite = Rewrite { due: None, under_way: Some(self.sequence + 1) };
            let everything = self.everything();
            self.changes.push(Change::Everything(Box::new(everything)));
        }
        if !self.changes.is_empty() {
            self.sequence += 1;
            let changes = std::mem::take(&mut self.changes);
            self.actions.push_back(Action::Persist { sequence: self.sequence, changes });
        }
    }

    fn persisted(&mut self, sequence: u64, result: &Result<(), String>, now: Now) {
        if self.rewrite.under_way == Some(sequence) {
            self.rewrite.under_way = None;
        }
        if result.is_err() {
            self.rewrite.due.get_or_insert(now.mono.plus(self.view.policy().hold_renewal));
        }
        self.store_works = Some(result.is_ok());
        self.counters.persist_failures += u64::from(result.is_err());
        self.outbox.written(sequence, result.is_ok(), now.mono, tell::mark_unstored);
        self.is_snapshot_stale = true;
    }

    /// All that must survive, as of now.
    fn everything(&self) -> Memory {
        let (ended, incidents) =
            self.incidents.all().map(|known| Incident::clone(known)).partition(|known: &Incident| known.over.is_some());
        Memory {
            alarms: self.ladder.alarms().cloned().collect(),
            incidents,
            owed: self.outbox.owed(),
            ended,
            silences: self.silences.all().cloned().collect(),
        }
    }

    fn beaten(&mut self, accepted: bool) {
        self.heart.is_under_way = false;
        let counter = if accepted { &mut self.counters.beats } else { &mut self.counters.beats_failed };
        *counter += 1;
    }

    fn beat_due(&mut self, now: Now) {
        if !self.view.inventory().heartbeat || self.heart.due > now.mono {
            return;
        }
        self.heart.due = now.mono.plus(self.view.policy().heartbeat_interval);
        let beats = self.heartbeat_state(now) == crate::model::snapshot::HeartbeatState::Beating;
        if beats && !self.heart.is_under_way {
            self.heart.is_under_way = true;
            self.actions.push_back(Action::Beat);
        }
    }

    /// Holds are written down once more, so that a restart loses none of them.
    fn stop(&mut self) {
        self.is_stopping = true;
        let alarms: Vec<Change> = self.ladder.alarms().map(|alarm| Change::Alarm(Box::new(alarm.clone()))).collect();
        self.changes.extend(alarms);
    }
}

/// The first heartbeat comes within this time of the start.
const FIRST_BEAT: Duration = Duration::from_secs(5);

/// A picture older than this means that the scheduler stands still, even where there is little to look at.
const SNAPSHOT_AGE: Duration = Duration::from_secs(2);

/// Lateness is remembered for this long.
const LAG_WINDOW: Duration = Duration::from_secs(60);

const fn blind_key() -> FindingKey {
    FindingKey { rule: crate::model::rule::RuleId::F04, subject: Subject::Vantage }
}
