//! The process: its clock, its signals, its logs, its talk with the service manager.
//!
//! Everything impure that belongs to no edge lives here. Called by `cli`.

mod adapters;
mod alarm_log;
pub mod clock;
mod difference;
pub mod logging;
mod orders;
mod page_server;
mod reload;
#[cfg(test)]
mod rerun;
pub mod run;
pub mod shutdown;
pub mod systemd;
pub mod worker_threads;
