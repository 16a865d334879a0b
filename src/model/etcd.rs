//! What etcd members report about themselves and each other.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::phase::{Phases, Unseen};
use super::subject::{Name, Subject};
use super::time::UnixTime;

/// One member's answer to Maintenance.Status. Absent values are unknown, never zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Server version, such as `3.6.16`.
    pub version: String,
    /// Hash that identifies the etcd cluster.
    pub cluster_id: u64,
    /// The answering member's own id.
    pub member_id: u64,
    /// Member id of the leader this member follows; `None` when it knows none.
    pub leader: Option<u64>,
    /// Raft term.
    pub raft_term: u64,
    /// Raft log index.
    pub raft_index: u64,
    /// Raft index already applied; `None` before etcd 3.4.
    pub raft_applied_index: Option<u64>,
    /// Revision of the key space.
    pub revision: i64,
    /// Backend file size in bytes.
    pub db_size_bytes: u64,
    /// Bytes of the backend in use; `None` before etcd 3.4.
    pub db_in_use_bytes: Option<u64>,
    /// Backend quota in bytes; `None` before etcd 3.6.
    pub db_quota_bytes: Option<u64>,
    /// Whether this member is a learner and has no vote.
    pub is_learner: bool,
    /// Version of the storage schema, such as `3.6.0`; `None` before etcd 3.6.
    pub storage_version: Option<String>,
    /// Whether a downgrade is under way; `None` before etcd 3.6, which does not report it.
    pub downgrade: Option<Downgrade>,
    /// Alarms named in the status errors.
    pub alarms: Vec<EtcdAlarm>,
    /// Status errors that are no alarms, shortened, at most 8: `etcdserver: no leader` and the like.
    pub errors: Vec<String>,
}

/// The state of a downgrade of the etcd cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Downgrade {
    /// None is under way.
    Off,
    /// The cluster was ordered to go back to this version, such as `3.5.0`.
    To(String),
}

/// An alarm some member has raised; every member reports all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EtcdAlarm {
    /// Member that raised it.
    pub member_id: u64,
    /// What it is about.
    pub kind: EtcdAlarmKind,
}

/// Kinds of etcd alarms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EtcdAlarmKind {
    /// The backend reached its quota: the cluster takes no writes.
    NoSpace,
    /// A member found its data to differ.
    Corrupt,
    /// A kind this release does not know.
    Other,
}

/// One member's part in a round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberAnswer<T> {
    /// Configured name of the member.
    pub member: Name,
    /// Time from the common start until our request was sent; more than 1 s voids the round.
    pub sent_after: Duration,
    /// Where its time went.
    pub phases: Phases,
    /// Its answer, or why there is none.
    pub answer: Result<T, Unseen>,
}

/// What a linearizable read returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadAnswer {
    /// Revision at which the read was served; `None` when our user may not read the key. The quorum round is proved
    /// all the same, because it comes before the rights.
    pub revision: Option<i64>,
}

/// A member's `/health` on its metrics listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberHealth {
    /// What follows from it.
    pub condition: Condition,
    /// The reason it gives, such as `RAFT NO LEADER`; `None` when it is healthy, and before etcd 3.5.
    pub reason: Option<String>,
}

/// How a member finds itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// No alarm, a leader, and a linearizable read succeeded.
    Well,
    /// The same, but for the NOSPACE alarm.
    Full,
    /// The CORRUPT alarm is raised; it hides other reasons.
    Corrupt,
    /// An alarm is raised that this release does not know; it hides other reasons.
    Alarmed,
    /// It answers, but knows no leader or cannot read with a majority.
    Ill,
}

/// What a member's `/metrics` reports. Absent values are unknown, never zero.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MemberMetrics {
    /// Its own id in hexadecimal digits, as etcdctl prints it.
    #[serde(default)]
    pub member_id: Option<String>,
    /// Server version, such as `3.6.16`.
    pub version: Option<String>,
    /// Whether the member knows a leader.
    pub has_leader: Option<bool>,
    /// Whether it leads.
    pub is_leader: Option<bool>,
    /// Whether it has no vote.
    pub is_learner: Option<bool>,
    /// Leaders seen to change since the process started.
    pub leader_changes: Option<u64>,
    /// Backend file size in bytes.
    pub db_size_bytes: Option<u64>,
    /// Bytes of the backend in use.
    pub db_in_use_bytes: Option<u64>,
    /// Backend quota in bytes: the only place where etcd 3.4 and 3.5 report it.
    pub db_quota_bytes: Option<u64>,
    /// Whether it defragments at this moment.
    pub is_defragmenting: Option<bool>,
    /// Time that syncs of the write-ahead log took.
    pub wal_fsync: Option<Buckets>,
    /// Time that commits of the backend took.
    pub backend_commit: Option<Buckets>,
    /// Round trips to all its peers, together.
    pub peer_round_trip: Option<Buckets>,
    /// Start of its process.
    pub started: Option<UnixTime>,
    /// File descriptors in use.
    pub open_descriptors: Option<u64>,
    /// File descriptors it may use.
    pub most_descriptors: Option<u64>,
}

/// A distribution that only grows while its process lives.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Buckets {
    /// Upper bounds, rising, each with the number of samples at or below it; at most 64.
    pub below: Vec<(Duration, u64)>,
    /// All samples.
    pub count: u64,
}

