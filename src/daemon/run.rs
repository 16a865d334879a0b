//! `vedette run`: the only loop. Inputs go into the engine one at a time, actions go out to the edges.
//!
//! The loop waits for nothing but its next input: looks, persists, mails and heartbeats run beside it and report back
//! through bounded channels. So a slow answer, a stalled relay or a hung disk delays no tick.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::collect::Collectors;
use crate::config::settings::Settings;
use crate::engine::Engine;
use crate::expose::{Control, Desk, Expose, Pages, Request, Shared};
use crate::model::exchange::{Action, Input};
use crate::model::message::{Delivery, DeliveryFailure, FailureClass, MessageId, Receipt};
use crate::model::observation::Observation;
use crate::model::snapshot::Snapshot;
use crate::model::time::Clock;
use crate::notify::email::Email;
use crate::notify::heartbeat::Heartbeat;
use crate::store::Store;

use super::clock;
use super::journal::Journal;
use super::orders::Waiting;
use super::shutdown::{Demand, Signals};
use super::systemd::{self, Progress, Watchdog};

/// Observations waiting for the loop: two seconds of the busiest vantage planned for (1,000 looks a second).
const OBSERVED: usize = 2048;

/// Results of persists, mails and heartbeats waiting for the loop.
const REPORTED: usize = 1024;

/// Orders of people waiting for the loop.
const ORDERED: usize = 16;

/// Mails under way at once. A storm of incidents must not look like an attack to the relay.
const MAILS_AT_ONCE: usize = 4;

/// On the way out, mails under way may still end, so that what the relay accepted is recorded and never repeated.
const DRAIN: Duration = Duration::from_secs(5);

/// Everything the loop drives.
struct Daemon {
    engine: Engine,
    clock: Clock,
    collectors: Collectors,
    store: Store,
    email: Option<Arc<Email>>,
    heartbeat: Option<Arc<Heartbeat>>,
    delivery_deadline: Duration,
    mails: Arc<Semaphore>,
    tasks: TaskTracker,
    reports: mpsc::Sender<Input>,
    shared: Shared,
    journal: Journal,
    waiting: Waiting,
    watchdog: Option<Watchdog>,
    last_persist: u64,
    persisted: u64,
    sending: usize,
}

/// Runs until a signal asks to end.
///
/// # Errors
/// What kept it from starting: a port that is taken, an address that is none, credentials that can never work.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let clock = clock::system();
    let mut signals = Signals::listen()?;
    let expose = Expose::bind(settings.vantage.listen).await?;
    let (observe, mut observed) = mpsc::channel(OBSERVED);
    let (reports, mut reported) = mpsc::channel(REPORTED);
    let mut daemon = Daemon::new(&settings, clock.clone(), observe, reports)?;

    let stop = CancellationToken::new();
    let pages = Pages::new(Arc::clone(&daemon.shared), Arc::new(settings.policy.clone()), clock);
    let address = expose.address()?;
    let control = listen(settings.vantage.control.as_deref());
    let (orders, mut ordered) = mpsc::channel(ORDERED);
    let desk = Desk { snapshot: Arc::clone(&daemon.shared), clock: daemon.clock.clone(), orders };
    let office = control.map(|control| tokio::spawn(control.serve(pages.clone(), desk, stop.clone())));
    let server = tokio::spawn(expose.serve(pages, stop.clone()));
    tracing::info!(%address, clusters = settings.clusters.len(), "looking; metrics at http://{address}/metrics");

    daemon.take(Input::Elapsed);
    systemd::ready(&daemon.status());
    let aborted = daemon.work(&mut signals, &mut observed, &mut reported, &mut ordered).await;
    drop(ordered);

    systemd::stopping("draining");
    if !aborted {
        daemon.drain(&mut signals, &mut observed, &mut reported).await;
    }
    stop.cancel();
    // Nothing that is lost here was promised: what must last is in the store.
    tokio::time::timeout(Duration::from_secs(1), daemon.collectors.shutdown()).await.ok();
    tokio::time::timeout(Duration::from_secs(1), server).await.ok();
    if let Some(office) = office {
        tokio::time::timeout(Duration::from_secs(1), office).await.ok();
    }
    Ok(())
}

