//! The lifecycle of alarms: pending, firing, clearing, ended. One per rule and subject.
//!
//! Hold clocks count observed time only. While a verdict is unknown they stop, so neither a lost network nor a restart
//! raises or clears anything.

mod tracked;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::incident::{Alarm, IncidentId, Stage};
use crate::model::policy::Policy;
use crate::model::subject::{Name, Subject};
use crate::model::time::{Mono, Now, UnixTime};
use crate::model::verdict::{Finding, FindingKey, Verdict, Why};

use super::index::Index;
use super::relations::{Near, Relations, RuleScope};

use tracked::{Filed, TrackedAlarm};

/// All alarms. What every input needs is indexed, because there may be thousands.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Lifecycle {
    #[serde(skip)]
    relations: Relations,
    tracked_alarms: BTreeMap<FindingKey, TrackedAlarm>,
    /// All of them by cluster, or the vantage: each evaluation needs those of one.
    placed: Index<Option<Name>, FindingKey>,
    /// Holds that are not over, by when they end.
    ends: BTreeSet<(Mono, FindingKey)>,
    /// The same by cluster, or the vantage.
    pending: Index<Option<Name>, FindingKey>,
    /// Those that fire, are worth an incident, and have none.
    unassigned: Index<Option<Name>, FindingKey>,
    /// Those that explain something.
    causes: Index<RuleScope, FindingKey>,
    spoken: Index<IncidentId, FindingKey>,
    suspected: BTreeMap<RuleScope, BTreeMap<FindingKey, Mono>>,
}

/// What a verdict did to an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing that must be recorded.
    None,
    /// A new alarm waits out its hold.
    Raised,
    /// Its hold is over.
    Fired,
    /// It fires at a higher severity than before, passed a later threshold, or names who does it.
    Worsened,
    /// It goes on as before; its evidence or stage changed and is to be recorded.
    Changed,
    /// It has recovered; the scheduled start of the first good probe.
    Recovered(UnixTime),
    /// It was good again before its hold was over, so no mail was or will be sent.
    Dropped,
}

impl Lifecycle {
    /// No alarms; `relations` says which findings follow from which.
    #[must_use]
    pub fn new(relations: Relations) -> Self {
        Self { relations, ..Self::default() }
    }

    /// Says which findings follow from which, to alarms that were read back: functions cannot be written down.
    pub const fn relate(&mut self, relations: Relations) {
        self.relations = relations;
    }

    /// Processes a verdict.
    pub fn take(&mut self, key: &FindingKey, verdict: Verdict, policy: &Policy, now: Now) -> Step {
        match &verdict {
            Verdict::Unknown(Why::Suspected { .. }) => {
                self.suspected.entry(RuleScope::of(key)).or_default().entry(key.clone()).or_insert(now.mono);
            }
            Verdict::Good { .. } | Verdict::Bad(_) | Verdict::Unknown(_) => self.forget_suspicion(key),
        }
        let Some(tracked) = self.tracked_alarms.get_mut(key) else {
            return match verdict {
                Verdict::Bad(finding) => self.raise(key, finding, now),
                Verdict::Good { .. } | Verdict::Unknown(_) => Step::None,
            };
        };
        let passed = now.mono.since(tracked.booked);
        tracked.booked = now.mono;
        let mut step = match verdict {
            Verdict::Bad(finding) => tracked.stand(finding, passed, now),
            Verdict::Good { since, until, probes } => tracked.clear(since, until, probes, policy),
            Verdict::Unknown(why) => tracked.doubt(why),
        };
        if matches!(step, Step::Recovered(_) | Step::Dropped) {
            self.remove(key);
            return step;
        }
        if step == Step::None && tracked.is_due_for_writing(policy, now.mono) {
            tracked.written = now.mono;
            step = Step::Changed;
        }
        self.file(key);
        step
    }

    /// Restores an alarm that was recorded before a restart. The gap does not count for its hold.
    pub fn restore(&mut self, alarm: Alarm, now: Now) {
        let key = alarm.key();
        let fired = alarm.is_firing().then_some(now.mono);
        self.put(&key, TrackedAlarm::new(alarm, fired, now));
    }

    /// Forgets an alarm whose subject is no longer watched.
    pub fn withdraw(&mut self, key: &FindingKey) -> Option<Arc<Alarm>> {
        self.forget_suspicion(key);
        self.remove(key)
    }

