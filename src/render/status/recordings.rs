//! How far back the flight recorder reaches. Its thread counts that, and not the engine, so no snapshot has it.

use crate::model::recordings::Recordings;
use crate::model::time::Now;

use super::facts::{State, Status, Value};
use super::moment::{bytes, several, wall};

/// Before which of the vantage's own values it is shown: behind the database, beside which it lies.
const BEFORE: &str = "mail";

impl Status {
    /// This page with what is recorded at `now`; `None` when recording is off.
    #[must_use]
    pub fn with_recordings(mut self, recordings: Option<Recordings>, now: Now) -> Self {
        let (text, state) =
            recordings.map_or_else(|| ("off".to_owned(), State::Unknown), |recordings| told(recordings, now));
        let values = &mut self.own.values;
        let place = values.iter().position(|value| value.name == BEFORE).unwrap_or(values.len());
        values.insert(place, Value { name: "recordings", text, state });
        self
    }
}

fn told(recordings: Recordings, now: Now) -> (String, State) {
    let Some(since) = recordings.since else {
        return if recordings.failures == 0 {
            ("nothing recorded yet".to_owned(), State::Unknown)
        } else {
            (format!("none: {} failed", several(recordings.failures, "attempt")), State::Degraded)
        };
    };
    let began = wall(since, now);
    let mut text = format!("since {} ({}), {}", began.at, began.age, bytes(recordings.bytes));
    if recordings.kept > 0 {
        text.push_str(&format!("; beginnings of {} kept", several(recordings.kept, "incident")));
    }
    if recordings.dropped > 0 {
        text.push_str(&format!("; {} not recorded", several(recordings.dropped, "input")));
    }
    (text, if recordings.dropped > 0 { State::Degraded } else { State::Ok })
}
