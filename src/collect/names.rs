//! Names to addresses: resolved once, pinned, refreshed in the background and when the pinned addresses fail.
//!
//! While DNS is down, a name that was resolved before keeps its addresses: a failed refresh keeps the pin. getaddrinfo
//! is used, because it follows /etc/hosts and nsswitch as the other programs of this machine do; it blocks, so it runs
//! on threads of its own (`threads.rs`). While it does not answer, /etc/hosts is read directly (`hosts.rs`). Called by
//! whatever connects.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::threads::Threads;
use super::phase_timer::PhaseTimer;
use crate::config::settings::{Address, Host};
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::time::{Clock, Mono};
use crate::name_pin::{Lookup, NamePin};

mod hosts;
mod threads;

#[cfg(test)]
pub(super) mod tests;

/// A pin older than this is refreshed when it is used.
const REFRESH_AFTER: Duration = Duration::from_secs(60);
/// Beside the ordinary refresh a name whose addresses fail is asked for again, at most this often: a fault is confirmed
/// within 2 s, and an endpoint that is down must not become a load on the resolver.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// A working resolver answers in milliseconds. A probe that waits for it beside something else waits no longer than
/// this.
const PATIENCE: Duration = Duration::from_millis(250);
/// Addresses kept of one name.
const MAX_ADDRESSES: usize = 8;

/// What is known of names.
#[derive(Debug)]
pub(crate) struct Names {
    clock: Clock,
    threads: Threads,
    hosts: PathBuf,
    pins: Mutex<BTreeMap<String, Arc<Pin>>>,
}

#[derive(Debug, Default)]
struct Pin {
    name: Arc<NamePin<IpAddr, Cause>>,
    /// Whether the latest lookup took longer than a working resolver takes.
    is_slow: AtomicBool,
    asked: Mutex<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    /// When a lookup last began, for whatever reason.
    last: Option<Mono>,
    /// When one last began because the addresses had failed.
    again: Option<Mono>,
}

impl Names {
    pub(crate) fn new(clock: Clock) -> Self {
        let threads = Threads::new(Arc::new(threads::getaddrinfo), threads::SLOW_AFTER);
        Self::by(clock, threads, PathBuf::from("/etc/hosts"))
    }

    /// Asks by `threads`, and reads `hosts` while they do not answer.
    fn by(clock: Clock, threads: Threads, hosts: PathBuf) -> Self {
        Self { clock, threads, hosts, pins: Mutex::default() }
    }

