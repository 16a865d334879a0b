//! F25 an apiserver cannot reach an etcd that is fine, F50 not ready for a reason that is not etcd.
//!
//! One finding per cluster each: all instances usually say the same, and one mail says it better than three.

use std::time::Duration;

use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::{Mono, Now};
use crate::model::verdict::{Evidence, Finding, Symptom, Verdict, Why};
use crate::observe::probe_runs::Confirmation;
use crate::observe::view::Aspect;

use super::commands::{Command, Commands, Program};
use super::context::{RuleContext, SubjectState, all_good, gravest};
use super::edges::Edge;
use super::words::Words;
use super::{Rule, phrases};
use crate::model::addresses::Addresses;

/// F25: an apiserver cannot reach etcd, while etcd itself is fine.
pub struct EtcdUnreachable;

/// F50: an apiserver is not ready for a reason that is not etcd.
pub struct NotReady;

impl Words for EtcdUnreachable {
    fn id(&self) -> RuleId {
        RuleId::F25
    }

    fn title(&self) -> &'static str {
        "apiserver cannot reach etcd, which is healthy"
    }

    fn headline(&self, finding: &Finding) -> String {
        if store(finding) == Store::OfSome {
            return "apiserver cannot reach etcd of some resources".into();
        }
        match &finding.subject {
            Subject::Apiserver(_, name) => {
                format!("apiserver {} cannot reach etcd", phrases::fit(name.as_str(), 17))
            }
            Subject::Vantage
            | Subject::Reference(_)
            | Subject::Resolver(_)
            | Subject::Proxy(_)
            | Subject::Cluster(_)
            | Subject::Vip(_)
            | Subject::Etcd(..)
            | Subject::EtcdMember(..)
            | Subject::Stored(..)
            | Subject::Chain(..) => "apiserver cannot reach etcd".into(),
        }
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let Evidence::NotReady { parts, of, etcd_agrees } = &finding.evidence else {
            return "kube-apiserver reports that it cannot reach etcd.".into();
        };
        let etcd = match (store(finding), etcd_agrees) {
            (Store::Main | Store::Both, Some(true)) => "etcd, probed directly, responds and has a leader",
            (Store::OfSome, Some(true)) => "every etcd that is monitored here responds and has a leader",
            (_, Some(false)) => "etcd, probed directly, has no leader either",
            (_, None) => "etcd itself is not monitored here",
        };
        let which = match store(finding) {
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
        format!("{}{which}; {etcd}.", who_fails(parts, *of, addresses))
    }

    fn impact(&self, finding: &Finding) -> String {
        match store(finding) {
            Store::Main | Store::Both => how_much(finding, "Requests to it fail with HTTP 500 or hang"),
            Store::OfSome => "Reads and writes of the resources kept there (mostly events) fail or hang, so events \
                              are not recorded; all else can be read and written. The apiserver reports itself not \
                              ready for it: load balancers that check /readyz take it out, and with every instance \
                              affected the whole API may become unreachable through them."
                .into(),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "special words for some cases, a general sentence for all others"
    )]
    fn likely_cause(&self, finding: &Finding) -> String {
        let text = match &finding.evidence {
            _ if store(finding) == Store::OfSome => {
                "That etcd cluster is down or has no leader, or what lies between it and the apiserver: its client \
                 certificate, the address in --etcd-servers-overrides, port 2379. Watch it as a second etcd of this \
                 cluster to see which."
            }
            Evidence::NotReady { etcd_agrees: Some(true), .. } => {
                "What lies between apiserver and etcd: the client certificate apiserver-etcd-client has expired or \
                 its CA changed, --etcd-servers names the wrong place, or port 2379 is blocked between them."
            }
            Evidence::NotReady { etcd_agrees: Some(false), .. } => "etcd itself: check it first.",
            _ => {
                "etcd, or what lies between it and the apiserver: certificate apiserver-etcd-client, --etcd-servers, \
                 port 2379."
            }
        };
        text.into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let instance = first_instance(finding);
        let mut next: Vec<Command> = commands.client_file(&instance).into_iter().collect();
        next.extend(commands.etcd_flags(&instance));
        next.extend([commands.apiserver_on_etcd(&instance), commands.readyz_verbose(&instance)]);
        next.extend(commands.renew_client(&instance));
        next
    }
}

impl Words for NotReady {
    fn id(&self) -> RuleId {
        RuleId::F50
    }

