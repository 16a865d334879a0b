//! Attempts to deliver: which message may go now, and what its result means.

use crate::alert::group::settle;
use crate::alert::outbox::Settlement;
use crate::model::exchange::{Action, Change};
use crate::model::incident::Incident;
use crate::model::message::{Caveat, Message, MessageId, Receipt};
use crate::model::reason::MessageReason;
use crate::model::rule::RuleId;
use crate::model::time::Now;

use super::Engine;

/// Notes in a message that the store did not confirm it in time.
pub(super) fn mark_unstored(message: &mut Message) {
    if !message.caveats.contains(&Caveat::NotStored) {
        message.caveats.push(Caveat::NotStored);
    }
}

impl Engine {
    /// Whether a message may be attempted now.
    pub(super) fn may_go(&self, message: &Message) -> bool {
        if self.view.inventory().relay_is_local {
            return true;
        }
        // The loss of the vantage's network is mailed once, when it is over, because no mail can be sent before.
        let of_open_vantage = message.incident.parts.iter().any(|part| part.finding.rule == RuleId::F04)
            && message.reason != MessageReason::Drill
            && self.incidents.incident(&message.incident.id).is_some_and(|incident| incident.over.is_none());
        !self.view.path().is_isolated() && !of_open_vantage
    }

    pub(super) fn send_due(&mut self, now: Now) {
        let policy = self.view.policy().clone();
        loop {
            let mut outbox = std::mem::take(&mut self.outbox);
            let next = outbox.pop(&policy, now.mono, |message| self.may_go(message), mark_unstored);
            self.outbox = outbox;
            let Some(mut delivery) = next else { return };
            self.notify_refused(&mut delivery);
            self.actions.push_back(Action::Send(Box::new(delivery)));
        }
    }

    pub(super) fn delivered(&mut self, message: &MessageId, receipt: Receipt, now: Now) {
        if let Receipt::Retry(failure) | Receipt::Rejected(failure) = &receipt {
            *self.counters.delivery_failures.entry(failure.class).or_default() += 1;
        }
        let policy = self.view.policy().clone();
        match self.outbox.settle(message, receipt, &policy, now.mono) {
            Settlement::Accepted { delivery, replaced } => {
                self.counters.accepted += 1;
                self.note_settled(&delivery.message.incident);
                self.changes.push(Change::Settled { message: message.clone(), accepted: true });
                let replaced = replaced.into_iter().map(|message| Change::Settled { message, accepted: false });
                self.changes.extend(replaced);
            }
            Settlement::Owed(delivery) => {
                let incident = delivery.message.incident.id.clone();
                self.changes.push(Change::Owed(delivery));
                self.collapse(&incident, now);
            }
            Settlement::Unknown => {}
        }
        self.is_snapshot_stale = true;
    }

    /// A relay has accepted a message of an incident: those before it have left the outbox.
    fn note_settled(&mut self, told: &Incident) {
        let owed = self.outbox.owes(&told.id);
        self.incidents.note_settled(&told.id, owed);
        if self.incidents.incident(&told.id).is_some() {
            self.note_incident(&told.id);
        } else {
            // Over for so long that only the store has it: as it was when the message was composed.
            let mut told = told.clone();
            settle(&mut told, owed);
            self.changes.push(Change::Incident(Box::new(told)));
        }
    }
}