    /// Forgets suspicions about what `is_gone`.
    pub fn forget_suspicions(&mut self, is_gone: impl Fn(&Subject) -> bool) {
        for suspects in self.suspected.values_mut() {
            suspects.retain(|key, _| !is_gone(&key.subject));
        }
        self.suspected.retain(|_, suspects| !suspects.is_empty());
    }

    /// Notes which incident an alarm belongs to.
    pub fn set_incident(&mut self, key: &FindingKey, incident: Option<IncidentId>) {
        if let Some(tracked) = self.tracked_alarms.get_mut(key) {
            Arc::make_mut(&mut tracked.alarm).incident = incident;
            self.file(key);
        }
    }

    /// One alarm.
    #[must_use]
    pub fn alarm(&self, key: &FindingKey) -> Option<&Alarm> {
        self.tracked_alarms.get(key).map(|tracked| tracked.alarm.as_ref())
    }

    /// All alarms.
    pub fn alarms(&self) -> impl Iterator<Item = &Arc<Alarm>> {
        self.tracked_alarms.values().map(|tracked| &tracked.alarm)
    }

    /// The alarms of one cluster, or of the vantage, in the order of their keys.
    pub fn of_scope(&self, scope: Option<&Name>) -> impl Iterator<Item = &Alarm> {
        self.placed.of(&scope.cloned()).filter_map(|key| self.alarm(key))
    }

    /// Whether nothing is raised of one cluster, or of the vantage, but what is only listed.
    #[must_use]
    pub fn is_quiet(&self, scope: Option<&Name>) -> bool {
        self.of_scope(scope).all(|alarm| (self.relations.is_listed)(&alarm.finding))
    }

    /// Alarms that belong to an incident.
    pub fn spoken_by(&self, incident: &IncidentId) -> impl Iterator<Item = &Alarm> {
        self.spoken.of(incident).filter_map(|key| self.alarm(key))
    }

