//! F24: every apiserver is down.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::finding::{Evidence, Kind};
use crate::model::phase::Cause;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Symptom, Verdict, Why};
use crate::observe::aspect::Aspect;

use super::commands::{Command, Commands};
use super::context::{RuleContext, SubjectState, any_good, gravest, is_down};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::instance::{IN_FRONT, cause_of, commands_for};
use super::stored::{ReadBack, Stored};
use super::{Rule, not_an_apiserver, phrases};

/// F24: every instance is bad.
pub struct AllDown;

/// What stops working, whatever was seen.
const IMPACT: &str = "The API is down: kubectl, deploys, scaling, rescheduling and everything that uses the API \
    stop. Running pods keep running and serving. In-cluster DNS and Services keep their last state until pods move \
    or CoreDNS restarts.";

/// Everything that should answer and does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllBad {
    /// Each with what it did instead.
    pub parts: Vec<(Subject, Symptom)>,
}

impl Kind for AllBad {
    const TAG: &'static str = "all_bad";
}

impl Evidence for AllBad {
    fn headline(&self, _: &Finding) -> String {
        "all apiservers are down".into()
    }

    fn what(&self, _: &Finding, addresses: &Addresses) -> String {
        let Self { parts } = self;
        let each: Vec<String> = parts
            .iter()
            .map(|(instance, symptom)| {
                format!("{} is {}", phrases::place(instance, addresses), phrases::symptom(symptom))
            })
            .collect();
        match parts.len() {
            1 => format!("The only kube-apiserver monitored, {}.", phrases::list(&each)),
            count => format!("All {count} kube-apiservers are down: {}.", each.join("; ")),
        }
    }

    fn impact(&self, _: &Finding) -> String {
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        let Self { parts } = self;
        let all = |test: fn(&Symptom) -> bool| !parts.is_empty() && parts.iter().all(|(_, symptom)| test(symptom));
        let text = if all(|symptom| matches!(symptom, Symptom::Silent(unseen) if unseen.cause == Cause::Refused)) {
            "Every instance refuses connections: the hosts are up, the processes are not running. A change to all of \
             them at once is the usual reason: manifest, certificate, image, rollout. Nothing points to etcd."
        } else if all(|symptom| matches!(symptom, Symptom::Silent(unseen) if unseen.cause == Cause::Timeout)) {
            "No instance responds while other targets do: the network to this cluster is cut, its hosts are down, or \
             all instances hang, for instance under overload."
        } else if all(|symptom| matches!(symptom, Symptom::NotReady(_))) {
            "Every instance runs and reports that it is not ready: something they share fails, as the named checks say."
        } else if all(|symptom| matches!(symptom, Symptom::Foreign { .. })) {
            not_an_apiserver::CAUSE
        } else if all(|symptom| matches!(symptom, Symptom::Status(_))) {
            IN_FRONT
        } else if let [(_, only)] = parts.as_slice() {
            cause_of(only)
        } else {
            "The instances fail in different ways: look for what they share (hosts, network, a rollout under way)."
        };
        text.into()
    }

    fn next_commands(&self, _: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let instances: Vec<Subject> = self.parts.iter().map(|(instance, _)| instance.clone()).collect();
        self.parts.first().map_or_else(Vec::new, |(_, symptom)| commands_for(symptom, &instances, commands))
    }

    fn is_outage(&self) -> bool {
        true
    }

    fn may_be_lost_site(&self) -> bool {
        true
    }

    fn concerned(&self) -> Vec<Subject> {
        self.parts.iter().map(|(part, _)| part.clone()).collect()
    }

    fn shown(&self) -> Vec<&Subject> {
        self.parts.iter().map(|(part, _)| part).collect()
    }
}

impl Rule for AllDown {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F24,
            name: "ApiDown",
            in_short: "all apiservers down",
            title: "all apiservers down",
            impact: IMPACT,
            likely_cause: "Something the instances share.",
            shows: Shows::Apiservers,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<AllBad>()
    }

    fn explains(&self) -> &'static [Edge] {
        // Apiservers that come back are alive before they are ready: F25 and F50 are the tail of the same outage.
        const EDGES: [Edge; 9] = [
            Edge::in_cluster(RuleId::F22),
            Edge::in_cluster(RuleId::F61),
            Edge::in_cluster(RuleId::F23),
            Edge::in_cluster(RuleId::F25),
            Edge::in_cluster(RuleId::F37),
            Edge::in_cluster(RuleId::F49),
            Edge::in_cluster(RuleId::F58),
            Edge::in_cluster(RuleId::F50),
            Edge::in_cluster(RuleId::F59),
        ];
        &EDGES
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        context
            .whole()
            .filter(|_| !context.instances().is_empty())
            .map(|whole| (whole.clone(), judge_all(context, whole)))
            .into_iter()
            .collect()
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{MUTE, REFUSED, Sample, api, lines};

        Sample::of(
            "prod-eu1",
            Level::Critical,
            Arc::new(AllBad {
                parts: vec![(api("api-1"), Symptom::Silent(REFUSED)), (api("api-2"), Symptom::Silent(REFUSED))],
            }),
        )
        .probes(vec![
            lines::no_api("apiserver/api-1", REFUSED),
            lines::no_api("apiserver/api-2", REFUSED),
            lines::no_api("vip", MUTE),
        ])
    }
}

fn judge_all(context: &RuleContext<'_>, whole: Subject) -> Verdict {
    let instances = context.instances();
    let subject_states: Vec<SubjectState<'_>> =
        instances.iter().map(|instance| context.subject_state(instance, Aspect::Answer)).collect();
    if let Some(good) = any_good(subject_states.iter().filter_map(SubjectState::good)) {
        return good;
    }
    let bad: Vec<_> = subject_states.iter().filter_map(SubjectState::bad).collect();
    let youngest = bad.iter().map(|bad| bad.run.first).max_by_key(|first| first.mono);
    let (Some(since), true) = (youngest, bad.len() == instances.len()) else {
        return Verdict::Unknown(gravest(subject_states.iter().filter_map(|subject_state| match subject_state {
            SubjectState::Unknown(why) => Some(*why),
            SubjectState::Good(_) | SubjectState::Bad { .. } => None,
        })));
    };
    // F25 and F50 report that all answer and none is ready, because they know why.
    if !bad.iter().any(|bad| is_down(&bad.symptom)) {
        return Verdict::Unknown(Why::Unclear);
    }
    let parts: Vec<(Subject, Symptom)> =
        instances.iter().cloned().zip(bad.iter().map(|bad| bad.symptom.clone())).collect();
    Verdict::Bad(Finding {
        rule: RuleId::F24,
        subject: whole,
        level: Level::Critical,
        since: since.wall,
        hold: if instances.len() == 1 { context.policy().single_instance_for } else { Duration::ZERO },
        path_unproven: subject_states.iter().any(SubjectState::is_unproven),
        evidence: Arc::new(AllBad { parts }),
    })
}
