//! Canaries: small requests with a credential of their own that go the whole way of a client's request, through
//! authentication, authorization, admission and storage, which probes of health do not.
//!
//! All of them stay in one namespace. They write one Lease and nothing else: what they create is a dry run.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::probe::ProbeKind;

/// A canary, as the configuration switches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Canary {
    /// Renews a Lease.
    Lease,
    /// Reads the Lease from the watch cache of each instance.
    Propagation,
    /// Creates a ConfigMap and a Pod, as dry runs.
    Create,
    /// Asks whether it may do something (SelfSubjectAccessReview).
    Authorization,
    /// Reads a Secret.
    Secret,
}

/// The canaries of one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canaries {
    /// Those that are switched on.
    pub on: BTreeSet<Canary>,
    /// Where they stay.
    pub namespace: String,
    /// The Lease that is renewed: its name carries the vantage, so that two bastions have one each.
    pub lease: String,
    /// The Secret that is read.
    pub secret: String,
}

/// What came of one canary that was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryAnswer {
    /// What it means.
    pub result: CanaryResult,
    /// The server's own words where it did not do it, escaped and shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
}

/// What an answer to a canary means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CanaryResult {
    /// It was done.
    Done {
        /// The `resourceVersion` of the object, where it has one that is a number.
        revision: Option<u64>,
    },
    /// Policy, quota or validation says no: admission has run, so that this is an answer like any other.
    Rejected,
    /// An admission webhook could not be called, and its failurePolicy lets nothing pass.
    Webhook {
        /// Its name.
        name: String,
        /// How the call failed.
        fault: WebhookFault,
    },
    /// The server gave the request up after the time that it asked for (504).
    TimedOut,
    /// What is stored could not be decrypted.
    Undecryptable,
    /// 429: turned away.
    Shed {
        /// Seconds that the server asks to stay away.
        retry_after_secs: Option<u32>,
    },
    /// 403 by authorization: a right is missing.
    Forbidden,
    /// 404: the namespace or the object is not there.
    Missing,
    /// The namespace is being deleted.
    Terminating,
    /// 409: somebody else writes the Lease as well.
    Conflict,
    /// Another status.
    Status(u16),
    /// A success with something else in it.
    Foreign,
}

/// How the call of a webhook failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookFault {
    /// No answer in time.
    Timeout,
    /// Its certificate is not trusted, or for another name.
    Certificate,
    /// Nothing listens, or its Service has no endpoints.
    Unreachable,
    /// It answered with an error.
    Error,
}

/// Why a canary cannot be used: a fault of its own setup, never one of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CanaryLack {
    /// A right is missing, or the namespace is gone with the rights in it.
    Right,
    /// The namespace or the object is not there, or going.
    Object,
    /// Somebody else writes the Lease as well.
    Contested,
}

impl Canary {
    /// All, in the order in which they are listed.
    pub const ALL: [Self; 5] = [Self::Lease, Self::Propagation, Self::Create, Self::Authorization, Self::Secret];

    /// Its key in the configuration, also a bounded label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Propagation => "propagation",
            Self::Create => "create",
            Self::Authorization => "authorization",
            Self::Secret => "secret",
        }
    }

    /// What stays unseen without it.
    #[must_use]
    pub const fn shows(self) -> &'static str {
        match self {
            Self::Lease => "whether writes reach etcd",
            Self::Propagation => "stale watch caches (F38)",
            Self::Create => "failing or slow admission webhooks (F21)",
            Self::Authorization => "slow authorization webhooks (F34)",
            Self::Secret => "whether Secrets can be decrypted (F35)",
        }
    }
}

impl Canaries {
    /// The namespace unless configured.
    pub const NAMESPACE: &str = "vedette";
    /// The Secret unless configured.
    pub const SECRET: &str = "vedette-canary";
    /// The ServiceAccount that the Pod names, which admission wants to exist.
    pub const SERVICE_ACCOUNT: &str = "vedette-canary";

