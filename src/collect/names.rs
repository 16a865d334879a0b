//! Names to addresses: resolved once, pinned, refreshed in the background.
//!
//! A dead DNS blinds nobody who was seen before: a failed refresh keeps the pin. getaddrinfo is asked, because
//! /etc/hosts and nsswitch are the truth on the machine we run on; it blocks, so it runs on at most four threads of its
//! own, which a hung resolver can keep busy without touching anything else, not even the end of the process.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio_util::task::TaskTracker;

use super::journey::Journey;
use crate::config::settings::{Address, Host};
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::time::{Clock, Mono};

/// A pin older than this is refreshed when it is used.
const REFRESH_AFTER: Duration = Duration::from_secs(60);
/// Lookups under way at once.
const THREADS: usize = 4;
/// Addresses kept of one name.
const MAX_ADDRESSES: usize = 8;

/// What is known of names.
#[derive(Debug)]
pub(crate) struct Names {
    clock: Clock,
    tasks: TaskTracker,
    threads: Arc<Semaphore>,
    pins: Mutex<BTreeMap<String, Arc<Pin>>>,
}

#[derive(Debug, Default)]
struct Pin {
    known: Mutex<Known>,
    /// Held by whoever looks up, so that a name is asked for once at a time.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    addresses: Vec<IpAddr>,
    /// When it was last asked for, with whatever result.
    asked: Option<Mono>,
}

impl Names {
    pub(crate) fn new(clock: Clock, tasks: TaskTracker) -> Self {
        Self { clock, tasks, threads: Arc::new(Semaphore::new(THREADS)), pins: Mutex::default() }
    }

    /// Where to dial for `address`: at least one place.
    ///
    /// Enters [`Phase::Resolve`] only when the look has to wait, which is when the name was never resolved.
    ///
    /// # Errors
    ///
    /// In the resolve phase, after at most `limit`.
    pub(crate) async fn places(
        self: &Arc<Self>,
        address: &Address,
        limit: Duration,
        journey: &Journey,
    ) -> Result<Vec<SocketAddr>, Unseen> {
        let name = match &address.host {
            Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, address.port)]),
            Host::Name(name) => name,
        };
        let pin = self.pin(name);
        let addresses = match pin.addresses() {
            Some(addresses) => {
                self.refresh_if_old(name, &pin);
                addresses
            }
            None => journey.step(Phase::Resolve, limit, self.first(name, &pin)).await?,
        };
        Ok(addresses.into_iter().map(|ip| SocketAddr::new(ip, address.port)).collect())
    }

    async fn first(self: &Arc<Self>, name: &str, pin: &Arc<Pin>) -> Result<Vec<IpAddr>, Cause> {
        let _turn = pin.asking.lock().await;
        if let Some(addresses) = pin.addresses() {
            return Ok(addresses);
        }
        self.look_up(name, pin).await
    }

    fn refresh_if_old(self: &Arc<Self>, name: &str, pin: &Arc<Pin>) {
        let now = self.clock.now().mono;
        if !pin.is_older_than(REFRESH_AFTER, now) {
            return;
        }
        pin.lock().asked = Some(now);
        let (names, name, pin) = (Arc::clone(self), name.to_owned(), Arc::clone(pin));
        self.tasks.spawn(async move {
            let Ok(_turn) = pin.asking.try_lock() else { return };
            if let Err(cause) = names.look_up(&name, &pin).await {
                tracing::debug!(%name, ?cause, "refreshing {name}: no answer, the known addresses stay");
            }
        });
    }

    /// Asks on a thread of its own, which keeps what it finds also when nobody waits any more: with a dead first
    /// resolver every answer takes 5 s, longer than any look waits, and still is the answer.
    async fn look_up(&self, name: &str, pin: &Arc<Pin>) -> Result<Vec<IpAddr>, Cause> {
        let permit = Arc::clone(&self.threads).acquire_owned().await.map_err(|_| Cause::OwnFault)?;
        let (answer, answered) = oneshot::channel();
        let (asked, pin, clock) = (name.to_owned(), Arc::clone(pin), self.clock.clone());
        std::thread::Builder::new()
            .name("resolve".to_owned())
            .spawn(move || {
                let found = (asked.as_str(), 0).to_socket_addrs().map(|places| distinct(places.map(|p| p.ip())));
                if let Ok(addresses) = &found
                    && !addresses.is_empty()
                {
                    pin.keep(addresses.clone(), clock.now().mono);
                }
                // Nobody waits any more when the deadline has passed.
                drop(answer.send(found));
                drop(permit);
            })
            .map_err(|_| Cause::OwnFault)?;
        match answered.await {
            Ok(Ok(addresses)) if addresses.is_empty() => Err(Cause::NoSuchName),
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(error)) => Err(cause_of(&error)),
            Err(_) => Err(Cause::OwnFault),
        }
    }

    fn pin(&self, name: &str) -> Arc<Pin> {
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(pins.entry(name.to_owned()).or_default())
    }
}

