//! The figures drills measure, printed as one table at the end: fault-to-mail seconds and the like.

use std::fmt;
use std::time::{Duration, Instant};

/// Rows of what happened, and how long after its cause.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    rows: Vec<(String, Duration)>,
}

impl Table {
    /// Notes that `what` took from `cause` to `effect`.
    pub(crate) fn note(&mut self, what: impl Into<String>, cause: Instant, effect: Instant) {
        self.rows.push((what.into(), effect.saturating_duration_since(cause)));
    }

    /// Takes over the rows of another table.
    pub(crate) fn append(&mut self, other: &mut Self) {
        self.rows.append(&mut other.rows);
    }

    /// Whether nothing was noted.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|(what, _)| what.chars().count()).max().unwrap_or(0);
        for (what, time) in &self.rows {
            writeln!(f, "{what:width$}  {:7.2} s", time.as_secs_f64())?;
        }
        let mut times: Vec<Duration> = self.rows.iter().map(|&(_, time)| time).collect();
        times.sort();
        let (Some(median), Some(worst)) = (times.get(times.len() / 2), times.last()) else { return Ok(()) };
        write!(f, "median {:.2} s, worst {:.2} s", median.as_secs_f64(), worst.as_secs_f64())
    }
}
