//! The kinds of probes, and a request to send one.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::subject::Subject;
use super::time::Now;

/// The kind of question a probe asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeKind {
    /// `GET /readyz?verbose`, exempt from priority and fairness.
    Readyz,
    /// `GET /livez`, exempt as well.
    Livez,
    /// `GET /version`, ordinary traffic that needs no etcd: shows that the process works.
    Version,
    /// Maintenance.Status of every member of an etcd cluster, one start for all.
    EtcdStatus,
    /// A linearizable one-key count on every member: proves a quorum round.
    EtcdRead,
    /// Maintenance.Alarm GET on every member.
    EtcdAlarms,
    /// Cluster.MemberList (not linearizable) on every member.
    EtcdMembers,
    /// `/health` on the metrics listener of every member, for an etcd cluster that is seen through these alone.
    EtcdHealth,
    /// `/metrics` on the metrics listener of every member that has one.
    EtcdMetrics,
    /// A TLS handshake and nothing else, for the served chain.
    Chain,
    /// A handshake with each address of an endpoint's name, where it has several.
    Addresses,
    /// A kept connection that broke without announcement. Never asked for: it reports by itself.
    Tripwire,
    /// A TCP connection to a reference target.
    Reference,
    /// One DNS query to a resolver.
    Resolver,
    /// The kernel's own view of its clock (adjtimex).
    OwnClock,
    /// The files of a cluster, or of the vantage, that hold certificates and tokens.
    Files,
    /// `dump_priority_levels` of API Priority and Fairness: how many requests each level executes and lets wait.
    PriorityLevels,
    /// `dump_requests` of the same, with the details of each request: who holds the seats, and who waits for them.
    RequestDump,
    /// `/metrics` of an apiserver, streamed through a filter of families: how much, never who, nor whether it lives.
    ApiserverMetrics,
    /// `PUT` of the canaries' Lease.
    LeaseWrite,
    /// `GET` of that Lease from the watch cache (`resourceVersion=0`).
    LeaseRead,
    /// Dry run of a ConfigMap's creation.
    CreateConfigMap,
    /// Dry run of the creation of a Pod of the `restricted` profile.
    CreatePod,
    /// A SelfSubjectAccessReview.
    AccessReview,
    /// `GET` of the canaries' Secret.
    SecretRead,
    /// `/statusz`: when the process started, and which versions it has and emulates.
    Statusz,
    /// `/flagz`: the flags that the process runs with.
    Flagz,
}

/// Whether a probe connects anew or uses the kept one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connection {
    /// Dial, handshake, ask, close.
    New,
    /// Ask over the connection that is kept open; dial only when there is none.
    Reused,
}

/// A recurring question: which subject, what kind, over which connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Probe {
    /// Whom it is asked of. Rounds name the etcd cluster, not a member.
    pub subject: Subject,
    /// What is asked.
    pub kind: ProbeKind,
    /// Over which connection.
    pub connection: Connection,
}

/// Identifies one probe within the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProbeId(pub u64);

/// The size of the ClientHello that a handshake begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hello {
    /// With a post-quantum key share (X25519MLKEM768): two packets.
    #[default]
    Large,
    /// With X25519 alone: one packet.
    Small,
}

/// How a handshake began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// What was sent.
    pub hello: Hello,
    /// Whether anything came back. A reset, an end and silence are nothing.
    pub is_heard: bool,
}

/// A request to probe, as the engine passes it to the collectors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeRequest {
    /// Identity, echoed in the observation.
    pub id: ProbeId,
    /// What to probe.
    pub probe: Probe,
    /// When it was due; the observation is dated from here, however late the collector starts.
    pub scheduled: Now,
    /// What a handshake begins with, if one is made.
    #[serde(default)]
    pub hello: Hello,
}

impl ProbeKind {
    /// Bounded label value, also used in texts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Readyz => "readyz",
            Self::Livez => "livez",
            Self::Version => "version",
            Self::EtcdStatus => "etcd_status",
            Self::EtcdRead => "etcd_read",
            Self::EtcdAlarms => "etcd_alarms",
            Self::EtcdMembers => "etcd_members",
            Self::EtcdHealth => "etcd_health",
            Self::EtcdMetrics => "etcd_metrics",
            Self::Chain => "chain",
            Self::Addresses => "addresses",
            Self::Tripwire => "tripwire",
            Self::Reference => "reference",
            Self::Resolver => "resolver",
            Self::OwnClock => "own_clock",
            Self::Files => "files",
            Self::PriorityLevels => "priority_levels",
            Self::RequestDump => "request_dump",
            Self::ApiserverMetrics => "apiserver_metrics",
            Self::LeaseWrite => "lease_write",
            Self::LeaseRead => "lease_read",
            Self::CreateConfigMap => "create_configmap",
            Self::CreatePod => "create_pod",
            Self::AccessReview => "access_review",
            Self::SecretRead => "secret_read",
            Self::Statusz => "statusz",
            Self::Flagz => "flagz",
        }
    }

    /// Whether one probe asks every member of an etcd cluster at once.
    #[must_use]
    pub const fn is_round(self) -> bool {
        match self {
            Self::EtcdStatus
            | Self::EtcdRead
            | Self::EtcdAlarms
            | Self::EtcdMembers
            | Self::EtcdHealth
            | Self::EtcdMetrics => true,
            Self::Readyz
            | Self::Livez
            | Self::Version
            | Self::Chain
            | Self::Addresses
            | Self::Tripwire
            | Self::Reference
            | Self::Resolver
            | Self::OwnClock
            | Self::Files
            | Self::PriorityLevels
            | Self::RequestDump
            | Self::ApiserverMetrics
            | Self::LeaseWrite
            | Self::LeaseRead
            | Self::CreateConfigMap
            | Self::CreatePod
            | Self::AccessReview
            | Self::SecretRead
            | Self::Statusz
            | Self::Flagz => false,
        }
    }

    /// Whether it shows how a server is used, by the dumps of API Priority and Fairness or by its `/metrics`. Such a
    /// probe never shows whether the server lives: it is the first that a busy server leaves unanswered.
    #[must_use]
    pub const fn shows_use(self) -> bool {
        matches!(self, Self::PriorityLevels | Self::RequestDump | Self::ApiserverMetrics)
    }

    /// Whether it reads a z-page, by which an apiserver tells of itself. Such a probe needs a right of its own, and never
    /// shows whether the server lives.
    #[must_use]
    pub const fn is_zpage(self) -> bool {
        matches!(self, Self::Statusz | Self::Flagz)
    }
}

impl Connection {
    /// Bounded label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Reused => "reused",
        }
    }
}

impl Probe {
    /// A probe over a new connection.
    #[must_use]
    pub const fn anew(subject: Subject, kind: ProbeKind) -> Self {
        Self { subject, kind, connection: Connection::New }
    }

    /// A probe over the kept connection.
    #[must_use]
    pub const fn reused(subject: Subject, kind: ProbeKind) -> Self {
        Self { subject, kind, connection: Connection::Reused }
    }
}

/// `prod/apiserver/api-1 readyz new`: also the text that phases and seeds are hashed from.
impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.subject, self.kind.as_str(), self.connection.as_str())
    }
}
