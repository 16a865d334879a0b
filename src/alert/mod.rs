//! From verdicts to messages: holds and recovery (`ladder`), incidents and root causes (`group`), what is owed to
//! people (`outbox`).
//!
//! Pure; knows nothing of looks or rules: which finding explains which comes in as a function.

pub mod group;
pub mod ladder;
pub mod outbox;

#[cfg(test)]
mod tests;
