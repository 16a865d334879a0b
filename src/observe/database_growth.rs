//! How fast one etcd member's database grows: a bounded history of its size, and a robust line through it.
//!
//! The line is that of Theil and Sen: the median of the slopes between all pairs of samples, which up to a quarter of
//! odd samples cannot bend. A database file never shrinks but by defragmentation (or a snapshot from the leader), so a
//! smaller size begins a new history. Survives no restart: a forecast is worth little from samples of before.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::time::Mono;

/// One sample a minute: growth is asked about in hours.
const EVERY: Duration = Duration::from_secs(60);

/// An hour of samples: long enough that the steps in which the file grows even out, short enough that a writer gone
/// wild is seen within the hour.
const KEPT: usize = 61;

/// A line through less than half an hour is no forecast of the next day.
const LEAST: Duration = Duration::from_secs(1800);

/// The size of one member's database over the last hour.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseGrowth {
    samples: VecDeque<(Mono, u64)>,
    shrank: bool,
    growth: Option<i64>,
}

impl DatabaseGrowth {
    /// A probe scheduled at `at` saw `bytes`.
    pub fn take(&mut self, at: Mono, bytes: u64) {
        if let Some((last, known)) = self.samples.back().copied() {
            // A late probe would show a file that shrinks.
            if at < last {
                return;
            }
            if bytes < known {
                *self = Self { shrank: true, ..Self::default() };
            } else if at.since(last) < EVERY {
                return;
            }
        }
        self.samples.push_back((at, bytes));
        if self.samples.len() > KEPT {
            self.samples.pop_front();
        }
        self.growth = self.line();
    }

    /// Bytes it grows by in an hour; `None` while the history is too short to tell.
    #[must_use]
    pub const fn growth_per_hour(&self) -> Option<i64> {
        self.growth
    }

    /// Whether this history began with space given back.
    #[must_use]
    pub const fn shrank(&self) -> bool {
        self.shrank
    }

    fn line(&self) -> Option<i64> {
        let (first, last) = (self.samples.front()?.0, self.samples.back()?.0);
        if last.since(first) < LEAST {
            return None;
        }
        let mut slopes: Vec<i64> = Vec::with_capacity(KEPT * KEPT / 2);
        for (index, (at, bytes)) in self.samples.iter().enumerate() {
            for (later, more) in self.samples.iter().skip(index + 1) {
                let seconds = i64::try_from(later.since(*at).as_secs().max(1)).unwrap_or(i64::MAX);
                let grown = i64::try_from(more.saturating_sub(*bytes)).unwrap_or(i64::MAX);
                slopes.push(grown.saturating_mul(3600) / seconds);
            }
        }
        slopes.sort_unstable();
        slopes.get(slopes.len() / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn growth(minutes: u64, size: impl Fn(u64) -> u64) -> Option<i64> {
        let mut sizes = DatabaseGrowth::default();
        for minute in 0..=minutes {
            sizes.take(Mono(Duration::from_secs(1_000 + minute * 60)), size(minute));
        }
        sizes.growth_per_hour()
    }

    #[test]
    fn even_growth_is_known_after_half_an_hour_and_not_before() {
        assert_eq!(growth(29, |minute| minute * MIB), None);
        assert_eq!(growth(30, |minute| minute * MIB), Some(60 << 20));
        assert_eq!(growth(500, |minute| minute * MIB), Some(60 << 20));
        assert_eq!(growth(500, |_| 900 * MIB), Some(0));
    }

    #[test]
    fn a_single_step_and_a_few_odd_samples_are_no_growth() {
        assert_eq!(growth(60, |minute| if minute < 50 { 100 * MIB } else { 900 * MIB }), Some(0));
        let steady = growth(60, |minute| minute * MIB + if minute == 40 { 400 } else { 0 });
        assert_eq!(steady, Some(60 << 20));
    }

    #[test]
    fn space_given_back_begins_a_new_history() {
        let mut sizes = DatabaseGrowth::default();
        for minute in 0..=40 {
            let size = if minute < 35 { minute * MIB } else { 5 * MIB };
            sizes.take(Mono(Duration::from_secs(minute * 60)), size);
        }

        assert_eq!(sizes.growth_per_hour(), None);
        assert!(sizes.shrank());
    }
}
