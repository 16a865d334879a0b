//! The results for single recipients: whose mail was accepted, who is refused for good, and whether that has been
//! reported.

use crate::model::exchange::Change;
use crate::model::message::{Delivery, MessageId};
use crate::model::recipient::{Recipients, Rejection};
use crate::model::time::Now;

use super::Engine;

impl Engine {
    /// Records the results of a delivery attempt for single recipients, before the attempt itself is settled.
    pub(super) fn note_recipients(&mut self, message: &MessageId, recipients: Recipients, now: Now) {
        let Recipients { served, refused } = recipients;
        let mut told: Vec<Rejection> = Vec::new();
        self.outbox.amend(message, |owed: &mut Delivery| {
            if !served.is_empty() {
                told = std::mem::take(&mut owed.rejections);
            }
            owed.served.extend(served.iter().cloned());
            owed.refused.extend(refused.iter().map(|rejection| rejection.recipient.clone()));
        });
        for rejection in &told {
            let known = self.refused.told(rejection).cloned();
            self.changes.extend(known.map(Change::Refused));
        }
        for recipient in served {
            if self.refused.end(&recipient) {
                self.changes.push(Change::RefusedOver(recipient));
            }
        }
        for rejection in &refused {
            self.counters.recipient_refusals += 1;
            // A recipient who is no longer configured is not reported.
            if self.view.inventory().recipients.contains(&rejection.recipient) {
                let known = self.refused.note(rejection, now.wall).clone();
                self.changes.push(Change::Refused(known));
            }
        }
    }

    /// Adds the refused recipients that no mail has reported yet to the next mail.
    pub(super) fn notify_refused(&mut self, delivery: &mut Delivery) {
        delivery.rejections = self.refused.untold();
        self.outbox.amend(&delivery.message.id, |owed| owed.rejections.clone_from(&delivery.rejections));
    }

    /// Forgets refused recipients who are no longer configured.
    pub(super) fn forget_recipients(&mut self) {
        let gone = self.refused.keep(&self.view.inventory().recipients);
        self.changes.extend(gone.into_iter().map(Change::RefusedOver));
    }
}
