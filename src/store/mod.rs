//! What must survive a crash: alarms with their holds, incidents, and unsent messages.
//!
//! One thread owns the database, so a hung or full disk delays nothing else: the queue before it is bounded, and what
//! does not fit fails at once. Decides nothing, sends nothing and reads no clock; every time comes with a change. The
//! daemon starts it, and turns what it reports into inputs of the engine.

mod database;
mod envelope;
mod error;
mod reading;
pub mod recording;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod unsent;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use crate::model::error_chain::chain;
use crate::model::exchange::{Change, Input};
use crate::model::time::UnixTime;

use database::Database;
pub use error::StoreError;
pub use reading::incidents;

/// Persists waiting for the disk. The engine asks for a few per second at most, so this is minutes of a hung disk.
const QUEUE: usize = 256;

/// Persists that share one transaction, and so one flush of the disk.
const GROUP: usize = 64;

/// Ended incidents that are handed back at start.
const RECALLED: usize = 50;

type Report = Arc<dyn Fn(Input) + Send + Sync>;

/// The handle on the store's thread. Dropping it lets the thread finish what is queued.
pub struct Store {
    queue: SyncSender<Job>,
    report: Report,
    thread: JoinHandle<()>,
}

struct Job {
    sequence: u64,
    changes: Vec<Change>,
}

impl Store {
    /// Starts the thread that opens the database at `path` and hands back what it holds.
    ///
    /// Returns at once. `report` is called from the store's thread (or, when the queue is full, from the caller of
    /// [`Store::persist`]) with one [`Input::Restored`] and then one [`Input::Persisted`] per persist, in order. A
    /// database that is damaged is moved aside under a name that ends in `.corrupt-` and `now` in seconds.
    ///
    /// # Errors
    /// When the thread cannot be started. Whatever is wrong with the disk is reported, not returned.
    pub fn open(path: PathBuf, now: UnixTime, report: impl Fn(Input) + Send + Sync + 'static) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE);
        let report: Report = Arc::new(report);
        let thread = std::thread::Builder::new().name("store".into()).spawn({
            let report = Arc::clone(&report);
            move || work(Database::new(path, now), &jobs, &report)
        })?;
        Ok(Self { queue, report, thread })
    }

    /// Queues `changes`, which become durable together or not at all.
    pub fn persist(&self, sequence: u64, changes: Vec<Change>) {
        let refusal = match self.queue.try_send(Job { sequence, changes }) {
            Ok(()) => return,
            Err(TrySendError::Full(_)) => "the store's queue is full: the disk is slow or hangs",
            Err(TrySendError::Disconnected(_)) => "the store's thread has ended",
        };
        (self.report)(Input::Persisted { sequence, result: Err(refusal.into()) });
    }

    /// Ends the store. The thread finishes what is queued; joining it waits for the disk, however long that takes.
    #[must_use]
    pub fn close(self) -> JoinHandle<()> {
        self.thread
    }
}

fn work(mut database: Database, jobs: &Receiver<Job>, report: &Report) {
    let restored = database.restore().map_err(|error| chain(&error));
    if let Err(error) = &restored {
        tracing::error!("database not readable, going on with an empty one: {error}");
    }
    report(Input::Restored(restored));
    while let Ok(first) = jobs.recv() {
        let mut group = vec![first];
        group.extend(jobs.try_iter().take(GROUP - 1));
        let (sequences, changes): (Vec<u64>, Vec<Vec<Change>>) =
            group.into_iter().map(|job| (job.sequence, job.changes)).unzip();
        let result = database.persist(&changes).map_err(|error| chain(&error));
        if let Err(error) = &result {
            tracing::error!(persists = sequences.len(), "writing to the database failed: {error}");
        }
        for sequence in sequences {
            report(Input::Persisted { sequence, result: result.clone() });
        }
    }
}
