//! F45: far more events are created than usual. Each is an object in etcd for an hour.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::apiserver_metrics::Counter;
use crate::model::finding::{Evidence, Kind};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Verdict, Why};
use crate::observe::metrics_pages::{InstancePages, Rise};
use crate::observe::probe_runs::Run;

use super::commands::{Command, Commands};
use super::context::RuleContext;
use super::description::{Description, Shows};
use super::edges::Edge;
use super::pages::{self, WINDOW};
use super::stored::{ReadBack, Stored};
use super::{Rule, phrases};

/// F45: an event flood.
pub struct EventFlood;

/// How many times the median of the last hour is a flood.
const TIMES: f64 = 5.0;
/// Fewer a minute are none, however quiet it was before: a node that is drained makes some hundred.
const LEAST: f64 = 600.0;
/// How long it must last.
const HOLD: Duration = Duration::from_secs(600);
/// Pages that make a median.
const USUAL: usize = 6;

/// What stops working, whatever was seen.
const IMPACT: &str =
    "Nothing yet. Events are objects in etcd for an hour: the database grows, writes of others wait behind them.";

/// The likely cause, whatever was seen.
const LIKELY_CAUSE: &str =
    "Pods that fail and are restarted in a loop, or a controller that reports the same again and again.";

/// Events created at one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flood {
    /// A minute now.
    pub per_minute: u64,
    /// A minute in the median of the last hour.
    pub usually: u64,
}

impl Kind for Flood {
    const TAG: &'static str = "event_flood";
}

impl Evidence for Flood {
    fn headline(&self, finding: &Finding) -> String {
        format!("{}: far more events than usual", phrases::fit(&phrases::name(&finding.subject), 20))
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let Self { per_minute, usually } = self;
        let place = phrases::place(&finding.subject, addresses);
        format!("{per_minute} events a minute are created through the apiserver {place}, usually {usually}.")
    }

    fn impact(&self, _: &Finding) -> String {
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        LIKELY_CAUSE.into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        vec![commands.metric(&finding.subject, "apiserver_request_total.*resource=\"events\"")]
    }
}

impl Rule for EventFlood {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F45,
            name: "EventFlood",
            in_short: "event flood",
            title: "far more events are created than usual",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Nothing,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<Flood>()
    }

    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    fn is_listed_only(&self) -> bool {
        true
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        pages::each(context, |instance, known| judge_one(context, instance, known))
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use crate::samples::Sample;

        Sample::of("prod-eu1/apiserver/api-1", Level::Info, Arc::new(Flood { per_minute: 4200, usually: 130 }))
    }
}

fn judge_one(context: &RuleContext<'_>, instance: &Subject, known: &InstancePages) -> Verdict {
    let Some(rise) = known.rise(Counter::EventsCreated, WINDOW) else { return Verdict::Unknown(Why::NeverSeen) };
    let mut rates: Vec<f64> = known.rises(Counter::EventsCreated).map(Rise::per_minute).collect();
    rates.sort_by(f64::total_cmp);
    let usually = rates.get(rates.len() / 2).copied().filter(|_| rates.len() >= USUAL);
    let per_minute = rise.per_minute();
    let limit = usually.map_or(f64::INFINITY, |usually| (usually * TIMES).max(LEAST));
    if per_minute > limit {
        let flood = Flood { per_minute: whole(per_minute), usually: whole(usually.unwrap_or(0.0)) };
        return Verdict::Bad(pages::finding(context, (RuleId::F45, instance), Level::Info, HOLD, Arc::new(flood)));
    }
    let calm = known.calm(Counter::EventsCreated, limit.max(LEAST));
    calm.map_or(Verdict::Unknown(Why::Unclear), Run::good)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate that people read; never below zero"
)]
fn whole(rate: f64) -> u64 {
    rate.round() as u64
}
