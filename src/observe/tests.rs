//! What is known and what is probed next, one part at a time.

mod budget;
mod bursts;
mod certificate_files;
mod client_hello;
mod clock;
mod connection_losses;
mod freshness;
mod history;
mod in_flight;
mod listeners;
mod own_network;
mod probe_runs;
mod quorum;
mod schedule;

use crate::model::fixture::{at, inventory, name, of};
