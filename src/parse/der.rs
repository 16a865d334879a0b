//! The least of DER: tag, length, content.
//!
//! For the extensions of every certificate, and for those that a full reader refuses: enough to step over fields and to
//! find names and dates. Accepts non-minimal lengths, knows no indefinite ones (they are not DER). Called by
//! `parse/x509.rs`.

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

    proptest! {
        #[test]
        fn any_bytes_end_the_walk(input in proptest::collection::vec(any::<u8>(), 0..256)) {
            prop_assert!(Elements(&input).count() <= input.len());
        }
    }
}
