//! Families about vedette itself: its vantage, its schedule, its outbox, its store.

use crate::model::cost::Rate;
use crate::model::delivery::FailureClass;
use crate::model::observation::{Observation, Reading};
use crate::model::probe::ProbeKind;
use crate::model::snapshot::HeartbeatState;

use super::Page;
use super::drawing::{Drawing, Scope};
use super::family::{Family, count, flag, instant, len, seconds};
use super::format::Format;
use super::fresh::is_fresh;
use super::sample::Labels;

/// The commit that was built, where the build had it.
const REVISION: &str = match option_env!("VEDETTE_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};
/// The channel, which is an integration in Alertmanager's words.
const EMAIL: &str = "email";

pub(super) fn families(page: Page<'_>) -> Vec<Drawing> {
    let mut all = vec![build(page.format), heartbeat(page)];
    all.extend(engine(page));
    all.extend(configuration(page));
    all.extend(probes(page));
    all.extend(deliveries(page));
    all.extend(vantage(page));
    all.into_iter().map(Drawing::from).chain(budget(page)).collect()
}

fn build(format: Format) -> Family {
    let mut info = format.gauge("vedette_build_info", "Version and source revision of the running vedette; always 1.");
    let labels = Labels::default().with("version", env!("CARGO_PKG_VERSION")).with("revision", REVISION);
    info.sample(&labels, 1.0);
    info
}

fn engine(page: Page<'_>) -> [Family; 5] {
    let snapshot = page.snapshot;
    [
        page.format
            .gauge("process_start_time_seconds", "Time vedette started.")
            .alone(Some(instant(snapshot.started.wall))),
        page.format
            .gauge(
                "vedette_snapshot_timestamp_seconds",
                "Time of the data on this page. Old data means that the engine is stalled.",
            )
            .alone(Some(instant(snapshot.at.wall))),
        page.format
            .gauge("vedette_loop_lag_seconds", "Maximum scheduling delay in the last minute.")
            .alone(Some(snapshot.loop_lag.as_secs_f64())),
        page.format
            .counter("vedette_inputs_total", "Inputs that the engine has processed.")
            .alone(Some(count(snapshot.counters.inputs))),
        page.format
            .gauge("vedette_store_up", "Whether the last write to the database succeeded. Absent before the first.")
            .alone(snapshot.store_works.map(flag)),
    ]
}

fn configuration(page: Page<'_>) -> [Family; 4] {
    let configured = &page.snapshot.configured;
    let result = |result: &'static str| Labels::default().with("result", result);
    let mut reloads =
        page.format.counter("vedette_config_reloads_total", "Attempts to reload the configuration, by result.");
    reloads.sample(&result("accepted"), count(configured.reloads));
    reloads.sample(&result("rejected"), count(configured.refusals));
    [
        page.format.gauge(
            "vedette_config_last_reload_successful",
            "Whether the running configuration is the one in the file: 0 after a rejected reload, and while the last good copy is used.",
        )
        .alone(Some(flag(configured.refused.is_none()))),
        page.format.gauge(
            "vedette_config_last_reload_success_timestamp_seconds",
            "Time the running configuration was read.",
        )
        .alone(Some(instant(configured.at))),
        page.format.gauge(
            "vedette_config_copy_in_use",
            "Whether the file was rejected at start, so that its last good copy is used.",
        )
        .alone(Some(flag(configured.is_copy))),
        reloads,
    ]
}

fn probes(page: Page<'_>) -> Vec<Family> {
    let counters = &page.snapshot.counters;
    [
        ("vedette_probes_started_total", "Probes started.", counters.probes),
        (
            "vedette_probes_skipped_total",
            "Scheduled probes skipped, because the one before was still waiting to be sent or the schedule was late.",
            counters.skipped,
        ),
        (
            "vedette_probes_discarded_total",
            "Results of probes discarded, because vedette was delayed or the clock jumped.",
            counters.voided,
        ),
        (
            "vedette_probes_late_total",
            "Probes that ended after a later one, so that their results were ignored.",
            counters.late,
        ),
        ("vedette_probes_lost_total", "Probes that never returned a result and were given up.", counters.lost),
        (
            "vedette_confirmation_probes_total",
            "Probes started to confirm a first failure (rapid re-checks).",
            counters.burst_probes,
        ),
        (
            "vedette_requests_deferred_total",
            "Probes sent later than planned, because of the request limit of their cluster or too many in flight.",
            counters.deferred,
        ),
        ("vedette_store_write_failures_total", "Failed writes to the database.", counters.persist_failures),
        (
            "vedette_notifications_dropped_total",
            "Notifications dropped because the queue was full.",
            counters.outbox_dropped,
        ),
    ]
    .into_iter()
    .map(|(name, help, value)| page.format.counter(name, help).alone(Some(count(value))))
    .collect()
}

fn deliveries(page: Page<'_>) -> [Family; 8] {
    let (counters, backlog) = (&page.snapshot.counters, &page.snapshot.backlog);
    let integration = || Labels::default().with("integration", EMAIL);
    let mut attempts =
        page.format.counter("vedette_notifications_total", "Attempted notifications, those that failed included.");
    let failed: u64 = counters.delivery_failures.values().sum();
    attempts.sample(&integration(), count(counters.accepted.saturating_add(failed)));
    let mut failures = page.format.counter("vedette_notifications_failed_total", "Failed notifications, by reason.");
    for class in FailureClass::ALL {
        let times = counters.delivery_failures.get(&class).copied().unwrap_or(0);
        failures.sample(&integration().with("reason", class.as_str()), count(times));
    }
    let result = |result: &'static str| Labels::default().with("result", result);
    let mut beats = page.format.counter("vedette_heartbeats_total", "Attempted heartbeats, by result.");
    beats.sample(&result("accepted"), count(counters.beats));
    beats.sample(&result("failed"), count(counters.beats_failed));
    [
        attempts,
        failures,
        beats,
        page.format
            .gauge("vedette_notifications_queued", "Notifications that are not yet accepted for every recipient.")
            .alone(Some(len(backlog.waiting))),
        page.format
            .gauge(
                "vedette_notifications_oldest_queued_timestamp_seconds",
                "Time the oldest notification was composed that nobody has received. Absent when there is none.",
            )
            .alone(backlog.oldest.map(instant)),
        page.format
            .gauge(
                "vedette_recipients_rejected",
                "Recipients that the mail server permanently rejected at the last attempt.",
            )
            .alone(Some(len(page.snapshot.refused.len()))),
        page.format
            .gauge(
                "vedette_recipients_deferred",
                "Recipients for whom the mail server defers mail that others have received.",
            )
            .alone(Some(len(page.snapshot.deferred.len()))),
        page.format
            .counter(
                "vedette_recipient_refusals_total",
                "Permanent rejections of a single recipient, whether or not the others got the mail.",
            )
            .alone(Some(count(counters.recipient_refusals))),
    ]
}

fn heartbeat(page: Page<'_>) -> Family {
    let mut state = page.format.gauge(
        "vedette_heartbeat_state",
        "State of the heartbeat: 1 for the state that applies, 0 for the others. isolated, mail_stuck and stalled withhold it.",
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
        .find(|(probe, observation)| probe.kind == ProbeKind::OwnClock && is_fresh(page, observation))
        .and_then(|(_, observation)| synchronised(observation));
    [
        page.format.gauge("vedette_vantage_isolated", "Whether the vedette host has no network (nothing outside responds), so that no verdict is given.")
            .alone(Some(flag(page.snapshot.isolated_since.is_some()))),
        page.format.gauge(
            "vedette_vantage_clock_synchronised",
            "Whether the kernel reports its clock as synchronised. Absent without a recent reading.",
        )
        .alone(synchronised.map(flag)),
        page.format.gauge(
            "vedette_vantage_clock_offset_seconds",
            "Median offset of the servers' clocks from this host's, from their Date headers; accurate to about one second.",
        )
        .alone(page.snapshot.clock_offset_millis.map(seconds)),
    ]
}

fn synchronised(observation: &Observation) -> Option<bool> {
    match &observation.outcome {
        Ok(Reading::OwnClock(clock)) => Some(clock.is_synchronised),
        _ => None,
    }
}

fn budget(page: Page<'_>) -> [Drawing; 4] {
    let planned = page.format.gauge(
        "vedette_requests_planned_per_second",
        "Requests per second that the schedule sends to the cluster, confirmation probes not counted.",
    );
    let connections = page.format.gauge(
        "vedette_connections_planned_per_second",
        "New connections per second that the schedule opens to the cluster, confirmation probes not counted.",
    );
    let bytes = page.format.gauge(
        "vedette_response_bytes_planned_limit_per_second",
        "Maximum bytes of response bodies per second that the schedule reads from the cluster. Usual responses are much smaller.",
    );
    let ceiling = page.format.gauge(
        "vedette_requests_limit_per_second",
        "Maximum number of requests to the cluster in any second, confirmation probes included.",
    );
    [
        planned.by_scope(|scope, family| of_plan(scope, family, |plan| plan.requests)),
        connections.by_scope(|scope, family| of_plan(scope, family, |plan| plan.connections)),
        bytes.by_scope(|scope, family| of_plan(scope, family, |plan| plan.bytes)),
        ceiling.by_scope(|scope, family| {
            of_plan(scope, family, |plan| f64::from(scope.page.snapshot.policy.ceiling(plan.requests)));
        }),
    ]
}

fn of_plan(scope: Scope<'_>, family: &mut Family, value: impl Fn(&Rate) -> f64) {
    if let Some((name, cluster_snapshot)) = scope.cluster {
        family.sample(&Labels::default().with("cluster", name.as_str()), value(&cluster_snapshot.planned));
    }
}
