//! Whether the listing of a source shows all of it: only then is what it does not show gone.
//!
//! A source is what certificates are looked for in: files of one entry of the configuration, objects of a cluster, the
//! files of a node. Whether something is gone or was only not seen is answered here and nowhere else, for all of them.

use serde::{Deserialize, Serialize};

use super::file_fault::FileFault;
use super::place::Place;
use super::time::UnixTime;

/// How much of a source its latest listing shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Completeness {
    /// All of it, at this time.
    Complete {
        /// When it was listed.
        at: UnixTime,
    },
    /// A part of it.
    Partial {
        /// When it was listed.
        at: UnixTime,
        /// When it was last listed in full; `None` for never since start.
        complete: Option<UnixTime>,
        /// What is missing.
        missing: Missing,
    },
    /// Nothing: it was never listed.
    Never,
}

/// What a listing lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Why; of several reasons the first.
    pub reason: Shortfall,
    /// How many parts, as far as they could be counted; at least 1.
    pub count: u64,
    /// Which parts, at most [`Missing::MAX_PARTS`]; `None` where not all of them are known, so that anything may be
    /// among them.
    pub parts: Option<Vec<Place>>,
}

/// Why a listing is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shortfall {
    /// A limit was reached, of number, size or time.
    Limit,
    /// Something could not be read.
    Unreadable(FileFault),
}

/// What it means that a listing does not show something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// It was there and is not any more.
    Gone,
    /// It may still be there.
    NotSeen,
}

impl Missing {
    /// Bound on the parts that are known by name: with more of them, anything may be missing.
    pub const MAX_PARTS: usize = 256;
}

impl Completeness {
    /// Whether the listing shows all of the source.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        matches!(self, Self::Complete { .. })
    }

    /// When the source was last listed in full; `None` for never since start.
    #[must_use]
    pub const fn complete_at(&self) -> Option<UnixTime> {
        match self {
            Self::Complete { at } => Some(*at),
            Self::Partial { complete, .. } => *complete,
            Self::Never => None,
        }
    }

    /// What it means that the listing does not show what was at `place`; without one, somewhere in the source.
    #[must_use]
    pub fn absence(&self, place: Option<&Place>) -> Absence {
        let may_hide = match self {
            Self::Complete { .. } => false,
            Self::Partial { missing, .. } => match (&missing.parts, place) {
                (Some(parts), Some(place)) => parts.iter().any(|part| part.covers(place)),
                (Some(_), None) | (None, _) => true,
            },
            Self::Never => true,
        };
        if may_hide { Absence::NotSeen } else { Absence::Gone }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: UnixTime = UnixTime::from_millis(1_000);

    fn partial(parts: Option<Vec<Place>>) -> Completeness {
        let missing = Missing { reason: Shortfall::Unreadable(FileFault::Forbidden), count: 1, parts };
        Completeness::Partial { at: AT, complete: None, missing }
    }

    #[test]
    fn only_a_complete_listing_shows_that_anything_in_the_source_is_gone() {
        let place = Place::file("/etc/pki/a.crt");
        let unknown = [partial(None), Completeness::Never, partial(Some(vec![Place::file("/etc/pki")]))];

        assert_eq!(Completeness::Complete { at: AT }.absence(Some(&place)), Absence::Gone);
        assert_eq!(Completeness::Complete { at: AT }.absence(None), Absence::Gone);
        for completeness in unknown {
            assert_eq!(completeness.absence(Some(&place)), Absence::NotSeen, "{completeness:?}");
            assert_eq!(completeness.absence(None), Absence::NotSeen, "{completeness:?}");
        }
    }

    #[test]
    fn a_part_that_cannot_be_read_hides_nothing_beside_it() {
        let completeness = partial(Some(vec![Place::file("/etc/pki/b.crt")]));

        assert_eq!(completeness.absence(Some(&Place::file("/etc/pki/a.crt"))), Absence::Gone);
        assert_eq!(completeness.absence(None), Absence::NotSeen);
    }
}
