//! The `/metrics` pages of one cluster's apiservers: the latest of each, what was counted in the last hour, and when each
//! may be asked again.
//!
//! A page is asked for the less often the larger it is and the longer it takes, and not at all while an overload is
//! suspected: a scrape costs a large apiserver seconds of a processor.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::apiserver_metrics::{ApiserverMetrics, Counter, NoPage};
use crate::model::cost::PLANNED_PAGE;
use crate::model::phase::Unseen;
use crate::model::subject::Subject;
use crate::model::time::{Mono, Now, UnixTime};

use super::page_change::PageChange;
use super::probe_runs::Run;

/// How long counts are kept.
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// Bound on counts kept of one instance: one a minute, as often as a page is asked for.
const MOST_KEPT: usize = 64;
/// A page may cost one part in so many of the time: one that takes a second is asked for every twenty at most.
const PART_OF_TIME: u32 = 20;
/// A page that did not come, or not whole, is asked for again after so long.
const AFTER_FAILURE: Duration = Duration::from_secs(600);

/// What is known by the pages of one cluster's instances.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct MetricsPages {
    instances: BTreeMap<Subject, InstancePages>,
}

/// What is known by the pages of one instance.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct InstancePages {
    latest: Option<(Now, Arc<ApiserverMetrics>)>,
    #[serde(default)]
    change: Option<PageChange>,
    /// From the oldest to the latest, of one process.
    counted: VecDeque<Counted>,
    started: Option<UnixTime>,
    /// How the latest question ended without a page.
    missing: Option<(Now, Missing)>,
    not_before: Option<Mono>,
}

/// What had been counted at one time.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Counted {
    at: Now,
    /// Seats taken, and all there are.
    seats: Option<(u64, u64)>,
    counters: BTreeMap<Counter, u64>,
}

/// Why there is no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Missing {
    /// Something else came.
    Instead(NoPage),
    /// Nothing came.
    Unseen(Unseen),
}

/// How much a counter rose, and in which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rise {
    /// So much.
    pub by: u64,
    /// Between two pages so far apart.
    pub within: Duration,
}

impl Rise {
    /// The same a minute.
    #[must_use]
    pub fn per_minute(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate that people read")]
        let by = self.by as f64;
        by * 60.0 / self.within.as_secs_f64()
    }
}

impl InstancePages {
    /// The latest page, and when it was asked for.
    #[must_use]
    pub const fn latest(&self) -> Option<&(Now, Arc<ApiserverMetrics>)> {
        self.latest.as_ref()
    }

    /// What was counted between the latest two pages; `None` where they are not of one process.
    #[must_use]
    pub const fn change(&self) -> Option<&PageChange> {
        self.change.as_ref()
    }

    /// How the latest question ended without a page; `None` while they come.
    #[must_use]
    pub fn missing(&self) -> Option<Missing> {
        self.missing.map(|(_, missing)| missing)
    }

    /// How much `counter` rose between the latest page and the oldest of the same process that is not more than `window`
    /// older; `None` without two such pages.
    #[must_use]
    pub fn rise(&self, counter: Counter, window: Duration) -> Option<Rise> {
        let latest = self.counted.back()?;
        let first = self.counted.iter().find(|counted| latest.at.since(counted.at) <= window)?;
        // What an apiserver has never counted is not on its page.
        let of = |counted: &Counted| counted.counters.get(&counter).copied().unwrap_or(0);
        let within = latest.at.since(first.at);
        (!within.is_zero()).then(|| Rise { by: of(latest).saturating_sub(of(first)), within })
    }

    /// The latest pages, one after the other, between which `counter` rose by at most `per_minute`; `None` while it rises
    /// faster, or with one page only.
    #[must_use]
    pub fn calm(&self, counter: Counter, per_minute: f64) -> Option<Run> {
        let rises: Vec<Rise> = self.rises(counter).collect();
        let calm = rises.iter().rev().take_while(|rise| rise.per_minute() <= per_minute).count();
        self.last(calm + 1).filter(|run| run.probes > 1)
    }

    /// The latest pages, one after the other, in which at most `permille` of all seats are taken.
    #[must_use]
    pub fn roomy(&self, permille: u64) -> Option<Run> {
        let has_room = |counted: &&Counted| counted.seats.is_some_and(|(used, all)| used * 1000 <= all * permille);
        self.last(self.counted.iter().rev().take_while(has_room).count())
    }

    /// Seats taken in the latest pages, the mean of at most `most`, and all there are in the latest.
    #[must_use]
    pub fn seats(&self, most: usize) -> Option<(u64, u64)> {
        let latest: Vec<(u64, u64)> =
            self.counted.iter().rev().take(most).filter_map(|counted| counted.seats).collect();
        let (_, all) = *latest.first()?;
        let used: u64 = latest.iter().map(|(used, _)| used).sum();
        Some((used / u64::try_from(latest.len()).unwrap_or(u64::MAX), all))
    }

    /// The latest `count` pages.
    fn last(&self, count: usize) -> Option<Run> {
        let first = self.counted.get(self.counted.len().checked_sub(count)?)?;
        let last = self.counted.back()?;
        Some(Run { first: first.at, last: last.at, probes: u32::try_from(count).unwrap_or(u32::MAX) })
    }

    /// The rises of `counter` from each page to the next, from the oldest on.
    pub fn rises(&self, counter: Counter) -> impl Iterator<Item = Rise> {
        let of = move |counted: &Counted| counted.counters.get(&counter).copied().unwrap_or(0);
        let rise = move |(first, next): (&Counted, &Counted)| Rise {
            by: of(next).saturating_sub(of(first)),
            within: next.at.since(first.at),
        };
        self.counted.iter().zip(self.counted.iter().skip(1)).map(rise)
    }

