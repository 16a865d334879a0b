//! What is wrong, and how to say it: one file per rule family, one table [`RULES`].
//!
//! Pure: a view and `now` in, verdicts out. A rule decides what an unseen probe means to it: bad for availability,
//! unknown for expiry. The rules know of no holds or incidents: a finding only carries the hold it asks for. [`Evidence`](crate::model::finding::Evidence)
//! provides the subject of a mail, and [`outage`] decides which findings a silence covers only where it includes outages.

mod canary_state;
pub mod commands;
pub mod context;
pub mod description;
pub mod edges;
mod instance;
pub mod outage;
mod pages;
pub mod phrases;
pub mod readiness;
pub mod stored;
pub mod throttle;
pub mod words;

use std::collections::BTreeSet;

use crate::catalogue::catalogue;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::{Name, Role, Subject};
use crate::model::time::Now;
use crate::model::verdict::{Finding, FindingKey, Verdict, Why};

use crate::observe::view::View;

use context::RuleContext;
use description::Description;
use edges::Edge;
use stored::{ReadBack, Stored};

/// A rule: what there is to know of it, its evaluation, and what it explains. What its findings say and do to the
/// cluster is asked of their [`Evidence`](crate::model::finding::Evidence), which is in the rule's file too.
pub trait Rule: Sync {
    /// What there is to know of it without a finding.
    fn description(&self) -> &'static Description;

    /// The evidence of one of its findings, read back; `None` where it finds nothing of that kind.
    fn read(&self, stored: &Stored) -> Option<ReadBack>;

    /// The rule's name.
    fn id(&self) -> RuleId {
        self.description().id
    }

    /// Findings of other rules that follow from a finding of this one.
    fn explains(&self) -> &'static [Edge];

    /// Whether `effect`, to which an edge leads, is of the kind that follows from a finding about `cause`.
    fn is_effect(&self, _cause: &Subject, _effect: &Finding) -> bool {
        true
    }

    /// Whether its findings describe the setup, or a busy day, rather than a fault: at severity info they are listed and
    /// open no incident.
    fn is_listed_only(&self) -> bool {
        false
    }

    /// A verdict for every subject of the context that the rule is about, whatever has been seen, and for everything
    /// that it has raised and that is still configured. A subject without a verdict is one that is not configured any
    /// more.
    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)>;

    /// A plausible finding of it, for tests of everything that stores, renders or sends.
    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample;
}

/// Makes the modules of the rules, their table and the way to each of the catalogue's lines.
macro_rules! rules {
    ($($id:ident $module:ident $rule:ident,)*) => {
        $(pub mod $module;)*

        /// Every rule. The README's table, the edges of root causes and the evaluation take their rules from here.
        pub static RULES: [&dyn Rule; RuleId::ALL.len()] = [$(&$module::$rule,)*];

        /// The rule of that name.
        #[must_use]
        pub fn rule(id: RuleId) -> &'static dyn Rule {
            match id {
                $(RuleId::$id => &$module::$rule,)*
            }
        }
    };
}

catalogue!(rules);

/// All verdicts about one cluster, or about the vantage.
///
/// While the vantage has no network no fault of a cluster counts, nor one behind a proxy that fails.
#[must_use]
pub fn judge(context: &RuleContext<'_>) -> Vec<(FindingKey, Verdict)> {
    let is_isolated = context.view.path().is_isolated() && context.cluster.is_some();
    let has_lost_way = context.cluster.is_some_and(|(name, _)| context.view.lost_way(name, context.now.mono).is_some());
    let mut verdicts = Vec::new();
    for rule in RULES {
        for (subject, verdict) in rule.judge(context) {
            let verdict = match verdict {
                Verdict::Bad(_) | Verdict::Unknown(_)
                    if is_isolated || has_lost_way && is_seen_through_proxy(&subject) =>
                {
                    Verdict::Unknown(Why::Vantage)
                }
                Verdict::Bad(finding) => Verdict::Bad(with_configured_level(finding, context)),
                Verdict::Good { .. } | Verdict::Unknown(_) => verdict,
            };
            verdicts.push((FindingKey { rule: rule.id(), subject }, verdict));
        }
    }
    verdicts
}

/// Which of `raised`, all of one cluster or of the vantage, no rule could raise in a configuration: the subject is not
/// watched any more, or not in a way that concerns this rule. `unseen` is that configuration before any probe: a rule
/// is about the same subjects whatever was seen of them.
#[must_use]
pub fn unconfigured(unseen: &View, scope: Option<&Name>, raised: &[&Finding], now: Now) -> Vec<FindingKey> {
    let cluster = scope.and_then(|name| unseen.inventory().clusters.get_key_value(name));
    let mut keys: BTreeSet<FindingKey> = raised.iter().map(|finding| finding.key()).collect();
    if scope.is_none() || cluster.is_some() {
        for (key, _) in judge(&RuleContext { view: unseen, cluster, now, raised }) {
            keys.remove(&key);
        }
    }
    keys.into_iter().collect()
}

/// Whether a statement about `subject` depends on probes through the cluster's proxy, where it has one.
const fn is_seen_through_proxy(subject: &Subject) -> bool {
    matches!(subject.role(), Role::Cluster | Role::Api)
}

fn with_configured_level(finding: Finding, context: &RuleContext<'_>) -> Finding {
    let own = context.cluster.and_then(|(_, cluster)| cluster.levels.get(&finding.rule));
    let configured: Option<Level> = own.or_else(|| context.view.inventory().levels.get(&finding.rule)).copied();
    Finding { level: configured.unwrap_or(finding.level), ..finding }
}

#[cfg(test)]
mod tests;
