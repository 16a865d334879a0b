//! From a path of the configuration to its files: one file, a directory with all below it, or a glob.
//!
//! Bounded in number and depth, and what is left out is counted. Links to files are followed, links to directories
//! below a named one are not: a link to `/` must not make us read the machine. Hidden names are passed over, among
//! them the `..data` behind which Kubernetes swaps whole directories; the links that lead there are files like others.
//! Whoever asks for everything ([`Reach::Everything`]) gets hidden files and linked directories too, and whatever has
//! the name of a certificate.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use super::glob;
use super::open::fault;
use crate::config::files::is_pattern;
use crate::model::certificate_files::FileFault;

/// Files of one source that are read.
pub(super) const MAX_FILES: usize = 50_000;
/// Entries of directories of one source that are counted at all.
const MAX_ENTRIES: usize = 1_000_000;
/// Levels of directories below a named one.
const MAX_DEPTH: usize = 8;
/// The same for whoever asks for everything.
const MAX_DEPTH_OF_ALL: usize = 32;

/// How much of a directory is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Reach {
    /// What a service keeps there: no hidden names, no keys, no links to other directories.
    #[default]
    Usual,
    /// Every file that may hold a certificate.
    Everything,
}

/// The files of a path.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Files, in the order of the bytes of their paths.
    pub(super) files: Vec<Candidate>,
    /// Directories that could not be read.
    pub(super) troubles: Vec<(PathBuf, FileFault)>,
    /// Files and directories left out for a bound.
    pub(super) left_out: u64,
    /// Directories that have the name of a certificate and nothing in them.
    pub(super) empty: Vec<PathBuf>,
    /// Links to directories above the one that is read, which are not followed.
    pub(super) upward: Vec<PathBuf>,
    entries: usize,
    most: usize,
    reach: Reach,
    /// Directories by device and inode, each of which is read once.
    visited: BTreeSet<(u64, u64)>,
}

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    pub(super) path: PathBuf,
    pub(super) care: Care,
}

/// How a file was found, which decides whether it must be readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Care {
    /// The configuration names it, itself or by a pattern: it must be readable.
    Named,
    /// It is in a directory that is named, which may hold other files as well.
    Met,
}

/// The files of `path`, at most `most`.
///
/// # Errors
/// When the path itself leads nowhere or a pattern matches nothing.
pub(super) fn find(path: &Path, most: usize, reach: Reach) -> Result<Found, FileFault> {
    let mut found = Found { most, reach, ..Found::default() };
    // A name with brackets in it is a name, if there is such a file.
    let is_name = reach == Reach::Everything && fs::symlink_metadata(path).is_ok();
    if is_pattern(path) && !is_name {
        for matched in expand(path, &mut found) {
            match fs::metadata(&matched) {
                Ok(seen) if seen.is_dir() => found.descend(&matched),
                Ok(_) if is_key(&matched) && reach == Reach::Usual => {}
                Ok(_) | Err(_) => found.add(matched, Care::Named),
            }
        }
        if found.files.is_empty() && found.troubles.is_empty() && found.left_out == 0 {
            return Err(FileFault::NoMatch);
        }
    } else if fs::metadata(path).map_err(|error| fault(&error))?.is_dir() {
        // A named directory that cannot be listed is a fault of the source, not of something in it.
        fs::read_dir(path).map_err(|error| fault(&error))?;
        found.descend(path);
    } else {
        found.add(path.to_owned(), Care::Named);
    }
    // As bytes: compared part by part, sorting costs more than listing the directory.
    found.files.sort_unstable_by(|one, other| {
        one.path.as_os_str().cmp(other.path.as_os_str()).then(one.care.cmp(&other.care))
    });
    found.files.dedup_by(|one, other| one.path == other.path);
    Ok(found)
}

impl Found {
    fn add(&mut self, path: PathBuf, care: Care) {
        if self.files.len() < self.most {
            self.files.push(Candidate { path, care });
        } else {
            self.left_out += 1;
        }
    }

