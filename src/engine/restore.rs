//! Restores what was known before a restart.
//!
//! Every row may be missing, since one that cannot be read is left out. Even then every ongoing finding must be mailed,
//! and none may resolve without good probes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::alert::group::{Notification, settle};
use crate::alert::outbox::UnsentKey;
use crate::alert::route::Routing;
use crate::model::delivery::Unsent;
use crate::model::exchange::PersistedState;
use crate::model::incident::{Alarm, Ending, Incident, IncidentId, Stage};
use crate::model::reason::MessageReason;
use crate::model::rule::RuleId;
use crate::model::time::Now;
use crate::model::verdict::{Finding, FindingKey};

use super::{Engine, RestoreState};

impl Engine {
    /// Takes over alarms, incidents and unsent messages. The gap since they were written is not booked on any hold;
    /// what was pending or firing is probed again at once.
    pub(super) fn restore(&mut self, persisted: Result<PersistedState, String>, now: Now) {
        let was_awaited = matches!(self.persisted, RestoreState::Awaited { .. });
        self.touched.extend(self.view.inventory().clusters.keys().cloned().map(Some));
        self.touched.insert(None);
        self.is_snapshot_stale = true;
        let Ok(mut persisted) = persisted else {
            self.persisted = RestoreState::Empty;
            self.store_works = Some(false);
            return;
        };
        self.store_works = Some(true);
        for silence in std::mem::take(&mut persisted.silences) {
            self.restore_silence(silence, now);
            self.is_snapshot_urgent = true;
        }
        for recipient in std::mem::take(&mut persisted.refused) {
            self.refused.restore(recipient);
        }
        self.forget_recipients();
        let (copies, delivered) = self.restore_owed(std::mem::take(&mut persisted.owed), now);
        self.persisted = RestoreState::Known;
        let policy = Arc::clone(self.view.policy());
        let persisted = if was_awaited { persisted } else { self.without_known(persisted, now) };
        persisted.past.into_iter().for_each(|past| self.incidents.remember(past));
        for incident in persisted.ended.into_iter().rev().chain(persisted.incidents) {
            self.incidents.restore(incident, &policy, now.mono);
        }
        for (id, incident) in copies {
            // Its row is missing; the message shows it as it was.
            if self.incidents.incident(&id).is_none() {
                self.incidents.restore(incident, &policy, now.mono);
                self.note_incident(&id);
            }
        }
        delivered.iter().for_each(|incident| self.note_settled(incident));
        for alarm in persisted.alarms {
            self.restore_alarm(alarm, now);
        }
        self.restore_missing_alarms(now);
        // The configuration may be another one than before.
        self.withdraw_unconfigured(now);
        let references: Vec<FindingKey> =
            self.lifecycle.alarms().map(|alarm| alarm.key()).filter(|key| key.rule == RuleId::F55).collect();
        for key in &references {
            self.heed_reference(key);
        }
        self.settle_leftovers(now);
        self.assignments.changed.extend(self.lifecycle.unassigned_places().cloned());
        self.stir_all();
    }

    /// Returns the incidents that have unsent messages, as the latest of these messages shows them, and those of which
    /// everybody who is a recipient now has got a message already.
    fn restore_owed(&mut self, owed: Vec<Unsent>, now: Now) -> (BTreeMap<IncidentId, Incident>, Vec<Incident>) {
        let (mut copies, mut delivered) = (BTreeMap::new(), Vec::new());
        let routing = Routing::of(self.view.inventory());
        for mut unsent in owed {
            // The configuration may be another one than before, and an older release did not store to whom it goes.
            unsent.readdress(&routing.recipients(&unsent.outlet));
            if unsent.is_done() {
                let is_known = unsent.is_known_to_somebody();
                self.note_unsent_over(UnsentKey::of(&unsent), is_known);
                delivered.extend(is_known.then_some(unsent.message.incident));
                continue;
            }
            copies.insert(unsent.message.incident.id.clone(), unsent.message.incident.clone());
            self.outbox.restore(unsent, now.mono);
        }
        for (id, incident) in &mut copies {
            settle(incident, self.outbox.owes(id));
        }
        (copies, delivered)
    }

