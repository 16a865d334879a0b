//! Families about who may use an apiserver: requests in its priority levels, and whether an overload is suspected.
//!
//! The levels that Kubernetes itself suggests have a series each, all others together one: their names are the cluster's.
//! Users, verbs and resources never become a label.

use std::collections::BTreeMap;

use crate::model::flow_control::PriorityLevel;
use crate::model::observation::{Observation, Reading};
use crate::model::probe::ProbeKind;

use super::Page;
use super::drawing::{Drawing, Scope};
use super::family::{Family, count, flag};
use super::fresh::is_fresh;
use super::sample::Labels;

/// Source: `apiserver/pkg/apis/flowcontrol/bootstrap/default.go`.
const STOCK: [&str; 8] = [
    "catch-all",
    "exempt",
    "global-default",
    "leader-election",
    "node-high",
    "system",
    "workload-high",
    "workload-low",
];

/// All others.
const OTHER: &str = "other";

pub(super) fn families(page: Page<'_>) -> Vec<Drawing> {
    let executing = page.format.gauge(
        "vedette_apiserver_executing_requests",
        "Requests under way in the priority level of the apiserver (API Priority and Fairness).",
    );
    let waiting = page.format.gauge(
        "vedette_apiserver_waiting_requests",
        "Requests that wait in the queues of the priority level of the apiserver (API Priority and Fairness).",
    );
    let suspected = page.format.gauge(
        "vedette_cluster_overload_suspected",
        "Whether an overload of the apiservers is suspected, so that vedette asks who sends the requests and leaves out \
         other probes. Absent where flow_control is off.",
    );
    vec![executing.by_scope(executing_of), waiting.by_scope(waiting_of), suspected.by_scope(suspected_of)]
}

fn executing_of(scope: Scope<'_>, family: &mut Family) {
    for (labels, _, (under_way, _)) in levels(scope) {
        family.sample(&labels, count(under_way));
    }
}

fn waiting_of(scope: Scope<'_>, family: &mut Family) {
    // Nothing ever waits where nothing is limited.
    for (labels, _, (_, waits)) in levels(scope).filter(|(_, level, _)| *level != "exempt") {
        family.sample(&labels, count(waits));
    }
}

fn suspected_of(scope: Scope<'_>, family: &mut Family) {
    let Some((name, cluster_snapshot)) = scope.cluster else { return };
    let is_asked = scope.page.snapshot.inventory.clusters.get(name).is_some_and(|cluster| cluster.flow_control);
    let is_suspected = cluster_snapshot.load.suspected_since.is_some();
    family.known(&Labels::default().with("cluster", name.as_str()), is_asked.then(|| flag(is_suspected)));
}

/// Each level of each instance by the latest dump, with its labels: requests under way and waiting.
fn levels(scope: Scope<'_>) -> impl Iterator<Item = (Labels, &'static str, (u64, u64))> + '_ {
    let fresh = scope.observations().values().filter(move |observation| is_fresh(scope.page, observation));
    fresh.filter_map(|observation| Some((observation, sums(observation)?))).flat_map(|(observation, sums)| {
        let labels = Labels::of(&observation.probe.subject);
        sums.into_iter().map(move |(level, sum)| (labels.clone().with("priority_level", level), level, sum))
    })
}

/// Requests under way and waiting in the levels of a dump.
fn sums(observation: &Observation) -> Option<BTreeMap<&'static str, (u64, u64)>> {
    let Ok(Reading::PriorityLevels(Ok(dump))) = &observation.outcome else { return None };
    debug_assert_eq!(observation.probe.kind, ProbeKind::PriorityLevels);
    let mut sums: BTreeMap<&'static str, (u64, u64)> = BTreeMap::new();
    for (name, PriorityLevel { executing, waiting, .. }) in &dump.levels {
        let name = STOCK.into_iter().find(|stock| stock == name).unwrap_or(OTHER);
        let (under_way, waits) = sums.entry(name).or_default();
        *under_way += u64::from(*executing);
        *waits += u64::from(*waiting);
    }
    Some(sums)
}
