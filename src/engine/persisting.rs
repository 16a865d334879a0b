//! What must outlive a crash: changes go out in order, and everything anew after a write that failed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::exchange::{Action, Change, PersistedState};
use crate::model::incident::{Alarm, Incident, IncidentId};
use crate::model::time::{Mono, Now};
use crate::model::verdict::FindingKey;

use super::deadlines::Deadline;
use super::{Engine, delivering};

/// Writing everything anew after a failed persist: what it would have written or deleted is not known one by one.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Rewrite {
    due: Option<Mono>,
    under_way: Option<u64>,
}

/// What is to be written as it stands at the end of a turn: an incident of a thousand parts is written once, not once
/// for each part that joins it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Noted {
    alarms: BTreeSet<FindingKey>,
    open: BTreeSet<IncidentId>,
    /// Of those that are over only the latest are kept elsewhere.
    ended: BTreeMap<IncidentId, Arc<Incident>>,
}

impl Rewrite {
    pub(super) fn next(&self) -> Option<Mono> {
        self.due.filter(|_| self.under_way.is_none())
    }
}

impl Engine {
    pub(super) fn flush(&mut self, now: Now) {
        if self.is_due(Deadline::Rewrite, now) {
            self.rewrite = Rewrite { due: None, under_way: Some(self.sequence + 1) };
            let everything = self.everything();
            self.noted.alarms.clear();
            self.noted.open.clear();
            self.changes.push(Change::Everything(Box::new(everything)));
        }
        let changes = self.all_changes();
        if !changes.is_empty() {
            self.sequence += 1;
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
        self.outbox.written(sequence, result.is_ok(), now.mono, delivering::mark_unstored);
        self.is_snapshot_stale = true;
    }

    /// An alarm is to be stored, or deleted when it has ended.
    pub(super) fn note_alarm(&mut self, key: &FindingKey) {
        self.noted.alarms.insert(key.clone());
    }

    /// Every alarm is to be written.
    pub(super) fn note_alarms(&mut self) {
        self.noted.alarms.extend(self.lifecycle.alarms().map(|alarm| alarm.key()));
    }

    /// An incident is to be written.
    pub(super) fn note_incident(&mut self, id: &IncidentId) {
        let Some(incident) = self.incidents.incident(id) else { return };
        if incident.over.is_some() {
            self.noted.ended.insert(id.clone(), Arc::clone(incident));
        } else {
            self.noted.open.insert(id.clone());
        }
    }

    /// What is noted, as it stands now, and then everything else in its order.
    fn all_changes(&mut self) -> Vec<Change> {
        let Noted { alarms, open, ended } = std::mem::take(&mut self.noted);
        let alarm = |key: FindingKey| match self.lifecycle.alarm(&key) {
            Some(alarm) => Change::Alarm(Box::new(alarm.clone())),
            None => Change::AlarmOver(key),
        };
        let mut changes: Vec<Change> = alarms.into_iter().map(alarm).collect();
        let open = open.iter().filter(|id| !ended.contains_key(id)).filter_map(|id| self.incidents.incident(id));
        let incidents = open.chain(ended.values());
        changes.extend(incidents.map(|incident| Change::Incident(Box::new(Incident::clone(incident)))));
        changes.append(&mut self.changes);
        changes
    }

    /// All that must survive, as of now.
    fn everything(&self) -> PersistedState {
        let (ended, incidents) =
            self.incidents.all().map(|known| Incident::clone(known)).partition(|known: &Incident| known.over.is_some());
        PersistedState {
            alarms: self.lifecycle.alarms().map(|alarm| Alarm::clone(alarm)).collect(),
            incidents,
            owed: self.outbox.owed(),
            ended,
            silences: self.silences.all().cloned().collect(),
            refused: self.refused.all().cloned().collect(),
            // Rows of ended incidents, which are not replaced.
            past: Vec::new(),
        }
    }
}
