//! What a rule finds of a subject: good, bad or unknown. Missing observations are never good.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::certificate::{Class, Fingerprint, Trust};
use super::certificate_files::{FileFault, ItemKind};
use super::etcd::{Apart, Election, EtcdAlarmKind, Fill, Mismatch};
use super::gap::{Gap, Single};
use super::health::Foreign;
use super::inventory::Own;
use super::phase::{Phase, Unseen};
use super::rule::{Level, RuleId};
use super::subject::{Name, Subject};
use super::time::{Now, UnixTime};

/// A rule's statement about one subject at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a verdict lives for one turn of the engine, and few are kept at a time")]
pub enum Verdict {
    /// A fresh probe shows that all is good.
    Good {
        /// Scheduled start of the first of these good probes.
        since: Now,
        /// Scheduled start of the last of them.
        until: Now,
        /// Good probes in a row.
        probes: u32,
    },
    /// Confirmed bad.
    Bad(Finding),
    /// Not known. Raises nothing and resolves nothing.
    Unknown(Why),
}

/// Why a verdict is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Bad probes, not yet confirmed; `since` is the scheduled start of the first.
    Suspected {
        /// Scheduled start of the first bad probe.
        since: Now,
    },
    /// No probe has ended yet.
    NeverSeen,
    /// The last probe is too old to show the present state.
    Stale,
    /// The last probe was undecided: refused credential, shed load, own fault.
    Unclear,
    /// The vantage is isolated or its clock cannot be trusted.
    Vantage,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule that says so.
    pub rule: RuleId,
    /// What it is about.
    pub subject: Subject,
    /// Its severity.
    pub level: Level,
    /// Wall time of the scheduled start of the first bad probe.
    pub since: UnixTime,
    /// How long it must last, confirmed and observed, before a mail.
    pub hold: Duration,
    /// Whether it was confirmed without proof that our own path works.
    pub path_unproven: bool,
    /// What was seen.
    pub evidence: Evidence,
}

