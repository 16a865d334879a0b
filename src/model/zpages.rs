//! What an apiserver tells of itself on its z-pages: `/statusz` (when its process started, which versions) and `/flagz`
//! (the flags it runs with).
//!
//! On by default since Kubernetes 1.36. Texts are escaped and shortened.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time::UnixTime;

/// Answer of `/statusz`. Absent values are unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Statusz {
    /// Start of its process by the server's clock, to the second. The server remembers it, so that it stays the same
    /// until the process is another one.
    pub started: Option<UnixTime>,
    /// Version of the program, such as `1.37.2`.
    pub binary_version: Option<String>,
    /// Version that it behaves like, such as `1.37`: older than the program's while an upgrade is to be undone easily.
    pub emulation_version: Option<String>,
}

/// Answer of `/flagz`: every flag of the process, those with their default included.
///
/// Kept as one text of lines, because a vantage may hold this of a thousand instances, with some 150 flags each.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Flagz {
    /// `name=value` in the order of the names, each with a line break behind it. Values have no line breaks.
    lines: String,
    /// Flags that are not among these: over the bound, or not readable.
    pub left_out: u32,
}

/// What came instead of a z-page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoZpage {
    /// 401 or 403: the right is missing.
    Forbidden,
    /// 404: the server is older than 1.36, or the page is switched off.
    Missing,
    /// 429: the request was turned away.
    Shed,
    /// Another status.
    Status(u16),
    /// 200, and no such page.
    Foreign,
}

impl Flagz {
    /// Bound on flags kept; kube-apiserver 1.37 has some 180.
    pub const MAX: usize = 512;

    /// The flags of `flags`, of which those beyond [`Flagz::MAX`] are left out, beside `left_out` others.
    #[must_use]
    pub fn new(flags: impl IntoIterator<Item = (String, String)>, left_out: u32) -> Self {
        let sorted: std::collections::BTreeMap<String, String> = flags.into_iter().collect();
        let more = u32::try_from(sorted.len().saturating_sub(Self::MAX)).unwrap_or(u32::MAX);
        let mut lines = String::new();
        for (name, value) in sorted.into_iter().take(Self::MAX) {
            lines.extend([name.as_str(), "=", value.as_str(), "\n"]);
        }
        lines.shrink_to_fit();
        Self { lines, left_out: left_out.saturating_add(more) }
    }

    /// Each flag with its value, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.lines().filter_map(|line| line.split_once('='))
    }

    /// The value of the flag `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The value of the flag `name` as a time.
    #[must_use]
    pub fn duration(&self, name: &str) -> Option<Duration> {
        go_duration(self.get(name)?)
    }

    /// How many flags there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

/// Why there is no page, in a few words.
impl fmt::Display for NoZpage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden => f.write_str("not allowed for vedette's user"),
            Self::Missing => f.write_str("HTTP 404, no such page before Kubernetes 1.36"),
            Self::Shed => f.write_str("HTTP 429, the server is overloaded"),
            Self::Status(status) => write!(f, "HTTP {status}"),
            Self::Foreign => f.write_str("HTTP 200 with something else"),
        }
    }
}

/// Major and minor of `v1.36.3`, `3.6.16`, `1.37` and the like.
#[must_use]
pub fn minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim_start_matches('v').split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// A time as Go prints it: `1m10s`, `1.5s`, `250ms`, `0s`. None that is negative, or longer than a year.
fn go_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 7] =
        [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let (number, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let unit = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, after) = behind.split_at(unit);
        let (_, scale) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        seconds += number.parse::<f64>().ok()? * scale;
        rest = after;
    }
    (!text.is_empty() && seconds <= 365.0 * 86_400.0).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

impl Statusz {
    /// The version that it behaves like, where that is older than the program's.
    #[must_use]
    pub fn emulates(&self) -> Option<&str> {
        let (binary, emulated) = (self.binary_version.as_deref()?, self.emulation_version.as_deref()?);
        (minor(emulated)? < minor(binary)?).then_some(emulated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_emulated_where_the_programs_minor_is_newer() {
        for (binary, emulated, expected) in [
            (Some("1.37.2"), Some("1.36"), Some("1.36")),
            (Some("1.37.2"), Some("1.37"), None),
            (Some("1.37.2-eks-1"), Some("1.37.0"), None),
            (Some("v1.37.2"), Some("1.35"), Some("1.35")),
            (Some("1.37.2"), Some("1.38"), None),
            (Some("1.37.2"), Some("soon"), None),
            (Some("1.37.2"), None, None),
            (None, Some("1.36"), None),
        ] {
            let text = |version: Option<&str>| version.map(str::to_owned);
            let known = Statusz { started: None, binary_version: text(binary), emulation_version: text(emulated) };

            assert_eq!(known.emulates(), expected, "{binary:?} {emulated:?}");
        }
    }

    #[test]
    fn times_are_read_as_go_prints_them() {
        for (text, expected) in [
            ("0s", Some(0)),
            ("1m10s", Some(70_000)),
            ("1h0m0s", Some(3_600_000)),
            ("1.5s", Some(1_500)),
            ("250ms", Some(250)),
            ("", None),
            ("-5s", None),
            ("5", None),
            ("s", None),
            ("5x", None),
            ("1e9h", None),
            ("99999999999999999999h", None),
        ] {
            assert_eq!(go_duration(text), expected.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn flags_are_kept_in_order_and_within_their_bound() {
        let flag = |n: usize| (format!("flag-{n:04}"), format!("a=b,c={n}"));
        let flags = Flagz::new((0..Flagz::MAX + 3).rev().map(flag), 2);

        assert_eq!((flags.len(), flags.left_out), (Flagz::MAX, 5));
        assert_eq!(flags.iter().next(), Some(("flag-0000", "a=b,c=0")));
        assert_eq!((flags.get("flag-0007"), flags.get("flag")), (Some("a=b,c=7"), None));
        assert!(Flagz::default().is_empty());
    }
}
