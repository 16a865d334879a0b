//! F09: etcd raised NOSPACE.

use std::time::Duration;

use crate::model::etcd::EtcdAlarmKind;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Evidence, Finding, Verdict, Why};
use crate::observe::view::Aspect;

use super::commands::{Command, Commands};
use super::context::{RuleContext, SubjectState};
use super::edges::Edge;
use super::quorum::etcd_name;
use super::words::Words;
use super::{Rule, phrases};
use crate::model::addresses::Addresses;

/// F09: the backend reached its quota and etcd accepts no writes.
pub struct NoSpace;

impl Words for NoSpace {
    fn id(&self) -> RuleId {
        RuleId::F09
    }

    fn title(&self) -> &'static str {
        "etcd NOSPACE alarm"
    }

    fn headline(&self, finding: &Finding) -> String {
        format!("{} is full (NOSPACE alarm)", etcd_name(&finding.subject))
    }

    fn what(&self, finding: &Finding, _: &Addresses) -> String {
        let etcd = etcd_name(&finding.subject);
        let Evidence::Alarm { raised_by, db_size_bytes, db_quota_bytes, .. } = &finding.evidence else {
            return format!("{etcd} has an active NOSPACE alarm and rejects writes.");
        };
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

    fn impact(&self, finding: &Finding) -> String {
        if is_beside_corrupt(finding) {
            return "All writes fail, for this alarm and for CORRUPT, which is active too and comes first.".into();
        }
        "All writes fail with \"database space exceeded\": deploys, scaling, controllers' leader elections, node \
         leases. Reads work, and deletes that need no update first; deleting a pod or anything with finalizers \
         writes first and fails. It does not recover by itself, even when space is freed: the alarm must be disarmed."
            .into()
    }

    fn likely_cause(&self, finding: &Finding) -> String {
        if is_beside_corrupt(finding) {
            return HANDS_OFF.into();
        }
        "Something writes too much (events, leases, a controller in a loop, large custom resources), or free space \
         inside the file was never given back by defragmentation."
            .into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let members = commands.members(&finding.subject);
        let Some(one) = members.first() else { return Vec::new() };
        if is_beside_corrupt(finding) {
            return commands.while_corrupt(&members);
        }
        let mut next = commands.etcdctl(one);
        next.extend([commands.etcd_status(&members), commands.objects(), commands.room(one), commands.snapshot(one)]);
        next.extend(commands.compact(one));
        next.extend(commands.defragment(&members));
        next.extend(commands.disarm(one));
        next
    }
}

impl Rule for NoSpace {
    fn explains(&self) -> &'static [Edge] {
        const EDGES: [Edge; 1] = [Edge::at_subject(RuleId::F08)];
        &EDGES
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        context.etcds().into_iter().map(|etcd| (etcd.clone(), judge_alarm(context, etcd))).collect()
    }
}

fn is_beside_corrupt(finding: &Finding) -> bool {
    matches!(&finding.evidence, Evidence::Alarm { beside, .. } if beside.contains(&EtcdAlarmKind::Corrupt))
}

/// The text about space while the CORRUPT alarm is raised: defragmentation would rewrite the files that have to be
/// compared.
pub(super) const HANDS_OFF: &str = "Something writes or keeps too much. But the members' data differs (CORRUPT): the \
                                    files of \
    every member stay as they are until that is settled, and space is a matter for afterwards.";

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
        evidence: Evidence::Alarm { kind: EtcdAlarmKind::NoSpace, raised_by, db_size_bytes, db_quota_bytes, beside },
    })
}
