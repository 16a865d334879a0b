//! The family about each cluster as a whole: how bad it is.
//!
//! A count of incidents has no sample while nothing is open, which a page that was never scraped has not either; this
//! one is zero for a cluster that is seen and fine, and absent for one of which nothing is known.

use crate::model::rule::Level;

use super::Page;
use super::drawing::{Drawing, Scope};
use super::family::{Family, count};
use super::fresh::is_fresh;
use super::sample::Labels;

pub(super) fn families(page: Page<'_>) -> Vec<Drawing> {
    let severity = page.format.gauge(
        "vedette_cluster_severity",
        "Highest severity that fires for the cluster: 0 none, 1 info, 2 warning, 3 critical. Absent while the vedette \
         host has no network or no recent probe of the cluster.",
    );
    vec![severity.by_scope(severity_of)]
}

fn severity_of(scope: Scope<'_>, family: &mut Family) {
    let Some((name, cluster_snapshot)) = scope.cluster else { return };
    let snapshot = scope.page.snapshot;
    let is_seen = cluster_snapshot.observations.values().any(|observation| is_fresh(scope.page, observation));
    let is_known = is_seen && snapshot.is_first_round_done && snapshot.isolated_since.is_none();
    let number = snapshot.worst(name).map_or(0, number);
    family.known(&Labels::default().with("cluster", name.as_str()), is_known.then(|| count(number)));
}

const fn number(level: Level) -> u64 {
    match level {
        Level::Info => 1,
        Level::Warning => 2,
        Level::Critical => 3,
    }
}
