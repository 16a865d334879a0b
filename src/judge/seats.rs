//! F65: nearly all seats of an apiserver are taken, before anybody waits: how close an overload (F18) is.
//!
//! A page shows one moment. The mean of several is judged, which a burst of requests does not raise.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::addresses::Addresses;
use crate::model::finding::{Evidence, Kind};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Verdict, Why};
use crate::observe::metrics_pages::InstancePages;
use crate::observe::probe_runs::Run;

use super::commands::{Command, Commands};
use super::context::RuleContext;
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};
use super::{Rule, pages, phrases};

/// F65: an apiserver is close to its limit of requests.
pub struct SeatsTaken;

/// Parts of a thousand of all seats that are told as information, and as a warning. Levels borrow from each other up to
/// all seats, and from then on requests wait.
const INFO: u64 = 700;
const WARNING: u64 = 850;
/// Pages of which the mean is taken: a quarter of an hour with three instances.
const PAGES: usize = 5;
/// How long it may be so.
const HOLD: Duration = Duration::from_secs(600);

/// What stops working, whatever was seen.
const IMPACT: &str = "Nothing yet. When all seats are taken, requests wait, and then are turned away (429).";

/// The likely cause, whatever was seen.
const LIKELY_CAUSE: &str =
    "Clients ask for more than before, or requests take longer, as with a slow webhook or a slow etcd.";

/// Seats taken at one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// In the mean of the latest pages.
    pub used: u64,
    /// All there are.
    pub all: u64,
}

impl Kind for Taken {
    const TAG: &'static str = "seats_taken";
}

impl Taken {
    fn permille(self) -> u64 {
        self.used * 1000 / self.all.max(1)
    }
}

impl Evidence for Taken {
    fn headline(&self, finding: &Finding) -> String {
        format!("{}: nearly all seats are taken", phrases::fit(&phrases::name(&finding.subject), 20))
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let Self { used, all } = self;
        let place = phrases::place(&finding.subject, addresses);
        format!("Requests take {used} of the {all} seats of the apiserver {place}: {} %.", self.permille() / 10)
    }

    fn impact(&self, _: &Finding) -> String {
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        LIKELY_CAUSE.into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        vec![commands.priority_levels(&finding.subject), commands.requests(&finding.subject)]
    }
}

impl Rule for SeatsTaken {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F65,
            name: "SeatsNearlyTaken",
            in_short: "seats nearly taken",
            title: "nearly all seats of an apiserver are taken",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Nothing,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<Taken>()
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

        Sample::of("prod-eu1/apiserver/api-1", Level::Warning, Arc::new(Taken { used: 531, all: 600 }))
    }
}

fn judge_one(context: &RuleContext<'_>, instance: &Subject, known: &InstancePages) -> Verdict {
    let Some((used, all)) = known.seats(PAGES) else { return Verdict::Unknown(Why::Unclear) };
    let taken = Taken { used, all };
    if taken.permille() >= INFO {
        let level = if taken.permille() >= WARNING { Level::Warning } else { Level::Info };
        return Verdict::Bad(pages::finding(context, (RuleId::F65, instance), level, HOLD, Arc::new(taken)));
    }
    known.roomy(INFO).map_or(Verdict::Unknown(Why::Unclear), Run::good)
}
