//! Java key stores (JKS, JCEKS) and Bouncy Castle's (BKS) to the certificates in them.
//!
//! Certificates lie there unencrypted, so no password is needed; keys are stepped over. The digest at the end, which
//! needs the password, is not checked: whether a store was tampered with is not our question. The formats are those of
//! `sun.security.provider.JavaKeyStore`, `com.sun.crypto.provider.JceKeyStore` and `BcKeyStoreSpi`. Called for files.

use super::sanitize;

/// Entries that are read of one store; a JDK's own store of CAs has 150.
const MAX_ENTRIES: u32 = 100_000;
/// Certificates of one chain.
const MAX_CHAIN: u32 = 100;
/// Characters kept of an alias.
const MAX_ALIAS: usize = 128;
/// The keyed digest behind the entries: SHA-1 in all three formats.
const DIGEST: usize = 20;
/// Bytes of the salt in front of a Bouncy Castle store; it writes 20.
const MAX_SALT: u32 = 64;

/// What a store holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Store<'a> {
    /// Certificates in their order.
    pub certificates: Vec<Stored<'a>>,
    /// Why it could not be read to its end.
    pub fault: Option<Fault>,
}

/// One certificate.
#[derive(Debug, PartialEq, Eq)]
pub struct Stored<'a> {
    /// The name of its entry, fit to be shown.
    pub alias: Box<str>,
    /// Its content: DER, for all kinds that are in use.
    pub der: &'a [u8],
}

/// Why a store could not be read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It ends within an entry.
    #[error("the key store is cut short")]
    CutShort,
    /// An entry of a kind that none of the formats has, or a length that cannot be.
    #[error("the key store is damaged")]
    Damaged,
    /// A version that nothing writes any more.
    #[error("the key store has a version that is not read")]
    Version,
}

/// Whether `bytes` begin as a Java key store does.
#[must_use]
pub fn is_java(bytes: &[u8]) -> bool {
    bytes.starts_with(&JKS) || bytes.starts_with(&JCEKS)
}

/// Whether `bytes` begin as a Bouncy Castle store does: version, and a salt of the length that it has.
#[must_use]
pub fn is_bouncy_castle(bytes: &[u8]) -> bool {
    let mut read = Reader(bytes);
    let (version, salt) = (read.number(), read.number());
    matches!(version, Ok(1 | 2)) && matches!(salt, Ok(8..=MAX_SALT))
}

const JKS: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];
const JCEKS: [u8; 4] = [0xce, 0xce, 0xce, 0xce];

/// Everything in the Java key store `bytes`.
#[must_use]
pub fn java(bytes: &[u8]) -> Store<'_> {
    let mut store = Store::default();
    store.fault = store.read_java(Reader(bytes)).err();
    store
}

/// Everything in the Bouncy Castle store `bytes`.
#[must_use]
pub fn bouncy_castle(bytes: &[u8]) -> Store<'_> {
    let mut store = Store::default();
    store.fault = store.read_bouncy_castle(Reader(bytes)).err();
    store
}

impl<'a> Store<'a> {
    fn read_java(&mut self, mut read: Reader<'a>) -> Result<(), Fault> {
        read.take(JKS.len())?;
        let version @ (1 | 2) = read.number()? else { return Err(Fault::Version) };
        let mut left = bounded(read.number()?, MAX_ENTRIES)?;
        while left > 0 {
            left -= 1;
            if !self.java_entry(&mut read, version)? {
                // A sealed secret does not say how long it is: the entries behind it begin where they fit to the end.
                read = skip_sealed(read, version, left)?;
            }
        }
        Ok(())
    }

