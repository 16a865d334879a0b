//! F26: a served certificate ends soon, or has ended. The expiry thresholds depend on who renews it: [`mod@thresholds`].
//!
//! Evaluated from the served chain whether or not it was accepted, because verification rejects just the chains that
//! this rule is about.

pub mod thresholds;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::certificate::{Certificate, Class, Fingerprint, Trust};
use crate::model::certificate_evidence::{CertificateEvidence, Ending};
use crate::model::finding::{Evidence, Kind};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::{Now, UnixTime};
use crate::model::verdict::{ExpiryThreshold, Finding, Verdict, Why};
use crate::observe::aspect::Aspect;
use crate::observe::view::ServedSeen;

use super::commands::{Command, Commands};
use super::context::RuleContext;
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, credential_rejected, phrases};

use thresholds::Thresholds;

/// F26: a certificate in a served chain reaches the end of its life.
pub struct CertificateEnds;

/// A certificate's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedExpiry {
    /// The certificate that ends first.
    pub fingerprint: Fingerprint,
    /// Its subject.
    pub holder: String,
    /// Its issuer.
    pub issuer: String,
    /// Its end.
    pub not_after: UnixTime,
    /// The band of the expiry thresholds it is in.
    pub band: ExpiryThreshold,
    /// Who renews it.
    pub class: Class,
    /// Whether it is a CA that the server's own certificate depends on and that ends before it.
    pub is_authority: bool,
    /// The result of strict verification of the served chain.
    pub trust: Trust,
    /// Everywhere in this cluster where the same certificate is served.
    pub places: Vec<Subject>,
    /// Watched files that hold it.
    #[serde(default)]
    pub stored: Vec<String>,
}

impl Kind for ServedExpiry {
    const TAG: &'static str = "expiry";
}

impl ServedExpiry {
    /// The last moment for a restart; `None` once it has passed.
    fn restart_before(&self) -> Option<UnixTime> {
        (self.band < ExpiryThreshold::Expired).then_some(self.not_after)
    }

    /// The expiry thresholds it is judged by.
    const fn thresholds(&self) -> Thresholds {
        if self.is_authority { Thresholds::Authority } else { Thresholds::Leaf(self.class) }
    }

    fn is_of_etcd(&self) -> bool {
        self.places.iter().any(|place| place.is_of_etcd())
    }
}

impl Evidence for ServedExpiry {
    fn headline(&self, finding: &Finding) -> String {
        let of = if finding.subject.is_cluster() {
            "the cluster".into()
        } else {
            phrases::fit(&phrases::name(&finding.subject), 22)
        };
        format!("TLS certificate of {of}: expiry")
    }

    fn what(&self, _: &Finding, addresses: &Addresses) -> String {
        let Self { holder, not_after, band, trust, places, .. } = self;
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

    fn impact(&self, _: &Finding) -> String {
        let who = if self.is_of_etcd() {
            "apiservers and the other members reject this etcd member (x509: certificate has expired)"
        } else {
            "all clients reject it (x509: certificate has expired): kubectl, kubelets, controllers"
        };
        if self.band == ExpiryThreshold::Expired {
            format!("Expired: {who}. Connections that are open go on until they break.")
        } else {
            format!("Nothing yet. When it expires {who}.")
        }
    }

    fn likely_cause(&self, _: &Finding) -> String {
        match self.thresholds() {
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
                let before = self.restart_before().map_or_else(String::new, |end| format!(" Restart it before {end}."));
                return format!(
                    "Configured as renewed by the server when it starts (certificates: restart; k3s and RKE2 do so), \
                     and it has not been restarted since the renewal was due.{before}"
                );
            }
        }
        .into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let place = self.places.first().unwrap_or(&finding.subject);
        let mut next = vec![commands.served(place, "-subject -issuer -enddate")];
        match self.thresholds() {
            Thresholds::Authority => next.push(commands.expirations(place)),
            Thresholds::Leaf(Class::Manual | Class::Restart) => {
                next.push(commands.expirations(place));
                next.extend(commands.renew(place));
            }
            Thresholds::Leaf(Class::Automatic) => {
                let loaded = commands.served_file(place);
                next.extend(loaded.map(|file| file.note("a later date than is served: not loaded yet")));
                next.push(commands.cert_manager());
            }
        }
        next
    }

