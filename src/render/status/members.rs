//! etcd members: what each reports of itself, and how full it is.

use crate::judge::phrases::lasting;
use crate::model::etcd::{MemberMetrics, MemberStatus, Slowest};
use crate::model::inventory::Etcd;
use crate::model::observation::Reading;
use crate::model::policy::QuotaTier;
use crate::model::probe::ProbeKind;
use crate::model::rule::Level;
use crate::model::snapshot::ClusterSnapshot;
use crate::model::subject::{Name, Subject};
use crate::render::metrics::Page;

use super::facts::{Backend, Cell, Member, State};
use super::moment::{bytes, short};
use super::probes::{cell_of, latest, never};

/// All members of `cluster`.
pub(super) fn members(page: Page<'_>, cluster: &Name, cluster_snapshot: &ClusterSnapshot) -> Vec<Member> {
    let Some(known) = page.snapshot.inventory.clusters.get(cluster) else { return Vec::new() };
    let several = known.etcds.len() > 1;
    let tiers = &page.snapshot.policy.quota_tiers;
    let mut all = Vec::new();
    for (etcd, parts) in &known.etcds {
        let round = Subject::Etcd(cluster.clone(), etcd.clone());
        let statuses = statuses(cluster_snapshot, &round);
        for member in parts.members.keys() {
            let subject = Subject::EtcdMember(cluster.clone(), etcd.clone(), member.clone());
            let facts = cluster_snapshot.members.get(&subject);
            let slowest = facts.and_then(|facts| facts.slowest);
            let cells = probes(parts, member)
                .into_iter()
                .map(|kind| {
                    let observation = latest(cluster_snapshot, &round, kind);
                    let cell = observation
                        .and_then(|observation| cell_of(page, observation, &subject))
                        .unwrap_or_else(|| never(kind));
                    plain(cell, kind, slowest)
                })
                .collect();
            let blank = Member {
                name: if several { format!("{etcd}/{member}") } else { member.to_string() },
                address: short(page.snapshot.inventory.address(&subject)),
                cells,
                role: String::new(),
                version: String::new(),
                raft: String::new(),
                backend: None,
                alarms: Vec::new(),
            };
            // Before etcd 3.6 only the metrics listener or the configuration has it.
            let quota = facts.and_then(|facts| facts.quota).map(|quota| quota.bytes);
            let status = statuses.iter().find(|(of, _)| *of == *member).map(|(_, status)| *status);
            all.push(match (status, told(cluster_snapshot, &round, member).filter(|_| parts.is_metrics_only)) {
                (Some(status), _) => by_status(blank, status, (quota, tiers), &statuses),
                (None, Some(told)) => by_metrics(blank, told, (quota, tiers)),
                (None, None) => blank,
            });
        }
    }
    all
}

/// The round that decides whether anything is known of `etcd`: that of the metrics listeners where there is no client
/// port.
pub(super) const fn deciding_round(etcd: &Etcd) -> ProbeKind {
    if etcd.is_metrics_only { ProbeKind::EtcdHealth } else { ProbeKind::EtcdStatus }
}

/// Probes of a member, in the order of the matrix.
fn probes(etcd: &Etcd, member: &Name) -> Vec<ProbeKind> {
    let mut kinds = vec![deciding_round(etcd)];
    if !etcd.is_metrics_only {
        kinds.extend([ProbeKind::EtcdRead, ProbeKind::EtcdMembers]);
    }
    if etcd.listeners.contains_key(member) {
        kinds.push(ProbeKind::EtcdMetrics);
    }
    kinds
}

/// What the metrics listener of `member` reported.
fn told<'a>(cluster_snapshot: &'a ClusterSnapshot, etcd: &Subject, member: &Name) -> Option<&'a MemberMetrics> {
    match latest(cluster_snapshot, etcd, ProbeKind::EtcdMetrics).map(|observation| &observation.outcome) {
        Some(Ok(Reading::EtcdMetrics(answers))) => {
            answers.iter().find(|one| one.member == *member)?.answer.as_ref().ok()
        }
        _ => None,
    }
}

/// What each member of the latest round reported.
pub(super) fn statuses<'a>(cluster_snapshot: &'a ClusterSnapshot, etcd: &Subject) -> Vec<(Name, &'a MemberStatus)> {
    match latest(cluster_snapshot, etcd, ProbeKind::EtcdStatus).map(|observation| &observation.outcome) {
        Some(Ok(Reading::EtcdStatus(answers))) => {
            answers.iter().filter_map(|one| Some((one.member.clone(), one.answer.as_ref().ok()?))).collect()
        }
        _ => Vec::new(),
    }
}

/// The role and version of a member are shown in columns of their own and not repeated in the result of its status
/// probe; its latencies are the result of the probe of its metrics.
fn plain(cell: Cell, kind: ProbeKind, slowest: Option<Slowest>) -> Cell {
    if kind == ProbeKind::EtcdStatus && matches!(cell.outcome, "ok" | "alarm" | "no leader") {
        return Cell { result: "responds".to_owned(), ..cell };
    }
    if kind == ProbeKind::EtcdMetrics && cell.outcome == "ok" {
        let result = slowest.and_then(latencies).unwrap_or_else(|| "responds".to_owned());
        return Cell { result, ..cell };
    }
    cell
}

