//! What may be asked of a cluster now: one token bucket for each, charged by requests as its servers count them.
//!
//! Everything that is sent goes through here, scheduled probes and confirmations alike; a round over the members of an
//! etcd costs one request a member. Confirmations go first, and what is planned of them within the time in which a
//! token comes back is kept free for them. What does not fit waits and goes later: nothing is dropped here, except a
//! scheduled probe whose next tick comes while it still waits.
//!
//! A token comes back one second after it was spent. So no second, wherever it begins, holds more requests than the
//! ceiling, and a cluster that was left alone can be asked the whole ceiling at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::plan::{Plan, Scope};
use crate::model::policy::Policy;
use crate::model::probe::{Probe, ProbeKind};
use crate::model::subject::Subject;
use crate::model::time::Mono;

use super::in_flight::Full;
use super::urgency::Urgency;

/// A probe that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wanted {
    /// How much it is needed.
    pub urgency: Urgency,
    /// Since when it could have gone.
    pub due: Mono,
    /// What is asked.
    pub probe: Probe,
    /// Requests that the cluster's servers will count.
    pub requests: u32,
    /// Whether it had to wait for tokens, or for room among the probes under way.
    pub was_deferred: bool,
    /// When it was requested.
    came: Mono,
}

/// What happened to a request to send a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It waits for tokens; with enough of them it is sent in the same turn.
    Waits,
    /// The same probe already waits with higher urgency, and its result serves both.
    Shared,
    /// The previous scheduled probe still waits, so this one is dropped.
    Missed,
    /// An earlier confirmation still waits. Both are needed, so this one must be requested again later.
    Again,
}

/// Subject and kind of a probe. The connection is not part of it, because it makes no difference to the cost.
type Question = (Subject, ProbeKind);

