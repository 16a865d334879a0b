//! Binary files: DER, PKCS#7, PKCS#12 and key stores, and what is said of those that are something else.
//!
//! Of keys only the outermost tags are seen, by which they are told from certificates.

use std::borrow::Cow;

use super::super::der::{Element, Elements};
use super::super::{java_keystore, pkcs7, pkcs12, x509};
use super::{Contents, Entry, Options, certificate};
use crate::model::certificate_files::FileFault;

/// What `bytes` hold, if they begin as a binary file with certificates does.
pub(super) fn contents(bytes: &[u8], options: Options<'_>) -> Option<Contents> {
    if java_keystore::is_java(bytes) {
        return Some(of_key_store(&java_keystore::java(bytes)));
    }
    if java_keystore::is_bouncy_castle(bytes) {
        return Some(of_key_store(&java_keystore::bouncy_castle(bytes)));
    }
    // A length of one byte is too short for a certificate, and a text may begin with the digit zero.
    if !matches!(bytes, [0x30, 0x80..=0x84, ..]) {
        return None;
    }
    if pkcs12::is_meant(bytes) {
        return Some(of_pkcs12(bytes, options));
    }
    Some(of_sequences(bytes))
}

/// Whether `bytes` begin as a compressed file or an archive does: gzip, zip, bzip2, xz, zstd, 7z, or tar.
pub(super) fn is_archive(bytes: &[u8]) -> bool {
    let is_tar = bytes.get(257..262) == Some(b"ustar");
    let magics: [&[u8]; 6] =
        [&[0x1f, 0x8b], b"PK\x03\x04", b"BZh", b"\xfd7zXZ", &[0x28, 0xb5, 0x2f, 0xfd], b"7z\xbc\xaf\x27\x1c"];
    is_tar || magics.iter().any(|magic| bytes.starts_with(magic))
}

/// Why `der`, which should be a certificate, is none that can be read.
pub(super) fn unread(der: &[u8]) -> &'static str {
    match Sequence::of(der) {
        Sequence::CutShort => "the certificate is cut short",
        Sequence::Key => "it is a private key, and no certificate",
        Sequence::Request => "it is a certificate request, and no certificate",
        Sequence::RevocationList => "it is a revocation list, and no certificate",
        Sequence::Certificate => "the certificate is damaged, or its end is no date",
        Sequence::Other => "it is no certificate",
    }
}

fn of_key_store(store: &java_keystore::Store<'_>) -> Contents {
    let mut contents = Contents { is_promised: true, ..Contents::default() };
    for stored in &store.certificates {
        contents.block(stored.der, || Entry::Named(format!("alias {}", stored.alias).into()));
    }
    if let Some(fault) = store.fault {
        contents.faults.push((Entry::Whole, fault.to_string().into()));
        contents.is_cut_short = fault == java_keystore::Fault::CutShort;
    }
    let is_whole = contents.faults.is_empty();
    contents.told(if is_whole { "no certificate: the key store has none" } else { "a damaged key store" });
    contents
}

fn of_pkcs12(bytes: &[u8], options: Options<'_>) -> Contents {
    let mut contents = Contents { is_promised: true, ..Contents::default() };
    if Elements(bytes).next().is_none() {
        contents.faults.push((Entry::Whole, "the PKCS#12 file is cut short".into()));
        contents.is_cut_short = true;
        contents.fault = Some(FileFault::HalfWritten);
        return contents;
    }
    let store = pkcs12::read(bytes, options.passwords);
    for (stored, number) in store.certificates.iter().zip(1..) {
        contents.block(&stored.der, || match &*stored.name {
            "" => Entry::Number(number),
            name => Entry::Named(format!("alias {name}").into()),
        });
    }
    let is_locked = |fault: &pkcs12::Fault| matches!(fault, pkcs12::Fault::Locked | pkcs12::Fault::WrongPassword);
    let is_locked = store.faults.iter().any(is_locked);
    contents.faults.extend(store.faults.iter().map(|fault| (Entry::Whole, Cow::from(fault.to_string()))));
    if is_locked && contents.found.is_empty() {
        contents.fault = Some(FileFault::Locked);
    } else {
        contents.told("no certificate: the PKCS#12 file has none");
    }
    contents
}

/// Certificates one behind the other, or one container.
fn of_sequences(bytes: &[u8]) -> Contents {
    let mut contents = Contents { is_promised: true, ..Contents::default() };
    let mut rest = bytes;
    let mut number = 0;
    while let Some(element) = Elements(rest).next().filter(|element| element.tag == 0x30) {
        rest = &rest[element.whole.len()..];
        number += 1;
        let is_alone = number == 1 && is_filler(rest);
        let entry = || if is_alone { Entry::Whole } else { Entry::Number(number) };
        match x509::read(element.whole) {
            Some(read) => contents.found.push(certificate(read, entry())),
            None if Sequence::of(element.whole) == Sequence::Other && pkcs7::certificates(element.whole).is_none() => {
                contents.faults.push((entry(), unread(element.whole).into()));
            }
            None => contents.block(element.whole, entry),
        }
    }
    if matches!(rest, [0x30, 0x80..=0x84, ..]) {
        contents.faults.push((Entry::Number(number + 1), unread(rest).into()));
        contents.is_cut_short = true;
    }
    if contents.found.is_empty() {
        contents.instead = match Sequence::of(bytes) {
            Sequence::Key => Some("a private key"),
            Sequence::Request => Some("a certificate request"),
            Sequence::RevocationList => Some("a revocation list"),
            Sequence::CutShort | Sequence::Certificate | Sequence::Other => None,
        };
        contents.fault = Some(if contents.is_cut_short { FileFault::HalfWritten } else { FileFault::NothingInIt });
    }
    contents
}

/// What may be behind a certificate without meaning: the end of a line, or padding.
fn is_filler(rest: &[u8]) -> bool {
    rest.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0)
}

impl Contents {
    /// Says what is there when nothing was found.
    fn told(&mut self, instead: &'static str) {
        if self.found.is_empty() {
            self.fault = Some(if self.is_cut_short { FileFault::HalfWritten } else { FileFault::NothingInIt });
            self.instead = Some(instead);
        }
    }
}

/// What a DER sequence is, as its outer tags say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sequence {
    CutShort,
    Certificate,
    Key,
    Request,
    RevocationList,
    Other,
}

impl Sequence {
    fn of(bytes: &[u8]) -> Self {
        let Some(outer) = Elements(bytes).next() else { return Self::CutShort };
        let parts: Vec<Element<'_>> = outer.inside().take(3).collect();
        match parts.as_slice() {
            // PKCS#8, PKCS#1 and SEC 1 begin with a version.
            [version, second, ..] if version.tag == 0x02 && matches!(second.tag, 0x30 | 0x02 | 0x04) => Self::Key,
            [method, sealed] if method.tag == 0x30 && sealed.tag == 0x04 => Self::Key,
            [body, algorithm, signature] if [body.tag, algorithm.tag, signature.tag] == [0x30, 0x30, 0x03] => {
                let tags: Vec<u8> = body.inside().take(8).map(|field| field.tag).collect();
                match tags.as_slice() {
                    [0x02, 0x30, 0x30, 0xa0, ..] | [0x02, 0x30, 0x30] => Self::Request,
                    [0x02, 0x30, 0x30, 0x17 | 0x18, ..] | [0x30, 0x30, 0x17 | 0x18, ..] => Self::RevocationList,
                    _ => Self::Certificate,
                }
            }
            _ => Self::Other,
        }
    }
}
