//! F18: the API servers are overloaded, and who does it.
//!
//! Critical only where users are hurt outside the culprit's own priority level: ordinary requests are slow or turned away
//! at a majority of the instances, or a level waits on which the cluster itself depends. A workload level that waits alone
//! is busy, as on any day of batch jobs: that is listed.

mod evidence;
mod resources;
mod steps;
mod who;

use std::sync::Arc;
use std::time::Duration;

use crate::model::inventory::Cluster;
use crate::model::probe::{Probe, ProbeKind};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::{Name, Subject};
use crate::model::verdict::{Finding, Verdict, Why};
use crate::observe::aspect::Aspect;
use crate::observe::flow_control::{FlowControl, Instance};
use crate::observe::probe_runs::Run;

use super::context::{RuleContext, all_good};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, authorization};

pub use evidence::{Overloaded, Queueing};
pub use resources::{Lists, Resources, Watches};
pub use who::{Culprit, Who};

/// F18: somebody overloads the API servers.
pub struct Overload;

/// Slow ordinary probes in a row, or dumps of the levels in a row, that confirm.
const PROBES: u32 = 3;

/// Ordinary probes in a row that are turned away: a server that does so may ask to be left alone for half a minute, and
/// then a third would come after the minute in which the page is due.
const SHED_PROBES: u32 = 2;

/// How old the latest sign may be: while users are hurt an instance is asked every half minute.
const FRESH: Duration = Duration::from_secs(70);

/// Queueing in a workload level is listed after this; a burst of a job is shorter.
const QUEUEING_FOR: Duration = Duration::from_secs(60);

/// What stops working, whatever was seen.
const IMPACT: &str = "Requests of all clients wait or are turned away (429): kubectl, controllers, kubelets. Leases that are not \
                      renewed cost leaders and nodes. Running pods keep running, and DNS serves from its cache for some \
                      minutes.";

/// The likely cause where nothing more is known.
const LIKELY_CAUSE: &str = "A client that lists or watches far more than usual, often after a rollout to every node.";

impl Rule for Overload {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F18,
            name: "ApiOverloaded",
            in_short: "overload",
            title: "the API servers are overloaded",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Apiservers,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<Overloaded>().or_else(|| stored.kind::<Queueing>())
    }

    fn explains(&self) -> &'static [Edge] {
        const EDGES: [Edge; 4] = [
            Edge::in_cluster(RuleId::F21),
            Edge::in_cluster(RuleId::F38),
            Edge::in_cluster(RuleId::F49),
            Edge::in_cluster(RuleId::F50),
        ];
        &EDGES
    }

    /// A level that lets requests wait describes a busy day.
    fn is_listed_only(&self) -> bool {
        true
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let Some((name, cluster)) = context.cluster else { return Vec::new() };
        let instances = cluster.instances(name);
        if instances.is_empty() {
            return Vec::new();
        }
        let flow_control = context.view.flow_control(name);
        let whole = Subject::Cluster(name.clone());
        let users = judge_users(context, (name, cluster), &instances, flow_control);
        let queues = instances.iter().filter(|_| cluster.flow_control);
        let queues = queues.map(|instance| (instance.clone(), judge_queues(context, instance, flow_control)));
        std::iter::once((whole, users)).chain(queues).collect()
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        evidence::sample()
    }
}

/// Whether users are hurt.
fn judge_users(
    context: &RuleContext<'_>,
    (name, cluster): (&Name, &Cluster),
    instances: &[Subject],
    flow_control: Option<&FlowControl>,
) -> Verdict {
    let hurt: Vec<(&Subject, Run)> =
        instances.iter().filter_map(|one| Some((one, hurt_run(context, one, flow_control)?))).collect();
    let is_majority = hurt.len() * 2 > instances.len();
    let protected: Vec<Run> = flow_control.map_or_else(Vec::new, |known| {
        let runs = instances.iter().filter_map(|one| known.instance(one)?.hurt());
        runs.filter(|run| run.probes >= PROBES && is_fresh(context, run)).copied().collect()
    });
    if !is_majority && protected.is_empty() {
        return well(context, cluster, instances, flow_control);
    }
    let whole = Subject::Cluster(name.clone());
    let since = hurt.iter().map(|(_, run)| run).chain(&protected).map(|run| run.first).min_by_key(|first| first.mono);
    let raised = context.raised_of(RuleId::F18, &whole).and_then(Finding::seen::<Overloaded>);
    Verdict::Bad(Finding {
        rule: RuleId::F18,
        level: Level::Critical,
        since: since.unwrap_or(context.now).wall,
        // Confirmed by probes over twenty seconds and more.
        hold: Duration::ZERO,
        path_unproven: false,
        evidence: Arc::new(Overloaded {
            slow: hurt.iter().map(|(one, _)| ((*one).clone(), latest_total(context, name, one))).collect(),
            shed: hurt.iter().filter(|(one, _)| is_shed(context, one)).map(|(one, _)| (*one).clone()).collect(),
            instances: instances.to_vec(),
            levels: flow_control.map_or_else(Vec::new, |known| known.busy_levels(instances)),
            who: Who::of(context, cluster, instances, flow_control).after(raised.map(|raised| &raised.who)),
            resources: Resources::of(context).after(raised.map(|raised| &raised.resources)),
            own_user: flow_control.and_then(|known| known.own_user(instances)).map(str::to_owned),
        }),
        subject: whole,
    })
}

