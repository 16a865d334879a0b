//! One subject under one aspect: the results of the last probes, in runs.
//!
//! The run is what confirms: three bad probes, no good one between them, whose scheduled starts span at least a second,
//! with proof that our own path worked in between. What arrives late never changes the verdict; a late bad probe only
//! adds to a run it belongs to.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::phase::Unseen;
use crate::model::policy::Policy;
use crate::model::time::{Mono, Now};
use crate::model::verdict::{Symptom, Verdict, Why};

use super::assessment::Assessment;
use super::own_network::OwnNetwork;

/// Probes of the same kind in a row, by scheduled start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The first of them.
    pub first: Now,
    /// The last of them.
    pub last: Now,
    /// How many.
    pub probes: u32,
}

/// Bad probes in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRun {
    /// The probes.
    pub run: Run,
    /// Those at its end that showed the same kind of fault: no usable answer, or an answer that names what fails.
    pub kind: Run,
    /// When the first of them was noticed, which is when its burst started: only a path proven after this counts.
    pub noticed: Mono,
    /// Whether a bad probe was scheduled at or after a proof of our path that was itself scheduled after `noticed`.
    pub path_proven: bool,
    /// What the latest of them showed.
    pub symptom: Symptom,
    /// vedette was stalled after the latest of them: the next probe shows whether the run goes on.
    pub is_doubtful: bool,
}

/// The history that decides. What only faults fill is allocated apart, because most of thousands of tracks never see
/// one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeRuns {
    latest: Option<(Now, Assessment)>,
    good: Option<Run>,
    bad: Option<Box<BadRun>>,
    last_good: Option<Now>,
    suspected: Option<Mono>,
    pace: Option<Pace>,
    /// Probes in a row that were refused, or that found no address: the latest sign says which.
    kept_out: Option<Box<Run>>,
    past: Option<Box<Past>>,
}

/// How long good probes took, in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Pace {
    Slow(Run),
    Brisk(Run),
}

/// A fault that may be over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Past {
    failures: VecDeque<Now>,
    last_failure: Option<Symptom>,
    last_bad: Option<Mono>,
}

/// Failures remembered: a few more than make a finding.
const FAILURES: usize = 8;

/// What a sign did to a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The first bad probe after something else, or after another kind of bad.
    TurnedBad,
    /// The first probe that is not bad after bad ones.
    TurnedGood,
    /// Neither.
    Same,
    /// It came after a later scheduled probe.
    Late,
}

/// The state of a bad run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// No bad probe.
    None,
    /// Bad probes, but not enough of them, or no proof of our path.
    Suspected,
    /// Confirmed.
    Confirmed {
        /// Without proof that our path works, because there is nothing that could prove it.
        path_unproven: bool,
    },
}

impl ProbeRuns {
    /// Records the result of a probe scheduled at `scheduled`, which arrived at `now`.
    pub fn take(&mut self, scheduled: Now, assessment: Assessment, path: &OwnNetwork, now: Mono) -> Effect {
        if self.latest.as_ref().is_some_and(|(latest, _)| scheduled.mono < latest.mono) {
            self.take_late(scheduled, &assessment);
            return Effect::Late;
        }
        let mut was_bad = self.bad.is_some();
        let kept_out = self.kept_out.take().map(|run| *run);
        let goes_on =
            kept_out.filter(|_| self.latest.as_ref().is_some_and(|(_, latest)| is_alike(latest, &assessment)));
        self.kept_out = matches!(assessment, Assessment::Refused(_) | Assessment::Unresolved(_))
            .then(|| Box::new(Run::extended(goes_on, scheduled)));
        match &assessment {
            Assessment::Good => {
                self.good = Some(Run::extended(self.good, scheduled));
                self.last_good = Some(scheduled);
                self.bad = None;
                self.suspected = None;
            }
            Assessment::Bad(symptom) => {
                self.good = None;
                self.past.get_or_insert_default().last_bad = Some(scheduled.mono);
                if self.bad.is_none() && self.last_good.is_some() {
                    self.take_failure(scheduled, symptom);
                }
                was_bad &= !self.changes_kind(symptom);
                self.take_bad(scheduled, symptom.clone(), path, now);
            }
            // It works, but refuses us: neither a good probe nor a bad one.
            Assessment::Refused(_) | Assessment::Shed | Assessment::Alive => {
                self.good = None;
                self.bad = None;
                self.suspected = None;
            }
            // What was good is not known to be so any more; what was bad may still be.
            Assessment::NoWay(_) => {
                self.good = None;
                self.suspected = None;
            }
            Assessment::Unresolved(_) | Assessment::Unclear => {}
        }
        self.latest = Some((scheduled, assessment));
        match (was_bad, self.bad.is_some()) {
            (false, true) => Effect::TurnedBad,
            (true, false) => Effect::TurnedGood,
            _ => Effect::Same,
        }
    }

