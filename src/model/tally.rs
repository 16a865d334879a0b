//! What was counted of the probes at one endpoint: how long their phases took, and how they ended.
//!
//! Bounded by the closed sets of kinds, phases and causes, and kept small: a vantage that watches ten thousand
//! endpoints holds ten thousand of these. Knows nothing of observations; `observe/history.rs` adds, the metrics page
//! reads.

use std::time::Duration;

use super::phase::Phase;
use super::probe::{Connection, ProbeKind};

/// Counts since start, or since the endpoint came into the configuration.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tally {
    // Sorted: a dozen entries are searched as quickly as a tree, in a third of its room.
    durations: Vec<(Series, Histogram)>,
    endings: Vec<(Ended, u64)>,
}

/// Identity of one latency series of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// Kind of probe.
    pub kind: ProbeKind,
    /// New or kept connection.
    pub connection: Connection,
    /// The phase.
    pub phase: Phase,
    /// `ok`, `not_ready`, or the cause of the failure when this phase is the one that failed.
    pub outcome: &'static str,
}

/// Identity of one outcome counter of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ended {
    /// Kind of probe.
    pub kind: ProbeKind,
    /// New or kept connection.
    pub connection: Connection,
    /// As in [`Series`].
    pub outcome: &'static str,
}

/// Counts of samples by size, in the buckets of [`Histogram::BOUNDS`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// Samples above the bound before and at or below this one. A probe a second would fill 32 bits in 136 years.
    counts: [u32; Self::BOUNDS.len()],
    /// Samples above the last bound.
    above: u32,
    /// Sum in seconds.
    sum: f64,
}

impl Tally {
    /// Counts one probe that ended.
    pub fn end(&mut self, ended: Ended) {
        *entry(&mut self.endings, ended) += 1;
    }

    /// Counts how long a phase of a probe took.
    pub fn observe(&mut self, series: Series, spent: Duration) {
        entry(&mut self.durations, series).observe(spent);
    }

    /// Every latency series, in order.
    pub fn durations(&self) -> impl Iterator<Item = (Series, &Histogram)> {
        self.durations.iter().map(|(series, histogram)| (*series, histogram))
    }

    /// How many probes ended in which way, in order.
    pub fn endings(&self) -> impl Iterator<Item = (Ended, u64)> {
        self.endings.iter().copied()
    }
}

impl Histogram {
    /// Upper bounds in seconds: 1 ms to 8 s, doubling, which brackets a loopback handshake and the longest deadline.
    pub const BOUNDS: [f64; 14] =
        [0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.0, 4.0, 8.0];

    /// Counts one sample.
    pub fn observe(&mut self, sample: Duration) {
        let seconds = sample.as_secs_f64();
        self.sum += seconds;
        let bucket = Self::BOUNDS.iter().position(|bound| seconds <= *bound);
        let count = bucket.and_then(|bucket| self.counts.get_mut(bucket)).unwrap_or(&mut self.above);
        *count = count.saturating_add(1);
    }

    /// Each bound in seconds with the number of samples at or below it.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        Self::BOUNDS.iter().zip(&self.counts).scan(0, |below, (bound, count)| {
            *below += u64::from(*count);
            Some((*bound, *below))
        })
    }

    /// Number of samples.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().chain([&self.above]).map(|count| u64::from(*count)).sum()
    }

    /// Sum of the samples in seconds.
    #[must_use]
    pub const fn sum(&self) -> f64 {
        self.sum
    }
}

/// What `entries`, which are sorted, hold under `key`.
fn entry<K: Ord + Copy, V: Default>(entries: &mut Vec<(K, V)>, key: K) -> &mut V {
    let at = match entries.binary_search_by_key(&key, |(known, _)| *known) {
        Ok(at) => at,
        Err(at) => {
            // Most are never joined by another one.
            entries.reserve_exact(1);
            entries.insert(at, (key, V::default()));
            at
        }
    };
    &mut entries[at].1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(phase: Phase, outcome: &'static str) -> Series {
        Series { kind: ProbeKind::Readyz, connection: Connection::New, phase, outcome }
    }

    #[test]
    fn a_sample_counts_at_every_bound_it_does_not_exceed() {
        let mut histogram = Histogram::default();
        for millis in [1, 3, 9_000] {
            histogram.observe(Duration::from_millis(millis));
        }

        let below: Vec<u64> = histogram.cumulative().map(|(_, below)| below).collect();

        assert_eq!(below[..4], [1, 1, 2, 2]);
        assert_eq!(below.last(), Some(&2));
        assert_eq!(histogram.count(), 3);
        assert!((histogram.sum() - 9.004).abs() < 1e-9);
    }

    #[test]
    fn series_are_kept_apart_and_in_order() {
        let mut tally = Tally::default();
        for (phase, outcome) in [(Phase::Tls, "ok"), (Phase::Dial, "timeout"), (Phase::Dial, "ok"), (Phase::Tls, "ok")]
        {
            tally.observe(series(phase, outcome), Duration::from_millis(5));
        }

        let counted: Vec<_> = tally.durations().map(|(key, known)| (key.phase, key.outcome, known.count())).collect();

        assert_eq!(counted, [(Phase::Dial, "ok", 1), (Phase::Dial, "timeout", 1), (Phase::Tls, "ok", 2)]);
    }
}
