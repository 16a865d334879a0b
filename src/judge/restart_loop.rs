//! F37: an apiserver restarts again and again.
//!
//! Between two restarts it answers as if nothing were wrong, and each time may be too short for F22. A restart shows by the
//! start time that the server itself tells (`/statusz`), so none is missed and a broken connection is none.
//!
//! A rolling upgrade restarts each instance once, which is nothing; restarts are counted for each instance by itself.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::finding::{Evidence, Kind};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::UnixTime;
use crate::model::verdict::{Finding, Verdict, Why};
use crate::observe::aspect::Aspect;
use crate::observe::zpages::Restart;

use super::commands::{Command, Commands, Program};
use super::context::RuleContext;
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F37: an apiserver that does not stay up.
pub struct RestartLoop;

/// Restarts are counted over this time. Source: the failure modes' table (F37), after kubernetes/kubernetes#114276 and
/// #116903; kubelet's back-off for crashing containers ends at 5 min, so that a loop shows at least three of them in it.
const WINDOW: Duration = Duration::from_secs(15 * 60);

/// So many in that time are a warning: one is an upgrade or a changed flag.
const WARNING: usize = 2;

/// So many are critical: it is up for less than 4 min on average, of which its caches take a part.
const CRITICAL: usize = 4;

/// Restarts listed with their time.
const TOLD: usize = 8;

/// What stops working, whatever was seen.
const IMPACT: &str = "Each restart cuts every request and watch at this instance; clients list everything anew, which \
                      loads the other instances and etcd. Without others to take over, the API is away each time.";

const CAUSES: &str = "It is killed for memory (OOM), its liveness probe fails because etcd or the host is slow, or it ends \
                      by itself: the end of its former log says which.";

/// Starts of one instance's process, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarts {
    /// How many were seen within `window`; several between two readings count once.
    pub count: usize,
    /// The time they are counted over.
    pub window: Duration,
    /// When the latest of them were, by the server's clock, oldest first.
    pub latest: Vec<UnixTime>,
}

impl Kind for Restarts {
    const TAG: &'static str = "restarts";
}

impl Evidence for Restarts {
    fn headline(&self, finding: &Finding) -> String {
        format!("kube-apiserver {} keeps restarting", phrases::fit(finding.subject.short(), 18))
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let place = phrases::place(&finding.subject, addresses);
        let Self { count, window, latest } = self;
        let each: Vec<String> = latest.iter().map(ToString::to_string).collect();
        let last = if latest.len() < *count { format!("the last {} ", latest.len()) } else { String::new() };
        format!(
            "kube-apiserver {place} was started {count} times in {}: {last}at {} by its own clock.",
            phrases::lasting(*window),
            phrases::list(&each)
        )
    }

    fn impact(&self, _: &Finding) -> String {
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        CAUSES.into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let instance = &finding.subject;
        let one = std::slice::from_ref(instance);
        let mut next = vec![
            commands.containers(instance, Program::Apiserver),
            commands.logs(instance, Program::Apiserver),
            commands.kubelet_log(instance).note("killed for its liveness probe, or for memory?"),
            commands.pressure(one),
        ];
        next.extend(commands.manifests(instance));
        next
    }
}

impl Rule for RestartLoop {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F37,
            name: "ApiserverRestartLoop",
            in_short: "apiserver restarts",
            title: "an apiserver restarts again and again",
            impact: IMPACT,
            likely_cause: CAUSES,
            shows: Shows::Apiservers,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<Restarts>()
    }

    fn explains(&self) -> &'static [Edge] {
        // While it is away it is down, not ready after that, and the load balancer notices late.
        const EDGES: [Edge; 3] =
            [Edge::at_subject(RuleId::F22), Edge::at_subject(RuleId::F50), Edge::in_cluster(RuleId::F61)];
        &EDGES
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let Some((name, _)) = context.cluster.filter(|(_, cluster)| cluster.zpages) else { return Vec::new() };
        let instances = context.instances().into_iter().filter(Subject::is_apiserver);
        let zpages = context.view.zpages(name);
        instances
            .map(|instance| {
                let restarts: Option<Vec<&Restart>> = zpages
                    .and_then(|zpages| zpages.instance(&instance))
                    .filter(|known| known.status().is_some_and(|(_, status)| status.started.is_some()))
                    .map(|known| known.restarts(context.now.mono, WINDOW).collect());
                let verdict = match restarts {
                    Some(restarts) => judge_restarts(context, &instance, &restarts),
                    None => Verdict::Unknown(Why::NeverSeen),
                };
                (instance, verdict)
            })
            .collect()
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{OPENED, Sample, lines};

        let latest = [0, 95, 212].map(|after| OPENED.plus(Duration::from_secs(after))).into();
        Sample::of("prod-eu1/apiserver/api-1", Level::Warning, Arc::new(Restarts { count: 3, window: WINDOW, latest }))
            .probes(vec![
                lines::api("apiserver/api-1", 1200, "HTTP 200"),
                lines::api("apiserver/api-2", 1300, "HTTP 200"),
            ])
    }
}

fn judge_restarts(context: &RuleContext<'_>, instance: &Subject, restarts: &[&Restart]) -> Verdict {
    let Some(first) = restarts.first().filter(|_| restarts.len() >= WARNING) else {
        let known = instance.cluster().and_then(|name| context.view.zpages(name)?.instance(instance));
        let is_told = known.is_some_and(|known| {
            let lasting = context.policy().decides_for(context.policy().statusz_interval);
            let is_fresh = known.status().is_some_and(|(at, _)| context.now.since(*at) <= lasting);
            is_fresh && known.covers(context.now.mono, WINDOW)
        });
        // One below the threshold is neither: else each restart at the edge would end one incident and open another.
        let is_calm = restarts.len() + 1 < WARNING && is_told;
        let state = context.subject_state(instance, Aspect::Answer);
        return if is_calm { state.unless_bad() } else { Verdict::Unknown(Why::Unclear) };
    };
    let latest = restarts.iter().rev().take(TOLD).rev().map(|restart| restart.started).collect();
    Verdict::Bad(Finding {
        rule: RuleId::F37,
        subject: instance.clone(),
        level: if restarts.len() >= CRITICAL { Level::Critical } else { Level::Warning },
        since: first.seen.wall,
        hold: Duration::ZERO,
        path_unproven: false,
        evidence: Arc::new(Restarts { count: restarts.len(), window: WINDOW, latest }),
    })
}
