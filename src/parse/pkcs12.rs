//! PKCS#12 files to the certificates in them (RFC 7292), the way Java, browsers and Windows store them.
//!
//! Reads certificate bags alone: bags of keys are neither decrypted nor kept, which is why no general library does this
//! here. The digest over the whole is not checked, since the question is what ends when, and a wrong password shows by
//! itself. Certificates may be unencrypted, as in the JDK's own store. What a key derivation may cost is bounded,
//! because the file says how often it iterates. Called for files.

mod decryption;

use secrecy::SecretString;

use self::decryption::Refusal;
use super::der::{Element, Elements};
use super::sanitize;

/// Certificates that are read of one file: a JDK's store of CAs has 150.
const MAX_CERTIFICATES: usize = 100_000;
/// Parts of one file that are decrypted; programs write one for certificates and one for keys.
const MAX_PARTS: usize = 16;
/// Levels of bags within bags.
const MAX_DEPTH: u8 = 4;
/// Characters kept of a name.
const MAX_NAME: usize = 128;

/// Contents of object identifiers: PKCS#7's content types (RFC 5652), bags and attributes (RFC 7292, RFC 2985).
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
const ENCRYPTED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 6];
const CERTIFICATE_BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1, 3];
const NESTED_BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1, 6];
const X509_CERTIFICATE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 22, 1];
const FRIENDLY_NAME: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 20];

/// What a file holds.
#[derive(Debug)]
pub struct Store {
    /// Certificates in their order.
    pub certificates: Vec<Stored>,
    /// What could not be read of it, one for each part.
    pub faults: Vec<Fault>,
    parts: usize,
    /// Iterations of key derivations that may still be done.
    work: u64,
}

/// One certificate.
#[derive(Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its friendly name, fit to be shown; empty without one.
    pub name: Box<str>,
    /// Its content.
    pub der: Vec<u8>,
}

/// Why a part of a file could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is encrypted, and no password is known.
    #[error("it is locked: a password is needed")]
    Locked,
    /// It is encrypted, and none of the passwords opens it.
    #[error("it is locked: the password is wrong")]
    WrongPassword,
    /// The key derivation asks for more work than is done for a file that may be hostile.
    #[error("it asks for {0} iterations of its key derivation, and {max} are the most that are done", max = decryption::MAX_ITERATIONS)]
    TooMuchWork(u64),
    /// It is encrypted by a method that is not read.
    #[error("it is encrypted by a method that is not read")]
    UnknownMethod,
    /// Its structure is broken.
    #[error("its structure is damaged")]
    Damaged,
    /// It has more parts or certificates than are read.
    #[error("it has more parts than are read")]
    TooMany,
}

/// Whether `bytes` begin as a PKCS#12 file: a sequence of version 3 and a content.
#[must_use]
pub fn is_meant(bytes: &[u8]) -> bool {
    // Without the whole of it: a file that is cut short is meant as one too.
    let header = match bytes {
        [0x30, 0x80, ..] => 2,
        [0x30, length @ 0x81..=0x84, ..] => 2 + usize::from(length & 0x7f),
        [0x30, ..] => 2,
        _ => return false,
    };
    bytes.get(header..).is_some_and(|inner| inner.starts_with(&[0x02, 1, 3, 0x30]))
}

/// The certificates in the PKCS#12 file `bytes`, opened by the first of `passwords` that fits, or by the empty one.
#[must_use]
pub fn read(bytes: &[u8], passwords: &[SecretString]) -> Store {
    let mut store = Store { certificates: Vec::new(), faults: Vec::new(), parts: 0, work: decryption::MAX_WORK };
    let contents = Elements(bytes).next().and_then(|outer| outer.inside().nth(1));
    match contents.and_then(|info| content(&info, DATA)) {
        Some(safe) => {
            let safe = safe.octets();
            match Elements(&safe).next().filter(|list| list.tag == 0x30) {
                Some(list) => list.inside().for_each(|part| store.part(&part, passwords)),
                None => store.faults.push(Fault::Damaged),
            }
        }
        None => store.faults.push(Fault::Damaged),
    }
    store
}

