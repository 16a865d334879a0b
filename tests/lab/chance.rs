//! Chance that can be repeated: a seed in the report of a failure brings back the same moments.

use std::env;
use std::time::UNIX_EPOCH;

use crate::clock;

/// A sequence that a seed fixes (splitmix64).
pub(crate) struct Chance(u64);

impl Chance {
    /// The environment variable that sets the seed.
    pub(crate) const VARIABLE: &str = "VEDETTE_LAB_SEED";

    /// The seed of this run: as the variable says, else another one each time.
    pub(crate) fn seed() -> u64 {
        let chosen = env::var(Self::VARIABLE).ok().and_then(|text| text.parse().ok());
        chosen.unwrap_or_else(|| {
            clock::wall()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs() ^ u64::from(since.subsec_nanos()))
        })
    }

    /// The sequence of this seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}
