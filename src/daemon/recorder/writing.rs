//! The recorder's thread: writes segments, makes room, and copies what is kept.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::expose::RecorderCounters;
use crate::model::time::{Now, UnixTime};
use crate::store::recording::{Chunks, Folder, Head, Keep, Limits, Record, Segment, Writer};

/// What is recorded is handed to the kernel this often, so that a crash of vedette loses no more than that.
const FLUSH: Duration = Duration::from_secs(1);

/// Incidents of which parts are still to be kept. With more at a time something is wrong with everything, and the first
/// ones tell it.
const KEEPING: usize = 64;

/// What the thread is asked to do.
pub(super) enum Job {
    Begin { head: Box<Head>, checkpoint: Chunks, dropped: u64 },
    Record(Record),
    Keep(Keep),
}

/// What the thread and its handle both use.
pub(super) struct Shared {
    /// Jobs in the queue.
    pub(super) waiting: Arc<AtomicUsize>,
    pub(super) counters: Arc<RecorderCounters>,
    /// The open segment is large enough.
    pub(super) is_full: Arc<AtomicBool>,
}

/// The segment that is being written.
struct Open {
    writer: Writer<File>,
    path: PathBuf,
    began: UnixTime,
    latest: Now,
    flushed: Now,
    is_flushed: bool,
}

/// An incident of which parts are kept, and those that are not yet.
struct Keeping {
    keep: Keep,
    todo: VecDeque<Segment>,
}

struct Thread<'a> {
    folder: Folder,
    shared: &'a Shared,
    open: Option<Open>,
    keeping: Vec<Keeping>,
    is_failing: bool,
}

/// Works until the queue is closed.
pub(super) fn work(path: &Path, limits: Limits, jobs: &Receiver<Job>, shared: &Shared) {
    let mut is_failing = false;
    loop {
        match Folder::open(path.to_path_buf(), limits) {
            Ok(folder) => {
                let open = None;
                return Thread { folder, shared, open, keeping: Vec::new(), is_failing }.run(jobs);
            }
            Err(error) => {
                shared.counters.fail();
                if !is_failing {
                    tracing::warn!("nothing is recorded: {}: {error}", path.display());
                }
                is_failing = true;
            }
        }
        // Tried again with the next segment.
        loop {
            let Ok(job) = jobs.recv() else { return };
            shared.waiting.fetch_sub(1, Ordering::Relaxed);
            match job {
                Job::Begin { .. } => break,
                Job::Record(record) => shared.lose(&record),
                Job::Keep(_) => {}
            }
        }
    }
}

impl Shared {
    fn lose(&self, record: &Record) {
        if let Record::Input { .. } = record {
            self.counters.drop_input();
        }
    }
}

