//! The page in pieces, so that a page about thousands of endpoints is never whole in memory.

use std::sync::Arc;

use crate::model::snapshot::Snapshot;
use crate::model::time::Now;

use super::family::Family;
use super::format::Format;
use super::tallied::{Drawn, Tallied};
use super::{Page, certificate, certificate_files, cluster, etcd, flow_control, incident, own, probes};

/// Endpoints in one piece of a family that has up to thirty lines for each: 40 kB of text. An allocator keeps less of
/// what is freed in small pieces.
const AT_ONCE: usize = 8;

/// Families that are drawn whole, a group at a time.
const GROUPS: [fn(Page<'_>) -> Vec<Family>; 8] = [
    own::families,
    cluster::families,
    incident::families,
    probes::families,
    flow_control::families,
    etcd::families,
    certificate::families,
    certificate_files::families,
];

/// Families that are drawn endpoint by endpoint.
const TALLIED: [Tallied; 3] = [Tallied::Endings, Tallied::Durations, Tallied::Phases];

/// The page of one snapshot: whole lines or messages, the samples of a family one after the other. An error means that a family has no name, which none of ours lacks.
#[derive(Debug)]
pub struct Pieces {
    snapshot: Arc<Snapshot>,
    now: Now,
    format: Format,
    groups: std::slice::Iter<'static, fn(Page<'_>) -> Vec<Family>>,
    /// Drawn, and not yet handed out.
    ahead: std::vec::IntoIter<Family>,
    tallied: std::slice::Iter<'static, Tallied>,
    /// What is being drawn endpoint by endpoint, and how far.
    underway: Option<(Tallied, Option<Drawn>)>,
}

impl Pieces {
    /// The page of `snapshot` at the time of a scrape. Ages are judged by the snapshot's own policy.
    #[must_use]
    pub fn of(snapshot: Arc<Snapshot>, now: Now, format: Format) -> Self {
        let (groups, tallied) = (GROUPS.iter(), TALLIED.iter());
        Self { snapshot, now, format, groups, ahead: Vec::new().into_iter(), tallied, underway: None }
    }

    /// The next family that is drawn whole.
    fn whole(&mut self) -> Option<Family> {
        loop {
            if let Some(family) = self.ahead.find(|family| !family.is_empty()) {
                return Some(family);
            }
            let group = self.groups.next()?;
            let page = Page { snapshot: &self.snapshot, now: self.now, format: self.format };
            let mut families = group(page);
            families.sort_by(|one, other| one.name().cmp(other.name()));
            self.ahead = families.into_iter();
        }
    }

    /// The next part of a family that is drawn endpoint by endpoint.
    fn in_part(&mut self) -> Option<Family> {
        loop {
            let (tallied, last) = match self.underway.take() {
                Some(underway) => underway,
                None => (*self.tallied.next()?, None),
            };
            if let Some((family, last)) = tallied.draw(self.format, &self.snapshot.clusters, last.as_ref(), AT_ONCE) {
                self.underway = Some((tallied, Some(last)));
                return Some(family);
            }
        }
    }
}

impl Iterator for Pieces {
    type Item = prometheus::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.whole().or_else(|| self.in_part()).map(Family::finish)
    }
}