impl Store {
    fn part(&mut self, part: &Element<'_>, passwords: &[SecretString]) {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            if self.parts == MAX_PARTS + 1 {
                self.faults.push(Fault::TooMany);
            }
            return;
        }
        if let Some(plain) = content(part, DATA) {
            if self.bags(&plain.octets(), MAX_DEPTH).is_none() {
                self.faults.push(Fault::Damaged);
            }
            return;
        }
        let Some(encrypted) = content(part, ENCRYPTED_DATA) else {
            return self.faults.push(Fault::UnknownMethod);
        };
        let mut work = self.work;
        let known = self.certificates.len();
        let result = decryption::open(&encrypted, passwords, &mut work, |opened| {
            let are_bags = self.bags(opened, MAX_DEPTH).is_some();
            if !are_bags {
                self.certificates.truncate(known);
            }
            are_bags
        });
        self.work = work;
        if let Err(refusal) = result {
            self.faults.push(match refusal {
                Refusal::NoPassword if passwords.is_empty() => Fault::Locked,
                Refusal::NoPassword => Fault::WrongPassword,
                Refusal::TooMuchWork(iterations) => Fault::TooMuchWork(iterations),
                Refusal::UnknownMethod => Fault::UnknownMethod,
                Refusal::Damaged => Fault::Damaged,
            });
        }
    }

    /// Takes the certificates among the bags in `bytes`; `None` when these are no bags.
    fn bags(&mut self, bytes: &[u8], depth: u8) -> Option<()> {
        let list = Elements(bytes).next().filter(|list| list.tag == 0x30)?;
        let bags: Vec<Element<'_>> = list.inside().collect();
        // A wrong password may by chance give something that begins like a list.
        if bags.iter().map(|bag| bag.whole.len()).sum::<usize>() != list.content.len() {
            return None;
        }
        for bag in bags {
            let parts: Vec<Element<'_>> = bag.inside().take(3).collect();
            let [kind, value, rest @ ..] = parts.as_slice() else { return None };
            let value = value.inside().next().filter(|_| kind.tag == 0x06)?;
            match kind.content {
                CERTIFICATE_BAG => self.certificate(&value, rest.first()),
                NESTED_BAG => self.bags(value.whole, depth.checked_sub(1)?)?,
                _ => {}
            }
        }
        Some(())
    }

    fn certificate(&mut self, bag: &Element<'_>, attributes: Option<&Element<'_>>) {
        let parts: Vec<Element<'_>> = bag.inside().take(2).collect();
        let der = match parts.as_slice() {
            [kind, value] if kind.content == X509_CERTIFICATE => value.inside().next().map(|der| der.octets()),
            _ => None,
        };
        match der {
            Some(_) if self.certificates.len() >= MAX_CERTIFICATES => self.faults.push(Fault::TooMany),
            Some(der) => {
                let name = attributes.and_then(friendly_name).unwrap_or_default().into();
                self.certificates.push(Stored { name, der: der.into_owned() });
            }
            None => self.faults.push(Fault::Damaged),
        }
    }
}

/// The content of a `ContentInfo` of this kind.
fn content<'a>(info: &Element<'a>, kind: &[u8]) -> Option<Element<'a>> {
    let mut parts = info.inside();
    parts.next().filter(|found| found.tag == 0x06 && found.content == kind)?;
    parts.next().filter(|value| value.tag == 0xa0)?.inside().next()
}

fn friendly_name(attributes: &Element<'_>) -> Option<String> {
    let is_name = |attribute: &Element<'_>| attribute.inside().next().is_some_and(|kind| kind.content == FRIENDLY_NAME);
    let attribute = attributes.inside().take(16).find(is_name)?;
    let wide = attribute.inside().nth(1)?.inside().next().filter(|text| text.tag == 0x1e)?;
    let units = wide.content.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let text: String = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    Some(sanitize::shown(&text, MAX_NAME))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WHOLE: &[u8] = include_bytes!("../../tests/fuzz/corpus/open.p12");

    #[test]
    fn names_come_with_their_certificates() {
        let store = read(WHOLE, &[]);

        let names: Vec<&str> = store.certificates.iter().map(|stored| &*stored.name).collect();
        assert_eq!((names, store.faults), (vec!["leaf", ""], vec![]));
    }

    #[test]
    fn only_version_three_with_a_content_is_meant() {
        assert!(is_meant(WHOLE) && is_meant(&WHOLE[..20]));
        for other in [&b""[..], b"0", b"\x30\x82\x01\x00\x30\x82", b"\x30\x82\x01\x00\x02\x01\x00\x30"] {
            assert!(!is_meant(other));
        }
    }

    proptest! {
        #[test]
        fn any_damage_ends(at in 0..WHOLE.len(), byte in any::<u8>(), length in 0..=WHOLE.len()) {
            let mut bytes = WHOLE.to_vec();
            bytes[at] = byte;
            drop(read(&bytes[..length], &[]));
        }
    }
}
