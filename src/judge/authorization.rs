//! F34: authorization is slow, as with a webhook that decides who may do what.
//!
//! Seen by access reviews. Paths of health are exempt from authorization by default, so that an instance looks well while
//! every ordinary request waits; and in the priority levels nobody waits, because authorization comes before them.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::canary::Canary;
use crate::model::finding::{Evidence, Kind};
use crate::model::probe::ProbeKind;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Verdict};
use crate::observe::aspect::Aspect;
use crate::observe::canaries::Sign;

use super::canary_state::{Asked, Bad, is_brisk};
use super::commands::{Command, Commands, Program};
use super::context::RuleContext;
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F34: authorization is slow.
pub struct AuthorizationSlow;

/// What stops working, whatever was seen.
const IMPACT: &str = "Every request that RBAC alone does not allow waits for the decision: kubectl, controllers and \
    kubelets become slow or time out. Running pods keep running.";

/// The likely cause.
const LIKELY_CAUSE: &str = "The authorization webhook (--authorization-webhook-config-file, or type Webhook in \
    --authorization-config) is overloaded, or the network to it is slow.";

const KINDS: &[ProbeKind] = &[ProbeKind::AccessReview];

const SLOW: &[Sign] = &[Sign::Slow, Sign::TimedOut];

/// Access reviews that take long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowDecisions {
    /// Where, and how long the latest took.
    pub parts: Vec<(Subject, Duration)>,
    /// Whether the latest was not completed in the 4 s that it had, anywhere.
    pub times_out: bool,
    /// Number of instances in the cluster.
    pub of: usize,
}

impl Kind for SlowDecisions {
    const TAG: &'static str = "slow_decisions";
}

impl Evidence for SlowDecisions {
    fn headline(&self, _: &Finding) -> String {
        "authorization of requests is slow".into()
    }

    fn what(&self, _: &Finding, addresses: &Addresses) -> String {
        let each: Vec<String> = self
            .parts
            .iter()
            .map(|(instance, took)| format!("{} {}", phrases::place(instance, addresses), phrases::lasting(*took)))
            .collect();
        let end = if self.times_out { " Some were not completed within 4 s." } else { "" };
        format!(
            "Access reviews take long at {} of {} apiservers: {}. /readyz, which needs no authorization, is answered \
             quickly, and no request waits in the priority levels.{end}",
            self.parts.len(),
            self.of,
            phrases::list(&each)
        )
    }

    fn impact(&self, _: &Finding) -> String {
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        LIKELY_CAUSE.into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let instance = self.parts.first().map_or(&finding.subject, |(instance, _)| instance);
        vec![
            commands.priority_levels(instance),
            commands.logs(instance, Program::Apiserver),
            commands.pressure(std::slice::from_ref(instance)),
        ]
    }

    fn concerned(&self) -> Vec<Subject> {
        self.parts.iter().map(|(instance, _)| instance.clone()).collect()
    }

    fn shown(&self) -> Vec<&Subject> {
        self.parts.iter().map(|(instance, _)| instance).collect()
    }
}

impl Rule for AuthorizationSlow {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F34,
            name: "AuthorizationSlow",
            in_short: "authorization",
            title: "authorization of requests is slow",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Apiservers,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<SlowDecisions>()
    }

    fn explains(&self) -> &'static [Edge] {
        const EDGES: [Edge; 2] = [Edge::in_cluster(RuleId::F21), Edge::in_cluster(RuleId::F49)];
        &EDGES
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let Some(asked) = Asked::of(context, Canary::Authorization, KINDS) else { return Vec::new() };
        let verdict = judge_reviews(context, &asked);
        vec![(asked.whole, verdict)]
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{Sample, api, lines};

        Sample::of(
            "prod-eu1",
            Level::Critical,
            Arc::new(SlowDecisions {
                parts: vec![(api("api-1"), Duration::from_millis(2140)), (api("api-2"), Duration::from_millis(1980))],
                times_out: false,
                of: 2,
            }),
        )
        .probes(vec![lines::api("apiserver/api-1", 1200, "HTTP 200"), lines::api("apiserver/api-2", 1100, "HTTP 200")])
    }
}

/// Critical where it delays every ordinary request by a second and more, wherever it is sent.
fn judge_reviews(context: &RuleContext<'_>, asked: &Asked<'_>) -> Verdict {
    let slow = asked.confirmed(SLOW).into_iter().filter(|bad| blames_authorization(context, bad.instance));
    let slow: Vec<Bad<'_>> = slow.collect();
    let Some(since) = slow.iter().map(|bad| bad.run.first).min_by_key(|first| first.mono) else { return asked.good() };
    let policy = context.policy();
    let took = |bad: &Bad<'_>| bad.track.took();
    let hurts_all = slow.len() == asked.instances.len() && slow.iter().all(|bad| took(bad) > policy.slow_after);
    let parts = slow.iter().map(|bad| (bad.instance.clone(), took(bad))).collect();
    Verdict::Bad(Finding {
        rule: RuleId::F34,
        subject: asked.whole.clone(),
        level: if hurts_all { Level::Critical } else { Level::Warning },
        since: since.wall,
        hold: if hurts_all { policy.single_instance_for } else { policy.redundancy_loss_for },
        path_unproven: false,
        evidence: Arc::new(SlowDecisions {
            parts,
            times_out: slow.iter().any(|bad| bad.track.sign() == Some(Sign::TimedOut)),
            of: asked.instances.len(),
        }),
    })
}

/// Whether a slow access review at `instance` is the fault of authorization: exempt requests are quick, and nobody waits
/// in a priority level, where a review would wait as well.
fn blames_authorization(context: &RuleContext<'_>, instance: &Subject) -> bool {
    let flow_control = context.cluster.and_then(|(name, _)| context.view.flow_control(name));
    let waits =
        flow_control.and_then(|known| known.instance(instance)).is_some_and(|known| known.busy().next().is_some());
    let is_shed = context.view.track(instance, Aspect::Ordinary).is_some_and(|track| track.is_shed());
    !waits && !is_shed && is_brisk(context, instance, &[Aspect::Answer])
}

/// Whether access reviews at `instance` are slow although nothing waits: then ordinary requests are slow because of
/// authorization, and not of an overload.
pub(super) fn is_slow_at(context: &RuleContext<'_>, instance: &Subject) -> bool {
    let Some(asked) = Asked::of(context, Canary::Authorization, KINDS) else { return false };
    let is_slow = asked.confirmed(SLOW).iter().any(|bad| bad.instance == instance);
    is_slow && blames_authorization(context, instance)
}
