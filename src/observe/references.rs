//! Which places outside prove that our own path works, and which of them have stopped to.
//!
//! A place is a reference target, a resolver, or a whole cluster: each cluster is a reference target for the others.
//! Counts probes; a rule decides that a place has been silent for too long beside others that answer, and reports it by
//! [`References::set_silent`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::inventory::Inventory;
use crate::model::policy::Policy;
use crate::model::subject::{Name, Role, Subject};
use crate::model::time::Now;

use super::probe_runs::Run;

/// All places outside this machine that could prove our path.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct References {
    heard: BTreeMap<Subject, Hearing>,
    silent: BTreeSet<Subject>,
    /// Reference targets and resolvers that are not known to be silent.
    living_points: usize,
    /// Clusters that are not known to be silent.
    living_clusters: BTreeSet<Name>,
    /// What the configuration has, silent or not: asked for each cluster whenever it is evaluated.
    has_remote: bool,
    has_several_clusters: bool,
}

/// What the latest probes of one place show about our own network.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Hearing {
    /// Probes that proved the path, since the last silence of the place that counted.
    pub proofs: Option<Run>,
    /// Probes in a row that proved nothing.
    pub silence: Option<Run>,
}

impl References {
    /// The places of the configuration, without probes yet.
    #[must_use]
    pub fn new(inventory: &Inventory) -> Self {
        let mut references = Self::default();
        references.count(inventory);
        references
    }

    /// Another configuration: what is known of places that `stays` where they were is kept.
    pub fn replace(&mut self, inventory: &Inventory, stays: impl Fn(&Subject) -> bool) {
        self.heard.retain(|place, _| stays(place));
        self.silent.retain(|place| inventory.watches(place));
        self.count(inventory);
    }

    /// A probe of `subject` scheduled at `scheduled` proved our path.
    pub fn hear(&mut self, subject: &Subject, scheduled: Now, policy: &Policy) {
        let Some(place) = place(subject) else { return };
        let hearing = self.heard.entry(place).or_default();
        let before = hearing.proofs.filter(|_| !hearing.is_silent(policy));
        *hearing = Hearing { proofs: Some(Run::extended(before, scheduled)), silence: None };
    }

    /// A probe of `subject` scheduled at `scheduled` came to its end without an answer.
    pub fn miss(&mut self, subject: &Subject, scheduled: Now) {
        let Some(place) = place(subject) else { return };
        let hearing = self.heard.entry(place).or_default();
        hearing.silence = Some(Run::extended(hearing.silence, scheduled));
    }

    /// Forgets the silence of the places, because it was measured while our own network was lost.
    pub fn forget_silence(&mut self) {
        self.heard.values_mut().for_each(|hearing| hearing.silence = None);
    }

    /// The latest runs of a place; `None` before its first probe.
    #[must_use]
    pub fn hearing(&self, place: &Subject) -> Option<&Hearing> {
        self.heard.get(place)
    }

    /// Notes whether a place has been silent for so long that its silence shows nothing about our own network any more.
    /// Returns whether that is news.
    pub fn set_silent(&mut self, place: &Subject, is_silent: bool, inventory: &Inventory) -> bool {
        let is_news = if is_silent { self.silent.insert(place.clone()) } else { self.silent.remove(place) };
        if is_news {
            self.count(inventory);
        }
        is_news
    }

    /// Whether a place has been found to be silent for so long.
    #[must_use]
    pub fn is_silent(&self, place: &Subject) -> bool {
        self.silent.contains(place)
    }

    /// Places that have been found to be silent for so long.
    pub fn silent(&self) -> impl Iterator<Item = &Subject> {
        self.silent.iter()
    }

    /// Whether anything beside `cluster` could prove our path, or could have when it was last asked.
    #[must_use]
    pub fn any_beside(&self, cluster: Option<&Name>) -> bool {
        let itself = usize::from(cluster.is_some_and(|cluster| self.living_clusters.contains(cluster)));
        self.living_points > 0 || self.living_clusters.len() > itself
    }

    /// Whether there is another place to compare each place with: with no other place, the silence of the only cluster
    /// cannot be distinguished from a lost network of our own.
    #[must_use]
    pub fn can_tell_isolation(&self) -> bool {
        self.living_points > 0 || self.living_clusters.len() > 1
    }

    /// Whether the configuration has a place outside this machine that could prove our path besides the clusters
    /// themselves.
    #[must_use]
    pub const fn has_remote(&self) -> bool {
        self.has_remote
    }

    /// Whether it has two clusters outside this machine, so that each has another that says something of our path.
    #[must_use]
    pub const fn has_several_clusters(&self) -> bool {
        self.has_several_clusters
    }

    fn count(&mut self, inventory: &Inventory) {
        self.has_remote = inventory.has_remote_reference();
        self.has_several_clusters = inventory.has_several_remote_clusters();
        self.living_points = inventory.remote_points().filter(|point| !self.silent.contains(point)).count();
        self.living_clusters = inventory
            .remote_clusters()
            .filter(|cluster| !self.silent.contains(&Subject::Cluster((*cluster).clone())))
            .cloned()
            .collect();
    }
}

impl Hearing {
    /// Whether probes enough have proved nothing, over at least an interval of reference targets: a cluster that
    /// answers one probe in that time is not silent.
    #[must_use]
    pub fn is_silent(&self, policy: &Policy) -> bool {
        let span = |run: &Run| run.last.mono.since(run.first.mono);
        self.silence.is_some_and(|run| run.probes >= policy.confirm_probes && span(&run) >= policy.reference_interval)
    }
}

fn place(subject: &Subject) -> Option<Subject> {
    match subject.role() {
        Role::Outside => Some(subject.clone()),
        Role::Cluster | Role::Api | Role::Etcd => subject.cluster().cloned().map(Subject::Cluster),
        Role::OwnSide | Role::Item => None,
    }
}
