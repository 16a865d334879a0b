//! The process: its clock, its signals, its logs, its messages to the service manager.
//!
//! All I/O that belongs neither to probes nor to mails nor to the pages is here. Called by `cli`.

mod adapters;
mod alarm_log;
#[cfg(test)]
mod child_process_test;
pub mod clock;
pub mod logging;
mod orders;
mod page_server;
pub mod recorder;
mod reload;
mod reload_difference;
pub mod run;
pub mod shutdown;
pub mod systemd;
pub mod worker_threads;
