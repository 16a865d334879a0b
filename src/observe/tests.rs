//! What is known and what is probed next, one part at a time.

mod budget;
mod bursts;
mod clock;
mod freshness;
mod hello;
mod in_flight;
mod listeners;
mod path;
mod quorum;
mod schedule;
mod track;

use crate::model::fixture::{at, inventory, name, of};
