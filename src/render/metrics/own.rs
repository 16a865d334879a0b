//! Families about vedette itself: its vantage, its schedule, its outbox, its store.

use crate::model::message::FailureClass;
use crate::model::observation::{Observation, Reading};
use crate::model::probe::ProbeKind;
use crate::model::snapshot::HeartbeatState;

use super::Page;
use super::family::{Family, Labels, count, flag, instant, len, seconds};
use super::fresh::is_fresh;

pub(super) fn families(page: Page<'_>) -> Vec<Family> {
    let mut all = vec![build(), heartbeat(page)];
    all.extend(engine(page));
    all.extend(configuration(page));
    all.extend(looks(page));
    all.extend(deliveries(page));
    all.extend(vantage(page));
    all.extend(budget(page));
    all
}

fn build() -> Family {
    let mut info = Family::gauge("vedette_build_info", "The release that runs; always 1.");
    info.sample(&Labels::default().with("version", env!("CARGO_PKG_VERSION")), 1.0);
    info
}

fn engine(page: Page<'_>) -> [Family; 5] {
    let snapshot = page.snapshot;
    [
        Family::gauge("vedette_started_timestamp_seconds", "When the engine started.")
            .alone(Some(instant(snapshot.started.wall))),
        Family::gauge(
            "vedette_snapshot_timestamp_seconds",
            "When the picture behind this page was taken. An old one means that the engine stands still.",
        )
        .alone(Some(instant(snapshot.at.wall))),
        Family::gauge("vedette_loop_lag_seconds", "Largest lateness of a wake-up in the last minute.")
            .alone(Some(snapshot.loop_lag.as_secs_f64())),
        Family::counter("vedette_inputs_total", "Inputs the engine has handled.")
            .alone(Some(count(snapshot.counters.inputs))),
        Family::gauge("vedette_store_up", "Whether the last write to the store succeeded. Absent before the first.")
            .alone(snapshot.store_works.map(flag)),
    ]
}

fn configuration(page: Page<'_>) -> [Family; 4] {
    let configured = &page.snapshot.configured;
    let result = |result: &'static str| Labels::default().with("result", result);
    let mut reloads = Family::counter("vedette_config_reloads_total", "Attempts to replace the configuration.");
    reloads.sample(&result("taken"), count(configured.reloads));
    reloads.sample(&result("refused"), count(configured.refusals));
    [
        Family::gauge(
            "vedette_config_last_reload_successful",
            "Whether the configuration in use is what the file says: 0 after a refused reload, and while a copy stands in.",
        )
        .alone(Some(flag(configured.refused.is_none()))),
        Family::gauge(
            "vedette_config_last_reload_success_timestamp_seconds",
            "When the configuration in use was read.",
        )
        .alone(Some(instant(configured.at))),
        Family::gauge(
            "vedette_config_copy_in_use",
            "Whether the file could not be used at the start, so that its last good copy stands in for it.",
        )
        .alone(Some(flag(configured.is_copy))),
        reloads,
    ]
}

fn looks(page: Page<'_>) -> Vec<Family> {
    let counters = &page.snapshot.counters;
    [
        ("vedette_looks_total", "Looks asked for.", counters.looks),
        (
            "vedette_looks_skipped_total",
            "Ticks skipped: nobody asked in time, or the one before still waited to be sent.",
            counters.skipped,
        ),
        ("vedette_looks_voided_total", "Looks thrown away for our own lag or a clock gap.", counters.voided),
        ("vedette_looks_late_total", "Looks that ended after a later one, and so did not count.", counters.late),
        ("vedette_looks_lost_total", "Looks that never came back and were given up.", counters.lost),
        ("vedette_burst_looks_total", "Looks asked for to confirm a first bad sign.", counters.burst_looks),
        (
            "vedette_requests_deferred_total",
            "Probes sent later than planned, for the ceiling of their cluster or because too many were under way.",
            counters.deferred,
        ),
        ("vedette_persist_failures_total", "Writes to the store that failed.", counters.persist_failures),
        ("vedette_outbox_dropped_total", "Messages dropped because the outbox was full.", counters.outbox_dropped),
    ]
    .into_iter()
    .map(|(name, help, value)| Family::counter(name, help).alone(Some(count(value))))
    .collect()
}

