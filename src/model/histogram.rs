//! A distribution of durations, kept in both forms that Prometheus knows: a few fixed buckets, and a native histogram
//! of many that grow with what they hold.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Buckets with a bound.
const BUCKETS: usize = Histogram::BOUNDS.len();

/// Durations by size.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Histogram {
    /// Samples above the bound before and at or below this one. A probe a second would fill 32 bits in 136 years.
    counts: [u32; BUCKETS],
    /// Samples above the last bound.
    above: u32,
    /// Sum in seconds.
    sum: f64,
    /// Samples by native bucket, sorted; those with none are left out.
    native: Vec<(i16, u32)>,
}

impl Histogram {
    /// Upper bounds in seconds. With the one at infinity there are eight, which is what a line each may cost. They
    /// bracket a kept connection on a LAN, a handshake, the second from which a probe is slow, and the longest deadline.
    pub const BOUNDS: [f64; 7] = [0.005, 0.02, 0.05, 0.1, 0.3, 1.0, 4.0];

    /// The resolution of native buckets: each power of two is cut into 2 to the power of this, so that the bounds of a
    /// bucket are 9 % apart.
    pub const SCHEMA: i32 = 3;

    /// Native buckets from 61 µs (the one that begins at 2^-14 s) to 32 s. What is smaller or larger counts in the
    /// outermost, so that no endpoint has more than these 153.
    const OUTERMOST: (i16, i16) = (-14 * 8, 5 * 8);

    /// Counts one sample.
    pub fn observe(&mut self, sample: Duration) {
        let seconds = sample.as_secs_f64();
        self.sum += seconds;
        let bucket = Self::BOUNDS.iter().position(|bound| seconds <= *bound);
        let count = bucket.and_then(|bucket| self.counts.get_mut(bucket)).unwrap_or(&mut self.above);
        *count = count.saturating_add(1);

        let index = native_index(seconds).clamp(Self::OUTERMOST.0, Self::OUTERMOST.1);
        match self.native.binary_search_by_key(&index, |(known, _)| *known) {
            Ok(at) => self.native[at].1 = self.native[at].1.saturating_add(1),
            Err(at) => {
                self.native.reserve_exact(1);
                self.native.insert(at, (index, 1));
            }
        }
    }

    /// Each bound in seconds with the number of samples at or below it.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        Self::BOUNDS.iter().zip(&self.counts).scan(0, |below, (bound, count)| {
            *below += u64::from(*count);
            Some((*bound, *below))
        })
    }

    /// The native buckets that hold samples, by index, in order. Bucket `i` ends at 2^(i / 2^[`Histogram::SCHEMA`]) s,
    /// inclusive.
    pub fn native(&self) -> impl Iterator<Item = (i32, u64)> {
        self.native.iter().map(|(index, count)| (i32::from(*index), u64::from(*count)))
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

/// The native bucket of a sample. Nothing at all counts as little.
#[expect(clippy::cast_possible_truncation, reason = "eight times the binary exponent of an f64 stays below 2^14")]
fn native_index(seconds: f64) -> i16 {
    let buckets_a_doubling = f64::from(1 << Histogram::SCHEMA);
    (seconds.max(f64::MIN_POSITIVE).log2() * buckets_a_doubling).ceil() as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(millis: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        millis.iter().for_each(|sample| histogram.observe(Duration::from_millis(*sample)));
        histogram
    }

    #[test]
    fn a_sample_counts_at_every_bound_it_does_not_exceed() {
        let histogram = of(&[5, 6, 9_000]);

        let below: Vec<u64> = histogram.cumulative().map(|(_, below)| below).collect();

        assert_eq!(below, [1, 2, 2, 2, 2, 2, 2]);
        assert_eq!(histogram.count(), 3);
        assert!((histogram.sum() - 9.011).abs() < 1e-9);
    }

    #[test]
    fn a_native_bucket_holds_what_lies_above_the_one_before_and_not_above_its_own_bound() {
        for (millis, index) in [(1000, 0), (1001, 1), (2000, 8), (2001, 9), (500, -8), (250, -16)] {
            assert_eq!(of(&[millis]).native().collect::<Vec<_>>(), [(index, 1)], "{millis} ms");
        }
        let bound = |index: i32| 2f64.powf(f64::from(index) / 8.0);
        for millis in 1..5_000 {
            let (index, _) = of(&[millis]).native().next().unwrap();
            let seconds = Duration::from_millis(millis).as_secs_f64();
            assert!(bound(index - 1) < seconds && seconds <= bound(index) * (1.0 + 1e-12), "{millis} ms in {index}");
        }
    }

    #[test]
    fn what_is_tiny_or_huge_counts_in_the_outermost_native_bucket() {
        let mut histogram = of(&[0, 33_000, 3_600_000]);
        histogram.observe(Duration::from_nanos(1));

        assert_eq!(histogram.native().collect::<Vec<_>>(), [(-112, 2), (40, 2)]);
    }

    #[test]
    fn however_many_samples_there_are_the_buckets_are_bounded() {
        let mut histogram = Histogram::default();
        for nanos in 0..64 {
            (1..32).for_each(|part| histogram.observe(Duration::from_nanos((part << nanos) / 16)));
        }

        assert!(histogram.native().count() <= 153);
        assert_eq!(histogram.native().map(|(_, count)| count).sum::<u64>(), histogram.count());
    }
}
