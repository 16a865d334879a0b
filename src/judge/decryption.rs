//! F35: what is stored encrypted cannot be decrypted, as with a key management plugin that is down.
//!
//! Two sources: the readiness checks of an apiserver, which ask the plugin, and the read of the canaries' Secret, which
//! needs its answer. With cached keys reads go on for a while after the plugin has gone, so that the checks come first.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::canary::Canary;
use crate::model::finding::{Evidence, Kind};
use crate::model::probe::ProbeKind;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Verdict};
use crate::observe::canaries::Sign;

use super::canary_state::{Asked, Bad};
use super::commands::{Command, Commands, Program};
use super::context::RuleContext;
use super::description::{Description, Shows};
use super::edges::Edge;
use super::readiness::{FailingChecks, blames_kms, judge_both};
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F35: Secrets cannot be decrypted.
pub struct Undecryptable;

/// What stops working, whatever was seen.
const IMPACT: &str = "Secrets cannot be read or written through the affected apiservers: pods that mount or name one do \
    not start, and controllers stop. Pods that run keep running.";

/// The likely cause.
const LIKELY_CAUSE: &str = "The key management plugin does not respond: its socket, its pod, or the key service behind \
    it; its credential there may have expired.";

const KINDS: &[ProbeKind] = &[ProbeKind::SecretRead];

/// What fails because of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysLost {
    /// Instances that are not ready for it, with their failing checks.
    pub checks: Vec<(Subject, Vec<String>)>,
    /// Instances through which the Secret cannot be read, with what they said.
    pub unread: Vec<(Subject, String)>,
    /// Number of instances in the cluster.
    pub of: usize,
}

impl Kind for KeysLost {
    const TAG: &'static str = "keys_lost";
}

impl KeysLost {
    fn instances(&self) -> Vec<&Subject> {
        let unready = self.checks.iter().map(|(instance, _)| instance);
        let mut all: Vec<&Subject> = unready.chain(self.unread.iter().map(|(instance, _)| instance)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl Evidence for KeysLost {
    fn headline(&self, _: &Finding) -> String {
        if self.unread.is_empty() { "key management plugin (KMS) fails" } else { "Secrets cannot be decrypted" }.into()
    }

    fn what(&self, _: &Finding, addresses: &Addresses) -> String {
        let (Self { checks, unread, of }, mut said) = (self, Vec::new());
        if !unread.is_empty() {
            let places: Vec<String> = unread.iter().map(|(instance, _)| phrases::place(instance, addresses)).collect();
            said.push(format!(
                "The Secret of vedette's canaries cannot be decrypted through {} of {of} apiservers: {}.",
                unread.len(),
                phrases::list(&places)
            ));
        }
        if !checks.is_empty() {
            let failing = FailingChecks { parts: checks.clone(), of: *of, etcd_agrees: None };
            said.push(format!("{}.", failing.who_fails(addresses)));
        }
        said.join(" ")
    }

    fn listed(&self, finding: &Finding, addresses: &Addresses) -> Option<(String, Vec<String>)> {
        let said = self.unread.iter().filter(|(_, said)| !said.is_empty());
        let said: Vec<String> = said.map(|(instance, said)| format!("{} says: {said}", instance.short())).collect();
        (!said.is_empty()).then(|| (self.what(finding, addresses), said))
    }

    fn impact(&self, _: &Finding) -> String {
        if self.unread.is_empty() {
            "Secrets are readable only as long as their keys are cached. Load balancers that check /readyz take the \
             affected apiservers out; with all of them affected the API is down."
                .into()
        } else {
            IMPACT.into()
        }
    }

    fn likely_cause(&self, _: &Finding) -> String {
        LIKELY_CAUSE.into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let instance = self.instances().first().map_or_else(|| finding.subject.clone(), |one| (*one).clone());
        let mut next = vec![commands.readyz_verbose(&instance), commands.logs(&instance, Program::Apiserver)];
        next.extend(commands.manifests(&instance));
        next
    }

    fn is_outage(&self) -> bool {
        self.of > 0 && self.checks.len() >= self.of
    }

    fn concerned(&self) -> Vec<Subject> {
        self.instances().into_iter().cloned().collect()
    }

    fn shown(&self) -> Vec<&Subject> {
        self.instances()
    }
}

impl Rule for Undecryptable {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F35,
            name: "SecretsUndecryptable",
            in_short: "KMS",
            title: "Secrets cannot be decrypted, or the KMS plugin fails",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Apiservers,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<KeysLost>()
    }

    fn explains(&self) -> &'static [Edge] {
        const EDGES: [Edge; 1] = [Edge::in_cluster(RuleId::F22)];
        &EDGES
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let by_checks = judge_both(context, RuleId::F35, blames_kms, |checks| {
            Arc::new(KeysLost { checks: checks.parts, unread: Vec::new(), of: checks.of })
        });
        let Some(asked) = Asked::of(context, Canary::Secret, KINDS) else { return by_checks };
        by_checks.into_iter().map(|(whole, verdict)| (whole, with_reads(context, &asked, verdict))).collect()
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{Sample, api, lines};

        let said = "Internal error occurred: unable to transform key \"/registry/secrets/vedette/vedette-canary\": \
                    rpc error: code = Unavailable desc = connection error: connect: connection refused";
        Sample::of(
            "prod-eu1",
            Level::Critical,
            Arc::new(KeysLost {
                checks: vec![(api("api-1"), vec!["kms-providers".into()])],
                unread: vec![(api("api-1"), said.into())],
                of: 2,
            }),
        )
        .probes(vec![
            lines::api("apiserver/api-1", 1200, "HTTP 500, failing checks: kms-providers"),
            lines::api("apiserver/api-2", 1100, "HTTP 200"),
        ])
    }
}

/// The verdict by the readiness checks, with what the reads of the Secret add.
fn with_reads(context: &RuleContext<'_>, asked: &Asked<'_>, by_checks: Verdict) -> Verdict {
    let unread: Vec<Bad<'_>> = asked.confirmed(&[Sign::Failed]);
    let Some(first) = unread.iter().map(|bad| bad.run.first).min_by_key(|first| first.mono) else {
        let was_unread = context
            .raised_of(RuleId::F35, &asked.whole)
            .and_then(Finding::seen::<KeysLost>)
            .is_some_and(|raised| !raised.unread.is_empty());
        // What was read in vain is over when it was read.
        let is_over = was_unread && matches!(by_checks, Verdict::Good { .. });
        return if is_over { asked.good() } else { by_checks };
    };
    let (checks, told) = match &by_checks {
        Verdict::Bad(finding) => {
            (finding.seen::<KeysLost>().map(|seen| seen.checks.clone()).unwrap_or_default(), Some(finding.since))
        }
        Verdict::Good { .. } | Verdict::Unknown(_) => (Vec::new(), None),
    };
    let said = |bad: &Bad<'_>| bad.track.answer().and_then(|answer| answer.said.clone()).unwrap_or_default();
    let policy = context.policy();
    let is_everywhere = unread.len() == asked.instances.len();
    Verdict::Bad(Finding {
        rule: RuleId::F35,
        subject: asked.whole.clone(),
        level: Level::Critical,
        since: told.map_or(first.wall, |told| told.min(first.wall)),
        hold: if is_everywhere { policy.single_instance_for } else { policy.redundancy_loss_for },
        path_unproven: false,
        evidence: Arc::new(KeysLost {
            checks,
            unread: unread.iter().map(|bad| (bad.instance.clone(), said(bad))).collect(),
            of: asked.instances.len(),
        }),
    })
}
