//! Everything known, updated by one observation at a time.
//!
//! A failed probe deletes nothing: the last known reading stays, with its age.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::certificate::Served;
use crate::model::etcd::{EtcdAlarm, MemberFacts, MemberListing, MemberMetrics, MemberStatus};
use crate::model::flat_map::FlatMap;
use crate::model::inventory::Inventory;
use crate::model::observation::Observation;
use crate::model::phase::Unseen;
use crate::model::plan::Plan;
use crate::model::policy::Policy;
use crate::model::probe::{Hello, Probe, ProbeKind};
use crate::model::snapshot::ClusterSnapshot;
use crate::model::subject::{Name, Subject};
use crate::model::time::{Mono, Now};
use crate::model::verdict::Symptom;

use super::aspect::Aspect;
use super::canaries::CanaryRuns;
use super::certificate_files::FilesView;
use super::client_hello::{ClientHellos, Passage};
use super::clock_error::{ClockError, ClockVote, OwnClockRun};
use super::connection_losses::ConnectionLosses;
use super::database_growth::DatabaseGrowth;
use super::elections::Elections;
use super::flow_control::FlowControl;
use super::inventory_change::{Fate, InventoryChange};
use super::metrics_pages::MetricsPages;
use super::own_network::OwnNetwork;
use super::probe_runs::{Confirmation, ProbeRuns};
use super::quorum::Count;
use super::references::References;
use super::tracks::Tracks;
use super::trusting::Trusting;
use super::zpages::Zpages;

mod apply;
mod members;
mod proxy;

pub use apply::Taken;
use members::Chosen;

/// The chain an endpoint serves.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServedSeen {
    /// When it was last seen.
    pub at: Now,
    /// What was served.
    pub served: Arc<Served>,
    /// Handshakes in a row that served the same leaf.
    pub repeats: u32,
    /// When this leaf was first seen in this row.
    pub since: Now,
    /// The results of verification, of this leaf and of those before it.
    pub trusting: Trusting,
}

/// Everything known.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct View {
    inventory: Arc<Inventory>,
    policy: Arc<Policy>,
    tracks: Tracks,
    pictures: BTreeMap<Name, Arc<ClusterSnapshot>>,
    vantage: FlatMap<Probe, Arc<Observation>>,
    served: BTreeMap<Subject, ServedSeen>,
    shelves: BTreeMap<Option<Name>, FilesView>,
    counts: BTreeMap<Subject, (Now, Count)>,
    statuses: BTreeMap<Subject, (Now, MemberStatus)>,
    elections: BTreeMap<Subject, Elections>,
    sizes: BTreeMap<Subject, DatabaseGrowth>,
    metrics: BTreeMap<Subject, (Now, MemberMetrics)>,
    alarm_lists: BTreeMap<Subject, (Now, Vec<EtcdAlarm>)>,
    /// By member: the list of all members as it reports it.
    member_lists: BTreeMap<Subject, (Now, Vec<MemberListing>)>,
    /// By etcd cluster: the last round that asked for those lists, with whatever result.
    lists_asked: BTreeMap<Subject, Mono>,
    /// By etcd cluster: which member list is used.
    chosen: BTreeMap<Subject, Chosen>,
    /// Members that used TLS in their latest probe where none is configured, or none where it is.
    tls_mismatch: BTreeMap<Subject, Unseen>,
    /// By cluster: who uses its apiservers.
    #[serde(default)]
    flow_controls: BTreeMap<Name, FlowControl>,
    /// By cluster: the `/metrics` of its apiservers.
    #[serde(default)]
    metrics_pages: BTreeMap<Name, MetricsPages>,
    /// By cluster: what its canaries saw.
    #[serde(default)]
    canaries: BTreeMap<Name, CanaryRuns>,
    /// By cluster: what its apiservers tell of themselves.
    #[serde(default)]
    zpages: BTreeMap<Name, Zpages>,
    dates: ClockError,
    hellos: BTreeMap<Subject, ClientHellos>,
    /// By API VIP.
    #[serde(default)]
    losses: BTreeMap<Subject, ConnectionLosses>,
    path: OwnNetwork,
    void_until: Option<Mono>,
    references: References,
    /// When a subject moved to another address: probes of it that were scheduled before that are ignored.
    moved: BTreeMap<Subject, Mono>,
}

