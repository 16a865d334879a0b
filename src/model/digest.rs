//! A small stable hash for identifiers and phases: the same on every machine, in every release.
//!
//! Not for security: certificates are identified by SHA-256, which the reader computes.

/// 64-bit FNV-1a over the parts, each closed by a separator so that `ab|c` and `a|bc` differ.
///
/// Offset basis and prime from the FNV specification (draft-eastlake-fnv).
#[must_use]
pub fn stable_hash(parts: &[&str]) -> u64 {
    fold(parts.iter().map(|part| part.as_bytes()))
}

/// The same over bytes that need not be text.
#[must_use]
pub fn stable_hash_of(parts: &[&[u8]]) -> u64 {
    fold(parts.iter().copied())
}

fn fold<'a>(parts: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.iter().copied().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash
}
