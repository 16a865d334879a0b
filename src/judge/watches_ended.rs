//! F39: watches that an apiserver ends because their client does not keep up (`apiserver_terminated_watchers_total`).
//! Each of these clients lists everything anew.

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

/// F39: an apiserver ends many watches because their clients do not keep up.
pub struct WatchesEnded;

/// What stops working, whatever was seen.
const IMPACT: &str = "Each client whose watch is ended lists all objects anew, which costs the apiserver memory and time, and acts on old \
                      state until then.";

/// The likely cause, whatever was seen.
const LIKELY_CAUSE: &str = "Changes come faster than clients can take them: a controller that updates objects in a loop, or clients, or an apiserver, \
                            without enough processor.";

/// Watches ended in a minute that are nothing: a rollout of clients ends some.
const MOST: f64 = 10.0;
/// How long it may be so.
const HOLD: Duration = Duration::from_secs(300);

/// Watches that were ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedWatches {
    /// How many, between two pages.
    pub ended: u64,
    /// How far these pages are apart.
    pub within: Duration,
}

impl Kind for EndedWatches {
    const TAG: &'static str = "ended_watches";
}

impl Evidence for EndedWatches {
    fn headline(&self, finding: &Finding) -> String {
        format!("{}: ends watches of slow clients", phrases::fit(&phrases::name(&finding.subject), 20))
    }

    fn what(&self, finding: &Finding, addresses: &Addresses) -> String {
        let Self { ended, within } = self;
        let place = phrases::place(&finding.subject, addresses);
        format!("The apiserver {place} has ended {ended} watches within {}.", phrases::lasting(*within))
    }

    fn impact(&self, _: &Finding) -> String {
        IMPACT.into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        LIKELY_CAUSE.into()
    }

    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        vec![commands.open_watches(&finding.subject), commands.logs(&finding.subject, Program::Apiserver)]
    }
}

impl Rule for WatchesEnded {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F39,
            name: "WatchesEnded",
            in_short: "watches ended",
            title: "an apiserver ends many watches because their clients are slow",
            impact: IMPACT,
            likely_cause: LIKELY_CAUSE,
            shows: Shows::Nothing,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<EndedWatches>()
    }

    fn explains(&self) -> &'static [Edge] {
        &[]
    }

    fn is_listed_only(&self) -> bool {
        true
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let limit = Limit {
            rule: RuleId::F39,
            counter: Counter::WatchesEnded,
            per_minute: MOST,
            level: Level::Info,
            hold: HOLD,
        };
        limit.judge(context, |rise| EndedWatches { ended: rise.by, within: rise.within })
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        use std::sync::Arc;

        use super::pages::WINDOW;
        use crate::samples::Sample;

        Sample::of("prod-eu1/apiserver/api-1", Level::Info, Arc::new(EndedWatches { ended: 340, within: WINDOW }))
    }
}
