//! How much a probe is needed, which decides what goes first and how many may be under way.

use serde::{Deserialize, Serialize};

/// How much a probe is needed now. Ordered: the first goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Urgency {
    /// Its result confirms a fault or refutes it.
    Confirmation,
    /// The schedule asks for it.
    Scheduled,
    /// One of many that count how often a connection is lost. Sent while a quarter of the ceiling is free.
    Sample,
    /// A further probe of a fault, in case another one gives no result. Sent while half of the ceiling is free, so that
    /// the next confirmation finds its tokens.
    Spare,
}
