//! The whole state of the engine as bytes, from which another engine goes on as this one would have.
//!
//! Everything is written as it is, indexes included, so that nothing has to be worked out again in the same way; the
//! inventory and the policy are part of it, secrets are in neither. Only two things are not: the functions that say
//! which finding follows from which, and the snapshot, which is made of the rest and decides nothing but when the next
//! one is due. MessagePack with names, because keys are structs, and so that a field with a default may be added.

use std::io::Write;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::time::Now;

use super::Engine;
use super::relations::relations;

/// Bytes that are no checkpoint of this version.
#[derive(Debug, thiserror::Error)]
#[error("not a checkpoint that this version of vedette can read")]
pub struct CheckpointError(#[source] rmp_serde::decode::Error);

/// State that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("internal error: a part of the engine's state has no written form")]
pub struct UnwrittenError(#[source] rmp_serde::encode::Error);

#[derive(Serialize)]
struct Written<'a> {
    engine: &'a Engine,
    snapshot: Now,
    is_first_round_done: bool,
}

#[derive(Deserialize)]
struct Read {
    engine: Engine,
    snapshot: Now,
    is_first_round_done: bool,
}

impl Engine {
    /// The engine as bytes, as [`write_checkpoint`](Self::write_checkpoint) writes it.
    ///
    /// # Errors
    /// As there.
    pub fn checkpoint(&self) -> Result<Vec<u8>, UnwrittenError> {
        let mut bytes = Vec::new();
        self.write_checkpoint(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes the engine to `out`, for [`from_checkpoint`](Self::from_checkpoint).
    ///
    /// # Errors
    /// When a part of the state has no written form. Tests write every kind of state, but what is lost by it must not be
    /// more than a recording.
    pub fn write_checkpoint(&self, out: &mut impl Write) -> Result<(), UnwrittenError> {
        let written = Written {
            engine: self,
            snapshot: self.snapshot.at,
            is_first_round_done: self.snapshot.is_first_round_done,
        };
        rmp_serde::encode::write_named(out, &written).map_err(UnwrittenError)
    }

    /// An engine that does from now on what the one would have done that `bytes` were written of. Only its snapshot may
    /// be newer by as much as the next one was due, until that is made.
    ///
    /// # Errors
    /// When `bytes` are damaged, or of a version with another state.
    pub fn from_checkpoint(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let Read { mut engine, snapshot, is_first_round_done } =
            rmp_serde::from_slice(bytes).map_err(CheckpointError)?;
        engine.lifecycle.relate(relations());
        engine.incidents.relate(relations());
        engine.snapshot = Arc::new(engine.picture(snapshot, is_first_round_done));
        Ok(engine)
    }
}
