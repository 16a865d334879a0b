//! What is believed of files: what lies there, what is gone, what cannot be read, and what should be served.
//!
//! Compares; does not judge. How long an absence, a fault or an older certificate at an endpoint must last before it
//! means something is the business of the rules. Called by the view for each look at files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::model::certificate::{Certificate, Fingerprint};
use crate::model::inventory::FileWatch;
use crate::model::stored::{FilesReading, Item, ItemKind, Life};
use crate::model::subject::{Name, Subject};
use crate::model::time::{Now, UnixTime};

/// Items that are remembered as gone for one look. More at once is a directory taken away, and nobody's renewal.
const MAX_GONE: usize = 256;
/// What ends later than this is of no concern to any rule when it goes: the widest band is two years.
const CONCERN: Duration = Duration::from_secs(2 * 366 * 86_400);

/// What is believed of the files of a cluster, or of the vantage.
#[derive(Debug, Clone)]
pub struct Shelf {
    at: Now,
    reading: Arc<FilesReading>,
    gone: BTreeSet<Fingerprint>,
    standings: BTreeMap<Name, SourceStanding>,
    newest: BTreeMap<Subject, Newest>,
}

/// How a source was read lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceStanding {
    /// Whether something of it cannot be read.
    pub is_faulty: bool,
    /// The first look in a row that found it so.
    pub since: Now,
    /// Number of looks in this row.
    pub looks: u32,
}

/// The newest stored certificate that an endpoint should serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    /// Which.
    pub fingerprint: Fingerprint,
    /// Its start and end.
    pub life: Life,
    /// The file it lies in.
    pub path: Box<str>,
    /// The first look in a row that found it the newest.
    pub since: Now,
    /// The last of them.
    pub until: Now,
    /// Number of looks in this row.
    pub looks: u32,
}

impl Shelf {
    /// What one look adds to what was believed. `served` are the endpoints that a stored certificate could be meant
    /// for, each with the leaf it serves.
    #[must_use]
    pub fn after(
        before: Option<&Self>,
        reading: &Arc<FilesReading>,
        at: Now,
        watches: &BTreeMap<Name, FileWatch>,
        served: &[(Subject, Arc<Certificate>)],
    ) -> Self {
        let standings = reading
            .sources
            .iter()
            .map(|source| {
                let is_faulty = source.fault.is_some() || source.files.iter().any(|file| file.fault.is_some());
                let known = before.and_then(|before| before.standings.get(&source.name));
                let standing = match known.filter(|known| known.is_faulty == is_faulty) {
                    Some(known) => SourceStanding { looks: known.looks.saturating_add(1), ..*known },
                    None => SourceStanding { is_faulty, since: at, looks: 1 },
                };
                (source.name.clone(), standing)
            })
            .collect();
        let gone = before.map(|before| gone(&before.reading, reading, at.wall)).unwrap_or_default();
        let newest = newest(reading, watches, served)
            .into_iter()
            .map(|(subject, (item, life, path))| {
                let known = before.and_then(|before| before.newest.get(&subject));
                let same = known.filter(|known| known.fingerprint == item.fingerprint);
                let newest = Newest {
                    fingerprint: item.fingerprint,
                    life,
                    path: path.into(),
                    since: same.map_or(at, |same| same.since),
                    until: at,
                    looks: same.map_or(1, |same| same.looks.saturating_add(1)),
                };
                (subject, newest)
            })
            .collect();
        Self { at, reading: Arc::clone(reading), gone, standings, newest }
    }

    /// When the latest look was due.
    #[must_use]
    pub const fn at(&self) -> Now {
        self.at
    }

    /// What the latest look read.
    #[must_use]
    pub const fn reading(&self) -> &Arc<FilesReading> {
        &self.reading
    }

    /// What the latest look was the first not to find: it may be about to be replaced.
    #[must_use]
    pub const fn gone(&self) -> &BTreeSet<Fingerprint> {
        &self.gone
    }

    /// How each source was read lately.
    #[must_use]
    pub const fn standings(&self) -> &BTreeMap<Name, SourceStanding> {
        &self.standings
    }

    /// The newest stored certificate that `endpoint` should serve; `None` when none is known to be meant for it.
    #[must_use]
    pub fn newest(&self, endpoint: &Subject) -> Option<&Newest> {
        self.newest.get(endpoint)
    }

    /// Paths of the files that hold the item, at most `most`, and how many more there are.
    #[must_use]
    pub fn paths(&self, fingerprint: Fingerprint, not_after: UnixTime, most: usize) -> (Vec<String>, usize) {
        let end = |item: &Item| item.life.map(|life| life.not_after);
        let mut with_this_end = self
            .reading
            .held()
            .skip_while(|held| end(held.item()).is_some_and(|end| end < not_after))
            .take_while(|held| end(held.item()) == Some(not_after));
        let Some(held) = with_this_end.find(|held| held.item().fingerprint == fingerprint) else {
            return (Vec::new(), 0);
        };
        let paths: BTreeSet<&str> = held.places().map(|(_, file, _)| file.path.as_ref()).collect();
        let more = paths.len().saturating_sub(most);
        (paths.into_iter().take(most).map(str::to_owned).collect(), more)
    }
}

fn gone(before: &Arc<FilesReading>, after: &Arc<FilesReading>, now: UnixTime) -> BTreeSet<Fingerprint> {
    if Arc::ptr_eq(before, after) {
        return BTreeSet::new();
    }
    let horizon = now.plus(CONCERN);
    let concerns = |item: &Item| item.life.is_some_and(|life| life.not_after <= horizon);
    let there = |reading: &FilesReading| -> BTreeSet<Fingerprint> {
        reading.held().map(|held| held.item()).take_while(|item| concerns(item)).map(|item| item.fingerprint).collect()
    };
    let still = there(after);
    there(before).into_iter().filter(|fingerprint| !still.contains(fingerprint)).take(MAX_GONE).collect()
}

type Candidate<'a> = (&'a Item, Life, &'a str);

/// For each endpoint the newest certificate meant for it: one of the source that says so, else one with the holder,
/// issuer and names of what the endpoint serves.
fn newest<'a>(
    reading: &'a FilesReading,
    watches: &BTreeMap<Name, FileWatch>,
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
        let is_newer = newest.get(subject).is_none_or(|known| age(&candidate.1) > age(&known.1));
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
        // A directory may hold certificates of several servers; those of the same holder come first.
        let has_same_holder =
            holder.is_some_and(|(_, leaf)| leaves().any(|(item, _)| item.holder.as_ref() == leaf.subject.as_str()));
        for (item, path) in leaves() {
            let Some(life) = item.life else { continue };
            if let Some(subject) = meant {
                let is_same = holder.is_some_and(|(_, leaf)| item.holder.as_ref() == leaf.subject.as_str());
                if is_same || !has_same_holder {
                    offer(subject, (item, life, path));
                }
            }
            for (_, subject) in by_identity.iter().filter(|(identity, _)| *identity == item.identity) {
                offer(subject, (item, life, path));
            }
        }
    }
    newest
}

/// The later begun is the newer, also where it ends sooner.
const fn age(life: &Life) -> (i64, i64) {
    (life.not_before.as_millis(), life.not_after.as_millis())
}
