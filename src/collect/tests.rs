//! Claims about looking, against servers on this machine that misbehave on purpose.

pub(crate) mod farm;
mod kept;
mod phases;
mod places;
mod trust;

use std::time::Duration;

use crate::model::time::{Clock, Mono, Now, UnixTime};

/// The machine's clocks: these tests talk to real sockets.
#[expect(clippy::disallowed_methods, reason = "stands in for the daemon's clock, the one reader of clocks")]
pub(crate) fn test_clock() -> Clock {
    let origin = std::time::Instant::now();
    Clock::new(move || {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let since_origin = std::time::Instant::now().saturating_duration_since(origin);
        let millis = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
        Now { wall: UnixTime::from_millis(millis), mono: Mono(since_origin.max(Duration::from_nanos(1))) }
    })
}