impl Pin {
    fn addresses(&self) -> Option<Vec<IpAddr>> {
        let known = self.lock();
        (!known.addresses.is_empty()).then(|| known.addresses.clone())
    }

    fn keep(&self, addresses: Vec<IpAddr>, now: Mono) {
        *self.lock() = Known { addresses, asked: Some(now) };
    }

    fn is_older_than(&self, age: Duration, now: Mono) -> bool {
        self.lock().asked.is_none_or(|asked| now.since(asked) >= age)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The order is the resolver's; it is what other programs on this machine would dial.
fn distinct(found: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for address in found {
        if !addresses.contains(&address) && addresses.len() < MAX_ADDRESSES {
            addresses.push(address);
        }
    }
    addresses
}

/// std keeps only getaddrinfo's text: glibc's and musl's words for EAI_NONAME and EAI_NODATA. Rust programs run in the
/// C locale, so the text is not translated.
fn cause_of(error: &io::Error) -> Cause {
    let text = error.to_string();
    let absent = ["Name or service not known", "No address associated", "does not resolve", "no usable address"];
    if absent.iter().any(|words| text.contains(words)) { Cause::NoSuchName } else { Cause::ResolverFailed }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::super::tests::test_clock;
    use super::*;

    #[tokio::test]
    async fn a_literal_address_is_not_resolved() {
        let (names, journey) = names();

        let places = names.places(&address(Host::Ip("::1".parse().unwrap())), Duration::ZERO, &journey).await.unwrap();

        assert_eq!(places, ["[::1]:6443".parse().unwrap()]);
        assert_eq!(journey.phases().resolve, None);
    }

    #[tokio::test]
    async fn only_the_first_look_waits_for_a_name() {
        let (names, first) = names();
        let address = address(Host::Name("localhost".to_owned()));
        let second = Journey::new(&test_clock());

        let places = names.places(&address, Duration::from_secs(5), &first).await.unwrap();
        let again = names.places(&address, Duration::ZERO, &second).await.unwrap();

        assert!(places[0].ip().is_loopback());
        assert_eq!(places, again);
        assert!(first.phases().resolve.is_some());
        assert_eq!(second.phases().resolve, None);
    }

    #[tokio::test]
    async fn an_answer_after_the_deadline_serves_the_next_look() {
        let (names, first) = names();
        let address = address(Host::Name("localhost".to_owned()));

        // Asked, and given up at once.
        drop(names.places(&address, Duration::from_secs(5), &first).now_or_never());

        let all_threads = u32::try_from(THREADS).unwrap();
        drop(names.threads.acquire_many(all_threads).await.unwrap());
        assert!(names.places(&address, Duration::ZERO, &Journey::new(&test_clock())).await.is_ok());
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_resolved_fails_in_its_phase() {
        let (names, journey) = names();
        let address = address(Host::Name("nowhere.invalid".to_owned()));

        let unseen = names.places(&address, Duration::from_secs(20), &journey).await.unwrap_err();

        assert_eq!(unseen.phase, Phase::Resolve);
        // Which of the two depends on whether the machine has a resolver.
        assert!(matches!(unseen.cause, Cause::NoSuchName | Cause::ResolverFailed), "{unseen}");
    }

    #[test]
    fn the_words_of_both_libraries_are_understood() {
        for (text, cause) in [
            ("failed to lookup address information: Name or service not known", Cause::NoSuchName),
            ("failed to lookup address information: Name does not resolve", Cause::NoSuchName),
            ("failed to lookup address information: Temporary failure in name resolution", Cause::ResolverFailed),
            ("failed to lookup address information: Try again", Cause::ResolverFailed),
        ] {
            assert_eq!(cause_of(&io::Error::other(text)), cause, "{text}");
        }
    }

    fn names() -> (Arc<Names>, Journey) {
        let clock = test_clock();
        (Arc::new(Names::new(clock.clone(), TaskTracker::new())), Journey::new(&clock))
    }

    fn address(host: Host) -> Address {
        Address { host, port: 6443 }
    }
}
