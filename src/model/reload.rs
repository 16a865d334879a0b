//! How the configuration in use came to be, and whether a newer one was refused.

use serde::{Deserialize, Serialize};

use super::time::UnixTime;

/// The configuration in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    /// When the configuration in use was read.
    pub at: UnixTime,
    /// The latest attempt to replace it, when that failed; `None` after a success.
    pub refused: Option<Refusal>,
    /// Times it was replaced since the start.
    pub reloads: u64,
    /// Times a replacement was refused since the start.
    pub refusals: u64,
}

/// A configuration that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// When.
    pub at: UnixTime,
    /// Every mistake, each with file, line and column, as `vedette check` prints it; at most 20.
    pub mistakes: Vec<String>,
}

impl Configured {
    /// A configuration read at start, at `at`.
    #[must_use]
    pub const fn at_start(at: UnixTime) -> Self {
        Self { at, refused: None, reloads: 0, refusals: 0 }
    }
}