    fn renewed_by(&self, _: &Finding) -> Option<&'static str> {
        Some(match (self.thresholds(), self.is_of_etcd()) {
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

    fn concerned(&self) -> Vec<Subject> {
        self.places.clone()
    }

    /// A certificate that has not expired yet causes no other fault.
    fn is_cause(&self) -> bool {
        self.band == ExpiryThreshold::Expired
    }

    fn certificates(&self) -> Option<CertificateEvidence<'_>> {
        Some(CertificateEvidence::Served {
            ending: Ending {
                fingerprint: self.fingerprint,
                holder: &self.holder,
                issuer: &self.issuer,
                not_after: self.not_after,
                band: self.band,
            },
            is_authority: self.is_authority,
            places: &self.places,
            files: &self.stored,
        })
    }
}

/// Handshakes that must have served the same expired certificate: behind a balancer one of several servers may still
/// serve an old one, and the finding names the certificate.
const HANDSHAKES: u32 = 2;

impl Rule for CertificateEnds {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F26,
            name: "ServingCertificateExpiring",
            in_short: "certificate",
            title: "served certificate expires soon or has expired",
            impact: "At expiry all clients reject it; if the severity is critical it may have expired already.",
            likely_cause: "Not renewed, or renewed and not loaded.",
            shows: Shows::Nothing,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<ServedExpiry>()
    }

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

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{OPENED, Sample, api, lines, served, subject};

        Sample::of(
            "prod-eu1/apiserver/api-1",
            Level::Critical,
            Arc::new(ServedExpiry {
                fingerprint: Fingerprint([0x5a; 32]),
                holder: "CN=kube-apiserver".into(),
                issuer: "CN=kubernetes".into(),
                not_after: OPENED.minus(Duration::from_secs(3600)),
                band: ExpiryThreshold::Expired,
                class: Class::Manual,
                is_authority: false,
                trust: Trust::Expired,
                places: vec![api("api-1"), subject("prod-eu1/vip")],
                stored: vec!["/srv/pki/api-1/apiserver.crt".into()],
            }),
        )
        .probes(vec![lines::api("apiserver/api-1", 1200, "HTTP 200"), lines::api("apiserver/api-2", 1100, "HTTP 200")])
        .replaced(vec![served("apiserver/api-1", 0x5a, 0x6b), served("vip", 0x5a, 0x6b)])
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
    let may_be_an_instance_s = endpoint.is_vip() && instances.iter().any(|other| is_behind(context, other, seen));
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
        evidence: Arc::new(ServedExpiry {
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
        }),
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
    use crate::samples;

    #[test]
    fn the_words_say_who_has_to_renew() {
        for (class, is_authority, who, command) in [
            (Class::Manual, false, "a person, on each control-plane host", "kubeadm certs renew all"),
            (Class::Automatic, false, "a program", "kubectl get certificates"),
            (Class::Restart, false, "the server itself when it starts", "systemctl restart k3s"),
            (Class::Automatic, true, "a person, by rotating this CA", "kubeadm certs check-expiration"),
        ] {
            let mut finding = samples::finding(RuleId::F26);
            samples::change(&mut finding, |expiry: &mut ServedExpiry| {
                (expiry.class, expiry.is_authority) = (class, is_authority);
            });

            let distribution = if class == Class::Restart { Distribution::K3s } else { Distribution::Kubeadm };
            let hosts = Hosts { distribution, ..Hosts::default() };
            let commands = finding.next_commands(&Commands::new(&Addresses::new(), &hosts));
            assert!(finding.renewed_by().unwrap().starts_with(who), "{class:?}");
            assert!(commands.iter().any(|known| known.line.contains(command)), "{class:?}: {commands:?}");
        }
    }

    #[test]
    fn a_server_that_renews_when_it_starts_is_to_be_restarted_before_the_end() {
        let mut finding = samples::finding(RuleId::F26);
        samples::change(&mut finding, |expiry: &mut ServedExpiry| {
            (expiry.class, expiry.band) = (Class::Restart, ExpiryThreshold::Notice);
        });
        let end = finding.seen::<ServedExpiry>().unwrap().not_after;

        assert!(finding.likely_cause().ends_with(&format!("Restart it before {end}.")));
    }
}
