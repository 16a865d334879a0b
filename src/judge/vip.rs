//! F23: the address clients use is dead while instances behind it are fine.

use crate::model::observation::Cause;
use crate::model::rule::RuleId;
use crate::model::subject::Subject;
use crate::model::verdict::{Evidence, Finding, Symptom};

use super::phrases;
use super::words::{Addresses, Words};

/// F23: the shared address gives no answer, yet an instance asked directly is ready.
pub struct VipDead;

impl Words for VipDead {
    fn id(&self) -> RuleId {
        RuleId::F23
    }

    fn title(&self) -> &'static str {
        "shared API address dead, instances fine"
    }

    fn headline(&self, _: &Finding) -> String {
        "shared API address is dead".into()
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let place = phrases::address(&finding.subject, addresses);
        let Evidence::Vip { symptom, ready } = &finding.evidence else {
            return format!("The shared API address {place} is dead.");
        };
        let ready: Vec<String> = ready.iter().map(|instance| phrases::place(instance, addresses)).collect();
        let verb = if ready.len() == 1 { "is" } else { "are" };
        format!(
            "The shared API address {place} is {}. Asked directly, {} {verb} ready.",
            phrases::symptom(symptom),
            phrases::list(&ready)
        )
    }

    fn impact(&self, _: &Finding) -> String {
        "Every client of this address has lost the API: kubectl, kubelets, controllers, deploys. The apiservers \
         themselves work and can be reached directly. Running pods keep running and serving."
            .into()
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "special words for some cases, a general sentence for all others"
    )]
    fn likely_cause(&self, finding: &Finding) -> String {
        let text = match &finding.evidence {
            Evidence::Vip { symptom: Symptom::Silent(unseen), .. } if unseen.cause == Cause::Refused => {
                "The machine that holds the address is up but its balancer (haproxy, kube-vip, nginx) is not running."
            }
            Evidence::Vip { symptom: Symptom::Silent(unseen), .. } if unseen.cause == Cause::Timeout => {
                "No machine holds the address (keepalived, kube-vip, cloud balancer), or its holder hangs."
            }
            Evidence::Vip { symptom: Symptom::Silent(_), .. } => {
                "The balancer accepts and drops: it sees no healthy backend, or its own TLS or proxy set-up is broken."
            }
            Evidence::Vip { symptom: Symptom::Status(_), .. } => {
                "The balancer answers by itself: it sees no healthy backend. Look at its health checks first."
            }
            _ => "The balancer or whoever holds the address.",
        };
        text.into()
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "special words for some cases, a general sentence for all others"
    )]
    fn next_commands(&self, finding: &Finding, addresses: &Addresses) -> Vec<String> {
        let address = phrases::address(&finding.subject, addresses);
        let vip = phrases::host(&address).to_owned();
        let mut commands = vec![format!("curl -vk --max-time 5 'https://{address}/readyz'")];
        let ready: &[Subject] = match &finding.evidence {
            Evidence::Vip { ready, .. } => ready,
            _ => &[],
        };
        if let Some(instance) = ready.first() {
            let direct = phrases::address(instance, addresses);
            commands.push(format!("kubectl --server=https://{direct} get nodes # past the shared address"));
        }
        for instance in ready.iter().take(2) {
            let host = phrases::host_of(instance, addresses);
            commands.push(format!("ssh {host} 'ip -brief address | grep -wF {vip}' # does it hold the address?"));
        }
        if let Some(instance) = ready.first() {
            let host = phrases::host_of(instance, addresses);
            commands.push(format!(
                "ssh {host} 'systemctl status haproxy keepalived; crictl ps -a --name \"haproxy|kube-vip|keepalived\"'"
            ));
        }
        commands
    }
}