    /// The Lease of `vantage` unless configured: `vedette-` and its name as far as names of objects go.
    #[must_use]
    pub fn lease_of(vantage: &str) -> String {
        let mut name = String::from("vedette-");
        for character in vantage.chars().take(200) {
            let lower = character.to_ascii_lowercase();
            let is_plain = lower.is_ascii_alphanumeric() || lower == '.';
            name.push(if is_plain { lower } else { '-' });
        }
        // A part between dots begins and ends with a letter or digit.
        let parts = name.split('.').map(|part| part.trim_matches('-')).filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(".")
    }

    /// Whether `canary` is switched on.
    #[must_use]
    pub fn has(&self, canary: Canary) -> bool {
        self.on.contains(&canary)
    }
}

impl ProbeKind {
    /// The canary that a probe of this kind belongs to.
    #[must_use]
    pub const fn canary(self) -> Option<Canary> {
        match self {
            Self::LeaseWrite => Some(Canary::Lease),
            Self::LeaseRead => Some(Canary::Propagation),
            Self::CreateConfigMap | Self::CreatePod => Some(Canary::Create),
            Self::AccessReview => Some(Canary::Authorization),
            Self::SecretRead => Some(Canary::Secret),
            Self::Readyz
            | Self::Livez
            | Self::Version
            | Self::EtcdStatus
            | Self::EtcdRead
            | Self::EtcdAlarms
            | Self::EtcdMembers
            | Self::EtcdHealth
            | Self::EtcdMetrics
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
            | Self::Statusz
            | Self::Flagz => None,
        }
    }
}

impl CanaryResult {
    /// Whether the whole way was gone: what came is the answer that a client would have got.
    #[must_use]
    pub const fn is_answer(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Rejected)
    }

    /// What of the canary's own setup is missing, where that is why it was not done.
    #[must_use]
    pub const fn lack(&self) -> Option<CanaryLack> {
        match self {
            Self::Forbidden => Some(CanaryLack::Right),
            Self::Missing | Self::Terminating => Some(CanaryLack::Object),
            Self::Conflict => Some(CanaryLack::Contested),
            Self::Done { .. }
            | Self::Rejected
            | Self::Webhook { .. }
            | Self::TimedOut
            | Self::Undecryptable
            | Self::Shed { .. }
            | Self::Status(_)
            | Self::Foreign => None,
        }
    }

    /// Seconds after which the server wants to be asked again.
    #[must_use]
    pub const fn retry_after_secs(&self) -> Option<u32> {
        if let Self::Shed { retry_after_secs } = self { *retry_after_secs } else { None }
    }
}

/// In a few words.
impl fmt::Display for CanaryResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done { .. } => f.write_str("done"),
            Self::Rejected => f.write_str("rejected by policy, quota or validation"),
            Self::Webhook { name, fault } => write!(f, "webhook {name}: {}", fault.as_str()),
            Self::TimedOut => f.write_str("HTTP 504, not completed in 4 s"),
            Self::Undecryptable => f.write_str("cannot be decrypted"),
            Self::Shed { .. } => f.write_str("HTTP 429, the server is overloaded"),
            Self::Forbidden => f.write_str("not allowed for the writer's user"),
            Self::Missing => f.write_str("HTTP 404, namespace or object missing"),
            Self::Terminating => f.write_str("the namespace is being deleted"),
            Self::Conflict => f.write_str("HTTP 409, somebody else writes the Lease"),
            Self::Status(status) => write!(f, "HTTP {status}"),
            Self::Foreign => f.write_str("HTTP 200 with something else"),
        }
    }
}

impl WebhookFault {
    /// In words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "no answer in time",
            Self::Certificate => "its certificate is not trusted",
            Self::Unreachable => "cannot be reached",
            Self::Error => "answers with an error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lease_of_a_vantage_has_a_name_that_an_object_may_have() {
        for (vantage, lease) in [
            ("bastion-1", "vedette-bastion-1"),
            ("Bastion_1.Example.com", "vedette-bastion-1.example.com"),
            ("b..a-.x", "vedette-b.a.x"),
            ("ü", "vedette"),
        ] {
            assert_eq!(Canaries::lease_of(vantage), lease);
        }
    }
}
