//! Both clocks as values. Nothing here reads a clock: the daemon does, and passes the time to all others.

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
/// A plain offset, unlike `std::time::Instant`, can be written in tests and recorded logs.
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

/// A clock, passed from the daemon to the collectors and the mailer, which must date what they do.
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

    /// The first instant of 9999-12-31: a certificate that ends on that day is meant to have no end.
    const ENDLESS: Self = Self::from_secs(253_402_214_400);

    const LAST_DAY_BUT_ONE: Self = Self::from_secs(253_402_214_400 - 86_400);

    /// 9999-12-31T23:59:59Z: the end of what has none. Source: RFC 5280 section 4.1.2.5.
    pub const NO_END: Self = Self::from_secs(253_402_300_799);

    /// The start of validity of what does not say when it began.
    pub const NEVER_BEGUN: Self = Self::from_millis(i64::MIN);

    /// Whether this end of validity means that there is no end.
    #[must_use]
    pub fn is_endless(self) -> bool {
        self >= Self::ENDLESS
    }

    /// `expires 2026-11-29T12:00:00Z`, or `never expires`.
    #[must_use]
    pub fn ending(self) -> String {
        if self.is_endless() { "never expires".to_owned() } else { format!("expires {self}") }
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
            // jiff ends 26 hours before its calendar does, for the sake of time zones.
            Err(_) if self.is_endless() => f.write_str("9999-12-31T23:59:59Z"),
            Err(_) if self >= &Self::LAST_DAY_BUT_ONE => {
                let rest = self.as_secs() - Self::LAST_DAY_BUT_ONE.as_secs();
                write!(f, "9999-12-30T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_on_the_last_day_of_the_calendar_is_none() {
        let day = UnixTime::NO_END.minus(Duration::from_secs(86_399));
        for (at, ending) in [
            (day.minus(Duration::from_millis(1)), "expires 9999-12-30T23:59:59Z"),
            (day, "never expires"),
            (UnixTime::NO_END, "never expires"),
            (UnixTime::from_millis(i64::MAX), "never expires"),
            (UnixTime::from_secs(0), "expires 1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(at.ending(), ending);
            assert_eq!(at.is_endless(), ending == "never expires");
        }
        assert_eq!(UnixTime::NO_END.to_string(), "9999-12-31T23:59:59Z");
    }
}
