//! One integration binary: claims about the house as a whole.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers as well")]

mod bans;
mod certs;
#[path = "../../src/collect/tests/closed_port.rs"]
mod closed_port;
mod command_line;
mod config_errors;
mod config_files;
mod config_settings;
mod control;
mod daemon;
mod dashboards;
mod docs_in_sync;
mod fuzz;
mod layers;
mod recordings;
mod reloading;
mod rpc_in_sync;
mod scenarios;
mod schema;
mod unit;
mod web;
mod words;
