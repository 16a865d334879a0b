//! A name that mails and heartbeats go to, resolved once and kept, so that they go while DNS is down.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin as Boxed;
use std::sync::Arc;
use std::time::Duration;

use crate::config::settings::{Address, Host};
use crate::name_pin::NamePin;

/// How long a fresh answer is waited for while an older one is known. A working resolver answers in milliseconds.
const PATIENCE: Duration = Duration::from_millis(500);

type Lookup = dyn Fn() -> Boxed<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>> + Send + Sync;

/// The addresses of one host and port. Clones share what is known.
#[derive(Clone)]
pub(super) struct PinnedName {
    look_up: Arc<Lookup>,
    name: Arc<NamePin<SocketAddr, String>>,
}

impl PinnedName {
    /// A pin on `address`; literal addresses are never resolved.
    pub(super) fn new(address: &Address) -> Self {
        match &address.host {
            Host::Ip(ip) => {
                let address = SocketAddr::new(*ip, address.port);
                Self::by(move || Box::pin(async move { Ok(vec![address]) }))
            }
            Host::Name(name) => {
                let target = (name.clone(), address.port);
                Self::by(move || {
                    let target = target.clone();
                    Box::pin(async move { Ok(tokio::net::lookup_host(target).await?.collect()) })
                })
            }
        }
    }

    pub(super) fn by(
        look_up: impl Fn() -> Boxed<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self { look_up: Arc::new(look_up), name: Arc::default() }
    }

    /// Starts a lookup unless one is under way: never more than one thread waits for a resolver that is down.
    pub(super) fn refresh(&self) {
        let Some(lookup) = self.name.begin() else { return };
        let look_up = Arc::clone(&self.look_up);
        tokio::spawn(async move {
            let answer = look_up().await.map_err(|error| error.to_string());
            lookup.end(answer, "the name has no address".into());
        });
    }

    /// Fresh addresses, or after half a second the last known ones. Waits on when none are known: the caller has the
    /// deadline.
    pub(super) async fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let mut answers = self.name.answers();
        self.refresh();
        let fresh = tokio::time::timeout(PATIENCE, answers.changed()).await;
        let mut known = self.name.known();
        if known.addresses.is_empty() && fresh.is_err() {
            // The sender lives as long as `self`, so this ends only by an answer.
            drop(answers.changed().await);
            known = self.name.known();
        }
        if known.addresses.is_empty() {
            return Err(known.failure.unwrap_or_else(|| "no answer".into()));
        }
        Ok(known.addresses)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn scripted(answers: Vec<Option<std::io::Result<Vec<SocketAddr>>>>) -> PinnedName {
        let answers = Arc::new(Mutex::new(answers.into_iter()));
        PinnedName::by(move || {
            let answer = answers.lock().unwrap().next().flatten();
            Box::pin(async move {
                match answer {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            })
        })
    }

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 25))
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_resolver_leaves_the_last_answer() {
        let failed = || Some(Err(std::io::Error::other("resolver down")));
        let pin =
            scripted(vec![Some(Ok(vec![address(1)])), failed(), Some(Ok(vec![])), Some(Ok(vec![address(2)])), None]);

        for expected in [1, 1, 1, 2, 2, 2] {
            assert_eq!(pin.addresses().await, Ok(vec![address(expected)]));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_any_answer_the_reason_is_told() {
        let pin = scripted(vec![Some(Err(std::io::Error::other("resolver down")))]);

        assert_eq!(pin.addresses().await, Err("resolver down".into()));
    }
}
