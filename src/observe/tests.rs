//! What is believed and what is looked at next, one part at a time.

mod budget;
mod bursts;
mod clock;
mod flight;
mod freshness;
mod hello;
mod listeners;
mod path;
mod quorum;
mod schedule;
mod track;

use crate::model::stage::{at, inventory, name, of};
