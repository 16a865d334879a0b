//! Recipients who are refused for good, and whether that has been reported; and who the recipients are after a reload.

use std::collections::BTreeMap;

use crate::alert::outbox::UnsentKey;
use crate::alert::route::Routing;
use crate::model::delivery::{Attempt, DeliveryResult};
use crate::model::exchange::Change;
use crate::model::recipient::Rejection;
use crate::model::time::Now;

use super::Engine;

impl Engine {
    /// Records what an attempt says of single recipients, before the attempt itself is settled.
    pub(super) fn note_recipients(
        &mut self,
        UnsentKey { outlet, message }: &UnsentKey,
        results: &BTreeMap<String, DeliveryResult>,
        now: Now,
    ) {
        let mut reported = self.outbox.reported(&UnsentKey { outlet: outlet.clone(), message: message.clone() });
        if !results.values().any(|result| *result == DeliveryResult::Accepted) {
            reported.clear();
        }
        for rejection in &reported {
            let known = self.refused.told(outlet, rejection).cloned();
            self.changes.extend(known.map(Change::Refused));
        }
        let configured = Routing::of(self.view.inventory()).recipients(outlet);
        for (recipient, result) in results {
            match result {
                DeliveryResult::Accepted if self.refused.end(outlet, recipient) => {
                    self.changes.push(Change::RefusedOver { outlet: outlet.clone(), recipient: recipient.clone() });
                }
                DeliveryResult::Accepted | DeliveryResult::Failed(_) => {}
                DeliveryResult::Rejected(text) => {
                    self.counters.recipient_refusals += 1;
                    // A recipient who is no longer configured is not reported.
                    if configured.contains(recipient) {
                        let rejection = Rejection { recipient: recipient.clone(), text: text.clone() };
                        let known = self.refused.note(outlet, &rejection, now.wall).clone();
                        self.changes.push(Change::Refused(known));
                    }
                }
            }
        }
    }

    /// Adds the refused recipients that no message has reported yet to the next one.
    pub(super) fn report_refused(&mut self, attempt: &mut Attempt) {
        attempt.rejections = self.refused.untold(&attempt.outlet);
        let key = UnsentKey { message: attempt.message.id.clone(), outlet: attempt.outlet.clone() };
        self.outbox.note_reported(&key, &attempt.rejections);
    }

    /// Forgets refused recipients who are no longer configured.
    pub(super) fn forget_recipients(&mut self) {
        let gone = self.refused.keep(&Routing::of(self.view.inventory()).everybody());
        self.changes.extend(gone.into_iter().map(|(outlet, recipient)| Change::RefusedOver { outlet, recipient }));
    }

    /// Unsent messages go to whoever is configured now.
    pub(super) fn readdress(&mut self, now: Now) {
        let routing = Routing::of(self.view.inventory());
        let readdressed = self.outbox.readdress(|outlet, _| routing.recipients(outlet), now.mono);
        self.changes.extend(readdressed.owed.into_iter().map(|unsent| Change::Owed(Box::new(unsent))));
        for unsent in readdressed.done {
            self.note_unsent_over(UnsentKey::of(&unsent), unsent.is_known_to_somebody());
            self.note_settled(&unsent.message.incident);
        }
    }
}
