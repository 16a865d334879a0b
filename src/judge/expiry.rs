//! F26: a served certificate ends soon, or has ended. By the ladder, class manual.
//!
//! Judged from the served chain whether or not it was accepted: verification drops the chain exactly when it matters.

use std::time::Duration;

use crate::model::certificate::{Certificate, Trust};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::{Now, UnixTime};
use crate::model::verdict::{Band, Evidence, Finding, Verdict, Why};
use crate::observe::view::{Aspect, ServedSeen};

use super::edges::Edge;
use super::scene::Scene;
use super::words::{Addresses, Words};
use super::{Rule, phrases};

/// F26: a certificate in a served chain reaches the end of its life.
pub struct CertificateEnds;

impl Words for CertificateEnds {
    fn id(&self) -> RuleId {
        RuleId::F26
    }

    fn title(&self) -> &'static str {
        "served certificate ends soon or has ended"
    }

    fn headline(&self, finding: &Finding) -> String {
        let of = match &finding.subject {
            Subject::Vip(_) => "the shared address".into(),
            Subject::Cluster(_) => "the cluster".into(),
            subject @ (Subject::Vantage
            | Subject::Reference(_)
            | Subject::Resolver(_)
            | Subject::Apiserver(..)
            | Subject::Etcd(..)
            | Subject::EtcdMember(..)) => phrases::fit(subject.short(), 22),
        };
        format!("TLS certificate of {of} expires")
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let Evidence::Expiry { holder, not_after, band, trust, places, .. } = &finding.evidence else {
            return "A served certificate reaches its end.".into();
        };
        let at: Vec<String> = places.iter().map(|place| phrases::place(place, addresses)).collect();
        let ends = match band {
            Band::Expired => "ended",
            Band::Notice | Band::Warning | Band::Urgent | Band::Page => "ends",
        };
        let verdict = match trust {
            Trust::Trusted | Trust::Expired | Trust::Unverified => String::new(),
            Trust::NotYetValid | Trust::UnknownAuthority | Trust::WrongName | Trust::Invalid => {
                format!(" Strict verification says besides: {}.", trust.as_str().replace('_', " "))
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
                (*band == Band::Expired, places.iter().any(|place| place.component() == "etcd"))
            }
            _ => (false, false),
        };
        let who = if etcd {
            "apiservers and the other members refuse to talk to this etcd member"
        } else {
            "clients that verify refuse to talk to it: kubectl, kubelets, controllers"
        };
        if over {
            format!("It has ended: {who}. Connections that are open go on until they break.")
        } else {
            format!("Nothing yet. From its end on {who}; it fails for all of them at the same second.")
        }
    }

    fn likely_cause(&self, finding: &Finding) -> String {
        if is_authority(finding) {
            return "It is the authority that ends, not only a leaf: renewing leaves does not help, the authority must be \
                    rotated, which takes preparation."
                .into();
        }
        "Nothing renews it: kubeadm renews serving certificates only during an upgrade or by hand, and a renewed file \
         is served only after the process has loaded it."
            .into()
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "special words for some cases, a general sentence for all others"
    )]
    fn next_commands(&self, finding: &Finding, addresses: &Addresses) -> Vec<String> {
        let place = match &finding.evidence {
            Evidence::Expiry { places, .. } => places.first().cloned(),
            _ => None,
        }
        .unwrap_or_else(|| finding.subject.clone());
        let address = phrases::address(&place, addresses);
        let look = format!(
            "openssl s_client -connect {address} </dev/null 2>/dev/null | openssl x509 -noout -subject -issuer -enddate"
        );
        let (certificate, component) = match place.component() {
            "etcd" => ("etcd-server", "etcd"),
            _ => ("apiserver", "kube-apiserver"),
        };
        let host = match place {
            Subject::Vip(_) => "CONTROL-PLANE-HOST".to_owned(),
            _ => phrases::host(&address).to_owned(),
        };
        let mut commands = vec![look, format!("ssh {host} kubeadm certs check-expiration")];
        if !is_authority(finding) {
            commands.push(format!("ssh {host} kubeadm certs renew {certificate}"));
            commands.push(format!(
                "ssh {host} 'crictl stop $(crictl ps -q --name {component})' # the kubelet starts it again with the new one"
            ));
        }
        commands
    }
}