    fn title(&self) -> &'static str {
        "apiserver not ready, not because of etcd"
    }

    fn headline(&self, finding: &Finding) -> String {
        match &finding.subject {
            Subject::Apiserver(_, name) => format!("apiserver {} not ready", phrases::fit(name.as_str(), 21)),
            Subject::Vantage
            | Subject::Reference(_)
            | Subject::Resolver(_)
            | Subject::Proxy(_)
            | Subject::Cluster(_)
            | Subject::Vip(_)
            | Subject::Etcd(..)
            | Subject::EtcdMember(..)
            | Subject::Stored(..)
            | Subject::Chain(..) => "apiservers not ready".into(),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "special words for some cases, a general sentence for all others"
    )]
    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        match &finding.evidence {
            Evidence::NotReady { parts, of, .. } => format!("{}.", who_fails(parts, *of, addresses)),
            _ => "kube-apiserver reports that it is not ready.".into(),
        }
    }

    fn impact(&self, finding: &Finding) -> String {
        how_much(finding, "It responds, but what depends on the failing checks does not work")
    }

    fn likely_cause(&self, finding: &Finding) -> String {
        let Evidence::NotReady { parts, .. } = &finding.evidence else {
            return "A part of the apiserver, as its own readiness checks say.".into();
        };
        let fails = |wanted: &str| parts.iter().any(|(_, checks)| checks.iter().any(|check| check.starts_with(wanted)));
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
        let instance = first_instance(finding);
        let mut next = vec![commands.readyz_verbose(&instance), commands.logs(&instance, Program::Apiserver)];
        next.extend(commands.manifests(&instance));
        next.push(commands.room_for_logs(&instance));
        next
    }
}

/// `1 of 3 kube-apiservers not ready: api-1 (10.0.0.11:6443) reports that it is not ready: check etcd fails`.
fn who_fails(parts: &[(Subject, Vec<String>)], of: usize, addresses: &Addresses) -> String {
    let each: Vec<String> = parts
        .iter()
        .map(|(instance, checks)| {
            format!(
                "{} reports that it is not ready: {}",
                phrases::place(instance, addresses),
                phrases::failing(checks)
            )
        })
        .collect();
    format!("{} of {of} kube-apiservers not ready: {}", parts.len(), each.join("; "))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "special words for some cases, a general sentence for all others")]
fn how_much(finding: &Finding, effect: &str) -> String {
    match &finding.evidence {
        Evidence::NotReady { parts, of, .. } if parts.len() >= *of => {
            "The API as a whole is affected: kubectl, deploys and scaling fail or hang. Running pods keep running and \
             serving."
                .into()
        }
        Evidence::NotReady { .. } => format!(
            "{effect}. The other instances serve; load balancers that check /readyz take this one out, clients pinned to it \
             suffer."
        ),
        _ => "Requests to the affected apiservers fail or hang; if all of them are affected, the API is down.".into(),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "special words for some cases, a general sentence for all others")]
fn first_instance(finding: &Finding) -> Subject {
    match &finding.evidence {
        Evidence::NotReady { parts, .. } => parts.first().map(|(instance, _)| instance.clone()),
        _ => None,
    }
    .unwrap_or_else(|| finding.subject.clone())
}

impl Rule for EtcdUnreachable {
    fn explains(&self) -> &'static [Edge] {
        const EDGES: [Edge; 3] =
            [Edge::in_cluster(RuleId::F49), Edge::in_cluster(RuleId::F50), Edge::in_cluster(RuleId::F58)];
        &EDGES
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        judge_both(context, RuleId::F25, blames_etcd)
    }
}

impl Rule for NotReady {
    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        judge_both(context, RuleId::F50, |parts| !blames_etcd(parts))
    }
}

/// Which etcd the failing checks are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Store {
    /// The one behind `--etcd-servers`.
    Main,
    /// One behind `--etcd-servers-overrides`, which keeps some resources, mostly events.
    OfSome,
    /// Both kinds.
    Both,
}

/// What the failing checks of one or more instances are about; `None` when none is about etcd.
fn blamed<'a>(parts: impl IntoIterator<Item = &'a String>) -> Option<Store> {
    let kinds = parts.into_iter().filter_map(|part| match part.as_str() {
        "etcd" | "etcd-readiness" => Some(Store::Main),
        // `etcd-override-0`, `etcd-override-readiness-0` and so on, two for each distinct set of servers.
        other => other.starts_with("etcd-override").then_some(Store::OfSome),
    });
    kinds.reduce(|one, other| if one == other { one } else { Store::Both })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "only one kind of evidence names checks")]
fn store(finding: &Finding) -> Store {
    let blamed = match &finding.evidence {
        Evidence::NotReady { parts, .. } => blamed(parts.iter().flat_map(|(_, checks)| checks)),
        _ => None,
    };
    blamed.unwrap_or(Store::Main)
}

fn blames_etcd(parts: &[String]) -> bool {
    blamed(parts).is_some()
}

