//! F26: a served certificate ends soon, or has ended. The expiry thresholds depend on who renews it: [`mod@thresholds`].
//!
//! Evaluated from the served chain whether or not it was accepted, because verification rejects just the chains that
//! this rule is about.

pub mod thresholds;

use std::time::Duration;

use crate::model::certificate::{Certificate, Class, Trust};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::{Now, UnixTime};
use crate::model::verdict::{Evidence, ExpiryThreshold, Finding, Verdict, Why};
use crate::observe::view::{Aspect, ServedSeen};

use thresholds::Thresholds;

use super::commands::{Command, Commands};
use super::context::RuleContext;
use super::edges::Edge;
use super::words::Words;
use super::{Rule, credential_rejected, phrases};
use crate::model::addresses::Addresses;

/// F26: a certificate in a served chain reaches the end of its life.
pub struct CertificateEnds;

impl Words for CertificateEnds {
    fn id(&self) -> RuleId {
        RuleId::F26
    }

    fn title(&self) -> &'static str {
        "served certificate expires soon or has expired"
    }

    fn headline(&self, finding: &Finding) -> String {
        let of = match &finding.subject {
            Subject::Vip(_) => "the API VIP".into(),
            Subject::Cluster(_) => "the cluster".into(),
            subject @ (Subject::Vantage
            | Subject::Reference(_)
            | Subject::Resolver(_)
            | Subject::Proxy(_)
            | Subject::Apiserver(..)
            | Subject::Etcd(..)
            | Subject::EtcdMember(..)
            | Subject::Stored(..)
            | Subject::Chain(..)) => phrases::fit(subject.short(), 22),
        };
        format!("TLS certificate of {of}: expiry")
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let Evidence::Expiry { holder, not_after, band, trust, places, .. } = &finding.evidence else {
            return "A served certificate expires.".into();
        };
        let at: Vec<String> = places.iter().map(|place| phrases::place(place, addresses)).collect();
        let ends = match band {
            ExpiryThreshold::Expired => "expired",
            ExpiryThreshold::Notice | ExpiryThreshold::Warning | ExpiryThreshold::Urgent | ExpiryThreshold::Page => {
                "expires"
            }
        };
        let verdict = match trust {
            Trust::Trusted | Trust::Expired | Trust::Unproven | Trust::Unverified => String::new(),
            Trust::NotYetValid | Trust::UnknownAuthority | Trust::WrongName | Trust::WrongPurpose | Trust::Invalid => {
                format!(" Verification fails as well: {}.", trust.as_str().replace('_', " "))
            }
        };
        format!("The certificate of {holder}, served by {}, {ends} at {not_after}.{verdict}", phrases::list(&at))
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "special words for some cases, a general sentence for all others"
    )]
    fn impact(&self, finding: &Finding) -> String {
        let (over, etcd) = match &finding.evidence {
            Evidence::Expiry { band, places, .. } => {
                (*band == ExpiryThreshold::Expired, places.iter().any(|place| place.component() == "etcd"))
            }
            _ => {
                return "At expiry all clients reject it; if the severity is critical it may have expired already."
                    .into();
            }
        };
        let who = if etcd {
            "apiservers and the other members reject this etcd member (x509: certificate has expired)"
        } else {
            "all clients reject it (x509: certificate has expired): kubectl, kubelets, controllers"
        };
        if over {
            format!("Expired: {who}. Connections that are open go on until they break.")
        } else {
            format!("Nothing yet. When it expires {who}.")
        }
    }

    fn likely_cause(&self, finding: &Finding) -> String {
        if !matches!(finding.evidence, Evidence::Expiry { .. }) {
            return "Not renewed, or renewed and not loaded.".into();
        }
        match thresholds(finding) {
            Thresholds::Authority => {
                "The CA itself expires, not only a leaf: renewing leaves does not help, the CA must be rotated, \
                 which takes preparation."
            }
            Thresholds::Leaf(Class::Manual) => {
                "Not renewed, or the renewed file is not on this host. kubeadm renews only on upgrade or by command \
                 (kubeadm certs renew all)."
            }
            Thresholds::Leaf(Class::Automatic) => {
                "Its renewal is overdue: it is configured as renewed by a program (certificates: automatic), which \
                 is due when a third of its lifetime is left. Either that program is stuck, or the server has not \
                 loaded the renewed certificate."
            }
            Thresholds::Leaf(Class::Restart) => {
                let before =
                    restart_before(finding).map_or_else(String::new, |end| format!(" Restart it before {end}."));
                return format!(
                    "Configured as renewed by the server when it starts (certificates: restart; k3s and RKE2 do so), \
                     and it has not been restarted since the renewal was due.{before}"
                );
            }
        }
        .into()
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "special words for some cases, a general sentence for all others"
    )]
    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let place = match &finding.evidence {
            Evidence::Expiry { places, .. } => places.first().cloned(),
            _ => None,
        }
        .unwrap_or_else(|| finding.subject.clone());
        let mut next = vec![commands.served(&place, "-subject -issuer -enddate")];
        match thresholds(finding) {
            Thresholds::Authority => next.push(commands.expirations(&place)),
            Thresholds::Leaf(Class::Manual | Class::Restart) => {
                next.push(commands.expirations(&place));
                next.extend(commands.renew(&place));
            }
            Thresholds::Leaf(Class::Automatic) => {
                let loaded = commands.served_file(&place);
                next.extend(loaded.map(|file| file.note("a later date than is served: not loaded yet")));
                next.push(commands.cert_manager());
            }
        }
        next
    }

    fn renewed_by(&self, finding: &Finding) -> Option<&'static str> {
        let is_etcd = matches!(&finding.evidence, Evidence::Expiry { places, .. }
            if places.iter().any(|place| place.component() == "etcd"));
        Some(match (thresholds(finding), is_etcd) {
            (Thresholds::Authority, _) => "a person, by rotating this CA: new CA first, then everything it has signed",
            (Thresholds::Leaf(Class::Manual), true) => "a person, on each etcd host: kubeadm certs renew all",
            (Thresholds::Leaf(Class::Manual), false) => "a person, on each control-plane host: kubeadm certs renew all",
            (Thresholds::Leaf(Class::Automatic), _) => {
                "a program (certificates: automatic), which is late: find out why"
            }
            (Thresholds::Leaf(Class::Restart), _) => {
                "the server itself when it starts (certificates: restart): restart it"
            }
        })
    }
}

