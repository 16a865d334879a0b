//! Values of one word: names, addresses, durations, levels, each with what is wrong and what to write instead.

use std::time::Duration;

use super::address::BadAddress;
use super::duration;
use super::settings::{Address, Host};
use super::yaml_tree::{Wrong, nearest, shortened};
use crate::model::rule::Level;
use crate::model::subject::{BadName, Name};
use crate::model::zone::Zone;

/// A time zone by its IANA name.
pub(super) fn zone(text: &str) -> Result<Zone, Wrong> {
    text.parse().map_err(|_| {
        let names = Zone::names();
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        let hint = nearest(text, &known).map(|near| format!("did you mean '{near}'?"));
        let hint = hint
            .unwrap_or_else(|| "write a name as timedatectl list-timezones shows, such as 'Europe/Berlin'".to_owned());
        Wrong::new(format!("'{}' is not a known time zone", shortened(text)), hint)
    })
}

pub(super) fn level(text: &str) -> Result<Level, Wrong> {
    const KNOWN: [Level; 3] = [Level::Info, Level::Warning, Level::Critical];
    let known = KNOWN.map(Level::as_str);
    KNOWN.into_iter().find(|level| level.as_str() == text).ok_or_else(|| {
        let hint = nearest(text, &known);
        let hint = hint.map_or(format!("one of {}", known.join(", ")), |near| format!("did you mean '{near}'?"));
        Wrong::new(format!("'{}' is not a valid level", shortened(text)), hint)
    })
}

pub(super) fn name(text: &str) -> Result<Name, Wrong> {
    text.parse()
        .map_err(|bad: BadName| Wrong::new(format!("'{}' is not a valid name", shortened(text)), bad.to_string()))
}

pub(super) fn address(text: &str) -> Result<Address, Wrong> {
    text.parse().map_err(|bad: BadAddress| {
        Wrong::new(
            format!("'{}' is not a valid address: {}", shortened(text), shortened(&bad.what)),
            shortened(&bad.hint),
        )
    })
}

pub(super) fn host(text: &str) -> Result<Host, Wrong> {
    let has_port = text.parse::<Address>().is_ok();
    text.parse().map_err(|bad: BadAddress| {
        let hint = if has_port { "a server name has no port".to_owned() } else { bad.hint };
        Wrong::new(shortened(&bad.what), hint)
    })
}

/// A duration from `least` to `most`.
pub(super) fn duration_within(text: &str, least: Duration, most: Duration) -> Result<Duration, Wrong> {
    let duration = duration::parse(text).map_err(|what| Wrong::new(shortened(&what), duration::FORM))?;
    if (least..=most).contains(&duration) {
        return Ok(duration);
    }
    let range = format!("write a value from {} to {}", duration::show(least), duration::show(most));
    let word = if duration < least { "short" } else { "long" };
    Err(Wrong::new(format!("'{}' is too {word}", shortened(text)), range))
}
