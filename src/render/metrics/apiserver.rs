//! Families from the `/metrics` of apiservers: how much of what they can do is in use, as vedette judges it (F65). Names of
//! levels, webhooks and resources never become a label.

use std::time::Duration;

use crate::model::apiserver_metrics::{ApiserverMetrics, Counter};
use crate::model::observation::Reading;

use super::Page;
use super::drawing::{Drawing, Scope};
use super::family::{Family, count};
use super::sample::Labels;

/// Pages come from one instance of a cluster after the other, and rarely where they are large: as old as the oldest that
/// decides anything (`judge/pages.rs`).
const SHOWN_FOR: Duration = Duration::from_secs(1800);

pub(super) fn families(page: Page<'_>) -> Vec<Drawing> {
    let used = page.format.gauge(
        "vedette_apiserver_seats_used",
        "Seats that requests take at the apiserver, of all its priority levels but exempt, by its latest metrics page.",
    );
    let all = page.format.gauge(
        "vedette_apiserver_seats",
        "Seats for requests that the apiserver has, of all its priority levels but exempt.",
    );
    let bound = page.format.counter(
        "vedette_apiserver_pods_bound_total",
        "Pods that were given a node through the apiserver since its start, by its latest metrics page.",
    );
    let bytes = page.format.gauge(
        "vedette_apiserver_metrics_page_bytes",
        "Length of the latest metrics page of the apiserver. It grows with resources, verbs and custom resources.",
    );
    vec![used.by_scope(used_of), all.by_scope(all_of), bound.by_scope(bound_of), bytes.by_scope(bytes_of)]
}

fn used_of(scope: Scope<'_>, family: &mut Family) {
    each(scope, family, |metrics| metrics.all_seats().map(|(used, _)| used));
}

fn all_of(scope: Scope<'_>, family: &mut Family) {
    each(scope, family, |metrics| metrics.all_seats().map(|(_, all)| all));
}

fn bound_of(scope: Scope<'_>, family: &mut Family) {
    each(scope, family, |metrics| metrics.counters.get(&Counter::PodsBound).copied());
}

fn bytes_of(scope: Scope<'_>, family: &mut Family) {
    each(scope, family, |metrics| Some(metrics.bytes));
}

fn each(scope: Scope<'_>, family: &mut Family, of: impl Fn(&ApiserverMetrics) -> Option<u64>) {
    for observation in scope.observations().values() {
        let Ok(Reading::ApiserverMetrics(Ok(metrics))) = &observation.outcome else { continue };
        let is_fresh = scope.page.now.since(observation.scheduled) <= SHOWN_FOR;
        if let Some(value) = of(metrics).filter(|_| is_fresh) {
            family.sample(&Labels::of(&observation.probe.subject), count(value));
        }
    }
}
