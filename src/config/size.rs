//! Sizes as the configuration writes them: a whole number and a unit, or etcd's own way of a bare number of bytes.

/// What a size looks like, for hints.
pub(super) const FORM: &str = "write a whole number and MiB or GiB, such as '8GiB'; a bare number is bytes";

/// Smallest quota that holds a database at all, and the largest that etcd survives on any machine.
const RANGE: std::ops::RangeInclusive<u64> = (16 << 20)..=(1 << 40);

/// Bytes.
///
/// # Errors
///
/// What is wrong with `text`.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(format!("'{text}' is not a valid size")),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    let bytes = bytes.ok_or_else(|| format!("'{text}' is not a valid size"))?;
    if RANGE.contains(&bytes) { Ok(bytes) } else { Err(format!("'{text}' is not within 16MiB and 1024GiB")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units_and_are_bytes_without() {
        for (text, bytes) in [
            ("2GiB", Some(2 << 30)),
            ("512 MiB", Some(512 << 20)),
            ("8589934592", Some(8 << 30)),
            ("16384KiB", Some(16 << 20)),
            ("1MiB", None),
            ("2GB", None),
            ("2.5GiB", None),
            ("-1", None),
            ("", None),
            ("GiB", None),
            ("99999999999999999999GiB", None),
        ] {
            assert_eq!(parse(text).ok(), bytes, "{text}");
        }
    }
}
