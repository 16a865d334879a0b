//! What is known of files: what they hold, what is gone, what cannot be read, and what should be served.
//!
//! Only compares: the rules decide how long an absence, a fault or an older certificate at an endpoint must last before
//! it is reported. Called by the view for each probe of files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::certificate::{Certificate, Fingerprint};
use crate::model::certificate_files::{FilesReading, Item, ItemKind, Life};
use crate::model::completeness::{Absence, Completeness};
use crate::model::flat_map::FlatMap;
use crate::model::inventory::FileWatch;
use crate::model::place::Place;
use crate::model::subject::{Name, Subject};
use crate::model::time::{Now, UnixTime};

/// What is known of the files of a cluster, or of the vantage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FilesView {
    at: Now,
    reading: Arc<FilesReading>,
    source_states: BTreeMap<Name, SourceState>,
    newest: BTreeMap<Subject, Newest>,
}

/// The latest results of reading a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    /// How much of it the latest reading shows.
    pub completeness: Completeness,
    /// Whether something of it cannot be read.
    pub is_faulty: bool,
    /// The first probe in a row that found it so.
    pub since: Now,
    /// Number of probes in this row.
    pub probes: u32,
}

/// The newest stored certificate that an endpoint should serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newest {
    /// Which.
    pub fingerprint: Fingerprint,
    /// Its start and end.
    pub life: Life,
    /// The source it lies in.
    pub source: Name,
    /// The file it lies in.
    pub path: Box<str>,
    /// The first probe in a row that found it the newest.
    pub since: Now,
    /// The last of them.
    pub until: Now,
    /// Number of probes in this row.
    pub probes: u32,
}

impl FilesView {
    /// What is known after one more probe. `served` are the endpoints that a stored certificate could be meant for,
    /// each with the leaf it serves.
    #[must_use]
    pub fn after(
        before: Option<&Self>,
        reading: &Arc<FilesReading>,
        at: Now,
        watches: &FlatMap<Name, FileWatch>,
        served: &[(Subject, Arc<Certificate>)],
    ) -> Self {
        let source_states = reading
            .sources
            .iter()
            .map(|source| {
                let is_faulty = source.is_faulty();
                let known = before.and_then(|before| before.source_states.get(&source.name));
                let completeness = source.completeness(at.wall, known.map(|known| &known.completeness));
                let (since, probes) = match known.filter(|known| known.is_faulty == is_faulty) {
                    Some(known) => (known.since, known.probes.saturating_add(1)),
                    None => (at, 1),
                };
                (source.name.clone(), SourceState { completeness, is_faulty, since, probes })
            })
            .collect();
        let newest = newest(reading, watches, served)
            .into_iter()
            .map(|(subject, Candidate { item, life, source, path })| {
                let known = before.and_then(|before| before.newest.get(&subject));
                let same = known.filter(|known| known.fingerprint == item.fingerprint);
                let newest = Newest {
                    fingerprint: item.fingerprint,
                    life,
                    source: source.clone(),
                    path: path.into(),
                    since: same.map_or(at, |same| same.since),
                    until: at,
                    probes: same.map_or(1, |same| same.probes.saturating_add(1)),
                };
                (subject, newest)
            })
            .collect();
        Self { at, reading: Arc::clone(reading), source_states, newest }
    }

    /// When the latest probe was due.
    #[must_use]
    pub const fn at(&self) -> Now {
        self.at
    }

    /// What the latest probe read.
    #[must_use]
    pub const fn reading(&self) -> &Arc<FilesReading> {
        &self.reading
    }

    /// What it means that the reading does not show what was in files of `source`. Without the name of a source it may
    /// lie in any; without paths, in any file of it.
    #[must_use]
    pub fn absence(&self, source: Option<&Name>, paths: &[String]) -> Absence {
        let places: Vec<Option<Place>> =
            if paths.is_empty() { vec![None] } else { paths.iter().map(|path| Some(Place::file(path))).collect() };
        let hides = |state: &SourceState| {
            places.iter().any(|place| state.completeness.absence(place.as_ref()) == Absence::NotSeen)
        };
        let mut concerned =
            self.source_states.iter().filter(|(name, _)| source.is_none_or(|source| *name == source)).peekable();
        // Of a source that was never read nothing is known.
        let may_be_there = concerned.peek().is_none() || concerned.any(|(_, state)| hides(state));
        if may_be_there { Absence::NotSeen } else { Absence::Gone }
    }

