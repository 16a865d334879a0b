//! What the store holds, as the real one takes and gives it back: it outlives the process.

use std::collections::BTreeMap;

use vedette::model::delivery::Unsent;
use vedette::model::exchange::{Change, PersistedState};
use vedette::model::incident::{Alarm, Incident, IncidentId};
use vedette::model::recipient::RefusedRecipient;
use vedette::model::recurrence::Past;
use vedette::model::silence::Silence;
use vedette::model::subject::Name;
use vedette::model::verdict::FindingKey;

#[derive(Default, Clone)]
pub(super) struct Durable {
    alarms: BTreeMap<FindingKey, Alarm>,
    incidents: BTreeMap<IncidentId, Incident>,
    owed: Vec<Unsent>,
    silences: BTreeMap<Name, Silence>,
    refused: BTreeMap<String, RefusedRecipient>,
}

impl Durable {
    /// Takes in what changed.
    pub(super) fn take(&mut self, change: Change) {
        match change {
            Change::Everything(memory) => {
                self.alarms = memory.alarms.into_iter().map(|alarm| (alarm.key(), alarm)).collect();
                self.owed = memory.owed;
                self.refused = memory.refused.into_iter().map(named).collect();
                self.silences = memory.silences.into_iter().map(|silence| (silence.cluster.clone(), silence)).collect();
                self.incidents.retain(|_, known| known.over.is_some());
                let incidents = memory.incidents.into_iter().chain(memory.ended);
                self.incidents.extend(incidents.map(|known| (known.id.clone(), known)));
            }
            Change::Alarm(alarm) => drop(self.alarms.insert(alarm.key(), *alarm)),
            Change::AlarmOver(key) => drop(self.alarms.remove(&key)),
            Change::Incident(incident) => drop(self.incidents.insert(incident.id.clone(), *incident)),
            Change::Owed(unsent) => {
                self.owed.retain(|owed| owed.message.id != unsent.message.id || owed.outlet != unsent.outlet);
                self.owed.push(*unsent);
            }
            Change::Silence(silence) => drop(self.silences.insert(silence.cluster.clone(), silence)),
            Change::SilenceOver(cluster) => drop(self.silences.remove(&cluster)),
            Change::Refused(recipient) => self.refused.extend([named(recipient)]),
            Change::RefusedOver { recipient, .. } => drop(self.refused.remove(&recipient)),
            Change::Settled { message, outlet, .. } => {
                self.owed.retain(|owed| owed.message.id != message || owed.outlet != outlet);
            }
        }
    }

    /// What a process that starts is told.
    pub(super) fn memory(&self) -> PersistedState {
        let past = self.incidents.values().filter_map(Past::of).collect();
        let (mut ended, incidents): (Vec<Incident>, _) =
            self.incidents.values().cloned().partition(|known| known.over.is_some());
        ended.sort_by_key(|known| std::cmp::Reverse(known.over.map(|over| over.at)));
        PersistedState {
            alarms: self.alarms.values().cloned().collect(),
            incidents,
            owed: self.owed.clone(),
            ended,
            silences: self.silences(),
            refused: self.refused.values().cloned().collect(),
            past,
        }
    }

    pub(super) fn silences(&self) -> Vec<Silence> {
        self.silences.values().cloned().collect()
    }
}

fn named(recipient: RefusedRecipient) -> (String, RefusedRecipient) {
    (recipient.rejection.recipient.clone(), recipient)
}
