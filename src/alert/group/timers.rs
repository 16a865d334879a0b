//! What an incident waits for, and until when: one table from which both the next deadline and what is due derive.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::time::Mono;

/// What an incident waits for. What is due at once happens in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Timer {
    /// Other findings may join it before its first mail; none runs once it is mailed or where no mail is due.
    Settle,
    /// The findings that have outlived its cause are mailed.
    Remains,
    /// The parts that have become worse are mailed.
    News,
    /// Its mail is repeated.
    Repeat,
}

/// The timers of one incident that run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Timers(BTreeMap<Timer, Mono>);

impl Timers {
    /// Starts a timer, or sets it anew.
    pub(super) fn set(&mut self, timer: Timer, at: Mono) {
        self.0.insert(timer, at);
    }

    /// Starts a timer, unless it runs already and ends before.
    pub(super) fn hasten(&mut self, timer: Timer, at: Mono) {
        let known = self.0.entry(timer).or_insert(at);
        *known = at.min(*known);
    }

    /// Starts a timer unless it runs.
    pub(super) fn start(&mut self, timer: Timer, at: Mono) {
        self.0.entry(timer).or_insert(at);
    }

    /// Stops a timer.
    pub(super) fn stop(&mut self, timer: Timer) {
        self.0.remove(&timer);
    }

    /// Whether a timer runs.
    pub(super) fn runs(&self, timer: Timer) -> bool {
        self.0.contains_key(&timer)
    }

    /// When the next of them ends.
    pub(super) fn next(&self) -> Option<Mono> {
        self.0.values().min().copied()
    }

    /// Stops those that have ended at `now`, and returns them in their order.
    pub(super) fn take_ended(&mut self, now: Mono) -> Vec<Timer> {
        let ended: Vec<Timer> = self.0.iter().filter(|(_, at)| **at <= now).map(|(timer, _)| *timer).collect();
        self.0.retain(|_, at| *at > now);
        ended
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const ALL: [Timer; 4] = [Timer::Settle, Timer::Remains, Timer::News, Timer::Repeat];

    fn at(millis: u64) -> Mono {
        Mono::ORIGIN.plus(Duration::from_millis(millis))
    }

    proptest! {
        /// Nothing ends before the announced deadline, and something does at it.
        #[test]
        fn what_ends_ends_at_the_deadline(
            set in proptest::collection::vec((0_usize..4, 0_usize..3, 0_u64..1000), 0..12),
            steps in proptest::collection::vec(1_u64..200, 0..20),
        ) {
            let mut timers = Timers::default();
            for (timer, how, millis) in set {
                [Timers::set, Timers::hasten, Timers::start][how](&mut timers, ALL[timer], at(millis));
            }
            let mut now = 0;
            for step in steps {
                now += step;
                let next = timers.next();
                let running = ALL.iter().filter(|timer| timers.runs(**timer)).count();

                let ended = timers.take_ended(at(now));

                prop_assert_eq!(next.is_some_and(|next| next <= at(now)), !ended.is_empty());
                prop_assert!(ended.is_sorted() && ended.iter().all(|timer| !timers.runs(*timer)));
                prop_assert_eq!(ALL.iter().filter(|timer| timers.runs(**timer)).count() + ended.len(), running);
                prop_assert!(timers.next().is_none_or(|next| next > at(now)));
            }
        }
    }
}