fn deliveries(page: Page<'_>) -> [Family; 7] {
    let (counters, backlog) = (&page.snapshot.counters, &page.snapshot.backlog);
    let result = |result: &'static str| Labels::default().with("result", result);
    let mut attempts = Family::counter("vedette_deliveries_total", "Attempts to deliver a message, by result.");
    attempts.sample(&result("accepted"), count(counters.accepted));
    attempts.sample(&result("failed"), count(counters.delivery_failures.values().sum()));
    let mut failures = Family::counter("vedette_delivery_failures_total", "Failed attempts to deliver, by class.");
    for class in FailureClass::ALL {
        let times = counters.delivery_failures.get(&class).copied().unwrap_or(0);
        failures.sample(&Labels::default().with("class", class.as_str()), count(times));
    }
    let mut beats = Family::counter("vedette_heartbeats_total", "Heartbeats sent, by result.");
    beats.sample(&result("accepted"), count(counters.beats));
    beats.sample(&result("failed"), count(counters.beats_failed));
    [
        attempts,
        failures,
        beats,
        Family::gauge("vedette_outbox_waiting", "Messages that no server has accepted yet.")
            .alone(Some(len(backlog.waiting))),
        Family::gauge(
            "vedette_outbox_oldest_timestamp_seconds",
            "When the oldest waiting message was composed. Absent when none waits.",
        )
        .alone(backlog.oldest.map(instant)),
        Family::gauge(
            "vedette_recipients_refused",
            "Recipients whom the relay refused for good when they were last to get a mail.",
        )
        .alone(Some(len(page.snapshot.refused.len()))),
        Family::counter(
            "vedette_recipient_refusals_total",
            "Refusals for good of a single recipient, whatever became of the message for the others.",
        )
        .alone(Some(count(counters.recipient_refusals))),
    ]
}

fn heartbeat(page: Page<'_>) -> Family {
    let mut state = Family::gauge(
        "vedette_heartbeat_state",
        "Whether the heartbeat goes out, and if not, why: 1 for the state that holds, 0 for the others.",
    );
    let all = HeartbeatState::ALL.map(HeartbeatState::as_str);
    state.states(&Labels::default(), "state", &all, page.snapshot.heartbeat.as_str());
    state
}

fn vantage(page: Page<'_>) -> [Family; 3] {
    let synchronised = page
        .snapshot
        .vantage
        .iter()
        .find(|(probe, look)| probe.kind == ProbeKind::OwnClock && is_fresh(page, look))
        .and_then(|(_, look)| synchronised(look));
    [
        Family::gauge("vedette_vantage_blind", "Whether nothing outside answers, so that no verdict is given.")
            .alone(Some(flag(page.snapshot.blind_since.is_some()))),
        Family::gauge(
            "vedette_vantage_clock_synchronised",
            "Whether the kernel believes that its clock is kept in time. Absent when it was not asked lately.",
        )
        .alone(synchronised.map(flag)),
        Family::gauge(
            "vedette_vantage_clock_offset_seconds",
            "Median of the servers' clocks minus our own, from their Date headers; good to about one second.",
        )
        .alone(page.snapshot.clock_offset_millis.map(seconds)),
    ]
}

fn synchronised(look: &Observation) -> Option<bool> {
    match &look.outcome {
        Ok(Reading::OwnClock(clock)) => Some(clock.is_synchronised),
        _ => None,
    }
}

fn budget(page: Page<'_>) -> [Family; 2] {
    let mut planned = Family::gauge(
        "vedette_requests_planned_per_second",
        "Requests per second that the schedule spends on a cluster, bursts not counted.",
    );
    for (name, picture) in &page.snapshot.clusters {
        planned.sample(&Labels::default().with("cluster", name.as_str()), picture.planned_per_second);
    }
    let mut ceiling = Family::gauge(
        "vedette_requests_ceiling_per_second",
        "Requests that are sent to a cluster in any second at most, confirmations included.",
    );
    for (name, picture) in &page.snapshot.clusters {
        let most = page.snapshot.policy.ceiling(picture.planned_per_second);
        ceiling.sample(&Labels::default().with("cluster", name.as_str()), f64::from(most));
    }
    [planned, ceiling]
}
