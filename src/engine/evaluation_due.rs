//! Which clusters are evaluated when: at once where a subject changed between good and bad, within a second where
//! something is not as it should be, within five where everything goes on well.
//!
//! Most observations repeat the one before. Evaluating after each of them would cost more than everything else that a
//! probe does, and would find nothing that the next evaluation does not find.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::time::Mono;

use super::Scope;

/// A cluster in which nothing changed is evaluated within this time of a new observation.
const WITHIN: Duration = Duration::from_secs(1);

/// A cluster of which nothing is told is evaluated within this time of a probe that was good and fast, as the one before
/// it. What such probes can still add up to (a trend, a date that comes nearer, an age) is told after minutes.
const WITHIN_WHERE_WELL: Duration = Duration::from_secs(5);

/// For this long after a change every observation causes an evaluation at once, because the probes that confirm a fault
/// may show other subjects as good, which is not a change of theirs. Longer than any probe that was under way at the
/// change.
const UNREST: Duration = Duration::from_secs(15);

/// What is to be evaluated.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct EvaluationDue {
    now: BTreeSet<Scope>,
    later: BTreeMap<Scope, Mono>,
    /// The same by time: there may be a thousand clusters, and each turn asks for the next.
    due: BTreeSet<(Mono, Scope)>,
    turned: BTreeMap<Scope, Mono>,
}

impl EvaluationDue {
    /// To be evaluated in this turn. Returns whether it was not already.
    pub(super) fn insert(&mut self, scope: Scope) -> bool {
        self.now.insert(scope)
    }

    /// All of these are to be evaluated in this turn.
    pub(super) fn extend(&mut self, scopes: impl IntoIterator<Item = Scope>) {
        self.now.extend(scopes);
    }

    /// A subject there changed between good and bad at `at`.
    pub(super) fn turn(&mut self, scope: Scope, at: Mono) {
        self.turned.insert(scope.clone(), at);
        self.now.insert(scope);
    }

    /// Something was seen there at `at` that goes on as before; `is_well` where it is good and nothing is told.
    pub(super) fn go_on(&mut self, scope: Scope, is_well: bool, at: Mono) {
        if self.turned.get(&scope).is_some_and(|turned| at.since(*turned) < UNREST) {
            self.now.insert(scope);
        } else {
            self.turned.remove(&scope);
            let at = at.plus(if is_well { WITHIN_WHERE_WELL } else { WITHIN });
            if self.later.get(&scope).is_some_and(|planned| *planned <= at) {
                return;
            }
            if let Some(later) = self.later.insert(scope.clone(), at) {
                self.due.remove(&(later, scope.clone()));
            }
            self.due.insert((at, scope));
        }
    }

    /// When the next evaluation is due, if nothing changes before.
    pub(super) fn next(&self) -> Option<Mono> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes all that is to be evaluated at `now`, the vantage first.
    pub(super) fn take(&mut self, now: Mono) -> BTreeSet<Scope> {
        let due = self.due.iter().take_while(|(at, _)| *at <= now).map(|(_, scope)| scope.clone());
        self.now.extend(due);
        let taken = std::mem::take(&mut self.now);
        for scope in &taken {
            if let Some(at) = self.later.remove(scope) {
                self.due.remove(&(at, scope.clone()));
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::subject::Name;

    fn at(millis: u64) -> Mono {
        Mono::ORIGIN.plus(Duration::from_millis(millis))
    }

    #[test]
    fn what_goes_on_is_judged_within_a_second_and_what_turned_at_once() {
        let prod = Some("prod".parse::<Name>().unwrap());
        let mut touched = EvaluationDue::default();

        touched.go_on(prod.clone(), false, at(0));
        touched.go_on(prod.clone(), false, at(600));
        assert!(touched.take(at(999)).is_empty());
        assert_eq!(touched.next(), Some(at(1000)));
        assert_eq!(touched.take(at(1000)), BTreeSet::from([prod.clone()]));
        assert_eq!(touched.next(), None);

        touched.go_on(prod.clone(), false, at(1100));
        touched.turn(prod.clone(), at(1200));
        assert_eq!(touched.take(at(1200)), BTreeSet::from([prod.clone()]));
        assert_eq!(touched.next(), None, "it was judged just now");

        touched.go_on(prod.clone(), false, at(16_199));
        assert_eq!(touched.take(at(16_199)), BTreeSet::from([prod.clone()]), "others may confirm it");
        touched.go_on(prod.clone(), false, at(16_200));
        assert!(touched.take(at(16_200)).is_empty());
        assert_eq!(touched.next(), Some(at(17_200)));
    }

    #[test]
    fn what_is_well_is_judged_within_five_seconds_and_sooner_once_something_is_not() {
        let prod = Some("prod".parse::<Name>().unwrap());
        let mut touched = EvaluationDue::default();

        touched.go_on(prod.clone(), true, at(0));
        touched.go_on(prod.clone(), true, at(3000));
        assert_eq!(touched.next(), Some(at(5000)));
        touched.go_on(prod.clone(), false, at(3500));
        assert_eq!(touched.next(), Some(at(4500)));
        touched.go_on(prod.clone(), true, at(4000));
        assert_eq!(touched.next(), Some(at(4500)));
        assert_eq!(touched.take(at(4500)), BTreeSet::from([prod]));
        assert_eq!(touched.next(), None);
    }
}
