//! F09: etcd raised NOSPACE.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::etcd::EtcdAlarmKind;
use crate::model::finding::{Evidence, Kind};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Verdict, Why};
use crate::observe::aspect::Aspect;

use super::commands::{Command, Commands};
use super::context::{RuleContext, SubjectState};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::quorum::etcd_name;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F09: the backend reached its quota and etcd accepts no writes.
pub struct NoSpace;

/// What stops working where nothing more is known.
const IMPACT: &str = "All writes fail with \"database space exceeded\": deploys, scaling, controllers' leader \
    elections, node leases. Reads work, and deletes that need no update first; deleting a pod or anything with \
    finalizers writes first and fails. It does not recover by itself, even when space is freed: the alarm must be \
    disarmed.";

/// The likely cause where nothing more is known.
const LIKELY_CAUSE: &str = "Something writes too much (events, leases, a controller in a loop, large custom \
    resources), or free space inside the file was never given back by defragmentation.";

/// An alarm raised inside etcd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaisedAlarm {
    /// Its kind.
    pub kind: EtcdAlarmKind,
    /// Members that raised it, by configured name where known.
    pub raised_by: Vec<String>,
    /// Backend size in bytes of the largest member.
    pub db_size_bytes: Option<u64>,
    /// Quota in bytes.
    pub db_quota_bytes: Option<u64>,
    /// Other kinds of alarms that are raised.
    #[serde(default)]
    pub beside: Vec<EtcdAlarmKind>,
}

/// The NOSPACE alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NoSpaceAlarm(pub RaisedAlarm);

impl Kind for NoSpaceAlarm {
    const TAG: &'static str = "alarm";
}

impl NoSpaceAlarm {
    fn is_beside_corrupt(&self) -> bool {
        self.0.beside.contains(&EtcdAlarmKind::Corrupt)
    }
}

impl Evidence for NoSpaceAlarm {
    fn headline(&self, finding: &Finding) -> String {
        format!("{} is full (NOSPACE alarm)", etcd_name(&finding.subject))
    }

    fn what(&self, finding: &Finding, _: &Addresses) -> String {
        let etcd = etcd_name(&finding.subject);
        let RaisedAlarm { raised_by, db_size_bytes, db_quota_bytes, .. } = &self.0;
        let by = if raised_by.is_empty() { String::new() } else { format!(", raised by {}", phrases::list(raised_by)) };
        let size = match (db_size_bytes, db_quota_bytes) {
            (Some(size), Some(quota)) => {
                format!(" Largest database: {} of {} quota.", phrases::bytes(*size), phrases::bytes(*quota))
            }
            (Some(size), None) => format!(" Largest database: {}; quota unknown.", phrases::bytes(*size)),
            (None, _) => String::new(),
        };
        format!("{etcd} has an active NOSPACE alarm{by} and rejects writes.{size}")
    }

    fn impact(&self, _: &Finding) -> String {
        if self.is_beside_corrupt() {
            return "All writes fail, for this alarm and for CORRUPT, which is active too and comes first.".into();
        }
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        if self.is_beside_corrupt() {
            return HANDS_OFF.into();
        }
        LIKELY_CAUSE.into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let members = commands.members(&finding.subject);
        let Some(one) = members.first() else { return Vec::new() };
        if self.is_beside_corrupt() {
            return commands.while_corrupt(&members);
        }
        let mut next = commands.etcdctl(one);
        next.extend([commands.etcd_status(&members), commands.objects(), commands.room(one), commands.snapshot(one)]);
        next.extend(commands.compact(one));
        next.extend(commands.defragment(&members));
        next.extend(commands.disarm(one));
        next
    }

    fn is_outage(&self) -> bool {
        true
    }
}

impl Rule for NoSpace {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F09,
            name: "EtcdNoSpace",
            in_short: "etcd NOSPACE",
            title: "etcd NOSPACE alarm",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Etcd,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<NoSpaceAlarm>()
    }

    fn explains(&self) -> &'static [Edge] {
        const EDGES: [Edge; 1] = [Edge::at_subject(RuleId::F08)];
        &EDGES
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        context.etcds().into_iter().map(|etcd| (etcd.clone(), judge_alarm(context, etcd))).collect()
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{Sample, lines};

        Sample::of(
            "prod-eu1/etcd/etcd",
            Level::Critical,
            Arc::new(NoSpaceAlarm(RaisedAlarm {
                kind: EtcdAlarmKind::NoSpace,
                raised_by: vec!["etcd-2".into()],
                db_size_bytes: Some(2_147_500_032),
                db_quota_bytes: Some(2_147_483_648),
                beside: Vec::new(),
            })),
        )
        .probes([1, 2, 3].map(|n| lines::member(n, "leader a1, term 8; NOSPACE", false)).into())
    }
}

