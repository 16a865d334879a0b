//! Attempts to deliver: which message may go now, and what its result means.

use std::collections::BTreeMap;

use crate::alert::group::settle;
use crate::alert::outbox::{Settlement, UnsentKey};
use crate::model::delivery::{DeliveryKey, DeliveryResult, FailureClass, Receipt};
use crate::model::exchange::{Action, Change};
use crate::model::incident::Incident;
use crate::model::message::{Caveat, Message};
use crate::model::outlet::Outlet;
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
    pub(super) fn may_go(&self, outlet: &Outlet, message: &Message) -> bool {
        let is_local = match outlet {
            Outlet::Mail => self.view.inventory().relay_is_local,
        };
        if is_local {
            return true;
        }
        // The loss of the vantage's network is told once, when it is over, because nothing can be sent before.
        let of_open_vantage = message.incident.parts.iter().any(|part| part.finding.rule == RuleId::F04)
            && message.reason != MessageReason::Drill
            && self.incidents.incident(&message.incident.id).is_some_and(|incident| incident.over.is_none());
        !self.view.path().is_isolated() && !of_open_vantage
    }

    pub(super) fn send_due(&mut self, now: Now) {
        let policy = self.view.policy().clone();
        loop {
            let mut outbox = std::mem::take(&mut self.outbox);
            let next = outbox.pop(&policy, now.mono, |outlet, message| self.may_go(outlet, message), mark_unstored);
            self.outbox = outbox;
            let Some(mut attempt) = next else { return };
            self.report_refused(&mut attempt);
            self.actions.push_back(Action::Send(Box::new(attempt)));
        }
    }

    /// An attempt ended. Each message is settled by itself in each outlet.
    pub(super) fn delivered(&mut self, receipts: Vec<Receipt>, now: Now) {
        let mut attempts: BTreeMap<UnsentKey, BTreeMap<String, DeliveryResult>> = BTreeMap::new();
        for Receipt { delivery: DeliveryKey { message, outlet, recipient }, result } in receipts {
            attempts.entry(UnsentKey { message, outlet }).or_default().insert(recipient, result);
        }
        for (key, results) in attempts {
            self.note_recipients(&key, &results, now);
            self.attempted(&key, results, now);
        }
        self.is_snapshot_stale = true;
    }

    fn attempted(&mut self, key: &UnsentKey, results: BTreeMap<String, DeliveryResult>, now: Now) {
        let policy = self.view.policy().clone();
        let failure = results.values().find_map(|result| match result {
            DeliveryResult::Failed(failure) => Some(failure.class),
            DeliveryResult::Accepted | DeliveryResult::Rejected(_) => None,
        });
        match self.outbox.settle(key, results, &policy, now.mono) {
            Settlement::Accepted { unsent, replaced } => {
                self.counters.accepted += 1;
                self.note_settled(&unsent.message.incident);
                self.note_unsent_over(key.clone(), true);
                replaced.into_iter().for_each(|key| self.note_unsent_over(key, false));
            }
            Settlement::Owed(unsent) => {
                let class = unsent.last_failure.as_ref().map(|failure| failure.class);
                self.count_failure(class);
                let incident = unsent.message.incident.id.clone();
                self.changes.push(Change::Owed(unsent));
                self.collapse(&incident, now);
            }
            Settlement::Unknown => self.count_failure(failure),
        }
    }

    fn count_failure(&mut self, class: Option<FailureClass>) {
        if let Some(class) = class {
            *self.counters.delivery_failures.entry(class).or_default() += 1;
        }
    }

    /// A message is owed through an outlet no longer.
    pub(super) fn note_unsent_over(&mut self, UnsentKey { message, outlet }: UnsentKey, accepted: bool) {
        self.changes.push(Change::Settled { message, outlet, accepted });
    }

    /// A relay has accepted a message of an incident: those before it have left the outbox.
    pub(super) fn note_settled(&mut self, told: &Incident) {
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
