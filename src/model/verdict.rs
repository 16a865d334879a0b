//! What a rule finds of a subject: good, bad or unknown. Missing observations are never good.

use serde::{Deserialize, Serialize};

use super::health::Foreign;
use super::phase::Unseen;
use super::time::Now;

pub use super::certificate_evidence::{Anchor, ExpiryThreshold, Untrusted};
pub use super::finding::{Evidence, Finding, FindingKey, Kind};

/// A rule's statement about one subject at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
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