/// The text about space while the CORRUPT alarm is raised: defragmentation would rewrite the files that have to be
/// compared.
pub(super) const HANDS_OFF: &str = "Something writes or keeps too much. But the members' data differs (CORRUPT): the \
    files of every member stay as they are until that is settled, and space is a matter for afterwards.";

/// Whether an etcd has alarms of one kind, by its members' statuses and by its alarm list. The list is read less often,
/// so an older one does not count once the statuses reported the same alarm and then its end.
pub(super) fn subject_state<'a>(context: &RuleContext<'a>, etcd: &Subject, kind: EtcdAlarmKind) -> SubjectState<'a> {
    let subject_state = told_or_listed(context, etcd, kind);
    // No member reports it any more, and too few answer for an all-clear.
    let stands = context.view.alarms(etcd).iter().any(|alarm| alarm.kind == kind);
    if subject_state.bad().is_some() && !stands { SubjectState::Unknown(Why::Unclear) } else { subject_state }
}

fn told_or_listed<'a>(context: &RuleContext<'a>, etcd: &Subject, kind: EtcdAlarmKind) -> SubjectState<'a> {
    let told = context.subject_state(etcd, Aspect::Alarm(kind));
    let listed = context.view.track(etcd, Aspect::ListedAlarm(kind)).and_then(|track| track.bad());
    let Some(listed) = listed.filter(|_| told.bad().is_none()) else { return told };
    let last_told = context.view.track(etcd, Aspect::Alarm(kind)).and_then(|track| track.last_bad());
    let is_settled = told.good().is_some() && last_told.is_some_and(|last| last >= listed.run.first.mono);
    match context.subject_state(etcd, Aspect::ListedAlarm(kind)) {
        _ if is_settled => told,
        confirmed @ SubjectState::Bad { .. } => confirmed,
        SubjectState::Good(_) | SubjectState::Unknown(_) => {
            SubjectState::Unknown(Why::Suspected { since: listed.run.first })
        }
    }
}

/// Who raised alarms of `kind`, by configured name where known.
pub(super) fn raised_by(context: &RuleContext<'_>, etcd: &Subject, kind: EtcdAlarmKind) -> Vec<String> {
    let alarms = context.view.alarms(etcd);
    // A metrics listener reports the alarm, but not which member raised it.
    let raised = alarms.iter().filter(|alarm| alarm.kind == kind && alarm.member_id != 0);
    raised.map(|alarm| context.member_name(etcd, alarm.member_id)).collect()
}

/// The other kinds of alarms that are raised.
pub(super) fn beside(context: &RuleContext<'_>, etcd: &Subject, kind: EtcdAlarmKind) -> Vec<EtcdAlarmKind> {
    let mut kinds: Vec<EtcdAlarmKind> = context.view.alarms(etcd).iter().map(|alarm| alarm.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.retain(|other| *other != kind);
    kinds
}

fn judge_alarm(context: &RuleContext<'_>, etcd: Subject) -> Verdict {
    let subject_state = subject_state(context, &etcd, EtcdAlarmKind::NoSpace);
    let SubjectState::Bad { bad, path_unproven } = subject_state else { return subject_state.unless_bad() };
    let members = context.members(&etcd);
    let size = |member: &Subject| {
        let told = context.view.status(member).map(|(_, status)| status.db_size_bytes);
        told.or_else(|| context.view.metrics(member)?.1.db_size_bytes)
    };
    let quota = |member: &Subject| context.view.facts(member).quota.map(|quota| quota.bytes);
    let db_size_bytes = members.iter().filter_map(size).max();
    let db_quota_bytes = members.iter().filter_map(quota).min();
    let raised_by = raised_by(context, &etcd, EtcdAlarmKind::NoSpace);
    let beside = beside(context, &etcd, EtcdAlarmKind::NoSpace);
    Verdict::Bad(Finding {
        rule: RuleId::F09,
        subject: etcd,
        level: Level::Critical,
        since: bad.run.first.wall,
        hold: Duration::ZERO,
        path_unproven,
        evidence: Arc::new(NoSpaceAlarm(RaisedAlarm {
            kind: EtcdAlarmKind::NoSpace,
            raised_by,
            db_size_bytes,
            db_quota_bytes,
            beside,
        })),
    })
}
