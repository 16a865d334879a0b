//! Which mails are due about incidents, and how each gets into the outbox.

use std::sync::Arc;

use crate::alert::group::Notification;
use crate::alert::outbox::UnsentKey;
use crate::alert::route::Routing;
use crate::model::delivery::Unsent;
use crate::model::exchange::Change;
use crate::model::incident::{Alarm, IncidentId};
use crate::model::reason::MessageReason;
use crate::model::time::Now;
use crate::model::verdict::{Finding, FindingKey};

use super::Engine;

impl Engine {
    /// Assigns every firing alarm to an incident, and composes the mails that are due.
    pub(super) fn notify(&mut self, now: Now) {
        self.assign_changed(now);
        let is_isolated = self.view.path().is_isolated();
        let lifecycle = &self.lifecycle;
        let eases = |key: &FindingKey| lifecycle.alarm(key).is_some_and(Alarm::is_clearing);
        let due = self.incidents.due(self.view.policy(), now.mono, is_isolated, eases);
        for notification in due {
            self.say(Some(notification), now);
        }
        if !is_isolated {
            self.release_withheld(now);
            self.say_dropped(now);
        }
    }

    /// Composes a mail and puts it into the outbox.
    pub(super) fn say(&mut self, notification: Option<Notification>, now: Now) {
        let Some(Notification { incident: id, reason }) = notification else { return };
        let routing = Routing::of(self.view.inventory());
        if routing == Routing::default() {
            return;
        }
        let current: Vec<Finding> = self.lifecycle.spoken_by(&id).map(|alarm| alarm.finding.clone()).collect();
        for finding in &current {
            self.incidents.refresh(&id, finding);
        }
        let Some(recipients) = self.recipients_of(&id, reason, &routing, now) else { return };
        let Some(number) = self.incidents.note_told(&id, reason, now.wall) else { return };
        let Some(incident) = self.incidents.incident(&id).map(Arc::clone) else { return };
        let message = self.compose(&incident, number, reason, now);
        self.note_incident(&id);
        let until = now.mono.plus(self.view.policy().persist_wait);
        for (outlet, recipients) in recipients {
            let unsent = Unsent::new(message.clone(), outlet, recipients);
            self.changes.push(Change::Owed(Box::new(unsent.clone())));
            if let Some(dropped) = self.outbox.owe(unsent, self.sequence + 1, until, now.mono) {
                self.counters.outbox_dropped += 1;
                self.dropped.insert(dropped.message.incident.id.clone());
                self.note_unsent_over(UnsentKey::of(&dropped), false);
            }
        }
        self.is_snapshot_stale = true;
    }

    /// An incident that began and ended before a mail could be sent becomes one message that says so.
    pub(super) fn collapse(&mut self, id: &IncidentId, now: Now) {
        let is_over = self.incidents.incident(id).is_some_and(|incident| incident.over.is_some());
        if !is_over || !self.outbox.is_untold(id) {
            return;
        }
        for key in self.outbox.withdraw(id) {
            self.note_unsent_over(key, false);
        }
        // No relay accepted them, so they are not settled: if this one is lost, it is composed again as what it is.
        self.say(Some(Notification { incident: id.clone(), reason: MessageReason::HappenedWhileMute }), now);
    }

    /// Composes again, now that there is room, the mails that the outbox had no room for.
    fn say_dropped(&mut self, now: Now) {
        let policy = Arc::clone(self.view.policy());
        while self.outbox.has_room()
            && let Some(id) = self.dropped.pop_first()
        {
            let said = self.incidents.retract(&id, self.outbox.owes(&id), &policy, now.mono);
            self.note_incident(&id);
            self.say(said, now);
        }
    }

    pub(super) fn is_told(&self, id: &IncidentId) -> bool {
        self.incidents.incident(id).is_some_and(|incident| incident.is_told())
    }
}
