//! Confirmation bursts: after a first bad probe, the same probe again on new connections, the subjects of every
//! possible cause, and the reference targets. So an alarm takes seconds instead of intervals, and one bad sample never
//! raises one. After a stall of vedette itself, every subject in doubt is probed once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::cost::Cost;
use crate::model::inventory::Inventory;
use crate::model::policy::Policy;
use crate::model::probe::{Probe, ProbeKind};
use crate::model::subject::{Name, Role, Subject};
use crate::model::time::{Mono, Now};

use super::budget::PACE;
use super::client_hello;
use super::connection_losses::{SAMPLE_PACE, SAMPLES};
use super::urgency::Urgency;

/// A little more than the span that confirms, so that rounding never costs a probe.
const MARGIN: Duration = Duration::from_millis(20);

/// So many clusters, and so many endpoints of each, are asked when a reference target is silent: more than one, as they
/// may be down too.
const WITNESSES: usize = 2;

/// Planned probes of all bursts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Bursts {
    due: BTreeMap<(Mono, Probe), Urgency>,
    /// The same probes by probe, so that sharing needs no search through a storm.
    planned: BTreeMap<Probe, BTreeMap<Mono, Urgency>>,
    /// Those that confirm, by what is charged together.
    confirming: BTreeMap<Option<Name>, BTreeSet<(Mono, Probe)>>,
    last: BTreeMap<Subject, Mono>,
}

impl Bursts {
    /// Starts a burst for `subject`, whose first bad probe was scheduled at `first`; at most one per subject in the
    /// policy's pause. Returns whether it was started.
    pub fn start(&mut self, subject: &Subject, first: Now, inventory: &Inventory, policy: &Policy, now: Mono) -> bool {
        if self.last.get(subject).is_some_and(|last| now.since(*last) < policy.burst_pause) {
            return false;
        }
        self.last.insert(subject.clone(), now);
        let spanning = first.mono.plus(policy.confirm_span).plus(MARGIN);
        let third = spanning.max(now.plus(PACE * 2));
        if let Some(own) = own_probe(subject, inventory) {
            self.plan(now, own.clone(), Urgency::Confirmation);
            // Three bad probes confirm: the first sign is one, and this one counts where that tells nothing in the end.
            self.plan(now.plus(PACE), own.clone(), Urgency::Spare);
            self.plan(third, own.clone(), Urgency::Confirmation);
            if matches!(own.kind, ProbeKind::EtcdStatus | ProbeKind::EtcdHealth) {
                // A first probe that took longer than the hold has outlasted it: its third shows as much.
                self.plan(first.mono.plus(policy.no_leader_for).plus(MARGIN).max(third), own, Urgency::Confirmation);
            }
        }
        for cause in cause_probes(subject, inventory) {
            self.plan(now, cause.clone(), Urgency::Confirmation);
            self.plan(third, cause, Urgency::Confirmation);
        }
        for witness in witness_probes(subject, inventory) {
            self.plan(now, witness, Urgency::Confirmation);
        }
        for reference in reference_probes(inventory) {
            self.plan(now, reference.clone(), Urgency::Confirmation);
            self.plan(third, reference, Urgency::Confirmation);
        }
        true
    }

    /// Plans samples of new connections to `subject`, until [`SAMPLES`] are planned or `most` were added. Returns how many
    /// were.
    pub fn sample(&mut self, subject: &Subject, most: u32, now: Mono) -> u32 {
        let probe = Probe::anew(subject.clone(), ProbeKind::Readyz);
        let planned =
            self.planned.get(&probe).into_iter().flatten().filter(|(_, urgency)| **urgency == Urgency::Sample);
        let (mut last, mut known) = (now, 0);
        for (at, _) in planned {
            last = last.max(*at);
            known += 1;
        }
        let wanted = SAMPLES.saturating_sub(known).min(most);
        for _ in 0..wanted {
            last = last.plus(SAMPLE_PACE);
            self.plan(last, probe.clone(), Urgency::Sample);
        }
        wanted
    }

    /// Plans a probe that shows whether `subject` is still bad: its run of bad probes is in doubt, and its hold does
    /// not go on before the result.
    pub fn probe_again(&mut self, subject: &Subject, inventory: &Inventory, now: Mono) {
        if let Some(own) = own_probe(subject, inventory) {
            self.plan(now, own, Urgency::Confirmation);
        }
    }

    /// Plans two more of `probe`, whose first bad sign was scheduled at `first` and which alone can confirm it.
    pub fn repeat(&mut self, probe: &Probe, first: Now, policy: &Policy, now: Mono) {
        let spanning = first.mono.plus(policy.confirm_span).plus(MARGIN);
        for at in [now, spanning.max(now.plus(PACE * 2))] {
            self.plan(at, probe.clone(), Urgency::Confirmation);
        }
    }

