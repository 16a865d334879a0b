//! The corpus of damaged certificates is replayed, and some thousands more are made of it. `FUZZ_SECONDS=3600` makes it
//! last as long, and `FUZZ_SEED` says from which seed.

use std::time::Duration;

#[path = "../fuzz/mod.rs"]
mod driver;

/// Damaged inputs for each reader in a run of the tests.
const INPUTS: u32 = 500;

#[test]
fn no_damaged_certificate_breaks_a_reader() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());

    let read = driver::run(
        number("FUZZ_SEED").unwrap_or(15),
        Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(0)),
        INPUTS,
    );

    assert!(read >= u64::from(INPUTS) * 8);
}
