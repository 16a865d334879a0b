//! The process: its clock, its signals, its logs, its talk with the service manager.
//!
//! Everything impure that belongs to no edge lives here. Called by `cli`.

pub mod clock;
pub mod crew;
mod difference;
mod edges;
mod journal;
mod listener;
pub mod logging;
mod orders;
#[cfg(test)]
mod rebirth;
mod reload;
pub mod run;
pub mod shutdown;
pub mod systemd;
