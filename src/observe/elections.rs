//! The leaders that one etcd cluster was seen to have, as far as they matter: a bounded history of elections.
//!
//! Terms need no counters: every election raises the term, and a round shows it. Elections between two rounds count
//! once, and so does one that needed several votes; a term that a minority reached alone counts not at all. Survives no
//! restart.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::time::{Mono, Now};

/// Elections kept: six are critical, and more make no difference.
const KEPT: usize = 32;

/// Elections of one etcd cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elections {
    first_round: Option<Mono>,
    cluster: Option<u64>,
    term: u64,
    steps: VecDeque<Step>,
}

/// Whom a majority follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Led {
    /// Id of the etcd cluster, where it is reported.
    pub cluster: Option<u64>,
    /// The raft term.
    pub term: u64,
    /// Member id of the leader.
    pub leader: u64,
}

/// One election.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Scheduled start of the first round that saw the new leader.
    pub at: Now,
    /// The new term.
    pub term: u64,
    /// Member id of the new leader.
    pub leader: u64,
}

impl Elections {
    /// A round scheduled at `at` saw a majority follow a leader. Steps older than `window` are forgotten.
    ///
    /// Another cluster at the same addresses has a history of its own.
    pub fn take(&mut self, at: Now, led: Led, window: Duration) {
        let Led { cluster, term, leader } = led;
        if self.cluster != cluster {
            *self = Self { cluster, ..Self::default() };
        }
        let is_step = self.first_round.is_some() && term > self.term;
        self.first_round.get_or_insert(at.mono);
        // A lower term is another cluster at the same address: what it elects is counted from here.
        self.term = term;
        if is_step {
            self.steps.push_back(Step { at, term, leader });
        }
        while self.steps.len() > KEPT || self.steps.front().is_some_and(|step| at.mono.since(step.at.mono) > window) {
            self.steps.pop_front();
        }
    }

    /// Elections within `window` before `now`, oldest first.
    pub fn within(&self, now: Mono, window: Duration) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| now.since(step.at.mono) <= window)
    }

    /// Whether the rounds reach back over all of `window`, so that few elections are few and not unknown.
    #[must_use]
    pub fn covers(&self, now: Mono, window: Duration) -> bool {
        self.first_round.is_some_and(|first| now.since(first) >= window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::UnixTime;

    const WINDOW: Duration = Duration::from_secs(900);

    fn after(seconds: u64) -> Now {
        let start = Now { wall: UnixTime::from_secs(1_790_000_000), mono: Mono(Duration::from_secs(1_000)) };
        start.plus(Duration::from_secs(seconds))
    }

    fn led(term: u64) -> Led {
        Led { cluster: Some(7), term, leader: 1 }
    }

    #[test]
    fn another_cluster_at_the_same_addresses_begins_anew() {
        let mut elections = Elections::default();
        elections.take(after(0), led(3), WINDOW);
        elections.take(after(900), led(4), WINDOW);

        elections.take(after(903), Led { cluster: Some(8), term: 9, leader: 1 }, WINDOW);

        assert_eq!(elections.within(after(903).mono, WINDOW).count(), 0);
        assert!(!elections.covers(after(903).mono, WINDOW));
    }

    fn check(rounds: &[(u64, u64)], expected: &[u64]) {
        let mut elections = Elections::default();
        for (at, term) in rounds {
            elections.take(after(*at), led(*term), WINDOW);
        }
        let now = after(rounds.last().map_or(0, |(at, _)| *at)).mono;

        let terms: Vec<u64> = elections.within(now, WINDOW).map(|step| step.term).collect();

        assert_eq!(terms, expected, "{rounds:?}");
    }

    #[test]
    fn every_raised_term_is_one_election_however_far_it_rose() {
        check(&[(0, 3)], &[]);
        check(&[(0, 3), (3, 3), (6, 4), (9, 4)], &[4]);
        check(&[(0, 3), (3, 5), (6, 100)], &[5, 100]);
        check(&[(0, 90), (3, 2), (6, 2), (9, 3)], &[3]);
    }

    #[test]
    fn elections_are_forgotten_after_the_window() {
        check(&[(0, 3), (3, 4), (903, 4)], &[4]);
        check(&[(0, 3), (3, 4), (904, 4)], &[]);
        check(&[(0, 3), (3, 4), (904, 5)], &[5]);
    }

    #[test]
    fn a_history_is_bounded_and_knows_how_far_it_reaches() {
        let mut elections = Elections::default();
        for n in 0..200 {
            elections.take(after(n), led(n), WINDOW);
        }

        assert_eq!(elections.within(after(200).mono, WINDOW).count(), KEPT);
        assert!(!elections.covers(after(899).mono, WINDOW));
        assert!(elections.covers(after(900).mono, WINDOW));
    }
}
