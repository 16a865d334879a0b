//! The last good reading of a file that a mail or heartbeat needs: a disk that hangs or fails must not mute the pager.
//!
//! Files are read for every one, so that a rotated one is seen at once. Where that fails, what was read before serves.
//! Used by `email.rs` for the relay's password and CA, and by `heartbeat.rs` for its CA.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::config::blocking::BlockingPool;

/// How long a file is waited for while an older reading of it is known. A local disk answers in milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// What was read last, in memory only.
pub(super) struct LastRead<T>(Mutex<Option<T>>);

/// Why the reading of now does not serve.
pub(super) enum Unread {
    /// The file system did not answer within this time.
    Hangs(Duration),
    /// A text for people.
    Failed(String),
}

impl<T> Default for LastRead<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone + Send + 'static> LastRead<T> {
    /// What `read` returns, or what it returned last, which is logged; `unread` words why it is not fresh.
    ///
    /// # Errors
    /// In the words of `unread`, when nothing was read before.
    pub(super) async fn read_or_last(
        &self,
        files: &BlockingPool,
        limit: Duration,
        read: impl FnOnce() -> Result<T, String> + Send + 'static,
        unread: impl Fn(Unread) -> String,
    ) -> Result<T, String> {
        let (value, why) = self.read(files, limit, read).await.map_err(&unread)?;
        if let Some(why) = why {
            tracing::warn!("{}; what was read before is used", unread(why));
        }
        Ok(value)
    }

    /// What `read` returns, or what it returned last; waits for `limit` at most. The second value says why it is not
    /// fresh.
    ///
    /// # Errors
    /// As `read`, and when it does not end in time: nothing was read before.
    async fn read(
        &self,
        files: &BlockingPool,
        limit: Duration,
        read: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<(T, Option<Unread>), Unread> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let limit = if known.is_some() { limit.min(PATIENCE) } else { limit };
        let why = match files.run(limit, read).await {
            Some(Ok(fresh)) => {
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh.clone());
                return Ok((fresh, None));
            }
            Some(Err(why)) => Unread::Failed(why),
            None => Unread::Hangs(limit),
        };
        match known {
            Some(known) => Ok((known, Some(why))),
            None => Err(why),
        }
    }
}

impl std::fmt::Display for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hangs(limit) => write!(f, "the file system does not respond within {limit:?}"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn what_was_read_before_serves_while_the_disk_hangs_or_fails() {
        let (files, last_read) = (BlockingPool::new(2), LastRead::default());
        let short = Duration::from_millis(50);
        let (_release, hanging) = mpsc::channel::<()>();

        assert!(last_read.read(&files, short, || Err("gone".to_owned())).await.is_err());
        assert_eq!(
            last_read.read(&files, Duration::from_secs(20), || Ok(7)).await.ok().map(|(value, _)| value),
            Some(7)
        );
        let (value, why) = last_read.read(&files, short, || Err("gone".to_owned())).await.ok().unwrap();
        assert_eq!((value, why.unwrap().to_string()), (7, "gone".to_owned()));
        let hangs = move || hanging.recv().map(|()| 8).map_err(|error| error.to_string());
        let (value, why) = last_read.read(&files, short, hangs).await.ok().unwrap();
        assert_eq!((value, why.unwrap().to_string()), (7, "the file system does not respond within 50ms".to_owned()));
    }
}