/// The last moment for a restart; `None` once it has passed.
#[expect(clippy::wildcard_enum_match_arm, reason = "other evidence is of other rules")]
const fn restart_before(finding: &Finding) -> Option<UnixTime> {
    match finding.evidence {
        Evidence::Expiry {
            band: ExpiryThreshold::Notice | ExpiryThreshold::Warning | ExpiryThreshold::Urgent | ExpiryThreshold::Page,
            not_after,
            ..
        } => Some(not_after),
        _ => None,
    }
}

/// The expiry thresholds of a finding.
#[expect(clippy::wildcard_enum_match_arm, reason = "other evidence is of other rules")]
const fn thresholds(finding: &Finding) -> Thresholds {
    match finding.evidence {
        Evidence::Expiry { is_authority: true, .. } => Thresholds::Authority,
        Evidence::Expiry { class, .. } => Thresholds::Leaf(class),
        _ => Thresholds::Leaf(Class::Manual),
    }
}

/// Handshakes that must have served the same expired certificate: behind a balancer one of several servers may still
/// serve an old one, and the finding names the certificate.
const HANDSHAKES: u32 = 2;

impl Rule for CertificateEnds {
    fn explains(&self) -> &'static [Edge] {
        const EDGES: [Edge; 4] = [
            Edge::at_subject(RuleId::F02),
            Edge::at_subject(RuleId::F22),
            Edge::at_subject(RuleId::F23),
            Edge::in_cluster(RuleId::F52),
        ];
        &EDGES
    }

    /// Of refused logins only those that were withheld from a server whose chain has ended.
    fn is_effect(&self, _: &Subject, effect: &Finding) -> bool {
        effect.rule != RuleId::F52 || credential_rejected::withheld_for(effect) == Some(Trust::Expired)
    }

    /// A certificate that has not expired yet causes no other fault.
    fn is_cause(&self, finding: &Finding) -> bool {
        matches!(finding.evidence, Evidence::Expiry { band: ExpiryThreshold::Expired, .. })
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let Some((name, cluster)) = context.cluster else { return Vec::new() };
        let instances: Vec<Subject> = cluster.apiserver_subjects(name).collect();
        let endpoints = context.served_endpoints();
        // Computed once for all endpoints, because it uses the `Date` of every server of every cluster.
        let is_clock_trusted = context.view.is_wall_clock_trusted(context.now.mono);
        endpoints
            .iter()
            .map(|endpoint| {
                (endpoint.clone(), judge_endpoint(context, endpoint, &endpoints, &instances, is_clock_trusted))
            })
            .collect()
    }
}

