//! Which findings mean that a whole cluster is down: a silence does not cover them unless it includes outages.

use crate::model::rule::{Level, RuleId};
use crate::model::verdict::Finding;

/// Whether the cluster as a whole is out of use: nothing can be read from its API or written to it, by the address that
/// clients use, on every instance, or in etcd behind them.
///
/// These are critical faults of the whole API or of etcd. An expired certificate is not among them, because one
/// endpoint serves it. A finding that the configuration lowers below critical does not count.
#[must_use]
pub fn is_outage(finding: &Finding) -> bool {
    finding.level == Level::Critical
        && match finding.rule {
            // F25 and F50 are critical when every instance is concerned, and not before.
            RuleId::F01 | RuleId::F09 | RuleId::F10 | RuleId::F23 | RuleId::F24 | RuleId::F25 | RuleId::F50 => true,
            RuleId::F02
            | RuleId::F03
            | RuleId::F04
            | RuleId::F05
            | RuleId::F08
            | RuleId::F22
            | RuleId::F26
            | RuleId::F27
            | RuleId::F28
            | RuleId::F49
            | RuleId::F51
            | RuleId::F52
            | RuleId::F53
            | RuleId::F54
            | RuleId::F55
            | RuleId::F56
            | RuleId::F57
            | RuleId::F58
            | RuleId::F59
            | RuleId::F60 => false,
        }
}
