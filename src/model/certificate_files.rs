//! Certificates and tokens in files, and the results of reading them.
//!
//! Compact on purpose: a machine may hold a hundred thousand of them. Holds no key, no token and nothing from which
//! either could be had. Who renews an item, which endpoint should serve it and whether we use it ourselves is in the
//! inventory, under the name of its source.

mod backup_names;
mod items;
mod public_cas;
mod replaced;

use std::num::NonZeroU64;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::items::Items;
use self::replaced::Placed;
use super::certificate::Fingerprint;
use super::completeness::{Completeness, Missing, Shortfall};
pub use super::file_fault::FileFault;
use super::place::Place;
use super::subject::Name;
use super::time::UnixTime;

/// One probe at all sources of a cluster, or of the vantage.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FilesReading {
    /// Each source, in the order of their names.
    pub sources: Vec<SourceReading>,
    /// Every item by its end, what has none last; places of one and the same item side by side.
    order: Vec<Spot>,
}

/// Where an item lies: positions in the lists of a [`FilesReading`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Spot {
    source: u32,
    file: u32,
    item: u32,
    /// Whether the same source holds the one that replaced it.
    is_superseded: bool,
    /// Whether it is a CA of a public bundle that has nothing to do with us.
    #[serde(default)]
    is_foreign: bool,
}

/// One item and everywhere it lies.
#[derive(Debug, Clone, Copy)]
pub struct Held<'a> {
    reading: &'a FilesReading,
    spots: &'a [Spot],
}

/// One entry of the configuration: a file, a directory, a glob, or a credential of our own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReading {
    /// Its name in the inventory.
    pub name: Name,
    /// Files that hold something or could not be read, in the order of their paths. What could not be read now is as
    /// it was last read. Shared, because the reader, the judges and the pages all keep them.
    pub files: Arc<[Arc<StoredFile>]>,
    /// What is wrong with the source as a whole; then `files` is what was known before.
    pub fault: Option<FileFault>,
    /// Files that were read.
    pub looked_at: u64,
    /// Files, directories and certificates that were left out because a bound was reached.
    pub left_out: u64,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// Its path, made fit to be shown.
    pub path: Box<str>,
    /// What it holds.
    pub items: Items,
    /// Why it could not be read as it is now; `items` is then what was last read.
    pub fault: Option<Trouble>,
    /// Blocks in it that could not be read, while others could.
    pub damaged: u32,
}

/// A file that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Why.
    pub fault: FileFault,
    /// When it was last read without a fault; `None` for never since start.
    pub last_read: Option<UnixTime>,
}

/// A certificate or a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// SHA-256 of the certificate, or of what a token says without its signature.
    pub fingerprint: Fingerprint,
    /// Hash of subject, issuer and names: equal for a certificate and the one that replaces it.
    pub identity: u64,
    /// Start and end; `None` for a token that has no end.
    pub life: Option<Life>,
    /// Subject of a certificate, `sub` of a token, in a form fit to be shown.
    pub holder: Box<str>,
    /// Who issued it.
    pub issuer: Arc<str>,
    /// Beginning of the hash of a certificate's key; `None` for tokens, and where it could not be read.
    #[serde(default)]
    pub key: Option<NonZeroU64>,
    /// Position in the file, from 1, over certificates and tokens alike.
    pub position: u32,
    /// What it is.
    pub kind: ItemKind,
}

/// Start and end of validity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Life {
    /// End.
    pub not_after: UnixTime,
    /// Start; a year before the end for a token that does not say.
    pub not_before: UnixTime,
}

/// What a stored item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// A certificate that is no CA, in a file of certificates.
    Leaf,
    /// The same, and its extended key usage names clients alone.
    Client,
    /// A CA.
    Authority,
    /// A client certificate inside a kubeconfig.
    KubeconfigClient,
    /// A client certificate inside a talosconfig.
    TalosClient,
    /// A bearer token inside a kubeconfig.
    KubeconfigToken,
    /// A bearer token in a file of its own.
    Token,
}

impl FilesReading {
    /// A reading of these sources. It sorts, so it is made on a thread that delays no probe.
    #[must_use]
    pub fn new(mut sources: Vec<SourceReading>) -> Self {
        sources.sort_by(|one, other| one.name.cmp(&other.name));
        let counted = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let items = sources.iter().flat_map(|read| read.files.iter()).map(|stored| stored.items.len()).sum();
        let mut reading = Self { sources, order: Vec::with_capacity(items) };
        for (source, read) in reading.sources.iter().enumerate() {
            for (file, stored) in read.files.iter().enumerate() {
                for item in 0..stored.items.len() {
                    let [source, file, item] = [source, file, item].map(counted);
                    reading.order.push(Spot { source, file, item, is_superseded: false, is_foreign: false });
                }
            }
        }
        reading.sort();
        reading.mark_superseded();
        reading.mark_foreign();
        reading
    }

    /// By the end, then by the fingerprint, then by the place, which is the order that they are in.
    fn sort(&mut self) {
        let mut order = std::mem::take(&mut self.order);
        let end = |spot: &Spot| self.at(*spot).2.life.map_or(UnixTime::from_millis(i64::MAX), |life| life.not_after);
        // The ends are laid side by side for it: items themselves lie all over the memory.
        order.sort_by_cached_key(end);
        for ending_together in order.chunk_by_mut(|one, other| end(one) == end(other)) {
            ending_together.sort_by_key(|spot| self.at(*spot).2.fingerprint);
        }
        self.order = order;
    }

