//! The plan: what is probed how often, and what that costs. The one table from which all of these follow:
//!
//! - the schedule (`observe/schedule.rs`) sends every probe of it at its interval,
//! - the budget (`observe/budget.rs`) allows each cluster a multiple of its sum,
//! - the configuration check refuses one whose sum is too high, and `vedette check` shows it,
//! - metrics and status page show the sums,
//! - the daemon starts as many threads as the sum needs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::canary::{Canaries, Canary};
use super::cost::{Cost, Rate};
use super::inventory::{Cluster, Etcd, Inventory};
use super::policy::Policy;
use super::probe::{Probe, ProbeKind};
use super::subject::{Name, Subject};

/// What shares a budget: a cluster, or everything outside the clusters (`None`).
pub type Scope = Option<Name>;

/// One line of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedProbe {
    /// What is asked of whom, over which connection.
    pub probe: Probe,
    /// How often.
    pub interval: Duration,
    /// How much later than others it is first sent: what goes from one instance to the next has turns.
    #[serde(default)]
    pub turn: Duration,
    /// What one run costs.
    pub cost: Cost,
}

/// All probes of an inventory, and what they cost a second.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Plan {
    /// In the order of the probes.
    probes: Vec<PlannedProbe>,
    rates: BTreeMap<Scope, Rate>,
}

impl Plan {
    /// Every probe that `inventory` calls for.
    #[must_use]
    pub fn new(inventory: &Inventory, policy: &Policy) -> Self {
        let mut table = Table::default();
        for (name, cluster) in &inventory.clusters {
            table.cluster(name, cluster, policy);
        }
        table.vantage(inventory, policy);
        let clusters = inventory.clusters.keys().cloned().map(Some);
        table.plan(clusters.chain([None]))
    }

    /// The part of one cluster.
    #[must_use]
    pub fn of_cluster(name: &Name, cluster: &Cluster, policy: &Policy) -> Self {
        let mut table = Table::default();
        table.cluster(name, cluster, policy);
        table.plan([Some(name.clone())])
    }

    /// Its lines, in the order of the probes.
    #[must_use]
    pub fn probes(&self) -> &[PlannedProbe] {
        &self.probes
    }

    /// What each cluster costs, and everything outside the clusters; one of which nothing is asked is there as well.
    #[must_use]
    pub const fn rates(&self) -> &BTreeMap<Scope, Rate> {
        &self.rates
    }

    /// What `scope` costs.
    #[must_use]
    pub fn rate(&self, scope: &Scope) -> Rate {
        self.rates.get(scope).copied().unwrap_or_default()
    }

    /// What everything of which `is_counted` says so costs.
    #[must_use]
    pub fn rate_of(&self, is_counted: impl Fn(&Subject) -> bool) -> Rate {
        self.probes.iter().filter(|line| is_counted(&line.probe.subject)).map(PlannedProbe::rate).sum()
    }
}

impl PlannedProbe {
    fn rate(&self) -> Rate {
        Rate::new(self.cost, self.interval)
    }
}

/// The canaries that go from one instance to the next.
const ROTATING: [ProbeKind; 5] = [
    ProbeKind::LeaseWrite,
    ProbeKind::CreateConfigMap,
    ProbeKind::CreatePod,
    ProbeKind::AccessReview,
    ProbeKind::SecretRead,
];

/// How much later than the Lease another canary is first sent, so that they do not come together.
fn offset(kind: ProbeKind, every: Duration) -> Duration {
    match kind.canary() {
        Some(Canary::Create) if kind == ProbeKind::CreatePod => every * 6 / 10,
        Some(Canary::Create) => every / 10,
        Some(Canary::Authorization) => every / 3,
        Some(Canary::Secret) => every / 5,
        Some(Canary::Lease | Canary::Propagation) | None => Duration::ZERO,
    }
}

/// A plan under construction.
#[derive(Default)]
struct Table(BTreeMap<Probe, Timing>);

/// When a probe is sent, and what it costs.
struct Timing {
    interval: Duration,
    turn: Duration,
    cost: Cost,
}

impl Table {
    fn add(&mut self, probe: Probe, policy: &Policy) {
        self.add_round(probe, None, policy);
    }

    fn add_round(&mut self, probe: Probe, etcd: Option<&Etcd>, policy: &Policy) {
        let (interval, cost) = (policy.interval(&probe.subject, probe.kind), Cost::at(etcd, &probe));
        self.0.insert(probe, Timing { interval, turn: Duration::ZERO, cost });
    }

    fn cluster(&mut self, name: &Name, cluster: &Cluster, policy: &Policy) {
        for subject in cluster.apiserver_subjects(name) {
            self.add(Probe::anew(subject.clone(), ProbeKind::Readyz), policy);
            self.add(Probe::reused(subject.clone(), ProbeKind::Livez), policy);
            self.add(Probe::reused(subject, ProbeKind::Version), policy);
        }
        if cluster.flow_control {
            self.flow_control(name, cluster, policy);
        }
        if cluster.apiserver_metrics {
            self.in_turn(cluster.instances(name), ProbeKind::ApiserverMetrics, policy);
        }
        if let Some(canaries) = &cluster.canaries {
            self.canaries(name, cluster, canaries, policy);
        }
        if cluster.zpages {
            // Of the instances alone: behind an address each answer would come from another one.
            for subject in cluster.apiserver_subjects(name) {
                self.add(Probe::reused(subject.clone(), ProbeKind::Statusz), policy);
                self.add(Probe::reused(subject, ProbeKind::Flagz), policy);
            }
        }
        if cluster.vip.is_some() {
            let vip = Subject::Vip(name.clone());
            self.add(Probe::anew(vip.clone(), ProbeKind::Readyz), policy);
            self.add(Probe::reused(vip, ProbeKind::Version), policy);
        }
        for (subject, _) in cluster.connected(name).filter(|(_, endpoint)| endpoint.is_named()) {
            self.add(Probe::anew(subject, ProbeKind::Addresses), policy);
        }
        for (etcd_name, etcd) in &cluster.etcds {
            self.etcd(name, etcd_name, etcd, policy);
        }
        if !cluster.files.is_empty() {
            self.add(Probe::anew(Subject::Cluster(name.clone()), ProbeKind::Files), policy);
        }
    }

