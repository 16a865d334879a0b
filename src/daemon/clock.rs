//! The only reader of clocks. All others get a [`Clock`] or a [`Now`].

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::model::time::{Clock, Mono, Now, UnixTime};

/// A clock over the system's two, with the monotonic origin at this call: made once and passed on.
///
/// The monotonic half is tokio's, so that a paused test runtime moves it. It stands still while the machine sleeps, as
/// `CLOCK_MONOTONIC` does; the gap to the wall clock is how a sleep is seen.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one home of clock reads")]
pub fn system() -> Clock {
    let origin = Instant::now();
    Clock::new(move || Now { wall: wall(SystemTime::now()), mono: Mono(Instant::now().duration_since(origin)) })
}

/// The instant on the monotonic clock of `clock`'s runtime that lies `mono` after the origin, for timers.
///
/// Exact to the time between the two reads, some microseconds; never before the instant meant, so that a timer set
/// to it does not fire early.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one home of clock reads")]
pub fn instant_of(clock: &Clock, mono: Mono) -> Instant {
    let elapsed = clock.now().mono;
    Instant::now() + mono.since(elapsed)
}

fn wall(time: SystemTime) -> UnixTime {
    let millis = |length: std::time::Duration| i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => UnixTime::from_millis(millis(after)),
        Err(before) => UnixTime::from_millis(millis(before.duration()).saturating_neg()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_monotonic_half_starts_at_the_origin_and_follows_a_paused_runtime() {
        let clock = system();
        assert_eq!(clock.now().mono, Mono::ORIGIN);

        tokio::time::advance(Duration::from_secs(90)).await;

        assert_eq!(clock.now().mono, Mono(Duration::from_secs(90)));
        let due = Mono(Duration::from_secs(100));
        tokio::time::sleep_until(instant_of(&clock, due)).await;
        assert_eq!(clock.now().mono, due);
    }

    #[test]
    fn the_wall_half_counts_both_ways_from_the_epoch() {
        assert_eq!(wall(UNIX_EPOCH + Duration::from_millis(1500)), UnixTime::from_millis(1500));
        assert_eq!(wall(UNIX_EPOCH - Duration::from_millis(1500)), UnixTime::from_millis(-1500));
        assert!(system().now().wall > UnixTime::from_secs(1_700_000_000));
    }
}
