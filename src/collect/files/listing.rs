//! Everything in the files of one path, once, with a word for each thing that cannot be read: for `vedette certs`.
//!
//! Reads as the watched files are read, but more of a directory and longer files, remembers nothing, and reports each
//! thing as it is found. Blocks on the file system, so the caller runs it on a thread that may be left behind.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use secrecy::SecretString;

use super::open::{self, Buffer};
use super::walk::{self, Candidate, Care, Reach};
use crate::model::certificate_files::{FileFault, ItemKind};
use crate::model::certificate_list::{End, ListEntry, ListEvent, Unread};
use crate::model::time::{Clock, Mono};
use crate::parse::certificate_files::{self, Contents, Entry, Options, What};
use crate::parse::kubeconfig::embedded::PieceKind;

/// Longest file that is read, in bytes: a bundle of 100,000 certificates.
pub const MAX_FILE: usize = 64 * 1024 * 1024;
/// Files of one path that are read.
const MAX_FILES: usize = 1_000_000;
/// Faults that are named of one file, before the rest is counted.
const MAX_FAULTS: usize = 1_000;
/// Bytes at the beginning of a file that is too long, by which it shows whether it promises certificates.
const HEAD: usize = 64 * 1024;

/// How to read.
#[derive(Debug)]
pub struct Request<'a> {
    /// Passwords for PKCS#12 files.
    pub passwords: &'a [SecretString],
    /// The clock for the end.
    pub clock: Clock,
    /// When to stop.
    pub until: Mono,
}

/// Reads everything that `path` (a file, a directory or a pattern) leads to. A path that gives neither a certificate
/// nor a fault is a fault itself.
pub fn list(path: &Path, request: &Request<'_>, report: &mut dyn FnMut(ListEvent)) {
    let place: Arc<str> = open::shown(path).into();
    let mut listing = Listing { request, report, buffer: Buffer::default(), reported: 0 };
    let found = match walk::find(path, MAX_FILES, Reach::Everything) {
        Ok(found) => found,
        Err(fault) => return listing.unread(&place, "", fault.words()),
    };
    for (folder, fault) in found.troubles {
        listing.unread(&open::shown(&folder).into(), "", fault.words());
    }
    for folder in found.empty {
        listing.unread(&open::shown(&folder).into(), "", "is an empty directory with the name of a certificate");
    }
    for link in found.upward {
        let note = format!("{} is a link to a directory above, and is not followed", open::shown(&link));
        (listing.report)(ListEvent::Note(note));
    }
    if found.left_out > 0 {
        let reason = format!("{} files or directories below it are too many or too deep to be read", found.left_out);
        listing.unread(&place, "", &reason);
    }
    let files = found.files.len();
    for (at, candidate) in found.files.into_iter().enumerate() {
        if request.clock.now().mono >= request.until {
            let reason = format!("the time was over before {} of its files were read", files - at);
            return listing.unread(&place, "", &reason);
        }
        listing.file(&candidate);
    }
    if listing.reported == 0 {
        listing.unread(&place, "", "holds no certificate and no token");
    }
}

/// A path as it may be shown.
#[must_use]
pub fn shown(path: &OsStr) -> Arc<str> {
    open::shown(Path::new(path)).into()
}

/// The bytes of a file with a secret, of `limit` bytes at most; whoever gets them overwrites them.
///
/// # Errors
/// Why it cannot be read.
pub fn read_secret(path: &Path, limit: usize) -> Result<Vec<u8>, FileFault> {
    let mut buffer = Buffer::default();
    open::read(path, &mut buffer, limit)?;
    Ok(buffer.bytes().to_vec())
}

struct Listing<'a> {
    request: &'a Request<'a>,
    report: &'a mut dyn FnMut(ListEvent),
    buffer: Buffer,
    reported: usize,
}

