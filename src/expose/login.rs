//! Checks a user and password without slowing down probes and pages.
//!
//! bcrypt is slow on purpose: some 70 ms of a processor for each password tried. So one password is checked at a time,
//! on a thread apart from those that probe and answer. Few requests wait for that, fewer from one peer, and others are
//! refused without a check. A login that succeeded is remembered by a digest under a key that this process drew, so
//! that a scraper is checked once, and a flood of wrong passwords does not keep it out. An unknown user takes as long
//! as a known one.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::config::web::PasswordHash;

use super::peers::Peers;

/// Logins that wait for their turn: about a second's work at cost 10, a tenth of what Prometheus waits for a scrape.
const WAITING: usize = 16;
/// Those of one peer. A peer that waits has no reason to ask again meanwhile, but a page loads more than one thing.
const OF_ONE_PEER: usize = 4;
/// Successes remembered: a few users with the password before and after its change.
const REMEMBERED: usize = 64;

/// The result of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Accepted,
    Wrong,
    /// Not checked: too many wait.
    Busy,
}

/// Checks logins.
#[derive(Debug)]
pub(super) struct Logins {
    key: hmac::Key,
    remembered: Mutex<VecDeque<hmac::Tag>>,
    waiting: Semaphore,
    peers: Arc<Peers>,
    turn: Arc<Semaphore>,
}

impl Logins {
    /// Remembers no logins.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub(super) fn new() -> Result<Self, aws_lc_rs::error::Unspecified> {
        Ok(Self {
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())?,
            remembered: Mutex::default(),
            waiting: Semaphore::new(WAITING),
            peers: Arc::default(),
            turn: Arc::new(Semaphore::new(1)),
        })
    }

    /// Whether `password` is that of `user` among `users`. Must run in a tokio runtime.
    pub(super) async fn check(
        &self,
        users: &BTreeMap<String, PasswordHash>,
        user: &str,
        password: Zeroizing<Vec<u8>>,
        peer: Option<IpAddr>,
    ) -> Outcome {
        let known = users.get(user);
        let Some(hash) = known.or_else(|| self.stand_in(users, user)) else { return Outcome::Wrong };
        let digest = self.digest(&[user.as_bytes(), hash.expose().as_bytes(), &password]);
        if known.is_some() && self.remembers(&digest) {
            return Outcome::Accepted;
        }
        let Ok(_waiting) = self.waiting.try_acquire() else { return Outcome::Busy };
        let place = peer.map(|peer| self.peers.enter(peer, OF_ONE_PEER));
        if matches!(place, Some(None)) {
            return Outcome::Busy;
        }
        let Ok(turn) = Arc::clone(&self.turn).acquire_owned().await else { return Outcome::Busy };
        let hash = hash.clone();
        // The permit moves into the task: when the client disconnects, the check goes on, and there is still one at a
        // time.
        let work = tokio::task::spawn_blocking(move || {
            let is_right = bcrypt::verify(password.as_slice(), hash.expose()).unwrap_or(false);
            drop(turn);
            is_right
        });
        if !work.await.unwrap_or(false) || known.is_none() {
            return Outcome::Wrong;
        }
        self.remember(digest);
        Outcome::Accepted
    }

    /// The hash that an unknown user is compared with: always the same for the same name, and of the cost of a real
    /// one, so that the time does not show whether the user exists.
    fn stand_in<'a>(&self, users: &'a BTreeMap<String, PasswordHash>, user: &str) -> Option<&'a PasswordHash> {
        let digest = self.digest(&[user.as_bytes()]);
        let number = digest.as_ref().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let count = u64::try_from(users.len()).ok()?;
        let index = usize::try_from(number.checked_rem(count)?).ok()?;
        users.values().nth(index)
    }

    /// Each part behind its length, so that no two lists of parts give the same bytes.
    fn digest(&self, parts: &[&[u8]]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        context.sign()
    }

    fn remembers(&self, digest: &hmac::Tag) -> bool {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |known: &hmac::Tag| verify_slices_are_equal(known.as_ref(), digest.as_ref()).is_ok();
        let Some(at) = remembered.iter().position(is_it) else { return false };
        // The most recently used is forgotten last.
        if let Some(known) = remembered.remove(at) {
            remembered.push_back(known);
        }
        true
    }

    fn remember(&self, digest: hmac::Tag) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED {
            remembered.pop_front();
        }
        remembered.push_back(digest);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::web;

    fn users(costs: &[u32]) -> BTreeMap<String, PasswordHash> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yml");
        let line = |(n, cost): (usize, &u32)| format!("  user-{n}: {}\n", bcrypt::hash("secret", *cost).unwrap());
        let lines: String = costs.iter().enumerate().map(line).collect();
        fs::write(&path, format!("basic_auth_users:\n{lines}")).unwrap();
        web::read(&path).result.unwrap().0.users
    }

    #[test]
    fn an_unknown_user_costs_what_some_user_costs_and_always_the_same() {
        let (logins, users) = (Logins::new().unwrap(), users(&[4, 5, 6]));
        let cost = |name: &str| logins.stand_in(&users, name).unwrap().cost();

        let mut seen: Vec<u32> = (0..200).map(|n| cost(&format!("nobody-{n}"))).collect();
        assert!((0..200).all(|n| cost(&format!("nobody-{n}")) == seen[n]));
        seen.sort_unstable();
        seen.dedup();

        assert_eq!(seen, [4, 5, 6]);
    }

    #[tokio::test]
    async fn the_password_of_the_user_that_stands_in_lets_nobody_in() {
        let (logins, users) = (Logins::new().unwrap(), users(&[4]));
        let check = async |user: &str| logins.check(&users, user, Zeroizing::new(b"secret".to_vec()), None).await;

        assert_eq!(check("user-0").await, Outcome::Accepted);
        assert_eq!((check("nobody").await, check("nobody").await), (Outcome::Wrong, Outcome::Wrong));
        assert_eq!(check("user-0").await, Outcome::Accepted);
    }

    #[test]
    fn so_many_successes_are_remembered_and_the_latest_used_longest() {
        let logins = Logins::new().unwrap();
        let digest = |n: usize| logins.digest(&[&n.to_be_bytes()]);
        for n in 0..REMEMBERED {
            logins.remember(digest(n));
        }

        assert!(logins.remembers(&digest(0)));
        logins.remember(digest(REMEMBERED));

        assert!(logins.remembers(&digest(0)) && logins.remembers(&digest(REMEMBERED)));
        assert!(!logins.remembers(&digest(1)));
    }
}
