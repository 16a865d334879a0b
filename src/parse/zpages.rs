//! The z-pages of an apiserver: `/statusz` and `/flagz`, as JSON, else as text.
//!
//! The JSON is of `config.k8s.io`, v1alpha1 and v1beta1 alike; what is missing or of another type is unknown. The text is
//! what servers give that know no JSON (before 1.35): `name`, a delimiter that the process picks at its start out of
//! `:`, `: `, `=` and a space, and the value. Called by `collect/apiserver/zpages.rs`.

use jiff::fmt::strtime;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value};

use super::sanitize::shown;
use crate::model::time::UnixTime;
use crate::model::zpages::{Flagz, Statusz};

/// Longest version kept.
const MAX_VERSION: usize = 64;
/// Longest name of a flag kept; the longest of kube-apiserver 1.37 has 60 characters.
const MAX_NAME: usize = 128;
/// Longest value kept. A list of seven etcd members has 250 characters, one of every feature gate 3,000.
const MAX_VALUE: usize = 4096;

/// The status in `body`; `None` when it is no such page.
#[must_use]
pub fn statusz(body: &[u8]) -> Option<Statusz> {
    let status = match document(body, "Statusz") {
        Some(fields) => {
            let text = |name: &str| fields.get(name).and_then(Value::as_str);
            Statusz {
                started: text("startTime").and_then(|text| text.parse().ok()).map(unix_time),
                binary_version: text("binaryVersion").and_then(version),
                emulation_version: text("emulationVersion").and_then(version),
            }
        }
        None => {
            let text = page(body, "statusz")?;
            let value = |name: &str| text.lines().find_map(|line| delimited(line.strip_prefix(name)?));
            Statusz {
                started: value("Started").and_then(unix_date),
                binary_version: value("Binary version").and_then(version),
                emulation_version: value("Emulation version").and_then(version),
            }
        }
    };
    (status != Statusz::default()).then_some(status)
}

/// The flags in `body`; `None` when it is no such page.
#[must_use]
pub fn flagz(body: &[u8]) -> Option<Flagz> {
    let flags = match document(body, "Flagz") {
        Some(fields) => {
            let flags = fields.get("flags")?.as_object()?;
            collect(flags.iter().map(|(name, value)| (name.as_str(), scalar(value))))
        }
        None => {
            let lines = page(body, "flagz")?.lines().map(str::trim).filter(|line| !line.is_empty()).skip(1);
            let flag = |line| {
                let (name, rest) = split_name(line);
                (name, delimited(rest).map(str::to_owned))
            };
            // Below the title is a warning, which no flag begins like.
            collect(lines.map(flag).filter(|(name, _)| is_name(name)))
        }
    };
    (!flags.is_empty()).then_some(flags)
}

fn collect<'a>(flags: impl Iterator<Item = (&'a str, Option<String>)>) -> Flagz {
    let mut left_out = 0_u32;
    let kept = flags.filter_map(|(name, value)| {
        let kept = value.filter(|_| is_name(name)).map(|value| (name.to_owned(), shown(value.trim(), MAX_VALUE)));
        left_out = left_out.saturating_add(u32::from(kept.is_none()));
        kept
    });
    let kept: Vec<(String, String)> = kept.collect();
    Flagz::new(kept, left_out)
}

/// The object of this kind in `body`. One that does not name its kind counts as well.
fn document(body: &[u8], kind: &str) -> Option<Map<String, Value>> {
    let fields: Map<String, Value> = serde_json::from_slice(body).ok()?;
    fields.get("kind").is_none_or(|named| named == kind).then_some(fields)
}

/// The text page whose first line ends with `name`, as in `kube-apiserver statusz`.
fn page<'a>(body: &'a [u8], name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(body).ok()?;
    let title = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    (title.split_ascii_whitespace().next_back() == Some(name)).then_some(text)
}

/// A value behind its delimiter; `None` where there is no delimiter.
fn delimited(rest: &str) -> Option<&str> {
    match rest.as_bytes().first() {
        Some(b':' | b'=' | b' ') => Some(rest[1..].trim()),
        None => Some(""),
        Some(_) => None,
    }
}

fn split_name(line: &str) -> (&str, &str) {
    line.split_at(line.find([':', '=', ' ']).unwrap_or(line.len()))
}

/// Whether flags are named like this: `etcd-servers`, `v`, `log_dir`.
fn is_name(name: &str) -> bool {
    let is_of_name =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(is_of_name)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

fn version(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| shown(text, MAX_VERSION))
}

fn unix_time(timestamp: Timestamp) -> UnixTime {
    UnixTime::from_secs(timestamp.as_second())
}

/// As Go's `UnixDate` has it: `Wed Oct 16 21:03:43 UTC 2024`. Zones other than UTC have no meaning here.
fn unix_date(text: &str) -> Option<UnixTime> {
    let local = strtime::parse("%a %b %e %H:%M:%S UTC %Y", text).ok()?.to_datetime().ok()?;
    local.to_zoned(TimeZone::UTC).ok().map(|zoned| unix_time(zoned.timestamp()))
}

#[cfg(test)]
mod tests;
