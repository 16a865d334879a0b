//! PKCS#7 and CMS signed data to the certificates in it: what `.p7b` and `.p7c` files are.
//!
//! Verifies no signature. DER and BER alike, since some programs write lengths as they go. Called for files and for PEM
//! blocks of that label.

use super::der::{Element, Elements};

/// Content of the object identifier of signed data (RFC 5652 section 5.1).
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];

/// The certificates in `bytes`, DER, in the order of the set; `None` for anything that is no signed data.
///
/// What else the set may hold (attribute certificates) is passed over.
#[must_use]
pub fn certificates(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let outer = Elements(bytes).next().filter(|element| element.tag == 0x30)?;
    let mut fields = outer.inside();
    fields.next().filter(|kind| kind.tag == 0x06 && kind.content == SIGNED_DATA)?;
    let signed = fields.next().filter(|field| field.tag == 0xa0)?.inside().next().filter(is_sequence)?;
    // Behind version, algorithms and content, all of which have other tags.
    let set = signed.inside().find(|field| field.tag == 0xa0);
    Some(set.into_iter().flat_map(|set| set.inside()).filter(is_sequence).map(|found| found.whole).collect())
}

const fn is_sequence(element: &Element<'_>) -> bool {
    element.tag == 0x30
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_set_of_certificates_is_found_in_der_and_in_ber() {
        let oid = [&[0x06, 0x09][..], SIGNED_DATA].concat();
        let inner = [0x02, 1, 1, 0x31, 0, 0x30, 0, 0xa0, 6, 0x30, 1, 7, 0x30, 1, 8, 0x31, 0];
        let der = [&[0x30, 32][..], &oid, &[0xa0, 19, 0x30, 17], &inner].concat();
        let ber = [&[0x30, 0x80][..], &oid, &[0xa0, 0x80, 0x30, 0x80], &inner, &[0; 6]].concat();

        for bytes in [der, ber] {
            assert_eq!(certificates(&bytes).unwrap(), [&[0x30, 1, 7], &[0x30, 1, 8]]);
        }
    }

    #[test]
    fn other_content_is_none() {
        for bytes in [&b""[..], b"\x30\x00", b"\x30\x03\x02\x01\x03", b"\x06\x01\x02"] {
            assert_eq!(certificates(bytes), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(certificates(&bytes));
        }
    }
}
