//! Certificates and tokens in files: read on threads outside the runtime, each source on its own.
//!
//! A source is one entry of the configuration or one credential of our own. A file system that hangs affects its own
//! source and nothing else, and occupies one thread however often it is probed. Files that did not change are not read
//! again. Decides nothing: the rules decide what an expiry means. Called by the daemon's probes, by `probe` and
//! by `vedette check`; the bench reads through a [`Reader`].

mod glob;
pub mod listing;
mod open;
mod source;
mod walk;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;

use self::source::SourceCache;
use super::context::{ProbeContext, ProbeResult};
use super::phase_timer::PhaseTimer;
use crate::config::blocking::BlockingPool;
use crate::config::settings::WatchedFiles;
use crate::model::certificate_files::{FileFault, FilesReading, SourceReading};
use crate::model::observation::Reading;
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::time::Clock;

/// All sources of a cluster, or of the vantage.
pub(crate) struct Files {
    sources: Vec<Source>,
    sorting: BlockingPool,
    latest: Mutex<Arc<FilesReading>>,
}

struct Source {
    watch: Arc<WatchedFiles>,
    blocking: BlockingPool,
    /// What files held, so that unchanged ones are not read again. Locked for as long as a probe takes.
    cache: Arc<Mutex<SourceCache>>,
    /// What the last probe that ended in time has seen.
    last: Mutex<Option<SourceReading>>,
}

impl Files {
    pub(crate) fn new(watches: Vec<WatchedFiles>) -> Self {
        let source = |watch| Source {
            watch: Arc::new(watch),
            blocking: BlockingPool::new(1),
            cache: Arc::default(),
            last: Mutex::default(),
        };
        let sources = watches.into_iter().map(source).collect();
        Self { sources, sorting: BlockingPool::new(1), latest: Mutex::default() }
    }

    /// Reads every source; ends within the policy's `files_deadline`, sorting what was found not counted.
    pub(crate) async fn scan(&self, context: &ProbeContext) -> ProbeResult {
        let timer = PhaseTimer::new(&context.clock);
        let sources = join_all(self.sources.iter().map(|source| source.scan(context))).await;
        let known = Arc::clone(&self.latest.lock().unwrap_or_else(PoisonError::into_inner));
        let limit = context.policy.files_deadline;
        let sorted = self
            .sorting
            .run(limit, move || if same(&known, &sources) { known } else { Arc::new(FilesReading::new(sources)) });
        let outcome = match sorted.await {
            Some(reading) => {
                *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&reading);
                Ok(Reading::Files(reading))
            }
            None => Err(Unseen { phase: Phase::Body, cause: Cause::OwnFault }),
        };
        ProbeResult::of(&timer, None, outcome)
    }
}

impl Source {
    async fn scan(&self, context: &ProbeContext) -> SourceReading {
        let limit = context.policy.files_deadline;
        let (cache, watch, clock) = (Arc::clone(&self.cache), Arc::clone(&self.watch), context.clock.clone());
        let until = clock.now().mono.plus(limit / 10 * 9);
        let work = move || {
            let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
            cache.scan(&watch, &clock, Some(until))
        };
        let reading = self.blocking.run(limit, work).await;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match reading {
            Some(reading) => {
                *last = Some(reading.clone());
                reading
            }
            None => source::faulty(&self.watch.name, last.as_ref(), FileFault::Timeout),
        }
    }
}

/// Sources that are read on the caller's own thread, which waits for as long as the file systems do.
pub struct Reader {
    sources: Vec<(WatchedFiles, SourceCache)>,
}

impl Reader {
    /// Has read nothing yet.
    #[must_use]
    pub fn new(watches: Vec<WatchedFiles>) -> Self {
        Self { sources: watches.into_iter().map(|watch| (watch, SourceCache::default())).collect() }
    }

    /// What the sources hold now. Files that did not change since the last probe are not read again.
    pub fn scan(&mut self, clock: &Clock) -> FilesReading {
        FilesReading::new(self.sources.iter_mut().map(|(watch, cache)| cache.scan(watch, clock, None)).collect())
    }
}

/// What `watches` hold now, read once.
#[must_use]
pub fn read_once(watches: &[WatchedFiles], clock: &Clock) -> FilesReading {
    Reader::new(watches.to_vec()).scan(clock)
}

/// Whether `sources` are what `known` holds: unchanged files are shared, so it is enough to compare where they are.
fn same(known: &FilesReading, sources: &[SourceReading]) -> bool {
    let is_same = |old: &SourceReading, new: &SourceReading| {
        (old.fault, old.left_out, old.looked_at) == (new.fault, new.left_out, new.looked_at)
            && source::same(&old.files, &new.files)
    };
    known.sources.len() == sources.len()
        && sources.iter().all(|new| known.sources.iter().any(|old| old.name == new.name && is_same(old, new)))
}
