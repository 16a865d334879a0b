//! What etcd members say about themselves and each other.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::observation::{Phases, Unseen};
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
    /// Alarms named in the status errors.
    pub alarms: Vec<Alarm>,
    /// Status errors that are no alarms, shortened, at most 8: `etcdserver: no leader` and the like.
    pub errors: Vec<String>,
}

/// An alarm some member has raised; every member reports all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Alarm {
    /// Member that raised it.
    pub member_id: u64,
    /// What it is about.
    pub kind: AlarmKind,
}

/// Kinds of etcd alarms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
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
    /// Revision at which the read was served.
    pub revision: i64,
}

/// Who belongs to the etcd cluster, as one member tells it.
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

/// A member that answers, but is not of one mind with the majority.
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

/// How full one member's database is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// The member.
    pub member: Subject,
    /// Its backend file in bytes, free space inside it included: this is what the quota limits.
    pub size_bytes: u64,
    /// The quota in bytes.
    pub quota_bytes: u64,
    /// Whether the member told its quota; else it is the configured one.
    pub is_quota_told: bool,
    /// Bytes of the file in use, where known.
    pub in_use_bytes: Option<u64>,
    /// Bytes it grows by in an hour, where half an hour or more has been seen.
    pub growth_per_hour: Option<u64>,
    /// When it is full at that rate; `None` when it does not grow or that is a month away.
    pub full_in: Option<Duration>,
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

impl AlarmKind {
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