/// What is concluded about a member from several probes; the status itself is in the latest status probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MemberFacts {
    /// The size at which it stops taking writes.
    pub quota: Option<Quota>,
    /// How slow its slowest one in a hundred operations were, from the latest two readings of its metrics.
    pub slowest: Option<Slowest>,
}

/// A backend quota, and its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Bytes.
    pub bytes: u64,
    /// Its source.
    pub source: QuotaSource,
}

/// Where a quota was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaSource {
    /// Maintenance.Status, since etcd 3.6.
    Status,
    /// The metrics listener.
    Metrics,
}

/// 99th percentiles between two readings of a member's metrics. Absent where nothing was measured in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slowest {
    /// Time between the two readings.
    pub over: Duration,
    /// Sync of the write-ahead log.
    pub wal_fsync: Option<Duration>,
    /// Commit of the backend.
    pub backend_commit: Option<Duration>,
    /// Round trip to a peer.
    pub peer_round_trip: Option<Duration>,
}

/// Who belongs to the etcd cluster, as one member reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberListing {
    /// Member id.
    pub id: u64,
    /// etcd's own name for it; empty until it has started once.
    pub name: String,
    /// Whether it has no vote.
    pub is_learner: bool,
    /// Client URLs it advertises, at most 8.
    pub client_urls: Vec<String>,
}

impl Condition {
    /// As a person would say it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Full => "full",
            Self::Corrupt => "corrupt",
            Self::Alarmed => "under an unknown alarm",
            Self::Ill => "without leader or majority",
        }
    }
}

/// A member that answers, but does not follow the leader of the majority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apart {
    /// The member.
    pub member: Subject,
    /// In what it differs.
    pub how: Apartness,
}

/// How a member differs from the majority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Apartness {
    /// It knows no leader.
    NoLeader {
        /// Its raft term.
        term: u64,
    },
    /// It follows another leader.
    OtherLeader {
        /// Whom it follows, by configured name where known.
        leader: String,
        /// Its raft term.
        term: u64,
    },
    /// It belongs to another etcd cluster.
    OtherCluster {
        /// That cluster's id.
        cluster_id: u64,
    },
    /// It follows the majority's leader, but linearizable reads on it fail.
    ReadsFail(Unseen),
}

/// In what the members of an etcd cluster are not what they are configured as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mismatch {
    /// They belong to several etcd clusters.
    SeveralClusters(Vec<Group>),
    /// Several of them lead at the same time, each by its own word.
    SeveralLeaders(Vec<Subject>),
    /// Several configured names lead to one member.
    SameMember {
        /// The names.
        names: Vec<Subject>,
        /// The member's id as etcdctl prints it.
        id: String,
    },
    /// These are configured and answer, and etcd's own list does not have them.
    NotListed(Vec<Subject>),
    /// Members of etcd's own list that have a vote and have never started.
    NotStarted {
        /// Their ids as etcdctl prints them.
        ids: Vec<String>,
        /// All voters of the list.
        voters: usize,
    },
    /// These answer without TLS, where TLS is configured.
    WithoutTls(Vec<Subject>),
    /// The metrics listeners of these answer with TLS, where plain HTTP is configured.
    WithTls(Vec<Subject>),
}

/// Configured members that belong to one etcd cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The id of that cluster as etcdctl prints it.
    pub cluster_id: String,
    /// The members.
    pub members: Vec<Subject>,
    /// Whether it has a leader, and so takes writes.
    pub is_led: bool,
}

/// How full one member's database is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// The member.
    pub member: Subject,
    /// Its backend file in bytes, free space inside it included: this is what the quota limits.
    pub size_bytes: u64,
    /// The quota in bytes.
    pub quota_bytes: u64,
    /// Whether the member reported its quota; else it is the configured one.
    pub is_quota_told: bool,
    /// Bytes of the file in use, where known.
    pub in_use_bytes: Option<u64>,
    /// Bytes it grows by in an hour, where half an hour or more has been seen.
    pub growth_per_hour: Option<u64>,
    /// When it is full at that rate; `None` when it does not grow or that is a month away.
    pub full_in: Option<Duration>,
    /// Whether the CORRUPT alarm is raised as well, so that no command may free space.
    #[serde(default)]
    pub is_corrupt: bool,
}

impl Fill {
    /// Size in thousandths of the quota, rounded down.
    #[must_use]
    pub const fn permille(&self) -> u64 {
        match self.size_bytes.saturating_mul(1000).checked_div(self.quota_bytes) {
            Some(permille) => permille,
            None => 0,
        }
    }

    /// Size in hundredths of the quota, rounded down.
    #[must_use]
    pub const fn percent(&self) -> u64 {
        self.permille() / 10
    }
}

/// A leader that a majority was seen to follow for the first time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Election {
    /// Scheduled start of the first round that saw it.
    pub at: UnixTime,
    /// Its raft term.
    pub term: u64,
    /// Who was elected, by configured name where known.
    pub leader: String,
}

impl EtcdAlarmKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::NoSpace, Self::Corrupt, Self::Other];

    /// etcd's own spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSpace => "NOSPACE",
            Self::Corrupt => "CORRUPT",
            Self::Other => "OTHER",
        }
    }
}
