//! What the pages of metrics of the scripted apiservers say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use vedette::model::apiserver_metrics::{ApiserverMetrics, Counter, NoPage, Seats};
use vedette::model::observation::Reading;
use vedette::model::phase::{Cause, Phase, Phases, Unseen};
use vedette::model::subject::Subject;
use vedette::model::time::UnixTime;

use super::world::{Doing, seconds};

/// What the pages say.
#[derive(Debug, Clone, Default)]
pub(super) struct Metrics {
    /// The page of an instance, but for what `rates` add to its counters.
    pub(super) pages: BTreeMap<Subject, ApiserverMetrics>,
    /// Counters that rise by so much a minute, since so long after the start and until.
    pub(super) rates: Vec<(Subject, Counter, u64, [Duration; 2])>,
    /// What comes instead of pages.
    pub(super) instead: Option<NoPage>,
}

impl Metrics {
    /// The page of an instance, to be changed.
    pub(super) fn page(&mut self, instance: &Subject) -> &mut ApiserverMetrics {
        self.pages.entry(instance.clone()).or_insert_with(usual)
    }

    pub(super) fn answer(
        &self,
        instance: &Subject,
        elapsed: Duration,
        doing: &Doing,
    ) -> (Duration, Phases, Result<Reading, Unseen>) {
        let took = Duration::from_millis(300);
        let phases = Phases { first_byte: Some(took), ..Phases::default() };
        if *doing == Doing::Refusing {
            let unseen = Unseen { phase: Phase::Dial, cause: Cause::Refused };
            return (Duration::from_millis(1), Phases::default(), Err(unseen));
        }
        if matches!(doing, Doing::Frozen | Doing::Resetting | Doing::Dark | Doing::Queueing) {
            let unseen = Unseen { phase: Phase::Tls, cause: Cause::Timeout };
            return (seconds(2), Phases::default(), Err(unseen));
        }
        if let Some(instead) = self.instead {
            return (took, phases, Ok(Reading::ApiserverMetrics(Err(instead))));
        }
        let mut page = self.pages.get(instance).cloned().unwrap_or_else(usual);
        for (_, counter, per_minute, [from, until]) in self.rates.iter().filter(|(at, ..)| at == instance) {
            let lasted = elapsed.min(*until).saturating_sub(*from);
            *page.counters.entry(*counter).or_default() += lasted.as_secs() * per_minute / 60;
        }
        (took, phases, Ok(Reading::ApiserverMetrics(Ok(Arc::new(page)))))
    }
}

/// The page of an apiserver that nothing is wrong with.
fn usual() -> ApiserverMetrics {
    ApiserverMetrics {
        bytes: 3_000_000,
        started: Some(UnixTime::from_secs(1_772_000_000)),
        seats: [("workload-low".to_owned(), Seats { used: 12, nominal: 245, limit: 245 })].into(),
        ..ApiserverMetrics::default()
    }
}
