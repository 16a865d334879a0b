//! A family as it is drawn: whole, or a few clusters or endpoints at a time.
//!
//! A page has more of them than fit into memory at once where thousands of endpoints are watched, so that what has
//! samples of each cluster is a name, a help and a function from a cluster to its samples.

use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;

use crate::model::certificate_files::FilesReading;
use crate::model::flat_map::FlatMap;
use crate::model::observation::Observation;
use crate::model::probe::Probe;
use crate::model::snapshot::ClusterSnapshot;
use crate::model::subject::{Name, Subject};
use crate::model::tally::Tally;

use super::Page;
use super::family::Family;

/// A cluster, or the vantage, of which a page has samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) page: Page<'a>,
    /// `None` for the vantage.
    pub(super) cluster: Option<(&'a Name, &'a ClusterSnapshot)>,
}

impl<'a> Scope<'a> {
    /// The latest probe of every probe.
    pub(super) fn observations(self) -> &'a FlatMap<Probe, Arc<Observation>> {
        self.cluster.map_or(&self.page.snapshot.vantage, |(_, cluster_snapshot)| &cluster_snapshot.observations)
    }

    /// What its files hold.
    pub(super) fn stored(self) -> Option<&'a FilesReading> {
        let stored = self.cluster.map_or(&self.page.snapshot.stored, |(_, cluster_snapshot)| &cluster_snapshot.stored);
        stored.as_ref().map(|(_, reading)| reading.as_ref())
    }
}

/// A family, as far as it has been drawn, and where the rest of its samples comes from.
#[derive(Debug)]
pub(super) struct Drawing {
    family: Family,
    rest: Option<Rest>,
}

/// The samples that are still to be drawn, behind the last cluster or endpoint that was.
#[derive(Debug)]
enum Rest {
    OfScopes(fn(Scope<'_>, &mut Family), Option<Name>),
    OfEndpoints(fn(&Subject, &Tally, &mut Family), Option<(Name, Subject)>),
}

impl Family {
    /// This family with the samples that `samples` adds for each cluster, and for the vantage last.
    pub(super) const fn by_scope(self, samples: fn(Scope<'_>, &mut Self)) -> Drawing {
        Drawing { family: self, rest: Some(Rest::OfScopes(samples, None)) }
    }

    /// This family with the samples that `samples` adds for each endpoint, so that those of a cluster, dozens for each
    /// endpoint, need not be drawn together.
    pub(super) const fn by_endpoint(self, samples: fn(&Subject, &Tally, &mut Self)) -> Drawing {
        Drawing { family: self, rest: Some(Rest::OfEndpoints(samples, None)) }
    }
}

impl From<Family> for Drawing {
    fn from(family: Family) -> Self {
        Self { family, rest: None }
    }
}

impl Drawing {
    pub(super) fn name(&self) -> &str {
        self.family.name()
    }

    /// The next piece in the page's format; empty behind the last.
    ///
    /// # Errors
    /// When the family has no name.
    pub(super) fn next(&mut self, page: Page<'_>) -> prometheus::Result<Vec<u8>> {
        let family = &mut self.family;
        self.rest = match &self.rest {
            None => None,
            Some(Rest::OfScopes(samples, last)) => scopes(page, last.as_ref()).find_map(|scope| {
                samples(scope, family);
                let (name, _) = scope.cluster.filter(|_| family.fills_piece())?;
                Some(Rest::OfScopes(*samples, Some(name.clone())))
            }),
            Some(Rest::OfEndpoints(samples, last)) => {
                endpoints(page, last.as_ref()).find_map(|(name, subject, tally)| {
                    samples(subject, tally, family);
                    let is_full = family.fills_piece();
                    is_full.then(|| Rest::OfEndpoints(*samples, Some((name.clone(), subject.clone()))))
                })
            }
        };
        self.family.take()
    }
}

/// The clusters that follow `last`, or all of them, and the vantage.
fn scopes<'a>(page: Page<'a>, last: Option<&'a Name>) -> impl Iterator<Item = Scope<'a>> {
    let from = last.map_or(Unbounded, Excluded);
    let clusters = page.snapshot.clusters.range::<Name, _>((from, Unbounded));
    let clusters = clusters.map(|(name, cluster_snapshot)| Some((name, cluster_snapshot.as_ref())));
    clusters.chain([None]).map(move |cluster| Scope { page, cluster })
}

/// The endpoints that follow `last`, in order; all of them without it.
fn endpoints<'a>(
    page: Page<'a>,
    last: Option<&'a (Name, Subject)>,
) -> impl Iterator<Item = (&'a Name, &'a Subject, &'a Tally)> {
    let from = last.map_or(Unbounded, |(name, _)| Included(name));
    page.snapshot.clusters.range::<Name, _>((from, Unbounded)).flat_map(move |(name, cluster_snapshot)| {
        let last = last.filter(|(within, _)| within == name).map(|(_, subject)| subject);
        cluster_snapshot.tallies.after(last).map(move |(subject, tally)| (name, subject, tally.as_ref()))
    })
}
