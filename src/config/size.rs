//! Quotas as the configuration writes them.

use crate::model::byte_size;

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
    let bytes = byte_size::parse(text).ok_or_else(|| format!("'{text}' is not a valid size"))?;
    if RANGE.contains(&bytes) { Ok(bytes) } else { Err(format!("'{text}' is not within 16MiB and 1024GiB")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_what_a_database_can_have() {
        for (text, bytes) in
            [("2GiB", Some(2 << 30)), (" 16MiB ", Some(16 << 20)), ("1MiB", None), ("1025GiB", None), ("2GB", None)]
        {
            assert_eq!(parse(text).ok(), bytes, "{text}");
        }
    }
}
