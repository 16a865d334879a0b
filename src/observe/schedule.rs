//! When each probe is due: fixed intervals on its own clock, phases spread by a hash, never moved by slow answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::digest::stable_hash;
use crate::model::inventory::Inventory;
use crate::model::policy::{PLANNED_ADDRESSES, Policy};
use crate::model::probe::{Probe, ProbeKind};
use crate::model::subject::{Name, Subject};
use crate::model::time::Mono;

/// The first run of every probe comes within this time of the start, or within one interval; later where there are more
/// probes than [`FIRST_RATE`] allows.
const FIRST_WITHIN: Duration = Duration::from_secs(3);

/// First probes a second. Each opens a connection, and a vantage of two cores that opened ten thousand at once would
/// time out on its own queue (it opens 1,000 a second when it does nothing else).
const FIRST_RATE: u32 = 500;

/// Probes start at multiples of this after the start. What starts in one moment is sent, answered and judged while the
/// processor is awake: waking it for each costs a third of a probe where a thousand clusters are probed (`benches/load`).
/// Five of 200 probes a second start together, and the last of them waits some 2 ms for the others.
const TOGETHER: Duration = Duration::from_millis(25);

/// All probes and when they are due.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Schedule {
    /// Sorted by probe, with its interval.
    probes: Vec<(Probe, Duration)>,
    /// When each probe is due, by its index in `probes`: names are long, and there are three probes to an endpoint.
    due: BTreeSet<(Mono, usize)>,
}

impl Schedule {
    /// Every probe that the inventory calls for.
    #[must_use]
    pub fn new(inventory: &Inventory, policy: &Policy, start: Mono) -> Self {
        let probes: Vec<_> = intervals(inventory, policy).into_iter().collect();
        let within = first_within(probes.len());
        let first =
            |probe: &Probe, interval: Duration| start.plus(phase(&inventory.vantage, probe, interval.min(within)));
        let due =
            probes.iter().enumerate().map(|(place, (probe, interval))| (first(probe, *interval), place)).collect();
        Self { probes, due }
    }

    /// Every probe that another inventory or policy calls for. Probes that existed before keep their times; a shorter
    /// interval takes effect within that interval, and new probes begin as after a start.
    pub fn replace(&mut self, inventory: &Inventory, policy: &Policy, now: Mono) {
        let probes = intervals(inventory, policy).into_iter().collect();
        let before = std::mem::replace(self, Self { probes, due: BTreeSet::new() });
        let known: BTreeMap<&Probe, (Mono, Duration)> = before
            .due
            .iter()
            .filter_map(|(due, place)| before.probes.get(*place).map(|(probe, interval)| (probe, (*due, *interval))))
            .collect();
        let within = first_within(self.probes.iter().filter(|(probe, _)| !known.contains_key(probe)).count());
        for (place, (probe, interval)) in self.probes.iter().enumerate() {
            let soon = |within: Duration| now.plus(phase(&inventory.vantage, probe, within.min(*interval)));
            let next = match known.get(probe) {
                Some((due, same)) if same == interval => *due,
                Some((due, _)) => (*due).min(soon(*interval)),
                None => soon(within),
            };
            self.due.insert((next, place));
        }
    }

    /// When the next probe is due.
    #[must_use]
    pub fn next(&self) -> Option<Mono> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Takes the next probe that is due at `now`, with the time it was due, and sets its next tick.
    ///
    /// Ticks that lie in the past because the scheduler was late are skipped, not caught up: a burst of old probes
    /// would measure our own stall. The number of them comes back as well.
    pub fn pop(&mut self, now: Mono) -> Option<(Probe, Mono, u64)> {
        let (due, place) = self.due.first().filter(|(due, _)| *due <= now).copied()?;
        self.due.pop_first();
        let (probe, interval) = self.probes.get(place).cloned()?;
        let mut next = due.plus(interval);
        let mut missed = 0;
        if next <= now {
            let behind = u32::try_from(now.since(due).as_nanos() / interval.as_nanos().max(1)).unwrap_or(u32::MAX);
            missed = u64::from(behind);
            next = due.plus(interval.saturating_mul(behind)).plus(interval);
        }
        self.due.insert((next, place));
        Some((probe, due, missed))
    }

    /// Every probe with its interval.
    pub fn probes(&self) -> impl Iterator<Item = (&Probe, Duration)> {
        self.probes.iter().map(|(probe, interval)| (probe, *interval))
    }

    /// Requests per second that the schedule sends to each cluster, and to everything outside them (`None`); a round
    /// counts once a member.
    #[must_use]
    pub fn planned(&self, inventory: &Inventory) -> BTreeMap<Option<Name>, f64> {
        let clusters = inventory.clusters.keys().cloned().map(Some);
        let mut planned: BTreeMap<Option<Name>, f64> =
            clusters.chain(std::iter::once(None)).map(|scope| (scope, 0.0)).collect();
        for (probe, interval) in self.probes() {
            if let Some(rate) = planned.get_mut(&probe.subject.cluster().cloned()) {
                *rate += f64::from(requests(inventory, probe)) / interval.as_secs_f64();
            }
        }
        planned
    }
}