    /// Where to dial for `address`: at least one place.
    ///
    /// Enters [`Phase::Resolve`] only when the probe has to wait, which is when the name was never resolved.
    ///
    /// # Errors
    ///
    /// In the resolve phase, after at most `limit`.
    pub(crate) async fn places(
        self: &Arc<Self>,
        address: &Address,
        limit: Duration,
        timer: &PhaseTimer,
    ) -> Result<Vec<SocketAddr>, Unseen> {
        let name = match &address.host {
            Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, address.port)]),
            Host::Name(name) => name,
        };
        let pin = self.pin(name);
        let mut addresses = pin.addresses();
        if addresses.is_empty() {
            addresses = timer.step(Phase::Resolve, limit, self.first(name, &pin)).await?;
        } else if pin.is_older_than(REFRESH_AFTER, self.clock.now().mono) {
            self.ask(name, &pin);
        }
        Ok(at(address, &addresses))
    }

    /// Places of `address` beyond those that were `tried` and failed: the name may have moved. Waits [`PATIENCE`] at
    /// most; an answer that comes later serves the next probe.
    pub(crate) async fn beyond(self: &Arc<Self>, address: &Address, tried: &[SocketAddr]) -> Vec<SocketAddr> {
        let Host::Name(name) = &address.host else { return Vec::new() };
        let pin = self.pin(name);
        let mut answers = pin.name.answers();
        let beyond = || at(address, &pin.addresses()).into_iter().filter(|place| !tried.contains(place)).collect();
        let known: Vec<SocketAddr> = beyond();
        if !known.is_empty() || !self.ask_again(name, &pin) {
            return known;
        }
        // Its own answer is on its way also when this ends first.
        drop(tokio::time::timeout(PATIENCE, answers.changed()).await);
        beyond()
    }

    /// Notes that the server at `address` gave no good answer: the name may have another address by now, and the next
    /// probe is to know. Waits for nothing.
    pub(crate) fn doubt(self: &Arc<Self>, address: &Address) {
        if let Host::Name(name) = &address.host {
            self.ask_again(name, &self.pin(name));
        }
    }

    /// Whether `address` still leads to `peer`, for all that is known.
    pub(crate) fn leads_to(&self, address: &Address, peer: IpAddr) -> bool {
        match &address.host {
            Host::Ip(_) => true,
            Host::Name(name) => {
                let known = self.pin(name).addresses();
                known.is_empty() || known.contains(&peer)
            }
        }
    }

    async fn first(self: &Arc<Self>, name: &str, pin: &Arc<Pin>) -> Result<Vec<IpAddr>, Cause> {
        let mut answers = pin.name.answers();
        // An answer that came in between is the one that is waited for.
        let addresses = pin.addresses();
        if !addresses.is_empty() {
            return Ok(addresses);
        }
        self.ask(name, pin);
        answers.changed().await.map_err(|_| Cause::OwnFault)?;
        let known = pin.name.known();
        if known.addresses.is_empty() { Err(known.failure.unwrap_or(Cause::OwnFault)) } else { Ok(known.addresses) }
    }

    /// Asks because the addresses failed. Whether an answer is on its way.
    fn ask_again(self: &Arc<Self>, name: &str, pin: &Arc<Pin>) -> bool {
        let now = self.clock.now().mono;
        let mut asked = pin.asked();
        if asked.again.is_none_or(|again| now.since(again) >= AGAIN_AFTER) {
            asked.again = Some(now);
            drop(asked);
            self.ask(name, pin);
        }
        pin.name.is_asking()
    }

    /// Starts a lookup, unless one is under way.
    fn ask(self: &Arc<Self>, name: &str, pin: &Arc<Pin>) {
        let Some(lookup) = pin.name.begin() else { return };
        pin.asked().last = Some(self.clock.now().mono);
        let (names, name, pin) = (Arc::clone(self), name.to_owned(), Arc::clone(pin));
        // Not among the tasks that a shutdown waits for, because a lookup cannot be cancelled.
        tokio::spawn(async move { names.look_up(&name, &pin, lookup).await });
    }

    async fn look_up(&self, name: &str, pin: &Pin, lookup: Lookup<IpAddr, Cause>) {
        let answer = {
            let mut answer = std::pin::pin!(self.threads.ask(name, &pin.is_slow));
            tokio::select! {
                answer = &mut answer => answer,
                () = tokio::time::sleep(PATIENCE) => {
                    if let Some(addresses) = self.listed(name).await {
                        lookup.tell(Ok(addresses), Cause::NoSuchName);
                    }
                    answer.await
                }
            }
        };
        let answer = match answer {
            Ok(addresses) => Ok(distinct(addresses)),
            Err(cause) => self.listed(name).await.ok_or(cause),
        };
        if let Err(cause) = &answer {
            tracing::debug!(%name, ?cause, "resolving {name}: no answer, the known addresses stay in use");
        }
        lookup.end(answer, Cause::NoSuchName);
    }

    /// The addresses that the hosts file has for `name`.
    async fn listed(&self, name: &str) -> Option<Vec<IpAddr>> {
        let text = tokio::fs::read(&self.hosts).await.ok()?;
        let addresses = distinct(hosts::of(&String::from_utf8_lossy(&text), name));
        (!addresses.is_empty()).then_some(addresses)
    }

    fn pin(&self, name: &str) -> Arc<Pin> {
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(pins.entry(name.to_owned()).or_default())
    }
}

impl Pin {
    fn addresses(&self) -> Vec<IpAddr> {
        self.name.known().addresses
    }

    fn is_older_than(&self, age: Duration, now: Mono) -> bool {
        self.asked().last.is_none_or(|asked| now.since(asked) >= age)
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn at(address: &Address, addresses: &[IpAddr]) -> Vec<SocketAddr> {
    addresses.iter().map(|ip| SocketAddr::new(*ip, address.port)).collect()
}

/// The order is the resolver's; it is what other programs on this machine would dial.
fn distinct(found: impl IntoIterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for address in found {
        if !addresses.contains(&address) && addresses.len() < MAX_ADDRESSES {
            addresses.push(address);
        }
    }
    addresses
}
