//! The error of our wall clock, and of each server's, by servers' dates.
//!
//! Every answer over HTTP carries a `Date`; the median over all servers is the only measure of our clock's error that
//! needs no time server. Whose clock is wrong is put to the vote: our own and each server's have one vote, and what a
//! majority of at least three agrees on is taken for the time. Kept as a state, because every evaluation needs it and a
//! vantage may watch ten thousand servers. Decides nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::subject::Subject;
use crate::model::time::{Mono, Now};

use super::probe_runs::Run;

/// ClockError are compared with the wall clock for this long, and a clock that was just set is given as much time to be
/// confirmed by one. Several of the fast intervals.
const LAST: Duration = Duration::from_secs(60);

/// With more servers than these the median is worked out at most once in [`RENEWAL`]: a single date does not change it.
const FEW: usize = 64;

/// See [`FEW`].
const RENEWAL: Duration = Duration::from_secs(1);

/// Clocks that differ by no more than this agree, and one that differs by more from those that agree is wrong. Source: the
/// failure modes' table (F16). A `Date` is good to half a second, and to another half for the way of an answer that took
/// up to a second, so that a clock that is right is never told from it by this.
pub const WRONG: Duration = Duration::from_secs(2);

/// A clock that was wrong is right again within this of those that agree.
pub const RIGHT: Duration = Duration::from_secs(1);

/// Fewer places outvote nobody.
const PLACES: usize = 3;

/// What the places agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockVote {
    /// (Time that the majority has − own wall clock) in milliseconds.
    pub millis: i64,
    /// Places that voted, the vantage among them.
    pub places: usize,
    /// Those of them that agree.
    pub agree: usize,
}

/// Whether our own clock is wrong by the votes in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwnClockRun {
    /// It is.
    Wrong(Run),
    /// It is not.
    Right(Run),
}

/// The error of our wall clock, as servers see it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ClockError {
    /// (Server date − own wall clock) in milliseconds, and when it was seen.
    offsets: BTreeMap<Subject, (Mono, i64)>,
    /// When the last one came, and when the median was worked out.
    median: Option<Median>,
    /// What the places agreed on when the median was worked out, if they did.
    #[serde(default)]
    vote: Option<ClockVote>,
    #[serde(default)]
    own: Option<OwnClockRun>,
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
        Self { offsets: BTreeMap::new(), median: None, vote: None, own: None, clock_set: Mono::ORIGIN }
    }
}