/// All buckets, and all that waits.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Budget {
    buckets: BTreeMap<Scope, Bucket>,
    /// When each scope with something waiting is to be asked again.
    turns: BTreeSet<(Mono, Scope)>,
    /// What waits for another probe to come back, by the subject or cluster whose probes under way are too many.
    held: BTreeMap<Subject, Vec<Wanted>>,
    /// Where each question waits.
    questions: BTreeMap<Question, Place>,
    deferred: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Place {
    Waiting(Urgency, Mono),
    Held(Subject, Urgency),
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Bucket {
    /// Requests that may be sent in any second.
    ceiling: u32,
    /// What was sent within the last second, and how many requests that is in all.
    spent: VecDeque<(Mono, u32)>,
    used: u32,
    waiting: BTreeSet<Wanted>,
    turn: Option<Mono>,
    /// When something last had to wait for tokens.
    refused: Option<Mono>,
}

/// Probes of one burst at its own subject follow each other by at least this; what is wanted within half of it is one
/// probe.
pub const PACE: Duration = Duration::from_millis(250);

/// A token comes back after this.
pub const REFILL: Duration = Duration::from_secs(1);

impl Budget {
    /// Buckets for `plan`. What waits stays, of the scopes that are still there.
    pub fn set_plan(&mut self, plan: &Plan, policy: &Policy) {
        self.buckets.retain(|scope, _| plan.rates().contains_key(scope));
        for (scope, planned) in plan.rates() {
            self.buckets.entry(scope.clone()).or_default().ceiling = policy.ceiling(planned.requests);
        }
    }

    /// Wants `probe` sent, which costs `requests`, as soon as it is affordable.
    pub fn want(&mut self, probe: Probe, requests: u32, due: Mono, urgency: Urgency, now: Mono) -> Taken {
        let question = (probe.subject.clone(), probe.kind);
        let (known, since) = match self.questions.get(&question) {
            Some(Place::Waiting(urgency, since)) => (Some(*urgency), Some(*since)),
            Some(Place::Held(_, urgency)) => (Some(*urgency), None),
            None => (None, None),
        };
        // As bursts share what they plan: what one of them waits for serves all that wanted it at about that time.
        let is_same = since.is_some_and(|since| due < since.plus(PACE / 2));
        match (known, urgency) {
            (None, _) => {}
            (Some(Urgency::Scheduled), Urgency::Confirmation)
            | (Some(Urgency::Sample | Urgency::Spare), Urgency::Confirmation | Urgency::Scheduled) => {
                self.forget(&question)
            }
            (Some(Urgency::Confirmation), Urgency::Confirmation) if !is_same => return Taken::Again,
            (Some(Urgency::Scheduled), Urgency::Scheduled) => return Taken::Missed,
            (Some(_), _) => return Taken::Shared,
        }
        self.insert(Wanted { urgency, due, probe, requests, was_deferred: false, came: now }, now);
        Taken::Waits
    }

    /// Takes the next probe that may be sent at `now`. `planned` tells of a scope when its next confirmation is due
    /// within [`REFILL`], and how many requests all of those will be: tokens are kept for them. The caller reports a
    /// sent probe by [`Budget::charge`] and returns one that it has no room for by [`Budget::hold`].
    pub fn pop(&mut self, planned: impl Fn(&Scope) -> Option<(Mono, u32)>, now: Mono) -> Option<Wanted> {
        loop {
            let (at, scope) = self.turns.first().filter(|(at, _)| *at <= now).cloned()?;
            self.turns.remove(&(at, scope.clone()));
            let Some(bucket) = self.buckets.get_mut(&scope) else { continue };
            bucket.turn = None;
            let Some(head) = bucket.waiting.first() else { continue };
            let (requests, urgency) = (head.requests, head.urgency);
            let kept = if urgency == Urgency::Confirmation { None } else { planned(&scope) };
            if let Some(affordable) = bucket.affordable_at(requests, urgency, kept, now) {
                bucket.refused = Some(now);
                self.set_turn(scope, affordable);
                continue;
            }
            let Some(mut wanted) = bucket.waiting.pop_first() else { continue };
            wanted.was_deferred |= bucket.refused.is_some_and(|refused| refused >= wanted.came);
            if !bucket.waiting.is_empty() {
                self.set_turn(scope, now);
            }
            self.questions.remove(&(wanted.probe.subject.clone(), wanted.probe.kind));
            return Some(wanted);
        }
    }

    /// A probe is sent.
    pub fn charge(&mut self, wanted: &Wanted, now: Mono) {
        self.deferred += u64::from(wanted.was_deferred);
        if let Some(bucket) = self.buckets.get_mut(&scope_of(&wanted.probe)) {
            bucket.spent.push_back((now, wanted.requests));
            bucket.used = bucket.used.saturating_add(wanted.requests);
        }
    }

    /// There was no room for a probe among those under way: it waits until one of them comes back.
    pub fn hold(&mut self, wanted: Wanted, full: Full) {
        let cluster = || wanted.probe.subject.cluster().map(|name| Subject::Cluster(name.clone()));
        let until = match full {
            Full::Endpoint => wanted.probe.subject.clone(),
            Full::Share => cluster().unwrap_or_else(|| wanted.probe.subject.clone()),
        };
        let question = (wanted.probe.subject.clone(), wanted.probe.kind);
        self.questions.insert(question, Place::Held(until.clone(), wanted.urgency));
        self.held.entry(until).or_default().push(Wanted { was_deferred: true, ..wanted });
    }

    /// A probe of `subject` came back, or is waited for no longer: there is room again.
    pub fn free(&mut self, subject: &Subject, now: Mono) {
        if self.held.is_empty() {
            return;
        }
        let cluster = subject.cluster().map(|name| Subject::Cluster(name.clone()));
        for subject in std::iter::once(subject.clone()).chain(cluster) {
            for wanted in self.held.remove(&subject).unwrap_or_default() {
                self.insert(wanted, now);
            }
        }
    }

    /// Drops what waits for what `is_gone`.
    pub fn drop_probes(&mut self, is_gone: impl Fn(&Subject) -> bool) {
        for bucket in self.buckets.values_mut() {
            bucket.waiting.retain(|wanted| !is_gone(&wanted.probe.subject));
        }
        for held in self.held.values_mut() {
            held.retain(|wanted| !is_gone(&wanted.probe.subject));
        }
        self.held.retain(|_, held| !held.is_empty());
        self.questions.retain(|(subject, _), _| !is_gone(subject));
    }

    /// When the next probe may be affordable.
    #[must_use]
    pub fn next(&self) -> Option<Mono> {
        self.turns.first().map(|(at, _)| *at)
    }

    /// Whether this question waits to be asked.
    #[must_use]
    pub fn is_waiting(&self, probe: &Probe) -> bool {
        self.questions.contains_key(&(probe.subject.clone(), probe.kind))
    }

    /// Probes that had to wait and were sent later, since start.
    #[must_use]
    pub const fn deferred(&self) -> u64 {
        self.deferred
    }

    fn insert(&mut self, wanted: Wanted, now: Mono) {
        let scope = scope_of(&wanted.probe);
        // A cluster that is no longer configured has no bucket, and its probes are dropped.
        let Some(bucket) = self.buckets.get_mut(&scope) else { return };
        let question = (wanted.probe.subject.clone(), wanted.probe.kind);
        self.questions.insert(question, Place::Waiting(wanted.urgency, wanted.due));
        bucket.waiting.insert(wanted);
        self.set_turn(scope, now);
    }

    fn set_turn(&mut self, scope: Scope, at: Mono) {
        let Some(bucket) = self.buckets.get_mut(&scope) else { return };
        if let Some(before) = bucket.turn.replace(at) {
            self.turns.remove(&(before, scope.clone()));
        }
        self.turns.insert((at, scope));
    }

    fn forget(&mut self, question: &Question) {
        let is_it = |wanted: &Wanted| wanted.probe.subject == question.0 && wanted.probe.kind == question.1;
        match self.questions.remove(question) {
            Some(Place::Waiting(urgency, due)) => {
                let Some(bucket) = self.buckets.get_mut(&question.0.cluster().cloned()) else { return };
                let at = bucket
                    .waiting
                    .iter()
                    .find(|wanted| (wanted.urgency, wanted.due) == (urgency, due) && is_it(wanted));
                if let Some(found) = at.cloned() {
                    bucket.waiting.remove(&found);
                }
            }
            Some(Place::Held(until, _)) => {
                if let Some(held) = self.held.get_mut(&until) {
                    held.retain(|wanted| !is_it(wanted));
                }
            }
            None => {}
        }
    }
}

impl Bucket {
    /// When so many requests will be affordable, beside those that are `kept` free for what is due then; `None` when
    /// they are at `now`.
    ///
    /// What costs more than the whole ceiling goes when nothing was sent for a second.
    fn affordable_at(&mut self, requests: u32, urgency: Urgency, kept: Option<(Mono, u32)>, now: Mono) -> Option<Mono> {
        while let Some((at, cost)) = self.spent.front().copied().filter(|(at, _)| now.since(*at) >= REFILL) {
            debug_assert!(at <= now, "tokens are spent in the order of time");
            self.spent.pop_front();
            self.used = self.used.saturating_sub(cost);
        }
        let kept = kept.filter(|(due, _)| *due > now);
        let most = match urgency {
            Urgency::Confirmation | Urgency::Scheduled => self.ceiling,
            Urgency::Sample => self.ceiling - self.ceiling / 4,
            Urgency::Spare => self.ceiling / 2,
        };
        let most = most.saturating_sub(kept.map_or(0, |(_, requests)| requests));
        let fits = |used: u32| (used == 0 && kept.is_none()) || used.saturating_add(requests) <= most;
        let mut used = self.used;
        if fits(used) {
            return None;
        }
        let affordable = self.spent.iter().find_map(|(at, cost)| {
            used = used.saturating_sub(*cost);
            fits(used).then(|| at.plus(REFILL))
        });
        affordable.or(kept.map(|(due, _)| due))
    }
}

fn scope_of(probe: &Probe) -> Scope {
    probe.subject.cluster().cloned()
}
