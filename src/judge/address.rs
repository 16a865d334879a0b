//! F59: a name has several addresses, and one of them does not answer while others do.
//!
//! Clients that resolve the name get the failing address too. Where none answers the endpoint itself is down, which
//! other rules report; an address that leaves the DNS is forgotten with the next lookup.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::finding::{Evidence, Kind};
use crate::model::observation::{AddressAnswer, Reading};
use crate::model::phase::Unseen;
use crate::model::probe::{Probe, ProbeKind};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Verdict, Why};
use crate::observe::aspect::Aspect;

use super::commands::{Command, Commands};
use super::context::{RuleContext, SubjectState};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F59: one of several addresses of a name does not answer.
pub struct AddressDead;

/// What stops working, whatever was seen.
const IMPACT: &str = "Clients that are given this address first wait for it before they try another: kubectl, \
    kubelets and controllers for up to half of their 30 s to connect. Clients that try only one address fail. All \
    others notice nothing.";

/// The likely cause, whatever was seen.
const LIKELY_CAUSE: &str = "The host or load balancer node behind this address is down or cut off, or it was taken \
    out of service and DNS still lists it.";

/// Addresses of a name that do not answer while others do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadAddresses {
    /// Each with what it does instead.
    pub dead: Vec<(IpAddr, Unseen)>,
    /// Of how many.
    pub of: usize,
}

impl Kind for DeadAddresses {
    const TAG: &'static str = "dead_addresses";
}

impl Evidence for DeadAddresses {
    fn headline(&self, finding: &Finding) -> String {
        let is_shared = finding.subject.is_vip();
        let whose = if is_shared { "the API name".to_owned() } else { phrases::fit(finding.subject.short(), 20) };
        format!("one address of {whose} is down")
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let Self { dead, of } = self;
        let place = phrases::place(&finding.subject, addresses);
        let each: Vec<String> =
            dead.iter().map(|(address, unseen)| format!("{address} is {}", phrases::state(*unseen))).collect();
        let rest = of.saturating_sub(dead.len());
        phrases::capital(format!(
            "the name of {place} has {of} addresses. {}. {}",
            each.join("; "),
            if rest == 1 { "The other one responds.".to_owned() } else { format!("The other {rest} respond.") }
        ))
    }

    fn impact(&self, _: &Finding) -> String {
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        LIKELY_CAUSE.into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let place = phrases::address(&finding.subject, commands.addresses);
        let dead: Vec<IpAddr> = self.dead.iter().take(2).map(|(address, _)| *address).collect();
        let name = commands.name(phrases::host(&place), "does the DNS still list it?");
        std::iter::once(name).chain(commands.directly(&finding.subject, &dead)).collect()
    }
}

impl Rule for AddressDead {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F59,
            name: "ApiAddressDown",
            in_short: "address dead",
            title: "one address of a name down, others respond",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Apiservers,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<DeadAddresses>()
    }

    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let Some((name, cluster)) = context.cluster else { return Vec::new() };
        let named = cluster.connected(name).filter(|(_, endpoint)| endpoint.is_named());
        named.map(|(subject, _)| (subject.clone(), judge_addresses(context, subject))).collect()
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{MUTE, Sample, lines};

        Sample::of(
            "prod-eu1/vip",
            Level::Warning,
            Arc::new(DeadAddresses { dead: vec![(std::net::Ipv4Addr::new(10, 0, 0, 31).into(), MUTE)], of: 3 }),
        )
        .probes(vec![
            lines::api("apiserver/api-1", 1200, "HTTP 200"),
            lines::api("apiserver/api-2", 1100, "HTTP 200"),
            lines::no_api("vip", MUTE),
        ])
    }
}

fn judge_addresses(context: &RuleContext<'_>, subject: Subject) -> Verdict {
    let subject_state = context.subject_state(&subject, Aspect::Addresses);
    let SubjectState::Bad { bad, path_unproven } = subject_state else { return subject_state.unless_bad() };
    let (dead, of) = latest(context, &subject);
    if dead.is_empty() {
        return Verdict::Unknown(Why::Unclear);
    }
    Verdict::Bad(Finding {
        rule: RuleId::F59,
        subject,
        level: Level::Warning,
        since: bad.run.first.wall,
        hold: context.policy().address_hold,
        path_unproven,
        evidence: Arc::new(DeadAddresses { dead, of }),
    })
}

/// The addresses that did not answer in the latest probe, and how many there were.
fn latest(context: &RuleContext<'_>, subject: &Subject) -> (Vec<(IpAddr, Unseen)>, usize) {
    let probe = Probe::anew(subject.clone(), ProbeKind::Addresses);
    let cluster_snapshot = subject.cluster().and_then(|cluster| context.view.cluster_snapshot(cluster));
    let reading = cluster_snapshot
        .and_then(|cluster_snapshot| cluster_snapshot.observations.get(&probe))
        .map(|observation| &observation.outcome);
    let Some(Ok(Reading::Addresses(answers))) = reading else { return (Vec::new(), 0) };
    let of = answers.len();
    (answers.iter().filter_map(|AddressAnswer { address, answer }| Some((*address, answer.err()?))).collect(), of)
}
