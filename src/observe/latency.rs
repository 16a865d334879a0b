//! How long the slowest of a hundred took between two readings of a distribution that only grows.
//!
//! As Prometheus' `histogram_quantile` estimates it: linear inside a bucket. A member that was restarted in between
//! counts from zero, and then there is no result.

use std::time::Duration;

use crate::model::etcd::{Buckets, MemberMetrics, Slowest};

/// The slowest of a hundred of each kind of operation between two pages of one process.
#[must_use]
pub fn slowest(before: &MemberMetrics, after: &MemberMetrics, over: Duration) -> Slowest {
    let between = |of: fn(&MemberMetrics) -> Option<&Buckets>| p99_between(of(before)?, of(after)?);
    Slowest {
        over,
        wal_fsync: between(|page| page.wal_fsync.as_ref()),
        backend_commit: between(|page| page.backend_commit.as_ref()),
        peer_round_trip: between(|page| page.peer_round_trip.as_ref()),
    }
}

/// The 99th percentile of what was counted after `before` and up to `after`; `None` when nothing was, or when the two
/// cannot be compared. A percentile above the last bound is given as that bound.
#[must_use]
pub fn p99_between(before: &Buckets, after: &Buckets) -> Option<Duration> {
    let counted = after.count.checked_sub(before.count).filter(|counted| *counted > 0)?;
    if before.below.len() != after.below.len() {
        return None;
    }
    // Rounded up, so that the one slow request among ten counts.
    let rank = counted - counted / 100;
    let mut lower = (Duration::ZERO, 0);
    for ((bound, was), (same, is)) in before.below.iter().zip(&after.below) {
        let below = is.checked_sub(*was).filter(|_| bound == same)?;
        if below >= rank {
            let (inside, of) = (rank.saturating_sub(lower.1), below.saturating_sub(lower.1).max(1));
            return Some(lower.0 + share(bound.saturating_sub(lower.0), inside, of));
        }
        lower = (*bound, below);
    }
    Some(lower.0)
}

fn share(width: Duration, inside: u64, of: u64) -> Duration {
    let nanos = width.as_nanos().saturating_mul(u128::from(inside)) / u128::from(of);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn buckets(counts: &[u64], count: u64) -> Buckets {
        let bounds = [1, 2, 4].map(Duration::from_millis);
        Buckets { below: bounds.into_iter().zip(counts.iter().copied()).collect(), count }
    }

    #[test]
    fn only_what_came_in_between_counts() {
        let before = buckets(&[0, 0, 1000], 1000);

        let all_fast = buckets(&[100, 100, 1100], 1100);
        let mixed = buckets(&[50, 100, 1100], 1100);

        assert_eq!(p99_between(&before, &all_fast), Some(Duration::from_micros(990)));
        assert_eq!(p99_between(&before, &mixed), Some(Duration::from_micros(1980)));
    }

    #[test]
    fn what_lies_above_the_last_bound_is_told_as_the_bound() {
        assert_eq!(p99_between(&buckets(&[0, 0, 0], 0), &buckets(&[0, 0, 5], 50)), Some(Duration::from_millis(4)));
    }

    #[test]
    fn a_restart_or_silence_says_nothing() {
        let before = buckets(&[5, 6, 7], 8);

        assert_eq!(p99_between(&before, &before), None);
        assert_eq!(p99_between(&before, &buckets(&[1, 2, 3], 4)), None);
        assert_eq!(p99_between(&before, &buckets(&[1, 2, 9], 12)), None);
        assert_eq!(p99_between(&before, &Buckets { below: Vec::new(), count: 9 }), None);
    }

    proptest! {
        #[test]
        fn an_estimate_never_leaves_the_bounds(a in proptest::collection::vec(any::<u64>(), 4), b in proptest::collection::vec(any::<u64>(), 4)) {
            let estimate = p99_between(&buckets(&a[..3], a[3]), &buckets(&b[..3], b[3]));

            prop_assert!(estimate.is_none_or(|estimate| estimate <= Duration::from_millis(4)));
        }
    }
}
