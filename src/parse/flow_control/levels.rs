//! `dump_priority_levels`.

use super::MAX_TEXT;
use super::columns::{Row, Rows};
use crate::model::flow_control::{Lacks, PriorityLevel, PriorityLevels};
use crate::parse::sanitize::shown;

/// Reads the dump as it arrives.
#[derive(Debug, Default)]
pub struct LevelsReader {
    rows: Rows,
    read: PriorityLevels,
}

impl LevelsReader {
    /// Takes the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        let read = &mut self.read;
        self.rows.push(piece, |row| {
            let Some((name, level)) = level(row) else { return false };
            let has_room = read.levels.len() < PriorityLevels::MAX || read.levels.contains_key(&name);
            if has_room {
                read.levels.insert(name, level);
            }
            has_room
        });
    }

    /// What was read; `is_whole` unless more of it was to come.
    #[must_use]
    pub fn finish(self, is_whole: bool) -> PriorityLevels {
        let (rows, is_cut) = self.rows.finish();
        PriorityLevels { lacks: Lacks { rows, is_cut: is_cut || !is_whole }, ..self.read }
    }
}

fn level(row: &Row<'_>) -> Option<(String, PriorityLevel)> {
    let name = row.get("PriorityLevelName").filter(|name| !name.is_empty())?;
    let level = PriorityLevel {
        waiting: row.number("WaitingRequests")?,
        executing: row.number("ExecutingRequests")?,
        dispatched: row.number("DispatchedRequests")?,
        rejected: row.number("RejectedRequests")?,
        timed_out: row.number("TimedoutRequests")?,
        cancelled: row.number("CancelledRequests")?,
        is_quiescing: row.get("IsQuiescing")? == "true",
    };
    Some((shown(name, MAX_TEXT), level))
}
