//! One source: its files found, changed ones read, of those that cannot be read the last result kept.
//!
//! Blocks on the file system, so it runs on threads that may block.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::ExposeSecret as _;

use super::open::{self, Buffer, FileStamp};
use super::walk::{self, Candidate, Care, Reach};
use crate::config::settings::{FilePlace, Source, WatchedFiles};
use crate::model::certificate_files::{FileFault, Item, Items, SourceReading, StoredFile, Trouble};
use crate::model::inventory::OwnPart;
use crate::model::subject::Name;
use crate::model::time::{Clock, Mono, UnixTime};
use crate::parse::certificate_files::{self, Contents, Options};
use crate::parse::kubeconfig::embedded::PieceKind;
use crate::parse::text::MAX_BYTES;

/// Certificates and tokens of one source that are kept: at 400 bytes each, 80 MB.
const MAX_ITEMS: usize = 200_000;
/// Files between two reads of the clock.
const STRIDE: usize = 64;

/// What the files of one source held when they were last read.
#[derive(Default)]
pub(super) struct SourceCache {
    /// By the hash of the path, sorted.
    known: Vec<CachedFile>,
    scanned: Option<UnixTime>,
    last: Option<SourceReading>,
    issuers: BTreeSet<Arc<str>>,
}

struct CachedFile {
    path_hash: u64,
    /// `None` is read again whatever its state.
    stamp: Option<FileStamp>,
    file: Arc<StoredFile>,
    /// What a kubeconfig names; boxed twice, because hardly a file is one.
    named: Option<Box<Named>>,
}

#[derive(Clone)]
struct Named(Vec<(PieceKind, PathBuf)>);

/// How a file is to be parsed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum As {
    Whatever(Care),
    Piece(PieceKind),
    /// A token of our own, which need not be one that says when it ends.
    OwnToken,
}

impl SourceCache {
    /// Reads the files of `watch`; of those not reached by `until` the previous result is kept.
    pub(super) fn scan(&mut self, watch: &WatchedFiles, clock: &Clock, until: Option<Mono>) -> SourceReading {
        let now = clock.now().wall;
        let reading = match &watch.place {
            FilePlace::Pattern(path) => self.probe_files(watch, path, clock, until),
            FilePlace::Source(source) => self.probe_source(watch, source),
        };
        self.scanned = Some(now);
        self.issuers.retain(|issuer| Arc::strong_count(issuer) > 1);
        self.last = Some(reading.clone());
        reading
    }

    fn probe_source(&mut self, watch: &WatchedFiles, source: &Source) -> SourceReading {
        let Ok(bytes) = source.read() else { return faulty(&watch.name, self.last.as_ref(), FileFault::Missing) };
        let form = of_own(watch).unwrap_or(As::Whatever(Care::Named));
        let (items, contents) = self.understand(bytes.expose_secret(), form);
        let path = match source {
            Source::Inline(_) => "in the kubeconfig".to_owned(),
            Source::File(_) | Source::Credential(_) | Source::Env(_) => format!("{source:?}"),
        };
        let fault = contents.fault.map(|fault| Trouble { fault, last_read: None });
        let file = StoredFile { path: path.into(), items: items.into(), fault, damaged: contents.damaged() };
        let known = self.last.as_ref().and_then(|last| last.files.first()).filter(|known| ***known == file);
        let files = [known.cloned().unwrap_or_else(|| Arc::new(file))].into();
        SourceReading { name: watch.name.clone(), files, fault: None, looked_at: 1, left_out: 0 }
    }

