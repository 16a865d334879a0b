//! Families that an etcd member's own metrics make possible: its quota before 3.6, and how slow its slowest work is.
//!
//! Percentiles are of the time between the two latest readings, not since the member started.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::etcd::{MemberFacts, MemberMetrics, QuotaSource, Slowest};
use crate::model::observation::{Observation, Reading};
use crate::model::probe::ProbeKind;
use crate::model::subject::Subject;

use super::Page;
use super::drawing::{Drawing, Scope};
use super::family::{Family, count, flag};
use super::rounds::{fresh_rounds, statuses};
use super::sample::Labels;

pub(super) fn families(page: Page<'_>) -> [Drawing; 8] {
    let quota = page.format.gauge(
        "vedette_etcd_db_quota_bytes",
        "Database size at which the member rejects writes: as the member reports it (its status since etcd 3.6, or its \
         metrics), else as configured (key quota).",
    );
    let fsync = page.format.gauge(
        "vedette_etcd_wal_fsync_p99_seconds",
        "99th percentile of the member's WAL fsync durations between the two latest readings of its metrics. A \
         precomputed quantile: take the maximum over members, never an average.",
    );
    let commit = page.format.gauge(
        "vedette_etcd_backend_commit_p99_seconds",
        "99th percentile of the member's backend commit durations between the two latest readings of its metrics. A \
         precomputed quantile: take the maximum over members, never an average.",
    );
    let round_trip = page.format.gauge(
        "vedette_etcd_peer_round_trip_p99_seconds",
        "99th percentile of the member's round-trip times to its peers between the two latest readings of its metrics. A \
         precomputed quantile: take the maximum over members, never an average.",
    );
    let defragmenting = page.format.gauge(
        "vedette_etcd_defragmenting",
        "Whether a defragmentation runs on the member, during which only its metrics listener responds.",
    );
    let open = page.format.gauge("vedette_etcd_open_fds", "Open file descriptors of the member's process.");
    let most =
        page.format.gauge("vedette_etcd_max_fds", "Maximum number of open file descriptors of the member's process.");
    let changes = page.format.counter(
        "vedette_etcd_leader_changes_seen_total",
        "Leader changes that the member has seen since its process started.",
    );
    [
        quota.by_scope(quotas),
        fsync.by_scope(|scope, family| of_slowest(scope, family, |slowest| slowest.wal_fsync)),
        commit.by_scope(|scope, family| of_slowest(scope, family, |slowest| slowest.backend_commit)),
        round_trip.by_scope(|scope, family| of_slowest(scope, family, |slowest| slowest.peer_round_trip)),
        defragmenting.by_scope(|scope, family| of_pages(scope, family, |read| read.is_defragmenting.map(flag))),
        open.by_scope(|scope, family| of_pages(scope, family, |read| read.open_descriptors.map(count))),
        most.by_scope(|scope, family| of_pages(scope, family, |read| read.most_descriptors.map(count))),
        changes.by_scope(|scope, family| of_pages(scope, family, |read| read.leader_changes.map(count))),
    ]
}

fn of_pages(scope: Scope<'_>, family: &mut Family, value: fn(&MemberMetrics) -> Option<f64>) {
    pages(scope).for_each(|(member, read)| family.known(&Labels::of(&member), value(read)));
}

fn of_slowest(scope: Scope<'_>, family: &mut Family, percentile: fn(&Slowest) -> Option<Duration>) {
    for (member, _) in pages(scope) {
        let slowest = facts(scope, &member).and_then(|facts| facts.slowest.as_ref());
        family.known(&Labels::of(&member), slowest.and_then(percentile).map(|spent| spent.as_secs_f64()));
    }
}

/// The quota of each member whose latest status or metrics, whoever reports it, is fresh; else the configured one,
/// which needs no probe to be true.
fn quotas(scope: Scope<'_>, family: &mut Family) {
    let Some((name, _)) = scope.cluster else { return };
    let mut fresh: BTreeMap<Subject, u64> = BTreeMap::new();
    for (_, observation) in fresh_rounds(scope, ProbeKind::EtcdStatus) {
        let told = statuses(observation).into_iter();
        fresh.extend(told.filter_map(|(member, answer)| Some((member, answer.ok()?.db_quota_bytes?))));
    }
    for (member, _) in pages(scope) {
        let told = facts(scope, &member).and_then(|facts| facts.quota);
        if let Some(told) = told.filter(|told| told.source == QuotaSource::Metrics) {
            fresh.entry(member).or_insert(told.bytes);
        }
    }
    let etcds = scope.page.snapshot.inventory.clusters.get(name).map(|cluster| &cluster.etcds);
    for (etcd, configured) in etcds.into_iter().flatten() {
        let Some(bytes) = configured.quota_bytes else { continue };
        for member in configured.members.keys().chain(configured.listeners.keys()) {
            fresh.entry(Subject::EtcdMember(name.clone(), etcd.clone(), member.clone())).or_insert(bytes);
        }
    }
    for (member, bytes) in fresh {
        family.sample(&Labels::of(&member), count(bytes));
    }
}

/// The fresh pages, with the members they are of.
pub(super) fn pages(scope: Scope<'_>) -> impl Iterator<Item = (Subject, &MemberMetrics)> {
    fresh_rounds(scope, ProbeKind::EtcdMetrics).flat_map(|(_, observation)| of(observation))
}

/// Whether no client port of the member's cluster is ours to use.
pub(super) fn is_all_we_have(scope: Scope<'_>, member: &Subject) -> bool {
    let etcd = member.etcd();
    etcd.is_some_and(|etcd| scope.page.snapshot.inventory.etcd(&etcd).is_some_and(|known| known.is_metrics_only))
}

fn facts<'a>(scope: Scope<'a>, member: &Subject) -> Option<&'a MemberFacts> {
    scope.cluster?.1.members.get(member)
}

fn of(observation: &Observation) -> Vec<(Subject, &MemberMetrics)> {
    match &observation.outcome {
        Ok(Reading::EtcdMetrics(answers)) => observation
            .by_member(answers)
            .filter_map(|(member, answer)| Some((member, answer.answer.as_ref().ok()?)))
            .collect(),
        _ => Vec::new(),
    }
}
