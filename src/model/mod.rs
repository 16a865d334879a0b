//! The vocabulary: the types that the other folders exchange.
//!
//! Plain values with little behaviour: arithmetic, text forms, and what follows from the values alone, such as which
//! stored items were replaced (`certificate_files/`). Imports nothing of ours; every other folder imports this one. No clock and
//! no I/O live here.

pub mod addresses;
pub mod apiserver_metrics;
pub mod byte_size;
pub mod canary;
pub mod certificate;
pub mod certificate_evidence;
pub mod certificate_files;
pub mod certificate_list;
pub mod command;
mod command_id;
pub mod completeness;
pub mod cost;
pub mod delivery;
pub mod digest;
pub mod error_chain;
pub mod etcd;
pub mod exchange;
pub mod file_fault;
pub mod finding;
#[cfg(test)]
pub(crate) mod fixture;
pub mod flag_differences;
pub mod flat_map;
pub mod flow_control;
pub mod freshness;
pub mod gap;
pub mod health;
pub mod histogram;
pub mod host_access;
pub mod incident;
pub mod inventory;
pub mod links;
pub mod message;
pub mod observation;
pub mod outlet;
pub mod phase;
pub mod place;
pub mod plan;
pub mod policy;
pub mod probe;
pub mod reason;
pub mod recipient;
pub mod recordings;
pub mod recurrence;
pub mod reload;
pub mod replacement;
pub mod rule;
pub mod silence;
pub mod snapshot;
pub mod subject;
pub mod tally;
pub mod time;
pub mod vantage;
pub mod verdict;
pub mod zone;
pub mod zpages;
