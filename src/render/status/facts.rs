//! The content of the status page, as values: the one model behind HTML, text and JSON.
//!
//! Every text here is one harmless line and is shown unchanged, so the three renderings cannot disagree; a number is
//! beside the text it became and is only for machines. Field names are the API: new ones may be added, none changes its
//! meaning. Times are RFC 3339 in UTC, and each carries its age.

use serde::Serialize;

use crate::model::rule::Level;
use crate::model::zone::Zone;

/// The whole page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// Version of this form; rises only when a field changes its meaning.
    pub format: u32,
    /// The worst state of anything.
    pub state: State,
    /// That state in one sentence.
    pub headline: String,
    /// Since when.
    pub since: Option<Moment>,
    /// The machine that probes.
    pub vantage: String,
    /// Version of vedette.
    pub version: &'static str,
    /// Whose local time is shown beside UTC, by its IANA name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<Zone>,
    /// When the snapshot was taken that all of this is read from.
    pub snapshot: Moment,
    /// Whether that snapshot is so old that the scheduler must be standing still.
    pub is_stale: bool,
    /// Whether nothing outside the vantage answers, so that probes show nothing about the clusters.
    pub is_isolated: bool,
    /// What to know before believing the rest: isolation, refused configuration, silences, mail that waits.
    pub notices: Vec<Notice>,
    /// Open incidents, most severe first.
    pub incidents: Vec<IncidentFacts>,
    /// Open incidents that found no room above, one line each.
    pub more_incidents: Vec<String>,
    /// Clusters in each state.
    pub tally: Tally,
    /// Which part of all clusters this page is about.
    pub extent: Extent,
    /// One line per cluster of this page, worst first.
    pub clusters: Vec<ClusterLine>,
    /// Everything seen of the worst of them, as many as fit; ask for one by name to see any other.
    pub details: Vec<Detail>,
    /// Certificates of this page, served or in watched files, what ends first on top.
    pub certificates: Vec<CertificateFacts>,
    /// Certificates that found no room.
    pub more_certificates: usize,
    /// What is not known.
    pub gaps: Vec<Gap>,
    /// Gaps that found no room.
    pub more_gaps: usize,
    /// What vedette knows of itself and its surroundings.
    pub own: Own,
    /// Incidents that are over, newest first.
    pub resolved_incidents: Vec<Ended>,
}

/// The state of something. Ordered from best to worst: what is known to be wrong outweighs what is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Fresh probes show that all is good.
    Ok,
    /// Nothing is known to be wrong, but something that decides could not be seen.
    Unknown,
    /// Something is wrong; users are served.
    Degraded,
    /// Users are not served.
    Down,
}

/// An instant and its distance from now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Moment {
    /// The instant.
    pub at: String,
    /// Its distance in words: `3.2 s ago`, `in 40 d`.
    pub age: String,
    /// Its distance in seconds; negative in the future.
    pub age_seconds: f64,
}

/// Something to know before believing the rest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notice {
    /// A bounded word for machines: `stale`, `isolated`, `starting`, `configuration`, `restart`, `mail`, `recipients`,
    /// `heartbeat`, `store`, `silence`.
    pub kind: &'static str,
    /// How bad it is.
    pub state: State,
    /// What it is.
    pub text: String,
    /// Particulars, one line each.
    pub lines: Vec<String>,
    /// Since when.
    pub since: Option<Moment>,
    /// Until when.
    pub until: Option<Moment>,
}

