//! A cluster whose etcd is watched through its metrics listeners alone, and one where they stand beside client ports.

use std::sync::Arc;

use super::states::healthy;
use crate::model::etcd::{Condition, MemberAnswer, MemberHealth, MemberMetrics};
use crate::model::inventory::{Inventory, MetricsListener};
use crate::model::observation::{Observation, Reading};
use crate::model::phase::Phases;
use crate::model::probe::ProbeKind;
use crate::model::snapshot::{ClusterSnapshot, Snapshot};
use crate::render::fixture::{millis, name, observation, subject};

/// Nothing but the listeners is asked, and all of them answer.
pub(super) fn alone() -> Snapshot {
    let mut snapshot = beside();
    let prod = name("prod");
    let mut inventory = Inventory::clone(&snapshot.inventory);
    let etcds = &mut inventory.clusters.get_mut(&prod).unwrap().etcds;
    etcds.get_mut(&name("main")).unwrap().is_metrics_only = true;
    snapshot.inventory = Arc::new(inventory);
    let mut cluster_snapshot = ClusterSnapshot::clone(&snapshot.clusters[&prod]);
    let gone =
        [ProbeKind::EtcdStatus, ProbeKind::EtcdRead, ProbeKind::EtcdMembers, ProbeKind::EtcdAlarms, ProbeKind::Chain];
    cluster_snapshot.observations.retain(|probe, _| !gone.contains(&probe.kind));
    let healths = answers(|_| MemberHealth { condition: Condition::Well, reason: None });
    insert(&mut cluster_snapshot, round(ProbeKind::EtcdHealth, Reading::EtcdHealth(healths)));
    snapshot.clusters.insert(prod, Arc::new(cluster_snapshot));
    snapshot
}

/// Every member has a listener beside its client port, so that alarms are not asked for.
pub(super) fn beside() -> Snapshot {
    let mut snapshot = healthy();
    let prod = name("prod");
    let mut inventory = Inventory::clone(&snapshot.inventory);
    let etcds = &mut inventory.clusters.get_mut(&prod).unwrap().etcds;
    let etcd = etcds.get_mut(&name("main")).unwrap();
    let listener =
        |member: &crate::model::subject::Name| MetricsListener { url: format!("http://{member}:2381"), is_tls: false };
    etcd.listeners = etcd.members.keys().map(|member| (member.clone(), listener(member))).collect();
    snapshot.inventory = Arc::new(inventory);
    let mut cluster_snapshot = ClusterSnapshot::clone(&snapshot.clusters[&prod]);
    cluster_snapshot.observations.retain(|probe, _| probe.kind != ProbeKind::EtcdAlarms);
    cluster_snapshot.members = crate::render::fixture::snapshot().clusters[&prod].members.clone();
    let pages = answers(|number| MemberMetrics {
        version: Some("3.5.35".to_owned()),
        has_leader: Some(true),
        is_leader: Some(number == 1),
        leader_changes: Some(number),
        db_size_bytes: Some(20_971_520),
        db_in_use_bytes: Some(8_388_608),
        db_quota_bytes: Some(2_147_483_648),
        ..MemberMetrics::default()
    });
    insert(&mut cluster_snapshot, round(ProbeKind::EtcdMetrics, Reading::EtcdMetrics(pages)));
    snapshot.clusters.insert(prod, Arc::new(cluster_snapshot));
    snapshot
}

fn round(kind: ProbeKind, reading: Reading) -> Observation {
    Observation { phases: Phases::default(), ..observation(subject("prod/etcd/main"), kind, Ok(reading)) }
}

fn insert(cluster_snapshot: &mut ClusterSnapshot, observation: Observation) {
    cluster_snapshot.observations.insert(observation.probe.clone(), Arc::new(observation));
}

fn answers<T>(answer: impl Fn(u64) -> T) -> Vec<MemberAnswer<T>> {
    let of = |number: u64| MemberAnswer {
        member: name(&format!("etcd-{number}")),
        sent_after: millis(1),
        phases: Phases { first_byte: Some(millis(number)), ..Phases::default() },
        answer: Ok(answer(number)),
    };
    (1..=3).map(of).collect()
}
