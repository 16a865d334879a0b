//! What the flight recorder holds on disk.

use super::time::UnixTime;

/// Recordings that `vedette replay` can read now, and what is missing in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recordings {
    /// When the oldest of them begins; `None` while there is none.
    pub since: Option<UnixTime>,
    /// Bytes of the latest ones; what is kept of incidents is not counted.
    pub bytes: u64,
    /// Incidents of which the beginning is kept.
    pub kept: u64,
    /// Inputs that were not recorded, since the start of the process.
    pub dropped: u64,
    /// Recordings that could not be written or kept, since the start of the process.
    pub failures: u64,
}
