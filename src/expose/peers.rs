//! How much of a bounded number one peer may hold, so that a slow or hostile one does not use up the places of the
//! others.
//!
//! A peer is an IPv4 address or an IPv6 network of 64 bits, which is what a single host usually has to choose from.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Places in use by each peer that has any.
#[derive(Debug, Default)]
pub(super) struct Peers(Mutex<BTreeMap<IpAddr, usize>>);

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    peers: Arc<Peers>,
    peer: IpAddr,
}

impl Peers {
    /// One more place for the peer at `address`, if it has fewer than `most`.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr, most: usize) -> Option<Place> {
        let peer = network(address);
        let mut held = self.held();
        let count = held.entry(peer).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        drop(held);
        Some(Place { peers: Arc::clone(self), peer })
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.peers.held();
        if let Some(count) = held.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.peer);
            }
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_holds_so_many_places_and_others_theirs() {
        let peers = Arc::new(Peers::default());
        let at = |address: &str| peers.enter(address.parse().unwrap(), 2);

        let held = [at("10.0.0.1"), at("::ffff:10.0.0.1"), at("2001:db8::1"), at("2001:db8::ffff:2")];

        assert!(held.iter().all(Option::is_some));
        assert!(at("10.0.0.1").is_none() && at("2001:db8::3").is_none());
        assert!(at("10.0.0.2").is_some() && at("2001:db8:0:1::1").is_some());
        drop(held);
        assert!(at("10.0.0.1").is_some());
        assert!(peers.held().is_empty());
    }
}