/// Typed evidence; the words are made from it at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// etcd members by what they answer.
    Quorum {
        /// Voters that must answer and agree.
        needed: usize,
        /// Members that answered and follow the agreed leader, or answered at all when none is agreed.
        answering: Vec<Subject>,
        /// Members that did not answer, and why.
        silent: Vec<(Subject, Unseen)>,
        /// Whether a majority answers but agrees on no leader.
        leaderless: bool,
        /// Voters of etcd's own list that are not watched, or have never started.
        #[serde(default)]
        unwatched: usize,
    },
    /// One probe that failed.
    Silent {
        /// Why the last probe saw nothing.
        unseen: Unseen,
        /// Members or instances of the same kind that still work.
        remaining: usize,
        /// Of how many.
        of: usize,
    },
    /// etcd members that answer, but do not follow the leader of the majority.
    Split {
        /// The leader that the majority follows, by configured name where known.
        leader: String,
        /// The majority's raft term.
        term: u64,
        /// Voters that follow it and can be read.
        following: usize,
        /// Voters.
        of: usize,
        /// The others.
        apart: Vec<Apart>,
    },
    /// etcd members that are not what they are configured as.
    Mismatch {
        /// In what, the most severe first.
        found: Vec<Mismatch>,
        /// Configured members.
        of: usize,
    },
    /// The fullest member of an etcd cluster.
    Quota(Fill),
    /// Leaders elected one after the other.
    Elections {
        /// How many were seen within `window`; several between two rounds count once.
        count: usize,
        /// The time they are counted over.
        window: Duration,
        /// The latest of them, oldest first.
        latest: Vec<Election>,
    },
    /// Everything that should answer and does not.
    AllBad {
        /// Each with what it did instead.
        parts: Vec<(Subject, Symptom)>,
    },
    /// One instance that is bad while others are not.
    Partial {
        /// What it does.
        symptom: Symptom,
        /// Instances that are ready.
        ready: usize,
        /// Of how many.
        of: usize,
        /// What of it is bad.
        #[serde(default)]
        extent: Extent,
    },
    /// Chains that the configured CAs do not verify, all for one reason.
    Untrusted {
        /// Each endpoint with what it serves.
        parts: Vec<Untrusted>,
        /// The CAs that are configured.
        trusted: Vec<Anchor>,
    },
    /// Endpoints that answer their health checks and give ordinary requests what no apiserver gives.
    Impostor {
        /// Each with what it answers.
        parts: Vec<(Subject, Symptom)>,
        /// Instances among them.
        bad: usize,
        /// Of how many.
        of: usize,
    },
    /// The API VIP is down.
    Vip {
        /// What it does.
        symptom: Symptom,
        /// Instances that are ready when asked directly.
        ready: Vec<Subject>,
        /// Whether a connection opened earlier still answers.
        #[serde(default)]
        reused_answers: bool,
    },
    /// Failing parts as the instances name them.
    NotReady {
        /// Each instance with its failing parts.
        parts: Vec<(Subject, Vec<String>)>,
        /// Number of instances in the cluster.
        of: usize,
        /// Whether etcd, asked directly, agrees on a leader; `None` when it is not watched or not seen.
        etcd_agrees: Option<bool>,
    },
    /// An alarm raised inside etcd.
    Alarm {
        /// Its kind.
        kind: EtcdAlarmKind,
        /// Members that raised it, by configured name where known.
        raised_by: Vec<String>,
        /// Backend size in bytes of the largest member.
        db_size_bytes: Option<u64>,
        /// Quota in bytes.
        db_quota_bytes: Option<u64>,
        /// Other kinds of alarms that are raised.
        #[serde(default)]
        beside: Vec<EtcdAlarmKind>,
    },
    /// Slow answers.
    Slow {
        /// The endpoints that are slow, with the latest slow probe's total.
        parts: Vec<(Subject, Duration)>,
        /// The latest slow probe's total.
        total: Duration,
        /// The phase in which most of it went.
        dominating: Option<Phase>,
        /// Which probes are slow at the slowest of them.
        #[serde(default)]
        traffic: Traffic,
        /// Slow probes in a row.
        #[serde(alias = "looks")]
        probes: u32,
        /// Endpoints that were slow and have not been seen to be quick since, the slow ones left out.
        #[serde(default)]
        awaited: Vec<Subject>,
        /// Instances that are slow, the API VIP not counted.
        slow: usize,
        /// Of how many.
        of: usize,
    },
    /// A certificate's end.
    Expiry {
        /// The certificate that ends first.
        fingerprint: Fingerprint,
        /// Its subject.
        holder: String,
        /// Its issuer.
        issuer: String,
        /// Its end.
        not_after: UnixTime,
        /// The band of the expiry thresholds it is in.
        band: ExpiryThreshold,
        /// Who renews it.
        class: Class,
        /// Whether it is a CA that the server's own certificate depends on and that ends before it.
        is_authority: bool,
        /// The result of strict verification of the served chain.
        trust: Trust,
        /// Everywhere in this cluster where the same certificate is served.
        places: Vec<Subject>,
        /// Watched files that hold it.
        #[serde(default)]
        stored: Vec<String>,
    },
    /// The end of something in a file.
    Stored {
        /// Which certificate or token.
        fingerprint: Fingerprint,
        /// Its subject.
        holder: String,
        /// Its issuer.
        issuer: String,
        /// Its end.
        not_after: UnixTime,
        /// The band of the expiry thresholds it is in.
        band: ExpiryThreshold,
        /// Who renews it.
        class: Class,
        /// What it is.
        kind: ItemKind,
        /// What vedette itself uses it for.
        own: Option<Box<Own>>,
        /// Files that hold it.
        paths: Vec<String>,
        /// Files beyond those.
        more: usize,
        /// The sources that hold it; none in what was written down before they were kept.
        #[serde(default)]
        sources: Vec<Name>,
        /// When it was last read, where it cannot be read any more.
        last_read: Option<UnixTime>,
        /// Whether it is a CA beside its successor, on which nothing verified depends.
        #[serde(default)]
        is_spare: bool,
    },
    /// Watched files that cannot be read.
    Unread {
        /// What the configuration names.
        path: String,
        /// Files and what is wrong with them.
        faults: Vec<(String, FileFault)>,
        /// Files beyond those.
        more: usize,
        /// What vedette itself uses them for.
        own: Option<Box<Own>>,
        /// The first end among what was last read.
        first_end: Option<UnixTime>,
        /// When that was.
        last_read: Option<UnixTime>,
    },
    /// An endpoint serves an older certificate than lies in a file.
    Stale {
        /// What is served.
        served: Fingerprint,
        /// What lies in the file.
        stored: Fingerprint,
        /// The file.
        path: String,
        /// The source it belongs to; `None` in what was written down before it was kept.
        #[serde(default)]
        source: Option<Name>,
        /// End of what is served.
        served_ends: UnixTime,
        /// End of what lies in the file.
        stored_ends: UnixTime,
    },
    /// Addresses of a name that do not answer while others do.
    DeadAddresses {
        /// Each with what it does instead.
        dead: Vec<(IpAddr, Unseen)>,
        /// Of how many.
        of: usize,
    },
    /// Our own credential is refused.
    Refused {
        /// How it was refused.
        unseen: Unseen,
        /// Why it cannot be used, where that is our own fault and known. Holds no secret.
        #[serde(default)]
        own_flaw: Option<String>,
        /// What was refused, and has not been answered since; nothing in what was written down before this was kept.
        #[serde(default)]
        by: Vec<(Subject, Asked)>,
        /// The result of verification of the server, where the credential was withheld because of it.
        #[serde(default)]
        trust: Option<Trust>,
    },
    /// A place that proves our path no more.
    SilentReference {
        /// Its last probe in this silence, wall time of the scheduled start.
        last: UnixTime,
        /// Why that saw nothing; `None` for a cluster, which has many endpoints.
        unseen: Option<Unseen>,
        /// When it last answered; `None` for never since vedette started.
        answered: Option<UnixTime>,
        /// Reference targets, resolvers and clusters that still prove our path.
        left: usize,
    },
    /// What cannot be seen of a cluster.
    Coverage {
        /// Each gap, the widest first.
        gaps: Vec<Gap>,
    },
    /// What there is only one of.
    SinglePoints {
        /// Each of them.
        points: Vec<Single>,
    },
    /// The path drops large ClientHellos.
    Hello {
        /// Endpoints it leads to.
        endpoints: Vec<Subject>,
        /// Of how many of the cluster.
        of: usize,
        /// Pairs of handshakes that showed it.
        pairs: usize,
    },
    /// A proxy on the path does not work for clusters behind it.
    Proxy {
        /// Its URL, without a login.
        url: String,
        /// Clusters that cannot be seen for it, each with how it fails.
        lost: Vec<(Name, Unseen)>,
        /// Clusters behind it.
        of: usize,
    },
    /// Nothing outside answers.
    #[serde(alias = "Blind")]
    Isolated {
        /// Subjects that do not answer.
        silent: usize,
        /// Reference targets among them.
        references: usize,
    },
}

