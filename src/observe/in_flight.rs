//! Probes under way: bounded per endpoint and at all, noticed when overdue, given up when they never come back.
//!
//! A vantage that is asked for more than its processors can do would begin probes faster than it ends them. Above the
//! bound a cluster keeps its equal share, so that one that hangs takes nothing from the others; what confirms a fault
//! is never refused for it, nor what is asked rarely.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::policy::Policy;
use crate::model::probe::{Hello, Probe, ProbeId, ProbeKind, ProbeRequest};
use crate::model::subject::{Name, Subject};
use crate::model::time::{Mono, Now};

use super::urgency::Urgency;

/// Probes under way.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct InFlight {
    next: u64,
    under_way: BTreeMap<ProbeId, Started>,
    /// Nothing for endpoints that have none.
    at_endpoint: BTreeMap<Subject, Counts>,
    /// Scheduled probes, of clusters that have any.
    at_cluster: BTreeMap<Name, usize>,
    checks: BTreeSet<(Mono, ProbeId)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Started {
    probe: Probe,
    scheduled: Now,
    urgency: Urgency,
    is_overdue: bool,
}

/// Probes under way at one endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counts {
    scheduled: usize,
    burst: usize,
    samples: usize,
}

impl Counts {
    /// Those that share a bound with what is wanted so much.
    const fn of(&mut self, urgency: Urgency) -> &mut usize {
        match urgency {
            Urgency::Scheduled => &mut self.scheduled,
            Urgency::Confirmation | Urgency::Spare => &mut self.burst,
            Urgency::Sample => &mut self.samples,
        }
    }
}

/// How many of these may be under way at one endpoint.
const fn most(urgency: Urgency, policy: &Policy) -> usize {
    match urgency {
        Urgency::Scheduled => policy.in_flight,
        Urgency::Confirmation | Urgency::Spare => policy.burst_in_flight,
        Urgency::Sample => policy.samples_in_flight,
    }
}

/// Why a probe cannot be started now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// Too many are under way at its endpoint.
    Endpoint,
    /// Too many are under way in all, and its cluster has its share of them.
    Share,
}

/// A probe that needs attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attention {
    /// Under way for longer than a good answer should take.
    Overdue(Probe, Now),
    /// Never came back.
    GivenUp(Probe),
}

impl InFlight {
    /// Starts a probe, unless too many are under way at the endpoint, or at all and of its cluster, which is one of
    /// `clusters`.
    ///
    /// # Errors
    /// Which of the two bounds is reached.
    pub fn start(
        &mut self,
        probe: Probe,
        scheduled: Now,
        urgency: Urgency,
        policy: &Policy,
        clusters: usize,
    ) -> Result<ProbeRequest, Full> {
        let mut counts = self.at_endpoint.get(&probe.subject).copied().unwrap_or_default();
        if *counts.of(urgency) >= most(urgency, policy) {
            return Err(Full::Endpoint);
        }
        let is_scheduled = urgency == Urgency::Scheduled;
        if is_scheduled && self.has_its_share(&probe, policy, clusters) {
            return Err(Full::Share);
        }
        *self.at_endpoint.entry(probe.subject.clone()).or_default().of(urgency) += 1;
        if let Some(cluster) = probe.subject.cluster().filter(|_| is_scheduled) {
            *self.at_cluster.entry(cluster.clone()).or_default() += 1;
        }
        let id = ProbeId(self.next);
        self.next += 1;
        self.checks.insert((scheduled.mono.plus(policy.slow_after), id));
        self.under_way.insert(id, Started { probe: probe.clone(), scheduled, urgency, is_overdue: false });
        Ok(ProbeRequest { id, probe, scheduled, hello: Hello::default() })
    }

    /// A probe came back. Returns whether it was still waited for.
    pub fn land(&mut self, id: ProbeId) -> bool {
        let Some(airborne) = self.under_way.remove(&id) else { return false };
        self.free(&airborne);
        true
    }

    /// Forgets the probes of subjects that `is_gone`: they are not waited for, and nothing is reported of them.
    pub fn give_up(&mut self, is_gone: impl Fn(&Subject) -> bool) {
        let under_way = self.under_way.iter();
        let gone: Vec<ProbeId> =
            under_way.filter(|(_, airborne)| is_gone(&airborne.probe.subject)).map(|(id, _)| *id).collect();
        for id in gone {
            self.land(id);
        }
    }

    /// When the next probe needs attention.
    #[must_use]
    pub fn next(&self) -> Option<Mono> {
        self.checks.first().map(|(at, _)| *at)
    }

    /// Takes the next probe that needs attention at `now`.
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

    /// All that are under way, in the order in which they were sent.
    pub fn requests(&self) -> impl Iterator<Item = ProbeRequest> {
        self.under_way.iter().map(|(id, started)| ProbeRequest {
            id: *id,
            probe: started.probe.clone(),
            scheduled: started.scheduled,
            hello: Hello::default(),
        })
    }

    /// What a probe that is under way is about.
    #[must_use]
    pub fn subject(&self, id: ProbeId) -> Option<&Subject> {
        self.under_way.get(&id).map(|started| &started.probe.subject)
    }

    /// Number of probes under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.under_way.len()
    }

    /// Whether no probe is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Whether so many probes are under way that the cluster of `probe` must do with its share, and has it. Only what
    /// is asked again within seconds is refused: what is asked rarely would be missed for long, and nothing grows from
    /// it.
    fn has_its_share(&self, probe: &Probe, policy: &Policy, clusters: usize) -> bool {
        let is_soon_again = matches!(probe.kind, ProbeKind::Readyz | ProbeKind::EtcdStatus | ProbeKind::EtcdHealth);
        let Some(cluster) = probe.subject.cluster().filter(|_| is_soon_again) else { return false };
        let share = (policy.in_flight_at_all / clusters.max(1)).max(1);
        self.under_way.len() >= policy.in_flight_at_all && self.at_cluster.get(cluster).is_some_and(|has| *has >= share)
    }

    fn free(&mut self, airborne: &Started) {
        let subject = &airborne.probe.subject;
        if let Some(counts) = self.at_endpoint.get_mut(subject) {
            let count = counts.of(airborne.urgency);
            *count = count.saturating_sub(1);
            if *counts == Counts::default() {
                self.at_endpoint.remove(subject);
            }
        }
        let is_scheduled = airborne.urgency == Urgency::Scheduled;
        let Some(cluster) = subject.cluster().filter(|_| is_scheduled) else { return };
        if let Some(count) = self.at_cluster.get_mut(cluster) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.at_cluster.remove(cluster);
            }
        }
    }
}

/// A probe that has not come back after this is given up: one over the kept connection may queue for an answer and then
/// dial and ask twice.
fn given_up_after(policy: &Policy) -> Duration {
    policy.longest_probe().saturating_mul(3)
}