impl Daemon {
    fn new(
        settings: &Settings,
        clock: Clock,
        observe: mpsc::Sender<Observation>,
        reports: mpsc::Sender<Input>,
    ) -> anyhow::Result<Self> {
        let now = clock.now();
        let engine = Engine::new(Arc::new(settings.inventory()), settings.policy.clone(), now);
        let report = reports.clone();
        let store = Store::open(settings.vantage.store.clone(), now.wall, move |input| {
            // Called from the store's own thread, and from the loop when the queue is full: it must not wait. A result
            // that finds no room is not missed for long: messages wait for it 2 s at most.
            if report.try_send(input).is_err() {
                tracing::warn!("a result of the store found no room and is dropped");
            }
        })?;
        let email = settings.mail.as_ref().map(|mail| Email::new(mail, &settings.vantage.name)).transpose()?;
        if let Some(email) = &email {
            email.pin();
        }
        Ok(Self {
            collectors: Collectors::new(settings, clock.clone(), observe)?,
            shared: Arc::new(ArcSwap::new(engine.snapshot())),
            engine,
            clock,
            store,
            email: email.map(Arc::new),
            heartbeat: settings.heartbeat.as_ref().map(|heartbeat| Arc::new(Heartbeat::new(heartbeat))),
            delivery_deadline: settings.policy.delivery_deadline,
            mails: Arc::new(Semaphore::new(MAILS_AT_ONCE)),
            tasks: TaskTracker::new(),
            reports,
            journal: Journal::default(),
            waiting: Waiting::default(),
            watchdog: Watchdog::of_service(),
            last_persist: 0,
            persisted: 0,
            sending: 0,
        })
    }

    /// Works until a signal; returns whether to drop everything.
    async fn work(
        &mut self,
        signals: &mut Signals,
        observed: &mut mpsc::Receiver<Observation>,
        reported: &mut mpsc::Receiver<Input>,
        ordered: &mut mpsc::Receiver<Request>,
    ) -> bool {
        loop {
            let deadline = self.engine.next_deadline().map(|at| clock::instant_of(&self.clock, at));
            let input = tokio::select! {
                biased;
                demand = signals.next() => {
                    return match demand {
                        Demand::Drain(signal) => {
                            tracing::info!(signal = signal.as_str(), "{}: draining", signal.as_str());
                            false
                        }
                        Demand::Abort(_) => true,
                    };
                }
                Some(input) = reported.recv() => input,
                Some(request) = ordered.recv() => {
                    self.order(request);
                    continue;
                }
                Some(observation) = observed.recv() => Input::Observed(Box::new(observation)),
                () = sleep_until(deadline) => Input::Elapsed,
            };
            self.take(input);
        }
    }

    /// Lets mails under way end and the store finish, within [`DRAIN`].
    async fn drain(
        &mut self,
        signals: &mut Signals,
        observed: &mut mpsc::Receiver<Observation>,
        reported: &mut mpsc::Receiver<Input>,
    ) {
        self.take(Input::Stopping);
        let end = tokio::time::sleep(DRAIN);
        let mut end = std::pin::pin!(end);
        while self.sending > 0 || self.persisted < self.last_persist {
            let input = tokio::select! {
                _ = signals.next() => return,
                () = &mut end => return,
                Some(input) = reported.recv() => input,
                // Read on, so that no collector waits for room while the tasks end.
                Some(_) = observed.recv() => continue,
            };
            self.take(input);
        }
    }

    fn take(&mut self, input: Input) {
        match &input {
            Input::Delivered { .. } => self.sending = self.sending.saturating_sub(1),
            Input::Persisted { sequence, result } => {
                self.persisted = self.persisted.max(*sequence);
                self.waiting.note(*sequence, result);
            }
            Input::Restored(memory) => Journal::note_memory(memory),
            Input::Observed(_) | Input::Ordered(_) | Input::Beaten { .. } | Input::Elapsed | Input::Stopping => {}
        }
        self.journal.note_input(&input);
        self.engine.handle(input, self.clock.now());
        while let Some(action) = self.engine.next_action() {
            self.act(action);
        }
        self.publish();
        self.feed_watchdog();
    }

