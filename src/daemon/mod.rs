//! The process: its clock, its signals, its logs, its talk with the service manager.
//!
//! Everything impure that belongs to no edge lives here. Called by `cli`.

pub mod clock;
pub mod logging;
#[cfg(test)]
mod rebirth;
pub mod shutdown;
pub mod systemd;
