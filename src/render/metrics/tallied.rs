//! Families about all probes since the start: how long they took, how they ended.
//!
//! They have a few hundred lines for each endpoint, nine tenths of the page, and are therefore drawn a few endpoints at
//! a time.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;

use crate::model::snapshot::ClusterSnapshot;
use crate::model::subject::{Name, Subject};
use crate::model::tally::Tally;

use super::family::{Family, count};
use super::probes::asked;

/// One of the families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tallied {
    /// How long probes took.
    Durations,
    /// How they ended.
    Endings,
}

/// An endpoint that has been drawn.
pub(super) type Drawn = (Name, Subject);

impl Tallied {
    fn family(self) -> Family {
        match self {
            Self::Durations => Family::histogram(
                "vedette_probe_phase_duration_seconds",
                "Duration of one phase of a probe. Phases are disjoint; one that was not reached has no sample. \
                 The outcome of a failed phase is the cause of the failure.",
            ),
            Self::Endings => Family::counter("vedette_probes_total", "Probes that ended, by outcome."),
        }
    }

    fn add(self, subject: &Subject, tally: &Tally, family: &mut Family) {
        match self {
            Self::Durations => {
                for (series, histogram) in tally.durations() {
                    let labels = asked(subject, series.kind, series.connection)
                        .with("phase", series.phase.as_str())
                        .with("outcome", series.outcome);
                    family.distribution(&labels, histogram);
                }
            }
            Self::Endings => {
                for (ended, times) in tally.endings() {
                    let labels = asked(subject, ended.kind, ended.connection).with("outcome", ended.outcome);
                    family.sample(&labels, count(times));
                }
            }
        }
    }

    /// The samples of up to `most` endpoints that follow `last`, and the last of these; `None` behind the end.
    pub(super) fn draw(
        self,
        clusters: &BTreeMap<Name, Arc<ClusterSnapshot>>,
        last: Option<&Drawn>,
        most: usize,
    ) -> Option<(Family, Drawn)> {
        let mut family = if last.is_some() { self.family().continued() } else { self.family() };
        let mut drawn = None;
        for (name, subject, tally) in after(clusters, last).take(most) {
            self.add(subject, tally, &mut family);
            drawn = Some((name, subject));
        }
        drawn.map(|(name, subject)| (family, (name.clone(), subject.clone())))
    }
}

/// The endpoints that follow `last`, in order; all of them without it.
fn after<'a>(
    clusters: &'a BTreeMap<Name, Arc<ClusterSnapshot>>,
    last: Option<&'a Drawn>,
) -> impl Iterator<Item = (&'a Name, &'a Subject, &'a Tally)> {
    let from = last.map_or(Unbounded, |(name, _)| Included(name));
    clusters.range::<Name, _>((from, Unbounded)).flat_map(move |(name, cluster_snapshot)| {
        let from = last.filter(|(within, _)| within == name).map_or(Unbounded, |(_, subject)| Excluded(subject));
        cluster_snapshot
            .tallies
            .range::<Subject, _>((from, Unbounded))
            .map(move |(subject, tally)| (name, subject, tally.as_ref()))
    })
}