    /// Everything below `root`.
    fn descend(&mut self, root: &Path) {
        let deepest = if self.reach == Reach::Everything { MAX_DEPTH_OF_ALL } else { MAX_DEPTH };
        self.visit(root);
        let top = fs::canonicalize(root).ok();
        let mut open = vec![(root.to_owned(), 0)];
        while let Some((folder, depth)) = open.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) => {
                    self.troubles.push((folder, fault(&error)));
                    continue;
                }
            };
            let is_swapped = folder.join(SWAPPED).is_symlink();
            let mut is_empty = true;
            for entry in entries {
                is_empty = false;
                let Ok(entry) = entry.map_err(|error| self.troubles.push((folder.clone(), fault(&error)))) else {
                    break;
                };
                if !self.may_take_another() {
                    return;
                }
                let name = entry.file_name();
                let is_passed_over = match self.reach {
                    Reach::Usual => name.as_bytes().starts_with(b"."),
                    // What lies in these is linked beside them.
                    Reach::Everything => is_swapped && name.as_bytes().starts_with(b".."),
                };
                if is_passed_over {
                    continue;
                }
                let path = entry.path();
                let Ok(kind) = entry.file_type() else { continue };
                let leads_to_directory = || fs::metadata(&path).is_ok_and(|seen| seen.is_dir());
                if kind.is_dir() || (kind.is_symlink() && self.reach == Reach::Everything && leads_to_directory()) {
                    if depth >= deepest {
                        self.left_out += 1;
                    } else if kind.is_symlink() && leads_above(&path, top.as_deref()) {
                        self.upward.push(path);
                    } else if self.visit(&path) {
                        open.push((path, depth + 1));
                    }
                } else if self.is_wanted(&path, kind) {
                    self.add(path, Care::Met);
                }
            }
            if is_empty && self.reach == Reach::Everything && promises_by_name(&folder) {
                self.empty.push(folder);
            }
        }
    }

    /// Whether the directory `path` is still to be read. A link may lead to one that was read, or into a circle.
    fn visit(&mut self, path: &Path) -> bool {
        self.reach == Reach::Usual
            || fs::metadata(path).map_or(true, |seen| self.visited.insert((seen.dev(), seen.ino())))
    }

    fn is_wanted(&self, path: &Path, kind: fs::FileType) -> bool {
        match self.reach {
            // FIFOs, sockets and devices in a directory are ignored without a fault, unless they pose as certificates.
            Reach::Everything => kind.is_file() || kind.is_symlink() || promises_by_name(path),
            Reach::Usual if is_key(path) => false,
            // A dangling link is included: a renewal that failed half way may leave one.
            Reach::Usual => {
                kind.is_file() || (kind.is_symlink() && !fs::metadata(path).is_ok_and(|seen| seen.is_dir()))
            }
        }
    }

    fn may_take_another(&mut self) -> bool {
        self.entries += 1;
        let may = self.entries <= MAX_ENTRIES;
        self.left_out += u64::from(!may);
        may
    }
}

/// Every path that matches `pattern`, part by part.
fn expand(pattern: &Path, found: &mut Found) -> Vec<PathBuf> {
    let mut reached = vec![PathBuf::new()];
    for part in pattern.components() {
        let wild = match part {
            Component::Normal(name) if is_pattern(Path::new(name)) => name,
            Component::Normal(_)
            | Component::RootDir
            | Component::CurDir
            | Component::ParentDir
            | Component::Prefix(_) => {
                reached.iter_mut().for_each(|path| path.push(part));
                continue;
            }
        };
        let mut next = Vec::new();
        for folder in reached {
            let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
            let entries = match fs::read_dir(listed) {
                Ok(entries) => entries,
                Err(error) => {
                    // What is no directory just does not match.
                    let fault = fault(&error);
                    if fault != FileFault::Missing {
                        found.troubles.push((folder, fault));
                    }
                    continue;
                }
            };
            for entry in entries.flatten() {
                if !found.may_take_another() {
                    break;
                }
                if glob::matches(wild.as_bytes(), entry.file_name().as_bytes()) {
                    next.push(folder.join(entry.file_name()));
                }
            }
        }
        reached = next;
    }
    // A part without wildcards behind the last one with them may lead nowhere.
    reached.retain(|path| fs::symlink_metadata(path).is_ok());
    reached
}

/// Whether the link `path` leads above `top`: followed, it would make us read the machine.
fn leads_above(path: &Path, top: Option<&Path>) -> bool {
    match (fs::canonicalize(path), top) {
        (Ok(target), Some(top)) => top.starts_with(&target) && target != top,
        (Ok(_) | Err(_), _) => false,
    }
}

/// The link behind which Kubernetes swaps the content of a directory.
const SWAPPED: &str = "..data";

/// Names by which a file says that it holds certificates in the open.
pub(super) fn is_certificate_by_name(path: &Path) -> bool {
    has_extension(path, &["crt", "pem", "cer", "cert", "der"])
}

/// The same, and names of containers, which may be locked or hold keys alone.
pub(super) fn promises_by_name(path: &Path) -> bool {
    is_certificate_by_name(path) || has_extension(path, &["p7b", "p7c", "p12", "pfx", "jks", "jceks", "bks"])
}

fn has_extension(path: &Path, known: &[&str]) -> bool {
    path.extension().is_some_and(|extension| known.iter().any(|name| extension.eq_ignore_ascii_case(name)))
}

/// Private keys are not even opened, unless the configuration names one of them by itself.
fn is_key(path: &Path) -> bool {
    has_extension(path, &["key"])
}
