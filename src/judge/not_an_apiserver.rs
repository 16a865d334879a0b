//! F58: the health checks are answered, and ordinary requests by something that is no apiserver, or by an error.
//!
//! An endpoint that answers the health checks with something else is down for F22, F23 and F24; the texts for that are
//! here too. Health stays green while ordinary requests fail when a proxy, a portal or a gateway answers in the
//! server's place, or when what the server asks about its callers fails.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::finding::{Evidence, Kind};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::Mono;
use crate::model::verdict::{Finding, Symptom, Verdict, Why};
use crate::observe::aspect::Aspect;
use crate::observe::probe_runs::BadRun;

use super::commands::{Command, Commands, Program};
use super::context::{RuleContext, SubjectState, all_good, gravest};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// Why something else answers where an apiserver should.
pub(super) const CAUSE: &str = "The address leads to something that is not an apiserver: a proxy or portal that \
    wants a login first, a load balancer's own page, another service that took over the address or port, or DNS that \
    points elsewhere.";

/// Commands for when something else answers.
pub(super) fn commands(subject: &Subject, commands: &Commands<'_>) -> Vec<Command> {
    let address = phrases::address(subject, commands.addresses);
    let mut next = commands.who_answers(subject).to_vec();
    next.push(commands.name(phrases::host(&address), "does the name lead where it should?"));
    if !subject.is_vip() {
        next.extend([commands.listening(subject), commands.containers(subject, Program::Apiserver)]);
    }
    next
}

/// F58: ready, but ordinary requests get no apiserver's answer.
pub struct NotAnApiserver;

/// What stops working where nothing more is known.
const IMPACT: &str = "Clients that get there receive answers that they do not understand; load balancers that check \
    /readyz keep sending them.";

/// Endpoints that answer their health checks and give ordinary requests what no apiserver gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Impostor {
    /// Each with what it answers.
    pub parts: Vec<(Subject, Symptom)>,
    /// Instances among them.
    pub bad: usize,
    /// Of how many.
    pub of: usize,
}

impl Kind for Impostor {
    const TAG: &'static str = "impostor";
}

impl Evidence for Impostor {
    fn headline(&self, _: &Finding) -> String {
        "/version is not answered by an apiserver".into()
    }

    fn what(&self, _: &Finding, addresses: &Addresses) -> String {
        let Self { parts, bad, of } = self;
        let each: Vec<String> = parts
            .iter()
            .map(|(endpoint, symptom)| {
                format!("{} answers /version with {}", phrases::place(endpoint, addresses), answer(symptom))
            })
            .collect();
        phrases::capital(format!(
            "{}, where an apiserver tells its version. The health checks are answered as they should be. {bad} of \
             {of} instances affected.",
            each.join("; ")
        ))
    }

    fn impact(&self, _: &Finding) -> String {
        if self.bad >= self.of {
            "Health checks are green and the API is of no use: kubectl, deploys and controllers get answers that \
             they do \
             not understand. Running pods keep running and serving."
        } else {
            IMPACT
        }
        .into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        let is_foreign = |symptom: &Symptom| matches!(symptom, Symptom::Foreign { .. });
        let Self { parts, .. } = self;
        if parts.iter().any(|(_, symptom)| is_foreign(symptom)) {
            return CAUSE.into();
        }
        "A gateway in front answers in the server's place, or the server cannot check its callers (its \
         authentication or \
         authorization webhook fails)."
            .into()
    }

    fn next_commands(&self, _: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let Self { parts, .. } = self;
        parts.first().map_or_else(Vec::new, |(endpoint, _)| self::commands(endpoint, commands))
    }

    fn concerned(&self) -> Vec<Subject> {
        self.parts.iter().map(|(part, _)| part.clone()).collect()
    }
}

fn answer(symptom: &Symptom) -> String {
    match symptom {
        Symptom::Foreign { status, page } => format!("HTTP {status} and {}", page.as_str()),
        Symptom::Status(status) => format!("HTTP {status}"),
        Symptom::Silent(unseen) => unseen.to_string(),
        Symptom::NotReady(parts) => phrases::failing(parts),
    }
}

