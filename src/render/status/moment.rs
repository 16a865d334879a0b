//! Instants with their age, and the small words every part of the page shares.

use std::fmt::Display;
use std::time::Duration;

use crate::judge::phrases::lasting;
pub(super) use crate::model::byte_size::words as bytes;
use crate::model::time::{Now, UnixTime};
use crate::render::harmless::{LONGEST, line};

use super::facts::Moment;

/// Longest text in one cell.
const CELL: usize = 160;

/// An instant by the wall clock.
pub(super) fn wall(at: UnixTime, now: Now) -> Moment {
    let millis = now.wall.millis_since(at);
    let distance = Duration::from_millis(millis.unsigned_abs());
    let age = if millis < 0 { format!("in {}", lasting(distance)) } else { format!("{} ago", lasting(distance)) };
    Moment { at: at.to_string(), age, age_seconds: seconds(millis) }
}

/// An instant whose age comes from the monotonic clock, so that a stepped wall clock cannot make it older or younger.
pub(super) fn mono(at: Now, now: Now) -> Moment {
    let age = now.since(at);
    Moment { at: at.wall.to_string(), age: format!("{} ago", lasting(age)), age_seconds: age.as_secs_f64() }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of the years 0 to 9999 stay below 2^53")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

/// `text` as one harmless line.
pub(super) fn said(text: &str) -> String {
    line(text, LONGEST)
}

/// `text` as one harmless line for a cell.
pub(super) fn short(text: &str) -> String {
    line(text, CELL)
}

/// `1 mail`, `3 mails`.
pub(super) fn several<N: Copy + Display + PartialEq + From<u8>>(count: N, one: &str) -> String {
    if count == N::from(1) { format!("1 {one}") } else { format!("{count} {one}s") }
}
