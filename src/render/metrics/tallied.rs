//! Families about all probes since the start: how long they took, how they ended.
//!
//! They have some sixty lines for each endpoint, most of the page, and are therefore drawn a few endpoints at a time.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;

use crate::model::snapshot::ClusterSnapshot;
use crate::model::subject::{Name, Subject};
use crate::model::tally::{Asked, Tally};

use super::family::{Family, count};
use super::format::Format;
use super::probes::asked;

/// One of the families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tallied {
    /// How probes ended.
    Endings,
    /// How long those took that got an answer.
    Durations,
    /// How long phases took.
    Phases,
}

/// An endpoint that has been drawn.
pub(super) type Drawn = (Name, Subject);

impl Tallied {
    fn family(self, format: Format) -> Family {
        match self {
            Self::Endings => format.counter("vedette_probes_total", "Probes that ended, by outcome."),
            Self::Durations => format.histogram(
                "vedette_probe_duration_seconds",
                "Duration of probes that got an answer, from the resolution of the name to the last byte.",
            ),
            Self::Phases => format.summary(
                "vedette_probe_phase_duration_seconds",
                "Duration of one phase of a probe. Phases are disjoint; one that was not reached has no sample, one that failed has.",
            ),
        }
    }

    fn add(self, subject: &Subject, tally: &Tally, family: &mut Family) {
        let labels = |of: Asked| asked(subject, of.kind, of.connection);
        match self {
            Self::Endings => tally
                .endings()
                .for_each(|(of, outcome, times)| family.sample(&labels(of).with("outcome", outcome), count(times))),
            Self::Durations => {
                tally.durations().for_each(|(of, histogram)| family.distribution(&labels(of), histogram));
            }
            Self::Phases => {
                tally.phases().for_each(|(of, phase, sum)| family.sum(&labels(of).with("phase", phase.as_str()), sum))
            }
        }
    }

    /// The samples of up to `most` endpoints that follow `last`, and the last of these; `None` behind the end.
    pub(super) fn draw(
        self,
        format: Format,
        clusters: &BTreeMap<Name, Arc<ClusterSnapshot>>,
        last: Option<&Drawn>,
        most: usize,
    ) -> Option<(Family, Drawn)> {
        let mut family = if last.is_some() { self.family(format).continued() } else { self.family(format) };
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
