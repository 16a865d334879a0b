//! F25: an apiserver cannot reach an etcd that is fine.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::finding::{Evidence, Kind};
use crate::model::rule::RuleId;
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Verdict};

use super::commands::{Command, Commands};
use super::context::RuleContext;
use super::description::{Description, Shows};
use super::edges::Edge;
use super::readiness::{self, FailingChecks, Store, blames_etcd, judge_both};
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F25: an apiserver cannot reach etcd, while etcd itself is fine.
pub struct EtcdUnreachable;

/// The likely cause while nothing is known of etcd itself.
const LIKELY_CAUSE: &str = "etcd, or what lies between it and the apiserver: certificate apiserver-etcd-client, \
    --etcd-servers, port 2379.";

/// Failing checks that are about etcd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EtcdChecks(pub FailingChecks);

impl Kind for EtcdChecks {
    const TAG: &'static str = "not_ready";
}

impl Evidence for EtcdChecks {
    fn headline(&self, finding: &Finding) -> String {
        if self.0.store() == Store::OfSome {
            return "apiserver cannot reach etcd of some resources".into();
        }
        if finding.subject.is_apiserver() {
            format!("apiserver {} cannot reach etcd", phrases::fit(finding.subject.short(), 17))
        } else {
            "apiserver cannot reach etcd".into()
        }
    }

    fn what(&self, _: &Finding, addresses: &Addresses) -> String {
        let etcd = match (self.0.store(), self.0.etcd_agrees) {
            (Store::Main | Store::Both, Some(true)) => "etcd, probed directly, responds and has a leader",
            (Store::OfSome, Some(true)) => "every etcd that is monitored here responds and has a leader",
            (_, Some(false)) => "etcd, probed directly, has no leader either",
            (_, None) => "etcd itself is not monitored here",
        };
        let which = match self.0.store() {
            Store::Main => "",
            Store::OfSome => {
                ". What fails is the etcd that keeps some resources apart (--etcd-servers-overrides, in most clusters \
                 that of events); the one that keeps all the rest is reached"
            }
            Store::Both => {
                ". What fails is the main etcd, and the one that keeps some resources apart (--etcd-servers-overrides, \
                 in most clusters that of events)"
            }
        };
        format!("{}{which}; {etcd}.", self.0.who_fails(addresses))
    }

    fn impact(&self, _: &Finding) -> String {
        match self.0.store() {
            Store::Main | Store::Both => self.0.impact("Requests to it fail with HTTP 500 or hang"),
            Store::OfSome => "Reads and writes of the resources kept there (mostly events) fail or hang, so events \
                              are not recorded; all else can be read and written. The apiserver reports itself not \
                              ready for it: load balancers that check /readyz take it out, and with every instance \
                              affected the whole API may become unreachable through them."
                .into(),
        }
    }

    fn likely_cause(&self, _: &Finding) -> String {
        let text = match self.0.etcd_agrees {
            _ if self.0.store() == Store::OfSome => {
                "That etcd cluster is down or has no leader, or what lies between it and the apiserver: its client \
                 certificate, the address in --etcd-servers-overrides, port 2379. Watch it as a second etcd of this \
                 cluster to see which."
            }
            Some(true) => {
                "What lies between apiserver and etcd: the client certificate apiserver-etcd-client has expired or \
                 its CA changed, --etcd-servers names the wrong place, or port 2379 is blocked between them."
            }
            Some(false) => "etcd itself: check it first.",
            None => LIKELY_CAUSE,
        };
        text.into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let instance = self.0.first_instance(finding);
        let mut next: Vec<Command> = commands.client_file(&instance).into_iter().collect();
        next.extend(commands.etcd_flags(&instance));
        next.extend([commands.apiserver_on_etcd(&instance), commands.readyz_verbose(&instance)]);
        next.extend(commands.renew_client(&instance));
        next
    }

    fn is_outage(&self) -> bool {
        self.0.is_everywhere()
    }

    fn concerned(&self) -> Vec<Subject> {
        self.0.instances().cloned().collect()
    }

    fn shown(&self) -> Vec<&Subject> {
        self.0.instances().collect()
    }
}

impl Rule for EtcdUnreachable {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F25,
            name: "ApiserverEtcdUnreachable",
            in_short: "etcd unreachable",
            title: "apiserver cannot reach etcd, which is healthy",
            impact: readiness::IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::All,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<EtcdChecks>()
    }

    fn explains(&self) -> &'static [Edge] {
        // Requests that wait for etcd hold their seats.
        const EDGES: [Edge; 7] = [
            Edge::in_cluster(RuleId::F18),
            Edge::in_cluster(RuleId::F21),
            Edge::in_cluster(RuleId::F38),
            // Its liveness probe fails without etcd.
            Edge::in_cluster(RuleId::F37),
            Edge::in_cluster(RuleId::F49),
            Edge::in_cluster(RuleId::F50),
            Edge::in_cluster(RuleId::F58),
        ];
        &EDGES
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        judge_both(context, RuleId::F25, blames_etcd, |checks| Arc::new(EtcdChecks(checks)))
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::model::rule::Level;
        use crate::samples::{Sample, api, lines};

        Sample::of(
            "prod-eu1",
            Level::Warning,
            Arc::new(EtcdChecks(FailingChecks {
                parts: vec![(api("api-1"), vec!["etcd".into(), "etcd-readiness".into()])],
                of: 2,
                etcd_agrees: Some(true),
            })),
        )
        .probes(vec![
            lines::api("apiserver/api-1", 2_100_000, "HTTP 500, failing checks: etcd"),
            lines::api("apiserver/api-2", 1100, "HTTP 200"),
            lines::healthy(1),
        ])
    }
}
