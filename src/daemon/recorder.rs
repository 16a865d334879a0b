//! The flight recorder: everything that goes into the engine is written down, for a replay of what happened.
//!
//! It must never be in the way: the loop hands each input to a bounded queue and goes on, a thread of its own writes,
//! and nothing is ever forced to the disk. What finds no room in the queue is counted, and the next segment begins with
//! a new checkpoint as soon as there is room again. A segment is a minute long; where writing the engine down takes so
//! long that the loop would notice, it is longer.

#[cfg(test)]
mod tests;
mod writing;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::engine::Engine;
use crate::expose::RecorderCounters;
use crate::model::delivery::Attempt;
use crate::model::exchange::{Change, Input};
use crate::model::time::{Clock, Mono, Now};
use crate::render::subject_line;
use crate::store::recording::{Chunks, Head, Keep, Limits, Mailed, Record};

use writing::{Job, Shared};

/// Records waiting for the disk: 4 s of the busiest vantage planned for, minutes of an ordinary one, a few MiB.
const QUEUE: usize = 4096;

/// The folder, beside the database.
pub const FOLDER: &str = "recordings";

/// Length of a segment.
const SEGMENT: Duration = Duration::from_secs(60);

/// Writing the engine down takes at most this part of the loop's time.
const CHECKPOINT_SHARE: u32 = 1000;

/// Bytes of the filesystem that are left to the database and to others.
const RESERVE: u64 = 256 << 20;

/// The handle on the recorder's thread.
pub struct Recorder {
    queue: SyncSender<Job>,
    waiting: Arc<AtomicUsize>,
    counters: Arc<RecorderCounters>,
    /// Whether the open segment is large enough.
    is_full: Arc<AtomicBool>,
    clock: Clock,
    /// When the next segment is due.
    due: Mono,
    /// Inputs that the queue had no room for since the last one that it had.
    dropped: u64,
    /// Whether nothing is missing since the last segment began.
    is_whole: bool,
    /// The thread has died.
    is_over: bool,
    thread: JoinHandle<()>,
}

impl Recorder {
    /// Starts the thread that records into `folder`, at most `bytes` of the latest and as much again of what is kept.
    ///
    /// # Errors
    /// When the thread cannot be started. Whatever is wrong with the disk is counted and logged.
    pub fn start(folder: PathBuf, bytes: u64, clock: Clock) -> std::io::Result<Self> {
        let limits = Limits { latest: bytes, kept: bytes, reserve: RESERVE };
        let (queue, jobs) = sync_channel(QUEUE);
        let (waiting, counters, is_full) =
            (Arc::<AtomicUsize>::default(), Arc::default(), Arc::<AtomicBool>::default());
        let thread = std::thread::Builder::new().name("recorder".into()).spawn({
            let shared = Shared {
                waiting: Arc::clone(&waiting),
                counters: Arc::clone(&counters),
                is_full: Arc::clone(&is_full),
            };
            move || writing::work(&folder, limits, &jobs, &shared)
        })?;
        let (due, dropped, is_whole, is_over) = (Mono::ORIGIN, 0, false, false);
        Ok(Self { queue, waiting, counters, is_full, clock, due, dropped, is_whole, is_over, thread })
    }

    /// What can be told of it.
    #[must_use]
    pub fn counters(&self) -> Arc<RecorderCounters> {
        Arc::clone(&self.counters)
    }

    /// Before `engine` handles the next input: begins a segment when one is due.
    pub fn before(&mut self, engine: &Engine, now: Now) {
        let is_crowded = self.waiting.load(Ordering::Relaxed) > QUEUE / 2;
        let is_due = self.due <= now.mono || !self.is_whole || self.is_full.swap(false, Ordering::Relaxed);
        if !is_due || is_crowded || self.is_over {
            return;
        }
        let began = self.clock.now();
        let mut checkpoint = Chunks::default();
        if let Err(error) = engine.write_checkpoint(&mut checkpoint) {
            tracing::error!("nothing is recorded: {:#}", anyhow::Error::from(error));
            self.due = now.mono.plus(SEGMENT);
            return;
        }
        let spent = self.clock.now().since(began);
        self.due = now.mono.plus(SEGMENT.max(spent.saturating_mul(CHECKPOINT_SHARE)));
        let head = Head {
            vedette: env!("CARGO_PKG_VERSION").to_owned(),
            vantage: engine.snapshot().inventory.vantage.clone(),
            began: now,
            follows: self.is_whole && self.dropped == 0,
            only: None,
        };
        self.is_whole = true;
        let dropped = std::mem::take(&mut self.dropped);
        self.push(Job::Begin { head: Box::new(head), checkpoint, dropped });
    }

    /// An input that is about to be handled.
    pub fn note(&mut self, input: &Input, now: Now) {
        if self.is_whole {
            self.push(Job::Record(Record::Input { now, input: input.clone() }));
        } else {
            self.dropped += 1;
            self.counters.drop_input();
        }
        if let Input::Restored(Ok(persisted)) = input {
            // Of those that began shortly before a restart, what follows is kept as well.
            persisted.incidents.iter().for_each(|incident| self.push(Job::Keep(Keep::of(incident))));
        }
    }

    /// Changes that are persisted: of an incident that they open, what led to it is kept.
    pub fn note_changes(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::Incident(incident) = change
                && incident.over.is_none()
            {
                self.push(Job::Keep(Keep::of(incident)));
            }
        }
    }

    /// A mail that is handed to the mailer.
    pub fn note_mail(&mut self, mailed: Mailed) {
        if self.is_whole {
            self.push(Job::Record(Record::Mailed(mailed)));
        }
    }

    /// Ends the recorder. The thread finishes what is queued; joining it waits for the disk, however long that takes.
    #[must_use]
    pub fn close(self) -> JoinHandle<()> {
        self.thread
    }

    fn push(&mut self, job: Job) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let lost = match self.queue.try_send(job) {
            Ok(()) => return,
            Err(TrySendError::Full(lost)) => lost,
            Err(TrySendError::Disconnected(lost)) => {
                self.is_over = true;
                lost
            }
        };
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.is_whole = false;
        match lost {
            Job::Begin { dropped, .. } => self.dropped += dropped,
            Job::Record(Record::Input { .. }) => {
                self.dropped += 1;
                self.counters.drop_input();
            }
            Job::Record(_) | Job::Keep(_) => {}
        }
    }
}

/// What is recorded of a mail that is handed to the mailer at `now`.
#[must_use]
pub fn mailed(attempt: &Attempt, now: Now) -> Mailed {
    let message = &attempt.message;
    Mailed {
        at: now.wall,
        message: message.id.clone(),
        attempt: attempt.attempts.saturating_add(1),
        incident: message.incident.id.clone(),
        cluster: message.incident.cluster.clone(),
        subject: subject_line::subject(message),
        recipients: attempt.recipients.iter().cloned().collect(),
    }
}