    /// The levels of every instance, and the requests at one instance after the other.
    fn flow_control(&mut self, name: &Name, cluster: &Cluster, policy: &Policy) {
        for instance in cluster.instances(name) {
            self.add(Probe::reused(instance, ProbeKind::PriorityLevels), policy);
        }
        self.in_turn(cluster.instances(name), ProbeKind::RequestDump, policy);
    }

    /// One instance after the other, each over a connection of its own: a megabyte on the kept one would delay the
    /// ordinary probes there.
    fn in_turn(&mut self, instances: Vec<Subject>, kind: ProbeKind, policy: &Policy) {
        let turns = u32::try_from(instances.len()).unwrap_or(u32::MAX);
        for (instance, place) in instances.into_iter().zip(0..) {
            let probe = Probe::anew(instance, kind);
            let every = policy.interval(&probe.subject, probe.kind);
            let cost = Cost::at(None, &probe);
            self.0.insert(probe, Timing { interval: every * turns, turn: every * place, cost });
        }
    }

    /// What all instances answer alike is asked of one after the other; what each holds for itself, of each.
    fn canaries(&mut self, name: &Name, cluster: &Cluster, canaries: &Canaries, policy: &Policy) {
        let instances = cluster.instances(name);
        let turns = u32::try_from(instances.len()).unwrap_or(u32::MAX);
        for (instance, place) in instances.into_iter().zip(0..) {
            for kind in ROTATING.into_iter().filter(|kind| kind.canary().is_some_and(|canary| canaries.has(canary))) {
                let probe = Probe::anew(instance.clone(), kind);
                let every = policy.interval(&instance, kind);
                let turn = every * place + offset(kind, every);
                self.0.insert(probe.clone(), Timing { interval: every * turns, turn, cost: Cost::at(None, &probe) });
            }
            if canaries.has(Canary::Propagation) {
                let probe = Probe::anew(instance.clone(), ProbeKind::LeaseRead);
                let interval = policy.interval(&instance, probe.kind);
                let cost = Cost::at(None, &probe);
                self.0.insert(probe, Timing { interval, turn: policy.lease_read_after, cost });
            }
        }
    }

    fn etcd(&mut self, name: &Name, etcd_name: &Name, etcd: &Etcd, policy: &Policy) {
        let subject = Subject::Etcd(name.clone(), etcd_name.clone());
        let mut round = |probe: fn(Subject, ProbeKind) -> Probe, kind| {
            self.add_round(probe(subject.clone(), kind), Some(etcd), policy);
        };
        if !etcd.listeners.is_empty() {
            round(Probe::anew, ProbeKind::EtcdMetrics);
        }
        if etcd.is_metrics_only {
            round(Probe::anew, ProbeKind::EtcdHealth);
        } else {
            // The status tells of alarms as well: this second source gives its share of the budget to the page.
            if !etcd.listens_everywhere() {
                round(Probe::reused, ProbeKind::EtcdAlarms);
            }
            round(Probe::reused, ProbeKind::EtcdStatus);
            round(Probe::reused, ProbeKind::EtcdRead);
            round(Probe::reused, ProbeKind::EtcdMembers);
        }
        for member in etcd.members.keys().filter(|member| etcd.shows_chain(member)) {
            let member = Subject::EtcdMember(name.clone(), etcd_name.clone(), member.clone());
            self.add(Probe::anew(member, ProbeKind::Chain), policy);
        }
    }

    fn vantage(&mut self, inventory: &Inventory, policy: &Policy) {
        if !inventory.files.is_empty() {
            self.add(Probe::anew(Subject::Vantage, ProbeKind::Files), policy);
        }
        for reference in &inventory.references {
            let subject = Subject::Reference(reference.name.clone());
            self.add(Probe::anew(subject, ProbeKind::Reference), policy);
        }
        for resolver in &inventory.resolvers {
            let subject = Subject::Resolver(resolver.name.clone());
            self.add(Probe::anew(subject, ProbeKind::Resolver), policy);
        }
        self.add(Probe::anew(Subject::Vantage, ProbeKind::OwnClock), policy);
    }

    fn plan(self, scopes: impl IntoIterator<Item = Scope>) -> Plan {
        let line = |(probe, Timing { interval, turn, cost })| PlannedProbe { probe, interval, turn, cost };
        let lines = self.0.into_iter().map(line);
        let probes: Vec<_> = lines.collect();
        let mut rates: BTreeMap<Scope, Rate> = scopes.into_iter().map(|scope| (scope, Rate::default())).collect();
        for line in &probes {
            if let Some(rate) = rates.get_mut(&line.probe.subject.cluster().cloned()) {
                *rate += line.rate();
            }
        }
        Plan { probes, rates }
    }
}
