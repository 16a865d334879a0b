//! Deliveries: one message through one outlet to one recipient, the attempts at them, and what became of each.
//!
//! Speaks the language of no outlet: what a relay or a web server answers becomes one of these classes in `notify`, and
//! travels as text for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::message::{Message, MessageId};
use super::outlet::Outlet;
use super::recipient::Rejection;
use super::time::{Mono, UnixTime};

/// Identity of one delivery.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeliveryKey {
    /// What is delivered.
    pub message: MessageId,
    /// By which way.
    pub outlet: Outlet,
    /// To whom, as the outlet addresses people: of mail the address without display name.
    pub recipient: String,
}

/// How far one delivery is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Delivery {
    /// Whether somebody has taken responsibility for it.
    pub progress: Progress,
    /// Attempts that have ended.
    pub attempts: u32,
    /// How the last attempt failed; `None` before the first and once accepted.
    pub last_failure: Option<DeliveryFailure>,
}

/// Whether a delivery is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// It is to be attempted.
    #[default]
    Waiting,
    /// The other side took responsibility for it; it is never attempted again.
    Accepted,
    /// The recipient is refused for good. It is attempted again only while nobody else has got or will get the message,
    /// since then the other side may be at fault, and may be corrected.
    Rejected,
}

/// A message that is not delivered to all recipients of one outlet. The outbox is made of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsent {
    /// Its content.
    pub message: Message,
    /// By which way.
    pub outlet: Outlet,
    /// Attempts that have ended without being the last.
    pub attempts: u32,
    /// How the latest of them failed.
    pub last_failure: Option<DeliveryFailure>,
    /// Its deliveries by recipient.
    pub deliveries: BTreeMap<String, Delivery>,
}

/// One attempt: a message through one outlet to one or more recipients at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its content.
    pub message: Message,
    /// By which way.
    pub outlet: Outlet,
    /// To whom.
    pub recipients: BTreeSet<String>,
    /// Earlier attempts.
    pub attempts: u32,
    /// How the latest of them failed.
    pub last_failure: Option<DeliveryFailure>,
    /// Recipients refused for good whom the message reports to the others.
    pub rejections: Vec<Rejection>,
}

/// What became of one delivery in one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Which.
    pub delivery: DeliveryKey,
    /// How it ended.
    pub result: DeliveryResult,
}

/// How one delivery ended in one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryResult {
    /// The other side took responsibility for it.
    Accepted,
    /// It did not, and not because of this recipient.
    Failed(DeliveryFailure),
    /// It refuses this recipient for good. The text is its own.
    Rejected(String),
}

/// How an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryFailure {
    /// Bounded class, a label value: it decides what happens next.
    pub class: FailureClass,
    /// One line for people, without secrets: what was being done and what the other side answered.
    pub text: String,
}

/// What a failure means for the next attempt. The text forms are label values of metrics and stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FailureClass {
    /// No connection to the other side.
    #[serde(rename = "connect")]
    Unreachable,
    /// It cannot be trusted: no TLS, or a certificate nobody vouches for.
    #[serde(rename = "tls")]
    Untrusted,
    /// It refuses our credential, or the credential cannot be read.
    #[serde(rename = "auth")]
    CredentialRefused,
    /// No answer in time, and the message was not handed over.
    #[serde(rename = "timeout")]
    TimedOut,
    /// It asks to be tried again later.
    #[serde(rename = "temporary")]
    Deferred,
    /// It refuses the message for good, until a person corrects something.
    #[serde(rename = "permanent")]
    Refused,
    /// The message was handed over and nobody answered: it may have been accepted. Only the same message may be sent
    /// again.
    #[serde(rename = "uncertain")]
    Uncertain,
    /// An answer that makes no sense, or a fault of our own.
    #[serde(rename = "other")]
    Broken,
}

/// What waits to be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Backlog {
    /// Messages not yet accepted for every recipient.
    pub waiting: usize,
    /// When the oldest of those was composed that nobody has got.
    pub oldest: Option<UnixTime>,
    /// When the next attempt is due.
    pub next_attempt: Option<Mono>,
    /// How the latest attempt failed.
    pub last_failure: Option<DeliveryFailure>,
}