/// Whether the certificate that ends names itself as its issuer: a root, not a leaf.
fn is_authority(finding: &Finding) -> bool {
    matches!(&finding.evidence, Evidence::Expiry { holder, issuer, .. } if holder == issuer)
}

/// Handshakes that must have served the same ended certificate. Source: design.md section 4, hard faults.
const HANDSHAKES: u32 = 2;

const DAY: Duration = Duration::from_secs(86_400);

impl Rule for CertificateEnds {
    fn explains(&self) -> &'static [Edge] {
        const EDGES: [Edge; 6] = [
            Edge::at_subject(RuleId::F02),
            Edge::at_subject(RuleId::F22),
            Edge::at_subject(RuleId::F23),
            Edge::at_subject(RuleId::F25),
            Edge::at_subject(RuleId::F49),
            Edge::at_subject(RuleId::F50),
        ];
        &EDGES
    }

    /// A certificate that still works explains nothing.
    fn is_cause(&self, finding: &Finding) -> bool {
        matches!(finding.evidence, Evidence::Expiry { band: Band::Expired, .. })
    }

    fn judge(&self, scene: &Scene<'_>) -> Vec<(Subject, Verdict)> {
        let Some((name, cluster)) = scene.cluster else { return Vec::new() };
        let instances: Vec<Subject> = cluster.apiserver_subjects(name).collect();
        let vip = cluster.vip.iter().map(|_| Subject::Vip(name.clone()));
        let members = cluster.etcds.iter().flat_map(|(etcd, known)| known.member_subjects(name, etcd));
        let endpoints: Vec<Subject> = instances.iter().cloned().chain(vip).chain(members).collect();
        endpoints
            .iter()
            .map(|endpoint| (endpoint.clone(), judge_endpoint(scene, endpoint, &endpoints, &instances)))
            .collect()
    }
}

fn judge_endpoint(scene: &Scene<'_>, endpoint: &Subject, endpoints: &[Subject], instances: &[Subject]) -> Verdict {
    let Some(seen) = scene.view.served(endpoint) else { return Verdict::Unknown(Why::NeverSeen) };
    let Some(first_to_end) = seen.served.earliest() else { return Verdict::Unknown(Why::Unclear) };
    let good = Verdict::Good { since: seen.since, looks: seen.repeats };
    let offset = scene.view.clock_offset_millis(scene.now.mono).unwrap_or_default();
    if Duration::from_millis(offset.unsigned_abs()) > scene.policy().expiry_clock_error {
        return Verdict::Unknown(Why::Vantage);
    }
    // One certificate is one finding, at the first place that serves it. A balancer shows its instances'
    // certificates in turn; those are judged where they are served.
    let is_elsewhere = |other: &Subject| shows_same_leaf(scene, other, seen);
    let earlier = endpoints.iter().take_while(|other| *other != endpoint);
    if earlier.into_iter().any(is_elsewhere) {
        return good;
    }
    let Some(band) = band(first_to_end, scene.now.wall) else { return good };
    let may_be_an_instance_s =
        matches!(endpoint, Subject::Vip(_)) && instances.iter().any(|other| is_behind(scene, other, seen));
    if may_be_an_instance_s || band == Band::Expired && seen.repeats < HANDSHAKES {
        return Verdict::Unknown(Why::Suspected { since: seen.since });
    }
    let places = endpoints.iter().filter(|other| shows_same_leaf(scene, other, seen)).cloned().collect();
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
            trust: seen.served.trust,
            places,
        },
    })
}

