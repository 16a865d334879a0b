//! The segments on disk: the latest as far as the room for them goes, and of what was kept the latest as well.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::files::{self, Segment, entries, found, in_order, number};
use super::keeping::{self, Keep};
use super::segment::{Head, Writer};

/// Folder of what is kept longer, in the folder of the segments.
const KEPT: &str = "kept";
/// The part of a segment that is being written.
const UNFINISHED: &str = ".part";

/// How much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all segments together.
    pub latest: u64,
    /// Bytes of all that is kept.
    pub kept: u64,
    /// Bytes of the filesystem that are left to others.
    pub reserve: u64,
}

/// The folder of segments.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    limits: Limits,
    /// Those that are whole, the oldest first.
    segments: VecDeque<Segment>,
    next: u64,
    kept: usize,
}

impl Folder {
    /// Takes up the folder at `path`, which is made if it is missing.
    ///
    /// # Errors
    /// When it can neither be read nor made.
    pub fn open(path: PathBuf, limits: Limits) -> io::Result<Self> {
        make(&path)?;
        let files = in_order(&path)?;
        let next = files.last().and_then(|path| number(path)).map_or(1, |last| last + 1);
        let mut segments: VecDeque<Segment> = files.into_iter().filter_map(found).collect();
        for at in 1..segments.len() {
            segments[at - 1].ended = segments[at].began.max(segments[at - 1].began);
        }
        let mut folder = Self { path, limits, segments, next, kept: 0 };
        folder.trim(0, &[])?;
        folder.trim_kept(None)?;
        Ok(folder)
    }

    /// Begins the next segment.
    ///
    /// # Errors
    /// When it cannot be written, or the filesystem is so full that it must not.
    pub fn begin(&mut self, head: &Head) -> io::Result<(Writer<File>, PathBuf)> {
        let free = free(&self.path)?;
        if free < self.limits.reserve {
            let (free, reserve) = (free >> 20, self.limits.reserve >> 20);
            let text = format!("{free} MiB are free, and the last {reserve} MiB are left to the database");
            return Err(io::Error::new(io::ErrorKind::StorageFull, text));
        }
        let path = self.path.join(files::name(self.next, head.began.wall));
        self.next += 1;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok((Writer::new(file, head)?, path))
    }

    /// Counts a segment that was written to its end.
    pub fn add(&mut self, segment: Segment) {
        self.segments.push_back(segment);
    }

    /// Whole segments, the oldest first.
    pub fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter()
    }

    /// Incidents of which something is kept.
    #[must_use]
    pub const fn kept(&self) -> usize {
        self.kept
    }

    /// How large one segment may become, so that there are always a few.
    #[must_use]
    pub const fn largest(&self) -> u64 {
        self.limits.latest / 4
    }

    /// Removes the oldest segments until they fit beside `current` bytes, except those that `wanted` still needs. Returns
    /// how many bytes are left.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn trim(&mut self, current: u64, wanted: &[Keep]) -> io::Result<u64> {
        let mut bytes: u64 = current + self.segments.iter().map(|segment| segment.bytes).sum::<u64>();
        while bytes > self.limits.latest {
            let Some(oldest) = self.segments.front() else { break };
            if wanted.iter().any(|keep| keep.wants(oldest)) && bytes <= self.limits.latest.saturating_mul(2) {
                break;
            }
            gone(fs::remove_file(&oldest.path))?;
            bytes -= oldest.bytes;
            self.segments.pop_front();
        }
        Ok(bytes)
    }

    /// Copies the part of `segment` that `keep` is about to where it is kept.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn keep(&mut self, keep: &Keep, segment: &Segment) -> io::Result<()> {
        let folder = self.path.join(KEPT).join(keep.name());
        let name = segment.path.file_name().unwrap_or_default();
        let (whole, part) = (folder.join(name), folder.join(UNFINISHED));
        if whole.exists() {
            return Ok(());
        }
        if free(&self.path)? < self.limits.reserve {
            return Err(io::ErrorKind::StorageFull.into());
        }
        make(&folder)?;
        gone(fs::remove_file(&part))?;
        let before = in_order(&folder)?.pop();
        keeping::copy(segment, &part, keep.cluster.as_ref(), before.as_deref())?;
        fs::rename(&part, &whole)?;
        self.trim_kept(Some(&folder))
    }

    /// Removes what was kept of the oldest incidents until the rest fits; never of `newest`.
    fn trim_kept(&mut self, newest: Option<&Path>) -> io::Result<()> {
        let mut kept = Vec::new();
        for entry in entries(&self.path.join(KEPT))? {
            let bytes = entries(&entry)?.iter().filter_map(|file| Some(fs::metadata(file).ok()?.len())).sum::<u64>();
            let oldest = in_order(&entry)?.first().and_then(|file| number(file)).unwrap_or(0);
            kept.push((oldest, entry, bytes));
        }
        kept.sort();
        let mut bytes: u64 = kept.iter().map(|(_, _, bytes)| bytes).sum();
        kept.retain(|(_, folder, size)| {
            let goes = bytes > self.limits.kept && newest != Some(folder.as_path());
            if goes {
                bytes -= size;
                return fs::remove_dir_all(folder).is_err();
            }
            true
        });
        self.kept = kept.len();
        Ok(())
    }
}

/// A folder that only we may enter.
fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Whether a file is gone, whoever removed it.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Bytes of the filesystem that we may still use.
fn free(path: &Path) -> io::Result<u64> {
    let filesystem = rustix::fs::statvfs(path)?;
    Ok(filesystem.f_bavail.saturating_mul(filesystem.f_frsize))
}
