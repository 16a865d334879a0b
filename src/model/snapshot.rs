//! An immutable snapshot of what the engine knows, for everything that only reads: page, metrics, heartbeat, CLI.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::certificate::Served;
use super::certificate_files::FilesReading;
use super::cost::Rate;
use super::delivery::{Backlog, FailureClass};
use super::etcd::MemberFacts;
use super::flag_differences::ZpageFacts;
use super::flat_map::FlatMap;
use super::flow_control::LoadFacts;
use super::incident::{Alarm, Incident};
use super::inventory::Inventory;
use super::observation::Observation;
use super::policy::Policy;
use super::probe::Probe;
use super::recipient::{DeferredRecipient, RefusedRecipient};
use super::reload::Configured;
use super::rule::Level;
use super::silence::Silence;
use super::subject::{Name, Subject};
use super::tally::Tally;
use super::time::{Now, UnixTime};

/// The snapshot. Unchanged parts are shared with the one before.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// When it was taken.
    pub at: Now,
    /// When the engine started.
    pub started: Now,
    /// What should exist.
    pub inventory: Arc<Inventory>,
    /// The numbers that decide.
    pub policy: Arc<Policy>,
    /// Each cluster by name.
    pub clusters: BTreeMap<Name, Arc<ClusterSnapshot>>,
    /// Latest probe at each reference target, resolver and the own clock.
    pub vantage: FlatMap<Probe, Arc<Observation>>,
    /// What the files that belong to no cluster hold, and when they were read.
    pub stored: Option<(UnixTime, Arc<FilesReading>)>,
    /// Whether the vantage is isolated, since when.
    pub isolated_since: Option<UnixTime>,
    /// Ongoing alarms, pending ones included.
    pub alarms: Vec<Arc<Alarm>>,
    /// Incidents that are open, and up to 50 recent ones that are over, newest first.
    pub incidents: Vec<Arc<Incident>>,
    /// Silenced clusters, until when and why.
    pub silences: Vec<Silence>,
    /// How the configuration in use came to be.
    pub configured: Configured,
    /// Mail waiting.
    pub backlog: Backlog,
    /// Recipients who are refused for good.
    pub refused: Vec<RefusedRecipient>,
    /// Recipients for whom mail waits that others have got.
    pub deferred: Vec<DeferredRecipient>,
    /// Whether the next heartbeat will be sent, and if not, why.
    pub heartbeat: HeartbeatState,
    /// Counters of the engine's own doings since start.
    pub counters: Counters,
    /// Largest lateness of a wake-up seen in the last minute.
    pub loop_lag: Duration,
    /// Median of (server date − own wall clock) over fresh answers, milliseconds.
    pub clock_offset_millis: Option<i64>,
    /// Whether the last persist succeeded; `None` before the first.
    pub store_works: Option<bool>,
    /// Whether every scheduled probe has had a result since the start.
    pub is_first_round_done: bool,
}

/// One cluster.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ClusterSnapshot {
    /// Latest probe by probe (latest scheduled; late arrivals do not replace it).
    pub observations: FlatMap<Probe, Arc<Observation>>,
    /// Chain last served at each endpoint, and when it was seen.
    pub served: FlatMap<Subject, (UnixTime, Arc<Served>)>,
    /// What its files hold, and when they were read.
    pub stored: Option<(UnixTime, Arc<FilesReading>)>,
    /// What was concluded about each etcd member.
    pub members: FlatMap<Subject, MemberFacts>,
    /// Latency and outcome counts of each endpoint; members of rounds are named themselves. Shared with the snapshot
    /// before where nothing was added.
    pub tallies: FlatMap<Subject, Arc<Tally>>,
    /// Who uses its apiservers.
    #[serde(default)]
    pub load: LoadFacts,
    /// In what its apiservers differ.
    #[serde(default)]
    pub zpages: ZpageFacts,
    /// What the schedule spends on this cluster, confirmations not counted.
    pub planned: Rate,
}

/// Whether the heartbeat goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HeartbeatState {
    /// None is configured.
    Off,
    /// It goes out.
    Sending,
    /// Withheld: the vantage is isolated.
    Isolated,
    /// Withheld: the scheduler stalls.
    Stalled,
    /// Withheld: a critical mail has stayed unaccepted for too long.
    MailStuck,
}

/// Counters since start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Probes asked for.
    pub probes: u64,
    /// Ticks skipped: the scheduler was late, or the probe before still waited to be sent.
    pub skipped: u64,
    /// Planned probes left out because a server is overloaded, or asked to be left alone.
    #[serde(default)]
    pub left_out: u64,
    /// Probes asked for by bursts.
    pub burst_probes: u64,
    /// Probes that had to wait for the budget of their cluster, or for room among those under way.
    pub deferred: u64,
    /// Observations voided by loop lag or a clock gap.
    pub voided: u64,
    /// Observations that came after a later scheduled one.
    pub late: u64,
    /// Probes that never came back and were given up.
    pub lost: u64,
    /// Messages accepted.
    pub accepted: u64,
    /// Failed attempts by class.
    pub delivery_failures: BTreeMap<FailureClass, u64>,
    /// Messages dropped because the outbox was full.
    pub outbox_dropped: u64,
    /// Recipients refused for good, counted for each message.
    pub recipient_refusals: u64,
    /// Persists that failed.
    pub persist_failures: u64,
    /// Heartbeats accepted.
    pub beats: u64,
    /// Heartbeats that failed.
    pub beats_failed: u64,
    /// Inputs handled: the scheduler's progress.
    pub inputs: u64,
}

impl Snapshot {
    /// The highest severity that fires for `cluster`; `None` when nothing does.
    #[must_use]
    pub fn worst(&self, cluster: &Name) -> Option<Level> {
        self.alarms
            .iter()
            .filter(|alarm| alarm.is_firing() && alarm.finding.subject.cluster() == Some(cluster))
            .map(|alarm| alarm.finding.level)
            .max()
    }
}

impl HeartbeatState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Off, Self::Sending, Self::Isolated, Self::Stalled, Self::MailStuck];

    /// Bounded label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Sending => "sending",
            Self::Isolated => "isolated",
            Self::Stalled => "stalled",
            Self::MailStuck => "mail_stuck",
        }
    }
}
