//! F58: the health checks are answered, and ordinary requests by something that is no apiserver, or by an error.
//!
//! An endpoint that answers the health checks with something else is down for F22, F23 and F24; the texts for that are
//! here too. Health stays green while ordinary requests fail when a proxy, a portal or a gateway answers in the
//! server's place, or when what the server asks about its callers fails.

use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::Mono;
use crate::model::verdict::{Evidence, Finding, Symptom, Verdict, Why};
use crate::observe::probe_runs::BadRun;
use crate::observe::view::Aspect;

use super::commands::{Command, Commands, Program};
use super::context::{RuleContext, SubjectState, all_good, gravest};
use super::edges::Edge;
use super::words::Words;
use super::{Rule, phrases};
use crate::model::addresses::Addresses;

/// Why something else answers where an apiserver should.
pub(super) const CAUSE: &str = "The address leads to something that is not an apiserver: a proxy or portal that \
                                wants a login first, a load balancer's own page, another service that took over the \
                                address or port, or DNS that points elsewhere.";

/// Commands for when something else answers.
pub(super) fn commands(subject: &Subject, commands: &Commands<'_>) -> Vec<Command> {
    let address = phrases::address(subject, commands.addresses());
    let mut next = commands.who_answers(subject).to_vec();
    next.push(commands.name(phrases::host(&address), "does the name lead where it should?"));
    if !matches!(subject, Subject::Vip(_)) {
        next.extend([commands.listening(subject), commands.containers(subject, Program::Apiserver)]);
    }
    next
}

/// F58: ready, but ordinary requests get no apiserver's answer.
pub struct NotAnApiserver;

impl Words for NotAnApiserver {
    fn id(&self) -> RuleId {
        RuleId::F58
    }

    fn title(&self) -> &'static str {
        "ready, but /version is not answered by an apiserver"
    }

    fn headline(&self, _: &Finding) -> String {
        "/version is not answered by an apiserver".into()
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let Evidence::Impostor { parts, bad, of } = &finding.evidence else {
            return "Health checks are answered, but /version is not answered by an apiserver.".into();
        };
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

    fn impact(&self, finding: &Finding) -> String {
        if matches!(&finding.evidence, Evidence::Impostor { bad, of, .. } if bad >= of) {
            "Health checks are green and the API is of no use: kubectl, deploys and controllers get answers that \
             they do \
             not understand. Running pods keep running and serving."
        } else {
            "Clients that get there receive answers that they do not understand; load balancers that check /readyz \
             keep sending them."
        }
        .into()
    }

    fn likely_cause(&self, finding: &Finding) -> String {
        let is_foreign = |symptom: &Symptom| matches!(symptom, Symptom::Foreign { .. });
        let Evidence::Impostor { parts, .. } = &finding.evidence else { return CAUSE.into() };
        if parts.iter().any(|(_, symptom)| is_foreign(symptom)) {
            return CAUSE.into();
        }
        "A gateway in front answers in the server's place, or the server cannot check its callers (its \
         authentication or \
         authorization webhook fails)."
            .into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let Evidence::Impostor { parts, .. } = &finding.evidence else { return Vec::new() };
        parts.first().map_or_else(Vec::new, |(endpoint, _)| self::commands(endpoint, commands))
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
}

fn judge_answers(context: &RuleContext<'_>, whole: Subject, endpoints: &[Subject], instances: &[Subject]) -> Verdict {
    let subject_states: Vec<(&Subject, SubjectState<'_>)> =
        endpoints.iter().map(|endpoint| (endpoint, context.subject_state(endpoint, Aspect::Ordinary))).collect();
    let concerned: Vec<(&Subject, &BadRun)> = subject_states
        .iter()
        .filter_map(|(endpoint, subject_state)| Some((*endpoint, subject_state.bad()?)))
        .filter(|(endpoint, bad)| answers(&bad.symptom) && !is_told_already(context, endpoint, bad))
        .collect();
    let raised = context.raised_of(RuleId::F58, &whole).map(|finding| &finding.evidence);
    let known: &[(Subject, Symptom)] = if let Some(Evidence::Impostor { parts, .. }) = raised { parts } else { &[] };
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
        evidence: Evidence::Impostor { parts, bad, of: instances.len() },
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