impl View {
    /// With nothing observed yet.
    #[must_use]
    pub fn new(inventory: Arc<Inventory>, policy: impl Into<Arc<Policy>>) -> Self {
        let pictures = inventory.clusters.keys().map(|name| (name.clone(), Arc::default())).collect();
        Self {
            references: References::new(&inventory),
            inventory,
            policy: policy.into(),
            tracks: Tracks::default(),
            pictures,
            vantage: FlatMap::default(),
            served: BTreeMap::new(),
            shelves: BTreeMap::new(),
            counts: BTreeMap::new(),
            statuses: BTreeMap::new(),
            elections: BTreeMap::new(),
            sizes: BTreeMap::new(),
            metrics: BTreeMap::new(),
            alarm_lists: BTreeMap::new(),
            member_lists: BTreeMap::new(),
            lists_asked: BTreeMap::new(),
            chosen: BTreeMap::new(),
            tls_mismatch: BTreeMap::new(),
            flow_controls: BTreeMap::new(),
            metrics_pages: BTreeMap::new(),
            canaries: BTreeMap::new(),
            zpages: BTreeMap::new(),
            dates: ClockError::default(),
            hellos: BTreeMap::new(),
            losses: BTreeMap::new(),
            path: OwnNetwork::default(),
            void_until: None,
            moved: BTreeMap::new(),
        }
    }

    /// Watches something else from `now` on. What is known of subjects at the same place is kept; all else is dropped,
    /// except for counts of watched subjects.
    pub fn replace(&mut self, inventory: Arc<Inventory>, policy: Arc<Policy>, now: Mono) {
        self.policy = policy;
        let before = std::mem::replace(&mut self.inventory, inventory);
        let inventory_change = InventoryChange::new(&before, &self.inventory);
        let stays = |subject: &Subject| inventory_change.fate(subject) == Fate::Stays;
        self.vantage.retain(|probe, _| stays(&probe.subject));
        self.served.retain(|subject, _| stays(subject));
        self.hellos.retain(|subject, _| stays(subject));
        self.losses.retain(|subject, _| stays(subject));
        self.counts.retain(|subject, _| stays(subject));
        self.statuses.retain(|subject, _| stays(subject));
        self.alarm_lists.retain(|subject, _| stays(subject));
        self.member_lists.retain(|subject, _| stays(subject));
        self.lists_asked.retain(|subject, _| stays(subject));
        let chosen: Vec<Subject> = std::mem::take(&mut self.chosen).into_keys().filter(stays).collect();
        self.tls_mismatch.retain(|subject, _| stays(subject));
        // What a metrics listener reported belongs to another address than the client port.
        let listens = |subject: &Subject| stays(subject) && inventory_change.listens_as_before(subject);
        self.metrics.retain(|subject, _| listens(subject));
        self.tracks.retain(|subject, aspect| stays(subject) && (aspect != Aspect::ConfiguredPages || listens(subject)));
        self.sizes.retain(|subject, _| stays(subject));
        self.elections.retain(|subject, _| self.inventory.watches(subject));
        self.dates.retain(stays);
        self.flow_controls.retain(|name, flow_control| {
            flow_control.retain(stays);
            self.inventory.clusters.contains_key(name)
        });
        self.metrics_pages.retain(|name, pages| {
            pages.retain(stays);
            self.inventory.clusters.contains_key(name)
        });
        self.canaries.retain(|name, canaries| {
            canaries.retain(stays);
            let of = |inventory: &Inventory| inventory.clusters.get(name).and_then(|known| known.canaries.clone());
            // Another namespace or another set of them is another thing.
            of(&before).is_some_and(|known| of(&self.inventory) == Some(known))
        });
        self.zpages.retain(|name, zpages| {
            zpages.retain(stays);
            self.inventory.clusters.get(name).is_some_and(|cluster| cluster.zpages)
        });
        self.references.replace(&self.inventory, |place| place.is_cluster() || stays(place));
        let has_files = |scope: Option<&Name>| self.inventory.files(scope).is_some_and(|files| !files.is_empty());
        self.shelves.retain(|scope, _| has_files(scope.as_ref()));
        self.moved.retain(|subject, _| self.inventory.watches(subject));
        self.moved.extend(inventory_change.moved().map(|subject| (subject, now)));
        self.pictures.retain(|name, _| self.inventory.clusters.contains_key(name));
        for name in self.inventory.clusters.keys() {
            let cluster_snapshot = Arc::make_mut(self.pictures.entry(name.clone()).or_default());
            let is_watched = |subject: &Subject| self.inventory.watches(subject);
            if !has_files(Some(name)) {
                cluster_snapshot.stored = None;
            }
            let is_of_listeners = |kind| matches!(kind, ProbeKind::EtcdMetrics | ProbeKind::EtcdHealth);
            cluster_snapshot.observations.retain(|probe, _| {
                let is_on = |canary| self.inventory.has_canary(&probe.subject, canary);
                stays(&probe.subject)
                    && probe.kind.canary().is_none_or(is_on)
                    && (!is_of_listeners(probe.kind) || inventory_change.listens_as_before(&probe.subject))
            });
            cluster_snapshot.members.retain(|subject, _| listens(subject));
            cluster_snapshot.served.retain(|subject, _| stays(subject));
            cluster_snapshot.tallies.retain(|subject, _| is_watched(subject));
        }
        for name in self.inventory.clusters.keys().cloned().collect::<Vec<_>>() {
            self.show_zpages(&name);
        }
        // Members may have come or gone, and how long a list counts may have changed.
        for etcd in chosen {
            self.choose(&etcd);
        }
    }

