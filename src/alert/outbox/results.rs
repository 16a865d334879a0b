//! What the results of an attempt mean for the deliveries of one message.

use std::collections::BTreeMap;

use crate::model::delivery::{Delivery, DeliveryFailure, DeliveryResult, FailureClass, Progress};
use crate::model::policy::Policy;
use crate::model::time::Mono;

use super::incident_queue::Entry;
use super::retry::{Circumstances, delay};

impl Entry {
    /// Notes how an attempt ended for each of these recipients, and when each may be attempted again.
    pub(super) fn note(
        &mut self,
        results: &BTreeMap<String, DeliveryResult>,
        was_hurried: bool,
        policy: &Policy,
        now: Mono,
    ) {
        let mut before: BTreeMap<&String, u32> = BTreeMap::new();
        for (recipient, result) in results {
            let known = self.unsent.deliveries.get_mut(recipient);
            before.insert(recipient, known.as_ref().map_or(0, |known| known.attempts));
            match (known, result) {
                (Some(delivery), result) => note(delivery, result),
                // No recipient any more, but this one has got it.
                (None, DeliveryResult::Accepted) => {
                    let delivery = Delivery { progress: Progress::Accepted, attempts: 1, last_failure: None };
                    self.unsent.deliveries.insert(recipient.clone(), delivery);
                }
                (None, DeliveryResult::Failed(_) | DeliveryResult::Rejected(_)) => {}
            }
        }
        let is_known = self.unsent.is_known_to_somebody();
        for (recipient, result) in results {
            let attempts = before.get(recipient).copied().unwrap_or(0);
            let rest = delay(result, Circumstances { attempts, is_known, was_hurried }, policy);
            if let Some(rest) = rest {
                self.due.insert(recipient.clone(), now.plus(rest));
            }
        }
        self.schedule(now);
        if !self.unsent.is_done() {
            self.unsent.attempts = self.unsent.attempts.saturating_add(1);
            self.unsent.last_failure = gravest(results);
        }
    }

    /// Whether somebody has got it, or may have: an attempt ended without an answer to the message itself.
    pub(super) fn may_be_known(&self) -> bool {
        let may_have = |delivery: &Delivery| {
            let is_uncertain = |failure: &DeliveryFailure| failure.class == FailureClass::Uncertain;
            delivery.is_accepted() || delivery.last_failure.as_ref().is_some_and(is_uncertain)
        };
        self.unsent.deliveries.values().any(may_have)
    }
}

/// Notes how an attempt at a delivery ended.
fn note(delivery: &mut Delivery, result: &DeliveryResult) {
    delivery.attempts = delivery.attempts.saturating_add(1);
    delivery.progress = match result {
        DeliveryResult::Accepted => Progress::Accepted,
        DeliveryResult::Failed(_) => Progress::Waiting,
        DeliveryResult::Rejected(_) => Progress::Rejected,
    };
    delivery.last_failure = failure_of(result);
}

fn failure_of(result: &DeliveryResult) -> Option<DeliveryFailure> {
    match result {
        DeliveryResult::Accepted => None,
        DeliveryResult::Failed(failure) => Some(failure.clone()),
        DeliveryResult::Rejected(text) => Some(DeliveryFailure { class: FailureClass::Refused, text: text.clone() }),
    }
}

/// How an attempt failed as a whole: for those who may still get the message, else for those who are refused.
fn gravest(results: &BTreeMap<String, DeliveryResult>) -> Option<DeliveryFailure> {
    let failed = results.values().find(|result| matches!(result, DeliveryResult::Failed(_)));
    failed.and_then(failure_of).or_else(|| results.values().find_map(failure_of))
}

/// Why the other side puts a delivery off, if it does.
pub(super) fn deferral(delivery: &Delivery) -> Option<&DeliveryFailure> {
    let is_deferral = |failure: &&DeliveryFailure| failure.class == FailureClass::Deferred;
    delivery.last_failure.as_ref().filter(|_| delivery.is_waiting()).filter(is_deferral)
}

/// What counts for a recipient of an attempt that says nothing of it.
pub(super) fn no_result() -> DeliveryResult {
    let text = "the attempt ended without a result".to_owned();
    DeliveryResult::Failed(DeliveryFailure { class: FailureClass::Broken, text })
}
