//! Families about all probes since the start: how long they took, how they ended.
//!
//! They have some sixty lines for each endpoint, most of the page.

use super::Page;
use super::drawing::Drawing;
use super::family::count;
use super::probes::asked;

pub(super) fn endings(page: Page<'_>) -> Vec<Drawing> {
    let endings = page.format.counter("vedette_probes_total", "Probes that ended, by outcome.");
    let endings = endings.by_endpoint(|subject, tally, family| {
        for (of, outcome, times) in tally.endings() {
            family.sample(&asked(subject, of.kind, of.connection).with("outcome", outcome), count(times));
        }
    });
    vec![endings]
}

pub(super) fn durations(page: Page<'_>) -> Vec<Drawing> {
    let durations = page.format.histogram(
        "vedette_probe_duration_seconds",
        "Duration of probes that got an answer, from the resolution of the name to the last byte.",
    );
    let durations = durations.by_endpoint(|subject, tally, family| {
        for (of, histogram) in tally.durations() {
            family.distribution(&asked(subject, of.kind, of.connection), histogram);
        }
    });
    let phases = page.format.summary(
        "vedette_probe_phase_duration_seconds",
        "Duration of one phase of a probe. Phases are disjoint; one that was not reached has no sample, one that failed has.",
    );
    let phases = phases.by_endpoint(|subject, tally, family| {
        for (of, phase, sum) in tally.phases() {
            family.sum(&asked(subject, of.kind, of.connection).with("phase", phase.as_str()), sum);
        }
    });
    vec![durations, phases]
}
