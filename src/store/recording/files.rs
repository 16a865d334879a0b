//! The files of segments: their names, which say in which order they were written, and what is known of each.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::model::time::UnixTime;

use super::segment::Reader;

/// The end of every file's name: what unpacks it is known to everybody.
const SUFFIX: &str = ".vedette.gz";

/// A segment on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The file.
    pub path: PathBuf,
    /// When it began.
    pub began: UnixTime,
    /// When the next one began, or it was last written to.
    pub ended: UnixTime,
    /// Its size.
    pub bytes: u64,
}

/// The name of the segment with this `number` that begins at `began`.
pub(super) fn name(number: u64, began: UnixTime) -> String {
    let time: String = began.to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    format!("{number:08}-{time}{SUFFIX}")
}

/// The segments in the folder at `path`, in the order in which they were written.
///
/// # Errors
/// When it cannot be read.
pub fn in_order(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = entries(path)?;
    files.retain(|file| number(file).is_some());
    files.sort_by_key(|file| number(file));
    Ok(files)
}

/// Whether `next` was written right after `path`, by their names.
#[must_use]
pub fn is_next(path: &Path, next: &Path) -> bool {
    number(path).zip(number(next)).is_some_and(|(number, next)| number.checked_add(1) == Some(next))
}

/// The number in the name of a segment; `None` for any other file.
pub(super) fn number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(SUFFIX)?.split_once('-')?.0.parse().ok()
}

/// A segment of a run before; `None` for one of which nothing can be read.
pub(super) fn found(path: PathBuf) -> Option<Segment> {
    let metadata = fs::metadata(&path).ok()?;
    let began = Reader::open(&path).ok()?.head().began.wall;
    let written = metadata.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    let written = UnixTime::from_millis(i64::try_from(written.as_millis()).ok()?);
    Some(Segment { path, began, ended: written.max(began), bytes: metadata.len() })
}

/// Everything in the folder at `path`; nothing where there is none.
pub(super) fn entries(path: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(path) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
