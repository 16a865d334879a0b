//! The canaries of one cluster: which fail or are slow, how many in a row, and how late the cache of each instance is.
//!
//! Only what a canary is sent for counts. That it found no connection, no right, no object of its own or a server that
//! turns it away says nothing about admission, authorization or storage: such a probe neither begins a run nor ends one.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::canary::{Canary, CanaryAnswer, CanaryLack, CanaryResult};
use crate::model::observation::{Observation, Reading};
use crate::model::phase::{Cause, Phase};
use crate::model::policy::Policy;
use crate::model::probe::ProbeKind;
use crate::model::subject::Subject;
use crate::model::time::{Mono, Now};

use super::probe_runs::Run;

/// An access review that takes longer is slow: authorization is a part of every request, and the scalability objectives of
/// Kubernetes give a whole request 1 s. One without a webhook takes 1 to 3 ms.
const SLOW_REVIEW: Duration = Duration::from_millis(500);

/// After it has changed a canary is sent again this often, until it has lasted for [`SETTLES`]: whether what was seen
/// outlasts the hold of a finding, or the 15 s that end one, cannot wait for its turn.
const AGAIN: Duration = Duration::from_secs(10);

/// Longer than the longest hold of what is critical, 30 s.
const SETTLES: Duration = Duration::from_secs(45);

/// Writes that are remembered: in F38's critical case the cache is half a minute late, which is two of them, and a write
/// that nobody saw for two minutes is as bad as one that nobody saw for ten.
const WRITES: usize = 10;

/// What is known of the canaries of one cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryRuns {
    tracks: BTreeMap<Subject, BTreeMap<ProbeKind, Track>>,
    /// Probes of all instances in a row that were as they should be.
    good: BTreeMap<Canary, Run>,
    /// The latest writes of the Lease, oldest first.
    writes: VecDeque<Write>,
    caches: BTreeMap<Subject, Cache>,
}

/// One kind of canary at one instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    latest: Option<Now>,
    sign: Option<Sign>,
    /// Probes in a row with that sign.
    run: Option<Run>,
    /// The latest that had this sign: how long the server took, and what it said.
    took: Duration,
    answer: Option<CanaryAnswer>,
    /// What of the canary's own setup is missing, by the latest probe.
    lack: Option<CanaryLack>,
    /// When it turned good or bad.
    changed: Option<Mono>,
    /// When it is sent again because of that.
    again: Option<Mono>,
}

/// What is to be sent because of what a canary saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// Nothing out of turn.
    Nothing,
    /// Two more at once, to confirm it.
    Twice,
    /// One more then, to see whether it lasts.
    Then(Mono),
}

/// What one probe says of what its canary is sent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// As it should be.
    Good,
    /// Done, but slowly.
    Slow,
    /// Not completed in the time it had, and nobody said why.
    TimedOut,
    /// Failed by what the canary is sent for.
    Failed,
}

impl Sign {
    /// Whether both belong to one run: a webhook that hangs is named in one answer and not in the next.
    const fn is_like(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Good, Self::Good)
                | (Self::Slow, Self::Slow)
                | (Self::TimedOut | Self::Failed, Self::TimedOut | Self::Failed)
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Write {
    done: Mono,
    revision: u64,
}

/// How late the watch cache of one instance is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// Reads in a row that did not see a write done so long before.
    stale: Option<Run>,
    /// Reads in a row that saw every such write.
    fresh: Option<Run>,
    /// How long ago the oldest write was done that the latest read did not see.
    late_by: Duration,
    latest: Option<Mono>,
}

impl Track {
    /// What the latest probe that said anything said.
    #[must_use]
    pub const fn sign(&self) -> Option<Sign> {
        self.sign
    }

    /// Probes in a row with that sign.
    #[must_use]
    pub const fn run(&self) -> Option<&Run> {
        self.run.as_ref()
    }

    /// How long the server took in the latest of them.
    #[must_use]
    pub const fn took(&self) -> Duration {
        self.took
    }

    /// What it answered in the latest of them, where it did not do it.
    #[must_use]
    pub const fn answer(&self) -> Option<&CanaryAnswer> {
        self.answer.as_ref()
    }