    /// Notes how long a good probe took: slow and brisk ones in a row are counted.
    pub fn take_pace(&mut self, scheduled: Now, is_slow: bool) {
        self.pace = Some(if is_slow {
            Pace::Slow(Run::extended(self.slow().copied(), scheduled))
        } else {
            Pace::Brisk(Run::extended(self.brisk().copied(), scheduled))
        });
    }

    /// The latest probe has no duration that counts: whether earlier ones were slow or fast does not show the present
    /// state.
    pub const fn forget_pace(&mut self) {
        self.pace = None;
    }

    /// Notes that a probe is under way for too long. Returns whether that is the first bad sign.
    pub const fn take_overdue(&mut self, now: Mono) -> bool {
        let is_first = self.bad.is_none() && self.suspected.is_none() && self.slow().is_none();
        if self.suspected.is_none() {
            self.suspected = Some(now);
        }
        is_first
    }

    /// Forgets bad probes, because our own network was lost meanwhile.
    pub fn forget_bad(&mut self) {
        self.bad = None;
        self.forget_first_signs();
    }

    /// vedette was stalled for a moment: a run that was long enough before waits for one more probe, and a shorter one
    /// is forgotten, because a vantage that is about to stall may miss answers itself.
    pub fn doubt_bad(&mut self, policy: &Policy) {
        self.bad = self.bad.take().filter(|bad| bad.is_long_enough(policy));
        if let Some(bad) = &mut self.bad {
            bad.is_doubtful = true;
        }
        self.forget_first_signs();
    }

    fn forget_first_signs(&mut self) {
        self.suspected = None;
        if let Some(past) = &mut self.past {
            past.failures.clear();
        }
    }

    /// When it stopped answering after having answered, within `window` before `now`, oldest first; at most eight.
    pub fn failures(&self, now: Mono, window: Duration) -> impl Iterator<Item = &Now> {
        self.past.iter().flat_map(|past| &past.failures).filter(move |failure| now.since(failure.mono) <= window)
    }

    /// What it did when it last stopped answering.
    #[must_use]
    pub fn last_failure(&self) -> Option<&Symptom> {
        self.past.as_ref()?.last_failure.as_ref()
    }

    /// Scheduled start of the last bad probe, however long ago.
    #[must_use]
    pub fn last_bad(&self) -> Option<Mono> {
        self.past.as_ref()?.last_bad
    }

    /// Whether the latest probe was refused for overload.
    #[must_use]
    pub const fn is_shed(&self) -> bool {
        matches!(&self.latest, Some((_, Assessment::Shed)))
    }

    /// Whether the latest probe failed at a proxy.
    #[must_use]
    pub const fn is_out_of_reach(&self) -> bool {
        matches!(&self.latest, Some((_, Assessment::NoWay(_))))
    }

    /// The state of the bad run.
    #[must_use]
    pub fn confirmation(&self, policy: &Policy, has_reference: impl FnOnce() -> bool, now: Mono) -> Confirmation {
        let Some(bad) = &self.bad else { return Confirmation::None };
        let enough = bad.is_long_enough(policy) && !bad.is_doubtful;
        if enough && bad.path_proven {
            return Confirmation::Confirmed { path_unproven: false };
        }
        let waited = now.since(bad.run.first.mono) >= policy.unproven_after;
        if enough && waited && !has_reference() {
            return Confirmation::Confirmed { path_unproven: true };
        }
        Confirmation::Suspected
    }

    /// Whether the latest probes are enough for a decision.
    #[must_use]
    pub fn is_settled(&self, policy: &Policy) -> bool {
        match (&self.bad, &self.latest) {
            (Some(bad), _) => bad.is_long_enough(policy) && !bad.is_doubtful && bad.path_proven,
            (None, Some((_, Assessment::Good))) => self.suspected.is_none(),
            (None, _) => false,
        }
    }

    /// The bad run, if the latest probes were bad.
    #[must_use]
    pub fn bad(&self) -> Option<&BadRun> {
        self.bad.as_deref()
    }

    /// The good run, if the latest probes were good.
    #[must_use]
    pub const fn good(&self) -> Option<&Run> {
        self.good.as_ref()
    }

    /// Scheduled start of the last good probe, however long ago.
    #[must_use]
    pub const fn last_good(&self) -> Option<Now> {
        self.last_good
    }

    /// Scheduled start of the latest probe.
    #[must_use]
    pub fn latest(&self) -> Option<Now> {
        self.latest.as_ref().map(|(scheduled, _)| *scheduled)
    }

    /// Slow but good probes in a row.
    #[must_use]
    pub const fn slow(&self) -> Option<&Run> {
        match &self.pace {
            Some(Pace::Slow(run)) => Some(run),
            Some(Pace::Brisk(_)) | None => None,
        }
    }

