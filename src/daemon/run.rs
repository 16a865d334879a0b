//! `vedette run`: the only loop. Inputs go into the engine one at a time, actions go to the adapters.
//!
//! The loop waits for nothing but its next input: probes, persists, mails and heartbeats run beside it and report back
//! through bounded channels. So a slow answer, a stalled relay or a hung disk delays no tick.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use std::path::PathBuf;

use crate::config::last_good;
use crate::config::load::Loaded;
use crate::config::problem::Problem;
use crate::engine::Engine;
use crate::expose::{Control, Expose, OrderIntake, Pages, Request, Shared, Web};
use crate::model::delivery::{Attempt, DeliveryFailure, DeliveryResult, FailureClass, Receipt};
use crate::model::exchange::{Action, Input};
use crate::model::observation::Observation;
use crate::model::outlet::Outlet;
use crate::model::reload::{self, Refusal, Reload, Replacement};
use crate::model::snapshot::Snapshot;
use crate::model::time::{Clock, Now, UnixTime};
use crate::store::Store;

use super::adapters::Edges;
use super::alarm_log::AlarmLog;
use super::clock;
use super::orders::Waiting;
use super::page_server;
use super::recorder::{self, Recorder};
use super::reload::{Cause, ReloadAttempt as Reading, Reloads};
use super::reload_difference::differences;
use super::shutdown::{Demand, Signals};
use super::systemd::{self, Progress, Watchdog};

/// Observations waiting for the loop: two seconds of the busiest vantage planned for (1,000 probes a second).
const OBSERVED: usize = 2048;

/// Results of persists, mails and heartbeats waiting for the loop.
const REPORTED: usize = 1024;

/// Orders of people waiting for the loop.
const ORDERED: usize = 16;

/// On the way out, mails under way may still end, so that what the relay accepted is recorded and never repeated.
const DRAIN: Duration = Duration::from_secs(5);

/// Everything the loop drives.
struct Daemon {
    engine: Engine,
    clock: Clock,
    file: PathBuf,
    edges: Edges,
    store: Store,
    recorder: Option<Recorder>,
    tasks: TaskTracker,
    reports: mpsc::Sender<Input>,
    shared: Shared,
    journal: AlarmLog,
    waiting: Waiting,
    watchdog: Option<Watchdog>,
    last_persist: u64,
    persisted: u64,
    sending: usize,
}

/// What the daemon starts from.
#[derive(Debug)]
pub struct Start {
    /// The configuration, as the person named it.
    pub file: PathBuf,
    /// What is to be used.
    pub loaded: Loaded,
    /// When `loaded` is the copy in place of the file: the copy's time, and the errors of the file.
    pub stands_in: Option<(UnixTime, Vec<Problem>)>,
}

/// Runs until a signal asks to end.
///
/// # Errors
/// What kept it from starting: a port that is taken, an address that is none, credentials that can never work.
pub async fn run(start: Start) -> anyhow::Result<()> {
    let clock = clock::system();
    let mut signals = Signals::listen()?;
    let refused = start.stands_in.as_ref().map(|(_, problems)| problems.clone());
    let reloads = Reloads::watch(start.file.clone(), &start.loaded, refused)?;
    let mut expose = Expose::bind(start.loaded.settings.vantage.listen).await?;
    let mut scheme = "http";
    if let Some(place) = &start.loaded.settings.vantage.web_config {
        let web = Web::open(place.clone()).await?;
        scheme = web.scheme();
        expose = expose.guarded_by(web);
    }
    let (observe, mut observed) = mpsc::channel(OBSERVED);
    let (reports, mut reported) = mpsc::channel(REPORTED);
    let mut daemon = Daemon::new(&start, clock.clone(), observe, reports)?;
    let (silence_request, mut wished) = mpsc::channel(1);
    let watching = tokio::spawn(reloads.run(silence_request));

    let stop = CancellationToken::new();
    let pages =
        Pages::new(Arc::clone(&daemon.shared), clock).with_recorder(daemon.recorder.as_ref().map(Recorder::counters));
    let address = expose.address()?;
    let control = listen(start.loaded.settings.vantage.control.as_deref());
    let (orders, mut ordered) = mpsc::channel(ORDERED);
    let order_intake = OrderIntake { snapshot: Arc::clone(&daemon.shared), clock: daemon.clock.clone(), orders };
    let control_server = control.map(|control| tokio::spawn(control.serve(pages.clone(), order_intake, stop.clone())));
    let server = page_server::serve(expose, pages, stop.clone())?;
    let clusters = start.loaded.settings.clusters.len();
    tracing::info!(%address, clusters, "started: {clusters} clusters, status page and metrics at {scheme}://{address}");

    // The adapters have their own; of thousands of endpoints one copy is enough.
    drop(start.loaded.settings);
    match start.stands_in {
        Some((of, problems)) => daemon.stand_in(of, &problems),
        None => daemon.keep_copy(start.loaded.text),
    }
    daemon.take(Input::Elapsed);
    systemd::ready(&daemon.status());
    let aborted = daemon.work(&mut signals, &mut observed, &mut reported, &mut ordered, &mut wished).await;
    watching.abort();
    drop(ordered);

    systemd::stopping("draining");
    if !aborted {
        daemon.drain(&mut signals, &mut observed, &mut reported).await;
    }
    stop.cancel();
    // What is lost here is not needed: what must last is in the store.
    tokio::time::timeout(Duration::from_secs(1), daemon.edges.collectors.shutdown()).await.ok();
    tokio::time::timeout(Duration::from_secs(1), server).await.ok();
    if let Some(recorder) = daemon.recorder.take() {
        let ended = tokio::task::spawn_blocking(|| recorder.close().join());
        tokio::time::timeout(Duration::from_secs(1), ended).await.ok();
    }
    if let Some(control_server) = control_server {
        tokio::time::timeout(Duration::from_secs(1), control_server).await.ok();
    }
    Ok(())
}