    fn probe_files(&mut self, watch: &WatchedFiles, path: &Path, clock: &Clock, until: Option<Mono>) -> SourceReading {
        let found = match walk::find(path, walk::MAX_FILES, Reach::Usual) {
            Ok(found) => found,
            Err(fault) => return faulty(&watch.name, self.last.as_ref(), fault),
        };
        let mut scan = Scan::new(clock, until, found.files.len(), found.left_out);
        for (folder, fault) in found.troubles {
            let trouble = Some(Trouble { fault, last_read: None });
            scan.files.push(Arc::new(StoredFile {
                path: open::shown(&folder),
                items: Items::default(),
                fault: trouble,
                damaged: 0,
            }));
        }
        let own = of_own(watch);
        for Candidate { path, care } in found.files {
            let Some(named) = self.take(&path, own.unwrap_or(As::Whatever(care)), &mut scan) else { continue };
            for (kind, path) in named {
                self.take(&path, As::Piece(kind), &mut scan);
            }
        }
        scan.known.sort_by_key(|known| known.path_hash);
        self.known = scan.known;
        self.known.shrink_to_fit();
        let (looked_at, left_out) = (scan.looked_at, scan.left_out);
        let last = self.last.as_ref().map(|last| &last.files).filter(|last| same(last, &scan.files));
        let files = last.map_or_else(|| scan.files.as_slice().into(), Arc::clone);
        SourceReading { name: watch.name.clone(), files, fault: None, looked_at, left_out }
    }

    /// Reads one file; the files that it names are to be read as well.
    fn take(&mut self, path: &Path, form: As, scan: &mut Scan<'_>) -> Option<Vec<(PieceKind, PathBuf)>> {
        let key = hash(path, form);
        let before = self.known.binary_search_by_key(&key, |known| known.path_hash).ok().map(|at| &self.known[at]);
        scan.looked_at += 1;
        if scan.is_over() {
            match before {
                Some(known) => scan.keep(known.again(known.stamp)),
                None => scan.left_out += 1,
            }
            return None;
        }
        let unchanged = before.filter(|known| {
            known.stamp.is_some_and(|stamp| std::fs::metadata(path).is_ok_and(|seen| FileStamp::of(&seen) == stamp))
        });
        let taken = match unchanged {
            Some(known) => known.again(known.stamp),
            None => {
                let before = before.map(|known| (known.stamp.is_some(), Arc::clone(&known.file)));
                self.read(path, key, form, before, scan)?
            }
        };
        let named = taken.named.clone();
        scan.keep(taken);
        named.map(|named| named.0)
    }

    /// Reads a file that is new or has changed. `None` for one that is gone and was not named.
    fn read(
        &mut self,
        path: &Path,
        key: u64,
        form: As,
        before: Option<(bool, Arc<StoredFile>)>,
        scan: &mut Scan<'_>,
    ) -> Option<CachedFile> {
        let is_named = form != As::Whatever(Care::Met);
        let (stamp, (items, contents)) = match open::read(path, &mut scan.buffer, MAX_BYTES) {
            Ok(stamp) => (Some(stamp), self.understand(scan.buffer.bytes(), form)),
            // Gone between the listing and now. A link that leads nowhere is still there.
            Err(FileFault::Missing) if !is_named && std::fs::symlink_metadata(path).is_err() => return None,
            Err(fault) => (None, (Vec::new(), Contents { fault: Some(fault), ..Contents::default() })),
        };
        scan.buffer.forget();
        let is_expected = || is_named || walk::is_certificate_by_name(path);
        let is_cut_short = contents.is_cut_short || contents.fault == Some(FileFault::HalfWritten);
        let had_items = before.as_ref().is_some_and(|(_, file)| !file.items.is_empty());
        let was_trusted = before.as_ref().is_some_and(|(had_position, file)| *had_position && file.fault.is_none());
        let fault = match contents.fault {
            // The file may be being written, so the previous content counts for one more probe.
            None if is_cut_short && had_items && was_trusted => Some(FileFault::HalfWritten),
            Some(fault) if is_expected() || had_items || matters_anywhere(fault) => Some(fault),
            Some(_) | None => None,
        };
        let beside = |name: String| path.parent().unwrap_or(Path::new("")).join(name);
        let damaged = contents.damaged();
        let named: Vec<_> = contents.named.into_iter().map(|named| (named.kind, beside(named.path))).collect();
        let (items, trouble) = match (fault, before) {
            (None, _) => (items.into(), None),
            (Some(fault), None) => (Items::default(), Some(Trouble { fault, last_read: None })),
            (Some(fault), Some((_, file))) => {
                let last_read = file.fault.map_or(self.scanned, |trouble| trouble.last_read);
                (file.items.clone(), Some(Trouble { fault, last_read }))
            }
        };
        let file = StoredFile { path: open::shown(path), items, fault: trouble, damaged };
        let stamp = stamp.filter(|_| fault != Some(FileFault::HalfWritten));
        let named = (!named.is_empty()).then(|| Box::new(Named(named)));
        Some(CachedFile { path_hash: key, stamp, file: Arc::new(file), named })
    }

