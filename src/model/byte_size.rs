//! Sizes in bytes as people read and write them: a number and a binary unit.

/// Units from the largest to the smallest, each with its bytes.
const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A size with one decimal, as etcdctl prints it: `2.5 GiB`.
#[must_use]
pub fn words(size: u64) -> String {
    match UNITS.into_iter().find(|(_, unit)| size >= *unit) {
        None | Some((_, 1)) => format!("{size} B"),
        Some((name, unit)) => {
            let tenths = (u128::from(size) * 10 + u128::from(unit / 2)) / u128::from(unit);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
    }
}

/// The bytes of a whole number and a unit, `8GiB` or `8 GiB`; a bare number is bytes, which is etcd's own way. `None`
/// for anything else.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim() {
        "" => 1,
        unit => UNITS.into_iter().find(|(name, _)| *name == unit)?.1,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_said_in_binary_units() {
        for (size, text) in [
            (0, "0 B"),
            (512, "512 B"),
            (16 << 20, "16.0 MiB"),
            ((2 << 30) + (1 << 29), "2.5 GiB"),
            (1 << 10, "1.0 KiB"),
        ] {
            assert_eq!(words(size), text);
        }
    }

    #[test]
    fn sizes_have_binary_units_and_are_bytes_without() {
        for (text, bytes) in [
            ("2GiB", Some(2 << 30)),
            ("512 MiB", Some(512 << 20)),
            ("8589934592", Some(8 << 30)),
            ("7 B", Some(7)),
            ("16384KiB", Some(16 << 20)),
            ("2GB", None),
            ("2.5GiB", None),
            ("-1", None),
            ("", None),
            ("GiB", None),
            ("99999999999999999999GiB", None),
        ] {
            assert_eq!(parse(text), bytes, "{text}");
        }
    }
}
