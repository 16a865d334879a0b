//! Which findings follow from which, as far as this folder needs to know it, and where they can be.
//!
//! The rules' own edges are in `judge` and come in as functions. They answer with places rather than with yes or no for
//! each pair, so that no call walks over all ongoing findings.

use serde::{Deserialize, Serialize};

use crate::model::rule::RuleId;
use crate::model::subject::Name;
use crate::model::verdict::{Finding, FindingKey};

/// Findings of one rule in one cluster, or of the vantage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RuleScope(RuleId, Option<Name>);

/// Where a related finding may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Near {
    /// There alone.
    At(FindingKey),
    /// Any of these.
    In(RuleScope),
}

/// What follows from what.
#[derive(Debug, Clone, Copy)]
pub struct Relations {
    /// Whether the first finding explains the second.
    pub explains: fn(&Finding, &Finding) -> bool,
    /// Whether a finding explains anything at all.
    pub is_cause: fn(&Finding) -> bool,
    /// Where findings are that could explain this one.
    pub causes: fn(&FindingKey) -> Vec<Near>,
    /// Where findings of the same cluster are that this one could explain.
    pub effects: fn(&FindingKey) -> Vec<Near>,
    /// Whether a finding is only ever listed, and opens no incident.
    pub is_listed: fn(&Finding) -> bool,
}

impl RuleScope {
    /// The scope that `key` belongs to: the findings of its rule in its cluster.
    #[must_use]
    pub fn of(key: &FindingKey) -> Self {
        Self(key.rule, key.subject.cluster().cloned())
    }

    /// Findings of `rule` in the cluster of `key`.
    #[must_use]
    pub fn beside(key: &FindingKey, rule: RuleId) -> Self {
        Self(rule, key.subject.cluster().cloned())
    }
}

impl Default for Relations {
    /// Nothing follows from anything.
    fn default() -> Self {
        Self {
            explains: |_, _| false,
            is_cause: |_| false,
            causes: |_| Vec::new(),
            effects: |_| Vec::new(),
            is_listed: |_| false,
        }
    }
}