    fn understand(&mut self, bytes: &[u8], form: As) -> (Vec<Item>, Contents) {
        let mut contents = match form {
            As::Whatever(_) => certificate_files::contents(bytes, Options::default()),
            As::Piece(kind) => certificate_files::piece(bytes, kind),
            As::OwnToken => certificate_files::piece(bytes, PieceKind::Token),
        };
        let mut intern = |issuer: &str| {
            if let Some(known) = self.issuers.get(issuer) {
                return Arc::clone(known);
            }
            let issuer: Arc<str> = issuer.into();
            self.issuers.insert(Arc::clone(&issuer));
            issuer
        };
        (contents.items(&mut intern), contents)
    }
}

impl CachedFile {
    fn again(&self, stamp: Option<FileStamp>) -> Self {
        Self { path_hash: self.path_hash, stamp, file: Arc::clone(&self.file), named: self.named.clone() }
    }
}

/// One probe under way.
struct Scan<'a> {
    clock: &'a Clock,
    until: Option<Mono>,
    files: Vec<Arc<StoredFile>>,
    known: Vec<CachedFile>,
    items: usize,
    looked_at: u64,
    left_out: u64,
    is_late: bool,
    buffer: Buffer,
}

impl<'a> Scan<'a> {
    /// Keeps room for `files`, because a list that grows holds up to twice of what is in it.
    fn new(clock: &'a Clock, until: Option<Mono>, files: usize, left_out: u64) -> Self {
        Self {
            clock,
            until,
            files: Vec::with_capacity(files),
            known: Vec::with_capacity(files),
            items: 0,
            looked_at: 0,
            left_out,
            is_late: false,
            buffer: Buffer::default(),
        }
    }

    fn is_over(&mut self) -> bool {
        if !self.is_late && self.known.len().is_multiple_of(STRIDE) {
            self.is_late = self.until.is_some_and(|until| self.clock.now().mono >= until);
        }
        self.is_late
    }

    fn keep(&mut self, known: CachedFile) {
        let items = known.file.items.len();
        if self.items.saturating_add(items) > MAX_ITEMS {
            self.left_out += u64::try_from(items).unwrap_or(u64::MAX);
            return;
        }
        self.items += items;
        if items > 0 || known.file.fault.is_some() || known.file.damaged > 0 {
            self.files.push(Arc::clone(&known.file));
        }
        self.known.push(known);
    }
}

/// What was known of a source that cannot be read now.
pub(super) fn faulty(name: &Name, last: Option<&SourceReading>, fault: FileFault) -> SourceReading {
    let nothing =
        || SourceReading { name: name.clone(), files: Arc::default(), fault: None, looked_at: 0, left_out: 0 };
    SourceReading { fault: Some(fault), ..last.cloned().unwrap_or_else(nothing) }
}

/// Whether these are the same files: unchanged ones are shared, so it is enough to compare where they are.
pub(super) fn same(old: &[Arc<StoredFile>], new: &[Arc<StoredFile>]) -> bool {
    old.len() == new.len() && old.iter().zip(new).all(|(one, other)| Arc::ptr_eq(one, other))
}

fn of_own(watch: &WatchedFiles) -> Option<As> {
    watch.own.as_ref().filter(|own| own.part == OwnPart::Token).map(|_| As::OwnToken)
}

/// Faults that are reported for every file, even one that the configuration does not name.
const fn matters_anywhere(fault: FileFault) -> bool {
    matches!(
        fault,
        FileFault::Forbidden | FileFault::Missing | FileFault::LinkLoop | FileFault::Failed | FileFault::Timeout
    )
}

fn hash(path: &Path, form: As) -> u64 {
    let form = match form {
        As::Whatever(_) => 0_u8,
        As::OwnToken => 1,
        As::Piece(PieceKind::Authority) => 2,
        As::Piece(PieceKind::Certificate) => 3,
        As::Piece(PieceKind::Token) => 4,
    };
    crate::model::digest::stable_hash_of(&[&[form], path.as_os_str().as_bytes()])
}
