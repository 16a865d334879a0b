//! What is known now: the latest of every probe, runs of good and bad ones, proof that our own network works, and what
//! to probe next.
//!
//! Pure: observations and `now` come in, tracks and due probes come out. `assessment.rs` reads one probe as good or
//! bad; what a run of them means for a rule is decided in `judge`.

pub mod aspect;
pub mod assessment;
pub mod budget;
pub mod burst;
pub mod canaries;
pub mod certificate_files;
pub mod client_hello;
pub mod clock_error;
pub mod connection_losses;
pub mod culprit;
pub mod database_growth;
pub mod dump_rounds;
pub mod elections;
pub mod evidence;
pub mod flow_control;
pub mod history;
pub mod in_flight;
pub mod inventory_change;
pub mod latency;
pub mod membership;
pub mod metrics_pages;
pub mod own_network;
pub mod page_change;
pub mod probe_runs;
pub mod quorum;
pub mod references;
pub mod schedule;
pub mod seat_shares;
mod tracks;
pub mod trusting;
pub mod urgency;
pub mod view;
pub mod zpages;

#[cfg(test)]
mod tests;