/// An open incident.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IncidentFacts {
    /// Its identity, as in the mails.
    pub id: String,
    /// Its cluster; the vantage when there is none.
    pub cluster: Option<String>,
    /// The highest severity it has reached.
    pub severity: Level,
    /// The rule that names the deepest known cause.
    pub rule: String,
    /// Cluster and symptom, as in the subject of the mails.
    pub headline: String,
    /// Scheduled start of the first bad probe.
    pub opened: Moment,
    /// `ongoing`, `recovering`, or `unverified: vedette has no network`.
    pub course: &'static str,
    /// What was seen.
    pub what: String,
    /// The root cause, when it is not the headline.
    pub cause: Option<String>,
    /// What stops working and what goes on.
    pub impact: String,
    /// The likely cause and why we think so.
    pub likely_cause: String,
    /// The recipients.
    pub notified: String,
    /// When the last message was composed.
    pub notified_at: Option<Moment>,
    /// The latest probes that were not good.
    pub evidence: Vec<EvidenceLine>,
    /// What began together with it and does not follow from it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<String>,
    /// What follows from it.
    pub follows: Vec<String>,
    /// Where and as whom the commands are to be run.
    pub place: String,
    /// Commands to copy that only read.
    pub next: Vec<CommandLine>,
    /// Commands to copy that change something, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fix: Vec<CommandLine>,
}

/// A command to copy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CommandLine {
    /// The command.
    pub line: String,
    /// What to know about it.
    pub note: Option<String>,
}

/// One probe that was not good.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvidenceLine {
    /// What was probed.
    pub target: String,
    /// The dialled address.
    pub address: String,
    /// The probe.
    pub cell: Cell,
}

/// Clusters in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// All is well.
    pub ok: usize,
    /// Not known.
    pub unknown: usize,
    /// Something is wrong.
    pub degraded: usize,
    /// Users are not served.
    pub down: usize,
    /// Of all of them: no mail is sent about them.
    pub silenced: usize,
}

/// Which part of all clusters a page is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Extent {
    /// This page, from 1.
    pub page: usize,
    /// Of how many.
    pub pages: usize,
    /// Clusters in all.
    pub clusters: usize,
    /// The one cluster that was asked for.
    pub only: Option<String>,
}

/// One cluster in one line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClusterLine {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub state: State,
    /// Why.
    pub why: String,
    /// Since when it is not well.
    pub since: Option<Moment>,
    /// Until when it is silenced.
    pub silenced: Option<Moment>,
    /// Instances that were ready at their latest probe, and of how many.
    pub instances: String,
    /// etcd members that answered, and of how many; `not watched` when none is configured.
    pub members: String,
    /// The API VIP: its latest probe in one word.
    pub vip: String,
    /// The oldest of the latest deciding probes; `None` when one was never made.
    pub seen: Option<Moment>,
}

/// Everything seen of one cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Detail {
    /// Its name.
    pub cluster: String,
    /// Requests per second that the schedule spends on it.
    pub planned: String,
    /// The API VIP and the instances, each with its latest probes.
    pub endpoints: Vec<Endpoint>,
    /// etcd members.
    pub members: Vec<Member>,
    /// The instances, each with its latest canaries; none where there are no canaries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub canaries: Vec<Endpoint>,
    /// Who uses its apiservers; absent where they are not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// Shares of a member's quota that are marked on its bar, in percent.
    #[serde(skip)]
    pub quota_marks: Vec<String>,
}

/// Who uses the apiservers of a cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Load {
    /// Since when an overload is suspected.
    pub suspected_since: Option<Moment>,
    /// Priority levels, all instances together.
    pub levels: Vec<LevelLine>,
    /// When the oldest of the dumps was asked for that the levels are from.
    pub levels_seen: Option<Moment>,
    /// The largest senders, the largest first.
    pub senders: Vec<SenderLine>,
    /// When the oldest of the dumps was asked for that the senders are from.
    pub senders_seen: Option<Moment>,
}

/// One priority level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LevelLine {
    /// Its name.
    pub level: String,
    /// Requests under way.
    pub executing: u64,
    /// Requests that wait.
    pub waiting: u64,
}

/// One sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SenderLine {
    /// Its user.
    pub user: String,
    /// Verb and resource.
    pub asks: String,
    /// Its priority level.
    pub level: String,
    /// Its part of all seats held or waited for.
    pub share: String,
    /// The same as is usual for it; `unknown` before an hour was seen.
    pub usual: String,
    /// Requests under way.
    pub executing: u32,
    /// Requests that wait.
    pub waiting: u32,
}

/// One row of the matrix.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// The dialled address.
    pub address: String,
    /// What it tells of itself: version, start, flags that differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub itself: Option<String>,
    /// One cell per kind of probe.
    pub cells: Vec<Cell>,
}

