//! The web configuration in use, and how it is replaced when its files change.
//!
//! The files' state is checked every second, and they are read once they stop changing, beside the connections. A
//! handshake and a request take what is in use when they begin, so nothing that is under way is cut. What cannot be
//! used changes nothing.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::config::blocking::BlockingPool;
use crate::config::file_stamp::FileStamp;
use crate::config::problem::Problem;
use crate::config::settings::WebPlace;
use crate::config::web::{self, WebConfig};

use super::counters::{Counters, add};
use super::login::Logins;
use super::rate::Bucket;
use super::tls;

/// Time between two checks of the files' state, and the time they must have been unchanged.
const PAUSE: Duration = Duration::from_secs(1);
/// A file system that does not answer for this long counts as a mistake.
const READING: Duration = Duration::from_secs(20);

/// The web configuration of a listener.
#[derive(Debug)]
pub struct Web {
    place: WebPlace,
    current: ArcSwap<Access>,
    counters: OnceLock<Arc<Counters>>,
    pub(super) logins: Logins,
    pub(super) bucket: Bucket,
    blocking: BlockingPool,
    pub(super) pause: Duration,
    files: Vec<PathBuf>,
    read: Vec<FileStamp>,
}

/// Why there is no listener as configured.
#[derive(Debug, thiserror::Error)]
#[error("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct WebError {
    problems: Vec<Problem>,
}

/// The settings by which connections and requests are accepted.
pub(super) struct Access {
    pub(super) config: WebConfig,
    pub(super) tls: Option<TlsAcceptor>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What was read, and the files it was read from as they were before.
struct Read {
    files: Vec<PathBuf>,
    stamps: Vec<FileStamp>,
    result: Result<(Access, Vec<Problem>), Vec<Problem>>,
}

impl Web {
    /// Reads the configuration at `place`. Needs a tokio runtime.
    ///
    /// # Errors
    /// Everything that is wrong with it and the files it names, or that it does not guard a listener that it must.
    pub async fn open(place: WebPlace) -> Result<Self, WebError> {
        let blocking = BlockingPool::new(1);
        let Read { files, stamps, result } = read(&blocking, &place).await;
        let (access, _) = result.map_err(|problems| WebError { problems })?;
        let logins = Logins::new().map_err(|_| {
            let what = "no randomness to remember logins by";
            WebError { problems: vec![problem(&place, what)] }
        })?;
        Ok(Self {
            place,
            current: ArcSwap::from_pointee(access),
            counters: OnceLock::new(),
            logins,
            bucket: Bucket::default(),
            blocking,
            pause: PAUSE,
            files,
            read: stamps,
        })
    }

    /// `https` or `http`, whichever it is now.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.access().tls.is_some() { "https" } else { "http" }
    }

    /// What is in use now.
    pub(super) fn access(&self) -> Arc<Access> {
        self.current.load_full()
    }

    /// Where events are counted from here on.
    pub(super) fn count_in(&self, counters: Arc<Counters>) {
        counters.has_web.store(true, Ordering::Relaxed);
        counters.is_current.store(true, Ordering::Relaxed);
        self.counters.set(counters).ok();
    }

    pub(super) fn counters(&self) -> Option<&Counters> {
        self.counters.get().map(AsRef::as_ref)
    }

    /// Reads again whenever a file has changed and then stopped changing, until `stop` is cancelled.
    pub(super) async fn renew(&self, stop: CancellationToken) {
        let (mut files, mut last_read) = (self.files.clone(), self.read.clone());
        let mut seen = last_read.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.pause) => {}
            }
            let named = files.clone();
            // A file system that hangs changes nothing.
            let Some(now) = self.blocking.run(PAUSE, move || stamps(&named)).await else { continue };
            let keeps_still = now == seen;
            seen = now;
            if !keeps_still || seen == last_read {
                continue;
            }
            let fresh = read(&self.blocking, &self.place).await;
            files = fresh.files;
            last_read.clone_from(&fresh.stamps);
            seen = fresh.stamps;
            self.take(fresh.result);
        }
    }

    fn take(&self, result: Result<(Access, Vec<Problem>), Vec<Problem>>) {
        let file = self.place.path.display();
        let (is_taken, problems) = match result {
            Ok((access, warnings)) => {
                self.current.store(Arc::new(access));
                tracing::info!("web configuration reloaded: {file} or a file it names changed");
                (true, warnings)
            }
            Err(problems) => (false, problems),
        };
        for problem in &problems {
            if problem.is_error() {
                tracing::error!("{problem}");
            } else {
                tracing::warn!("{problem}");
            }
        }
        if !is_taken {
            tracing::error!("{file} rejected; the listener goes on with what was read before");
        }
        if let Some(counters) = self.counters() {
            counters.is_current.store(is_taken, Ordering::Relaxed);
            add(if is_taken { &counters.reloads } else { &counters.reloads_failed });
        }
    }
}

async fn read(blocking: &BlockingPool, place: &WebPlace) -> Read {
    let wanted = place.clone();
    let done = blocking.run(READING, move || read_here(&wanted)).await;
    done.unwrap_or_else(|| {
        let what = format!("the file system does not answer within {READING:?}");
        Read { files: vec![place.path.clone()], stamps: Vec::new(), result: Err(vec![problem(place, what)]) }
    })
}

fn read_here(place: &WebPlace) -> Read {
    // What changes while it is read differs from these, and so is read again.
    let before = web::read(&place.path).files;
    let known = stamps(&before);
    let web::Reading { files, result } = web::read(&place.path);
    let stamps = if files == before { known } else { Vec::new() };
    Read { files, stamps, result: result.and_then(|(config, warnings)| Ok((access(place, config)?, warnings))) }
}

fn access(place: &WebPlace, config: WebConfig) -> Result<Access, Vec<Problem>> {
    if place.must_guard && !config.is_guarded() {
        let what = "neither TLS with users nor TLS with verified client certificates, and 'listen' can be reached \
                    from outside";
        return Err(vec![problem(place, what)]);
    }
    let server = config.tls.as_ref().map(|tls| tls::server(&config, tls)).transpose();
    let server = server.map_err(|what| vec![problem(place, what)])?;
    Ok(Access { tls: server.map(|server| TlsAcceptor::from(Arc::new(server))), config })
}

fn problem(place: &WebPlace, what: impl Into<String>) -> Problem {
    Problem::about(&place.path, what)
}

fn stamps(files: &[PathBuf]) -> Vec<FileStamp> {
    files.iter().map(|path| FileStamp::of(path)).collect()
}
