//! F26: served certificates that end soon or have ended.

use crate::model::certificate::Trust;
use crate::model::rule::RuleId;
use crate::model::subject::Subject;
use crate::model::verdict::{Band, Evidence, Finding};

use super::phrases;
use super::words::{Addresses, Words};

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