/// Whether an instance that answers has not been looked at since the balancer first showed this certificate.
fn is_behind(scene: &Scene<'_>, instance: &Subject, seen: &ServedSeen) -> bool {
    let answers = scene.view.track(instance, Aspect::Answer).is_some_and(|track| track.bad().is_none());
    answers && scene.view.served(instance).is_none_or(|own| own.at.mono <= seen.since.mono)
}

fn shows_same_leaf(scene: &Scene<'_>, endpoint: &Subject, seen: &ServedSeen) -> bool {
    let leaf = |seen: &ServedSeen| seen.served.leaf().map(|leaf| leaf.fingerprint);
    scene.view.served(endpoint).is_some_and(|other| leaf(other) == leaf(seen))
}

/// The fault is as old as what was seen, not as old as the certificate's end.
fn since(band: Band, certificate: &Certificate, seen: Now) -> UnixTime {
    match band {
        Band::Expired => seen.wall.max(certificate.not_after),
        Band::Notice | Band::Warning | Band::Urgent | Band::Page => seen.wall,
    }
}

/// The band of a manually renewed certificate at `now`; `None` while there is nothing to say.
///
/// 30, 14, 7 and 1 days before the end; for lives under 90 days a third, sixth, twelfth and twenty-fourth of the life.
/// Source: certificates.md section 6, recommended default 1.
#[must_use]
pub fn band(certificate: &Certificate, now: UnixTime) -> Option<Band> {
    let life = certificate.not_after.since(certificate.not_before);
    let [notice, warning, urgent, page] =
        if life < DAY * 90 { [life / 3, life / 6, life / 12, life / 24] } else { [DAY * 30, DAY * 14, DAY * 7, DAY] };
    let left = certificate.not_after.since(now);
    let reached = |rung: Duration| left <= rung;
    match () {
        () if certificate.not_after < now => Some(Band::Expired),
        () if reached(page) => Some(Band::Page),
        () if reached(urgent) => Some(Band::Urgent),
        () if reached(warning) => Some(Band::Warning),
        () if reached(notice) => Some(Band::Notice),
        () => None,
    }
}

const fn level(band: Band) -> Level {
    match band {
        Band::Notice => Level::Info,
        Band::Warning | Band::Urgent => Level::Warning,
        Band::Page | Band::Expired => Level::Critical,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::certificate::Fingerprint;

    fn certificate(life: Duration) -> Certificate {
        let not_before = UnixTime::from_secs(1_700_000_000);
        Certificate {
            fingerprint: Fingerprint([7; 32]),
            subject: "CN=kube-apiserver".into(),
            issuer: "CN=kubernetes".into(),
            serial: "01".into(),
            not_before,
            not_after: not_before.plus(life),
            names: Vec::new(),
            is_ca: false,
            is_self_issued: false,
        }
    }

    #[test]
    fn every_rung_is_entered_to_the_second() {
        let second = Duration::from_secs(1);
        let year = certificate(DAY * 365);
        let short = certificate(DAY * 24);
        for (certificate, left, before, at) in [
            (&year, DAY * 30, None, Some(Band::Notice)),
            (&year, DAY * 14, Some(Band::Notice), Some(Band::Warning)),
            (&year, DAY * 7, Some(Band::Warning), Some(Band::Urgent)),
            (&year, DAY, Some(Band::Urgent), Some(Band::Page)),
            (&short, DAY * 8, None, Some(Band::Notice)),
            (&short, DAY * 4, Some(Band::Notice), Some(Band::Warning)),
            (&short, DAY * 2, Some(Band::Warning), Some(Band::Urgent)),
            (&short, DAY, Some(Band::Urgent), Some(Band::Page)),
        ] {
            let rung = certificate.not_after.minus(left);

            assert_eq!(band(certificate, rung.minus(second)), before, "{left:?} and a second left");
            assert_eq!(band(certificate, rung), at, "{left:?} left");
        }
        assert_eq!(band(&year, year.not_after), Some(Band::Page));
        assert_eq!(band(&year, year.not_after.plus(second)), Some(Band::Expired));
    }
}
