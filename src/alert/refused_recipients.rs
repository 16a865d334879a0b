//! Recipients whom the relay refuses for good, and which of them the next accepted mail has to report.
//!
//! Bounded by the configured recipients; others are forgotten.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::recipient::{RefusedRecipient, Rejection};
use crate::model::time::UnixTime;

/// All of them, by mail address.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RefusedRecipients {
    by_address: BTreeMap<String, RefusedRecipient>,
}

impl RefusedRecipients {
    /// Records a rejection at `now`. It is reported again only when the relay's text changes.
    pub fn note(&mut self, rejection: &Rejection, now: UnixTime) -> &RefusedRecipient {
        let known = self.by_address.entry(rejection.recipient.clone()).or_insert_with(|| RefusedRecipient {
            rejection: rejection.clone(),
            since: now,
            is_told: false,
        });
        if known.rejection != *rejection {
            known.rejection = rejection.clone();
            known.is_told = false;
        }
        known
    }

    /// Restores what was known before a restart.
    pub fn restore(&mut self, recipient: RefusedRecipient) {
        self.by_address.entry(recipient.rejection.recipient.clone()).or_insert(recipient);
    }

    /// A mail for `recipient` was accepted. Returns whether the recipient was refused before.
    pub fn end(&mut self, recipient: &str) -> bool {
        self.by_address.remove(recipient).is_some()
    }

    /// Forgets everybody but `recipients`. Returns who was forgotten.
    pub fn keep(&mut self, recipients: &BTreeSet<String>) -> Vec<String> {
        let gone: Vec<String> = self.by_address.keys().filter(|known| !recipients.contains(*known)).cloned().collect();
        for address in &gone {
            self.by_address.remove(address);
        }
        gone
    }

    /// A mail that reports `rejection` was accepted for somebody.
    pub fn told(&mut self, rejection: &Rejection) -> Option<&RefusedRecipient> {
        let known = self.by_address.get_mut(&rejection.recipient).filter(|known| known.rejection == *rejection)?;
        known.is_told = true;
        Some(known)
    }

    /// Rejections that no accepted mail has reported yet.
    #[must_use]
    pub fn untold(&self) -> Vec<Rejection> {
        self.by_address.values().filter(|known| !known.is_told).map(|known| known.rejection.clone()).collect()
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &RefusedRecipient> {
        self.by_address.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_once_until_the_relay_says_something_else() {
        let rejection = |text: &str| Rejection { recipient: "boss@example.org".into(), text: text.into() };
        let (gone, full) = (rejection("550 gone"), rejection("552 full"));
        let mut refused = RefusedRecipients::default();

        refused.note(&gone, UnixTime::from_secs(1));
        assert_eq!(refused.untold(), std::slice::from_ref(&gone));
        assert!(refused.told(&full).is_none(), "what was told is not what it says");
        refused.told(&gone);
        refused.note(&gone, UnixTime::from_secs(2));
        assert_eq!(refused.untold(), []);
        refused.note(&full, UnixTime::from_secs(3));
        assert_eq!(refused.untold(), [full]);
        assert_eq!(refused.all().map(|known| known.since).collect::<Vec<_>>(), [UnixTime::from_secs(1)]);

        assert!(refused.end("boss@example.org"));
        assert!(!refused.end("boss@example.org"));
        assert_eq!(refused.untold(), []);
    }

    #[test]
    fn whoever_is_no_recipient_any_more_is_forgotten() {
        let mut refused = RefusedRecipients::default();
        for recipient in ["a@x", "b@x"] {
            refused.note(&Rejection { recipient: recipient.into(), text: "550".into() }, UnixTime::from_secs(1));
        }

        assert_eq!(refused.keep(&BTreeSet::from(["b@x".to_owned()])), ["a@x"]);
        assert_eq!(refused.all().count(), 1);
    }
}
