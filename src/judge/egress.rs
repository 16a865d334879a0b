//! F46: connections through the egress selector (konnectivity) that an apiserver could not open
//! (`apiserver_egress_dialer_dial_failure_count`).

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

/// F46: an apiserver cannot connect through its egress selector.
pub struct EgressFails;

/// What stops working, whatever was seen.
const IMPACT: &str = "kubectl logs, exec and port-forward fail, and so do webhooks and aggregated APIs that are reached through the tunnel.";

/// The likely cause, whatever was seen.
const LIKELY_CAUSE: &str = "The konnectivity server or its agents do not run, or their certificates have ended.";

/// An agent that is replaced costs some connections at once and then none.
const HOLD: Duration = Duration::from_secs(300);

/// Connections that could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressFailures {
    /// How many, between two pages.
    pub failed: u64,
    /// How far these pages are apart.
    pub within: Duration,
}

impl Kind for EgressFailures {
    const TAG: &'static str = "egress_failures";
}

impl Evidence for EgressFailures {
    fn headline(&self, finding: &Finding) -> String {
        format!("{}: egress tunnel fails", phrases::fit(&phrases::name(&finding.subject), 20))
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let Self { failed, within } = self;
        let place = phrases::place(&finding.subject, addresses);
        let connections = if *failed == 1 { "connection" } else { "connections" };
        format!(
            "The apiserver {place} could not open {failed} {connections} through its egress selector within {}.",
            phrases::lasting(*within)
        )
    }

    fn impact(&self, _: &Finding) -> String {
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        LIKELY_CAUSE.into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        vec![commands.logs(&finding.subject, Program::Apiserver)]
    }
}

impl Rule for EgressFails {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F46,
            name: "EgressFails",
            in_short: "egress tunnel fails",
            title: "connections from an apiserver through its egress selector fail",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Nothing,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<EgressFailures>()
    }

    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let limit = Limit {
            rule: RuleId::F46,
            counter: Counter::EgressFailures,
            per_minute: 0.0,
            level: Level::Warning,
            hold: HOLD,
        };
        limit.judge(context, |rise| EgressFailures { failed: rise.by, within: rise.within })
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use std::sync::Arc;

        use super::pages::WINDOW;
        use crate::samples::Sample;

        Sample::of("prod-eu1/apiserver/api-1", Level::Warning, Arc::new(EgressFailures { failed: 12, within: WINDOW }))
    }
}