    /// What of the canary's own setup is missing, by the latest probe.
    #[must_use]
    pub const fn lack(&self) -> Option<CanaryLack> {
        self.lack
    }

    fn take(&mut self, at: Now, sign: Sign, took: Duration, answer: Option<CanaryAnswer>) {
        let goes_on = self.run.filter(|_| self.sign.is_some_and(|before| before.is_like(sign)));
        self.run = Some(Run::extended(goes_on, at));
        (self.sign, self.took, self.answer) = (Some(sign), took, answer);
    }

    /// What is to follow a probe at `at`, with which the canary turned good or bad if it `has_changed`. The Lease is
    /// written and read often enough.
    fn follow(&mut self, kind: ProbeKind, at: Mono, has_changed: bool) -> Follow {
        if matches!(kind, ProbeKind::LeaseWrite | ProbeKind::LeaseRead) {
            return Follow::Nothing;
        }
        if has_changed {
            (self.changed, self.again) = (Some(at), None);
            return Follow::Twice;
        }
        let is_settled = self.changed.is_none_or(|changed| at.since(changed) >= SETTLES);
        if is_settled || self.again.is_some_and(|again| at < again) {
            return Follow::Nothing;
        }
        let again = at.plus(AGAIN);
        self.again = Some(again);
        Follow::Then(again)
    }
}

impl Cache {
    /// Reads in a row that were late.
    #[must_use]
    pub const fn stale(&self) -> Option<&Run> {
        self.stale.as_ref()
    }

    /// Reads in a row that were not.
    #[must_use]
    pub const fn fresh(&self) -> Option<&Run> {
        self.fresh.as_ref()
    }

    /// How long ago the oldest write was done that the latest read did not see: a lower bound of how late the cache is.
    #[must_use]
    pub const fn late_by(&self) -> Duration {
        self.late_by
    }
}

impl CanaryRuns {
    /// One kind of canary at `instance`; `None` before the first.
    #[must_use]
    pub fn track(&self, instance: &Subject, kind: ProbeKind) -> Option<&Track> {
        self.tracks.get(instance)?.get(&kind)
    }

    /// Every kind of canary that was sent to `instance`.
    pub fn tracks(&self, instance: &Subject) -> impl Iterator<Item = (ProbeKind, &Track)> {
        self.tracks.get(instance).into_iter().flatten().map(|(kind, track)| (*kind, track))
    }

    /// How late the watch cache of `instance` is.
    #[must_use]
    pub fn cache(&self, instance: &Subject) -> Option<&Cache> {
        self.caches.get(instance)
    }

    /// Probes of `canary` at all instances in a row that were as they should be.
    #[must_use]
    pub fn good(&self, canary: Canary) -> Option<&Run> {
        self.good.get(&canary)
    }

    /// Notes what a canary saw. Returns what is to follow out of turn.
    pub fn take(&mut self, observation: &Observation, policy: &Policy) -> Follow {
        let (instance, kind, at) = (&observation.probe.subject, observation.probe.kind, observation.scheduled);
        let Some(canary) = kind.canary() else { return Follow::Nothing };
        let track = self.tracks.entry(instance.clone()).or_default().entry(kind).or_default();
        if track.latest.is_some_and(|latest| latest.mono > at.mono) {
            return Follow::Nothing;
        }
        track.latest = Some(at);
        track.lack = match &observation.outcome {
            Ok(Reading::Canary(answer)) => answer.result.lack(),
            // Without an answer nothing is known to be there again.
            Ok(_) | Err(_) => track.lack,
        };
        let Some(sign) = sign(observation, policy) else { return Follow::Nothing };
        let answer = match &observation.outcome {
            Ok(Reading::Canary(answer)) if sign != Sign::Good => Some(answer.clone()),
            Ok(_) | Err(_) => None,
        };
        let was_good = track.sign.is_none_or(|before| before == Sign::Good);
        track.take(at, sign, observation.phases.first_byte.unwrap_or_default(), answer);
        let follow = track.follow(kind, at.mono, was_good != (sign == Sign::Good));
        if sign == Sign::Good {
            let run = self.good.get(&canary).copied();
            self.good.insert(canary, Run::extended(run, at));
        } else {
            self.good.remove(&canary);
        }
        match (&observation.outcome, kind) {
            (
                Ok(Reading::Canary(CanaryAnswer { result: CanaryResult::Done { revision }, .. })),
                ProbeKind::LeaseWrite,
            ) => {
                self.note_write(observation.finished.mono, *revision);
            }
            (
                Ok(Reading::Canary(CanaryAnswer { result: CanaryResult::Done { revision }, .. })),
                ProbeKind::LeaseRead,
            ) => {
                self.note_read(instance, at, *revision, policy);
            }
            _ => {}
        }
        follow
    }

