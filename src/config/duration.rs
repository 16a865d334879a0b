//! Durations as people write them: `500ms`, `15s`, `1h30m`. Never a bare number: its unit would be a guess.

use std::time::Duration;

/// The units, longest first, in milliseconds. No months or years: their length depends on the calendar.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// What a duration looks like, for hints.
pub(super) const FORM: &str = "durations are whole numbers with a unit, such as 500ms, 15s, 2m or 1h30m";

/// Reads a duration: whole numbers with units, each unit at most once, longest first.
///
/// # Errors
/// What is wrong with `text`, without a hint; there is no unit of months or years.
pub fn parse(text: &str) -> Result<Duration, String> {
    let mut millis = 0_u64;
    let mut units = UNITS.iter();
    let mut rest = text;
    loop {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest.bytes().skip(digits).take_while(u8::is_ascii_lowercase).count();
        let (number, behind) = rest.split_at(digits);
        let (unit, behind) = behind.split_at(letters);
        if number.is_empty() {
            return Err(format!("'{text}' is not a valid duration"));
        }
        if unit.is_empty() && behind.is_empty() {
            return Err(format!("'{text}' has no unit"));
        }
        let known = units.find(|(name, _)| *name == unit).ok_or_else(|| format!("'{text}' is not a valid duration"))?;
        millis = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(known.1)?.checked_add(millis))
            .ok_or_else(|| format!("'{text}' is too long"))?;
        if behind.is_empty() {
            return Ok(Duration::from_millis(millis));
        }
        rest = behind;
    }
}

/// Writes a duration in the form that [`parse`] reads.
pub(super) fn show(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (name, length) in UNITS {
        if millis >= length {
            text.push_str(&format!("{}{name}", millis / length));
            millis %= length;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_alike() {
        for (text, millis) in [
            ("500ms", 500),
            ("15s", 15_000),
            ("2m", 120_000),
            ("1h30m", 5_400_000),
            ("1d", 86_400_000),
            ("1m1ms", 60_001),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)));
            assert_eq!(show(Duration::from_millis(millis)), text);
        }
        assert_eq!(parse("90s").map(show), Ok("1m30s".to_owned()));
        assert_eq!(parse("0s").map(show), Ok("0s".to_owned()));
    }

    #[test]
    fn guesses_are_refused() {
        for (text, what) in [
            ("90", "'90' has no unit"),
            ("1h30", "'1h30' has no unit"),
            ("", "'' is not a valid duration"),
            ("s", "'s' is not a valid duration"),
            ("1.5s", "'1.5s' is not a valid duration"),
            ("-1s", "'-1s' is not a valid duration"),
            ("1 s", "'1 s' is not a valid duration"),
            ("1s1h", "'1s1h' is not a valid duration"),
            ("1s1s", "'1s1s' is not a valid duration"),
            ("1S", "'1S' is not a valid duration"),
            ("1y", "'1y' is not a valid duration"),
            ("1mo", "'1mo' is not a valid duration"),
            ("PT1S", "'PT1S' is not a valid duration"),
            ("1\u{b5}s", "'1\u{b5}s' is not a valid duration"),
            ("99999999999999999999s", "'99999999999999999999s' is too long"),
            ("999999999999999999d", "'999999999999999999d' is too long"),
        ] {
            assert_eq!(parse(text), Err(what.to_owned()));
        }
    }
}
