//! F54: an endpoint still serves an old certificate although a newer one lies on disk.
//!
//! The certificate was renewed and the server still serves the old one, so it needs a reload. Reported only after both
//! were seen side by side for the policy's `not_loaded_after`, because servers take a while to reload.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::certificate::Fingerprint;
use crate::model::certificate_evidence::CertificateEvidence;
use crate::model::finding::{Evidence, Kind};
use crate::model::flat_map::FlatMap;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::{Name, Subject};
use crate::model::time::UnixTime;
use crate::model::verdict::{ExpiryThreshold, Finding, Verdict, Why};
use crate::observe::certificate_files::{FilesView, Newest};
use crate::observe::view::ServedSeen;

use super::commands::{Command, Commands};
use super::context::RuleContext;
use super::description::{Description, Shows};
use super::edges::Edge;
use super::expiry::level;
use super::expiry::thresholds::Thresholds;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F54: renewed on disk, still served old.
pub struct NotReloaded;

/// An endpoint serves an older certificate than lies in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stale {
    /// What is served.
    pub served: Fingerprint,
    /// What lies in the file.
    pub stored: Fingerprint,
    /// The file.
    pub path: String,
    /// The source it belongs to; `None` in what was written down before it was kept.
    #[serde(default)]
    pub source: Option<Name>,
    /// End of what is served.
    pub served_ends: UnixTime,
    /// End of what lies in the file.
    pub stored_ends: UnixTime,
}

impl Kind for Stale {
    const TAG: &'static str = "stale";
}

impl Evidence for Stale {
    fn headline(&self, finding: &Finding) -> String {
        format!("{}: renewed certificate not in use", phrases::fit(&phrases::name(&finding.subject), 18))
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let place = phrases::place(&finding.subject, addresses);
        let Self { path, served_ends, stored_ends, .. } = self;
        format!(
            "{place} still serves the certificate that {}, although {path} holds a newer one, {}.",
            if served_ends.is_endless() { "never expires".to_owned() } else { format!("expires at {served_ends}") },
            if stored_ends.is_endless() { "without expiry".to_owned() } else { format!("valid until {stored_ends}") },
        )
    }

    fn impact(&self, _: &Finding) -> String {
        if self.served_ends.is_endless() {
            return "Nothing by itself: what is served never expires. But the renewal has no effect.".into();
        }
        format!(
            "Nothing yet, and the renewal seems complete. But from {} on clients reject this endpoint all the same, \
             because what is on disk is not what is served.",
            self.served_ends
        )
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
        next.push(commands.file(&self.path, fields));
        next.extend(commands.certificate_flag(&finding.subject));
        next.push(commands.restart_server(&finding.subject));
        next
    }

    fn renewed_by(&self, _: &Finding) -> Option<&'static str> {
        Some("it is renewed already: bring the new file to where the server reads it")
    }

    fn certificates(&self) -> Option<CertificateEvidence<'_>> {
        Some(CertificateEvidence::Outdated {
            served: self.served,
            served_ends: self.served_ends,
            stored: self.stored,
            stored_ends: self.stored_ends,
            file: &self.path,
        })
    }
}

fn server(subject: &Subject) -> &'static str {
    if subject.is_of_etcd() { "etcd" } else { "kube-apiserver" }
}

/// Probes that must have seen each of the two.
const PROBES: u32 = 2;

impl Rule for NotReloaded {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F54,
            name: "RenewedCertificateNotServed",
            in_short: "not reloaded",
            title: "renewed certificate not in use",
            impact: "The renewal has no effect yet.",
            likely_cause: "The certificate was renewed, and kube-apiserver does not use it: the new file has not \
                been copied to its host, its flag names another file, or a load balancer in front of it terminates \
                TLS with a certificate of its own. By itself kube-apiserver loads a renewed file without a restart.",
            shows: Shows::Nothing,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<Stale>()
    }

    fn explains(&self) -> &'static [Edge] {
        const EDGES: [Edge; 1] = [Edge::at_subject(RuleId::F26)];
        &EDGES
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let scope = context.cluster.map(|(name, _)| name);
        if scope.is_none() || context.view.inventory().files(scope).is_none_or(FlatMap::is_empty) {
            return Vec::new();
        }
        let files_view = context.view.files_view(scope);
        let endpoints = context.served_endpoints().into_iter();
        endpoints.map(|endpoint| (endpoint.clone(), judge_endpoint(context, endpoint, files_view))).collect()
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::model::replacement::Replacement;
        use crate::samples::{OPENED, lines};
        use crate::samples::{Sample, served};

        Sample::of(
            "prod-eu1/apiserver/api-1",
            Level::Warning,
            Arc::new(Stale {
                served: Fingerprint([0x5a; 32]),
                stored: Fingerprint([0x5b; 32]),
                path: "/srv/pki/api-1/apiserver.crt".into(),
                source: None,
                served_ends: OPENED.plus(Duration::from_secs(6 * 86_400)),
                stored_ends: OPENED.plus(Duration::from_secs(371 * 86_400)),
            }),
        )
        .probes(vec![lines::api("apiserver/api-1", 1200, "HTTP 200"), lines::api("apiserver/api-2", 1100, "HTTP 200")])
        .replaced({
            let not_after = OPENED.plus(Duration::from_secs(371 * 86_400));
            vec![Replacement { not_after, ..served("apiserver/api-1", 0x5a, 0x5b) }]
        })
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
        evidence: Arc::new(Stale {
            served: leaf.fingerprint,
            stored: newest.fingerprint,
            path: newest.path.to_string(),
            source: Some(newest.source.clone()),
            served_ends: leaf.not_after,
            stored_ends: newest.life.not_after,
        }),
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
    let raised = context.raised_of(RuleId::F54, endpoint).and_then(Finding::seen::<Stale>);
    let may_lie_there = match raised {
        Some(Stale { stored, .. }) if *stored == leaf => false,
        Some(Stale { source, path, .. }) => files_view.may_hide(source.as_ref(), std::slice::from_ref(path)),
        None => files_view.newest(endpoint).is_none(),
    };
    if may_lie_there {
        return Verdict::Unknown(Why::Unclear);
    }
    let until = if files_view.at().mono < seen.at.mono && raised.is_some() { files_view.at() } else { seen.at };
    Verdict::Good { since: seen.since, until, probes: seen.repeats }
}