fn judge_both(
    context: &RuleContext<'_>,
    rule: RuleId,
    concerns: impl Fn(&[String]) -> bool,
) -> Vec<(Subject, Verdict)> {
    let instances = context.instances();
    let Some(whole) = context.whole().filter(|_| !instances.is_empty()) else { return Vec::new() };

    let subject_states: Vec<_> =
        instances.iter().map(|instance| (instance, context.subject_state(instance, Aspect::Answer))).collect();
    let mut parts = Vec::new();
    let mut oldest: Option<Now> = None;
    let mut last: Option<Mono> = None;
    let mut path_unproven = false;
    for (instance, subject_state) in &subject_states {
        let SubjectState::Bad { bad, path_unproven: unproven } = subject_state else { continue };
        if let Symptom::NotReady(failing) = &bad.symptom
            && concerns(failing)
        {
            parts.push(((*instance).clone(), failing.clone()));
            oldest = oldest.filter(|oldest| oldest.mono <= bad.kind.first.mono).or(Some(bad.kind.first));
            last = last.filter(|last| *last <= bad.kind.last.mono).or(Some(bad.kind.last.mono));
            path_unproven |= *unproven;
        }
    }
    let is_open =
        |since: Now| !is_etcd_judged(context, since) || last.is_some_and(|last| follows_election(context, last));
    let verdict = match oldest {
        None => unconcerned(&subject_states),
        Some(since) if rule == RuleId::F25 && is_open(since) => Verdict::Unknown(Why::Suspected { since }),
        Some(since) => {
            let all = parts.len() == instances.len();
            let policy = context.policy();
            Verdict::Bad(Finding {
                rule,
                subject: whole.clone(),
                level: if all { Level::Critical } else { Level::Warning },
                since: since.wall,
                hold: match (all, instances.len()) {
                    (true, 1) => policy.single_instance_for,
                    (true, _) => Duration::ZERO,
                    (false, _) => policy.redundancy_loss_for,
                },
                path_unproven,
                evidence: Evidence::NotReady { parts, of: instances.len(), etcd_agrees: etcd_agrees(context, since) },
            })
        }
    };
    vec![(whole, verdict)]
}

/// Good only when every instance is ready: one that does not answer any more may be the one that was not.
fn unconcerned(subject_states: &[(&Subject, SubjectState<'_>)]) -> Verdict {
    let runs: Option<Vec<_>> = subject_states.iter().map(|(_, subject_state)| subject_state.good()).collect();
    let doubts = subject_states.iter().filter_map(|(_, subject_state)| match subject_state {
        SubjectState::Unknown(why) => Some(*why),
        SubjectState::Bad { .. } => Some(Why::Unclear),
        SubjectState::Good(_) => None,
    });
    runs.and_then(all_good).unwrap_or_else(|| Verdict::Unknown(gravest(doubts)))
}

/// Whether every watched etcd cluster has a result of a probe that was scheduled after `since`.
fn is_etcd_judged(context: &RuleContext<'_>, since: Now) -> bool {
    context.etcds().iter().all(|etcd| {
        let Some(track) = context.view.track(etcd, Aspect::Leader) else { return false };
        let is_later = track.latest().is_some_and(|latest| latest.mono > since.mono);
        is_later && context.view.confirmation(etcd, Aspect::Leader, context.now.mono) != Confirmation::Suspected
    })
}

/// After an election apiservers still wait for the old leader, until their own checks of etcd give up: 2 s for each of
/// them, and readyz asks two in turn. What is bad in a probe after that is not due to the election.
const FOLLOWING: Duration = Duration::from_secs(5);

/// Whether a probe at `last` may have seen no more than an election of the etcd behind it.
fn follows_election(context: &RuleContext<'_>, last: Mono) -> bool {
    context.etcds().iter().filter_map(|etcd| context.view.elections(etcd)).any(|elections| {
        // `last` may be older than the election.
        let mut recent = elections.within(context.now.mono, FOLLOWING.saturating_mul(3));
        recent.any(|step| last < step.at.mono.plus(FOLLOWING))
    })
}

/// What etcd says when asked directly; `None` when it is not watched or not seen.
fn etcd_agrees(context: &RuleContext<'_>, since: Now) -> Option<bool> {
    let etcds = context.etcds();
    if etcds.is_empty() {
        return None;
    }
    let mut agrees = Some(true);
    for etcd in &etcds {
        let track = context.view.track(etcd, Aspect::Leader)?;
        let is_good = track.good().is_some_and(|good| good.last.mono > since.mono);
        match (is_good, track.bad().is_some()) {
            (true, _) => {}
            (false, true) => return Some(false),
            (false, false) => agrees = None,
        }
    }
    agrees
}