    /// Forgets the instances of which `is_known` does not say so.
    pub fn retain(&mut self, is_known: impl Fn(&Subject) -> bool) {
        self.tracks.retain(|instance, _| is_known(instance));
        self.caches.retain(|instance, _| is_known(instance));
    }

    fn note_write(&mut self, done: Mono, revision: Option<u64>) {
        let Some(revision) = revision else { return };
        if self.writes.back().is_some_and(|last| last.revision >= revision) {
            // A cluster that was restored counts from an earlier revision on.
            self.writes.clear();
        }
        if self.writes.len() == WRITES {
            self.writes.pop_front();
        }
        self.writes.push_back(Write { done, revision });
    }

    /// A read that began at `at` saw the Lease at `revision`.
    fn note_read(&mut self, instance: &Subject, at: Now, revision: Option<u64>, policy: &Policy) {
        let Some(revision) = revision else { return };
        let unseen = self.writes.iter().find(|write| write.revision > revision);
        let late_by = unseen.map_or(Duration::ZERO, |write| at.mono.since(write.done));
        // While there was no write for so long nothing shows that the cache is fresh.
        let could_be_late = self.writes.iter().any(|write| {
            let age = at.mono.since(write.done);
            age >= LATE && age <= policy.lease_interval * 3
        });
        let cache = self.caches.entry(instance.clone()).or_default();
        if cache.latest.is_some_and(|latest| latest > at.mono) {
            return;
        }
        (cache.latest, cache.late_by) = (Some(at.mono), late_by);
        if late_by >= LATE {
            (cache.stale, cache.fresh) = (Some(Run::extended(cache.stale, at)), None);
        } else if could_be_late {
            (cache.stale, cache.fresh) = (None, Some(Run::extended(cache.fresh, at)));
        }
    }
}

/// A write that a cache has not seen so long after it was done is late: usually it has after milliseconds, and leaders
/// give up a lease that they could not renew for 10 s.
pub const LATE: Duration = Duration::from_secs(5);

/// What an observation says of what its canary is sent for; `None` where it says nothing.
fn sign(observation: &Observation, policy: &Policy) -> Option<Sign> {
    let kind = observation.probe.kind;
    let took = observation.phases.first_byte.unwrap_or_default();
    let slow_after = if kind == ProbeKind::AccessReview { SLOW_REVIEW } else { policy.slow_after };
    let result = match &observation.outcome {
        Ok(Reading::Canary(answer)) => &answer.result,
        Ok(_) => return None,
        Err(unseen) => {
            let is_waiting = unseen.cause == Cause::Timeout && unseen.phase >= Phase::FirstByte;
            return is_waiting.then_some(Sign::TimedOut);
        }
    };
    match result {
        CanaryResult::Done { .. } | CanaryResult::Rejected => {
            Some(if took > slow_after { Sign::Slow } else { Sign::Good })
        }
        CanaryResult::TimedOut => Some(Sign::TimedOut),
        CanaryResult::Webhook { .. } | CanaryResult::Undecryptable => Some(Sign::Failed),
        CanaryResult::Shed { .. }
        | CanaryResult::Forbidden
        | CanaryResult::Missing
        | CanaryResult::Terminating
        | CanaryResult::Conflict
        | CanaryResult::Status(_)
        | CanaryResult::Foreign => None,
    }
}
