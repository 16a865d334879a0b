//! Alarms on their way: pending, firing, clearing, gone. One per rule and subject.
//!
//! Hold clocks count observed time only. While a verdict is unknown they stand still, so neither blindness nor a
//! restart raises or clears anything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::incident::{Alarm, IncidentId, Stage};
use crate::model::policy::Policy;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::{Name, Subject};
use crate::model::time::{Mono, Now, UnixTime};
use crate::model::verdict::{Finding, FindingKey, Verdict, Why};

/// All alarms.
#[derive(Debug, Clone, Default)]
pub struct Ladder {
    rungs: BTreeMap<FindingKey, Rung>,
    /// Those whose hold is not over: few, while thousands may stand.
    pending: BTreeSet<FindingKey>,
    suspected: BTreeMap<FindingKey, Mono>,
}

/// One alarm with its accounting.
#[derive(Debug, Clone)]
struct Rung {
    alarm: Alarm,
    /// Until when the time has been booked.
    booked: Mono,
    /// When it was last written down.
    written: Mono,
    /// When it was last judged bad: good looks from before that are no recovery.
    stood: Now,
    /// When its hold ended, or when it was taken back from before a restart.
    fired: Option<Mono>,
}

/// Findings of one rule in one cluster, or of the vantage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kin(RuleId, Option<Name>);

impl Kin {
    /// Whose kin `key` is.
    #[must_use]
    pub fn of(key: &FindingKey) -> Self {
        Self(key.rule, key.subject.cluster().cloned())
    }
}

/// What a verdict did to an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing that anybody must know of.
    None,
    /// A new alarm waits out its hold.
    Raised,
    /// Its hold is over.
    Fired,
    /// It fires louder than before, or crossed into a later band.
    Worsened,
    /// It stands as it stood; its evidence or stage changed and is worth writing down.
    Changed,
    /// It has recovered; the scheduled start of the first good look.
    Recovered(UnixTime),
    /// It was good again before its hold was over: nothing was or will be said.
    Dropped,
}

impl Ladder {
    /// Takes in a verdict.
    pub fn take(&mut self, key: &FindingKey, verdict: Verdict, policy: &Policy, now: Now) -> Step {
        match &verdict {
            Verdict::Unknown(Why::Suspected { .. }) => {
                self.suspected.entry(key.clone()).or_insert(now.mono);
            }
            Verdict::Good { .. } | Verdict::Bad(_) | Verdict::Unknown(_) => {
                self.suspected.remove(key);
            }
        }
        let Some(rung) = self.rungs.get_mut(key) else {
            return match verdict {
                Verdict::Bad(finding) => self.raise(key, finding, now),
                Verdict::Good { .. } | Verdict::Unknown(_) => Step::None,
            };
        };
        let passed = now.mono.since(rung.booked);
        rung.booked = now.mono;
        let step = match verdict {
            Verdict::Bad(finding) => rung.stand(finding, passed, now),
            Verdict::Good { since, until, looks } => rung.clear(since, until, looks, policy),
            Verdict::Unknown(why) => rung.doubt(why),
        };
        let is_pending = matches!(rung.alarm.stage, Stage::Pending { .. });
        if matches!(step, Step::Recovered(_) | Step::Dropped) {
            self.pending.remove(key);
            self.rungs.remove(key);
            return step;
        }
        if !is_pending {
            self.pending.remove(key);
        }
        if step == Step::None && rung.is_due_for_writing(policy, now.mono) {
            rung.written = now.mono;
            return Step::Changed;
        }
        step
    }

    /// Takes back an alarm that was written down before a restart. The gap is not booked.
    pub fn restore(&mut self, alarm: Alarm, now: Now) {
        let key = alarm.key();
        if matches!(alarm.stage, Stage::Pending { .. }) {
            self.pending.insert(key.clone());
        }
        let fired = alarm.is_firing().then_some(now.mono);
        self.rungs.insert(key, Rung { alarm, booked: now.mono, written: now.mono, stood: now, fired });
    }

    /// Forgets an alarm whose subject is no longer watched.
    pub fn withdraw(&mut self, key: &FindingKey) -> Option<Alarm> {
        self.suspected.remove(key);
        self.pending.remove(key);
        self.rungs.remove(key).map(|rung| rung.alarm)
    }

    /// Forgets suspicions about what `is_gone`.
    pub fn forget_suspicions(&mut self, is_gone: impl Fn(&Subject) -> bool) {
        self.suspected.retain(|key, _| !is_gone(&key.subject));
    }

    /// Notes which incident speaks for an alarm.
    pub fn set_incident(&mut self, key: &FindingKey, incident: Option<IncidentId>) {
        if let Some(rung) = self.rungs.get_mut(key) {
            rung.alarm.incident = incident;
        }
    }

    /// One alarm.
    #[must_use]
    pub fn alarm(&self, key: &FindingKey) -> Option<&Alarm> {
        self.rungs.get(key).map(|rung| &rung.alarm)
    }

    /// All alarms.
    pub fn alarms(&self) -> impl Iterator<Item = &Alarm> {
        self.rungs.values().map(|rung| &rung.alarm)
    }

    /// Suspicions that are not older than `within`.
    pub fn suspected(&self, now: Mono, within: Duration) -> impl Iterator<Item = &FindingKey> {
        self.suspected.iter().filter(move |(_, since)| now.since(**since) <= within).map(|(key, _)| key)
    }

    /// When the next hold could end, if all stays as it is.
    #[must_use]
    pub fn next(&self) -> Option<(Mono, &FindingKey)> {
        let holds = self.pending.iter().filter_map(|key| Some((self.rungs.get(key)?.ends()?, key)));
        holds.min_by_key(|(at, _)| *at)
    }

