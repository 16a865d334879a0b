//! The rules' edges, as the alarms ask for them.

use crate::alert::relations::{Near, Relations, RuleScope};
use crate::judge::edges::{self, Relation};
use crate::judge::rule;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, FindingKey};

/// What follows from what, by the rules.
pub(super) const fn relations() -> Relations {
    Relations { explains: edges::explains, is_cause: edges::is_cause, causes, effects, is_listed }
}

fn causes(effect: &FindingKey) -> Vec<Near> {
    let near = |(rule, relation)| near(rule, relation, effect);
    edges::causes(effect.rule).filter_map(near).collect()
}

/// The vantage explains everything, and is no cause inside any cluster's incident.
fn effects(cause: &FindingKey) -> Vec<Near> {
    let edges = rule(cause.rule).explains().iter();
    let within = edges.filter_map(|edge| Some((edge.effect?, edge.relation)));
    within.filter_map(|(rule, relation)| near(rule, relation, cause)).collect()
}

fn near(rule: RuleId, relation: Relation, key: &FindingKey) -> Option<Near> {
    match relation {
        Relation::SameSubject => Some(Near::At(FindingKey { rule, subject: key.subject.clone() })),
        Relation::SameCluster => key.subject.cluster().map(|_| Near::In(RuleScope::beside(key, rule))),
        Relation::Vantage => {
            let is_beyond = key.subject.cluster().is_some() || key.subject.is_proxy();
            is_beyond.then_some(Near::At(FindingKey { rule, subject: Subject::Vantage }))
        }
    }
}

/// A finding about the setup is only listed, and opens no incident, unless the configuration raised its severity.
fn is_listed(finding: &Finding) -> bool {
    finding.level == Level::Info && rule(finding.rule).is_listed_only()
}