    fn take(&mut self, at: Now, page: &Arc<ApiserverMetrics>) {
        let before = self.latest.take().filter(|(_, before)| before.started == page.started);
        self.change = before.map(|(from, before)| PageChange::between((from, &before), (at, page)));
        // Another process counts anew.
        if self.started != page.started {
            self.started = page.started;
            self.counted.clear();
        }
        self.counted.push_back(Counted { at, seats: page.all_seats(), counters: page.counters.clone() });
        while self.counted.len() > MOST_KEPT || self.counted.front().is_some_and(|old| at.since(old.at) > KEPT_FOR) {
            self.counted.pop_front();
        }
        self.latest = Some((at, Arc::clone(page)));
        self.missing = None;
    }
}

/// The time in which so many bytes are planned to be read.
fn planned_for(bytes: u64) -> Duration {
    let planned = u64::try_from(PLANNED_PAGE).unwrap_or(u64::MAX);
    Duration::from_millis(bytes.saturating_mul(60_000) / planned)
}

impl MetricsPages {
    /// One instance; `None` before its first page.
    #[must_use]
    pub fn instance(&self, instance: &Subject) -> Option<&InstancePages> {
        self.instances.get(instance)
    }

    /// Whether a question to `instance` that is due at `now` is left out.
    #[must_use]
    pub fn leaves_out(&self, instance: &Subject, now: Mono) -> bool {
        self.instances.get(instance).and_then(|known| known.not_before).is_some_and(|until| now < until)
    }

    /// What came of a question to `instance` that was sent at `at` and took `took`.
    pub fn take(&mut self, instance: &Subject, at: Now, took: Duration, came: Result<&Arc<ApiserverMetrics>, Missing>) {
        let known = self.instances.entry(instance.clone()).or_default();
        if known.latest.as_ref().is_some_and(|(latest, _)| latest.mono > at.mono) {
            return;
        }
        let pause = match came {
            Ok(page) => {
                known.take(at, page);
                took.saturating_mul(PART_OF_TIME).max(planned_for(page.bytes))
            }
            Err(missing) => {
                known.missing = Some((at, missing));
                let asked = match missing {
                    Missing::Instead(NoPage::Shed { retry_after_secs }) => retry_after_secs,
                    Missing::Instead(_) | Missing::Unseen(_) => None,
                };
                AFTER_FAILURE.max(Duration::from_secs(asked.unwrap_or(0).into()).min(KEPT_FOR))
            }
        };
        known.not_before = Some(at.mono.plus(pause));
    }

    /// Forgets the instances of which `is_known` does not say so.
    pub fn retain(&mut self, is_known: impl Fn(&Subject) -> bool) {
        self.instances.retain(|instance, _| is_known(instance));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now { mono: Mono::ORIGIN.plus(Duration::from_secs(seconds)), wall: UnixTime::from_secs(1_700_000_000) }
    }

    fn page(started: i64, lost: u64) -> Arc<ApiserverMetrics> {
        Arc::new(ApiserverMetrics {
            started: Some(UnixTime::from_secs(started)),
            counters: [(Counter::AuditLost, lost)].into(),
            ..ApiserverMetrics::default()
        })
    }

    fn api() -> Subject {
        "prod/apiserver/api-1".parse().unwrap()
    }

    const QUICK: Duration = Duration::from_millis(200);

    #[test]
    fn a_rise_is_that_of_one_process_within_the_window() {
        let mut pages = MetricsPages::default();
        let rise = |pages: &MetricsPages| pages.instance(&api())?.rise(Counter::AuditLost, Duration::from_secs(300));
        for (second, lost) in [(0, 100), (60, 100), (120, 103)] {
            pages.take(&api(), at(second), QUICK, Ok(&page(1, lost)));
        }
        assert_eq!(rise(&pages), Some(Rise { by: 3, within: Duration::from_secs(120) }));
        pages.take(&api(), at(600), QUICK, Ok(&page(1, 103)));
        assert_eq!(rise(&pages), None, "the page before is too old");
        pages.take(&api(), at(660), QUICK, Ok(&page(2, 1)));
        assert_eq!(rise(&pages), None, "another process");
        pages.take(&api(), at(720), QUICK, Ok(&page(2, 1)));
        assert_eq!(rise(&pages), Some(Rise { by: 0, within: Duration::from_secs(60) }));
    }

    #[test]
    fn a_page_that_takes_long_is_asked_for_less_often_and_one_that_fails_after_ten_minutes() {
        let mut pages = MetricsPages::default();
        let left_out = |pages: &MetricsPages, second| pages.leaves_out(&api(), at(second).mono);
        pages.take(&api(), at(0), Duration::from_secs(5), Ok(&page(1, 0)));
        assert!(left_out(&pages, 99) && !left_out(&pages, 100));
        let long = ApiserverMetrics { bytes: 30_000_000, ..ApiserverMetrics::default() };
        pages.take(&api(), at(100), QUICK, Ok(&Arc::new(long)));
        assert!(left_out(&pages, 299) && !left_out(&pages, 300));
        pages.take(&api(), at(300), QUICK, Err(Missing::Instead(NoPage::TooLarge)));
        assert!(left_out(&pages, 899) && !left_out(&pages, 900));
    }

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let mut pages = MetricsPages::default();
        for second in 0..10_000 {
            pages.take(&api(), at(second), QUICK, Ok(&page(1, second)));
        }
        let known = pages.instance(&api()).unwrap();
        assert_eq!(known.counted.len(), MOST_KEPT);
        assert!(known.rises(Counter::AuditLost).all(|rise| rise.by == 1));
    }
}
