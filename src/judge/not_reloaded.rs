//! F54: an endpoint still serves an old certificate although a newer one lies on disk.
//!
//! The certificate was renewed and the server still serves the old one, so it needs a reload. Reported only after both
//! were seen side by side for the policy's `not_loaded_after`, because servers take a while to reload.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::certificate::Fingerprint;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Evidence, ExpiryThreshold, Finding, Verdict, Why};
use crate::observe::certificate_files::{FilesView, Newest};
use crate::observe::view::ServedSeen;

use super::commands::{Command, Commands};
use super::context::RuleContext;
use super::edges::Edge;
use super::expiry::level;
use super::expiry::thresholds::Thresholds;
use super::words::Words;
use super::{Rule, phrases};
use crate::model::addresses::Addresses;

/// F54: renewed on disk, still served old.
pub struct NotReloaded;

impl Words for NotReloaded {
    fn id(&self) -> RuleId {
        RuleId::F54
    }

    fn title(&self) -> &'static str {
        "renewed certificate not in use"
    }

    fn headline(&self, finding: &Finding) -> String {
        let who = match &finding.subject {
            Subject::Vip(_) => "the API VIP".to_owned(),
            subject @ (Subject::Vantage
            | Subject::Reference(_)
            | Subject::Resolver(_)
            | Subject::Proxy(_)
            | Subject::Cluster(_)
            | Subject::Apiserver(..)
            | Subject::Etcd(..)
            | Subject::EtcdMember(..)
            | Subject::Stored(..)
            | Subject::Chain(..)) => phrases::fit(subject.short(), 18),
        };
        format!("{who}: renewed certificate not in use")
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let place = phrases::place(&finding.subject, addresses);
        let Evidence::Stale { path, served_ends, stored_ends, .. } = &finding.evidence else {
            return format!("{place} serves an older certificate than the one on disk.");
        };
        format!(
            "{place} still serves the certificate that {}, although {path} holds a newer one, {}.",
            if served_ends.is_endless() { "never expires".to_owned() } else { format!("expires at {served_ends}") },
            if stored_ends.is_endless() { "without expiry".to_owned() } else { format!("valid until {stored_ends}") },
        )
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "other evidence is of other rules")]
    fn impact(&self, finding: &Finding) -> String {
        match &finding.evidence {
            Evidence::Stale { served_ends, .. } if served_ends.is_endless() => {
                "Nothing by itself: what is served never expires. But the renewal has no effect.".into()
            }
            Evidence::Stale { served_ends, .. } => format!(
                "Nothing yet, and the renewal seems complete. But from {served_ends} on clients reject this endpoint all \
                 the same, because what is on disk is not what is served."
            ),
            _ => "The renewal has no effect yet.".into(),
        }
    }

    fn likely_cause(&self, finding: &Finding) -> String {
        let server = server(&finding.subject);
        format!(
            "The certificate was renewed, and {server} does not use it: the new file has not been copied to its \
             host, its \
             flag names another file, or a load balancer in front of it terminates TLS with a certificate of its own. By itself {server} loads a renewed file without a restart."
        )
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let fields = "-startdate -enddate -fingerprint -sha256";
        let mut next = vec![commands.served(&finding.subject, fields)];
        if let Evidence::Stale { path, .. } = &finding.evidence {
            next.push(commands.file(path, fields));
        }
        next.extend(commands.certificate_flag(&finding.subject));
        next.push(commands.restart_server(&finding.subject));
        next
    }

    fn renewed_by(&self, _: &Finding) -> Option<&'static str> {
        Some("it is renewed already: bring the new file to where the server reads it")
    }
}

fn server(subject: &Subject) -> &'static str {
    if subject.component() == "etcd" { "etcd" } else { "kube-apiserver" }
}

/// Probes that must have seen each of the two.
const PROBES: u32 = 2;

impl Rule for NotReloaded {
    fn explains(&self) -> &'static [Edge] {
        const EDGES: [Edge; 1] = [Edge::at_subject(RuleId::F26)];
        &EDGES
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let scope = context.cluster.map(|(name, _)| name);
        if scope.is_none() || context.view.inventory().files(scope).is_none_or(BTreeMap::is_empty) {
            return Vec::new();
        }
        let files_view = context.view.files_view(scope);
        let endpoints = context.served_endpoints().into_iter();
        endpoints.map(|endpoint| (endpoint.clone(), judge_endpoint(context, endpoint, files_view))).collect()
    }
}

fn judge_endpoint(context: &RuleContext<'_>, endpoint: Subject, files_view: Option<&FilesView>) -> Verdict {
    let (Some(files_view), Some(seen)) = (files_view, context.view.served(&endpoint)) else {
        return Verdict::Unknown(Why::NeverSeen);
    };
    let Some(leaf) = seen.served.leaf() else { return Verdict::Unknown(Why::Unclear) };
    let is_newer = |newest: &&Newest| {
        (newest.life.not_before, newest.life.not_after) > (leaf.not_before, leaf.not_after)
            && leaf.fingerprint != newest.fingerprint
    };
    let Some(newest) = files_view.newest(&endpoint).filter(is_newer) else {
        return not_newer(context, &endpoint, files_view, seen, leaf.fingerprint);
    };
    let (began, ended) = (
        if newest.since.mono > seen.since.mono { newest.since } else { seen.since },
        if newest.until.mono < seen.at.mono { newest.until } else { seen.at },
    );
    let is_confirmed = ended.mono.since(began.mono) >= context.policy().not_loaded_after;
    if !is_confirmed || newest.probes < PROBES || seen.repeats < PROBES {
        return Verdict::Unknown(Why::Suspected { since: began });
    }
    let class = context.view.inventory().endpoint(&endpoint).map(|known| known.certificates).unwrap_or_default();
    let band = Thresholds::Leaf(class).band(leaf, context.now.wall);
    Verdict::Bad(Finding {
        rule: RuleId::F54,
        subject: endpoint,
        // Of the severity of the served certificate's expiry, even if that is not urgent yet.
        level: band.filter(|band| *band >= ExpiryThreshold::Page).map_or(Level::Warning, level),
        since: began.wall,
        hold: Duration::ZERO,
        path_unproven: false,
        evidence: Evidence::Stale {
            served: leaf.fingerprint,
            stored: newest.fingerprint,
            path: newest.path.to_string(),
            source: Some(newest.source.clone()),
            served_ends: leaf.not_after,
            stored_ends: newest.life.not_after,
        },
    })
}

/// No newer one is known to lie in a file. A finding is over when the certificate of the file is served now, or when
/// the file could be read and holds it no longer.
fn not_newer(
    context: &RuleContext<'_>,
    endpoint: &Subject,
    files_view: &FilesView,
    seen: &ServedSeen,
    leaf: Fingerprint,
) -> Verdict {
    let raised = context.raised_of(RuleId::F54, endpoint).map(|finding| &finding.evidence);
    let may_lie_there = match raised {
        Some(Evidence::Stale { stored, .. }) if *stored == leaf => false,
        Some(Evidence::Stale { source, path, .. }) => files_view.may_hide(source.as_ref(), std::slice::from_ref(path)),
        _ => files_view.newest(endpoint).is_none(),
    };
    if may_lie_there {
        return Verdict::Unknown(Why::Unclear);
    }
    let until = if files_view.at().mono < seen.at.mono && raised.is_some() { files_view.at() } else { seen.at };
    Verdict::Good { since: seen.since, until, probes: seen.repeats }
}