    /// Whether an observation is about something that is watched, at the place where it is watched.
    #[must_use]
    pub fn concerns(&self, observation: &Observation) -> bool {
        let subject = &observation.probe.subject;
        let went_elsewhere = self.moved.get(subject).is_some_and(|since| observation.scheduled.mono < *since);
        self.inventory.watches(subject) && !went_elsewhere
    }

    /// Notes that a probe of `subject` is under way for too long. Returns whether that is its first bad sign.
    pub fn take_overdue(&mut self, probe: &Probe, scheduled: Mono, now: Mono) -> bool {
        if probe.kind == ProbeKind::Readyz {
            self.hellos.entry(probe.subject.clone()).or_default().take_overdue();
        }
        let is_first = |track: &mut ProbeRuns| track.take_overdue(now);
        // Members of a round have a deadline of their own, and everything else decides nothing alone.
        let decides = matches!(probe.kind, ProbeKind::Readyz | ProbeKind::Reference);
        let is_void = self.void_until.is_some_and(|until| scheduled < until);
        decides && !is_void && is_first(self.tracks.or_default(&probe.subject, Aspect::Answer))
    }

    /// The vantage lost its network, or has it again: bad probes from in between do not count.
    pub fn set_isolated(&mut self, isolated: bool, now: Mono) {
        self.path.set_isolated(isolated, now);
        if !isolated {
            self.forget_until(now);
        }
    }

    /// Probes scheduled before `until` that have not come back are discarded, because vedette was stalled. What was
    /// confirmed before is in doubt until its next probe; returns the subjects of that.
    pub fn void_until(&mut self, until: Mono) -> BTreeSet<Subject> {
        self.void_until = Some(until);
        let policy = &self.policy;
        let doubted = self.tracks.iter_mut().filter_map(|(subject, track)| {
            track.doubt_bad(policy);
            track.bad().is_some().then(|| subject.clone())
        });
        doubted.collect()
    }

    /// The same after a time without network, or a gap so long that what was seen before it is outdated: everything is
    /// confirmed anew.
    pub fn forget_until(&mut self, until: Mono) {
        self.void_until = Some(until);
        self.tracks.iter_mut().for_each(|(_, track)| track.forget_bad());
        self.references.forget_silence();
        self.losses.values_mut().for_each(ConnectionLosses::forget);
    }