    /// Good probes in a row that were not slow.
    #[must_use]
    pub const fn brisk(&self) -> Option<&Run> {
        match &self.pace {
            Some(Pace::Brisk(run)) => Some(run),
            Some(Pace::Slow(_)) | None => None,
        }
    }

    /// How our credential is refused, with the probes in a row that say so.
    #[must_use]
    pub fn refused(&self) -> Option<(Unseen, Run)> {
        match (&self.latest, &self.kept_out) {
            (Some((_, Assessment::Refused(unseen))), Some(run)) => Some((*unseen, **run)),
            _ => None,
        }
    }

    /// Why its name has no address for us, with the probes in a row that say so.
    #[must_use]
    pub fn unresolved(&self) -> Option<(Unseen, Run)> {
        match (&self.latest, &self.kept_out) {
            (Some((_, Assessment::Unresolved(unseen))), Some(run)) => Some((*unseen, **run)),
            _ => None,
        }
    }

    /// Whether there is a good probe at `now` that is not older than `freshness`.
    #[must_use]
    pub fn is_freshly_good(&self, freshness: Duration, now: Mono) -> bool {
        self.good.is_some_and(|run| now.since(run.last.mono) <= freshness)
    }

    /// Why the state of this track is unknown, when it is neither good nor confirmed bad; probes older than `freshness`
    /// do not count.
    #[must_use]
    pub fn why(&self, now: Mono, freshness: Duration) -> Why {
        match (&self.latest, &self.bad) {
            (Some((_, Assessment::NoWay(_))), _) => Why::Vantage,
            (_, Some(bad)) => Why::Suspected { since: bad.run.first },
            (None, None) => Why::NeverSeen,
            (Some((latest, _)), None) if now.since(latest.mono) > freshness => Why::Stale,
            (Some(_), None) => Why::Unclear,
        }
    }

    /// An instance that was not ready and now does not answer has another kind of fault.
    fn changes_kind(&self, symptom: &Symptom) -> bool {
        let is_answer = |symptom: &Symptom| matches!(symptom, Symptom::NotReady(_));
        self.bad.as_ref().is_some_and(|bad| is_answer(&bad.symptom) != is_answer(symptom))
    }

    fn take_bad(&mut self, scheduled: Now, symptom: Symptom, path: &OwnNetwork, now: Mono) {
        let noticed = self.bad.as_ref().map_or_else(|| self.suspected.unwrap_or(now), |bad| bad.noticed);
        let kind = if self.changes_kind(&symptom) { None } else { self.bad.as_ref().map(|bad| bad.kind) };
        let proven_before = self.bad.as_ref().is_some_and(|bad| bad.path_proven);
        self.bad = Some(Box::new(BadRun {
            run: Run::extended(self.bad.as_ref().map(|bad| bad.run), scheduled),
            kind: Run::extended(kind, scheduled),
            noticed,
            path_proven: proven_before || path.is_proven_between(noticed, scheduled.mono),
            symptom,
            is_doubtful: false,
        }));
    }

    /// An instance that names what it is not ready for answers.
    fn take_failure(&mut self, scheduled: Now, symptom: &Symptom) {
        if matches!(symptom, Symptom::NotReady(_)) {
            return;
        }
        let past = self.past.get_or_insert_default();
        if past.failures.len() == FAILURES {
            past.failures.pop_front();
        }
        past.failures.push_back(scheduled);
        past.last_failure = Some(symptom.clone());
    }

    fn take_late(&mut self, scheduled: Now, assessment: &Assessment) {
        let after_good = self.last_good.is_none_or(|good| scheduled.mono > good.mono);
        if let (Some(bad), Assessment::Bad(_), true) = (&mut self.bad, assessment, after_good) {
            bad.run.probes = bad.run.probes.saturating_add(1);
            if scheduled.mono < bad.run.first.mono {
                bad.run.first = scheduled;
            }
        }
    }
}

/// Whether both signs are refusals of the same kind.
const fn is_alike(one: &Assessment, other: &Assessment) -> bool {
    matches!(
        (one, other),
        (Assessment::Refused(_), Assessment::Refused(_)) | (Assessment::Unresolved(_), Assessment::Unresolved(_))
    )
}

impl BadRun {
    /// Whether there are enough probes, over a span long enough, to confirm what they show.
    #[must_use]
    pub fn is_long_enough(&self, policy: &Policy) -> bool {
        self.run.probes >= policy.confirm_probes && self.run.last.mono.since(self.run.first.mono) >= policy.confirm_span
    }
}

impl Run {
    /// The verdict of good probes.
    #[must_use]
    pub const fn good(self) -> Verdict {
        Verdict::Good { since: self.first, until: self.last, probes: self.probes }
    }

    pub(super) fn extended(run: Option<Self>, scheduled: Now) -> Self {
        run.map_or(Self { first: scheduled, last: scheduled, probes: 1 }, |run| Self {
            last: scheduled,
            probes: run.probes.saturating_add(1),
            ..run
        })
    }
}