/// `p99: fsync 7 ms, commit 12 ms, peer RTT 2 ms`.
fn latencies(slowest: Slowest) -> Option<String> {
    let all = [("fsync", slowest.wal_fsync), ("commit", slowest.backend_commit), ("peer RTT", slowest.peer_round_trip)];
    let known: Vec<String> =
        all.into_iter().filter_map(|(name, spent)| Some(format!("{name} {}", lasting(spent?)))).collect();
    (!known.is_empty()).then(|| format!("p99: {}", known.join(", ")))
}

fn by_status(blank: Member, status: &MemberStatus, (quota, tiers): Known<'_>, all: &[(Name, &MemberStatus)]) -> Member {
    let behind = status.raft_applied_index.map(|applied| status.raft_index.saturating_sub(applied));
    let behind = behind.map_or_else(String::new, |behind| format!(", apply lag {behind}"));
    let mut alarms: Vec<String> = status.alarms.iter().map(|alarm| alarm.kind.as_str().to_owned()).collect();
    alarms.extend(status.errors.iter().map(|error| short(error)));
    let quota = status.db_quota_bytes.or(quota);
    Member {
        role: role(status, all),
        version: short(&status.version),
        raft: format!("term {}, raft index {}{behind}", status.raft_term, status.raft_index),
        backend: Some(backend(status.db_size_bytes, status.db_in_use_bytes, (quota, tiers))),
        alarms,
        ..blank
    }
}

/// Without a client port the metrics are all that a member reports.
fn by_metrics(blank: Member, told: &MemberMetrics, (quota, tiers): Known<'_>) -> Member {
    let role = match (told.is_leader, told.has_leader) {
        (Some(true), _) => "leader",
        (_, Some(true)) => "follower",
        (_, Some(false)) => "no leader",
        (_, None) => "leader unknown",
    };
    let quota = told.db_quota_bytes.or(quota);
    Member {
        role: if told.is_learner == Some(true) { format!("learner, {role}") } else { role.to_owned() },
        version: told.version.as_deref().map_or_else(String::new, short),
        raft: told.leader_changes.map_or_else(String::new, seen_changes),
        backend: told.db_size_bytes.map(|size| backend(size, told.db_in_use_bytes, (quota, tiers))),
        ..blank
    }
}

fn seen_changes(changes: u64) -> String {
    if changes == 1 { "1 leader change seen".to_owned() } else { format!("{changes} leader changes seen") }
}

fn role(status: &MemberStatus, all: &[(Name, &MemberStatus)]) -> String {
    let role = match status.leader {
        Some(leader) if leader == status.member_id => "leader".to_owned(),
        Some(leader) => {
            let named = all.iter().find(|(_, other)| other.member_id == leader).map(|(name, _)| name.to_string());
            format!("follower of {}", named.unwrap_or_else(|| format!("{leader:x}, which does not respond")))
        }
        None => "no leader".to_owned(),
    };
    if status.is_learner { format!("learner, {role}") } else { role }
}

/// The quota of a member, and the tiers of it.
type Known<'a> = (Option<u64>, &'a [QuotaTier]);

fn backend(size_bytes: u64, in_use_bytes: Option<u64>, (quota_bytes, tiers): Known<'_>) -> Backend {
    let used = in_use_bytes.map_or_else(String::new, |used| format!("{} in use, ", bytes(used)));
    let file = format!("{used}file {}", bytes(size_bytes));
    let share = quota_bytes.filter(|quota| *quota > 0).map(|quota| (quota, permille(size_bytes, quota)));
    let (text, tier, state) = match share {
        Some((quota, share)) => {
            let reached = tiers.iter().filter(|tier| share >= tier.permille).max_by_key(|tier| tier.permille);
            let lowest = || tiers.iter().min_by_key(|tier| tier.permille).map_or_else(String::new, QuotaTier::percent);
            let (tier, state) = reached.map_or_else(
                || (format!("below {} %", lowest()), State::Ok),
                |tier| (format!("{} %", tier.percent()), of_level(tier.level)),
            );
            (format!("{file} of {} ({} %)", bytes(quota), share / 10), tier, state)
        }
        None => (file, "quota unknown".to_owned(), State::Unknown),
    };
    Backend { text, tier, state, size_bytes, in_use_bytes, quota_bytes }
}

const fn of_level(level: Level) -> State {
    match level {
        Level::Info => State::Ok,
        Level::Warning => State::Degraded,
        Level::Critical => State::Down,
    }
}

/// The share of the quota that the file takes, in thousandths: etcd raises NOSPACE by the file's size, free pages
/// included.
const fn permille(size: u64, quota: u64) -> u64 {
    size.saturating_mul(1000) / quota
}
