//! Messages to people, and the results of sending them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::host_access::Hosts;
use super::incident::Incident;
use super::links::Links;
use super::phase::{Phases, Unseen};
use super::probe::Probe;
use super::reason::MessageReason;
use super::recipient::Rejection;
use super::recurrence::Before;
use super::replacement::Replacement;
use super::rule::Level;
use super::subject::Subject;
use super::time::{Mono, UnixTime};
use super::zone::{self, Zone};

/// Identity of a message; becomes the left part of its Message-ID, so a repeat is recognised by mail programs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(pub String);

/// One message, complete: rendering it later needs nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Identity.
    pub id: MessageId,
    /// The first message of the thread; equal to `id` for the first.
    pub thread: MessageId,
    /// Why it is sent now.
    pub reason: MessageReason,
    /// Its severity.
    pub level: Level,
    /// When it was composed.
    pub composed: UnixTime,
    /// The incident as it was then.
    pub incident: Incident,
    /// Addresses, as configured, of the subjects concerned.
    pub addresses: BTreeMap<Subject, String>,
    /// How the hosts of the cluster are reached; an older release did not say.
    #[serde(default)]
    pub hosts: Hosts,
    /// Links to read more, with their placeholders filled in.
    #[serde(default)]
    pub links: Links,
    /// The time zone whose local time is shown beside UTC.
    #[serde(default, deserialize_with = "zone::lenient", skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<Zone>,
    /// The latest probes of the subjects concerned.
    #[serde(alias = "looks")]
    pub probes: Vec<ProbeLine>,
    /// When incidents of the same kind happened before; `None` for never, as far as is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
    /// What took the place of the certificates that a resolved incident was about; empty for all others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replacements: Vec<Replacement>,
    /// Name of the vantage that sends it.
    pub vantage: String,
    /// Things the reader must know about the message itself.
    pub caveats: Vec<Caveat>,
}

/// Something about the message itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Caveat {
    /// The store did not confirm in time: after a crash this message may come twice or its end may be missing.
    NotStored,
    /// vedette started without its stored state.
    StartedEmpty,
}

/// One line of the evidence table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeLine {
    /// What was probed; of a round, the single member.
    pub probe: Probe,
    /// The address dialled, as configured.
    pub address: String,
    /// Scheduled start.
    pub at: UnixTime,
    /// How the time was spent.
    pub phases: Phases,
    /// One-line summary of what was seen (`HTTP 200`, `leader 8e9e…, term 3`), or why nothing was.
    pub outcome: Result<String, Unseen>,
    /// Whether what was seen is as it should be; messages of 0.1 did not say.
    #[serde(default = "good")]
    pub good: bool,
}

/// A message on its way to one channel. The outbox is made of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its content.
    pub message: Message,
    /// Attempts that have ended.
    pub attempts: u32,
    /// How the last attempt failed.
    pub last_failure: Option<DeliveryFailure>,
    /// Recipients for whom a server has accepted it: mail addresses without display names. It is never sent to them
    /// again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub served: BTreeSet<String>,
    /// Recipients for whom a server refused it for good. It is not offered to them again while others wait for it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub refused: BTreeSet<String>,
    /// Refused recipients that the mail of the latest attempt reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejections: Vec<Rejection>,
}

/// Result of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receipt {
    /// The server took responsibility for it.
    Accepted,
    /// Not now.
    Retry(DeliveryFailure),
    /// A permanent refusal. Tried again nevertheless, rarely, since a person may correct the relay.
    Rejected(DeliveryFailure),
}

/// How an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryFailure {
    /// Bounded class, a label value.
    pub class: FailureClass,
    /// One line for people, without secrets: what was being done and what the server answered.
    pub text: String,
}

/// Classes of delivery failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// No connection to the relay.
    Connect,
    /// A TLS or certificate error.
    Tls,
    /// Login refused.
    Auth,
    /// A deadline passed.
    Timeout,
    /// 4xx.
    Temporary,
    /// 5xx.
    Permanent,
    /// Anything else: a violation of the protocol, or a fault of our own.
    Other,
}

/// The oldest undelivered message and the number of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Backlog {
    /// Messages not yet accepted.
    pub waiting: usize,
    /// When the oldest of them was composed.
    pub oldest: Option<UnixTime>,
    /// When the next attempt is due.
    pub next_attempt: Option<Mono>,
    /// How the latest attempt failed.
    pub last_failure: Option<DeliveryFailure>,
}

const fn good() -> bool {
    true
}

impl ProbeLine {
    /// Whether the probe shows nothing wrong.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.good && self.outcome.is_ok()
    }
}

impl Delivery {
    /// A message that no attempt was made to send.
    #[must_use]
    pub const fn new(message: Message) -> Self {
        Self {
            message,
            attempts: 0,
            last_failure: None,
            served: BTreeSet::new(),
            refused: BTreeSet::new(),
            rejections: Vec::new(),
        }
    }
}

impl Message {
    /// Duration of the incident, once over.
    #[must_use]
    pub fn lasted(&self) -> Option<Duration> {
        self.incident.over.map(|ending| ending.at.since(self.incident.opened))
    }
}

impl FailureClass {
    /// Every class.
    pub const ALL: [Self; 7] =
        [Self::Connect, Self::Tls, Self::Auth, Self::Timeout, Self::Temporary, Self::Permanent, Self::Other];

    /// Bounded label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Auth => "auth",
            Self::Timeout => "timeout",
            Self::Temporary => "temporary",
            Self::Permanent => "permanent",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
