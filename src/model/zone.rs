//! A time zone of the IANA database, for local time beside UTC in what people read.
//!
//! The database is part of the program: what a mail says depends on no file of the host it is rendered on.

use std::fmt;
use std::str::FromStr;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Deserializer, Serialize};

use super::time::UnixTime;

/// A time zone, known by its IANA name: `Europe/Berlin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct Zone(TimeZone);

/// Why a text is not a [`Zone`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a name of the IANA time zone database")]
pub struct NoSuchZone;

impl Zone {
    /// `2026-03-01 03:14:00 UTC (04:14:00 CET)`, with the local date where it differs; `None` for instants beyond the
    /// calendar.
    #[must_use]
    pub fn beside(&self, at: UnixTime) -> Option<String> {
        let utc = jiff::Timestamp::from_second(at.as_secs()).ok()?.to_zoned(TimeZone::UTC);
        let local = utc.with_time_zone(self.0.clone());
        let form = if local.date() == utc.date() { "%H:%M:%S %Z" } else { "%Y-%m-%d %H:%M:%S %Z" };
        Some(format!("{} ({})", utc.strftime("%Y-%m-%d %H:%M:%S UTC"), local.strftime(form)))
    }

    /// Every name that can be written.
    #[must_use]
    pub fn names() -> Vec<String> {
        TimeZoneDatabase::bundled().available().map(|name| name.to_string()).collect()
    }

    fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }
}

impl FromStr for Zone {
    type Err = NoSuchZone;

    /// The case of the letters does not matter.
    fn from_str(text: &str) -> Result<Self, NoSuchZone> {
        TimeZoneDatabase::bundled().get(text).map(Self).map_err(|_| NoSuchZone)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.to_string()
    }
}

/// A name that this release does not know any more is ignored, so that no mail is lost because of it.
///
/// # Errors
/// When it is no text.
pub fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Zone>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.and_then(|name| name.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_time_follows_the_rules_of_the_place() {
        for (zone, at, shown) in [
            ("Europe/Berlin", 1_772_334_840, "2026-03-01 03:14:00 UTC (04:14:00 CET)"),
            ("Europe/Berlin", 1_782_789_240, "2026-06-30 03:14:00 UTC (05:14:00 CEST)"),
            ("America/New_York", 1_772_334_840, "2026-03-01 03:14:00 UTC (2026-02-28 22:14:00 EST)"),
            ("asia/kolkata", 1_772_334_840, "2026-03-01 03:14:00 UTC (08:44:00 IST)"),
            ("Asia/Kathmandu", 1_772_334_840, "2026-03-01 03:14:00 UTC (08:59:00 +0545)"),
        ] {
            assert_eq!(zone.parse::<Zone>().unwrap().beside(UnixTime::from_secs(at)).unwrap(), shown);
        }
        assert_eq!("Europe/Berln".parse::<Zone>(), Err(NoSuchZone));
        assert_eq!("Europe/Berlin".parse::<Zone>().unwrap().beside(UnixTime::from_millis(i64::MAX)), None);
    }
}
