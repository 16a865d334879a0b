//! Password-based decryption of the certificate part of a PKCS#12 file.
//!
//! PBES2 (RFC 8018) with PBKDF2 and AES or triple DES, as programs write today, and the methods of RFC 7292 appendix C
//! (triple DES, RC2), which older Java, OpenSSL and Windows wrote and still write for the sake of others. RC4 is not
//! read: nothing writes it. AES and the digests are aws-lc-rs', which has neither RC2 nor triple DES.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{AES_128, AES_192, AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::pbkdf2;
use des::TdesEde3;
use des::cipher::{BlockCipherDecrypt, KeyInit as _};
use rc2::Rc2;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::super::der::Element;

/// Iterations of a key derivation that are done. OpenSSL writes 2,048, Java 10,000, password managers 600,000 at most;
/// two million are about a second.
pub(super) const MAX_ITERATIONS: u64 = 2_000_000;
/// Iterations that are done for one file, over all its parts and all passwords.
pub(super) const MAX_WORK: u64 = 10 * MAX_ITERATIONS;
/// Passwords that are tried: each costs a derivation.
const MAX_PASSWORDS: usize = 16;

/// Contents of object identifiers (RFC 8018 appendix A, RFC 7292 appendix C, and NIST's for AES).
const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13];
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 12];
const HMAC_BASE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2];
const TRIPLE_DES_CBC: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 3, 7];
const AES_BASE: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1];
const LEGACY_BASE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1];

/// Why nothing was decrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No password opens it.
    NoPassword,
    /// It asks for so many iterations.
    TooMuchWork(u64),
    /// A method that is not read.
    UnknownMethod,
    /// No encrypted data at all.
    Damaged,
}

/// Decrypts the `EncryptedData` in `data` by the first password that `accepts` what comes out of it. The empty password
/// is always tried last, in both forms that programs give it.
pub(super) fn open(
    data: &Element<'_>,
    passwords: &[SecretString],
    work: &mut u64,
    mut accepts: impl FnMut(&[u8]) -> bool,
) -> Result<(), Refusal> {
    let info = data.inside().nth(1).ok_or(Refusal::Damaged)?;
    let parts: Vec<Element<'_>> = info.inside().take(3).collect();
    let [_, algorithm, content] = parts.as_slice() else { return Err(Refusal::Damaged) };
    let method = Method::of(algorithm)?;
    let content = content.octets();
    let known = passwords.iter().take(MAX_PASSWORDS).map(|password| Some(password.expose_secret()));
    for password in known.chain([Some(""), None]) {
        let iterations = u64::from(method.iterations.get());
        *work = work.checked_sub(iterations).ok_or(Refusal::TooMuchWork(iterations))?;
        let opened = method.decrypt(&content, password);
        if opened.is_some_and(|opened| accepts(&opened)) {
            return Ok(());
        }
    }
    Err(Refusal::NoPassword)
}

/// How the content is encrypted.
struct Method {
    derivation: Derivation,
    cipher: Cipher,
    salt: Vec<u8>,
    iterations: NonZeroU32,
}

enum Derivation {
    Pbkdf2 {
        hash: pbkdf2::Algorithm,
        iv: Vec<u8>,
    },
    /// That of RFC 7292 appendix B, with SHA-1; it derives the initialisation vector too.
    Pkcs12,
}

#[derive(Debug, Clone, Copy)]
enum Cipher {
    Aes {
        key: usize,
    },
    /// With two or three different keys.
    TripleDes {
        key: usize,
    },
    Rc2 {
        key: usize,
    },
}

impl Method {
    fn of(algorithm: &Element<'_>) -> Result<Self, Refusal> {
        let mut parts = algorithm.inside();
        let (Some(kind), Some(parameters)) = (parts.next(), parts.next()) else { return Err(Refusal::Damaged) };
        if kind.content == PBES2 {
            return Self::pbes2(&parameters);
        }
        let cipher = match kind.content.strip_prefix(LEGACY_BASE) {
            Some([3]) => Cipher::TripleDes { key: 24 },
            Some([4]) => Cipher::TripleDes { key: 16 },
            Some([5]) => Cipher::Rc2 { key: 16 },
            Some([6]) => Cipher::Rc2 { key: 5 },
            Some(_) | None => return Err(Refusal::UnknownMethod),
        };
        let mut parts = parameters.inside();
        let (Some(salt), Some(iterations)) = (parts.next(), parts.next()) else { return Err(Refusal::Damaged) };
        Ok(Self {
            derivation: Derivation::Pkcs12,
            cipher,
            salt: salt.content.to_vec(),
            iterations: iterations_of(&iterations)?,
        })
    }