    /// A kubelet keeps its dated files, people keep backups: on what was replaced nobody has to act.
    fn mark_superseded(&mut self) {
        let placed = self.order.iter().enumerate().map(|(at, spot)| {
            let (_, file, item) = self.at(*spot);
            Placed { at, source: spot.source, path: &file.path, item }
        });
        for at in replaced::replaced(&placed) {
            self.order[at].is_superseded = true;
        }
    }

    /// Marks the CAs of the system's bundle that issued no stored item; they are not reported.
    fn mark_foreign(&mut self) {
        for at in public_cas::foreign(self) {
            self.order[at].is_foreign = true;
        }
    }

    /// Every item once, by its end.
    pub fn held(&self) -> impl Iterator<Item = Held<'_>> {
        self.order
            .chunk_by(|one, other| self.at(*one).2.fingerprint == self.at(*other).2.fingerprint)
            .map(|spots| Held { reading: self, spots })
    }

    /// The item of that fingerprint and end, wherever it lies.
    #[must_use]
    pub fn find(&self, fingerprint: Fingerprint, not_after: UnixTime) -> Option<Held<'_>> {
        let place = |spot: &Spot| {
            let item = self.at(*spot).2;
            (item.life.map_or(UnixTime::from_millis(i64::MAX), |life| life.not_after), item.fingerprint)
        };
        let first = self.order.partition_point(|spot| place(spot) < (not_after, fingerprint));
        let spots = self.order[first..].chunk_by(|_, other| place(other) == (not_after, fingerprint)).next()?;
        (place(&spots[0]) == (not_after, fingerprint)).then_some(Held { reading: self, spots })
    }

    /// Number of items, each place of one and the same counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn at(&self, spot: Spot) -> (&SourceReading, &StoredFile, &Item) {
        let position = |at: u32| usize::try_from(at).unwrap_or(usize::MAX);
        let source = &self.sources[position(spot.source)];
        let file = &source.files[position(spot.file)];
        (source, file, &file.items[position(spot.item)])
    }
}

impl<'a> Held<'a> {
    /// The item.
    #[must_use]
    pub fn item(&self) -> &'a Item {
        self.reading.at(self.spots[0]).2
    }

    /// Whether what replaced it lies in the same source, in every place.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        self.spots.iter().all(|spot| spot.is_superseded)
    }

    /// Whether it is a CA of public bundles and nothing else.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.spots.iter().all(|spot| spot.is_foreign)
    }

    /// Whether anybody here has to care for its end: it is neither foreign nor replaced.
    #[must_use]
    pub fn is_current(&self) -> bool {
        !self.spots.iter().all(|spot| spot.is_superseded || spot.is_foreign)
    }

    /// Each place: its source, its file, and the item as it lies there (its kind may differ).
    pub fn places(&self) -> impl Iterator<Item = (&'a SourceReading, &'a StoredFile, &'a Item)> + use<'a> {
        let (reading, spots) = (self.reading, self.spots);
        spots.iter().map(move |spot| reading.at(*spot))
    }
}

impl StoredFile {
    /// The file as the place of what is in it.
    #[must_use]
    pub fn place(&self) -> Place {
        Place::file(&self.path)
    }
}

impl SourceReading {
    /// Whether something of it cannot be read.
    #[must_use]
    pub fn is_faulty(&self) -> bool {
        self.fault.is_some() || self.files.iter().any(|file| file.fault.is_some())
    }

    /// How much of the source a reading at `at` shows, after one of which `before` was known.
    #[must_use]
    pub fn completeness(&self, at: UnixTime, before: Option<&Completeness>) -> Completeness {
        let faults = || self.files.iter().filter_map(|file| Some((file, file.fault?.fault)));
        let unreadable = self.fault.or_else(|| faults().next().map(|(_, fault)| fault)).map(Shortfall::Unreadable);
        let Some(reason) = unreadable.or((self.left_out > 0).then_some(Shortfall::Limit)) else {
            return Completeness::Complete { at };
        };
        let was_never_listed = before.is_none_or(|before| *before == Completeness::Never);
        if self.fault.is_some() && was_never_listed {
            return Completeness::Never;
        }
        let faulty = faults().count();
        let are_known = self.fault.is_none() && self.left_out == 0 && faulty <= Missing::MAX_PARTS;
        let parts = are_known.then(|| faults().map(|(file, _)| file.place()).collect());
        let count = u64::from(self.fault.is_some()) + u64::try_from(faulty).unwrap_or(u64::MAX);
        let missing = Missing { reason, count: count.saturating_add(self.left_out), parts };
        Completeness::Partial { at, complete: before.and_then(Completeness::complete_at), missing }
    }
}

impl ItemKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Leaf,
        Self::Client,
        Self::Authority,
        Self::KubeconfigClient,
        Self::TalosClient,
        Self::KubeconfigToken,
        Self::Token,
    ];

    /// Bounded label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Leaf => "leaf",
            Self::Client => "client",
            Self::Authority => "authority",
            Self::KubeconfigClient => "kubeconfig_client",
            Self::TalosClient => "talos_client",
            Self::KubeconfigToken => "kubeconfig_token",
            Self::Token => "token",
        }
    }

    /// Whether it is a token, and no certificate.
    #[must_use]
    pub const fn is_token(self) -> bool {
        matches!(self, Self::KubeconfigToken | Self::Token)
    }

    /// Whether it is in a kubeconfig: a copy that is not renewed together with others.
    #[must_use]
    pub const fn is_in_kubeconfig(self) -> bool {
        matches!(self, Self::KubeconfigClient | Self::KubeconfigToken)
    }
}
