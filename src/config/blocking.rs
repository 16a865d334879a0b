//! Work that may block on a file system, done aside from the runtime's threads, bounded in time and number.
//!
//! A network file system that hangs must stop neither the probes nor the mails. What hangs keeps its place until the
//! file system answers, so that repeated attempts pile up no threads. Knows nothing of what is read. Called by the
//! collectors and the mailer, which read credentials on every use.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

/// Places for work that may block. Clones share them.
#[derive(Debug, Clone)]
pub struct BlockingPool {
    places: Arc<Semaphore>,
}

impl BlockingPool {
    /// Room for `places` pieces of work at a time.
    #[must_use]
    pub fn new(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)) }
    }

    /// What `work` returns; `None` when it has not ended within `limit`, the wait for a place included. Needs a tokio
    /// runtime.
    pub async fn run<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let turn = async {
            let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
            let done = tokio::task::spawn_blocking(move || {
                let result = work();
                drop(place);
                result
            });
            done.await.ok()
        };
        tokio::time::timeout(limit, turn).await.ok()?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn work_that_hangs_is_left_and_not_joined_by_more() {
        let blocking = BlockingPool::new(1);
        let (release, hanging) = mpsc::channel::<()>();
        let begun = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&begun);

        let hung = blocking.run(Duration::from_millis(20), move || hanging.recv()).await;
        let behind = blocking.run(Duration::from_millis(20), move || count.fetch_add(1, Ordering::Relaxed)).await;

        assert!(hung.is_none() && behind.is_none());
        assert_eq!(begun.load(Ordering::Relaxed), 0);
        release.send(()).unwrap();
        assert_eq!(blocking.run(Duration::from_secs(20), || 7).await, Some(7));
    }
}