impl Progress {
    /// Stable text form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
        }
    }
}

impl Delivery {
    /// Whether it is to be attempted as long as others are.
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        matches!(self.progress, Progress::Waiting)
    }

    /// Whether the other side has taken responsibility for it.
    #[must_use]
    pub const fn is_accepted(&self) -> bool {
        matches!(self.progress, Progress::Accepted)
    }
}

impl Unsent {
    /// A message that no attempt was made to send.
    #[must_use]
    pub fn new(message: Message, outlet: Outlet, recipients: BTreeSet<String>) -> Self {
        let deliveries = recipients.into_iter().map(|recipient| (recipient, Delivery::default())).collect();
        Self { message, outlet, attempts: 0, last_failure: None, deliveries }
    }

    /// Whether somebody has got it.
    #[must_use]
    pub fn is_known_to_somebody(&self) -> bool {
        self.deliveries.values().any(Delivery::is_accepted)
    }

    /// Whether nothing is left to attempt: all recipients have got it, or some have and the others are refused for
    /// good, or there is none.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let nobody_waits = !self.deliveries.values().any(Delivery::is_waiting);
        nobody_waits && (self.is_known_to_somebody() || self.deliveries.is_empty())
    }

    /// Addresses it to `recipients` from now on. Who has got it stays known; whoever else is no recipient any more is
    /// dropped.
    pub fn readdress(&mut self, recipients: &BTreeSet<String>) {
        self.deliveries.retain(|recipient, delivery| delivery.is_accepted() || recipients.contains(recipient));
        for recipient in recipients {
            self.deliveries.entry(recipient.clone()).or_default();
        }
    }

    /// The next attempt, to `recipients`.
    #[must_use]
    pub fn attempt(&self, recipients: BTreeSet<String>, rejections: Vec<Rejection>) -> Attempt {
        Attempt {
            message: self.message.clone(),
            outlet: self.outlet.clone(),
            recipients,
            attempts: self.attempts,
            last_failure: self.last_failure.clone(),
            rejections,
        }
    }
}

impl Attempt {
    /// The first attempt to send a message.
    #[must_use]
    pub const fn first(message: Message, outlet: Outlet, recipients: BTreeSet<String>) -> Self {
        Self { message, outlet, recipients, attempts: 0, last_failure: None, rejections: Vec::new() }
    }

    /// The delivery to one of its recipients.
    #[must_use]
    pub fn delivery(&self, recipient: &str) -> DeliveryKey {
        DeliveryKey { message: self.message.id.clone(), outlet: self.outlet.clone(), recipient: recipient.to_owned() }
    }

    /// The receipts of an attempt that ended in one way for everybody.
    #[must_use]
    pub fn all(&self, result: &DeliveryResult) -> Vec<Receipt> {
        let receipt = |recipient: &String| Receipt { delivery: self.delivery(recipient), result: result.clone() };
        self.recipients.iter().map(receipt).collect()
    }
}

impl FailureClass {
    /// Every class.
    pub const ALL: [Self; 8] = [
        Self::Unreachable,
        Self::Untrusted,
        Self::CredentialRefused,
        Self::TimedOut,
        Self::Deferred,
        Self::Refused,
        Self::Uncertain,
        Self::Broken,
    ];

    /// Bounded label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "connect",
            Self::Untrusted => "tls",
            Self::CredentialRefused => "auth",
            Self::TimedOut => "timeout",
            Self::Deferred => "temporary",
            Self::Refused => "permanent",
            Self::Uncertain => "uncertain",
            Self::Broken => "other",
        }
    }
}

impl fmt::Display for DeliveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message, outlet, recipient } = self;
        write!(f, "{message} {outlet} {recipient}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_stored_under_the_name_that_metrics_show() {
        for class in FailureClass::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), serde_json::Value::from(class.as_str()));
        }
    }
}
