//! Looks under way: bounded per endpoint, noticed when overdue, given up when they never come back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::policy::Policy;
use crate::model::probe::{Look, LookId, Probe};
use crate::model::subject::Subject;
use crate::model::time::{Mono, Now};

/// Looks under way.
#[derive(Debug, Clone, Default)]
pub struct Flight {
    next: u64,
    under_way: BTreeMap<LookId, Airborne>,
    at_endpoint: BTreeMap<Subject, (usize, usize)>,
    checks: BTreeSet<(Mono, LookId)>,
}

#[derive(Debug, Clone)]
struct Airborne {
    probe: Probe,
    scheduled: Now,
    in_burst: bool,
    is_overdue: bool,
}

/// A look that needs attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attention {
    /// Under way for longer than a good answer should take.
    Overdue(Probe, Now),
    /// Never came back.
    GivenUp(Probe),
}

impl Flight {
    /// Starts a look, unless too many are under way at the endpoint.
    pub fn start(&mut self, probe: Probe, scheduled: Now, in_burst: bool, policy: &Policy) -> Option<Look> {
        let (ordinary, burst) = self.at_endpoint.entry(probe.subject.clone()).or_default();
        let (count, most) = if in_burst { (burst, policy.burst_in_flight) } else { (ordinary, policy.in_flight) };
        if *count >= most {
            return None;
        }
        *count += 1;
        let id = LookId(self.next);
        self.next += 1;
        self.checks.insert((scheduled.mono.plus(policy.slow_after), id));
        self.under_way.insert(id, Airborne { probe: probe.clone(), scheduled, in_burst, is_overdue: false });
        Some(Look { id, probe, scheduled })
    }

    /// A look came back. Returns whether it was still waited for.
    pub fn land(&mut self, id: LookId) -> bool {
        let Some(airborne) = self.under_way.remove(&id) else { return false };
        self.free(&airborne);
        true
    }

    /// Looks at what `is_gone` are waited for no longer, and nobody is told.
    pub fn give_up(&mut self, is_gone: impl Fn(&Subject) -> bool) {
        self.under_way.retain(|_, airborne| !is_gone(&airborne.probe.subject));
        self.at_endpoint.retain(|subject, _| !is_gone(subject));
    }

    /// When the next look needs attention.
    #[must_use]
    pub fn next(&self) -> Option<Mono> {
        self.checks.first().map(|(at, _)| *at)
    }

    /// Takes the next look that needs attention at `now`.
    pub fn pop(&mut self, policy: &Policy, now: Mono) -> Option<Attention> {
        loop {
            let (at, id) = self.checks.first().copied().filter(|(at, _)| *at <= now)?;
            self.checks.remove(&(at, id));
            let Some(airborne) = self.under_way.get_mut(&id) else { continue };
            if airborne.is_overdue {
                let given_up = self.under_way.remove(&id)?;
                self.free(&given_up);
                return Some(Attention::GivenUp(given_up.probe));
            }
            airborne.is_overdue = true;
            let attention = Attention::Overdue(airborne.probe.clone(), airborne.scheduled);
            self.checks.insert((airborne.scheduled.mono.plus(given_up_after(policy)), id));
            return Some(attention);
        }
    }

    /// Number of looks under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.under_way.len()
    }

    /// Whether no look is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    fn free(&mut self, airborne: &Airborne) {
        if let Some((ordinary, burst)) = self.at_endpoint.get_mut(&airborne.probe.subject) {
            let count = if airborne.in_burst { burst } else { ordinary };
            *count = count.saturating_sub(1);
        }
    }
}

/// A look that has not come back after this is given up: one over the kept connection may queue for an answer and then
/// dial and ask twice.
fn given_up_after(policy: &Policy) -> Duration {
    (policy.dial_deadline + policy.tls_deadline + policy.answer_deadline).saturating_mul(3)
}
