//! `dump_requests?includeRequestDetails=1`.

use super::MAX_TEXT;
use super::columns::{Row, Rows};
use crate::model::flow_control::{Lacks, RequestKey, RequestLoad, SeatUse};
use crate::model::time::UnixTime;
use crate::parse::sanitize::shown;

/// Reads the dump as it arrives, and sums it up.
#[derive(Debug, Default)]
pub struct RequestsReader {
    rows: Rows,
    read: RequestLoad,
}

impl RequestsReader {
    /// Takes the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        let read = &mut self.read;
        self.rows.push(piece, |row| match (key(row), seats(row)) {
            (Some(key), Some(seats)) => {
                read.add(key, seats);
                true
            }
            _ => false,
        });
    }

    /// What was read; `is_whole` unless more of it was to come.
    #[must_use]
    pub fn finish(self, is_whole: bool) -> RequestLoad {
        let (rows, is_cut) = self.rows.finish();
        RequestLoad { lacks: Lacks { rows, is_cut: is_cut || !is_whole }, ..self.read }
    }
}

fn key(row: &Row<'_>) -> Option<RequestKey> {
    let text = |heading: &str| row.get(heading).map(|cell| shown(cell, MAX_TEXT));
    Some(RequestKey {
        level: text("PriorityLevelName").filter(|level| !level.is_empty())?,
        flow_schema: text("FlowSchemaName")?,
        user: text("UserName").unwrap_or_default(),
        verb: text("Verb").unwrap_or_default(),
        what: shown(&what(row), MAX_TEXT),
        namespace: text("Namespace").unwrap_or_default(),
    })
}

/// A request that executes has no place in a queue: both indexes are -1.
fn seats(row: &Row<'_>) -> Option<SeatUse> {
    let place: i64 = row.number("RequestIndexInQueue")?;
    let seats: u64 = row.number("InitialSeats")?;
    let oldest = row.get("ArriveTime").and_then(time);
    Some(if place < 0 {
        SeatUse { executing: 1, seats, oldest, ..SeatUse::default() }
    } else {
        SeatUse { waiting: 1, seats_wanted: seats, oldest, ..SeatUse::default() }
    })
}

/// `pods`, `deployments.apps`, `pods/log`, or the path.
fn what(row: &Row<'_>) -> String {
    let cell = |heading: &str| row.get(heading).unwrap_or_default();
    let (resource, part, path) = (cell("Resource"), cell("SubResource"), cell("APIPath"));
    if resource.is_empty() {
        return path.to_owned();
    }
    let group = path.strip_prefix("/apis/").and_then(|rest| rest.split('/').next()).filter(|group| !group.is_empty());
    let group = group.map(|group| format!(".{group}")).unwrap_or_default();
    let part = if part.is_empty() { String::new() } else { format!("/{part}") };
    format!("{resource}{group}{part}")
}

/// RFC 3339; the year 1 stands for never.
fn time(text: &str) -> Option<UnixTime> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(UnixTime::from_millis(time.as_millisecond())).filter(|time| *time > UnixTime::from_secs(0))
}