/// Every probe that the inventory calls for, and how often.
fn intervals(inventory: &Inventory, policy: &Policy) -> BTreeMap<Probe, Duration> {
    let mut intervals = BTreeMap::new();
    let mut add = |probe: Probe| {
        let interval = policy.interval(&probe.subject, probe.kind);
        intervals.insert(probe, interval);
    };
    for (name, cluster) in &inventory.clusters {
        for subject in cluster.apiserver_subjects(name) {
            add(Probe::anew(subject.clone(), ProbeKind::Readyz));
            add(Probe::reused(subject.clone(), ProbeKind::Livez));
            add(Probe::reused(subject, ProbeKind::Version));
        }
        if cluster.vip.is_some() {
            let vip = Subject::Vip(name.clone());
            add(Probe::anew(vip.clone(), ProbeKind::Readyz));
            add(Probe::reused(vip, ProbeKind::Version));
        }
        for (subject, _) in cluster.connected(name).filter(|(_, endpoint)| endpoint.is_named()) {
            add(Probe::anew(subject, ProbeKind::Addresses));
        }
        for (etcd_name, etcd) in &cluster.etcds {
            let subject = Subject::Etcd(name.clone(), etcd_name.clone());
            if !etcd.listeners.is_empty() {
                add(Probe::anew(subject.clone(), ProbeKind::EtcdMetrics));
            }
            if etcd.is_metrics_only {
                add(Probe::anew(subject, ProbeKind::EtcdHealth));
            } else {
                // The status tells of alarms as well: this second source gives its share of the budget to the page.
                if !etcd.listens_everywhere() {
                    add(Probe::reused(subject.clone(), ProbeKind::EtcdAlarms));
                }
                add(Probe::reused(subject.clone(), ProbeKind::EtcdStatus));
                add(Probe::reused(subject.clone(), ProbeKind::EtcdRead));
                add(Probe::reused(subject, ProbeKind::EtcdMembers));
            }
            for member in etcd.members.keys().filter(|member| etcd.shows_chain(member)) {
                let member = Subject::EtcdMember(name.clone(), etcd_name.clone(), member.clone());
                add(Probe::anew(member, ProbeKind::Chain));
            }
        }
    }
    let vantage = (!inventory.files.is_empty()).then_some(Subject::Vantage);
    let with_files = inventory.clusters.iter().filter(|(_, cluster)| !cluster.files.is_empty());
    for subject in vantage.into_iter().chain(with_files.map(|(name, _)| Subject::Cluster(name.clone()))) {
        add(Probe::anew(subject, ProbeKind::Files));
    }
    for reference in &inventory.references {
        add(Probe::anew(Subject::Reference(reference.name.clone()), ProbeKind::Reference));
    }
    for resolver in &inventory.resolvers {
        add(Probe::anew(Subject::Resolver(resolver.name.clone()), ProbeKind::Resolver));
    }
    add(Probe::anew(Subject::Vantage, ProbeKind::OwnClock));
    intervals
}

/// Within which time of the start so many probes are first made.
fn first_within(probes: usize) -> Duration {
    FIRST_WITHIN.max(Duration::from_secs(1) * u32::try_from(probes).unwrap_or(u32::MAX) / FIRST_RATE)
}

/// How many requests one run of `probe` sends to the servers: a round asks every member, or every metrics listener.
/// None for what is read on this machine.
#[must_use]
pub fn requests(inventory: &Inventory, probe: &Probe) -> u32 {
    if matches!(probe.kind, ProbeKind::Files | ProbeKind::OwnClock) {
        return 0;
    }
    if probe.kind == ProbeKind::Addresses {
        return if probe.subject.is_etcd_member() { 0 } else { PLANNED_ADDRESSES };
    }
    if !probe.subject.is_etcd() {
        return 1;
    }
    let Some(etcd) = inventory.etcd(&probe.subject) else { return 0 };
    let asked = if probe.kind == ProbeKind::EtcdMetrics { etcd.listeners.len() } else { etcd.members.len() };
    u32::try_from(asked).unwrap_or(u32::MAX)
}

/// A fixed offset within `within` for each probe, from a hash, so that the probes do not all start together.
///
/// In steps of [`TOGETHER`], so that probes of many clusters share a wake-up.
fn phase(vantage: &str, probe: &Probe, within: Duration) -> Duration {
    let hash = stable_hash(&[vantage, &probe.to_string()]);
    let thousandth = u32::try_from(hash % 1000).unwrap_or(0);
    let offset = within * thousandth / 1000;
    let steps = offset.as_nanos() / TOGETHER.as_nanos();
    TOGETHER * u32::try_from(steps).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule_of_one(interval: Duration) -> Schedule {
        let probe = Probe::anew(Subject::Vantage, ProbeKind::OwnClock);
        Schedule { probes: vec![(probe, interval)], due: BTreeSet::from([(Mono::ORIGIN, 0)]) }
    }

    #[test]
    fn probes_of_many_clusters_share_their_wake_ups() {
        let name = |n: u32| format!("c{n}").parse::<Name>().unwrap();
        let vantage = "bastion-1";
        let phases = (0..1_000).map(|n| {
            let probe = Probe::anew(Subject::Vip(name(n)), ProbeKind::Readyz);
            phase(vantage, &probe, Duration::from_secs(5))
        });
        let phases: BTreeSet<Duration> = phases.collect();

        assert!(phases.len() <= 200 && phases.len() > 150, "{}", phases.len());
        assert!(phases.iter().all(|phase| phase.as_millis() % TOGETHER.as_millis() == 0));
    }

    #[test]
    fn a_late_wake_up_skips_ticks_and_keeps_the_grid() {
        let mut schedule = schedule_of_one(Duration::from_secs(3));

        let (_, due, missed) = schedule.pop(Mono(Duration::from_secs(10))).unwrap();

        assert_eq!(due, Mono::ORIGIN);
        assert_eq!(missed, 3);
        assert_eq!(schedule.next(), Some(Mono(Duration::from_secs(12))));
    }

    #[test]
    fn a_tick_on_time_misses_nothing() {
        let mut schedule = schedule_of_one(Duration::from_secs(3));

        let (_, _, missed) = schedule.pop(Mono(Duration::from_millis(5))).unwrap();

        assert_eq!(missed, 0);
        assert_eq!(schedule.next(), Some(Mono(Duration::from_secs(3))));
    }
}
