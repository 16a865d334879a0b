//! What is wrong, and how to say it: one file per rule family, one table [`RULES`].
//!
//! Pure: a view and `now` in, verdicts out. A rule decides what an unseen probe means to it: bad for availability,
//! unknown for expiry. The rules know of no holds or incidents: a finding only carries the hold it asks for. [`Words`]
//! provides the subject of a mail, and [`outage`] decides which findings a silence covers only where it includes outages.

pub mod commands;
pub mod context;
pub mod edges;
pub mod outage;
pub mod words;

pub mod address;
pub mod certificate_files;
pub mod client_hello;
pub mod corrupt;
pub mod credential_rejected;
pub mod etcd_membership;
pub mod etcd_partition;
pub mod expiry;
pub mod instance;
pub mod isolated;
pub mod leader_changes;
pub mod monitoring_gap;
pub mod nospace;
pub mod not_an_apiserver;
pub mod not_reloaded;
pub mod phrases;
pub mod proxy;
pub mod quorum;
pub mod quota;
pub mod readiness;
pub mod redundancy;
pub mod reference_target;
pub mod slow;
pub mod throttle;
pub mod untrusted;
pub mod vip;

use std::collections::BTreeSet;

use crate::model::rule::{Level, RuleId};
use crate::model::subject::{Name, Subject};
use crate::model::time::Now;
use crate::model::verdict::{Finding, FindingKey, Verdict, Why};

use crate::observe::view::View;

use context::RuleContext;
use edges::Edge;
use words::Words;

/// A rule: its texts, its evaluation, and what it explains.
pub trait Rule: Words {
    /// Findings of other rules that follow from a finding of this one.
    fn explains(&self) -> &'static [Edge];

    /// Whether this finding is grave enough to be a cause at all.
    fn is_cause(&self, _finding: &Finding) -> bool {
        true
    }

    /// Whether `effect`, to which an edge leads, is of the kind that follows from a finding about `cause`.
    fn is_effect(&self, _cause: &Subject, _effect: &Finding) -> bool {
        true
    }

    /// Whether its findings describe the setup rather than a fault: at severity info they are listed and open no
    /// incident.
    fn is_listed_only(&self) -> bool {
        false
    }

    /// A verdict for every subject of the context that the rule is about, whatever has been seen, and for everything
    /// that it has raised and that is still configured. A subject without a verdict is one that is not configured any
    /// more.
    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)>;
}

/// Every rule. The README's table, the edges of root causes and the evaluation take their rules from here.
pub static RULES: [&dyn Rule; RuleId::ALL.len()] = [
    &quorum::QuorumLost,
    &quorum::MemberDown,
    &etcd_partition::EtcdPartition,
    &isolated::Isolated,
    &leader_changes::LeaderChanges,
    &quota::NearQuota,
    &nospace::NoSpace,
    &corrupt::Corrupt,
    &instance::OneBad,
    &vip::VipDead,
    &instance::AllDown,
    &readiness::EtcdUnreachable,
    &expiry::CertificateEnds,
    &untrusted::ChainUntrusted,
    &certificate_files::StoredEnds,
    &slow::Slow,
    &readiness::NotReady,
    &redundancy::SinglePoints,
    &credential_rejected::Refused,
    &monitoring_gap::MonitoringGap,
    &not_reloaded::NotReloaded,
    &reference_target::ReferenceSilent,
    &client_hello::HelloDropped,
    &etcd_membership::EtcdMembership,
    &not_an_apiserver::NotAnApiserver,
    &address::AddressDead,
    &proxy::ProxyFails,
];

/// The rule of that name.
#[must_use]
pub fn rule(id: RuleId) -> &'static dyn Rule {
    let position = RuleId::ALL.iter().position(|known| *known == id).unwrap_or_default();
    RULES[position]
}

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
    matches!(subject, Subject::Cluster(_) | Subject::Vip(_) | Subject::Apiserver(..))
}

fn with_configured_level(finding: Finding, context: &RuleContext<'_>) -> Finding {
    let own = context.cluster.and_then(|(_, cluster)| cluster.levels.get(&finding.rule));
    let configured: Option<Level> = own.or_else(|| context.view.inventory().levels.get(&finding.rule)).copied();
    Finding { level: configured.unwrap_or(finding.level), ..finding }
}

#[cfg(test)]
mod tests;