impl ClockError {
    /// A server's date was `millis` ahead of our clock in a probe scheduled at `at`.
    pub(super) fn take(&mut self, server: &Subject, scheduled: Now, millis: i64) {
        let at = scheduled.mono;
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
            _ => self.work_out(scheduled),
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

    /// What the places agree on, by the dates of the last minute.
    pub(super) fn vote(&self, now: Mono) -> Option<ClockVote> {
        self.median.filter(|median| now.since(median.latest) <= LAST)?;
        self.vote
    }

    /// By how many milliseconds the clock of `server` is ahead of what the places agree on.
    pub(super) fn deviation_millis(&self, server: &Subject, now: Mono) -> Option<i64> {
        let (_, offset) = self.offsets.get(server).filter(|(at, _)| now.since(*at) <= LAST)?;
        Some(offset.saturating_sub(self.vote(now)?.millis))
    }

    /// Whether our own clock is wrong.
    pub(super) const fn own(&self) -> Option<OwnClockRun> {
        self.own
    }

    fn work_out(&mut self, scheduled: Now) {
        let now = scheduled.mono;
        let fresh = self.offsets.values().filter(|(at, _)| now.since(*at) <= LAST);
        let mut offsets: Vec<i64> = fresh.map(|(_, millis)| *millis).collect();
        let middle = offsets.len() / 2;
        if offsets.is_empty() {
            return;
        }
        let millis = *offsets.select_nth_unstable(middle).1;
        let latest = self.median.map_or(now, |median| median.latest.max(now));
        self.median = Some(Median { millis, worked_out: now, latest });
        self.vote = self.count_votes(now);
        self.own = self.vote.map(|vote| self.own_run(vote, scheduled));
    }

    /// An API VIP has no clock of its own.
    fn count_votes(&self, now: Mono) -> Option<ClockVote> {
        let heard = self.offsets.iter().filter(|(server, (at, _))| !server.is_vip() && now.since(*at) <= LAST);
        let mut votes: Vec<i64> = heard.map(|(_, (_, millis))| *millis).chain([0]).collect();
        if votes.len() < PLACES {
            return None;
        }
        let middle = votes.len() / 2;
        let millis = *votes.select_nth_unstable(middle).1;
        let agree = votes.iter().filter(|vote| !is_apart(millis.saturating_sub(**vote), WRONG)).count();
        (agree * 2 > votes.len()).then_some(ClockVote { millis, places: votes.len(), agree })
    }

    /// Between right and wrong it stays what it was.
    fn own_run(&self, vote: ClockVote, scheduled: Now) -> OwnClockRun {
        let (wrong, right) = match self.own {
            Some(OwnClockRun::Wrong(run)) => (Some(run), None),
            Some(OwnClockRun::Right(run)) => (None, Some(run)),
            None => (None, None),
        };
        if is_apart(vote.millis, WRONG) || wrong.is_some() && is_apart(vote.millis, RIGHT) {
            OwnClockRun::Wrong(Run::extended(wrong, scheduled))
        } else {
            OwnClockRun::Right(Run::extended(right, scheduled))
        }
    }
}

/// Whether `millis` is further from zero than `limit`.
pub(super) fn is_apart(millis: i64, limit: Duration) -> bool {
    Duration::from_millis(millis.unsigned_abs()) > limit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::UnixTime;

    fn server(n: usize) -> Subject {
        Subject::Apiserver("site".parse().unwrap(), format!("s{n}").parse().unwrap())
    }

    fn at(millis: u64) -> Mono {
        Mono::ORIGIN.plus(Duration::from_millis(millis))
    }

    fn scheduled(millis: u64) -> Now {
        Now { wall: UnixTime::from_secs(1_790_000_000), mono: at(millis) }
    }

    #[test]
    fn one_server_with_a_wrong_clock_moves_nothing() {
        let mut dates = ClockError::default();
        dates.take(&server(0), scheduled(0), 40);
        dates.take(&server(1), scheduled(10), 3_600_000);
        dates.take(&server(2), scheduled(20), -60);

        assert_eq!(dates.median_millis(at(20)), Some(40));
    }

    #[test]
    fn among_many_servers_a_clock_that_runs_away_shows_within_a_second() {
        let mut dates = ClockError::default();
        for n in 0..500 {
            dates.take(&server(n), scheduled(0), 0);
        }
        for n in 0..500 {
            dates.take(&server(n), scheduled(500 + 2 * n as u64), 9_000);
        }

        assert_eq!(dates.median_millis(at(1_498)), Some(9_000));
    }

    #[test]
    fn dates_of_more_than_a_minute_ago_say_nothing() {
        let mut dates = ClockError::default();
        for n in 0..100 {
            dates.take(&server(n), scheduled(0), 5_000);
        }
        dates.take(&server(0), scheduled(61_000), 10);

        assert_eq!(dates.median_millis(at(61_000)), Some(10));
        assert_eq!(dates.median_millis(at(122_000)), None);
    }

    #[test]
    fn a_clock_that_was_set_is_not_trusted_until_a_server_confirms_it_or_a_minute_has_passed() {
        let error = Duration::from_secs(5);
        let mut dates = ClockError::default();
        dates.set_clock(at(1_000));
        dates.take(&server(0), scheduled(900), 0);
        assert!(!dates.confirm_clock(error, at(1_100)));

        dates.take(&server(0), scheduled(2_000), 0);
        assert!(dates.confirm_clock(error, at(2_000)));

        dates.set_clock(at(3_000));
        assert!(dates.confirm_clock(error, at(63_001)));
    }

    /// What is agreed on with these offsets, and the servers that are wrong.
    fn vote(offsets: &[i64]) -> Option<(i64, usize, Vec<usize>, bool)> {
        let mut dates = ClockError::default();
        for (n, offset) in offsets.iter().enumerate() {
            dates.take(&server(n), scheduled(0), *offset);
        }
        let vote = dates.vote(at(0))?;
        let is_wrong = |n: &usize| is_apart(dates.deviation_millis(&server(*n), at(0)).unwrap(), WRONG);
        let wrong = (0..offsets.len()).filter(is_wrong).collect();
        Some((vote.millis, vote.agree, wrong, matches!(dates.own(), Some(OwnClockRun::Wrong(_)))))
    }

    #[test]
    fn three_places_tell_whose_clock_is_wrong_and_two_do_not() {
        assert_eq!(vote(&[]), None);
        assert_eq!(vote(&[30_000]), None, "either of two may be wrong");
        assert_eq!(vote(&[400, 30_000]), Some((400, 2, vec![1], false)));
        assert_eq!(vote(&[-30_000, 0]), Some((0, 2, vec![0], false)));
        assert_eq!(vote(&[30_000, 30_600]), Some((30_000, 2, vec![], true)), "it is our own");
        assert_eq!(vote(&[2_000, 0]), Some((0, 3, vec![], false)));
        assert_eq!(vote(&[2_001, 0]), Some((0, 2, vec![0], false)));
        assert_eq!(vote(&[10_000, 20_000]), None, "no two agree");
        assert_eq!(vote(&[30_000, 30_000, 0]), None, "two against two");
        assert_eq!(vote(&[30_000, 30_000, 30_000, 0]), Some((30_000, 3, vec![3], true)));
    }

    #[test]
    fn an_api_vip_has_no_vote() {
        let mut dates = ClockError::default();
        let vip = Subject::Vip("site".parse().unwrap());
        for (place, offset) in [(vip, 30_000), (server(0), 30_000)] {
            dates.take(&place, scheduled(0), offset);
        }

        assert_eq!(dates.vote(at(0)), None);
    }

    #[test]
    fn our_own_clock_is_wrong_until_it_is_right_by_a_second() {
        let mut dates = ClockError::default();
        for (second, offset, is_wrong) in
            [(0, 0, false), (1, 1_900, false), (2, 2_100, true), (3, 1_100, true), (4, 900, false), (5, 1_100, false)]
        {
            for n in 0..2 {
                dates.take(&server(n), scheduled(second * 1000), offset);
            }
            assert_eq!(matches!(dates.own(), Some(OwnClockRun::Wrong(_))), is_wrong, "{second}");
        }
        dates.set_clock(at(6_000));
        assert_eq!(dates.own(), None);
    }
}
