//! Which incidents were resolved before, so that a mail can say that the same thing happened last week as well.
//!
//! Holds the latest, as many as the store keeps, with rule, subject and times only. Decides nothing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::incident::Incident;
use crate::model::recurrence::{Before, Past};

/// The latest resolved incidents, by their end.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Recurrences(BTreeSet<Past>);

impl Recurrences {
    /// Notes a resolved incident. The one that ended first makes room; what is known already changes nothing.
    pub(super) fn add(&mut self, past: Past) {
        self.0.insert(past);
        if self.0.len() > Past::KEPT {
            self.0.pop_first();
        }
    }

    /// When the like of `incident`, of the same rule and subject, happened before it began.
    pub(super) fn before(&self, incident: &Incident) -> Option<Before> {
        let key = incident.headline.key();
        let alike = || self.0.iter().filter(|past| past.opened < incident.opened && past.key == key);
        let latest = alike().max_by_key(|past| past.opened)?;
        let from = incident.opened.minus(Before::WINDOW);
        Some(Before {
            opened: latest.opened,
            lasted: latest.over.since(latest.opened),
            recent: alike().filter(|past| past.opened >= from).count(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::model::rule::RuleId;
    use crate::model::time::UnixTime;
    use crate::samples;

    const HOUR: Duration = Duration::from_secs(3600);

    fn past(rule: RuleId, hours: u64, lasted: Duration) -> Past {
        let opened = UnixTime::from_secs(0).plus(HOUR * u32::try_from(hours).unwrap());
        Past { over: opened.plus(lasted), opened, key: samples::finding(rule).key() }
    }

    fn at(rule: RuleId, hours: u64) -> Incident {
        Incident { opened: past(rule, hours, HOUR).opened, ..samples::incident(rule) }
    }

    #[test]
    fn the_latest_is_named_and_those_of_thirty_days_are_counted() {
        let mut known = Recurrences::default();
        for hours in [100, 900, 1000] {
            known.add(past(RuleId::F22, hours, HOUR / 15));
        }
        known.add(past(RuleId::F24, 1050, HOUR));

        let before = known.before(&at(RuleId::F22, 1100)).unwrap();

        assert_eq!(before, Before { opened: past(RuleId::F22, 1000, HOUR).opened, lasted: HOUR / 15, recent: 2 });
        assert_eq!(known.before(&at(RuleId::F22, 100)), None, "what came later is not before");
        assert_eq!(known.before(&at(RuleId::F01, 1100)), None);
    }

    proptest! {
        /// Whatever is noted in whatever order and however often, what is said is what the latest thousand say, and no
        /// more than these are kept.
        #[test]
        fn what_is_said_is_what_the_latest_thousand_say(
            hours in prop::collection::vec((0u64..3000, 1u64..50, any::<bool>()), 0..1300),
            now in 0u64..3000,
        ) {
            let rules = |is_first: bool| if is_first { RuleId::F22 } else { RuleId::F24 };
            let all: Vec<Past> =
                hours.iter().map(|(at, lasted, first)| past(rules(*first), *at, HOUR * u32::try_from(*lasted).unwrap())).collect();
            let mut known = Recurrences::default();
            all.iter().chain(&all).for_each(|past| known.add(past.clone()));

            let mut latest = all.clone();
            latest.sort();
            latest.dedup();
            let latest = latest.split_off(latest.len().saturating_sub(Past::KEPT));
            let incident = at(RuleId::F22, now);
            let mut alike: Vec<&Past> =
                latest.iter().filter(|past| past.key == incident.headline.key() && past.opened < incident.opened).collect();
            alike.sort_by_key(|past| past.opened);
            let recent = alike.iter().filter(|past| past.opened.plus(Before::WINDOW) >= incident.opened).count();

            prop_assert!(known.0.len() <= Past::KEPT);
            let said = known.before(&incident);
            prop_assert_eq!(said.map(|said| (said.opened, said.recent)), alike.last().map(|last| (last.opened, recent)));
        }
    }
}
