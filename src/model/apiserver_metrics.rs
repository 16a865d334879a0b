//! What is taken from the `/metrics` page of an apiserver: a few figures out of megabytes.
//!
//! The page says how much, and never who, nor whether the server lives: it is the first that a busy server leaves
//! unanswered, and on a large cluster it is too large for many a scraper. Counters begin at the start of the process.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time::UnixTime;

/// The page of one instance at one time. What its version does not have is `None` or empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ApiserverMetrics {
    /// How long it is, in bytes.
    pub bytes: u64,
    /// When the process started.
    pub started: Option<UnixTime>,
    /// Seats of each priority level, at most [`Self::MAX_LEVELS`].
    pub seats: BTreeMap<String, Seats>,
    /// What was counted since the start.
    pub counters: BTreeMap<Counter, u64>,
    /// APIs that were asked for and that a coming version no longer has, at most [`Self::MAX_DEPRECATED`].
    pub deprecated: BTreeSet<DeprecatedApi>,
    /// Admission webhooks, at most [`Self::MAX_WEBHOOKS`].
    pub webhooks: BTreeMap<String, WebhookCounts>,
    /// Objects read by lists, by resource, at most [`Self::MAX_RESOURCES`].
    pub listed: BTreeMap<String, Listed>,
    /// Open watches, by resource, at most [`Self::MAX_RESOURCES`].
    #[serde(default)]
    pub watches: BTreeMap<String, u64>,
    /// Configuration files that the process reads again when they change.
    pub configurations: BTreeMap<Configuration, Loaded>,
}

/// What an apiserver counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counter {
    /// Pods that were given a node.
    PodsBound,
    /// Events that were created.
    EventsCreated,
    /// Audit events that could not be written, and requests that were rejected because of that.
    AuditLost,
    /// Watches that were ended because their client was too slow.
    WatchesEnded,
    /// Connections through the egress selector that could not be opened.
    EgressFailures,
}

/// The seats of one priority level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seats {
    /// Taken by requests under way.
    pub used: u64,
    /// Its own, whatever it lends or borrows at the moment.
    pub nominal: u64,
    /// Its own with what it borrows and without what it lends.
    pub limit: u64,
}

/// An API that a coming version no longer has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeprecatedApi {
    /// The version that removes it: `1.38`.
    pub removed_in: String,
    /// `flowschemas.flowcontrol.apiserver.k8s.io/v1beta3`.
    pub what: String,
}

/// What one admission webhook did to requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WebhookCounts {
    /// Calls.
    pub calls: u64,
    /// How long they took together, in milliseconds.
    pub millis: u64,
    /// Requests that failed because it could not be called.
    pub not_called: u64,
    /// Requests let through although it could not be called (`failurePolicy: Ignore`).
    pub failed_open: u64,
}

/// Objects of one resource that lists have read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Listed {
    /// From etcd.
    pub from_etcd: u64,
    /// From the watch cache.
    pub from_cache: u64,
}

impl WebhookCounts {
    /// What was counted since `before`.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self {
            calls: self.calls.saturating_sub(before.calls),
            millis: self.millis.saturating_sub(before.millis),
            not_called: self.not_called.saturating_sub(before.not_called),
            failed_open: self.failed_open.saturating_sub(before.failed_open),
        }
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            calls: self.calls.saturating_add(other.calls),
            millis: self.millis.saturating_add(other.millis),
            not_called: self.not_called.saturating_add(other.not_called),
            failed_open: self.failed_open.saturating_add(other.failed_open),
        }
    }

    /// How long one call took, on average; zero without any.
    #[must_use]
    pub fn mean(self) -> Duration {
        Duration::from_millis(self.millis.checked_div(self.calls).unwrap_or(0))
    }

    /// Times that it could not be called, whatever its failurePolicy made of that.
    #[must_use]
    pub const fn failures(self) -> u64 {
        self.not_called.saturating_add(self.failed_open)
    }
}

impl Listed {
    /// What was read since `before`.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self {
            from_etcd: self.from_etcd.saturating_sub(before.from_etcd),
            from_cache: self.from_cache.saturating_sub(before.from_cache),
        }
    }

    /// Wherever from.
    #[must_use]
    pub const fn all(self) -> u64 {
        self.from_etcd.saturating_add(self.from_cache)
    }
}

/// A file that an apiserver reads again when it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Configuration {
    /// `--authentication-config`.
    Authentication,
    /// `--authorization-config`.
    Authorization,
    /// `--encryption-provider-config`.
    Encryption,
}

/// What an apiserver has loaded of such a file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Loaded {
    /// Hash of what is in use, as the apiserver reports it.
    pub hash: Option<String>,
    /// Times that it could not be read again.
    pub failed: u64,
    /// When it was last read again with success.
    pub succeeded_at: Option<UnixTime>,
    /// When it last could not.
    pub failed_at: Option<UnixTime>,
}

/// What came instead of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoPage {
    /// 401 or 403: the right is missing.
    Forbidden,
    /// 429: the request itself was turned away.
    Shed {
        /// Seconds that the server asks to stay away.
        retry_after_secs: Option<u32>,
    },
    /// Another status.
    Status(u16),
    /// 200, and nothing of an apiserver.
    Foreign,
    /// It is longer than is read, or did not come in time: nothing is taken of a part.
    TooLarge,
}

impl ApiserverMetrics {
    /// Bound on priority levels kept; a stock apiserver has 8.
    pub const MAX_LEVELS: usize = 64;
    /// Bound on deprecated APIs kept.
    pub const MAX_DEPRECATED: usize = 64;
    /// Bound on webhooks kept; a cluster with many operators has some 50.
    pub const MAX_WEBHOOKS: usize = 128;
    /// Bound on resources kept; 300 custom resources are many.
    pub const MAX_RESOURCES: usize = 1024;

    /// Seats that requests take, and those there are, of all levels together.
    #[must_use]
    pub fn all_seats(&self) -> Option<(u64, u64)> {
        let sum = |of: fn(&Seats) -> u64| self.seats.values().map(of).fold(0, u64::saturating_add);
        let all = sum(|seats| seats.nominal);
        (all > 0).then(|| (sum(|seats| seats.used), all))
    }
}

impl Configuration {
    /// All of them, with what the names of their families begin with.
    pub const ALL: [(Self, &'static str); 3] = [
        (Self::Authentication, "apiserver_authentication_config_controller_"),
        (Self::Authorization, "apiserver_authorization_config_controller_"),
        (Self::Encryption, "apiserver_encryption_config_controller_"),
    ];

    /// The flag that names the file.
    #[must_use]
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Authentication => "--authentication-config",
            Self::Authorization => "--authorization-config",
            Self::Encryption => "--encryption-provider-config",
        }
    }
}

/// `encryption configuration`.
impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authentication => "authentication configuration",
            Self::Authorization => "authorization configuration",
            Self::Encryption => "encryption configuration",
        })
    }
}

/// Why there is no page, in a few words.
impl fmt::Display for NoPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden => f.write_str("not allowed for vedette's user"),
            Self::Shed { .. } => f.write_str("HTTP 429, the server is overloaded"),
            Self::Status(status) => write!(f, "HTTP {status}"),
            Self::Foreign => f.write_str("HTTP 200 with something else"),
            Self::TooLarge => f.write_str("longer than 64 MiB, or too slow"),
        }
    }
}