    fn pbes2(parameters: &Element<'_>) -> Result<Self, Refusal> {
        let both: Vec<Vec<Element<'_>>> = parameters.inside().take(2).map(|part| part.inside().collect()).collect();
        let [derivation, scheme] = both.as_slice() else { return Err(Refusal::Damaged) };
        let ([function, how, ..], [cipher, iv, ..]) = (derivation.as_slice(), scheme.as_slice()) else {
            return Err(Refusal::Damaged);
        };
        if function.content != PBKDF2 {
            return Err(Refusal::UnknownMethod);
        }
        let cipher = match cipher.content {
            TRIPLE_DES_CBC => Cipher::TripleDes { key: 24 },
            other => match other.strip_prefix(AES_BASE) {
                Some([2]) => Cipher::Aes { key: 16 },
                Some([22]) => Cipher::Aes { key: 24 },
                Some([42]) => Cipher::Aes { key: 32 },
                Some(_) | None => return Err(Refusal::UnknownMethod),
            },
        };
        let fields: Vec<Element<'_>> = how.inside().take(4).collect();
        let [salt, iterations, rest @ ..] = fields.as_slice() else { return Err(Refusal::Damaged) };
        let function = rest.iter().find(|field| field.tag == 0x30).and_then(|field| field.inside().next());
        let hash = match function.as_ref().map(|function| function.content.strip_prefix(HMAC_BASE)) {
            None | Some(Some([7])) => pbkdf2::PBKDF2_HMAC_SHA1,
            Some(Some([9])) => pbkdf2::PBKDF2_HMAC_SHA256,
            Some(Some([10])) => pbkdf2::PBKDF2_HMAC_SHA384,
            Some(Some([11])) => pbkdf2::PBKDF2_HMAC_SHA512,
            Some(_) => return Err(Refusal::UnknownMethod),
        };
        Ok(Self {
            derivation: Derivation::Pbkdf2 { hash, iv: iv.content.to_vec() },
            cipher,
            salt: salt.content.to_vec(),
            iterations: iterations_of(iterations)?,
        })
    }

    /// `None` where the password does not fit; `None` as a password is none at all.
    fn decrypt(&self, content: &[u8], password: Option<&str>) -> Option<Zeroizing<Vec<u8>>> {
        let mut content = Zeroizing::new(content.to_vec());
        let mut key = Zeroizing::new(vec![0; self.cipher.key()]);
        let iv = match &self.derivation {
            // To PBKDF2 no password and the empty one are the same.
            Derivation::Pbkdf2 { hash, iv } => {
                pbkdf2::derive(*hash, self.iterations, &self.salt, password?.as_bytes(), &mut key);
                iv.clone()
            }
            Derivation::Pkcs12 => {
                let wide = password.map_or_else(Zeroizing::default, wide);
                *key = derive(KEY, &wide, &self.salt, self.iterations, key.len());
                derive(VECTOR, &wide, &self.salt, self.iterations, BLOCK)
            }
        };
        let length = self.cipher.decrypt(&key, &iv, &mut content)?;
        content.truncate(length);
        Some(content)
    }
}

/// The iterations that a file asks for.
fn iterations_of(number: &Element<'_>) -> Result<NonZeroU32, Refusal> {
    let bytes = number.content;
    if number.tag != 0x02 || bytes.is_empty() || bytes[0] >= 0x80 {
        return Err(Refusal::Damaged);
    }
    let wanted = bytes.iter().fold(0_u64, |sum, byte| sum.saturating_mul(256).saturating_add(u64::from(*byte)));
    if wanted > MAX_ITERATIONS {
        return Err(Refusal::TooMuchWork(wanted));
    }
    u32::try_from(wanted).ok().and_then(NonZeroU32::new).ok_or(Refusal::Damaged)
}

/// Octets of a block of DES and RC2.
const BLOCK: usize = 8;