/// The latest probe of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cell {
    /// The kind of probe.
    #[serde(rename = "probe_kind")]
    pub probe: &'static str,
    /// Over a new or the reused connection.
    pub connection: &'static str,
    /// Good, bad, or undecided.
    pub state: State,
    /// What it saw, in one word.
    pub outcome: &'static str,
    /// What it saw in full.
    pub result: String,
    /// When it was due; `None` when there was none yet.
    pub seen: Option<Moment>,
    /// Whether it still shows the present state.
    pub is_fresh: bool,
    /// Where the time went.
    pub phases: Vec<PhaseShare>,
    /// The sum: `7.6 ms`; empty when no phase was reached.
    pub total: String,
}

/// Time spent in one phase.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhaseShare {
    /// The phase.
    pub phase: &'static str,
    /// Milliseconds, as shown.
    pub millis: String,
    /// Seconds.
    pub seconds: f64,
}

/// One etcd member.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Member {
    /// Its name, after its etcd cluster's where there are several.
    pub name: String,
    /// The dialled address.
    pub address: String,
    /// The status probe, the read, and the other probes of the member.
    pub cells: Vec<Cell>,
    /// `leader`, `follower of etcd-1`, `no leader`, each with `learner, ` before it for a learner; empty when it did
    /// not answer.
    pub role: String,
    /// Server version.
    pub version: String,
    /// `term 3, raft index 1200, apply lag 0`; from the metrics alone, `2 leader changes seen`.
    pub raft: String,
    /// The backend; `None` when it did not answer.
    pub backend: Option<Backend>,
    /// Alarms and errors it names.
    pub alarms: Vec<String>,
}

/// A member's backend file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Backend {
    /// `8.0 MiB in use, file 20.0 MiB of 2.0 GiB (1 %)`.
    pub text: String,
    /// Which tier of the quota is reached: `below 65 %`, `65 %`, `75 %`, `85 %`, `quota unknown`.
    pub tier: String,
    /// How bad that is.
    pub state: State,
    /// File size.
    pub size_bytes: u64,
    /// Live pages.
    pub in_use_bytes: Option<u64>,
    /// Size at which it stops taking writes.
    pub quota_bytes: Option<u64>,
}

/// One certificate or token.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CertificateFacts {
    /// The cluster; `vantage` for what belongs to none.
    pub cluster: String,
    /// The band of the expiry thresholds it is in; empty when there is nothing to do.
    pub band: &'static str,
    /// How bad that is.
    pub state: State,
    /// When it ends; `None` for what has no end.
    pub expires: Option<Moment>,
    /// Its subject.
    pub certificate_subject: String,
    /// Its issuer.
    pub issuer: String,
    /// The start of its fingerprint.
    pub fingerprint: String,
    /// Who renews it.
    pub class: &'static str,
    /// The result of strict verification; `on disk` for what is served nowhere.
    pub trust: &'static str,
    /// Where it is served, and the watched files that hold it.
    pub places: Vec<String>,
    /// When it was last seen there.
    pub seen: Moment,
}

/// Something that is not known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gap {
    /// About what.
    pub about: String,
    /// What is not known, and why.
    pub text: String,
    /// The last time it was.
    pub seen: Option<Moment>,
}

/// What vedette knows of itself and its surroundings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Own {
    /// Start of the process.
    pub started: Moment,
    /// When the configuration in use was read.
    pub configured: Moment,
    /// Named values: loop lag, clock, store, heartbeat, mail.
    pub values: Vec<Value>,
    /// Its clock, its resolvers, its reference targets.
    pub probes: Vec<EvidenceLine>,
}

/// A named value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Value {
    /// Its name.
    pub name: &'static str,
    /// The value.
    pub text: String,
    /// How it stands.
    pub state: State,
}

/// An incident that is over.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ended {
    /// Cluster and symptom.
    pub headline: String,
    /// The rule.
    pub rule: String,
    /// When it ended.
    pub resolved: Moment,
    /// How long it lasted.
    pub lasted: String,
}

impl State {
    /// The word people read.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}
