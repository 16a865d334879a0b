//! F49: it answers, but slowly.

use crate::model::observation::Phase;
use crate::model::rule::RuleId;
use crate::model::subject::Subject;
use crate::model::verdict::{Evidence, Finding};

use super::phrases;
use super::quorum::etcd_name;
use super::words::{Addresses, Words};

/// F49: answers take longer than a second, several looks in a row.
pub struct Slow;

impl Words for Slow {
    fn id(&self) -> RuleId {
        RuleId::F49
    }

    fn title(&self) -> &'static str {
        "answers, but slowly"
    }

    fn headline(&self, finding: &Finding) -> String {
        match &finding.subject {
            Subject::Vip(_) => "shared API address answers slowly".into(),
            Subject::Cluster(_) => "the API answers slowly".into(),
            Subject::Apiserver(_, name) => format!("apiserver {} answers slowly", phrases::fit(name.as_str(), 20)),
            Subject::EtcdMember(_, _, member) => {
                let etcd = etcd_name(&finding.subject);
                let room = 50 - " member  is slow".len() - etcd.len();
                format!("{etcd} member {} is slow", phrases::fit(member.as_str(), room))
            }
            Subject::Etcd(..) => format!("{} answers slowly", etcd_name(&finding.subject)),
            Subject::Vantage | Subject::Reference(_) | Subject::Resolver(_) => {
                format!("{} answers slowly", phrases::fit(finding.subject.short(), 30))
            }
        }
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let place = phrases::place(&finding.subject, addresses);
        let Evidence::Slow { total, dominating, looks, slow, of } = &finding.evidence else {
            return format!("{place} answers slowly.");
        };
        let most = dominating.map(|phase| format!(", most of it in {}", phase_name(phase))).unwrap_or_default();
        format!(
            "{place} answers, but took {}{most}; {looks} looks in a row were slow. {slow} of {of} instances are slow.",
            phrases::lasting(*total)
        )
    }

    fn impact(&self, finding: &Finding) -> String {
        let all = matches!(&finding.evidence, Evidence::Slow { slow, of, .. } if slow >= of);
        if all {
            "Everything that uses the API waits: kubectl, deploys, controllers; leases may be lost. Running pods keep \
             running."
                .into()
        } else {
            "Clients of this instance wait; the others are not affected.".into()
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "special words for some cases, a general sentence for all others"
    )]
    fn likely_cause(&self, finding: &Finding) -> String {
        let text = match &finding.evidence {
            Evidence::Slow { dominating: Some(Phase::Resolve), .. } => "Name resolution on this vantage.",
            Evidence::Slow { dominating: Some(Phase::Dial), .. } => {
                "The network between here and there (loss, a full link), or a full accept queue."
            }
            Evidence::Slow { dominating: Some(Phase::Tls), .. } => {
                "The machine lacks CPU, or an overloaded balancer sits in front: handshakes are the first to wait."
            }
            Evidence::Slow { dominating: Some(Phase::FirstByte | Phase::Body), .. } => {
                "The server is overloaded (many LIST or WATCH calls, too little CPU or memory), or etcd behind it is slow."
            }
            _ => "Overload of the server, its machine, or the network.",
        };
        text.into()
    }

    fn next_commands(&self, finding: &Finding, addresses: &Addresses) -> Vec<String> {
        let address = phrases::address(&finding.subject, addresses);
        let host = phrases::host(&address);
        if finding.subject.component() == "etcd" {
            let members = phrases::members(&finding.subject, addresses);
            return vec![
                phrases::ETCDCTL_FILES.into(),
                phrases::etcdctl(&members, addresses, "endpoint status -w table"),
                format!("ssh {host} 'uptime; iostat -x 1 3'"),
                phrases::logs(&finding.subject, addresses, "etcd"),
            ];
        }
        vec![
            format!(
                "curl -sk -o /dev/null -w 'tcp %{{time_connect}} tls %{{time_appconnect}} answer %{{time_starttransfer}}\\n' 'https://{address}/readyz'"
            ),
            format!(
                "kubectl --server=https://{address} get --raw /debug/api_priority_and_fairness/dump_priority_levels"
            ),
            format!("ssh {host} 'uptime; free -m; iostat -x 1 3'"),
            phrases::logs(&finding.subject, addresses, "kube-apiserver"),
        ]
    }
}

const fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Resolve => "name resolution",
        Phase::Dial => "the TCP connection",
        Phase::Tls => "the TLS handshake",
        Phase::FirstByte => "waiting for the first byte",
        Phase::Body => "reading the answer",
        Phase::Idle => "idling",
    }
}