fn judge_endpoint(
    context: &RuleContext<'_>,
    endpoint: &Subject,
    endpoints: &[Subject],
    instances: &[Subject],
    is_clock_trusted: bool,
) -> Verdict {
    let Some(seen) = context.view.served(endpoint) else { return Verdict::Unknown(Why::NeverSeen) };
    let Some(first_to_end) = seen.served.earliest() else { return Verdict::Unknown(Why::Unclear) };
    let good = Verdict::Good { since: seen.since, until: seen.at, probes: seen.repeats };
    if !is_clock_trusted {
        return Verdict::Unknown(Why::Vantage);
    }
    let class = context.view.inventory().endpoint(endpoint).map(|known| known.certificates).unwrap_or_default();
    let thresholds = Thresholds::of(first_to_end, &seen.served, class);
    let Some(band) = thresholds.band(first_to_end, context.now.wall) else { return good };
    // One certificate is one finding, where it was raised, else at the first place that serves it. A balancer shows its
    // instances' certificates in turn; those are judged where they are served.
    let is_raised = |at: &Subject| context.raised_of(RuleId::F26, at).is_some();
    let first = endpoints.iter().position(|other| other == endpoint);
    let mut others = endpoints.iter().enumerate().filter(|(_, other)| *other != endpoint);
    let is_told_elsewhere = !is_raised(endpoint)
        && others.any(|(at, other)| (Some(at) < first || is_raised(other)) && shows_same_leaf(context, other, seen));
    if is_told_elsewhere {
        return Verdict::Unknown(Why::Unclear);
    }
    let may_be_an_instance_s =
        matches!(endpoint, Subject::Vip(_)) && instances.iter().any(|other| is_behind(context, other, seen));
    if may_be_an_instance_s || band == ExpiryThreshold::Expired && seen.repeats < HANDSHAKES {
        return Verdict::Unknown(Why::Suspected { since: seen.since });
    }
    let places = endpoints.iter().filter(|other| shows_same_leaf(context, other, seen)).cloned().collect();
    Verdict::Bad(Finding {
        rule: RuleId::F26,
        subject: endpoint.clone(),
        level: level(band),
        since: since(band, first_to_end, seen.since),
        hold: Duration::ZERO,
        path_unproven: false,
        evidence: Evidence::Expiry {
            fingerprint: first_to_end.fingerprint,
            holder: first_to_end.subject.clone(),
            issuer: first_to_end.issuer.clone(),
            not_after: first_to_end.not_after,
            band,
            class,
            is_authority: thresholds == Thresholds::Authority,
            trust: seen.served.trust,
            places,
            stored: stored_paths(context, first_to_end),
        },
    })
}

