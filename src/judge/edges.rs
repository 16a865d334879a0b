//! Root causes: which finding follows from which, and by which relation.
//!
//! Suppression affects only what is mailed; a suppressed finding is still measured and resolved.

use crate::model::rule::RuleId;
use crate::model::subject::Subject;
use crate::model::verdict::Finding;

use super::{RULES, rule};

/// A finding of `effect` follows from a finding of the rule that owns this edge, if their subjects are so related.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// The rule whose findings follow; `None` for every rule.
    pub effect: Option<RuleId>,
    /// How the subjects must be related.
    pub relation: Relation,
}

/// Relations between the subject of a cause and that of its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The same subject.
    SameSubject,
    /// The same cluster.
    SameCluster,
    /// The cause is the vantage, and everything else follows from it.
    Vantage,
}

impl Edge {
    /// An edge to findings of `effect` in the same cluster.
    #[must_use]
    pub const fn in_cluster(effect: RuleId) -> Self {
        Self { effect: Some(effect), relation: Relation::SameCluster }
    }

    /// An edge to findings of `effect` about the same subject.
    #[must_use]
    pub const fn at_subject(effect: RuleId) -> Self {
        Self { effect: Some(effect), relation: Relation::SameSubject }
    }
}

/// Whether `effect` follows from `cause`.
#[must_use]
pub fn explains(cause: &Finding, effect: &Finding) -> bool {
    let owner = rule(cause.rule);
    cause.key() != effect.key()
        && cause.evidence.is_cause()
        && owner.is_effect(&cause.subject, effect)
        && owner.explains().iter().any(|edge| {
            edge.effect.is_none_or(|rule| rule == effect.rule) && holds(edge.relation, &cause.subject, &effect.subject)
        })
}

/// Whether a finding explains anything at all.
#[must_use]
pub fn is_cause(finding: &Finding) -> bool {
    let owner = rule(finding.rule);
    !owner.explains().is_empty() && finding.evidence.is_cause()
}

/// Rules whose findings could explain one of `effect`, each with how the subjects must be related.
pub fn causes(effect: RuleId) -> impl Iterator<Item = (RuleId, Relation)> {
    RULES.iter().flat_map(move |owner| {
        let edges = owner.explains().iter().filter(move |edge| edge.effect.is_none_or(|rule| rule == effect));
        edges.map(move |edge| (owner.id(), edge.relation)).filter(move |(rule, _)| *rule != effect)
    })
}

fn holds(relation: Relation, cause: &Subject, effect: &Subject) -> bool {
    match relation {
        Relation::SameSubject => cause == effect,
        Relation::SameCluster => cause.cluster().is_some() && cause.cluster() == effect.cluster(),
        Relation::Vantage => effect.cluster().is_some() || effect.is_proxy(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_rule_explains_itself_by_a_detour() {
        for start in RuleId::ALL {
            let mut reached = BTreeSet::new();
            let mut next = vec![start];
            while let Some(id) = next.pop() {
                for edge in rule(id).explains() {
                    for effect in edge.effect.into_iter() {
                        assert_ne!(effect, start, "{start} explains itself");
                        if reached.insert(effect) {
                            next.push(effect);
                        }
                    }
                }
            }
        }
    }
}
