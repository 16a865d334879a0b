//! Bytes of a text file to text: byte order marks, UTF-16, and nothing else.
//!
//! Windows tools write kubeconfigs and certificate bundles as UTF-16 or with a byte order mark. Called by the PEM
//! scanner and by everything that reads YAML.

use std::borrow::Cow;

/// Longest text or file that is read, in bytes; what is longer is refused, or not read beyond that.
///
/// A configuration of 10,000 targets in clusters of five has 1.2 MB, the largest bundle of certificates in use, a whole
/// public trust store, 0.3 MB, a kubeconfig with a dozen bundles embedded less than 1 MB.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// How the bytes of a text were laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8, or something close enough to be read as such.
    Utf8,
    /// UTF-16, either byte order.
    Utf16,
}

/// The text in `bytes` without its byte order mark. What is not valid becomes U+FFFD.
///
/// UTF-16 is recognised by its mark, and without one by a zero byte beside an ASCII first character: neither PEM nor
/// YAML can begin with NUL.
#[must_use]
pub fn decode(bytes: &[u8]) -> (Cow<'_, str>, Encoding) {
    let wide = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = rest.chunks(2).map(|pair| match pair {
            [first, second] => unit([*first, *second]),
            _ => 0xfffd,
        });
        let text = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect::<String>();
        (Cow::Owned(text), Encoding::Utf16)
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => (narrow(rest), Encoding::Utf8),
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [1..=0x7f, 0, ..] => wide(bytes, u16::from_le_bytes),
        [0, 1..=0x7f, ..] => wide(bytes, u16::from_be_bytes),
        _ => (narrow(bytes), Encoding::Utf8),
    }
}

/// Text that is valid throughout is only checked, which is several times as fast as the search for bytes to replace.
fn narrow(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_both_byte_orders_are_read() {
        let little: Vec<u8> = "né".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "né".encode_utf16().flat_map(u16::to_be_bytes).collect();

        check(b"n\xc3\xa9", "né", Encoding::Utf8);
        check(b"\xef\xbb\xbfn\xc3\xa9", "né", Encoding::Utf8);
        check(&[&[0xff, 0xfe], little.as_slice()].concat(), "né", Encoding::Utf16);
        check(&[&[0xfe, 0xff], big.as_slice()].concat(), "né", Encoding::Utf16);
        check(&little, "né", Encoding::Utf16);
        check(&big, "né", Encoding::Utf16);
    }

    #[test]
    fn what_cannot_be_read_is_replaced_not_refused() {
        check(b"a\xffb", "a\u{fffd}b", Encoding::Utf8);
        check(b"a\0b", "a\u{fffd}", Encoding::Utf16);
        check(b"", "", Encoding::Utf8);
    }

    fn check(bytes: &[u8], text: &str, encoding: Encoding) {
        assert_eq!(decode(bytes), (Cow::Borrowed(text), encoding));
    }
}
