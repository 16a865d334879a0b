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
use super::family::{Family, count, flag};
use super::rounds::{fresh_rounds, statuses};
use super::sample::Labels;

pub(super) fn families(page: Page<'_>) -> Vec<Family> {
    let mut fsync = page.format.gauge(
        "vedette_etcd_wal_fsync_p99_seconds",
        "99th percentile of the member's WAL fsync durations between the two latest readings of its metrics. A \
         precomputed quantile: take the maximum over members, never an average.",
    );
    let mut commit = page.format.gauge(
        "vedette_etcd_backend_commit_p99_seconds",
        "99th percentile of the member's backend commit durations between the two latest readings of its metrics. A \
         precomputed quantile: take the maximum over members, never an average.",
    );
    let mut round_trip = page.format.gauge(
        "vedette_etcd_peer_round_trip_p99_seconds",
        "99th percentile of the member's round-trip times to its peers between the two latest readings of its metrics. A \
         precomputed quantile: take the maximum over members, never an average.",
    );
    let mut defragmenting = page.format.gauge(
        "vedette_etcd_defragmenting",
        "Whether a defragmentation runs on the member, during which only its metrics listener responds.",
    );
    let mut open = page.format.gauge("vedette_etcd_open_fds", "Open file descriptors of the member's process.");
    let mut most =
        page.format.gauge("vedette_etcd_max_fds", "Maximum number of open file descriptors of the member's process.");
    let mut changes = page.format.counter(
        "vedette_etcd_leader_changes_seen_total",
        "Leader changes that the member has seen since its process started.",
    );
    for (member, read) in pages(page) {
        let labels = Labels::of(&member);
        let slowest = |of: fn(&Slowest) -> Option<Duration>| {
            facts(page, &member)?.slowest.as_ref().and_then(of).map(|spent| spent.as_secs_f64())
        };
        fsync.known(&labels, slowest(|slowest| slowest.wal_fsync));
        commit.known(&labels, slowest(|slowest| slowest.backend_commit));
        round_trip.known(&labels, slowest(|slowest| slowest.peer_round_trip));
        defragmenting.known(&labels, read.is_defragmenting.map(flag));
        open.known(&labels, read.open_descriptors.map(count));
        most.known(&labels, read.most_descriptors.map(count));
        changes.known(&labels, read.leader_changes.map(count));
    }
    vec![quotas(page), fsync, commit, round_trip, defragmenting, open, most, changes]
}

/// The quota of each member whose latest status or metrics, whoever reports it, is fresh; else the configured one,
/// which needs no probe to be true.
fn quotas(page: Page<'_>) -> Family {
    let mut quota = page.format.gauge(
        "vedette_etcd_db_quota_bytes",
        "Database size at which the member rejects writes: as the member reports it (its status since etcd 3.6, or its \
         metrics), else as configured (key quota).",
    );
    let mut fresh: BTreeMap<Subject, u64> = BTreeMap::new();
    for (_, observation) in fresh_rounds(page, ProbeKind::EtcdStatus) {
        let told = statuses(observation).into_iter();
        fresh.extend(told.filter_map(|(member, answer)| Some((member, answer.ok()?.db_quota_bytes?))));
    }
    for (member, _) in pages(page) {
        let told = facts(page, &member).and_then(|facts| facts.quota);
        if let Some(told) = told.filter(|told| told.source == QuotaSource::Metrics) {
            fresh.entry(member).or_insert(told.bytes);
        }
    }
    for (name, cluster) in &page.snapshot.inventory.clusters {
        for (etcd, configured) in &cluster.etcds {
            let Some(bytes) = configured.quota_bytes else { continue };
            for member in configured.members.keys().chain(configured.listeners.keys()) {
                fresh.entry(Subject::EtcdMember(name.clone(), etcd.clone(), member.clone())).or_insert(bytes);
            }
        }
    }
    for (member, bytes) in fresh {
        quota.sample(&Labels::of(&member), count(bytes));
    }
    quota
}

/// The fresh pages, with the members they are of.
pub(super) fn pages(page: Page<'_>) -> impl Iterator<Item = (Subject, &MemberMetrics)> {
    fresh_rounds(page, ProbeKind::EtcdMetrics).flat_map(|(_, observation)| of(observation))
}

/// Whether no client port of the member's cluster is ours to use.
pub(super) fn is_all_we_have(page: Page<'_>, member: &Subject) -> bool {
    let etcd = member.etcd();
    etcd.is_some_and(|etcd| page.snapshot.inventory.etcd(&etcd).is_some_and(|known| known.is_metrics_only))
}

fn facts<'a>(page: Page<'a>, member: &Subject) -> Option<&'a MemberFacts> {
    page.snapshot.clusters.get(member.cluster()?)?.members.get(member)
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