impl Cipher {
    const fn key(self) -> usize {
        match self {
            Self::Aes { key } | Self::TripleDes { key } | Self::Rc2 { key } => key,
        }
    }

    /// Decrypts `content` in place; the length without its padding.
    fn decrypt(self, key: &[u8], iv: &[u8], content: &mut [u8]) -> Option<usize> {
        match self {
            Self::Aes { .. } => {
                let algorithm = match key.len() {
                    16 => &AES_128,
                    24 => &AES_192,
                    _ => &AES_256,
                };
                let key = UnboundCipherKey::new(algorithm, key).ok()?;
                let context = DecryptionContext::Iv128(<[u8; 16]>::try_from(iv).ok()?.into());
                let opened = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?.decrypt(content, context).ok()?;
                Some(opened.len())
            }
            Self::TripleDes { .. } => {
                // Of two keys the first is used again as the third.
                let three: Zeroizing<Vec<u8>> = Zeroizing::new([key, key].concat());
                chained(&TdesEde3::new_from_slice(three.get(..24)?).ok()?, iv, content)
            }
            Self::Rc2 { key: length } => chained(&Rc2::new_with_eff_key_len(key, length * 8), iv, content),
        }
    }
}

/// Cipher block chaining with the padding of PKCS#7; the length without padding.
fn chained<C>(cipher: &C, iv: &[u8], content: &mut [u8]) -> Option<usize>
where
    C: BlockCipherDecrypt<BlockSize = des::cipher::consts::U8>,
{
    let mut before = <[u8; BLOCK]>::try_from(iv).ok()?;
    if content.is_empty() || !content.len().is_multiple_of(BLOCK) {
        return None;
    }
    for block in content.chunks_exact_mut(BLOCK) {
        let encrypted = <[u8; BLOCK]>::try_from(&*block).ok()?;
        let mut opened = encrypted.into();
        cipher.decrypt_block(&mut opened);
        for ((out, opened), before) in block.iter_mut().zip(opened).zip(before) {
            *out = opened ^ before;
        }
        before = encrypted;
    }
    let padding = usize::from(*content.last()?);
    let length = content.len().checked_sub(padding)?;
    let is_padded =
        (1..=BLOCK).contains(&padding) && content[length..].iter().all(|byte| usize::from(*byte) == padding);
    is_padded.then_some(length)
}

/// A password as RFC 7292 appendix B.1 wants it: UTF-16, with a zero behind it.
fn wide(password: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(password.encode_utf16().chain([0]).flat_map(u16::to_be_bytes).collect())
}

/// What is derived: RFC 7292 appendix B.3.
const KEY: u8 = 1;
const VECTOR: u8 = 2;
/// Octets of a block of SHA-1, and of its digest.
const HASH_BLOCK: usize = 64;
const HASH: usize = 20;

/// RFC 7292 appendix B.2 with SHA-1.
fn derive(id: u8, password: &[u8], salt: &[u8], iterations: NonZeroU32, length: usize) -> Vec<u8> {
    let repeated = |bytes: &[u8]| -> Vec<u8> {
        let length = bytes.len().div_ceil(HASH_BLOCK) * HASH_BLOCK;
        bytes.iter().copied().cycle().take(if bytes.is_empty() { 0 } else { length }).collect()
    };
    let mut mixed = Zeroizing::new([repeated(salt), repeated(password)].concat());
    let mut out = Vec::with_capacity(length + HASH);
    while out.len() < length {
        let first = Zeroizing::new([&[id; HASH_BLOCK][..], &mixed].concat());
        let mut hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &first);
        for _ in 1..iterations.get() {
            hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, hash.as_ref());
        }
        out.extend_from_slice(hash.as_ref());
        let added: Vec<u8> = hash.as_ref().iter().copied().cycle().take(HASH_BLOCK).collect();
        mixed.chunks_exact_mut(HASH_BLOCK).for_each(|block| add(block, &added));
    }
    out.truncate(length);
    out
}

/// `block + added + 1`, both as numbers.
fn add(block: &mut [u8], added: &[u8]) {
    let mut carry = 1_u16;
    for (out, added) in block.iter_mut().zip(added).rev() {
        let sum = u16::from(*out) + u16::from(*added) + carry;
        let [high, low] = sum.to_be_bytes();
        *out = low;
        carry = u16::from(high);
    }
}
