//! The error of our wall clock by servers' dates.
//!
//! Every answer over HTTP carries a `Date`; the median over all servers is the only measure of our clock's error that
//! needs no time server. Kept as a state, because every evaluation needs it and a vantage may watch ten thousand
//! servers. Decides nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::subject::Subject;
use crate::model::time::Mono;

/// ClockError are compared with the wall clock for this long, and a clock that was just set is given as much time to be
/// confirmed by one. Several of the fast intervals.
const LAST: Duration = Duration::from_secs(60);

/// With more servers than these the median is worked out at most once in [`RENEWAL`]: a single date does not change it.
const FEW: usize = 64;

/// See [`FEW`].
const RENEWAL: Duration = Duration::from_secs(1);

/// The error of our wall clock, as servers see it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ClockError {
    /// (Server date − own wall clock) in milliseconds, and when it was seen.
    offsets: BTreeMap<Subject, (Mono, i64)>,
    /// When the last one came, and when the median was worked out.
    median: Option<Median>,
    /// When the wall clock was last set, or read for the first time, and not confirmed since.
    clock_set: Mono,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Median {
    millis: i64,
    worked_out: Mono,
    latest: Mono,
}

impl Default for ClockError {
    fn default() -> Self {
        Self { offsets: BTreeMap::new(), median: None, clock_set: Mono::ORIGIN }
    }
}

impl ClockError {
    /// A server's date was `millis` ahead of our clock in a probe scheduled at `at`.
    pub(super) fn take(&mut self, server: &Subject, at: Mono, millis: i64) {
        if at < self.clock_set {
            return;
        }
        match self.offsets.get_mut(server) {
            Some(known) => *known = (at, millis),
            None => {
                self.offsets.insert(server.clone(), (at, millis));
            }
        }
        let is_current = |median: &Median| self.offsets.len() > FEW && at.since(median.worked_out) < RENEWAL;
        match &mut self.median {
            Some(median) if is_current(median) => median.latest = median.latest.max(at),
            _ => self.work_out(at),
        }
    }

    /// The wall clock was set: what was known of its error is discarded.
    pub(super) fn set_clock(&mut self, now: Mono) {
        *self = Self { clock_set: now, ..Self::default() };
    }

    /// Forgets servers that are not watched any more.
    pub(super) fn retain(&mut self, stays: impl Fn(&Subject) -> bool) {
        self.offsets.retain(|server, _| stays(server));
    }

    /// Median of (server date − own wall clock) in milliseconds over the servers heard in the last minute.
    ///
    /// `Date` has a resolution of one second, so the value is good to half a second at best.
    pub(super) fn median_millis(&self, now: Mono) -> Option<i64> {
        self.median.filter(|median| now.since(median.latest) <= LAST).map(|median| median.millis)
    }

    /// Whether the wall clock is within `error` of the servers' dates, or there are none to ask.
    pub(super) fn confirm_clock(&self, error: Duration, now: Mono) -> bool {
        self.median_millis(now).map_or_else(
            || now.since(self.clock_set) > LAST,
            |offset| Duration::from_millis(offset.unsigned_abs()) <= error,
        )
    }

    fn work_out(&mut self, now: Mono) {
        let fresh = self.offsets.values().filter(|(at, _)| now.since(*at) <= LAST);
        let mut offsets: Vec<i64> = fresh.map(|(_, millis)| *millis).collect();
        let middle = offsets.len() / 2;
        if offsets.is_empty() {
            return;
        }
        let millis = *offsets.select_nth_unstable(middle).1;
        let latest = self.median.map_or(now, |median| median.latest.max(now));
        self.median = Some(Median { millis, worked_out: now, latest });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(n: usize) -> Subject {
        Subject::Apiserver("site".parse().unwrap(), format!("s{n}").parse().unwrap())
    }

    fn at(millis: u64) -> Mono {
        Mono::ORIGIN.plus(Duration::from_millis(millis))
    }

    #[test]
    fn one_server_with_a_wrong_clock_moves_nothing() {
        let mut dates = ClockError::default();
        dates.take(&server(0), at(0), 40);
        dates.take(&server(1), at(10), 3_600_000);
        dates.take(&server(2), at(20), -60);

        assert_eq!(dates.median_millis(at(20)), Some(40));
    }

    #[test]
    fn among_many_servers_a_clock_that_runs_away_shows_within_a_second() {
        let mut dates = ClockError::default();
        for n in 0..500 {
            dates.take(&server(n), at(0), 0);
        }
        for n in 0..500 {
            dates.take(&server(n), at(500 + 2 * n as u64), 9_000);
        }

        assert_eq!(dates.median_millis(at(1_498)), Some(9_000));
    }

    #[test]
    fn dates_of_more_than_a_minute_ago_say_nothing() {
        let mut dates = ClockError::default();
        for n in 0..100 {
            dates.take(&server(n), at(0), 5_000);
        }
        dates.take(&server(0), at(61_000), 10);

        assert_eq!(dates.median_millis(at(61_000)), Some(10));
        assert_eq!(dates.median_millis(at(122_000)), None);
    }

    #[test]
    fn a_clock_that_was_set_is_not_trusted_until_a_server_confirms_it_or_a_minute_has_passed() {
        let error = Duration::from_secs(5);
        let mut dates = ClockError::default();
        dates.set_clock(at(1_000));
        dates.take(&server(0), at(900), 0);
        assert!(!dates.confirm_clock(error, at(1_100)));

        dates.take(&server(0), at(2_000), 0);
        assert!(dates.confirm_clock(error, at(2_000)));

        dates.set_clock(at(3_000));
        assert!(dates.confirm_clock(error, at(63_001)));
    }
}
