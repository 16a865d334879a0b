//! getaddrinfo on threads of its own, which a hung resolver can keep busy without touching anything else, not even the
//! end of the process.
//!
//! A lookup cannot be cancelled. So that names which hang do not take the threads from names which do not, half of the
//! threads are for lookups that are slow: one that has become slow gives its place in the other half up as soon as it
//! can, and the next lookup of that name begins in the slow half. Called by `names.rs`, at most once at a time a name.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::model::phase::Cause;

/// Lookups under way at once in each half. With a first resolver that is down each takes 5 s (resolv.conf(5),
/// `timeout`), so that a half still refreshes a hundred names a minute.
pub(super) const HALF: usize = 8;

/// A lookup that has taken longer is slow.
pub(super) const SLOW_AFTER: Duration = Duration::from_secs(2);

/// The lookup of a name, which blocks.
pub(super) type Ask = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// The threads.
pub(super) struct Threads {
    ask: Arc<Ask>,
    quick: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    slow_after: Duration,
}

impl std::fmt::Debug for Threads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Threads").field("quick", &self.quick).field("slow", &self.slow).finish_non_exhaustive()
    }
}

impl Threads {
    /// `slow_after` is [`SLOW_AFTER`], but in tests.
    pub(super) fn new(ask: Arc<Ask>, slow_after: Duration) -> Self {
        let half = || Arc::new(Semaphore::new(HALF));
        Self { ask, quick: half(), slow: half(), slow_after }
    }

    /// Looks `name` up. `is_slow` is kept by the caller from one lookup of a name to the next.
    ///
    /// # Errors
    ///
    /// Why there is no answer, after as long as that takes.
    pub(super) async fn ask(&self, name: &str, is_slow: &AtomicBool) -> Result<Vec<IpAddr>, Cause> {
        let (mut place, in_slow_half) = self.admit(is_slow.load(Ordering::Relaxed)).await?;
        let (answer, mut answered) = oneshot::channel();
        let (asked, ask) = (name.to_owned(), Arc::clone(&self.ask));
        std::thread::Builder::new()
            .name("resolve".to_owned())
            // The receiver is gone when the process ends.
            .spawn(move || drop(answer.send(ask(&asked))))
            .map_err(|_| Cause::OwnFault)?;
        let in_time = tokio::time::timeout(self.slow_after, &mut answered).await;
        is_slow.store(in_time.is_err(), Ordering::Relaxed);
        let answer = match in_time {
            Ok(answer) => answer,
            Err(_) if in_slow_half => answered.await,
            Err(_) => tokio::select! {
                answer = &mut answered => answer,
                other = Arc::clone(&self.slow).acquire_owned() => {
                    place = other.map_err(|_| Cause::OwnFault)?;
                    answered.await
                }
            },
        };
        drop(place);
        answer.map_err(|_| Cause::OwnFault)?.map_err(|error| cause_of(&error))
    }

    /// A place for a lookup, and whether it is in the slow half.
    async fn admit(&self, is_slow: bool) -> Result<(OwnedSemaphorePermit, bool), Cause> {
        let slow = Arc::clone(&self.slow).acquire_owned();
        let admitted = if is_slow {
            slow.await.map(|place| (place, true))
        } else {
            tokio::select! {
                biased;
                place = Arc::clone(&self.quick).acquire_owned() => place.map(|place| (place, false)),
                place = slow => place.map(|place| (place, true)),
            }
        };
        admitted.map_err(|_| Cause::OwnFault)
    }
}

/// The result of getaddrinfo on this machine.
pub(super) fn getaddrinfo(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0).to_socket_addrs()?.map(|place| place.ip()).collect())
}

/// std keeps only getaddrinfo's text: glibc's and musl's words for EAI_NONAME and EAI_NODATA. Rust programs run in the
/// C locale, so the text is not translated.
pub(super) fn cause_of(error: &io::Error) -> Cause {
    let text = error.to_string();
    let absent = ["Name or service not known", "No address associated", "does not resolve", "no usable address"];
    if absent.iter().any(|words| text.contains(words)) { Cause::NoSuchName } else { Cause::ResolverFailed }
}