    /// Kin of which nobody speaks for some yet that are about to have company: another whose hold ends within five
    /// seconds after the first of them fired. Those that wait together wait from that first one on, so no stream of
    /// newcomers keeps them silent.
    #[must_use]
    pub fn expecting_company(&self, now: Mono) -> BTreeSet<Kin> {
        let holds = self.pending.iter().filter_map(|key| Some((key, self.rungs.get(key)?.ends()?)));
        let soonest = earliest(holds);
        if soonest.is_empty() {
            return BTreeSet::new();
        }
        let untold = self.rungs.iter().filter(|(_, rung)| rung.waits_for_a_voice());
        let first = earliest(untold.filter_map(|(key, rung)| Some((key, rung.fired?))));
        let waits = |(kin, fired): (Kin, Mono)| {
            let until = fired.plus(COMPANY_WAIT);
            soonest.get(&kin).is_some_and(|soonest| now < until && *soonest <= until).then_some(kin)
        };
        first.into_iter().filter_map(waits).collect()
    }

    fn raise(&mut self, key: &FindingKey, finding: Finding, now: Now) -> Step {
        // From the first bad look on it has been observed bad, look by look.
        let held = now.wall.since(finding.since).min(MOST_BEFORE_CONFIRMATION);
        let fires = held >= finding.hold;
        let stage = if fires { Stage::Firing { since: now.wall } } else { Stage::Pending { since: now.wall, held } };
        let alarm = Alarm { finding, stage, incident: None };
        if !fires {
            self.pending.insert(key.clone());
        }
        let fired = fires.then_some(now.mono);
        self.rungs.insert(key.clone(), Rung { alarm, booked: now.mono, written: now.mono, stood: now, fired });
        if fires { Step::Fired } else { Step::Raised }
    }
}

/// The earliest of these times for all kin.
fn earliest<'a>(times: impl Iterator<Item = (&'a FindingKey, Mono)>) -> BTreeMap<Kin, Mono> {
    let mut earliest = BTreeMap::new();
    for (key, at) in times {
        let known = earliest.entry(Kin::of(key)).or_insert(at);
        *known = at.min(*known);
    }
    earliest
}

/// One event shows on two servers in looks that begin up to an interval (3 s) apart; a replaced credential is noticed
/// within another second, and the last one is for the looks themselves.
const COMPANY_WAIT: Duration = Duration::from_secs(5);

/// Longest time from the first bad look to its confirmation that counts towards a hold: bounds what a wall clock that
/// stepped in between could add.
const MOST_BEFORE_CONFIRMATION: Duration = Duration::from_secs(60);

/// While a verdict cannot tell, what is left of a hold stays; this keeps the engine from asking without pause.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);

impl Rung {
    fn stand(&mut self, finding: Finding, passed: Duration, now: Now) -> Step {
        self.stood = now;
        let worsened = finding.level > self.alarm.finding.level || finding.band() > self.alarm.finding.band();
        let since = self.alarm.finding.since.min(finding.since);
        self.alarm.finding = Finding { since, ..finding };
        match self.alarm.stage {
            Stage::Pending { since, held } => {
                let held = held.saturating_add(passed);
                if held >= self.alarm.finding.hold {
                    self.alarm.stage = Stage::Firing { since: now.wall };
                    self.written = now.mono;
                    self.fired = Some(now.mono);
                    return Step::Fired;
                }
                self.alarm.stage = Stage::Pending { since, held };
                Step::None
            }
            Stage::Firing { .. } if worsened => Step::Worsened,
            Stage::Firing { .. } => Step::None,
            Stage::Clearing { since, .. } => {
                self.alarm.stage = Stage::Firing { since };
                if worsened { Step::Worsened } else { Step::Changed }
            }
        }
    }

    /// The time from the first good look to the last counts, not the time that has passed since: what comes after the
    /// last look is not known yet.
    fn clear(&mut self, since: Now, until: Now, looks: u32, policy: &Policy) -> Step {
        let fired = match self.alarm.stage {
            Stage::Pending { .. } => return Step::Dropped,
            Stage::Firing { since } | Stage::Clearing { since, .. } => since,
        };
        let since = if since.mono < self.stood.mono { self.stood } else { since };
        let held = until.mono.since(since.mono);
        if held >= policy.recovery_hold && looks >= policy.recovery_looks {
            return Step::Recovered(since.wall);
        }
        let was_firing = matches!(self.alarm.stage, Stage::Firing { .. });
        self.alarm.stage = Stage::Clearing { since: fired, good_since: since.wall, held };
        if was_firing { Step::Changed } else { Step::None }
    }

    /// A suspicion breaks a recovery: good looks must come in a row. Other doubts only stop the clocks.
    fn doubt(&mut self, why: Why) -> Step {
        match (why, self.alarm.stage) {
            (Why::Suspected { .. }, Stage::Clearing { since, .. }) => {
                self.alarm.stage = Stage::Firing { since };
                Step::Changed
            }
            _ => Step::None,
        }
    }

    fn ends(&self) -> Option<Mono> {
        let left = match self.alarm.stage {
            Stage::Pending { held, .. } => self.alarm.finding.hold.saturating_sub(held),
            // The next look decides, not the clock.
            Stage::Clearing { .. } | Stage::Firing { .. } => return None,
        };
        Some(self.booked.plus(left.max(SHORTEST_WAIT)))
    }

    fn waits_for_a_voice(&self) -> bool {
        self.alarm.is_firing() && self.alarm.incident.is_none() && self.alarm.finding.level > Level::Info
    }

    fn is_due_for_writing(&self, policy: &Policy, now: Mono) -> bool {
        let counts = matches!(self.alarm.stage, Stage::Pending { .. } | Stage::Clearing { .. });
        counts && now.since(self.written) >= policy.hold_renewal
    }
}
