//! Holds, incidents and unsent messages, one part at a time; how they work together is in `tests/it/scenarios`.

mod incidents;
mod lifecycle;
mod outbox;
mod route;
mod work;

use std::time::Duration;

use crate::model::rule::{Level, RuleId};
use crate::model::time::{Mono, Now};
use crate::model::verdict::Finding;
use crate::samples;

fn at(seconds: u64) -> Now {
    Now { wall: samples::OPENED, mono: Mono(Duration::from_secs(1_000)) }.plus(Duration::from_secs(seconds))
}

/// A finding that began at second 0.
fn finding(rule: RuleId, level: Level, hold: u64) -> Finding {
    Finding { level, hold: Duration::from_secs(hold), ..samples::finding(rule) }
}
