//! Both clocks as values. Nothing here reads a clock: the daemon samples, everybody else is told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A wall-clock instant in milliseconds since 1970-01-01T00:00:00Z; negative before it.
///
/// Milliseconds in an `i64` hold every date a certificate can carry (years 0 to 9999), which nanoseconds do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime {
    millis: i64,
}

/// An offset on the monotonic clock from an origin that is fixed for the life of the process.
///
/// A plain offset, unlike `std::time::Instant`, can be written down in tests and recorded logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mono(pub Duration);

/// Both clocks, sampled together once per input. Holds use `mono`, expiry and display use `wall`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// Civil time; may step.
    pub wall: UnixTime,
    /// Monotonic time; never steps, meaningless in another process.
    pub mono: Mono,
}

/// The means of asking for the time, handed down from the daemon to the two edges that must stamp what they do.
#[derive(Clone)]
pub struct Clock {
    read: Arc<dyn Fn() -> Now + Send + Sync>,
}

impl UnixTime {
    /// The instant `millis` milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self { millis }
    }

    /// The instant `seconds` seconds after the epoch, saturating at the ends of the range.
    #[must_use]
    pub const fn from_secs(seconds: i64) -> Self {
        Self { millis: seconds.saturating_mul(1000) }
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.millis
    }

    /// Whole seconds since the epoch, rounded towards the past.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.millis.div_euclid(1000)
    }

    /// This instant moved into the future, saturating.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self { millis: self.millis.saturating_add(millis_of(by)) }
    }

    /// This instant moved into the past, saturating.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self { millis: self.millis.saturating_sub(millis_of(by)) }
    }

    /// Milliseconds from `earlier` to `self`; negative when `earlier` is the later one.
    #[must_use]
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.millis.saturating_sub(earlier.millis)
    }

    /// Time from `earlier` to `self`, zero when `earlier` is the later one.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.millis_since(earlier)).unwrap_or(0))
    }
}

/// RFC 3339 in UTC, to the second.
impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.as_secs()) {
            Ok(timestamp) => write!(f, "{timestamp}"),
            Err(_) => write!(f, "{} s since 1970", self.as_secs()),
        }
    }
}

impl Mono {
    /// The origin of the monotonic clock.
    pub const ORIGIN: Self = Self(Duration::ZERO);

    /// Time from `earlier` to `self`, zero when `earlier` is the later one.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// This instant moved into the future.
    #[must_use]
    pub const fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }

    /// This instant moved into the past, stopping at the origin.
    #[must_use]
    pub const fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(by))
    }
}

impl Now {
    /// Both clocks moved into the future by the same amount.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self { wall: self.wall.plus(by), mono: self.mono.plus(by) }
    }

    /// The same instant as `self` seen `by` earlier on both clocks.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self { wall: self.wall.minus(by), mono: self.mono.minus(by) }
    }

    /// Monotonic time from `earlier` to `self`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.mono.since(earlier.mono)
    }
}

impl Clock {
    /// A clock that answers with `read`.
    pub fn new(read: impl Fn() -> Now + Send + Sync + 'static) -> Self {
        Self { read: Arc::new(read) }
    }

    /// Both clocks, now.
    #[must_use]
    pub fn now(&self) -> Now {
        (self.read)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

fn millis_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
