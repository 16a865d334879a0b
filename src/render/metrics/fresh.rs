//! When a probe is too old to show the present state.

use crate::model::observation::Observation;

use super::Page;

/// Whether `observation` still shows the state at the time of the scrape.
pub(in crate::render) fn is_fresh(page: Page<'_>, observation: &Observation) -> bool {
    let probe = &observation.probe;
    page.now.since(observation.scheduled) <= page.snapshot.policy.shown_for(&probe.subject, probe.kind)
}
