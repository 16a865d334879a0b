//! F52: the watched server is alive but refuses us.

use crate::model::observation::Cause;
use crate::model::rule::RuleId;
use crate::model::verdict::{Evidence, Finding};

use super::phrases;
use super::words::{Addresses, Words};

/// F52: the monitor's own credential is refused.
pub struct Refused;

impl Words for Refused {
    fn id(&self) -> RuleId {
        RuleId::F52
    }

    fn title(&self) -> &'static str {
        "the monitor's own credential is refused"
    }

    fn headline(&self, finding: &Finding) -> String {
        format!("{} refuses vedette's credential", phrases::fit(&who(finding), 20))
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "special words for some cases, a general sentence for all others"
    )]
    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let place = phrases::place(&finding.subject, addresses);
        let Evidence::Refused { unseen } = &finding.evidence else {
            return format!("{place} is alive but refuses vedette's credential.");
        };
        match unseen.cause {
            Cause::OwnCredential => {
                format!("vedette's own credential for {place} cannot be read or used, so it was not asked ({unseen}).")
            }
            _ => format!("{place} is alive but refuses vedette's credential ({unseen})."),
        }
    }

    fn impact(&self, _: &Finding) -> String {
        "For users: nothing. For you: this part of the cluster is unseen until it is mended, so a fault there would not \
         be noticed."
            .into()
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "special words for some cases, a general sentence for all others"
    )]
    fn likely_cause(&self, finding: &Finding) -> String {
        let text = match &finding.evidence {
            Evidence::Refused { unseen } => match unseen.cause {
                Cause::OwnCredential => "The file with the certificate, key or token is missing, unreadable or broken.",
                Cause::ClientCertificateRefused => {
                    "vedette's client certificate has ended, or the server trusts another authority than the one that \
                     signed it."
                }
                _ => "The token or certificate has ended or was revoked, or the RBAC rules of vedette were removed.",
            },
            _ => "vedette's certificate or token has ended, or its rights were removed.",
        };
        text.into()
    }

    fn next_commands(&self, finding: &Finding, addresses: &Addresses) -> Vec<String> {
        let address = phrases::address(&finding.subject, addresses);
        let mut commands = vec![
            "vedette check /etc/vedette/vedette.yaml".to_owned(),
            "openssl x509 -noout -subject -issuer -enddate -in CLIENT-CERTIFICATE # the file named in the configuration"
                .to_owned(),
        ];
        if finding.subject.component() == "etcd" {
            commands.push(format!(
                "openssl s_client -connect {address} -cert CLIENT-CERTIFICATE -key CLIENT-KEY </dev/null 2>&1 | grep -iE 'alert|verif'"
            ));
        } else {
            commands.push("kubectl --kubeconfig VEDETTE-KUBECONFIG auth whoami".to_owned());
            commands.push("kubectl get clusterrolebinding,clusterrole -A | grep -i vedette".to_owned());
        }
        commands
    }
}

fn who(finding: &Finding) -> String {
    match finding.subject.component() {
        "vip" => "shared API address".into(),
        _ => finding.subject.short().to_owned(),
    }
}
