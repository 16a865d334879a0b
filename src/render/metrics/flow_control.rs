//! Families about who may use an apiserver: requests in its priority levels, and whether an overload is suspected.
//!
//! The levels that Kubernetes itself suggests have a series each, all others together one: their names are the cluster's.
//! Users, verbs and resources never become a label.

use std::collections::BTreeMap;

use crate::model::flow_control::PriorityLevel;
use crate::model::observation::{Observation, Reading};
use crate::model::probe::ProbeKind;

use super::Page;
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

pub(super) fn families(page: Page<'_>) -> Vec<Family> {
    let mut executing = page.format.gauge(
        "vedette_apiserver_executing_requests",
        "Requests under way in the priority level of the apiserver (API Priority and Fairness).",
    );
    let mut waiting = page.format.gauge(
        "vedette_apiserver_waiting_requests",
        "Requests that wait in the queues of the priority level of the apiserver (API Priority and Fairness).",
    );
    let mut suspected = page.format.gauge(
        "vedette_cluster_overload_suspected",
        "Whether an overload of the apiservers is suspected, so that vedette asks who sends the requests and leaves out \
         other probes. Absent where flow_control is off.",
    );
    for (name, cluster_snapshot) in &page.snapshot.clusters {
        let labels = Labels::default().with("cluster", name.as_str());
        let is_asked = page.snapshot.inventory.clusters.get(name).is_some_and(|cluster| cluster.flow_control);
        suspected.known(&labels, is_asked.then(|| flag(cluster_snapshot.load.suspected_since.is_some())));
        let fresh = cluster_snapshot.observations.values().filter(|observation| is_fresh(page, observation));
        for (observation, levels) in fresh.filter_map(|observation| Some((observation, sums(observation)?))) {
            for (level, (under_way, waits)) in levels {
                let labels = Labels::of(&observation.probe.subject).with("priority_level", level);
                executing.sample(&labels, count(under_way));
                if level != "exempt" {
                    waiting.sample(&labels, count(waits));
                }
            }
        }
    }
    vec![executing, waiting, suspected]
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