/// What a bad instance does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Symptom {
    /// It gives no answer.
    Silent(Unseen),
    /// It answers an HTTP status that is no health verdict (a balancer's 503, a proxy's 502).
    Status(u16),
    /// It names failing parts.
    NotReady(Vec<String>),
    /// Something else answers there: no apiserver sends this.
    Foreign {
        /// The HTTP status it came with.
        status: u16,
        /// What came.
        page: Foreign,
    },
}

/// A leaf that an endpoint serves and that is not verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untrusted {
    /// The endpoint.
    pub place: Subject,
    /// The name that is expected there.
    pub expected: String,
    /// Subject of the leaf.
    pub holder: String,
    /// Issuer of the last certificate that was sent.
    pub issuer: String,
    /// Names in the leaf, at most 8.
    pub names: Vec<String>,
    /// Start of its validity.
    pub not_before: UnixTime,
    /// Identity of the leaf.
    pub fingerprint: Fingerprint,
}

/// A CA of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Its subject.
    pub holder: String,
    /// Its identity.
    pub fingerprint: Fingerprint,
}

/// What of an endpoint is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// Nothing of it works, as far as was seen.
    #[default]
    Whole,
    /// New connections fail; one that was opened earlier still answers.
    NewConnections,
    /// It works between its failures.
    AtTimes {
        /// Failures within the window, each followed or preceded by a good probe.
        failures: usize,
        /// The time they are counted over.
        window: Duration,
    },
}

/// What an endpoint was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// How it is: exempt health, Status.
    Health,
    /// What everybody asks.
    Ordinary,
}

/// Which of the probes at an endpoint are slow: the fast ones beside them show where the time goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Traffic {
    /// All of them, or too little is known.
    #[default]
    All,
    /// Ordinary requests; exempt health checks are quick.
    Ordinary,
    /// Ordinary requests are refused for overload (429); exempt health checks are answered.
    Shed,
    /// New connections, before anything is asked; requests over an open one are quick.
    Connecting,
    /// Health checks, which ask etcd; ordinary requests that need no etcd are quick.
    Health,
}

/// The expiry thresholds, ordered from early to late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpiryThreshold {
    /// Plan the renewal.
    Notice,
    /// Renew soon.
    Warning,
    /// Renew now.
    Urgent,
    /// Renew today.
    Page,
    /// Over.
    Expired,
}

impl Finding {
    /// Identity of what is wrong, whatever its level and evidence.
    #[must_use]
    pub fn key(&self) -> FindingKey {
        FindingKey { rule: self.rule, subject: self.subject.clone() }
    }
}

impl Finding {
    /// The expiry threshold that it has passed; `None` for what has nothing to do with certificates.
    #[must_use]
    pub const fn band(&self) -> Option<ExpiryThreshold> {
        if let Evidence::Expiry { band, .. } | Evidence::Stored { band, .. } = self.evidence {
            Some(band)
        } else {
            None
        }
    }
}

/// A rule and a subject: the identity of an alarm.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FindingKey {
    /// The rule.
    pub rule: RuleId,
    /// The subject.
    pub subject: Subject,
}

impl ExpiryThreshold {
    /// The word people read.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Urgent => "urgent",
            Self::Page => "page",
            Self::Expired => "expired",
        }
    }
}
