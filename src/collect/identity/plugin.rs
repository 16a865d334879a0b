//! What an exec plugin has issued, and when it is run again.

use std::time::Duration;

use tokio::task::JoinHandle;

use crate::collect::exec::{self, Issued};
use crate::model::time::{Mono, Now};

/// A plugin that failed is run again after this.
const RETRY: Duration = Duration::from_secs(30);
/// A plugin's credential is renewed this long before its end.
const RENEW_BEFORE: Duration = Duration::from_secs(60);

/// A plugin with what it issued last.
#[derive(Default)]
pub(super) struct Plugin {
    pub(super) issued: Option<Issued>,
    pub(super) failure: Option<exec::Failed>,
    /// Counts what was issued.
    pub(super) serial: u64,
    pub(super) ended: Option<Mono>,
    pub(super) running: Option<JoinHandle<Result<Issued, exec::Failed>>>,
}

impl Plugin {
    /// A run of it has ended.
    pub(super) fn take(&mut self, result: Result<Issued, exec::Failed>, now: Mono) {
        self.ended = Some(now);
        self.serial += 1;
        match result {
            Ok(issued) => {
                self.issued = Some(issued);
                self.failure = None;
            }
            // What was issued before stays until its own end.
            Err(failed) => self.failure = Some(failed),
        }
    }

    /// Whether it is to be run again.
    pub(super) fn is_due(&self, now: Now, was_refused: bool) -> bool {
        let ends = self.issued.as_ref().and_then(|issued| issued.expires);
        let ends_soon = ends.is_some_and(|end| end <= now.wall.plus(RENEW_BEFORE));
        let waited = self.ended.is_none_or(|ended| now.mono.since(ended) >= RETRY);
        waited && (self.failure.is_some() || self.issued.is_none() || ends_soon || was_refused)
    }
}
