//! F36: audit events that could not be written, counted by the apiserver itself (`apiserver_audit_error_total`,
//! `apiserver_audit_requests_rejected_total`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::apiserver_metrics::Counter;
use crate::model::finding::{Evidence, Kind};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Verdict};

use super::commands::{Command, Commands, Program};
use super::context::RuleContext;
use super::description::{Description, Shows};
use super::edges::Edge;
use super::pages::Limit;
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F36: an apiserver cannot write its audit log.
pub struct AuditEventsLost;

/// What stops working, whatever was seen.
const IMPACT: &str = "What users and controllers do leaves no trace in the audit log. In the mode blocking-strict the requests themselves \
                      are rejected.";

/// The likely cause, whatever was seen.
const LIKELY_CAUSE: &str = "The disk of the audit log is full or slow, or the audit webhook does not answer.";

/// A log that is rotated, or a webhook that is restarted, loses some at once and then none.
const HOLD: Duration = Duration::from_secs(300);

/// Audit events that were not written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostAuditEvents {
    /// How many, between two pages.
    pub lost: u64,
    /// How far these pages are apart.
    pub within: Duration,
}

impl Kind for LostAuditEvents {
    const TAG: &'static str = "lost_audit_events";
}

impl Evidence for LostAuditEvents {
    fn headline(&self, finding: &Finding) -> String {
        format!("{}: audit events are lost", phrases::fit(&phrases::name(&finding.subject), 20))
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let Self { lost, within } = self;
        let place = phrases::place(&finding.subject, addresses);
        let events = if *lost == 1 { "event" } else { "events" };
        format!("The apiserver {place} could not write {lost} audit {events} within {}.", phrases::lasting(*within))
    }

    fn impact(&self, _: &Finding) -> String {
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        LIKELY_CAUSE.into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        vec![commands.room_for_logs(&finding.subject), commands.logs(&finding.subject, Program::Apiserver)]
    }
}

impl Rule for AuditEventsLost {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F36,
            name: "AuditEventsLost",
            in_short: "audit events lost",
            title: "an apiserver loses audit events",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Nothing,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<LostAuditEvents>()
    }

    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let limit = Limit {
            rule: RuleId::F36,
            counter: Counter::AuditLost,
            per_minute: 0.0,
            level: Level::Warning,
            hold: HOLD,
        };
        limit.judge(context, |rise| LostAuditEvents { lost: rise.by, within: rise.within })
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use std::sync::Arc;

        use super::pages::WINDOW;
        use crate::samples::Sample;

        Sample::of("prod-eu1/apiserver/api-1", Level::Warning, Arc::new(LostAuditEvents { lost: 240, within: WINDOW }))
    }
}
