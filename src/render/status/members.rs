//! etcd members: what each says of itself, and how full it is.

use crate::model::etcd::MemberStatus;
use crate::model::observation::Reading;
use crate::model::probe::ProbeKind;
use crate::model::snapshot::ClusterPicture;
use crate::model::subject::{Name, Subject};
use crate::render::metrics::Page;

use super::facts::{Backend, Cell, Member, State};
use super::looks::{cell_of, latest, never};
use super::moment::{bytes, short};

/// Looks at a member, in the order of the matrix.
const LOOKS: [ProbeKind; 3] = [ProbeKind::EtcdStatus, ProbeKind::EtcdRead, ProbeKind::EtcdMembers];

/// Shares of the quota, in percent, from which there is less and less time. Source: control-plane.md section 4 (F08).
const TIERS: [(u64, &str, State); 3] =
    [(85, "85 %", State::Down), (75, "75 %", State::Degraded), (65, "65 %", State::Degraded)];

/// All members of `cluster`.
pub(super) fn members(page: Page<'_>, cluster: &Name, picture: &ClusterPicture) -> Vec<Member> {
    let Some(known) = page.snapshot.inventory.clusters.get(cluster) else { return Vec::new() };
    let several = known.etcds.len() > 1;
    let mut all = Vec::new();
    for (etcd, parts) in &known.etcds {
        let round = Subject::Etcd(cluster.clone(), etcd.clone());
        let statuses = statuses(picture, &round);
        for member in parts.members.keys() {
            let subject = Subject::EtcdMember(cluster.clone(), etcd.clone(), member.clone());
            let cells = LOOKS
                .iter()
                .map(|kind| {
                    let look = latest(picture, &round, *kind);
                    let cell = look.and_then(|look| cell_of(page, look, &subject)).unwrap_or_else(|| never(*kind));
                    plain(cell, *kind)
                })
                .collect();
            let status = statuses.iter().find(|(of, _)| *of == *member).map(|(_, status)| *status);
            // Before etcd 3.6 only the metrics listener or the configuration tell it.
            let elsewhere = picture.members.get(&subject).and_then(|facts| facts.quota).map(|quota| quota.bytes);
            let quota = status.and_then(|status| status.db_quota_bytes).or(elsewhere);
            let name = if several { format!("{etcd}/{member}") } else { member.to_string() };
            all.push(shown(
                name,
                page.snapshot.inventory.address(&subject),
                cells,
                status.map(|status| (status, quota)),
                &statuses,
            ));
        }
    }
    all
}

/// What each member of the latest round said.
pub(super) fn statuses<'a>(picture: &'a ClusterPicture, etcd: &Subject) -> Vec<(Name, &'a MemberStatus)> {
    match latest(picture, etcd, ProbeKind::EtcdStatus).map(|look| &look.outcome) {
        Some(Ok(Reading::EtcdStatus(answers))) => {
            answers.iter().filter_map(|one| Some((one.member.clone(), one.answer.as_ref().ok()?))).collect()
        }
        _ => Vec::new(),
    }
}

/// What a member says of itself stands beside its looks and is not said twice.
fn plain(cell: Cell, kind: ProbeKind) -> Cell {
    let is_told = kind == ProbeKind::EtcdStatus && matches!(cell.saw, "ok" | "alarm" | "no leader");
    if is_told { Cell { result: "answers".to_owned(), ..cell } } else { cell }
}

fn shown(
    name: String,
    address: &str,
    cells: Vec<Cell>,
    status: Option<(&MemberStatus, Option<u64>)>,
    all: &[(Name, &MemberStatus)],
) -> Member {
    let blank = Member {
        name,
        address: short(address),
        cells,
        role: String::new(),
        version: String::new(),
        raft: String::new(),
        backend: None,
        alarms: Vec::new(),
    };
    let Some((status, quota)) = status else { return blank };
    let behind = status.raft_applied_index.map(|applied| status.raft_index.saturating_sub(applied));
    let behind = behind.map_or_else(String::new, |behind| format!(", {behind} to apply"));
    let mut alarms: Vec<String> = status.alarms.iter().map(|alarm| alarm.kind.as_str().to_owned()).collect();
    alarms.extend(status.errors.iter().map(|error| short(error)));
    Member {
        role: role(status, all),
        version: short(&status.version),
        raft: format!("term {}, index {}{behind}", status.raft_term, status.raft_index),
        backend: Some(backend(status, quota)),
        alarms,
        ..blank
    }
}

fn role(status: &MemberStatus, all: &[(Name, &MemberStatus)]) -> String {
    let role = match status.leader {
        Some(leader) if leader == status.member_id => "leads".to_owned(),
        Some(leader) => {
            let named = all.iter().find(|(_, other)| other.member_id == leader).map(|(name, _)| name.to_string());
            format!("follows {}", named.unwrap_or_else(|| format!("{leader:x}, which does not answer")))
        }
        None => "knows no leader".to_owned(),
    };
    if status.is_learner { format!("learner, {role}") } else { role }
}

fn backend(status: &MemberStatus, quota: Option<u64>) -> Backend {
    let used = status.db_in_use_bytes.map_or_else(String::new, |used| format!("{} in use, ", bytes(used)));
    let file = format!("{used}file {}", bytes(status.db_size_bytes));
    let share = quota.filter(|quota| *quota > 0).map(|quota| (quota, percent(status, quota)));
    let (text, tier, state) = match share {
        Some((quota, share)) => {
            let reached = TIERS.iter().find(|(from, _, _)| share >= *from);
            let (tier, state) = reached.map_or(("below 65 %", State::Ok), |(_, tier, state)| (*tier, *state));
            (format!("{file} of {} ({share} %)", bytes(quota)), tier, state)
        }
        None => (file, "quota not told", State::Unknown),
    };
    Backend {
        text,
        tier,
        state,
        size_bytes: status.db_size_bytes,
        in_use_bytes: status.db_in_use_bytes,
        quota_bytes: quota,
    }
}

/// The share of the quota that the file takes: etcd raises NOSPACE by the file's size, free pages included.
const fn percent(status: &MemberStatus, quota: u64) -> u64 {
    status.db_size_bytes.saturating_mul(100) / quota
}
