//! F50: an apiserver is not ready for a reason that is not etcd.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::finding::{Evidence, Kind};
use crate::model::rule::RuleId;
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Verdict};

use super::commands::{Command, Commands, Program};
use super::context::RuleContext;
use super::description::{Description, Shows};
use super::edges::Edge;
use super::readiness::{self, FailingChecks, blames_etcd, blames_kms, judge_both};
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F50: an apiserver is not ready for a reason that is not etcd.
pub struct NotReady;

/// Failing checks that are about anything but etcd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OtherChecks(pub FailingChecks);

impl Kind for OtherChecks {
    const TAG: &'static str = "not_ready";
}

impl Evidence for OtherChecks {
    fn headline(&self, finding: &Finding) -> String {
        if finding.subject.is_apiserver() {
            format!("apiserver {} not ready", phrases::fit(finding.subject.short(), 21))
        } else {
            "apiservers not ready".into()
        }
    }

    fn what(&self, _: &Finding, addresses: &Addresses) -> String {
        format!("{}.", self.0.who_fails(addresses))
    }

    fn impact(&self, _: &Finding) -> String {
        self.0.impact("It responds, but what depends on the failing checks does not work")
    }

    fn likely_cause(&self, _: &Finding) -> String {
        let fails =
            |wanted: &str| self.0.parts.iter().any(|(_, checks)| checks.iter().any(|check| check.starts_with(wanted)));
        let text = if fails("kms-provider") {
            "The key management plugin that decrypts Secrets does not respond: its socket, its pod, or the key \
             service behind it."
        } else if fails("shutdown") {
            "It is shutting down: a drain or restart is under way."
        } else if fails("informer-sync") || fails("poststarthook") {
            "It is still starting, or its start-up tasks cannot finish because a part they need fails."
        } else if fails("log") {
            "kube-apiserver cannot write its own log (stderr): a full disk, or the container runtime does not read it."
        } else {
            "A part of the apiserver, as its own readiness checks name it; the log has the reason."
        };
        text.into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let instance = self.0.first_instance(finding);
        let mut next = vec![commands.readyz_verbose(&instance), commands.logs(&instance, Program::Apiserver)];
        next.extend(commands.manifests(&instance));
        next.push(commands.room_for_logs(&instance));
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

impl Rule for NotReady {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F50,
            name: "ApiserverNotReady",
            in_short: "not ready",
            title: "apiserver not ready, not because of etcd",
            impact: readiness::IMPACT,
            likely_cause: "A part of the apiserver, as its own readiness checks say.",
            shows: Shows::Apiservers,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<OtherChecks>()
    }

    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        judge_both(
            context,
            RuleId::F50,
            |parts| !blames_etcd(parts) && !blames_kms(parts),
            |checks| Arc::new(OtherChecks(checks)),
        )
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::model::rule::Level;
        use crate::samples::{Sample, api, lines};

        Sample::of(
            "prod-eu1",
            Level::Warning,
            Arc::new(OtherChecks(FailingChecks {
                parts: vec![(api("api-1"), vec!["informer-sync".into()])],
                of: 2,
                etcd_agrees: Some(true),
            })),
        )
        .probes(vec![
            lines::api("apiserver/api-1", 1200, "HTTP 500, failing checks: informer-sync"),
            lines::api("apiserver/api-2", 1100, "HTTP 200"),
        ])
    }
}