impl Listing<'_> {
    fn unread(&mut self, place: &Arc<str>, entry: &str, reason: &str) {
        self.reported += 1;
        (self.report)(ListEvent::Unread(Unread {
            place: Arc::clone(place),
            entry: entry.into(),
            reason: reason.into(),
        }));
    }

    fn file(&mut self, candidate: &Candidate) {
        let path = &candidate.path;
        let is_promised = candidate.care == Care::Named || walk::promises_by_name(path);
        let place: Arc<str> = open::shown(path).into();
        let read = open::read(path, &mut self.buffer, MAX_FILE);
        (self.report)(ListEvent::Progress);
        let options = Options { limit: MAX_FILE, passwords: self.request.passwords };
        let named = match read {
            Ok(_) => {
                let contents = certificate_files::contents(self.buffer.bytes(), options);
                self.buffer.forget();
                self.take(&place, contents, is_promised, "")
            }
            // Gone between the listing and now. A link that leads nowhere is still there.
            Err(FileFault::Missing) if std::fs::symlink_metadata(path).is_err() && candidate.care == Care::Met => {
                return;
            }
            Err(fault) => {
                if is_promised || matters_anywhere(fault, path) {
                    self.unread(&place, "", fault.words());
                }
                return;
            }
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        for (kind, entry, named) in named {
            self.named_file(&folder.join(named), kind, &format!("{entry} of {place}"));
        }
    }

    /// A file that a kubeconfig names.
    fn named_file(&mut self, path: &Path, kind: PieceKind, via: &str) {
        let place: Arc<str> = open::shown(path).into();
        match open::read(path, &mut self.buffer, MAX_FILE) {
            Ok(_) => {
                let contents = certificate_files::piece(self.buffer.bytes(), kind);
                self.buffer.forget();
                self.take(&place, contents, true, via);
            }
            Err(fault) => self.unread(&place, via, fault.words()),
        }
        (self.report)(ListEvent::Progress);
    }

    /// Reports what a file holds; the files that it names come back.
    fn take(
        &mut self,
        place: &Arc<str>,
        contents: Contents,
        is_promised: bool,
        via: &str,
    ) -> Vec<(PieceKind, Box<str>, PathBuf)> {
        let faults = contents.faults.len();
        let is_silent = contents.found.is_empty() && faults == 0 && contents.named.is_empty();
        // Of the only thing in a file it need not be said where it begins.
        let is_alone = contents.found.len() + faults == 1;
        let joined = |entry: Entry| match entry {
            Entry::Line(_) if is_alone => via.into(),
            Entry::Whole | Entry::Line(_) | Entry::Number(_) | Entry::Named(_) => joined(&written(entry), via),
        };
        for found in contents.found {
            self.reported += 1;
            let entry = joined(found.entry);
            (self.report)(ListEvent::Found(listed(place, entry, found.kind, found.what)));
        }
        for (entry, reason) in contents.faults.into_iter().take(MAX_FAULTS) {
            self.unread(place, &joined(entry), &reason);
        }
        if faults > MAX_FAULTS {
            self.unread(place, via, &format!("{} more blocks could not be read", faults - MAX_FAULTS));
        }
        if is_silent && (is_promised || contents.is_promised) {
            let reason = match (contents.instead, contents.fault) {
                (Some(nothing), _) if nothing.starts_with("no") => format!("holds {nothing}"),
                (Some(instead), _) => format!("holds {instead} and no certificate"),
                (None, Some(fault)) => fault.words().to_owned(),
                (None, None) => FileFault::NothingInIt.words().to_owned(),
            };
            self.unread(place, via, &reason);
        }
        contents.named.into_iter().map(|named| (named.kind, named.entry, named.path.into())).collect()
    }
}

/// Whether a fault is reported of any file: what may not be opened may hold a certificate. One that is too long shows
/// by its beginning.
fn matters_anywhere(fault: FileFault, path: &Path) -> bool {
    match fault {
        FileFault::Forbidden | FileFault::Missing | FileFault::LinkLoop | FileFault::Failed | FileFault::Timeout => {
            true
        }
        FileFault::TooLarge => head(path).is_some_and(|head| {
            certificate_files::contents(&head, Options { limit: HEAD, passwords: &[] }).is_promised
        }),
        // Files of a kind that changes all the time, and those without content.
        FileFault::Unsteady
        | FileFault::NotRegular
        | FileFault::NoMatch
        | FileFault::HalfWritten
        | FileFault::NothingInIt
        | FileFault::Unsupported
        | FileFault::Locked
        | FileFault::BrokenKubeconfig => false,
    }
}

fn head(path: &Path) -> Option<Vec<u8>> {
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).ok()?;
    let file = File::options().read(true).custom_flags(flags).open(path).ok()?;
    let mut head = Vec::new();
    file.take(u64::try_from(HEAD).ok()?).read_to_end(&mut head).ok()?;
    Some(head)
}

fn written(entry: Entry) -> Box<str> {
    match entry {
        Entry::Whole => "".into(),
        Entry::Line(line) => format!("line {line}").into(),
        Entry::Number(number) => format!("certificate {number}").into(),
        Entry::Named(name) => name,
    }
}

fn joined(entry: &str, via: &str) -> Box<str> {
    match (entry, via) {
        (entry, "") => entry.into(),
        ("", via) => via.into(),
        (entry, via) => format!("{entry}, {via}").into(),
    }
}

fn listed(place: &Arc<str>, entry: Box<str>, kind: ItemKind, what: What) -> ListEntry {
    let nothing = |kind: &'static str| ListEntry {
        place: Arc::clone(place),
        entry: entry.clone(),
        kind,
        subject: "".into(),
        issuer: "".into(),
        serial: "".into(),
        fingerprint: None,
        not_before: None,
        end: End::NotKnowable,
        is_degraded: false,
    };
    match what {
        What::Certificate { certificate, is_degraded } => {
            ListEntry { is_degraded, ..ListEntry::certificate(place, entry, kind.as_str(), certificate) }
        }
        What::Token(claims) => ListEntry {
            subject: claims.subject.into(),
            issuer: claims.issuer.into(),
            not_before: claims.issued,
            end: claims.expires.map_or(End::Never, End::of),
            ..nothing(kind.as_str())
        },
        What::Reported(row) => ListEntry {
            subject: row.name.into(),
            issuer: row.issuer.into(),
            end: row.not_after.map_or(End::NotKnowable, End::of),
            ..nothing(if row.is_ca { "kubeadm_authority" } else { "kubeadm_certificate" })
        },
        What::NotKnowable(what) => ListEntry { subject: what.into(), ..nothing("credential") },
    }
}
