//! From a path of the configuration to its files: one file, a directory with all below it, or a glob.
//!
//! Bounded in number and depth, and what is left out is counted. Links to files are followed, links to directories
//! below a named one are not: a link to `/` must not make us read the machine. Hidden names are passed over, among
//! them the `..data` behind which Kubernetes swaps whole directories; the links that lead there are files like others.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
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

/// The files of a path.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Files, in the order of the bytes of their paths.
    pub(super) files: Vec<Candidate>,
    /// Directories that could not be read.
    pub(super) troubles: Vec<(PathBuf, FileFault)>,
    /// Files and directories left out for a bound.
    pub(super) left_out: u64,
    entries: usize,
    most: usize,
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
pub(super) fn find(path: &Path, most: usize) -> Result<Found, FileFault> {
    let mut found = Found { most, ..Found::default() };
    if is_pattern(path) {
        for matched in expand(path, &mut found) {
            match fs::metadata(&matched) {
                Ok(seen) if seen.is_dir() => found.descend(&matched),
                Ok(_) if is_key(&matched) => {}
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
        let mut open = vec![(root.to_owned(), 0)];
        while let Some((folder, depth)) = open.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) => {
                    self.troubles.push((folder, fault(&error)));
                    continue;
                }
            };
            for entry in entries.flatten() {
                if !self.may_take_another() {
                    return;
                }
                if entry.file_name().as_bytes().first() == Some(&b'.') {
                    continue;
                }
                let path = entry.path();
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() && depth < MAX_DEPTH => open.push((path, depth + 1)),
                    Ok(kind) if kind.is_dir() => self.left_out += 1,
                    Ok(kind) if kind.is_file() && !is_key(&path) => self.add(path, Care::Met),
                    // A dangling link is included: a renewal that failed half way may leave one.
                    Ok(kind)
                        if kind.is_symlink()
                            && !is_key(&path)
                            && !fs::metadata(&path).is_ok_and(|seen| seen.is_dir()) =>
                    {
                        self.add(path, Care::Met);
                    }
                    // FIFOs, sockets and devices in a directory are ignored without a fault.
                    Ok(_) | Err(_) => {}
                }
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

/// Private keys are not even opened, unless the configuration names one of them by itself.
fn is_key(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("key"))
}
