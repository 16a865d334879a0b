//! Names of rules and severities. Their texts and their evaluation are in `judge`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Identity of a rule, as people quote it: `F01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RuleId {
    /// etcd quorum lost, or no leader.
    F01,
    /// One etcd member down.
    F02,
    /// etcd members split from each other while the vantage sees them all.
    F03,
    /// The vantage is cut off.
    F04,
    /// etcd changes its leader again and again.
    F05,
    /// The etcd database is close to its quota.
    F08,
    /// etcd raised NOSPACE.
    F09,
    /// etcd raised CORRUPT, or an alarm that is not known here.
    F10,
    /// One of several apiservers bad.
    F22,
    /// The address clients use is down while instances are ready.
    F23,
    /// Every apiserver down.
    F24,
    /// An apiserver cannot reach an etcd that is fine.
    F25,
    /// A served certificate ends soon or has ended.
    F26,
    /// A served chain is not verified by the configured CA.
    F27,
    /// A certificate or token in a file ends soon, has ended, or cannot be read.
    F28,
    /// Answers, but slowly.
    F49,
    /// Not ready for a reason that is not etcd.
    F50,
    /// Parts of which there is only one.
    F51,
    /// The monitor's own credential is refused.
    F52,
    /// Parts that cannot be seen.
    F53,
    /// A certificate was renewed on disk, and the old one is still served.
    F54,
    /// A reference target has been silent for long.
    F55,
    /// The path drops large ClientHellos.
    F56,
    /// etcd members are not what they are configured as.
    F57,
    /// Ready, but ordinary requests get no apiserver's answer.
    F58,
    /// One of several addresses of a name does not answer.
    F59,
    /// The proxy in front of clusters fails.
    F60,
}

/// The severity of a finding. Ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Listed, never mailed on its own.
    Info,
    /// Mailed after its hold.
    Warning,
    /// Mailed as soon as its hold ends.
    Critical,
}

/// Why a text names no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such rule; the rules are {}", RuleId::ALL.map(RuleId::as_str).join(", "))]
pub struct NoSuchRule;

impl RuleId {
    /// Every rule, in the order of their names.
    pub const ALL: [Self; 27] = [
        Self::F01,
        Self::F02,
        Self::F03,
        Self::F04,
        Self::F05,
        Self::F08,
        Self::F09,
        Self::F10,
        Self::F22,
        Self::F23,
        Self::F24,
        Self::F25,
        Self::F26,
        Self::F27,
        Self::F28,
        Self::F49,
        Self::F50,
        Self::F51,
        Self::F52,
        Self::F53,
        Self::F54,
        Self::F55,
        Self::F56,
        Self::F57,
        Self::F58,
        Self::F59,
        Self::F60,
    ];

    /// The symptom as one word, for the names of alerts and the label of metrics: `EtcdQuorumLost`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F01 => "EtcdQuorumLost",
            Self::F02 => "EtcdMemberDown",
            Self::F03 => "EtcdPartition",
            Self::F04 => "VantageIsolated",
            Self::F05 => "EtcdFrequentLeaderChanges",
            Self::F08 => "EtcdQuotaLowSpace",
            Self::F09 => "EtcdNoSpace",
            Self::F10 => "EtcdCorrupt",
            Self::F22 => "ApiserverDown",
            Self::F23 => "ApiVipDown",
            Self::F24 => "ApiDown",
            Self::F25 => "ApiserverEtcdUnreachable",
            Self::F26 => "ServingCertificateExpiring",
            Self::F27 => "ServingCertificateNotTrusted",
            Self::F28 => "FileCertificateExpiring",
            Self::F49 => "ApiSlow",
            Self::F50 => "ApiserverNotReady",
            Self::F51 => "SinglePointOfFailure",
            Self::F52 => "Unauthorized",
            Self::F53 => "MonitoringGap",
            Self::F54 => "RenewedCertificateNotServed",
            Self::F55 => "ReferenceTargetDown",
            Self::F56 => "LargeClientHelloDropped",
            Self::F57 => "EtcdMembershipMismatch",
            Self::F58 => "ApiForeignResponse",
            Self::F59 => "ApiAddressDown",
            Self::F60 => "ProxyDown",
        }
    }

    /// The rule's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::F01 => "F01",
            Self::F02 => "F02",
            Self::F03 => "F03",
            Self::F04 => "F04",
            Self::F05 => "F05",
            Self::F08 => "F08",
            Self::F09 => "F09",
            Self::F10 => "F10",
            Self::F22 => "F22",
            Self::F23 => "F23",
            Self::F24 => "F24",
            Self::F25 => "F25",
            Self::F26 => "F26",
            Self::F27 => "F27",
            Self::F28 => "F28",
            Self::F49 => "F49",
            Self::F50 => "F50",
            Self::F51 => "F51",
            Self::F52 => "F52",
            Self::F53 => "F53",
            Self::F54 => "F54",
            Self::F55 => "F55",
            Self::F56 => "F56",
            Self::F57 => "F57",
            Self::F58 => "F58",
            Self::F59 => "F59",
            Self::F60 => "F60",
        }
    }
}

impl FromStr for RuleId {
    type Err = NoSuchRule;

    fn from_str(text: &str) -> Result<Self, NoSuchRule> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == text).ok_or(NoSuchRule)
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Level {
    /// Bounded label value, and Prometheus's severity.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