    /// `false` for a secret key, whose content is still to be skipped.
    fn java_entry(&mut self, read: &mut Reader<'a>, version: u32) -> Result<bool, Fault> {
        let kind = read.number()?;
        let alias = read.text()?;
        read.take(DATE)?;
        match kind {
            PRIVATE => {
                read.sized()?;
                for _ in 0..bounded(read.number()?, MAX_CHAIN)? {
                    self.certificate(read, version, alias)?;
                }
            }
            TRUSTED => self.certificate(read, version, alias)?,
            SECRET => return Ok(false),
            _ => return Err(Fault::Damaged),
        }
        Ok(true)
    }

    fn certificate(&mut self, read: &mut Reader<'a>, version: u32, alias: &'a [u8]) -> Result<(), Fault> {
        if version > 1 {
            read.text()?;
        }
        let alias = sanitize::shown(&String::from_utf8_lossy(alias), MAX_ALIAS).into();
        self.certificates.push(Stored { alias, der: read.sized()? });
        Ok(())
    }

    fn read_bouncy_castle(&mut self, mut read: Reader<'a>) -> Result<(), Fault> {
        read.number()?;
        let salt = bounded(read.number()?, MAX_SALT)?;
        read.take(size(salt))?;
        read.number()?;
        for _ in 0..MAX_ENTRIES {
            let kind = read.byte()?;
            if kind == BC_END {
                return Ok(());
            }
            let alias = read.text()?;
            read.take(DATE)?;
            for _ in 0..bounded(read.number()?, MAX_CHAIN)? {
                self.certificate(&mut read, 2, alias)?;
            }
            match kind {
                BC_CERTIFICATE => self.certificate(&mut read, 2, alias)?,
                BC_KEY => {
                    read.byte()?;
                    read.text()?;
                    read.text()?;
                    read.sized()?;
                }
                BC_SECRET | BC_SEALED => {
                    read.sized()?;
                }
                _ => return Err(Fault::Damaged),
            }
        }
        Err(Fault::Damaged)
    }
}

/// Kinds of entries of a Java key store.
const PRIVATE: u32 = 1;
const TRUSTED: u32 = 2;
const SECRET: u32 = 3;
/// Kinds of entries of a Bouncy Castle store.
const BC_END: u8 = 0;
const BC_CERTIFICATE: u8 = 1;
const BC_KEY: u8 = 2;
const BC_SECRET: u8 = 3;
const BC_SEALED: u8 = 4;
/// Octets of a date.
const DATE: usize = 8;
/// Places at which the entries behind a sealed secret are searched; one has some hundred octets.
const MAX_SKIP: usize = 16 * 1024;

/// Entries that no other bytes are mistaken for.
const SURE: u32 = 4;

/// The reader at the first place behind a sealed secret from which `left` entries reach exactly to the digest.
fn skip_sealed(read: Reader<'_>, version: u32, left: u32) -> Result<Reader<'_>, Fault> {
    let end = read.0.len().checked_sub(DIGEST).ok_or(Fault::CutShort)?;
    if left == 0 {
        return Ok(Reader(&read.0[end..]));
    }
    let fits = |from: &usize| {
        let mut rest = Reader(&read.0[*from..end]);
        // Entries of kinds that say their length; of a further secret, what is in front of it is enough.
        let mut ignored = Store::default();
        for _ in 0..left.min(SURE) {
            match ignored.java_entry(&mut rest, version) {
                Ok(true) => {}
                Ok(false) => return true,
                Err(_) => return false,
            }
        }
        left > SURE || rest.0.is_empty()
    };
    let found = (0..end.min(MAX_SKIP)).find(fits).ok_or(Fault::Damaged)?;
    Ok(Reader(&read.0[found..]))
}

/// Java's `DataInputStream`.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Fault::CutShort)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u32, Fault> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    /// Octets behind their number.
    fn sized(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.number()?;
        self.take(size(length))
    }

    /// A text behind its length in 16 bits; nearly UTF-8.
    fn text(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.take(2)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
        self.take(length)
    }
}

fn bounded(number: u32, most: u32) -> Result<u32, Fault> {
    if number <= most { Ok(number) } else { Err(Fault::Damaged) }
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