impl Daemon {
    fn new(
        start: &Start,
        clock: Clock,
        observe: mpsc::Sender<Observation>,
        reports: mpsc::Sender<Input>,
    ) -> anyhow::Result<Self> {
        let now = clock.now();
        let settings = &start.loaded.settings;
        let engine = Engine::new(Arc::new(settings.inventory()), settings.policy.clone(), now);
        let report = reports.clone();
        let store = Store::open(settings.vantage.store.clone(), now.wall, move |input| {
            // Called from the store's own thread, and from the loop when the queue is full: it must not wait. A result
            // that finds no room may be lost: messages wait for it 2 s at most.
            if report.try_send(input).is_err() {
                tracing::warn!("internal error: a result of the database was dropped, please report this");
            }
        })?;
        let recordings = settings.vantage.store.with_file_name(recorder::FOLDER);
        let recorder = settings.vantage.recordings.map(|bytes| Recorder::start(recordings, bytes, clock.clone()));
        Ok(Self {
            recorder: recorder.transpose()?,
            file: start.file.clone(),
            edges: Edges::new(settings.clone(), clock.clone(), observe)?,
            shared: Arc::new(ArcSwap::new(engine.snapshot())),
            engine,
            clock,
            store,
            tasks: TaskTracker::new(),
            reports,
            journal: AlarmLog::default(),
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
        wished: &mut mpsc::Receiver<Reading>,
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
                Some(reading) = wished.recv() => {
                    self.reload(reading);
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
            Input::Restored(memory) => AlarmLog::note_restored(memory),
            Input::Observed(_)
            | Input::Ordered(_)
            | Input::Beaten { .. }
            | Input::Reconfigured(_)
            | Input::Elapsed
            | Input::Stopping => {}
        }
        self.journal.note_input(&input);
        let now = self.clock.now();
        if let Some(recorder) = &mut self.recorder {
            recorder.before(&self.engine, now);
            recorder.note(&input, now);
        }
        self.engine.handle(input, now);
        while let Some(action) = self.engine.next_action() {
            self.act(action, now);
        }
        self.publish();
        self.feed_watchdog();
    }

    /// Carries out a person's order and answers it once the store has it, or at once if it changed nothing.
    fn order(&mut self, Request { order, answer }: Request) {
        let before = self.last_persist;
        self.take(Input::Ordered(order));
        if self.last_persist > before {
            self.waiting.expect(self.last_persist, answer);
        } else {
            // The client may have closed its connection.
            answer.send(Ok(())).ok();
        }
    }

    fn act(&mut self, action: Action, now: Now) {
        match action {
            Action::Probe(request) => self.edges.collectors.start(request),
            Action::Persist { sequence, changes } => {
                self.journal.note_changes(&changes);
                if let Some(recorder) = &mut self.recorder {
                    recorder.note_changes(&changes);
                }
                self.last_persist = sequence;
                self.store.persist(sequence, changes);
            }
            Action::Send(attempt) => self.send(*attempt, now),
            Action::Beat => self.beat(),
        }
    }

    fn send(&mut self, attempt: Attempt, now: Now) {
        let sender = match attempt.outlet {
            Outlet::Mail => self.edges.email.clone(),
        };
        let Some(email) = sender else { return };
        self.sending += 1;
        if let Some(recorder) = &mut self.recorder {
            recorder.note_mail(recorder::mailed(&attempt, now));
        }
        let (reports, deadline) = (self.reports.clone(), self.edges.delivery_deadline());
        let text = "the attempt died without an answer".to_owned();
        let died = DeliveryResult::Failed(DeliveryFailure { class: FailureClass::Broken, text });
        let mut under_way = SendAttempt { if_it_dies: Some(attempt.all(&died)), reports };
        self.tasks.spawn(async move {
            let receipts = email.deliver(&attempt, deadline).await;
            under_way.report(receipts).await;
        });
    }

    fn beat(&self) {
        let Some(heartbeat) = self.edges.heartbeat.clone() else { return };
        let reports = self.reports.clone();
        self.tasks.spawn(async move {
            let result = heartbeat.beat().await;
            reports.send(Input::Beaten { accepted: result.is_ok() }).await.ok();
        });
    }

    /// Accepts or refuses what was read, and logs which.
    fn reload(&mut self, Reading { cause, result }: Reading) {
        let reload = result.map_err(|problems| errors(&problems));
        let reload = match reload.and_then(|loaded| self.replace(*loaded, cause)) {
            Ok(replacement) => Reload::Taken(Box::new(replacement)),
            Err(mistakes) => Reload::Refused(self.refusal(mistakes, "the configuration in use stays in use")),
        };
        self.take(Input::Reconfigured(reload));
        systemd::ready(&self.status());
    }

    /// Nothing has changed when this fails.
    fn replace(&mut self, loaded: Loaded, cause: Cause) -> Result<Replacement, Vec<String>> {
        let Loaded { settings, warnings, text } = loaded;
        let setup_error = |error: anyhow::Error| vec![format!("{}: error: {error:#}", self.file.display())];
        let (edges, remarks) = self.edges.replaced(settings).map_err(setup_error)?;
        let changes = differences(&self.edges.settings, &edges.settings);
        let changes = if changes.is_empty() { "nothing in it changed".to_owned() } else { changes.join(", ") };
        let cause = match cause {
            Cause::Signal => "SIGHUP",
            Cause::File => "its file changed",
            Cause::Again => "it can be used again",
        };
        tracing::info!(changes, "configuration reloaded ({cause}): {changes}");
        for remark in remarks.iter().cloned().chain(warnings.iter().map(ToString::to_string)) {
            tracing::warn!("{remark}");
        }
        self.edges = edges;
        self.keep_copy(text);
        let settings = &self.edges.settings;
        Ok(Replacement {
            at: self.clock.now().wall,
            inventory: Arc::new(settings.inventory()),
            policy: Arc::new(settings.policy.clone()),
            remarks: reload::first(remarks),
        })
    }

    /// The file cannot be used, and its last good copy is in use instead.
    fn stand_in(&mut self, of: UnixTime, problems: &[Problem]) {
        let refusal = self.refusal(errors(problems), &format!("the copy of {of} stands in for it"));
        self.take(Input::Reconfigured(Reload::StoodIn { of, refusal }));
    }

    fn refusal(&self, mistakes: Vec<String>, instead: &str) -> Refusal {
        for mistake in &mistakes {
            tracing::error!("{mistake}");
        }
        let file = self.file.display();
        tracing::error!(mistakes = mistakes.len(), "{file} rejected; {instead}");
        Refusal::new(self.clock.now().wall, mistakes)
    }

    /// Stores what is in use, for a start with an invalid file. When the disk hangs or is full, the daemon goes on
    /// without.
    fn keep_copy(&self, text: String) {
        let (file, store) = (self.file.clone(), self.edges.settings.vantage.store.clone());
        self.tasks.spawn_blocking(move || {
            if let Err(error) = last_good::keep(&text, &file, &store) {
                tracing::warn!(%error, "keeping a copy of the configuration beside {}: {error}", store.display());
            }
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
        // The engine wakes every other second at least, to renew the snapshot, so no input is a stall.
        if watchdog.feed(Progress { inputs, was_due: true }, self.clock.now()) {
            systemd::status(&self.status());
        }
    }

    /// The line that `systemctl status` shows.
    fn status(&self) -> String {
        let snapshot = self.engine.snapshot();
        let open = snapshot.incidents.iter().filter(|incident| incident.over.is_none()).count();
        let clusters = snapshot.inventory.clusters.len();
        let silenced = match snapshot.silences.len() {
            0 => String::new(),
            number => format!(" ({number} silenced)"),
        };
        match snapshot.isolated_since {
            Some(since) => format!("isolated since {since}; {open} open incidents; {clusters} clusters{silenced}"),
            None => {
                let waiting = snapshot.backlog.waiting;
                format!("{open} open incidents; {clusters} clusters{silenced}; {waiting} mails waiting")
            }
        }
    }
}

/// One attempt to send, which reports its result even when its task panics: a message that stayed under way for ever
/// would be an alert lost.
struct SendAttempt {
    /// What is reported if the task panics.
    if_it_dies: Option<Vec<Receipt>>,
    reports: mpsc::Sender<Input>,
}

impl SendAttempt {
    /// Recipients that `receipts` leaves out are reported as if the task had died.
    async fn report(&mut self, receipts: Vec<Receipt>) {
        let Some(mut all) = self.if_it_dies.take() else { return };
        all.retain(|known| receipts.iter().all(|receipt| receipt.delivery != known.delivery));
        all.extend(receipts);
        // The loop is gone only when the process is about to end.
        self.reports.send(Input::Delivered(all)).await.ok();
    }
}

impl Drop for SendAttempt {
    fn drop(&mut self) {
        let Some(receipts) = self.if_it_dies.take() else { return };
        if self.reports.try_send(Input::Delivered(receipts)).is_err() {
            tracing::error!("internal error: an attempt to send a mail was lost, please report this");
        }
    }
}

/// The socket for people on this machine. Without it monitoring goes on, and the log says so.
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

/// What kept a configuration from being used; its warnings did not.
fn errors(problems: &[Problem]) -> Vec<String> {
    problems.iter().filter(|problem| problem.is_error()).map(ToString::to_string).collect()
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
