//! The page in pieces, so that a page about thousands of endpoints is never whole in memory.

use std::sync::Arc;

use crate::model::snapshot::Snapshot;
use crate::model::time::Now;

use super::drawing::Drawing;
use super::format::Format;
use super::{
    Page, apiserver, certificate, certificate_files, cluster, etcd, flow_control, incident, own, probes, tallied,
    zpages,
};

/// The families of a page, those of a group by name.
const GROUPS: [fn(Page<'_>) -> Vec<Drawing>; 12] = [
    own::families,
    cluster::families,
    incident::families,
    probes::families,
    flow_control::families,
    apiserver::families,
    zpages::families,
    etcd::families,
    certificate::families,
    certificate_files::families,
    tallied::endings,
    tallied::durations,
];

/// The page of one snapshot: whole lines or messages, the samples of a family one after the other. An error means that a
/// family has no name, which none of ours lacks.
#[derive(Debug)]
pub struct Pieces {
    snapshot: Arc<Snapshot>,
    now: Now,
    format: Format,
    groups: std::slice::Iter<'static, fn(Page<'_>) -> Vec<Drawing>>,
    /// The rest of the group that is being drawn: without samples yet, except for families that have few.
    ahead: std::vec::IntoIter<Drawing>,
    underway: Option<Drawing>,
}

impl Pieces {
    /// The page of `snapshot` at the time of a scrape. Ages are judged by the snapshot's own policy.
    #[must_use]
    pub fn of(snapshot: Arc<Snapshot>, now: Now, format: Format) -> Self {
        Self { snapshot, now, format, groups: GROUPS.iter(), ahead: Vec::new().into_iter(), underway: None }
    }
}

impl Iterator for Pieces {
    type Item = prometheus::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let page = Page { snapshot: &self.snapshot, now: self.now, format: self.format };
        loop {
            if let Some(drawing) = &mut self.underway {
                let piece = drawing.next(page);
                if !piece.as_ref().is_ok_and(Vec::is_empty) {
                    return Some(piece);
                }
            }
            self.underway = self.ahead.next();
            if self.underway.is_none() {
                let mut group = self.groups.next()?(page);
                group.sort_by(|one, other| one.name().cmp(other.name()));
                self.ahead = group.into_iter();
            }
        }
    }
}
