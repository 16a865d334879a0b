//! Families about what apiservers tell of themselves on their z-pages: two lines for each, and two for a cluster.

use crate::model::observation::Reading;
use crate::model::zpages::Statusz;

use super::Page;
use super::drawing::{Drawing, Scope};
use super::family::{Family, flag, instant, len};
use super::fresh::is_fresh;
use super::sample::Labels;

pub(super) fn families(page: Page<'_>) -> Vec<Drawing> {
    let started = page.format.gauge(
        "vedette_apiserver_start_timestamp_seconds",
        "Start of the apiserver's process by its own clock (/statusz). Changes with each restart.",
    );
    let emulates = page.format.gauge(
        "vedette_apiserver_emulates_older_version",
        "Whether the apiserver emulates a Kubernetes minor version older than its own (/statusz).",
    );
    let differing = page.format.gauge(
        "vedette_cluster_differing_flags",
        "Flags in which the apiservers of the cluster differ, those left out that are each instance's own (/flagz). Weight \
         is high where the answer to a request depends on the flag. Absent while fewer than two instances of one minor \
         version tell their flags.",
    );
    vec![started.by_scope(started_of), emulates.by_scope(emulates_of), differing.by_scope(differing_of)]
}

fn started_of(scope: Scope<'_>, family: &mut Family) {
    for (labels, status) in statuses(scope) {
        family.known(&labels, status.started.map(instant));
    }
}

fn emulates_of(scope: Scope<'_>, family: &mut Family) {
    for (labels, status) in statuses(scope).filter(|(_, status)| status.emulation_version.is_some()) {
        family.sample(&labels, flag(status.emulates().is_some()));
    }
}

fn differing_of(scope: Scope<'_>, family: &mut Family) {
    let Some((name, cluster_snapshot)) = scope.cluster else { return };
    let known = &cluster_snapshot.zpages;
    if known.compared.len() < 2 {
        return;
    }
    for (weight, is_weighty) in [("high", true), ("low", false)] {
        let count = known.differences.iter().filter(|flag| flag.is_weighty == is_weighty).count();
        let labels = Labels::default().with("cluster", name.as_str()).with("weight", weight);
        family.sample(&labels, len(count));
    }
}

/// The latest status of each instance that is fresh, with its labels.
fn statuses(scope: Scope<'_>) -> impl Iterator<Item = (Labels, &Statusz)> {
    let fresh = scope.observations().values().filter(move |observation| is_fresh(scope.page, observation));
    fresh.filter_map(|observation| match &observation.outcome {
        Ok(Reading::Statusz(Ok(status))) => Some((Labels::of(&observation.probe.subject), &**status)),
        Ok(_) | Err(_) => None,
    })
}
