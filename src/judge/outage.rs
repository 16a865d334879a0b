//! Which findings mean that a whole cluster is down: a silence does not cover them unless it includes outages.

use crate::model::finding::Finding;
use crate::model::rule::Level;

/// Whether the cluster as a whole is out of use, by what the evidence says. A finding that the configuration lowers
/// below critical does not count.
#[must_use]
pub fn is_outage(finding: &Finding) -> bool {
    finding.level == Level::Critical && finding.evidence.is_outage()
}