    /// Alarms near a finding that explain something.
    pub fn causes<'a>(&'a self, near: &'a Near) -> Box<dyn Iterator<Item = &'a Alarm> + 'a> {
        match near {
            Near::At(key) => Box::new(self.alarm(key).into_iter()),
            Near::In(scope) => Box::new(self.causes.of(scope).filter_map(|key| self.alarm(key))),
        }
    }

    /// Where alarms fire that are worth an incident and have none.
    pub fn unassigned_places(&self) -> impl Iterator<Item = &Option<Name>> {
        self.unassigned.keys()
    }

    /// Alarms of a cluster, or of the vantage, that fire, are worth an incident and have none.
    pub fn unassigned(&self, place: &Option<Name>) -> impl Iterator<Item = &FindingKey> {
        self.unassigned.of(place)
    }

    /// When the hold of an alarm ended, or when it was restored after a restart.
    #[must_use]
    pub fn fired(&self, key: &FindingKey) -> Option<Mono> {
        self.tracked_alarms.get(key)?.fired
    }

    /// Whether something near a finding has been suspected for not longer than `within`.
    #[must_use]
    pub fn is_suspected(&self, near: &Near, now: Mono, within: Duration) -> bool {
        let is_fresh = |since: &Mono| now.since(*since) <= within;
        match near {
            Near::At(key) => {
                let suspects = self.suspected.get(&RuleScope::of(key));
                suspects.and_then(|suspects| suspects.get(key)).is_some_and(is_fresh)
            }
            Near::In(scope) => self.suspected.get(scope).is_some_and(|suspects| suspects.values().any(is_fresh)),
        }
    }

    /// When the next hold could end, if all stays as it is.
    #[must_use]
    pub fn next(&self) -> Option<(Mono, &FindingKey)> {
        self.ends.first().map(|(at, key)| (*at, key))
    }

    /// Alarms that fire and belong to no incident yet wait for others of their rule in their cluster whose hold ends
    /// within five seconds after the first of them fired, so that one incident has them all. Returns until when each
    /// rule waits. The wait begins with the first alarm, so later ones do not prolong it.
    #[must_use]
    pub fn expecting_company(&self, place: &Option<Name>, now: Mono) -> BTreeMap<RuleScope, Mono> {
        let holds = self.pending.of(place).filter_map(|key| Some((key, self.tracked_alarms.get(key)?.filed.ends?)));
        let soonest = earliest(holds);
        if soonest.is_empty() {
            return BTreeMap::new();
        }
        let untold = self.unassigned.of(place).filter_map(|key| Some((key, self.tracked_alarms.get(key)?)));
        let first =
            earliest(untold.filter_map(|(key, tracked)| Some((key, tracked.fired.filter(|_| tracked.is_loud())?))));
        let waits = |(scope, fired): (RuleScope, Mono)| {
            let until = fired.plus(COMPANY_WAIT);
            let is_awaited = soonest.get(&scope).is_some_and(|soonest| now < until && *soonest <= until);
            is_awaited.then_some((scope, until))
        };
        first.into_iter().filter_map(waits).collect()
    }

    fn raise(&mut self, key: &FindingKey, finding: Finding, now: Now) -> Step {
        // From the first bad probe on it has been observed bad, probe by probe.
        let held = now.wall.since(finding.since).min(MOST_BEFORE_CONFIRMATION);
        let fires = held >= finding.hold;
        let stage = if fires { Stage::Firing { since: now.wall } } else { Stage::Pending { since: now.wall, held } };
        let alarm = Alarm { finding, stage, incident: None };
        self.put(key, TrackedAlarm::new(alarm, fires.then_some(now.mono), now));
        if fires { Step::Fired } else { Step::Raised }
    }

    fn forget_suspicion(&mut self, key: &FindingKey) {
        let scope = RuleScope::of(key);
        if let Some(suspects) = self.suspected.get_mut(&scope) {
            suspects.remove(key);
            if suspects.is_empty() {
                self.suspected.remove(&scope);
            }
        }
    }

    fn put(&mut self, key: &FindingKey, tracked: TrackedAlarm) {
        self.remove(key);
        self.tracked_alarms.insert(key.clone(), tracked);
        self.placed.insert(&key.subject.cluster().cloned(), key);
        self.file(key);
    }

    fn remove(&mut self, key: &FindingKey) -> Option<Arc<Alarm>> {
        let tracked = self.tracked_alarms.remove(key)?;
        self.placed.remove(&key.subject.cluster().cloned(), key);
        self.refile(key, &tracked.filed, &Filed::default());
        Some(tracked.alarm)
    }

    /// Updates the index after a change of an alarm.
    fn file(&mut self, key: &FindingKey) {
        let relations = self.relations;
        let Some(tracked) = self.tracked_alarms.get_mut(key) else { return };
        let alarm = &tracked.alarm;
        let filed = Filed {
            ends: tracked.ends(),
            is_unassigned: alarm.is_firing() && alarm.incident.is_none() && !(relations.is_listed)(&alarm.finding),
            is_cause: (relations.is_cause)(&alarm.finding),
            incident: alarm.incident.clone(),
        };
        if filed != tracked.filed {
            let before = std::mem::replace(&mut tracked.filed, filed.clone());
            self.refile(key, &before, &filed);
        }
    }

    fn refile(&mut self, key: &FindingKey, before: &Filed, after: &Filed) {
        let place = key.subject.cluster().cloned();
        if let Some(at) = before.ends {
            self.ends.remove(&(at, key.clone()));
            self.pending.remove(&place, key);
        }
        if before.is_unassigned {
            self.unassigned.remove(&place, key);
        }
        if before.is_cause {
            self.causes.remove(&RuleScope::of(key), key);
        }
        if let Some(incident) = &before.incident {
            self.spoken.remove(incident, key);
        }
        if let Some(at) = after.ends {
            self.ends.insert((at, key.clone()));
            self.pending.insert(&place, key);
        }
        if after.is_unassigned {
            self.unassigned.insert(&place, key);
        }
        if after.is_cause {
            self.causes.insert(&RuleScope::of(key), key);
        }
        if let Some(incident) = &after.incident {
            self.spoken.insert(incident, key);
        }
    }
}

/// The earliest of these times for each rule and cluster.
fn earliest<'a>(times: impl Iterator<Item = (&'a FindingKey, Mono)>) -> BTreeMap<RuleScope, Mono> {
    let mut earliest = BTreeMap::new();
    for (key, at) in times {
        let known = earliest.entry(RuleScope::of(key)).or_insert(at);
        *known = at.min(*known);
    }
    earliest
}

/// One event shows on two servers in probes that begin up to an interval (3 s) apart; a replaced credential is noticed
/// within another second, and the last one is for the probes themselves.
const COMPANY_WAIT: Duration = Duration::from_secs(5);

/// Longest time from the first bad probe to its confirmation that counts towards a hold: bounds what a wall clock that
/// stepped in between could add.
const MOST_BEFORE_CONFIRMATION: Duration = Duration::from_secs(60);
