//! What must outlive a crash: changes go out in order, and everything anew after a write that failed.

use crate::model::exchange::{Action, Change, Memory};
use crate::model::incident::Incident;
use crate::model::time::{Mono, Now};

use super::{Engine, tell};

/// Writing everything anew after a failed persist: what it would have written or deleted is not known one by one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rewrite {
    due: Option<Mono>,
    under_way: Option<u64>,
}

impl Rewrite {
    pub(super) fn next(&self) -> Option<Mono> {
        self.due.filter(|_| self.under_way.is_none())
    }
}

impl Engine {
    pub(super) fn flush(&mut self, now: Now) {
        if self.rewrite.next().is_some_and(|due| due <= now.mono) {
            self.rewrite = Rewrite { due: None, under_way: Some(self.sequence + 1) };
            let everything = self.everything();
            self.changes.push(Change::Everything(Box::new(everything)));
        }
        if !self.changes.is_empty() {
            self.sequence += 1;
            let changes = std::mem::take(&mut self.changes);
            self.actions.push_back(Action::Persist { sequence: self.sequence, changes });
        }
    }

    pub(super) fn persisted(&mut self, sequence: u64, result: &Result<(), String>, now: Now) {
        if self.rewrite.under_way == Some(sequence) {
            self.rewrite.under_way = None;
        }
        if result.is_err() {
            self.rewrite.due.get_or_insert(now.mono.plus(self.view.policy().hold_renewal));
        }
        self.store_works = Some(result.is_ok());
        self.counters.persist_failures += u64::from(result.is_err());
        self.outbox.written(sequence, result.is_ok(), now.mono, tell::mark_unstored);
        self.is_snapshot_stale = true;
    }

    /// All that must survive, as of now.
    fn everything(&self) -> Memory {
        let (ended, incidents) =
            self.incidents.all().map(|known| Incident::clone(known)).partition(|known: &Incident| known.over.is_some());
        Memory {
            alarms: self.ladder.alarms().cloned().collect(),
            incidents,
            owed: self.outbox.owed(),
            ended,
            silences: self.silences.all().cloned().collect(),
            refused: self.refused.all().cloned().collect(),
        }
    }
}
