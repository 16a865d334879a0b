//! Files with certificates on the scripted machine, and what their reader remembers of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use vedette::model::certificate::{Class, Fingerprint};
use vedette::model::certificate_files::{
    FileFault, FilesReading, Item, ItemKind, Life, SourceReading, StoredFile, Trouble,
};
use vedette::model::inventory::{FileWatch, Inventory};
use vedette::model::time::UnixTime;

use super::world::{api, inventory, name, seconds};

const DAY: Duration = Duration::from_secs(86_400);

/// Files of `prod`, by source and path.
#[derive(Debug, Default)]
pub(super) struct Disk {
    files: BTreeMap<(&'static str, String), Vec<Item>>,
    /// Files that are cut short at present.
    cut: BTreeSet<String>,
    /// Sources that cannot be read at present.
    lost: BTreeSet<&'static str>,
    /// What was lost since this start of the reader, which it therefore knows as it was before.
    known: BTreeSet<String>,
}

/// The standard world with two sources of files, one of them with what api-1 should serve.
pub(super) fn with_files() -> Inventory {
    let watch = |path: &str, serves| FileWatch {
        path: path.into(),
        certificates: Class::Manual,
        renewed_at_permille: None,
        serves,
        own: None,
    };
    let mut all = inventory();
    let prod = all.clusters.get_mut(&name("prod")).unwrap();
    prod.files = [(name("pki"), watch("/srv/pki", Some(api(1)))), (name("users"), watch("/srv/users", None))].into();
    all
}

/// A client certificate that ends after `ends` from the start of the world, a year after it began.
pub(super) fn client(number: u8, start: UnixTime, ends: Duration) -> Item {
    let not_after = start.plus(ends);
    Item {
        fingerprint: Fingerprint([number; 32]),
        identity: u64::from(number),
        key: None,
        life: Some(Life { not_after, not_before: not_after.minus(DAY * 365) }),
        holder: format!("CN=user-{number}").into(),
        issuer: "CN=kubernetes".into(),
        position: 1,
        kind: ItemKind::Client,
    }
}

/// A serving certificate of an apiserver, newer than any that is served.
pub(super) fn renewed(start: UnixTime) -> Item {
    Item {
        kind: ItemKind::Leaf,
        holder: "CN=kube-apiserver".into(),
        life: Some(Life { not_before: start, not_after: start.plus(DAY * 365) }),
        ..client(250, start, DAY * 365)
    }
}

impl Disk {
    pub(super) fn put(&mut self, source: &'static str, path: &str, items: Vec<Item>) {
        self.files.insert((source, path.to_owned()), items);
    }

    pub(super) fn remove(&mut self, source: &'static str, path: &str) {
        self.files.remove(&(source, path.to_owned()));
    }

    /// Somebody is writing the file, and has not come to its end.
    pub(super) fn cut_short(&mut self, path: &str) {
        self.cut.insert(path.to_owned());
        self.known.insert(path.to_owned());
    }

    /// The whole source can be read no longer.
    pub(super) fn lose(&mut self, source: &'static str) {
        self.lost.insert(source);
        let of_source = self.files.keys().filter(|(known, _)| *known == source);
        self.known.extend(of_source.map(|(_, path)| path.clone()));
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
        self.lost.clear();
    }

    /// The reader starts anew: it knows nothing but what it can read.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    /// One probe at all of them.
    pub(super) fn read(&self, now: UnixTime) -> FilesReading {
        FilesReading::new(["pki", "users"].map(|source| self.source(source, now)).into())
    }

    fn source(&self, source: &'static str, now: UnixTime) -> SourceReading {
        let is_lost = self.lost.contains(source);
        let of_source = self.files.iter().filter(|((known, _), _)| *known == source);
        let files: Vec<Arc<StoredFile>> = of_source
            .filter(|((_, path), _)| !is_lost || self.known.contains(path))
            .map(|((_, path), items)| {
                let is_cut = self.cut.contains(path);
                let is_known = !is_cut || self.known.contains(path);
                let last_read = is_known.then(|| now.minus(seconds(60)));
                Arc::new(StoredFile {
                    path: path.as_str().into(),
                    items: if is_known { items.clone() } else { Vec::new() }.into(),
                    fault: is_cut.then_some(Trouble { fault: FileFault::HalfWritten, last_read }),
                    damaged: 0,
                })
            })
            .collect();
        let fault = is_lost.then_some(FileFault::Missing);
        SourceReading { name: name(source), looked_at: 1, left_out: 0, files: files.into(), fault }
    }
}
