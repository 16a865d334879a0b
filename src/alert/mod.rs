//! From verdicts to messages: holds and recovery (`lifecycle`), incidents and root causes (`group`), who hears of
//! them (`route`), unsent messages (`outbox`), recipients who are refused (`refused_recipients`), and silenced clusters
//! (`silence`).
//!
//! Pure; knows nothing of probes or rules: which finding explains which comes in with `relations`.

pub mod group;
mod index;
pub mod lifecycle;
pub mod outbox;
mod recurrence;
pub mod refused_recipients;
pub mod relations;
pub mod route;
pub mod silence;

#[cfg(test)]
mod tests;