    /// What the next handshake with `subject` begins with. A probe of the handshake alone uses the large one.
    #[must_use]
    pub fn hello(&self, probe: &Probe) -> Hello {
        let hellos = self.hellos.get(&probe.subject).filter(|_| probe.kind != ProbeKind::Chain);
        hellos.map_or(Hello::Large, ClientHellos::next)
    }

    /// Whether the path to `subject` takes a large ClientHello.
    #[must_use]
    pub fn passage(&self, subject: &Subject) -> Passage {
        self.hellos.get(subject).map_or(Passage::Unknown, ClientHellos::passage)
    }

    /// Whether a probe of `subject` scheduled at `scheduled` still shows the state at `now`.
    #[must_use]
    pub fn is_fresh(&self, subject: &Subject, scheduled: Mono, now: Mono) -> bool {
        now.since(scheduled) <= Aspect::Answer.freshness(subject, &self.policy)
    }

    /// What should exist.
    #[must_use]
    pub const fn inventory(&self) -> &Arc<Inventory> {
        &self.inventory
    }

    /// The numbers that decide.
    #[must_use]
    pub const fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Proof of our own path.
    #[must_use]
    pub const fn path(&self) -> &OwnNetwork {
        &self.path
    }

    /// One subject under one aspect; `None` before its first probe.
    #[must_use]
    pub fn track(&self, subject: &Subject, aspect: Aspect) -> Option<&ProbeRuns> {
        self.tracks.get(subject, aspect)
    }

    /// How many new connections to an API VIP are lost; `None` before the first.
    #[must_use]
    pub fn connection_losses(&self, vip: &Subject) -> Option<&ConnectionLosses> {
        self.losses.get(vip)
    }

    /// Since when `vip` is known to lose a part of all new connections; `None` while it is not.
    #[must_use]
    pub fn loses_connections_since(&self, vip: &Subject) -> Option<Now> {
        self.connection_losses(vip)?.lossy_since()
    }

    /// An instance behind `vip` showed its first bad sign at `first`.
    pub fn suspect_losses(&mut self, vip: &Subject, first: Now) {
        if let Some(losses) = self.losses.get_mut(vip) {
            losses.suspect(first);
        }
    }

    /// How many samples of new connections to `vip` may be asked for at `now`.
    #[must_use]
    pub fn samples_allowed(&self, vip: &Subject, now: Mono) -> u32 {
        self.losses.get(vip).map_or(0, |losses| losses.allowance(now))
    }

    /// So many samples of new connections to `vip` were asked for.
    pub fn charge_samples(&mut self, vip: &Subject, samples: u32, now: Mono) {
        if let Some(losses) = self.losses.get_mut(vip) {
            losses.charge(samples, now);
        }
    }

    /// The state of the bad run of a subject.
    #[must_use]
    pub fn confirmation(&self, subject: &Subject, aspect: Aspect, now: Mono) -> Confirmation {
        let has_reference = || self.references.any_beside(subject.cluster());
        self.track(subject, aspect)
            .map_or(Confirmation::None, |track| track.confirmation(&self.policy, has_reference, now))
    }

    /// What a subject does while its latest probes are bad.
    #[must_use]
    pub fn symptom(&self, subject: &Subject) -> Option<&Symptom> {
        self.track(subject, Aspect::Answer)?.bad().map(|bad| &bad.symptom)
    }

    /// The chain an endpoint served last.
    #[must_use]
    pub fn served(&self, subject: &Subject) -> Option<&ServedSeen> {
        self.served.get(subject)
    }

    /// The other members of the etcd of `subject` whose chains were last seen before `since`.
    #[must_use]
    pub fn siblings_unseen_since(&self, subject: &Subject, since: Mono) -> Vec<Subject> {
        let Some(etcd) = subject.etcd().filter(|_| subject.is_etcd_member()) else { return Vec::new() };
        let is_old = |other: &Subject| self.served(other).is_some_and(|seen| seen.at.mono < since);
        self.inventory.members(&etcd).filter(|other| other != subject && is_old(other)).collect()
    }