    /// Plans one more of `probe` at `at`.
    pub fn probe_at(&mut self, probe: Probe, at: Mono) {
        self.plan(at, probe, Urgency::Confirmation);
    }

    /// Plans one more handshake with an endpoint whose chain is in doubt.
    pub fn second_handshake(&mut self, subject: &Subject, now: Mono) {
        self.plan(now.plus(PACE), Probe::anew(subject.clone(), ProbeKind::Chain), Urgency::Confirmation);
    }

    /// Plans two more probes of the addresses of `subject`, of which some did not answer in the probe scheduled at
    /// `first`.
    pub fn probe_addresses(&mut self, subject: &Subject, first: Now, policy: &Policy, now: Mono) {
        let spanning = first.mono.plus(policy.confirm_span).plus(MARGIN);
        let third = spanning.max(now.plus(PACE * 2));
        for at in [now.plus(PACE), third] {
            self.plan(at, Probe::anew(subject.clone(), ProbeKind::Addresses), Urgency::Confirmation);
        }
    }

    /// Plans handshakes with `subject`: with a large ClientHello for the handshake alone, with a small one, which the
    /// view chooses, as probes of its health.
    pub fn test_hello(&mut self, subject: &Subject, test: client_hello::Test, now: Mono) {
        for (after, size) in test {
            let probe = Probe::anew(subject.clone(), client_hello::probe(*size));
            self.plan(now.plus(*after), probe, Urgency::Confirmation);
        }
    }

    /// Drops what is planned for what `is_gone`; should it come back, it may have a burst at once.
    pub fn drop_probes(&mut self, is_gone: impl Fn(&Subject) -> bool) {
        self.due.retain(|(_, probe), _| !is_gone(&probe.subject));
        self.confirming.retain(|_, planned| {
            planned.retain(|(_, probe)| !is_gone(&probe.subject));
            !planned.is_empty()
        });
        self.planned.retain(|probe, _| !is_gone(&probe.subject));
        self.last.retain(|subject, _| !is_gone(subject));
    }

    /// A scheduled probe is due at `due` that asks the same as probes of a burst: it counts as one of them and gets
    /// their urgency, which is returned. The planned probes that it makes unnecessary are dropped: the spare one, and
    /// those due within half of the burst's pace. One that was due before the burst began, and is late because vedette
    /// was stalled, replaces none.
    pub fn serve(&mut self, scheduled: &Probe, due: Mono) -> Urgency {
        let mut urgency = Urgency::Scheduled;
        if self.planned.is_empty() {
            return urgency;
        }
        for probe in [Probe::anew, Probe::reused].map(|over| over(scheduled.subject.clone(), scheduled.kind)) {
            // Over the kept connection a reading tells as much only where a round is asked.
            if probe != *scheduled && !scheduled.kind.is_round() {
                continue;
            }
            let Some(times) = self.planned.get(&probe) else { continue };
            let near = due.minus(PACE / 2)..due.plus(PACE / 2);
            let served: Vec<Mono> = times
                .iter()
                // Samples are counted, so one the less is one the less.
                .filter(|(_, urgency)| **urgency != Urgency::Sample)
                .filter(|(at, urgency)| near.contains(*at) || (**urgency == Urgency::Spare && due.plus(PACE) >= **at))
                .map(|(at, _)| *at)
                .collect();
            for at in served {
                let known = self.due.remove(&(at, probe.clone()));
                urgency = known.map_or(urgency, |known| urgency.min(known));
                self.forget(&probe, at);
            }
        }
        urgency
    }

    /// Confirmations of one cluster, or of everything outside them (`None`), that are planned until `until`: when the
    /// first one is due, and how many requests all of them are.
    #[must_use]
    pub fn confirmations(&self, scope: &Option<Name>, inventory: &Inventory, until: Mono) -> Option<(Mono, u32)> {
        let planned = || self.confirming.get(scope).into_iter().flatten().take_while(|(at, _)| *at <= until);
        let (first, _) = planned().next()?;
        Some((*first, planned().map(|(_, probe)| Cost::of(inventory, probe).requests).sum()))
    }

    /// When the next probe is due.
    #[must_use]
    pub fn next(&self) -> Option<Mono> {
        self.due.first_key_value().map(|((due, _), _)| *due)
    }

    /// Takes the next probe due at `now`, with the time it was due and how much it is needed.
    pub fn pop(&mut self, now: Mono) -> Option<(Probe, Mono, Urgency)> {
        let due = self.due.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((at, probe), urgency) = due.remove_entry();
        self.forget(&probe, at);
        Some((probe, at, urgency))
    }

