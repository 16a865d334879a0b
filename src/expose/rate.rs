//! A bucket of tokens: one request takes one, and one comes back in each interval, up to the burst.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::config::web::RateLimit;
use crate::model::time::Mono;

/// Tokens kept as the time at which the bucket is full again. `None` is full.
#[derive(Debug, Default)]
pub(super) struct Bucket(Mutex<Option<Mono>>);

impl Bucket {
    /// Takes a token at `now` if one is left.
    pub(super) fn take(&self, limit: RateLimit, now: Mono) -> bool {
        let mut full_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = full_at.map_or(Duration::ZERO, |full_at| full_at.since(now));
        let next = missing.saturating_add(limit.interval);
        if next > limit.interval.saturating_mul(limit.burst) {
            return false;
        }
        *full_at = Some(now.plus(next));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_in_each_interval() {
        let limit = RateLimit { interval: Duration::from_secs(2), burst: 3 };
        let (bucket, start) = (Bucket::default(), Mono::ORIGIN);
        let passed = |seconds: u64| bucket.take(limit, start.plus(Duration::from_secs(seconds)));

        let first = [passed(0), passed(0), passed(0), passed(0), passed(1)];
        let later = [passed(2), passed(2), passed(3), passed(4)];
        let rested = [passed(100), passed(100), passed(100), passed(100)];

        assert_eq!(first, [true, true, true, false, false]);
        assert_eq!(later, [true, false, false, true]);
        assert_eq!(rested, [true, true, true, false]);
    }
}
