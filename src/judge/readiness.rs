//! What an apiserver says of itself when it is not ready: the evidence of F25 and F50, and how both are judged.
//!
//! One finding per cluster each: all instances usually say the same, and one mail says it better than three.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::finding::Evidence;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::{Mono, Now};
use crate::model::verdict::{Finding, Symptom, Verdict, Why};
use crate::observe::aspect::Aspect;
use crate::observe::probe_runs::Confirmation;

use super::context::{RuleContext, SubjectState, all_good, gravest};
use super::phrases;

/// What the alerts of both say stops working.
pub(super) const IMPACT: &str =
    "Requests to the affected apiservers fail or hang; if all of them are affected, the API is down.";

/// Failing parts as the instances name them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingChecks {
    /// Each instance with its failing parts.
    pub parts: Vec<(Subject, Vec<String>)>,
    /// Number of instances in the cluster.
    pub of: usize,
    /// Whether etcd, asked directly, agrees on a leader; `None` when it is not watched or not seen.
    pub etcd_agrees: Option<bool>,
}

impl FailingChecks {
    /// Whether every instance is concerned.
    pub(super) const fn is_everywhere(&self) -> bool {
        self.of > 0 && self.parts.len() >= self.of
    }

    pub(super) fn impact(&self, effect: &str) -> String {
        if self.parts.len() >= self.of {
            "The API as a whole is affected: kubectl, deploys and scaling fail or hang. Running pods keep running and \
             serving."
                .into()
        } else {
            format!(
                "{effect}. The other instances serve; load balancers that check /readyz take this one out, clients \
                 pinned to it suffer."
            )
        }
    }

    pub(super) fn first_instance(&self, finding: &Finding) -> Subject {
        self.parts.first().map_or_else(|| finding.subject.clone(), |(instance, _)| instance.clone())
    }

    /// The etcd that they are about.
    pub(super) fn store(&self) -> Store {
        blamed(self.parts.iter().flat_map(|(_, checks)| checks)).unwrap_or(Store::Main)
    }

    pub(super) fn instances(&self) -> impl Iterator<Item = &Subject> {
        self.parts.iter().map(|(instance, _)| instance)
    }

    /// `1 of 3 kube-apiservers not ready: api-1 (10.0.0.11:6443) reports that it is not ready: check etcd fails`.
    pub(super) fn who_fails(&self, addresses: &Addresses) -> String {
        let each: Vec<String> = self
            .parts
            .iter()
            .map(|(instance, checks)| {
                format!(
                    "{} reports that it is not ready: {}",
                    phrases::place(instance, addresses),
                    phrases::failing(checks)
                )
            })
            .collect();
        format!("{} of {} kube-apiservers not ready: {}", self.parts.len(), self.of, each.join("; "))
    }
}

/// Which etcd the failing checks are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
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

/// Whether one of them is about an etcd.
pub(super) fn blames_etcd(parts: &[String]) -> bool {
    blamed(parts).is_some()
}

/// Whether one of them is about the plugin that manages keys, and none about an etcd: `kms-providers`, `kms-provider-0`.
pub(super) fn blames_kms(parts: &[String]) -> bool {
    !blames_etcd(parts) && parts.iter().any(|part| part.starts_with("kms-provider"))
}

/// The verdict of `rule` about the checks that it `concerns`.
pub(super) fn judge_both(
    context: &RuleContext<'_>,
    rule: RuleId,
    concerns: impl Fn(&[String]) -> bool,
    evidence: impl Fn(FailingChecks) -> Arc<dyn Evidence>,
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
                    (false, _) => policy.redundancy_loss_for + drain(context, &parts),
                },
                path_unproven,
                evidence: evidence(FailingChecks {
                    parts,
                    of: instances.len(),
                    etcd_agrees: etcd_agrees(context, since),
                }),
            })
        }
    };
    vec![(whole, verdict)]
}

/// How long instances that are shutting down stay so on purpose (F47), by their own flags: they answer and are not ready, so
/// that load balancers take them out. None where another one is not ready for another reason.
fn drain(context: &RuleContext<'_>, parts: &[(Subject, Vec<String>)]) -> Duration {
    let delay = |(instance, failing): &(Subject, Vec<String>)| {
        if failing.as_slice() != ["shutdown"] {
            return None;
        }
        let known = context.view.zpages(instance.cluster()?)?.instance(instance)?;
        known.flags()?.1.duration("shutdown-delay-duration")
    };
    let delays: Option<Vec<Duration>> = parts.iter().map(delay).collect();
    delays.and_then(|delays| delays.into_iter().max()).unwrap_or_default().min(LONGEST_DRAIN)
}

/// A drain that is configured to take longer is told of nevertheless: OpenShift's longest is 210 s.
const LONGEST_DRAIN: Duration = Duration::from_secs(600);

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