    /// The store answered after evaluation had begun: of alarms that were raised since then the stored ones are
    /// dropped, and the incident they belonged to is closed without a mail.
    fn without_known(&mut self, mut persisted: PersistedState, now: Now) -> PersistedState {
        let is_known = |finding: &Finding| self.lifecycle.alarm(&finding.key()).is_some();
        persisted.alarms.retain(|alarm| !is_known(&alarm.finding));
        let (doubled, incidents): (Vec<_>, Vec<_>) =
            persisted.incidents.into_iter().partition(|incident: &Incident| incident.ongoing().any(is_known));
        for incident in doubled {
            let over = Some(Ending { at: now.wall, withdrawn: true });
            let id = incident.id.clone();
            self.incidents.restore(Incident { over, ..incident }, &Arc::clone(self.view.policy()), now.mono);
            self.note_incident(&id);
        }
        PersistedState { incidents, owed: Vec::new(), ..persisted }
    }

    /// An alarm keeps its incident only while that is open and has the finding as an ongoing part. Without one the
    /// alarm gets another incident, however long it fired before.
    fn restore_alarm(&mut self, alarm: Alarm, now: Now) {
        let key = alarm.key();
        if !self.view.inventory().watches(&key.subject) {
            self.note_alarm(&key);
            self.recover_everywhere(&key, now.wall, true, now);
            return;
        }
        let incident =
            self.incidents.with_part(&key).find(|id| alarm.incident.as_ref().is_none_or(|known| known == *id));
        let incident = incident.cloned().filter(|_| alarm.is_firing());
        if let Some(lost) = alarm.incident.clone().filter(|known| Some(known) != incident.as_ref()) {
            self.incidents.spend(lost);
        }
        self.burst(&key.subject, now, now);
        self.lifecycle.restore(Alarm { incident, ..alarm }, now);
    }

    /// A finding that is ongoing in an open incident goes on until a probe sees it good, even if its own row is
    /// missing.
    fn restore_missing_alarms(&mut self, now: Now) {
        let mut missing: Vec<Alarm> = Vec::new();
        for incident in self.incidents.open() {
            let is_missing = |finding: &&Finding| self.lifecycle.alarm(&finding.key()).is_none();
            let stage = Stage::Firing { since: now.wall };
            missing.extend(incident.ongoing().filter(is_missing).map(|finding| Alarm {
                finding: finding.clone(),
                stage,
                incident: Some(incident.id.clone()),
            }));
        }
        for alarm in missing {
            let key: FindingKey = alarm.key();
            self.restore_alarm(alarm, now);
            self.note_alarm(&key);
        }
    }

    /// Messages that are lost, incidents whose last part ended in the very moment of the crash, and first messages that
    /// outlived their cause.
    fn settle_leftovers(&mut self, now: Now) {
        let policy = Arc::clone(self.view.policy());
        let known: Vec<_> = self.incidents.all().cloned().collect();
        for incident in known {
            let id = &incident.id;
            let owed = self.outbox.owes(id);
            self.collapse(id, now);
            let was_resolved_silently = incident.over.is_some_and(|ending| !ending.withdrawn)
                && incident.is_told()
                && incident.told.last.zip(incident.over).is_some_and(|(last, over)| last < over.at)
                && owed == 0;
            let said = if was_resolved_silently {
                Some(Notification { incident: id.clone(), reason: MessageReason::Resolved })
            } else if has_lost(&incident, owed) {
                self.incidents.retract(id, owed, &policy, now.mono)
            } else {
                continue;
            };
            self.note_incident(id);
            self.say(said, now);
        }
    }
}

/// Whether a message of an incident was lost: neither accepted by a relay nor still in the outbox. An older release did
/// not count them.
fn has_lost(incident: &Incident, owed: usize) -> bool {
    let waiting = incident.told.settled.map(|settled| incident.told.messages.saturating_sub(settled));
    let owed = u32::try_from(owed).unwrap_or(u32::MAX);
    // The mail about the end is the newest of an incident, so while a closed incident has any mail in the outbox, it is
    // that one.
    waiting.is_some_and(|waiting| waiting > owed) && (incident.over.is_none() || owed == 0)
}