    /// Whether what was in these files of `source` could still be there unread.
    #[must_use]
    pub fn may_hide(&self, source: Option<&Name>, paths: &[String]) -> bool {
        self.absence(source, paths) == Absence::NotSeen
    }

    /// How each source was read in the latest probes.
    #[must_use]
    pub const fn source_states(&self) -> &BTreeMap<Name, SourceState> {
        &self.source_states
    }

    /// The newest stored certificate that `endpoint` should serve; `None` when none is known to be meant for it.
    #[must_use]
    pub fn newest(&self, endpoint: &Subject) -> Option<&Newest> {
        self.newest.get(endpoint)
    }

    /// Paths of the files that hold the item, at most `most`, and how many more there are.
    #[must_use]
    pub fn paths(&self, fingerprint: Fingerprint, not_after: UnixTime, most: usize) -> (Vec<String>, usize) {
        let Some(held) = self.reading.find(fingerprint, not_after) else { return (Vec::new(), 0) };
        let paths: BTreeSet<&str> = held.places().map(|(_, file, _)| file.path.as_ref()).collect();
        let more = paths.len().saturating_sub(most);
        (paths.into_iter().take(most).map(str::to_owned).collect(), more)
    }
}

/// A stored certificate that may be meant for an endpoint.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    item: &'a Item,
    life: Life,
    source: &'a Name,
    path: &'a str,
}

/// For each endpoint the newest certificate meant for it: one of the source that says so, else one with the subject,
/// issuer and names of what the endpoint serves.
fn newest<'a>(
    reading: &'a FilesReading,
    watches: &FlatMap<Name, FileWatch>,
    served: &[(Subject, Arc<Certificate>)],
) -> BTreeMap<Subject, Candidate<'a>> {
    let said: BTreeSet<&Subject> = watches.values().filter_map(|watch| watch.serves.as_ref()).collect();
    let by_identity: Vec<(u64, &Subject)> = served
        .iter()
        .filter(|(subject, _)| !said.contains(subject))
        .map(|(subject, leaf)| (leaf.identity(), subject))
        .collect();
    let mut newest: BTreeMap<Subject, Candidate<'a>> = BTreeMap::new();
    let mut offer = |subject: &Subject, candidate: Candidate<'a>| {
        let is_newer = newest.get(subject).is_none_or(|known| age(&candidate.life) > age(&known.life));
        if is_newer {
            newest.insert(subject.clone(), candidate);
        }
    };
    for source in &reading.sources {
        let meant = watches.get(&source.name).and_then(|watch| watch.serves.as_ref());
        let holder = meant.and_then(|subject| served.iter().find(|(known, _)| known == subject));
        let leaves = || {
            let whole = source.files.iter().filter(|file| file.fault.is_none() && source.fault.is_none());
            whole
                .flat_map(|file| file.items.iter().map(move |item| (item, file.path.as_ref())))
                .filter(|(item, _)| item.kind == ItemKind::Leaf)
        };
        // A directory may hold certificates of several servers; those of the same subject come first.
        let has_same_holder =
            holder.is_some_and(|(_, leaf)| leaves().any(|(item, _)| item.holder.as_ref() == leaf.subject.as_str()));
        for (item, path) in leaves() {
            let Some(life) = item.life else { continue };
            let candidate = Candidate { item, life, source: &source.name, path };
            if let Some(subject) = meant {
                let is_same = holder.is_some_and(|(_, leaf)| item.holder.as_ref() == leaf.subject.as_str());
                if is_same || !has_same_holder {
                    offer(subject, candidate);
                }
            }
            for (_, subject) in by_identity.iter().filter(|(identity, _)| *identity == item.identity) {
                offer(subject, candidate);
            }
        }
    }
    newest
}

/// The later begun is the newer, also where it ends sooner.
const fn age(life: &Life) -> (i64, i64) {
    (life.not_before.as_millis(), life.not_after.as_millis())
}
