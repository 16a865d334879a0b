//! The runs of probes of every subject, under every aspect that it is followed under.
//!
//! Rules ask for tens of them whenever a cluster is evaluated. They are kept by cluster, so that what it costs to find
//! one does not grow with the number of clusters.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::flat_map::FlatMap;
use crate::model::subject::{Name, Subject};

use super::aspect::Aspect;
use super::probe_runs::ProbeRuns;

type Followed = FlatMap<Subject, FlatMap<Aspect, ProbeRuns>>;

/// All of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Tracks {
    clusters: BTreeMap<Name, Followed>,
    /// Of what belongs to no cluster.
    vantage: Followed,
}

impl Tracks {
    fn of(&self, subject: &Subject) -> Option<&Followed> {
        match subject.cluster() {
            Some(cluster) => self.clusters.get(cluster),
            None => Some(&self.vantage),
        }
    }

    fn of_mut(&mut self, subject: &Subject) -> Option<&mut Followed> {
        match subject.cluster() {
            Some(cluster) => self.clusters.get_mut(cluster),
            None => Some(&mut self.vantage),
        }
    }

    /// Of `subject` under `aspect`; `None` before its first probe.
    pub(super) fn get(&self, subject: &Subject, aspect: Aspect) -> Option<&ProbeRuns> {
        self.of(subject)?.get(subject)?.get(&aspect)
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, subject: &Subject, aspect: Aspect) -> Option<&mut ProbeRuns> {
        self.of_mut(subject)?.get_mut(subject)?.get_mut(&aspect)
    }

    /// The same; begins to follow it where it is not followed.
    pub(super) fn or_default(&mut self, subject: &Subject, aspect: Aspect) -> &mut ProbeRuns {
        let followed = match subject.cluster() {
            // Nearly always it is there: no name is copied to find out.
            Some(cluster) if self.clusters.contains_key(cluster) => self.clusters.get_mut(cluster),
            Some(cluster) => Some(self.clusters.entry(cluster.clone()).or_default()),
            None => None,
        };
        followed.unwrap_or(&mut self.vantage).or_default(subject).or_default(&aspect)
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Subject, Aspect, &ProbeRuns)> {
        let followed = self.clusters.values().chain([&self.vantage]);
        let of_subject = followed.flat_map(FlatMap::iter);
        of_subject.flat_map(|(subject, tracks)| tracks.iter().map(move |(aspect, track)| (subject, *aspect, track)))
    }

    /// All of them, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&Subject, &mut ProbeRuns)> {
        let followed = self.clusters.values_mut().chain([&mut self.vantage]);
        let of_subject = followed.flat_map(FlatMap::iter_mut);
        of_subject.flat_map(|(subject, tracks)| tracks.values_mut().map(move |track| (subject, track)))
    }

    /// Keeps those for which `stays` holds.
    pub(super) fn retain(&mut self, stays: impl Fn(&Subject, Aspect) -> bool) {
        for followed in self.clusters.values_mut().chain([&mut self.vantage]) {
            followed.retain(|subject, tracks| {
                tracks.retain(|aspect, _| stays(subject, *aspect));
                !tracks.is_empty()
            });
        }
        self.clusters.retain(|_, followed| !followed.is_empty());
    }
}
