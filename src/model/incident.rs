//! Alarms (one finding each) and incidents (what one mail thread is about).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rule::Level;
use super::silence::SilenceEffect;
use super::subject::Name;
use super::time::UnixTime;
use super::verdict::{ExpiryThreshold, Finding, FindingKey};

/// Stable identity of an incident: hash of cluster, rule, subject and first bad probe.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IncidentId(pub String);

/// One finding and its stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// What is wrong, as last evaluated as bad.
    pub finding: Finding,
    /// Its stage.
    pub stage: Stage,
    /// The incident that it belongs to; `None` until it fires.
    pub incident: Option<IncidentId>,
}

/// Stages of an alarm. Each carries the times that belong to it and no others; an alarm that has ended is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "stage")]
pub enum Stage {
    /// Confirmed, waiting out its hold.
    Pending {
        /// When it was confirmed.
        since: UnixTime,
        /// Time it has been observed bad; it does not grow while no probe was possible.
        held: Duration,
    },
    /// Its hold is over.
    Firing {
        /// When the hold ended.
        since: UnixTime,
    },
    /// Good probes come in; not yet for long enough.
    Clearing {
        /// When the hold ended.
        since: UnixTime,
        /// Scheduled start of the first good probe.
        good_since: UnixTime,
        /// Time it has been observed good.
        held: Duration,
    },
}

/// What one mail thread is about: a root finding and everything folded into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Identity.
    pub id: IncidentId,
    /// The cluster; `None` for an incident of the vantage.
    pub cluster: Option<Name>,
    /// Wall time of the scheduled start of the first bad probe.
    pub opened: UnixTime,
    /// The finding the thread is named after: chosen anew until the first mail, constant afterwards.
    pub headline: Finding,
    /// The deepest cause known, when it is not the headline.
    pub cause: Option<Finding>,
    /// Everything that belongs to it, the headline and cause included, each with when it ended.
    pub parts: Vec<Part>,
    /// The highest severity it has reached.
    pub level: Level,
    /// What has been mailed about it so far.
    pub told: Told,
    /// The latest silence that withheld mail about it; `None` when there was none.
    #[serde(default)]
    pub silenced: Option<SilenceEffect>,
    /// End, once everything in it has recovered.
    pub over: Option<Ending>,
}

/// One finding inside an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The finding, as last evaluated as bad.
    pub finding: Finding,
    /// When it recovered; `None` while it is ongoing.
    pub over: Option<UnixTime>,
    /// What has been mailed about it.
    #[serde(default)]
    pub said: Said,
    /// Whether another part explains it. A part that no other explains was only there at the same time. An older
    /// release did not distinguish the two.
    #[serde(default = "unknown_follows")]
    pub follows: bool,
}

/// What has been mailed about one part of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Said {
    /// The highest severity mailed about it; `None` while only its cause was mailed.
    pub level: Option<Level>,
    /// The latest expiry threshold mailed about it.
    pub band: Option<ExpiryThreshold>,
    /// Whether a mail said who does it.
    #[serde(default)]
    pub names_culprit: bool,
}

/// What has been mailed about an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Told {
    /// Messages composed so far; numbers the next one.
    pub messages: u32,
    /// When the last one was composed.
    pub last: Option<UnixTime>,
    /// The highest severity mailed.
    pub level: Option<Level>,
    /// The latest expiry threshold mailed.
    #[serde(default)]
    pub band: Option<ExpiryThreshold>,
    /// Messages that have left the outbox: accepted by a relay, or older than one that was. Each of the others is in
    /// the outbox, replaced by one that is, or lost with the store. `None` where a release wrote it that did not count
    /// them.
    #[serde(default)]
    pub settled: Option<u32>,
}

/// How an incident ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// Scheduled start of the first good probe of the part that recovered last.
    pub at: UnixTime,
    /// Whether it ended because its subject is no longer watched, rather than by good probes.
    pub withdrawn: bool,
}

impl Alarm {
    /// Identity of the alarm.
    #[must_use]
    pub fn key(&self) -> FindingKey {
        self.finding.key()
    }

    /// Whether its hold is over, clearing included.
    #[must_use]
    pub const fn is_firing(&self) -> bool {
        matches!(self.stage, Stage::Firing { .. } | Stage::Clearing { .. })
    }

    /// Whether its latest probes were good, though not enough of them.
    #[must_use]
    pub const fn is_clearing(&self) -> bool {
        matches!(self.stage, Stage::Clearing { .. })
    }
}

impl Part {
    /// An ongoing finding that no mail has reported.
    #[must_use]
    pub fn of(finding: Finding) -> Self {
        Self { finding, over: None, said: Said::default(), follows: false }
    }
}

impl Incident {
    /// The finding that names the cause: the deepest known.
    #[must_use]
    pub fn root(&self) -> &Finding {
        self.cause.as_ref().unwrap_or(&self.headline)
    }

    /// Whether a mail about it was sent.
    #[must_use]
    pub const fn is_told(&self) -> bool {
        self.told.level.is_some()
    }

    /// What names neither the thread nor its cause, and whether it follows from something else in the incident.
    pub fn others(&self, follows: bool) -> impl Iterator<Item = &Part> {
        let (headline, root) = (self.headline.key(), self.root().key());
        self.parts.iter().filter(move |part| {
            let key = part.finding.key();
            part.follows == follows && key != headline && key != root
        })
    }

    /// Findings that are ongoing.
    pub fn ongoing(&self) -> impl Iterator<Item = &Finding> {
        self.parts.iter().filter(|part| part.over.is_none()).map(|part| &part.finding)
    }
}

const fn unknown_follows() -> bool {
    true
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
