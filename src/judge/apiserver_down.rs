//! F22: an apiserver is down while others are not.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::finding::{Evidence, Kind};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::Now;
use crate::model::verdict::{Finding, Symptom, Verdict, Why};
use crate::observe::aspect::Aspect;

use super::commands::{Command, Commands};
use super::context::{RuleContext, SubjectState, is_down};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::instance::{cause_of, commands_for};
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F22: one of several instances is bad.
pub struct OneBad;

/// One instance that is bad while others are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    /// What it does.
    pub symptom: Symptom,
    /// Instances that are ready.
    pub ready: usize,
    /// Of how many.
    pub of: usize,
    /// What of it is bad.
    #[serde(default)]
    pub extent: Extent,
}

impl Kind for Partial {
    const TAG: &'static str = "partial";
}

impl Evidence for Partial {
    fn headline(&self, finding: &Finding) -> String {
        format!("kube-apiserver {} down", phrases::fit(finding.subject.short(), 24))
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let place = phrases::place(&finding.subject, addresses);
        let Self { symptom, ready, of, extent } = self;
        let state = phrases::symptom(symptom);
        let said = match extent {
            Extent::Whole => format!("kube-apiserver {place} is {state}."),
            Extent::NewConnections => format!("kube-apiserver {place} is {state}.{}", phrases::OPEN_ONES_ANSWER),
            Extent::AtTimes { failures, window } => format!(
                "kube-apiserver {place} fails intermittently: {failures} times within {} it was {state}, and it responded in \
                 between.",
                phrases::lasting(*window)
            ),
        };
        format!("{said} {ready} of {of} instances are ready.")
    }

    fn impact(&self, _: &Finding) -> String {
        let is_last = self.ready <= 1 && self.extent == Extent::Whole;
        let rest = if is_last { " Only one ready instance is left." } else { "" };
        format!(
            "Requests to this instance fail or hang: those through the API VIP fail in part unless the load balancer \
             has taken it out. Clients pinned to it (kubelets, controllers on the same host) are cut off.{rest}"
        )
    }

    fn likely_cause(&self, _: &Finding) -> String {
        match self.extent {
            Extent::AtTimes { .. } => {
                "It restarts in a loop (its liveness probe fails, or it runs out of memory), or packets to its host \
                 are lost."
            }
            Extent::NewConnections => {
                "It takes no new connections: no file descriptors are left, its accept queue is full, its CPU is too \
                 busy \
                 for handshakes, or a firewall drops new flows and lets open ones pass."
            }
            Extent::Whole => cause_of(&self.symptom),
        }
        .into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        commands_for(&self.symptom, std::slice::from_ref(&finding.subject), commands)
    }
}

impl Rule for OneBad {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F22,
            name: "ApiserverDown",
            in_short: "apiserver down",
            title: "an apiserver is down",
            impact: "Requests to this instance fail or hang: those through the API VIP fail in part unless the load \
                balancer has taken it out. Clients pinned to it (kubelets, controllers on the same host) are cut \
                off.",
            likely_cause: "The instance's process, host or network.",
            shows: Shows::Apiservers,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<Partial>()
    }

    fn explains(&self) -> &'static [Edge] {
        // A name may have the instances' own addresses.
        const EDGES: [Edge; 1] = [Edge::in_cluster(RuleId::F59)];
        &EDGES
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let instances = context.instances();
        let mut verdicts = Vec::new();
        if instances.len() > 1 {
            verdicts
                .extend(instances.iter().map(|instance| (instance.clone(), judge_one(context, instance, &instances))));
        }
        // Former versions told here what F61 tells now.
        let past = context.raised(RuleId::F22).filter(|finding| finding.subject.is_vip());
        verdicts.extend(past.map(|finding| {
            (finding.subject.clone(), context.subject_state(&finding.subject, Aspect::Answer).unless_bad())
        }));
        verdicts
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{REFUSED, Sample, lines};

        Sample::of(
            "prod-eu1/apiserver/api-2",
            Level::Warning,
            Arc::new(Partial { symptom: Symptom::Silent(REFUSED), ready: 1, of: 2, extent: Extent::Whole }),
        )
        .probes(vec![
            lines::api("apiserver/api-1", 1200, "HTTP 200"),
            lines::no_api("apiserver/api-2", REFUSED),
            lines::api("vip", 1300, "HTTP 200"),
        ])
    }
}

fn judge_one(context: &RuleContext<'_>, instance: &Subject, instances: &[Subject]) -> Verdict {
    let subject_state = context.subject_state(instance, Aspect::Answer);
    let SubjectState::Bad { bad, path_unproven } = subject_state else {
        return judge_partly(context, instance, instances);
    };
    // F25 and F50 report what it is not ready for.
    if !is_down(&bad.symptom) {
        return Verdict::Unknown(Why::Unclear);
    }
    let ready = ready(context, instances);
    let raised = context.raised_of(RuleId::F22, instance);
    let lasted = context.bad_for(instance, Aspect::Answer, bad.kind.first, raised);
    let level = if ready <= 1 && lasted >= context.policy().redundancy_loss_critical_after {
        Level::Critical
    } else {
        Level::Warning
    };
    let is_alive = context.reused_answers(instance, bad.kind.first);
    Verdict::Bad(Finding {
        rule: RuleId::F22,
        subject: instance.clone(),
        level,
        since: bad.kind.first.wall,
        hold: context.policy().redundancy_loss_for,
        path_unproven,
        evidence: Arc::new(Partial {
            symptom: bad.symptom.clone(),
            ready,
            of: instances.len(),
            extent: if is_alive { Extent::NewConnections } else { Extent::Whole },
        }),
    })
}

fn ready(context: &RuleContext<'_>, instances: &[Subject]) -> usize {
    instances.iter().filter(|other| context.subject_state(other, Aspect::Answer).good().is_some()).count()
}

/// What fails again and again, and works in between, is never three bad probes in a row.
fn judge_partly(context: &RuleContext<'_>, endpoint: &Subject, instances: &[Subject]) -> Verdict {
    let policy = context.policy();
    let subject_state = context.subject_state(endpoint, Aspect::Answer);
    let Some(own) = context.view.track(endpoint, Aspect::Answer) else { return subject_state.unless_bad() };
    let failures: Vec<&Now> = own.failures(context.now.mono, policy.partly_window).collect();
    let (Some(first), Some(symptom), true) =
        (failures.first(), own.last_failure(), failures.len() >= policy.partly_failures)
    else {
        // One below the threshold is no all-clear yet.
        let is_calm = failures.len() + 1 < policy.partly_failures || subject_state.good().is_none();
        return if is_calm { subject_state.unless_bad() } else { Verdict::Unknown(Why::Unclear) };
    };
    if context.references().iter().any(|place| context.has_failed(place)) {
        return Verdict::Unknown(Why::Unclear);
    }
    Verdict::Bad(Finding {
        rule: RuleId::F22,
        subject: endpoint.clone(),
        level: Level::Warning,
        since: first.wall,
        hold: policy.redundancy_loss_for,
        path_unproven: false,
        evidence: Arc::new(Partial {
            symptom: symptom.clone(),
            ready: ready(context, instances),
            of: instances.len(),
            extent: Extent::AtTimes { failures: failures.len(), window: policy.partly_window },
        }),
    })
}

/// What of an endpoint is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// Nothing of it works, as far as was seen.
    #[default]
    Whole,
    /// New connections fail; one that was opened earlier still answers.
    NewConnections,
    /// It works between its failures.
    AtTimes {
        /// Failures within the window, each followed or preceded by a good probe.
        failures: usize,
        /// The time they are counted over.
        window: Duration,
    },
}
