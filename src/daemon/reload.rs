//! Notices that another configuration is wanted, and reads it beside the loop.
//!
//! A SIGHUP asks for it, and so does a change of the file or of a kubeconfig it names. Files are asked for their state
//! every other second instead of being subscribed to: that sees editors that rename, links that are swapped and network
//! file systems alike, needs no kernel limit and no folder of its own, and a person does not notice two seconds. A file
//! that is still being written is read once it has stopped changing. Nothing is decided here: the loop accepts or
//! refuses the configuration.

use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{self, SignalKind};
use tokio::sync::mpsc;

use super::systemd;
use crate::config::blocking::BlockingPool;
use crate::config::environment::{Environment, Sources};
use crate::config::file_stamp::FileStamp;
use crate::config::load::Loaded;
use crate::config::problem::Problem;
use crate::parse::diagnostic::Diagnostic;

/// Time between two checks of the files' state, and the time they must have been unchanged.
const PAUSE: Duration = Duration::from_secs(2);
/// The same after a SIGHUP, which is most likely sent after the file was written.
const SETTLING: Duration = Duration::from_millis(250);
/// A file that keeps changing is read as it is after this many pauses.
const PATIENCE: u32 = 20;
/// What was refused is tried again after this: a key that was missing may be there, and no file of ours changes by
/// that.
const AGAIN: Duration = Duration::from_secs(30);
/// A file system that does not answer for this long counts as a mistake.
const READING: Duration = Duration::from_secs(20);

/// Why the configuration was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// A SIGHUP.
    Signal,
    /// A file has changed.
    File,
    /// It was refused a while ago.
    Again,
}

/// The configuration as it was read, and why.
#[derive(Debug)]
pub(super) struct ReloadAttempt {
    pub(super) cause: Cause,
    pub(super) result: Result<Box<Loaded>, Vec<Problem>>,
}

/// Watches the configuration.
#[derive(Debug)]
pub(super) struct Reloads {
    file: PathBuf,
    kubeconfigs: Vec<PathBuf>,
    hangup: unix::Signal,
    blocking: BlockingPool,
    /// As they were when they were last read, and when they were last checked.
    read: Vec<FileStamp>,
    seen: Vec<FileStamp>,
    refused: Option<Vec<Problem>>,
}

impl Reloads {
    /// Watches `file`, of which `loaded` was read, or which was `refused` at the start. From here on a SIGHUP no longer
    /// ends the process.
    ///
    /// # Errors
    /// When the kernel refuses the registration.
    pub(super) fn watch(file: PathBuf, loaded: &Loaded, refused: Option<Vec<Problem>>) -> std::io::Result<Self> {
        let hangup = unix::signal(SignalKind::hangup())?;
        let kubeconfigs = loaded.settings.kubeconfigs.clone();
        let read: Vec<FileStamp> = files(&file, &kubeconfigs).map(|path| FileStamp::of(path)).collect();
        Ok(Self { file, kubeconfigs, hangup, blocking: BlockingPool::new(1), seen: read.clone(), read, refused })
    }

    /// Reads on request, until the receiver of the results is gone.
    pub(super) async fn run(mut self, attempts: mpsc::Sender<ReloadAttempt>) {
        loop {
            let cause = self.wanted().await;
            if cause != Cause::Again {
                systemd::reloading();
            }
            let result = self.settled_reading(cause).await;
            let is_news = match &result {
                Ok(_) => true,
                Err(problems) => cause != Cause::Again || self.refused.as_ref() != Some(problems),
            };
            self.refused = result.as_ref().err().cloned();
            if is_news && attempts.send(ReloadAttempt { cause, result }).await.is_err() {
                return;
            }
        }
    }

    async fn wanted(&mut self) -> Cause {
        let mut waited = Duration::ZERO;
        loop {
            tokio::select! {
                _ = self.hangup.recv() => return Cause::Signal,
                () = tokio::time::sleep(PAUSE) => {}
            }
            waited += PAUSE;
            let Some(stamps) = self.stamps().await else { continue };
            let keeps_still = self.seen == stamps;
            self.seen = stamps;
            if keeps_still && self.seen != self.read {
                return Cause::File;
            }
            if self.refused.is_some() && waited >= AGAIN {
                return Cause::Again;
            }
        }
    }

    /// Reads once the files stop changing, and again when they changed meanwhile.
    async fn settled_reading(&mut self, cause: Cause) -> Result<Box<Loaded>, Vec<Problem>> {
        let mut before = self.stamps().await;
        let mut result = Err(Vec::new());
        for turn in 0..PATIENCE {
            if turn > 0 || cause == Cause::Signal {
                tokio::time::sleep(SETTLING).await;
                let now = self.stamps().await;
                let keeps_still = now == before;
                before = now;
                if !keeps_still && turn + 1 < PATIENCE {
                    continue;
                }
            }
            result = self.reading().await;
            let after = self.stamps().await;
            let is_whole = after == before;
            before = after;
            if is_whole {
                break;
            }
        }
        if let Ok(loaded) = &result {
            self.kubeconfigs.clone_from(&loaded.settings.kubeconfigs);
            before = self.stamps().await;
        }
        self.read = before.unwrap_or_default();
        self.seen.clone_from(&self.read);
        result
    }

    async fn reading(&self) -> Result<Box<Loaded>, Vec<Problem>> {
        let file = self.file.clone();
        let read = move || Loaded::read(&file, &Environment::here(Sources::Examined)).map(Box::new);
        self.blocking.run(READING, read).await.unwrap_or_else(|| {
            let diagnostic = Diagnostic::error(None, format!("the file system does not answer within {READING:?}"));
            Err(vec![Problem { file: self.file.display().to_string(), diagnostic }])
        })
    }

    /// `None` when the file system does not answer.
    async fn stamps(&self) -> Option<Vec<FileStamp>> {
        let (file, kubeconfigs) = (self.file.clone(), self.kubeconfigs.clone());
        self.blocking.run(PAUSE, move || files(&file, &kubeconfigs).map(|path| FileStamp::of(path)).collect()).await
    }
}

fn files<'a>(file: &'a PathBuf, kubeconfigs: &'a [PathBuf]) -> impl Iterator<Item = &'a PathBuf> {
    std::iter::once(file).chain(kubeconfigs)
}
