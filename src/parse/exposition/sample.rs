//! One line of a page: name, labels, value.

use std::borrow::Cow;

use crate::model::time::UnixTime;

/// Largest whole number that a sample holds exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// One sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample<'a> {
    /// Name of its series.
    pub name: &'a str,
    /// The text between the braces, checked to be complete.
    labels: &'a str,
    /// Its value, NaN and infinities included.
    pub value: f64,
}

impl<'a> Sample<'a> {
    /// Reads `line`; `None` for what is not a sample. What follows the value, a timestamp or an exemplar, is not read.
    #[must_use]
    pub fn read(line: &'a [u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?.trim_ascii();
        let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))).filter(|end| *end > 0)?;
        let (name, rest) = line.split_at(end);
        let rest = rest.trim_ascii_start();
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(inside) => {
                let end = closing_brace(inside)?;
                (&inside[..end], &inside[end + 1..])
            }
            None => ("", rest),
        };
        let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
        Some(Sample { name, labels, value })
    }

    /// Its value as yes or no.
    #[must_use]
    pub fn flag(&self) -> Option<bool> {
        self.value.is_finite().then_some(self.value != 0.0)
    }

    /// Its value as a count, rounded down.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be within 0 and 2^53")]
    pub fn whole(&self) -> Option<u64> {
        (0.0..=EXACT).contains(&self.value).then_some(self.value as u64)
    }

    /// Its value as a time in seconds since 1970.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "checked to be within the years 1970 to 9999")]
    pub fn instant(&self) -> Option<UnixTime> {
        (0.0..253_402_300_800.0).contains(&self.value).then(|| UnixTime::from_secs(self.value as i64))
    }

    /// The value of the label `name`.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<Cow<'a, str>> {
        let mut rest = self.labels;
        while let Some((label, value, after)) = first_label(rest) {
            if label == name {
                return Some(unescaped(value));
            }
            rest = after;
        }
        None
    }
}

/// Where the labels end: a brace inside quotes belongs to a value.
fn closing_brace(text: &str) -> Option<usize> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'}' if !is_quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// Name, raw value and what follows.
fn first_label(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_once('=')?;
    let value = rest.trim_ascii_start().strip_prefix('"')?;
    let mut is_escaped = false;
    let end = value.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })?;
    let after = value[end + 1..].trim_ascii_start();
    Some((name.trim_ascii(), &value[..end], after.strip_prefix(',').unwrap_or(after)))
}

fn unescaped(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(match chars.next() {
                Some('n') => '\n',
                Some(other) => other,
                None => '\\',
            }),
            c => text.push(c),
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn samples_are_read_in_every_shape_a_server_writes() {
        for (line, name, value) in [
            ("up 1", "up", 1.0),
            ("up{} 1", "up", 1.0),
            ("db_bytes 2.147483648e+09", "db_bytes", 2_147_483_648.0),
            ("a_bucket{le=\"+Inf\"} 12 1700000000000", "a_bucket", 12.0),
            ("a_bucket{le=\"0.5\"} 7 # {trace_id=\"KOO5S4vxi0o\"} 0.67 1.5", "a_bucket", 7.0),
            ("a:b { x = \"y\" , } +Inf\r", "a:b", f64::INFINITY),
            ("low -Inf", "low", f64::NEG_INFINITY),
        ] {
            let sample = Sample::read(line.as_bytes()).unwrap();
            assert_eq!((sample.name, sample.value), (name, value), "{line}");
        }
        assert!(Sample::read(b"nan NaN").unwrap().value.is_nan());
    }

    #[test]
    fn what_is_no_sample_is_none() {
        for line in ["", "# TYPE up gauge", "up", "up{", "up{a=\"b} 1", "{a=\"b\"} 1", "up one", "# EOF"] {
            assert_eq!(Sample::read(line.as_bytes()), None, "{line}");
        }
        assert_eq!(Sample::read(b"up{a=\"\xff\"} 1"), None);
    }

    #[test]
    fn labels_may_hold_anything_in_quotes() {
        let sample = Sample::read(br#"up{a="x}y",b="q\"\\\n",le="0.5"} 3"#).unwrap();

        assert_eq!(sample.label("a").as_deref(), Some("x}y"));
        assert_eq!(sample.label("b").as_deref(), Some("q\"\\\n"));
        assert_eq!(sample.label("le").as_deref(), Some("0.5"));
        assert_eq!(sample.label("c"), None);
    }

    proptest! {
        #[test]
        fn what_resembles_a_line_never_panics(
            line in "[a-z_]{1,9}(\\{[a-z]{0,3}=?\"?[\\\\\"a-z},]{0,8}\"?\\}?)? ?[0-9.eE+Inf-]{0,6}"
        ) {
            if let Some(sample) = Sample::read(line.as_bytes()) {
                drop(sample.label("a"));
            }
        }
    }
}