impl Thread<'_> {
    fn run(mut self, jobs: &Receiver<Job>) {
        self.count(0);
        loop {
            let done = match jobs.recv_timeout(FLUSH) {
                Ok(job) => {
                    self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
                    self.carry_out(job)
                }
                Err(RecvTimeoutError::Timeout) => self.rest(),
                Err(RecvTimeoutError::Disconnected) => {
                    let ended = self.end();
                    self.note(ended);
                    while self.keep_next().is_ok_and(|more| more) {}
                    return;
                }
            };
            self.note(done);
        }
    }

    fn carry_out(&mut self, job: Job) -> io::Result<()> {
        match job {
            Job::Begin { head, checkpoint, dropped } => self.begin(&head, checkpoint, dropped),
            Job::Record(record) => self.record(&record),
            Job::Keep(keep) => {
                self.want(keep);
                Ok(())
            }
        }
    }

    fn begin(&mut self, head: &Head, checkpoint: Chunks, dropped: u64) -> io::Result<()> {
        let follows = head.follows && self.open.is_some();
        self.end()?;
        let head = Head { follows, ..head.clone() };
        let (mut writer, path) = self.folder.begin(&head)?;
        writer.write_checkpoint(checkpoint)?;
        if dropped > 0 {
            writer.write(&Record::Dropped(dropped))?;
        }
        let (began, latest) = (head.began.wall, head.began);
        self.open = Some(Open { writer, path, began, latest, flushed: latest, is_flushed: false });
        if self.is_failing {
            self.is_failing = false;
            tracing::info!("recording again");
        }
        Ok(())
    }

    fn record(&mut self, record: &Record) -> io::Result<()> {
        let Some(open) = &mut self.open else {
            self.shared.lose(record);
            return Ok(());
        };
        open.writer.write(record)?;
        open.is_flushed = false;
        if let Record::Input { now, .. } = record {
            open.latest = *now;
        }
        if open.latest.since(open.flushed) >= FLUSH { self.rest() } else { Ok(()) }
    }

    /// Once a second: what is written goes to the kernel, and one segment is copied if any is to be kept.
    fn rest(&mut self) -> io::Result<()> {
        if let Some(open) = &mut self.open
            && !open.is_flushed
        {
            open.writer.flush()?;
            (open.flushed, open.is_flushed) = (open.latest, true);
            let bytes = open.writer.size()?;
            if bytes > self.folder.largest() {
                self.shared.is_full.store(true, Ordering::Relaxed);
            }
            self.make_room(bytes)?;
        }
        self.keep_next().map(drop)
    }

    /// Ends the open segment.
    fn end(&mut self) -> io::Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let (path, began, ended) = (open.path, open.began, open.latest.wall);
        let bytes = open.writer.finish()?.metadata()?.len();
        let segment = Segment { path, began, ended, bytes };
        for keeping in &mut self.keeping {
            if keeping.keep.wants(&segment) {
                keeping.todo.push_back(segment.clone());
            }
        }
        self.keeping.retain(|keeping| !keeping.todo.is_empty() || keeping.keep.until() > ended);
        self.folder.add(segment);
        self.make_room(0)
    }

    fn make_room(&mut self, current: u64) -> io::Result<()> {
        let wanted: Vec<Keep> = self.keeping.iter().map(|keeping| keeping.keep.clone()).collect();
        let bytes = self.folder.trim(current, &wanted)?;
        self.count(bytes);
        Ok(())
    }

    fn count(&self, bytes: u64) {
        let open = self.open.as_ref().map(|open| open.began);
        let since = self.folder.segments().next().map(|segment| segment.began).or(open);
        let bytes = bytes.max(self.folder.segments().map(|segment| segment.bytes).sum());
        self.shared.counters.hold(since, bytes, self.folder.kept());
    }

    fn want(&mut self, keep: Keep) {
        if self.keeping.len() >= KEEPING || self.keeping.iter().any(|known| known.keep.incident == keep.incident) {
            return;
        }
        let todo: VecDeque<Segment> = self.folder.segments().filter(|segment| keep.wants(segment)).cloned().collect();
        let is_over = self.open.as_ref().is_some_and(|open| open.latest.wall >= keep.until());
        if !todo.is_empty() || !is_over {
            self.keeping.push(Keeping { keep, todo });
        }
    }

    /// Copies one segment; whether there may be more.
    fn keep_next(&mut self) -> io::Result<bool> {
        let Some(keeping) = self.keeping.iter_mut().find(|keeping| !keeping.todo.is_empty()) else { return Ok(false) };
        let Some(segment) = keeping.todo.pop_front() else { return Ok(false) };
        self.folder.keep(&keeping.keep, &segment)?;
        let latest = self.open.as_ref().map(|open| open.latest.wall);
        self.keeping
            .retain(|keeping| !keeping.todo.is_empty() || latest.is_none_or(|latest| keeping.keep.until() > latest));
        Ok(true)
    }

    /// A write that failed ends the segment, until the next one is due.
    fn note(&mut self, result: io::Result<()>) {
        let Err(error) = result else { return };
        self.shared.counters.fail();
        self.open = None;
        if !self.is_failing {
            self.is_failing = true;
            tracing::warn!("recording stops until the next segment: {error}");
        }
    }
}