    /// Does what a person asked for; they are told once the store has it. What changed nothing needs no store.
    fn order(&mut self, Request { order, answer }: Request) {
        let before = self.last_persist;
        self.take(Input::Ordered(order));
        if self.last_persist > before {
            self.waiting.expect(self.last_persist, answer);
        } else {
            // Whoever asked may have hung up.
            answer.send(Ok(())).ok();
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Look(look) => self.collectors.start(look),
            Action::Persist { sequence, changes } => {
                self.journal.note_changes(&changes);
                self.last_persist = sequence;
                self.store.persist(sequence, changes);
            }
            Action::Send(delivery) => self.send(*delivery),
            Action::Beat => self.beat(),
        }
    }

    fn send(&mut self, delivery: Delivery) {
        let Some(email) = self.email.clone() else { return };
        self.sending += 1;
        let (reports, mails, deadline) = (self.reports.clone(), Arc::clone(&self.mails), self.delivery_deadline);
        let mut attempt = Attempt { message: Some(delivery.message.id.clone()), reports };
        self.tasks.spawn(async move {
            let _place = mails.acquire_owned().await;
            let receipt = email.deliver(&delivery, deadline).await;
            attempt.report(receipt).await;
        });
    }

    fn beat(&self) {
        let Some(heartbeat) = self.heartbeat.clone() else { return };
        let reports = self.reports.clone();
        self.tasks.spawn(async move {
            let result = heartbeat.beat().await;
            if let Err(failure) = &result {
                tracing::debug!(class = failure.class.as_str(), "heartbeat not sent: {}", failure.text);
            }
            reports.send(Input::Beaten { accepted: result.is_ok() }).await.ok();
        });
    }

    fn publish(&self) {
        let snapshot: Arc<Snapshot> = self.engine.snapshot();
        if !Arc::ptr_eq(&snapshot, &self.shared.load()) {
            self.shared.store(snapshot);
        }
    }

    fn feed_watchdog(&mut self) {
        let Some(watchdog) = &mut self.watchdog else { return };
        let inputs = self.engine.snapshot().counters.inputs;
        // The engine wakes every other second at least, to renew its picture: no input is a stall.
        if watchdog.feed(Progress { inputs, was_due: true }, self.clock.now()) {
            systemd::status(&self.status());
        }
    }

    /// One line of truth for `systemctl status`.
    fn status(&self) -> String {
        let snapshot = self.engine.snapshot();
        let open = snapshot.incidents.iter().filter(|incident| incident.over.is_none()).count();
        let clusters = snapshot.inventory.clusters.len();
        let silenced = match snapshot.silences.len() {
            0 => String::new(),
            number => format!(" ({number} silenced)"),
        };
        match snapshot.blind_since {
            Some(since) => format!("blind since {since}; {open} open incidents; {clusters} clusters{silenced}"),
            None => {
                let waiting = snapshot.backlog.waiting;
                format!("{open} open incidents; {clusters} clusters{silenced}; {waiting} mails waiting")
            }
        }
    }
}

/// One attempt to send, which reports how it ended even when its task dies: a message that stayed under way for ever
/// would be a page lost.
struct Attempt {
    message: Option<MessageId>,
    reports: mpsc::Sender<Input>,
}

impl Attempt {
    async fn report(&mut self, receipt: Receipt) {
        if let Some(message) = self.message.take() {
            // The loop is gone only when the process is about to end.
            self.reports.send(Input::Delivered { message, receipt }).await.ok();
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let Some(message) = self.message.take() else { return };
        let text = "the attempt died without an answer".to_owned();
        let receipt = Receipt::Retry(DeliveryFailure { class: FailureClass::Other, text });
        if self.reports.try_send(Input::Delivered { message, receipt }).is_err() {
            tracing::error!("an attempt to send died, and nobody could be told");
        }
    }
}

/// The socket for people on this machine. A monitor watches on without it, and says that it does.
fn listen(path: Option<&Path>) -> Option<Control> {
    let path = path?;
    match Control::bind(path) {
        Ok(control) => Some(control),
        Err(error) => {
            tracing::error!(
                "no control socket, so 'vedette silence' and 'vedette status' do not reach this vedette: {:#}",
                anyhow::Error::from(error)
            );
            None
        }
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