/// Watched files with the same certificate: it is one finding, wherever it lies.
fn stored_paths(context: &RuleContext<'_>, certificate: &Certificate) -> Vec<String> {
    const MAX_PATHS: usize = 8;
    let files_view = context.cluster.and_then(|(name, _)| context.view.files_view(Some(name)));
    files_view.map_or_else(Vec::new, |files_view| {
        files_view.paths(certificate.fingerprint, certificate.not_after, MAX_PATHS).0
    })
}

/// Whether what the balancer showed may be the certificate of an instance that answers: that was not probed since, or
/// it may have had another one when the balancer was last probed.
fn is_behind(context: &RuleContext<'_>, instance: &Subject, seen: &ServedSeen) -> bool {
    let answers = context.view.track(instance, Aspect::Answer).is_some_and(|track| track.bad().is_none());
    // A probe is dated from its start, and its handshake ends at most this much later.
    let handshake = context.policy().connect_timeout + context.policy().tls_timeout;
    let may_be_its_own =
        |own: &ServedSeen| own.at.mono <= seen.since.mono || seen.at.mono <= own.since.mono.plus(handshake);
    answers && context.view.served(instance).is_none_or(may_be_its_own)
}

fn shows_same_leaf(context: &RuleContext<'_>, endpoint: &Subject, seen: &ServedSeen) -> bool {
    let leaf = |seen: &ServedSeen| seen.served.leaf().map(|leaf| leaf.fingerprint);
    context.view.served(endpoint).is_some_and(|other| leaf(other) == leaf(seen))
}

/// The fault is as old as what was seen, not as old as the certificate's end.
fn since(band: ExpiryThreshold, certificate: &Certificate, seen: Now) -> UnixTime {
    match band {
        ExpiryThreshold::Expired => seen.wall.max(certificate.not_after),
        ExpiryThreshold::Notice | ExpiryThreshold::Warning | ExpiryThreshold::Urgent | ExpiryThreshold::Page => {
            seen.wall
        }
    }
}

pub(super) const fn level(band: ExpiryThreshold) -> Level {
    match band {
        ExpiryThreshold::Notice => Level::Info,
        ExpiryThreshold::Warning | ExpiryThreshold::Urgent => Level::Warning,
        ExpiryThreshold::Page | ExpiryThreshold::Expired => Level::Critical,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::host_access::{Distribution, Hosts};
    use crate::model::samples;

    #[test]
    fn the_words_say_who_has_to_renew() {
        for (class, is_authority, who, command) in [
            (Class::Manual, false, "a person, on each control-plane host", "kubeadm certs renew all"),
            (Class::Automatic, false, "a program", "kubectl get certificates"),
            (Class::Restart, false, "the server itself when it starts", "systemctl restart k3s"),
            (Class::Automatic, true, "a person, by rotating this CA", "kubeadm certs check-expiration"),
        ] {
            let mut finding = samples::finding(RuleId::F26);
            if let Evidence::Expiry { class: of, is_authority: rotates, .. } = &mut finding.evidence {
                (*of, *rotates) = (class, is_authority);
            }

            let words = CertificateEnds;
            let distribution = if class == Class::Restart { Distribution::K3s } else { Distribution::Kubeadm };
            let hosts = Hosts { distribution, ..Hosts::default() };
            let commands = words.next_commands(&finding, &Commands::new(&Addresses::new(), &hosts));
            assert!(words.renewed_by(&finding).unwrap().starts_with(who), "{class:?}");
            assert!(commands.iter().any(|known| known.line.contains(command)), "{class:?}: {commands:?}");
        }
    }

    #[test]
    fn a_server_that_renews_when_it_starts_is_to_be_restarted_before_the_end() {
        let mut finding = samples::finding(RuleId::F26);
        let Evidence::Expiry { class, band, not_after, .. } = &mut finding.evidence else { panic!("{finding:?}") };
        (*class, *band) = (Class::Restart, ExpiryThreshold::Notice);
        let end = not_after.to_string();

        assert!(CertificateEnds.likely_cause(&finding).ends_with(&format!("Restart it before {end}.")));
    }
}
