//! Messages to people: complete, so that each can be rendered at any time later.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::host_access::Hosts;
use super::incident::Incident;
use super::links::Links;
use super::phase::{Phases, Unseen};
use super::probe::Probe;
use super::reason::MessageReason;
use super::recurrence::Before;
use super::replacement::Replacement;
use super::rule::Level;
use super::subject::Subject;
use super::time::UnixTime;
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

impl Message {
    /// Duration of the incident, once over.
    #[must_use]
    pub fn lasted(&self) -> Option<Duration> {
        self.incident.over.map(|ending| ending.at.since(self.incident.opened))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