    /// What is known of the files of a cluster, or of the vantage; `None` before the first probe of them.
    #[must_use]
    pub fn files_view(&self, cluster: Option<&Name>) -> Option<&FilesView> {
        self.shelves.get(&cluster.cloned())
    }

    /// The last Status round of an etcd cluster.
    #[must_use]
    pub fn count(&self, etcd: &Subject) -> Option<&(Now, Count)> {
        self.counts.get(etcd)
    }

    /// A member's last Status, however old.
    #[must_use]
    pub fn status(&self, member: &Subject) -> Option<&(Now, MemberStatus)> {
        self.statuses.get(member)
    }

    /// Alarms that the members of an etcd cluster report, in their status or in the alarm list.
    #[must_use]
    pub fn alarms(&self, etcd: &Subject) -> Vec<EtcdAlarm> {
        let told = self.counts.get(etcd).map(|(_, count)| count.alarms.as_slice());
        let listed = self.alarm_lists.get(etcd).map(|(_, alarms)| alarms.as_slice());
        let mut all = [told.unwrap_or_default(), listed.unwrap_or_default()].concat();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The leaders an etcd cluster has had.
    #[must_use]
    pub fn elections(&self, etcd: &Subject) -> Option<&Elections> {
        self.elections.get(etcd)
    }

    /// How an etcd member's database has grown.
    #[must_use]
    pub fn sizes(&self, member: &Subject) -> Option<&DatabaseGrowth> {
        self.sizes.get(member)
    }

    /// A member's last metrics, however old.
    #[must_use]
    pub fn metrics(&self, member: &Subject) -> Option<&(Now, MemberMetrics)> {
        self.metrics.get(member)
    }

    /// The list of members as one of them reports it, however old.
    #[must_use]
    pub fn member_list(&self, member: &Subject) -> Option<&(Now, Vec<MemberListing>)> {
        self.member_lists.get(member)
    }

    /// Who uses the apiservers of a cluster; `None` before the first sign.
    #[must_use]
    pub fn flow_control(&self, cluster: &Name) -> Option<&FlowControl> {
        self.flow_controls.get(cluster)
    }

    /// What the canaries of a cluster saw; `None` before the first.
    #[must_use]
    pub fn canaries(&self, cluster: &Name) -> Option<&CanaryRuns> {
        self.canaries.get(cluster)
    }

    /// What is known by the `/metrics` of the apiservers of `cluster`.
    #[must_use]
    pub fn metrics_pages(&self, cluster: &Name) -> Option<&MetricsPages> {
        self.metrics_pages.get(cluster)
    }

    /// What the apiservers of a cluster tell of themselves; `None` before the first answer.
    #[must_use]
    pub fn zpages(&self, cluster: &Name) -> Option<&Zpages> {
        self.zpages.get(cluster)
    }

    /// Whether a planned probe that is due at `now` is left out: see [`FlowControl::leaves_out`] and
    /// [`MetricsPages::leaves_out`].
    #[must_use]
    pub fn leaves_out(&self, probe: &Probe, now: Mono) -> bool {
        let Some(cluster) = probe.subject.cluster() else { return false };
        let (flow_control, pages) = (self.flow_controls.get(cluster), self.metrics_pages.get(cluster));
        flow_control.is_some_and(|known| known.leaves_out(&probe.subject, probe.kind, now))
            || probe.kind == ProbeKind::ApiserverMetrics
                && pages.is_some_and(|known| known.leaves_out(&probe.subject, now))
    }

    /// Whether an overload of the cluster of `subject` is suspected.
    #[must_use]
    pub fn is_overload_suspected(&self, subject: &Subject, now: Mono) -> bool {
        let flow_control = subject.cluster().and_then(|cluster| self.flow_controls.get(cluster));
        flow_control.is_some_and(|known| known.is_suspected(now))
    }

    /// How a member used TLS in its latest probe where none is configured, or none where it is.
    #[must_use]
    pub fn tls_mismatch(&self, member: &Subject) -> Option<Unseen> {
        self.tls_mismatch.get(member).copied()
    }

    /// What was concluded about a member.
    #[must_use]
    pub fn facts(&self, member: &Subject) -> MemberFacts {
        let cluster_snapshot = member.cluster().and_then(|cluster| self.pictures.get(cluster));
        cluster_snapshot.and_then(|cluster_snapshot| cluster_snapshot.members.get(member)).copied().unwrap_or_default()
    }

    /// Why a member was not seen in the last round.
    #[must_use]
    pub fn member_unseen(&self, member: &Subject) -> Option<Unseen> {
        match self.symptom(member)? {
            Symptom::Silent(unseen) => Some(*unseen),
            Symptom::Status(_) | Symptom::NotReady(_) | Symptom::Foreign { .. } => None,
        }
    }

    /// The latest observation of each probe of a cluster.
    #[must_use]
    pub fn cluster_snapshot(&self, cluster: &Name) -> Option<&Arc<ClusterSnapshot>> {
        self.pictures.get(cluster)
    }

    /// The latest observations of all clusters.
    #[must_use]
    pub const fn pictures(&self) -> &BTreeMap<Name, Arc<ClusterSnapshot>> {
        &self.pictures
    }

    /// The latest observation of each reference target, resolver and the own clock.
    #[must_use]
    pub const fn vantage(&self) -> &FlatMap<Probe, Arc<Observation>> {
        &self.vantage
    }

    /// Every subject followed under the aspect `Answer`, with its track.
    pub fn answering(&self) -> impl Iterator<Item = (&Subject, &ProbeRuns)> {
        let followed = self.tracks.iter().filter(|(_, aspect, _)| *aspect == Aspect::Answer);
        followed.map(|(subject, _, track)| (subject, track))
    }

    /// The places that could prove our path.
    #[must_use]
    pub const fn references(&self) -> &References {
        &self.references
    }

    /// Notes whether a reference target has been silent for so long that it proves nothing any more. Returns whether
    /// that is news.
    pub fn set_silent_reference(&mut self, place: &Subject, is_silent: bool) -> bool {
        self.references.set_silent(place, is_silent, &self.inventory)
    }

    /// Median of (server date − own wall clock) in milliseconds over answers of the last minute.
    ///
    /// `Date` has a resolution of one second, so the value is good to half a second at best.
    #[must_use]
    pub fn clock_offset_millis(&self, now: Mono) -> Option<i64> {
        self.dates.median_millis(now)
    }

    /// What our own clock and those of the apiservers agree on, by the dates of the last minute; `None` where fewer than
    /// three are heard, or no majority agrees.
    #[must_use]
    pub fn clock_vote(&self, now: Mono) -> Option<ClockVote> {
        self.dates.vote(now)
    }

    /// By how many milliseconds the clock of `instance` is ahead of what the places agree on.
    ///
    /// Good to a second: the date has whole seconds, and the answer was under way.
    #[must_use]
    pub fn clock_deviation_millis(&self, instance: &Subject, now: Mono) -> Option<i64> {
        self.dates.deviation_millis(instance, now)
    }

    /// Whether our own clock is wrong by what the places agree on, in votes in a row.
    #[must_use]
    pub const fn own_clock(&self) -> Option<OwnClockRun> {
        self.dates.own()
    }

    /// Whether expiry may be evaluated by the wall clock: servers' dates agree with it, or there are none to ask.
    #[must_use]
    pub fn is_wall_clock_trusted(&self, now: Mono) -> bool {
        self.dates.confirm_clock(self.policy.expiry_clock_error, now)
    }

    /// The wall clock was set: what was known of its error is discarded.
    pub fn set_clock(&mut self, now: Mono) {
        self.dates.set_clock(now);
    }

    /// Sets the planned rates of the clusters, for the snapshot.
    pub fn set_planned(&mut self, plan: &Plan) {
        for (name, cluster_snapshot) in &mut self.pictures {
            Arc::make_mut(cluster_snapshot).planned = plan.rate(&Some(name.clone()));
        }
    }
}