    /// A probe had to make room for another of the same kind that still waits to be sent: it is asked for again a pace
    /// later, so that there are as many as the fault needs.
    pub fn postpone(&mut self, probe: Probe, now: Mono) {
        self.plan(now.plus(PACE), probe, Urgency::Confirmation);
    }

    /// Bursts share probes: one that is planned within half a pace serves both.
    fn plan(&mut self, at: Mono, probe: Probe, urgency: Urgency) {
        let times = self.planned.entry(probe.clone()).or_default();
        let near = times.range_mut(at.minus(PACE / 2)..at.plus(PACE / 2)).next();
        let (at, urgency) = match near {
            Some((near, known)) => {
                *known = urgency.min(*known);
                (*near, *known)
            }
            None => {
                times.insert(at, urgency);
                (at, urgency)
            }
        };
        if urgency == Urgency::Confirmation {
            self.confirming.entry(probe.subject.cluster().cloned()).or_default().insert((at, probe.clone()));
        }
        self.due.insert((at, probe), urgency);
    }

    fn forget(&mut self, probe: &Probe, due: Mono) {
        if let Some(times) = self.planned.get_mut(probe) {
            times.remove(&due);
            if times.is_empty() {
                self.planned.remove(probe);
            }
        }
        let scope = probe.subject.cluster().cloned();
        if let Some(planned) = self.confirming.get_mut(&scope) {
            planned.remove(&(due, probe.clone()));
            if planned.is_empty() {
                self.confirming.remove(&scope);
            }
        }
    }
}

/// The probe that decides about `subject`, over a new connection.
fn own_probe(subject: &Subject, inventory: &Inventory) -> Option<Probe> {
    match subject.role() {
        Role::Api => Some(Probe::anew(subject.clone(), ProbeKind::Readyz)),
        Role::Outside => {
            let kind = if subject.is_resolver() { ProbeKind::Resolver } else { ProbeKind::Reference };
            Some(Probe::anew(subject.clone(), kind))
        }
        Role::Etcd => subject.etcd().map(|etcd| {
            let is_metrics_only = inventory.etcd(&etcd).is_some_and(|known| known.is_metrics_only);
            let kind = if is_metrics_only { ProbeKind::EtcdHealth } else { ProbeKind::EtcdStatus };
            Probe::anew(etcd, kind)
        }),
        Role::OwnSide | Role::Cluster | Role::Item => None,
    }
}

/// Probes of everything that could be the cause, or that a statement about `subject` depends on: in one cluster these
/// are all instances, the API VIP and the etcd members.
fn cause_probes(subject: &Subject, inventory: &Inventory) -> Vec<Probe> {
    let Some((name, cluster)) = subject.cluster().and_then(|name| inventory.clusters.get_key_value(name)) else {
        return Vec::new();
    };
    let is_etcd = subject.etcd().is_some();
    let etcds = cluster.etcds.keys().map(|etcd| Subject::Etcd(name.clone(), etcd.clone()));
    let apiservers = cluster.apiserver_subjects(name).chain(cluster.vip.iter().map(|_| Subject::Vip(name.clone())));
    let subjects: Vec<Subject> = if is_etcd { Vec::new() } else { etcds.chain(apiservers).collect() };
    subjects.iter().filter(|other| *other != subject).filter_map(|other| own_probe(other, inventory)).collect()
}

/// Probes of a few clusters when a reference target or a resolver is silent: one answer shows that our own network
/// works, without waiting for the intervals of their own probes.
fn witness_probes(subject: &Subject, inventory: &Inventory) -> Vec<Probe> {
    if subject.role() != Role::Outside {
        return Vec::new();
    }
    let of_cluster = |name: &Name| -> Vec<Probe> {
        let Some(cluster) = inventory.clusters.get(name) else { return Vec::new() };
        let vip = cluster.vip.iter().map(|_| Subject::Vip(name.clone()));
        let etcds = cluster.etcds.keys().map(|etcd| Subject::Etcd(name.clone(), etcd.clone()));
        let subjects = vip.chain(cluster.apiserver_subjects(name)).chain(etcds).take(WITNESSES);
        subjects.filter_map(|subject| own_probe(&subject, inventory)).collect()
    };
    inventory.remote_clusters().take(WITNESSES).flat_map(of_cluster).collect()
}

fn reference_probes(inventory: &Inventory) -> impl Iterator<Item = Probe> + '_ {
    inventory.remote_points().filter_map(|point| own_probe(&point, inventory))
}
