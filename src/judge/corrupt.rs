//! F10: etcd raised CORRUPT, or an alarm of a kind that is not known here.
//!
//! etcd raises an alarm only for what stops it from serving, so an unknown one is reported as well and never taken for
//! good. While CORRUPT is raised no command frees space or ends alarms: both change the files that must be compared.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::etcd::EtcdAlarmKind;
use crate::model::finding::{Evidence, Kind};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Verdict};

use super::commands::{Command, Commands};
use super::context::{RuleContext, SubjectState, all_good, gravest};
use super::description::{Description, Shows};
use super::edges::Edge;
use super::nospace::RaisedAlarm;
use super::quorum::etcd_name;
use super::stored::{ReadBack, Stored};
use super::{Rule, nospace, phrases};

/// F10: the data of the members differs, or etcd has an alarm that is not known here.
pub struct Corrupt;

/// What stops working where nothing more is known.
const IMPACT: &str = "All writes fail with \"etcdserver: corrupt cluster\": kubectl apply, deploys, scaling, node \
    leases. Reads still answer, and the result may depend on the member that is asked. Leave the alarm and the files \
    of every member as they are until the odd member is found and replaced: what is changed before can spread the \
    wrong data.";

/// The likely cause where nothing more is known.
const LIKELY_CAUSE: &str = "A disk or memory that changed data, a data directory that was copied or restored on one \
    member alone, or a crash of etcd 3.5.0 to 3.5.2, which could lose writes on one member.";

/// The CORRUPT alarm, or one that is not known here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CorruptAlarm(pub RaisedAlarm);

impl Kind for CorruptAlarm {
    const TAG: &'static str = "alarm";
}

impl CorruptAlarm {
    fn is_unknown(&self) -> bool {
        self.0.kind == EtcdAlarmKind::Other
    }
}

impl Evidence for CorruptAlarm {
    fn headline(&self, finding: &Finding) -> String {
        let etcd = etcd_name(&finding.subject);
        if self.is_unknown() {
            format!("{etcd} raised an unknown alarm")
        } else {
            format!("{etcd} is corrupt (CORRUPT alarm)")
        }
    }

    fn what(&self, finding: &Finding, _: &Addresses) -> String {
        let etcd = etcd_name(&finding.subject);
        let RaisedAlarm { raised_by, beside, .. } = &self.0;
        let by = if raised_by.is_empty() { String::new() } else { format!(", raised by {}", phrases::list(raised_by)) };
        let beside: Vec<String> = beside
            .iter()
            .map(|kind| match kind {
                EtcdAlarmKind::NoSpace | EtcdAlarmKind::Corrupt => kind.as_str().to_owned(),
                EtcdAlarmKind::Other => "one of a kind that is not known here".to_owned(),
            })
            .collect();
        let beside = if beside.is_empty() {
            String::new()
        } else {
            format!(" Another alarm is active too: {}.", phrases::list(&beside))
        };
        if self.is_unknown() {
            return format!(
                "{etcd} has an active alarm of a kind that this version of vedette does not \
                            know{by}.{beside}"
            );
        }
        format!("{etcd} has an active CORRUPT alarm{by}: the data of a member differs from that of the others.{beside}")
    }

    fn impact(&self, _: &Finding) -> String {
        if self.is_unknown() {
            return "Not known. The alarms that are known stop every write.".into();
        }
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        if self.is_unknown() {
            "A version of etcd that is newer than this version of vedette; its release notes name the alarm.".into()
        } else {
            LIKELY_CAUSE.into()
        }
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        let members = commands.members(&finding.subject);
        let mut next = commands.while_corrupt(&members);
        if !self.is_unknown() {
            next.extend(members.first().map(|one| commands.copy_data(one, "on every member, before anything else")));
        }
        next
    }

    fn is_outage(&self) -> bool {
        !self.is_unknown()
    }

    fn is_cause(&self) -> bool {
        !self.is_unknown()
    }
}

impl Rule for Corrupt {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F10,
            name: "EtcdCorrupt",
            in_short: "etcd corrupt",
            title: "etcd raised CORRUPT or an unknown alarm",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Etcd,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<CorruptAlarm>()
    }

    fn explains(&self) -> &'static [Edge] {
        // It stops all writes by itself, and the commands of these rules must not be run now.
        const EDGES: [Edge; 2] = [Edge::at_subject(RuleId::F08), Edge::at_subject(RuleId::F09)];
        &EDGES
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        context.etcds().into_iter().map(|etcd| (etcd.clone(), judge_alarms(context, etcd))).collect()
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::{Sample, lines};

        Sample::of(
            "prod-eu1/etcd/etcd",
            Level::Critical,
            Arc::new(CorruptAlarm(RaisedAlarm {
                kind: EtcdAlarmKind::Corrupt,
                raised_by: vec!["etcd-3".into()],
                db_size_bytes: None,
                db_quota_bytes: None,
                beside: vec![EtcdAlarmKind::NoSpace],
            })),
        )
        .probes(vec![
            lines::healthy(1),
            lines::healthy(2),
            lines::member(3, "leader a1, term 8; CORRUPT", false),
        ])
    }
}

fn judge_alarms(context: &RuleContext<'_>, etcd: Subject) -> Verdict {
    let subject_states =
        [EtcdAlarmKind::Corrupt, EtcdAlarmKind::Other].map(|kind| (kind, nospace::subject_state(context, &etcd, kind)));
    let worst = subject_states.iter().find_map(|(kind, subject_state)| match subject_state {
        SubjectState::Bad { bad, path_unproven } => Some((*kind, *bad, *path_unproven)),
        SubjectState::Good(_) | SubjectState::Unknown(_) => None,
    });
    let Some((kind, bad, path_unproven)) = worst else {
        let runs: Option<Vec<_>> = subject_states.iter().map(|(_, subject_state)| subject_state.good()).collect();
        let doubts = subject_states.iter().filter_map(|(_, subject_state)| match subject_state {
            SubjectState::Unknown(why) => Some(*why),
            SubjectState::Good(_) | SubjectState::Bad { .. } => None,
        });
        return runs.and_then(all_good).unwrap_or_else(|| Verdict::Unknown(gravest(doubts)));
    };
    Verdict::Bad(Finding {
        rule: RuleId::F10,
        level: if kind == EtcdAlarmKind::Corrupt { Level::Critical } else { Level::Warning },
        since: bad.run.first.wall,
        hold: Duration::ZERO,
        path_unproven,
        evidence: Arc::new(CorruptAlarm(RaisedAlarm {
            kind,
            raised_by: nospace::raised_by(context, &etcd, kind),
            db_size_bytes: None,
            db_quota_bytes: None,
            beside: nospace::beside(context, &etcd, kind),
        })),
        subject: etcd,
    })
}
