//! F09: etcd raised NOSPACE.

use std::time::Duration;

use crate::model::etcd::AlarmKind;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Evidence, Finding, Verdict, Why};
use crate::observe::view::Aspect;

use super::edges::Edge;
use super::quorum::etcd_name;
use super::scene::{Scene, Standing};
use super::words::{Addresses, Words};
use super::{Rule, phrases};

/// F09: the backend reached its quota and etcd takes no writes.
pub struct NoSpace;

impl Words for NoSpace {
    fn id(&self) -> RuleId {
        RuleId::F09
    }

    fn title(&self) -> &'static str {
        "etcd raised NOSPACE"
    }

    fn headline(&self, finding: &Finding) -> String {
        format!("{} is full (NOSPACE)", etcd_name(&finding.subject))
    }

    fn what(&self, finding: &Finding, _: &Addresses) -> String {
        let etcd = etcd_name(&finding.subject);
        let Evidence::Alarm { raised_by, db_size_bytes, db_quota_bytes, .. } = &finding.evidence else {
            return format!("{etcd} has raised NOSPACE and takes no writes.");
        };
        let by = if raised_by.is_empty() { String::new() } else { format!(", raised by {}", phrases::list(raised_by)) };
        let size = match (db_size_bytes, db_quota_bytes) {
            (Some(size), Some(quota)) => {
                format!(" The largest backend has {} of its {} quota.", bytes(*size), bytes(*quota))
            }
            (Some(size), None) => format!(" The largest backend has {}; its quota is not told.", bytes(*size)),
            (None, _) => String::new(),
        };
        format!("{etcd} stands under its NOSPACE alarm{by}: it takes no writes.{size}")
    }

    fn impact(&self, _: &Finding) -> String {
        "Every write fails with \"database space exceeded\": deploys, scaling, leader elections, node heartbeats. \
         Deletes and reads still work. It does not heal by itself, even when space is freed: the alarm must be disarmed."
            .into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        "Something writes too much (events, leases, a controller in a loop, large custom resources), or old space was \
         never given back by defragmentation."
            .into()
    }

    fn next_commands(&self, finding: &Finding, addresses: &Addresses) -> Vec<String> {
        let mut members = phrases::members(&finding.subject, addresses);
        if members.is_empty() {
            members.push(finding.subject.clone());
        }
        let one: &[Subject] = members.get(..1).unwrap_or_default();
        let revision = phrases::etcdctl(one, addresses, "get / --limit=1 --keys-only -w fields");
        vec![
            phrases::ETCDCTL_FILES.into(),
            phrases::etcdctl(&members, addresses, "endpoint status -w table"),
            phrases::etcdctl(one, addresses, &format!("compact $({revision} | awk '/\"Revision\"/ {{print $3}}')")),
            phrases::etcdctl(
                one,
                addresses,
                "--command-timeout=5m defrag # each member, one at a time, the leader last",
            ),
            phrases::etcdctl(one, addresses, "alarm disarm # when every member is well under its quota"),
        ]
    }
}

/// A size in binary units with one decimal, as etcdctl prints it.
fn bytes(size: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    UNITS.iter().find(|(_, unit)| size >= *unit).map_or_else(
        || format!("{size} B"),
        |(name, unit)| format!("{}.{} {name}", size / unit, (size % unit).saturating_mul(10) / unit),
    )
}

impl Rule for NoSpace {
    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    fn judge(&self, scene: &Scene<'_>) -> Vec<(Subject, Verdict)> {
        scene.etcds().into_iter().map(|etcd| (etcd.clone(), judge_alarm(scene, etcd))).collect()
    }
}

fn judge_alarm(scene: &Scene<'_>, etcd: Subject) -> Verdict {
    let standing = scene.standing(&etcd, Aspect::Alarm);
    let Standing::Bad { bad, path_unproven } = standing else { return standing.unless_bad() };
    let Some((_, count)) = scene.view.count(&etcd) else { return Verdict::Unknown(Why::NeverSeen) };
    let raised: Vec<u64> =
        count.alarms.iter().filter(|alarm| alarm.kind == AlarmKind::NoSpace).map(|alarm| alarm.member_id).collect();
    // Another kind of alarm is another rule's matter; it hides nothing here, but it is no all-clear either.
    if raised.is_empty() {
        return Verdict::Unknown(Why::Unclear);
    }
    let statuses: Vec<_> =
        scene.members(&etcd).iter().filter_map(|member| Some((member.clone(), scene.view.status(member)?))).collect();
    let name_of = |id: &u64| {
        statuses
            .iter()
            .find(|(_, (_, status))| status.member_id == *id)
            .map_or_else(|| format!("member {id:x}"), |(member, _)| member.short().to_owned())
    };
    let raised_by = raised.iter().map(name_of).collect();
    Verdict::Bad(Finding {
        rule: RuleId::F09,
        subject: etcd,
        level: Level::Critical,
        since: bad.run.first.wall,
        hold: Duration::ZERO,
        path_unproven,
        evidence: Evidence::Alarm {
            kind: AlarmKind::NoSpace,
            raised_by,
            db_size_bytes: statuses.iter().map(|(_, (_, status))| status.db_size_bytes).max(),
            db_quota_bytes: statuses.iter().filter_map(|(_, (_, status))| status.db_quota_bytes).min(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_said_in_binary_units() {
        for (size, text) in [(512, "512 B"), (16 << 20, "16.0 MiB"), ((2 << 30) + (1 << 29), "2.5 GiB")] {
            assert_eq!(bytes(size), text);
        }
    }
}
