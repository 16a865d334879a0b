//! Damaged certificates for an hour. No control plane is needed, and no vedette: the readers are called as they are.

use std::time::Duration;

use anyhow::Result;

use crate::clock;
use crate::drill::Drill;
use crate::world::World;

#[path = "../../fuzz/mod.rs"]
mod driver;

/// The family.
pub(crate) const DRILLS: &[Drill] =
    &[Drill::new("damaged_certificates_break_no_reader_in_an_hour", an_hour).when_full().without_cluster()];

/// Length of the run.
const LENGTH: Duration = Duration::from_secs(3_600);
/// Damaged inputs for one reader before it is the next one's turn.
const TURN: u32 = 1_000;

fn an_hour(_: &mut World) -> Result<()> {
    // Every run has its own inputs; the seed is in the message of a run that fails.
    let seed = clock::wall().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let read = driver::run(seed, LENGTH, TURN);
    println!("{read} damaged inputs were read, from seed {seed}");
    Ok(())
}
