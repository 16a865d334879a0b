//! What is known of a name: the addresses of the last answer that had any, and why the latest lookup brought none.
//!
//! A lookup that fails keeps what was known, and at most one is under way, so a resolver that is down takes away no
//! address and holds one thread a name at most. Whom to ask and how long to wait is decided by those who hold a pin:
//! the probes (`collect/names.rs`) and whatever sends (`notify/pinned_name.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// One name. `E` says why a lookup brought no address.
#[derive(Debug)]
pub(crate) struct NamePin<A, E> {
    known: watch::Sender<Known<A, E>>,
    is_asking: AtomicBool,
}

/// What is known of a name.
#[derive(Debug, Clone)]
pub(crate) struct Known<A, E> {
    /// From the last answer that had any.
    pub(crate) addresses: Vec<A>,
    /// Why the latest lookup brought none; `None` after one that did, and before the first.
    pub(crate) failure: Option<E>,
}

/// The one lookup of a name that is under way. However it ends, the next may begin.
#[derive(Debug)]
pub(crate) struct Lookup<A, E>(Arc<NamePin<A, E>>);

impl<A, E> Default for NamePin<A, E> {
    fn default() -> Self {
        let known = watch::Sender::new(Known { addresses: Vec::new(), failure: None });
        Self { known, is_asking: AtomicBool::new(false) }
    }
}

impl<A: Clone, E: Clone> NamePin<A, E> {
    /// What is known now.
    pub(crate) fn known(&self) -> Known<A, E> {
        self.known.borrow().clone()
    }

    /// Changes with every answer from now on, a failure too.
    pub(crate) fn answers(&self) -> watch::Receiver<Known<A, E>> {
        self.known.subscribe()
    }

    /// Whether a lookup is under way.
    pub(crate) fn is_asking(&self) -> bool {
        self.is_asking.load(Ordering::Acquire)
    }

    /// Begins a lookup; `None` while one is under way.
    pub(crate) fn begin(self: &Arc<Self>) -> Option<Lookup<A, E>> {
        (!self.is_asking.swap(true, Ordering::AcqRel)).then(|| Lookup(Arc::clone(self)))
    }

    fn tell(&self, answer: Result<Vec<A>, E>, empty: E) {
        self.known.send_modify(|known| match answer {
            Ok(addresses) if addresses.is_empty() => known.failure = Some(empty),
            Ok(addresses) => *known = Known { addresses, failure: None },
            Err(failure) => known.failure = Some(failure),
        });
    }
}

impl<A: Clone, E: Clone> Lookup<A, E> {
    /// Makes known what came, while the lookup goes on or after it. An answer without an address is a failure, `empty`.
    pub(crate) fn tell(&self, answer: Result<Vec<A>, E>, empty: E) {
        self.0.tell(answer, empty);
    }

    /// The last answer. Whoever waits for it may ask again at once.
    pub(crate) fn end(self, answer: Result<Vec<A>, E>, empty: E) {
        let pin = Arc::clone(&self.0);
        drop(self);
        pin.tell(answer, empty);
    }
}

impl<A, E> Drop for Lookup<A, E> {
    fn drop(&mut self) {
        self.0.is_asking.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_lookup_keeps_the_addresses_and_the_next_answer_replaces_them() {
        let pin: Arc<NamePin<u8, &str>> = Arc::default();
        let look_up = |answer| pin.begin().unwrap().end(answer, "no address");

        look_up(Ok(vec![1, 2]));
        look_up(Err("refused"));
        assert_eq!((pin.known().addresses, pin.known().failure), (vec![1, 2], Some("refused")));
        look_up(Ok(vec![]));
        assert_eq!((pin.known().addresses, pin.known().failure), (vec![1, 2], Some("no address")));
        look_up(Ok(vec![3]));
        assert_eq!((pin.known().addresses, pin.known().failure), (vec![3], None));
    }

    #[test]
    fn one_lookup_is_under_way_at_a_time_however_it_ends() {
        let pin: Arc<NamePin<u8, ()>> = Arc::default();

        let first = pin.begin().unwrap();
        assert!(pin.begin().is_none() && pin.is_asking());
        first.tell(Ok(vec![1]), ());
        assert!(pin.begin().is_none(), "it goes on");
        drop(first);
        assert!(!pin.is_asking());
        pin.begin().unwrap().end(Err(()), ());

        assert!(pin.begin().is_some());
    }
}
