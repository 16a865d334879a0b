//! Recipients who are refused for good, and which of them the next accepted message has to report.
//!
//! Bounded by the configured recipients; others are forgotten.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::outlet::Outlet;
use crate::model::recipient::{RefusedRecipient, Rejection};
use crate::model::time::UnixTime;

/// All of them, by outlet and recipient.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RefusedRecipients {
    known: BTreeMap<(Outlet, String), RefusedRecipient>,
}

impl RefusedRecipients {
    /// Records a rejection at `now`. It is reported again only when the other side's text changes.
    pub fn note(&mut self, outlet: &Outlet, rejection: &Rejection, now: UnixTime) -> &RefusedRecipient {
        let key = (outlet.clone(), rejection.recipient.clone());
        let known = self.known.entry(key).or_insert_with(|| RefusedRecipient {
            outlet: outlet.clone(),
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
        let key = (recipient.outlet.clone(), recipient.rejection.recipient.clone());
        self.known.entry(key).or_insert(recipient);
    }

    /// A message for `recipient` was accepted. Returns whether the recipient was refused before.
    pub fn end(&mut self, outlet: &Outlet, recipient: &str) -> bool {
        self.known.remove(&(outlet.clone(), recipient.to_owned())).is_some()
    }

    /// Forgets everybody but the recipients of each outlet. Returns who was forgotten.
    pub fn keep(&mut self, recipients: &BTreeMap<Outlet, BTreeSet<String>>) -> Vec<(Outlet, String)> {
        let is_gone =
            |(outlet, who): &(Outlet, String)| recipients.get(outlet).is_none_or(|known| !known.contains(who));
        let gone: Vec<(Outlet, String)> = self.known.keys().filter(|known| is_gone(known)).cloned().collect();
        for key in &gone {
            self.known.remove(key);
        }
        gone
    }

    /// A message that reports `rejection` was accepted for somebody.
    pub fn told(&mut self, outlet: &Outlet, rejection: &Rejection) -> Option<&RefusedRecipient> {
        let known = self.known.get_mut(&(outlet.clone(), rejection.recipient.clone()))?;
        if known.rejection != *rejection {
            return None;
        }
        known.is_told = true;
        Some(known)
    }

    /// Rejections of an outlet that no accepted message has reported yet.
    #[must_use]
    pub fn untold(&self, outlet: &Outlet) -> Vec<Rejection> {
        let untold = self.known.values().filter(|known| known.outlet == *outlet && !known.is_told);
        untold.map(|known| known.rejection.clone()).collect()
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &RefusedRecipient> {
        self.known.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: Outlet = Outlet::Mail;

    #[test]
    fn a_refusal_is_told_once_until_the_relay_says_something_else() {
        let rejection = |text: &str| Rejection { recipient: "boss@example.org".into(), text: text.into() };
        let (gone, full) = (rejection("550 gone"), rejection("552 full"));
        let mut refused = RefusedRecipients::default();

        refused.note(&MAIL, &gone, UnixTime::from_secs(1));
        assert_eq!(refused.untold(&MAIL), std::slice::from_ref(&gone));
        assert!(refused.told(&MAIL, &full).is_none(), "what was told is not what it says");
        refused.told(&MAIL, &gone);
        refused.note(&MAIL, &gone, UnixTime::from_secs(2));
        assert_eq!(refused.untold(&MAIL), []);
        refused.note(&MAIL, &full, UnixTime::from_secs(3));
        assert_eq!(refused.untold(&MAIL), [full]);
        assert_eq!(refused.all().map(|known| known.since).collect::<Vec<_>>(), [UnixTime::from_secs(1)]);

        assert!(refused.end(&MAIL, "boss@example.org"));
        assert!(!refused.end(&MAIL, "boss@example.org"));
        assert_eq!(refused.untold(&MAIL), []);
    }

    #[test]
    fn whoever_is_no_recipient_any_more_is_forgotten() {
        let mut refused = RefusedRecipients::default();
        for recipient in ["a@x", "b@x"] {
            refused.note(&MAIL, &Rejection { recipient: recipient.into(), text: "550".into() }, UnixTime::from_secs(1));
        }

        let left = BTreeMap::from([(MAIL, BTreeSet::from(["b@x".to_owned()]))]);
        assert_eq!(refused.keep(&left), [(MAIL, "a@x".to_owned())]);
        assert_eq!(refused.all().count(), 1);
    }
}