/// Ordinary requests to an instance that answers are slow or turned away, and the server is to blame: exempt ones are
/// fast, or requests wait in its levels. A slow network makes all of them slow, and shows in no level.
fn hurt_run(context: &RuleContext<'_>, instance: &Subject, flow_control: Option<&FlowControl>) -> Option<Run> {
    let track = |aspect| context.view.track(instance, aspect);
    let is_down = track(Aspect::Answer).is_some_and(|track| track.bad().is_some());
    let slow = |aspect| track(aspect).and_then(|track| track.slow()).filter(|run| !is_down && is_fresh(context, run));
    let waits =
        flow_control.and_then(|known| known.instance(instance)).is_some_and(|known| known.busy().next().is_some());
    let is_asked = || flow_control.is_some_and(|known| who::is_crowded(context, known, std::slice::from_ref(instance)));
    // A server without CPU is slow at exempt requests as well, which are asked more often: they show it first.
    let exempt = slow(Aspect::Answer).filter(|run| run.probes >= PROBES && (waits || is_asked()));
    let Some(run) = slow(Aspect::Ordinary) else { return exempt.copied() };
    let is_shed = is_shed(context, instance);
    let is_confirmed = run.probes >= if is_shed { SHED_PROBES } else { PROBES };
    let freshness = Aspect::Answer.freshness(instance, context.policy());
    let is_exempt_fast = track(Aspect::Answer)
        .is_some_and(|track| track.brisk().is_some() && track.is_freshly_good(freshness, context.now.mono));
    let is_slow_before = || authorization::is_slow_at(context, instance);
    let is_hurt = is_confirmed && (is_shed || waits || is_asked() || is_exempt_fast && !is_slow_before());
    if is_hurt { Some(*run) } else { exempt.copied() }
}

fn is_shed(context: &RuleContext<'_>, instance: &Subject) -> bool {
    context.view.track(instance, Aspect::Ordinary).is_some_and(|track| track.is_shed())
}

fn is_fresh(context: &RuleContext<'_>, run: &Run) -> bool {
    context.now.mono.since(run.last.mono) <= FRESH
}

/// Good while every instance that answers does so quickly, and none lets those wait on whom the cluster depends.
fn well(
    context: &RuleContext<'_>,
    cluster: &Cluster,
    instances: &[Subject],
    flow_control: Option<&FlowControl>,
) -> Verdict {
    let is_up = |one: &&Subject| context.view.track(one, Aspect::Answer).is_none_or(|track| track.bad().is_none());
    let mut runs = Vec::new();
    for instance in instances.iter().filter(is_up) {
        let freshness = Aspect::Ordinary.freshness(instance, context.policy());
        let track = context.view.track(instance, Aspect::Ordinary);
        let brisk =
            track.filter(|track| track.is_freshly_good(freshness, context.now.mono)).and_then(|track| track.brisk());
        let Some(brisk) = brisk else { return Verdict::Unknown(Why::Unclear) };
        runs.push(*brisk);
        let levels = flow_control.filter(|_| cluster.flow_control).and_then(|known| known.instance(instance));
        match levels.map(|known| (known, known.calm(), known.hurt())) {
            // Fewer dumps than probes are no reason to wait for longer.
            Some((_, Some(calm), _)) if is_fresh(context, calm) => runs.push(Run { probes: u32::MAX, ..*calm }),
            Some((known, _, Some(_))) if !is_untold(known) => return Verdict::Unknown(Why::Unclear),
            Some(_) | None => {}
        }
    }
    all_good(&runs).unwrap_or(Verdict::Unknown(Why::Unclear))
}

/// Whether the levels cannot be seen at all, so that nothing is to be waited for.
fn is_untold(known: &Instance) -> bool {
    known.is_forbidden() || known.is_missing()
}

/// Whether a workload level of an instance lets requests wait.
fn judge_queues(context: &RuleContext<'_>, instance: &Subject, flow_control: Option<&FlowControl>) -> Verdict {
    let Some(known) = flow_control.and_then(|known| known.instance(instance)) else {
        return Verdict::Unknown(Why::NeverSeen);
    };
    match (known.queueing(), known.quiet()) {
        (Some(run), _) if run.probes >= PROBES && is_fresh(context, run) => Verdict::Bad(Finding {
            rule: RuleId::F18,
            subject: instance.clone(),
            level: Level::Info,
            since: run.first.wall,
            hold: QUEUEING_FOR,
            path_unproven: false,
            evidence: Arc::new(Queueing { levels: known.busy().filter(|level| !level.is_protected()).collect() }),
        }),
        (None, Some(run)) if is_fresh(context, run) => {
            Verdict::Good { since: run.first, until: run.last, probes: run.probes }
        }
        _ => Verdict::Unknown(Why::Unclear),
    }
}

/// How long the latest ordinary request took.
fn latest_total(context: &RuleContext<'_>, name: &Name, instance: &Subject) -> Duration {
    let latest = context.view.cluster_snapshot(name).map(|known| &known.observations);
    let latest = latest.and_then(|known| known.get(&Probe::reused(instance.clone(), ProbeKind::Version)));
    latest.map(|observation| observation.phases.total()).unwrap_or_default()
}
