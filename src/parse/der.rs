//! The least of DER: tag, length, content.
//!
//! For the extensions of every certificate, for those that a full reader refuses, and for containers of certificates:
//! enough to step over fields and to find names and dates. Accepts non-minimal lengths and, because PKCS#7 and PKCS#12
//! are written in BER by some programs, indefinite ones and strings in pieces.

use std::borrow::Cow;

/// One element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    /// The identifier byte; multi-byte tags are not supported, because certificates have none.
    pub(super) tag: u8,
    /// What is inside.
    pub(super) content: &'a [u8],
    /// Identifier, length and content together.
    pub(super) whole: &'a [u8],
}

/// Elements one after the other; ends at the first that does not fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Elements<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let input = self.0;
        let (&tag, rest) = input.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else if first == INDEFINITE {
            let length = (tag & CONSTRUCTED != 0).then(|| until_end(rest, MAX_DEPTH)).flatten()?;
            let (content, rest) = rest.split_at_checked(length)?;
            self.0 = rest.get(END.len()..)?;
            return Some(Element { tag, content, whole: input.get(..input.len() - self.0.len())? });
        } else {
            let bytes = usize::from(first & 0x7f);
            // Four bytes are 4 GiB, far beyond the 64 KiB that TLS lets a certificate message have.
            if bytes == 0 || bytes > 4 {
                return None;
            }
            let (bytes, rest) = rest.split_at_checked(bytes)?;
            (bytes.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte)), rest)
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(Element { tag, content, whole: input.get(..input.len() - rest.len())? })
    }
}

impl<'a> Element<'a> {
    /// The elements inside.
    pub(super) const fn inside(&self) -> Elements<'a> {
        Elements(self.content)
    }

    /// The content of an octet string, its pieces joined where it comes in pieces.
    pub(super) fn octets(&self) -> Cow<'a, [u8]> {
        if self.tag & CONSTRUCTED == 0 {
            return Cow::Borrowed(self.content);
        }
        let mut joined = Vec::new();
        for piece in self.inside() {
            // One level: pieces of pieces are allowed by BER and written by nobody.
            if piece.tag & CONSTRUCTED == 0 {
                joined.extend_from_slice(piece.content);
            }
        }
        Cow::Owned(joined)
    }
}

/// Bit of a tag that says that there are elements inside.
const CONSTRUCTED: u8 = 0x20;
/// The length that says that an end marker follows the content (X.690 section 8.1.3.6).
const INDEFINITE: u8 = 0x80;
/// The end marker.
const END: [u8; 2] = [0, 0];
/// Levels of indefinite lengths; containers of certificates have a dozen.
const MAX_DEPTH: u8 = 24;

/// The length of the content up to its end marker.
fn until_end(content: &[u8], depth: u8) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = content.get(at..)?;
        if rest.starts_with(&END) {
            return Some(at);
        }
        at += match rest {
            [tag, INDEFINITE, inner @ ..] if tag & CONSTRUCTED != 0 => {
                2 + until_end(inner, depth.checked_sub(1)?)? + END.len()
            }
            _ => Elements(rest).next()?.whole.len(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn elements_are_stepped_through_in_order() {
        let input = [0x02, 0x01, 0x05, 0x30, 0x81, 0x02, 0xaa, 0xbb, 0x04, 0x7f];

        let elements: Vec<_> = Elements(&input).map(|element| (element.tag, element.content.to_vec())).collect();

        assert_eq!(elements, [(0x02, vec![0x05]), (0x30, vec![0xaa, 0xbb])]);
    }

    #[test]
    fn what_some_programs_write_instead_of_der_is_stepped_through() {
        let input = [0x30, 0x80, 0x24, 0x80, 0x04, 0x01, 0xaa, 0x04, 0x01, 0xbb, 0, 0, 0, 0, 0x05, 0x00];

        let elements: Vec<_> = Elements(&input).collect();

        assert_eq!(elements.iter().map(|element| element.tag).collect::<Vec<_>>(), [0x30, 0x05]);
        assert_eq!(elements[0].whole.len(), 14);
        assert_eq!(*elements[0].inside().next().unwrap().octets(), [0xaa, 0xbb]);
    }

    #[test]
    fn no_depth_exhausts_the_stack() {
        assert!(Elements(&[0x30, 0x80].repeat(100_000)).next().is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_end_the_walk(input in proptest::collection::vec(any::<u8>(), 0..256)) {
            prop_assert!(Elements(&input).count() <= input.len());
        }
    }
}