impl Rule for NotAnApiserver {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F58,
            name: "ApiForeignResponse",
            in_short: "not an apiserver",
            title: "ready, but /version is not answered by an apiserver",
            impact: IMPACT,
            likely_cause: CAUSE,
            shows: Shows::Apiservers,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<Impostor>()
    }

    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    /// One finding for the cluster, whichever endpoint gives the wrong answers, because users see a broken API.
    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let Some((name, cluster)) = context.cluster else { return Vec::new() };
        let instances = context.instances();
        let mut endpoints = instances.clone();
        if cluster.vip.is_some() && !cluster.apiservers.is_empty() {
            endpoints.push(Subject::Vip(name.clone()));
        }
        if endpoints.is_empty() {
            return Vec::new();
        }
        let whole = Subject::Cluster(name.clone());
        vec![(whole.clone(), judge_answers(context, whole, &endpoints, &instances))]
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::model::health::Foreign;
        use crate::samples::{Sample, api, lines};

        Sample::of(
            "prod-eu1",
            Level::Warning,
            Arc::new(Impostor {
                parts: vec![(api("api-1"), Symptom::Foreign { status: 200, page: Foreign::Html })],
                bad: 1,
                of: 2,
            }),
        )
        .probes(vec![lines::api("vip", 1300, "HTTP 200: an HTML page")])
    }
}

fn judge_answers(context: &RuleContext<'_>, whole: Subject, endpoints: &[Subject], instances: &[Subject]) -> Verdict {
    let subject_states: Vec<(&Subject, SubjectState<'_>)> =
        endpoints.iter().map(|endpoint| (endpoint, context.subject_state(endpoint, Aspect::Ordinary))).collect();
    let concerned: Vec<(&Subject, &BadRun)> = subject_states
        .iter()
        .filter_map(|(endpoint, subject_state)| Some((*endpoint, subject_state.bad()?)))
        .filter(|(endpoint, bad)| answers(&bad.symptom) && !is_told_already(context, endpoint, bad))
        .collect();
    let raised = context.raised_of(RuleId::F58, &whole).and_then(Finding::seen::<Impostor>);
    let known: &[(Subject, Symptom)] = raised.map_or(&[], |raised| &raised.parts);
    let is_known = |endpoint: &Subject| known.iter().any(|(known, _)| known == endpoint);
    let Some(since) = concerned.iter().map(|(_, bad)| bad.run.first).min_by_key(|first| first.mono) else {
        // A finding ends by the answers of the endpoints that it is about.
        let is_raised = subject_states.iter().any(|(endpoint, _)| is_known(endpoint));
        let asked = || subject_states.iter().filter(|(endpoint, _)| !is_raised || is_known(endpoint));
        let runs: Option<Vec<_>> = asked().map(|(_, subject_state)| subject_state.good()).collect();
        let doubts = asked().filter_map(|(_, subject_state)| match subject_state {
            SubjectState::Unknown(why) => Some(*why),
            SubjectState::Bad { .. } => Some(Why::Unclear),
            SubjectState::Good(_) => None,
        });
        return runs.and_then(all_good).unwrap_or_else(|| Verdict::Unknown(gravest(doubts)));
    };
    let mut parts: Vec<(Subject, Symptom)> =
        concerned.iter().map(|(endpoint, bad)| ((*endpoint).clone(), bad.symptom.clone())).collect();
    let is_open = |(endpoint, _): &&(Subject, Symptom)| {
        let is_concerned = concerned.iter().any(|(concerned, _)| *concerned == endpoint);
        !is_concerned
            && subject_states.iter().any(|(of, subject_state)| *of == endpoint && subject_state.good().is_none())
    };
    parts.extend(known.iter().filter(is_open).cloned());
    let bad = parts.iter().filter(|(endpoint, _)| instances.contains(endpoint)).count();
    let all = bad == instances.len();
    let policy = context.policy();
    Verdict::Bad(Finding {
        rule: RuleId::F58,
        subject: whole,
        level: if all { Level::Critical } else { Level::Warning },
        since: since.wall,
        hold: if all { policy.single_instance_for } else { policy.redundancy_loss_for },
        path_unproven: subject_states.iter().any(|(_, subject_state)| subject_state.is_unproven()),
        evidence: Arc::new(Impostor { parts, bad, of: instances.len() }),
    })
}

/// Whether something was answered: an endpoint that is silent to ordinary requests alone is slow, which F49 reports.
const fn answers(symptom: &Symptom) -> bool {
    match symptom {
        Symptom::Foreign { .. } | Symptom::Status(_) => true,
        Symptom::Silent(_) | Symptom::NotReady(_) => false,
    }
}

/// An endpoint that fails the health checks as well is reported by the rules about those; and once it is good again,
/// ordinary requests get some of their own probes before they count as still wrong.
fn is_told_already(context: &RuleContext<'_>, endpoint: &Subject, ordinary: &BadRun) -> bool {
    let Some(track) = context.view.track(endpoint, Aspect::Answer) else { return false };
    let aftermath = context.policy().version_interval.saturating_mul(2);
    let is_recent = |last: Mono| ordinary.run.last.mono < last.plus(aftermath);
    track.bad().is_some() || track.last_bad().is_some_and(is_recent)
}
