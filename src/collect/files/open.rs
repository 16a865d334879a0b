//! Reading one regular file, whole, as it was at one moment.
//!
//! Never waits for a writer: a FIFO in place of a certificate is told, not read. Knows nothing of certificates.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::model::stored::FileFault;

/// Longest file that is read, in bytes; the largest bundle in use, a whole public trust store, has 0.3 MB.
pub(super) const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// A file that is written while it is read is read this often before it is called unsteady.
const ATTEMPTS: usize = 3;

/// Enough of a file's state to see that it was replaced or written.
///
/// Times are in nanoseconds since 1970: of the last writing, and of the last change of any kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    device: u64,
    inode: u64,
    size: u64,
    written: i64,
    changed: i64,
}

impl Mark {
    pub(super) fn of(seen: &Metadata) -> Self {
        let nanos = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            device: seen.dev(),
            inode: seen.ino(),
            size: seen.len(),
            written: nanos(seen.mtime(), seen.mtime_nsec()),
            changed: nanos(seen.ctime(), seen.ctime_nsec()),
        }
    }
}

/// Reads the file into `buffer`, which is emptied first.
///
/// # Errors
/// See [`FileFault`]; the buffer's content is then of no use.
pub(super) fn read(path: &Path, buffer: &mut Vec<u8>) -> Result<Mark, FileFault> {
    for _ in 0..ATTEMPTS {
        if let Some(mark) = read_once(path, buffer)? {
            return Ok(mark);
        }
    }
    Err(FileFault::Unsteady)
}

/// `None` when it was written meanwhile. A file that is replaced by another is still read as the one it was.
fn read_once(path: &Path, buffer: &mut Vec<u8>) -> Result<Option<Mark>, FileFault> {
    buffer.clear();
    // Without NONBLOCK, opening a FIFO waits for a writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut file: File = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(opened) => opened.into(),
        // What open answers for a socket.
        Err(rustix::io::Errno::NXIO) => return Err(FileFault::NotRegular),
        Err(errno) => return Err(fault(&errno.into())),
    };
    let before = file.metadata().map_err(|error| fault(&error))?;
    if !before.is_file() {
        return Err(FileFault::NotRegular);
    }
    if before.len() > MAX_BYTES {
        return Err(FileFault::TooLarge);
    }
    let size = usize::try_from(before.len()).unwrap_or(usize::MAX);
    buffer.resize(size + 1, 0);
    let mut filled = 0;
    // One byte more than there should be, so that a single read tells that the end was reached.
    while filled <= size {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) if filled + count < buffer.len() && filled + count >= size => {
                filled += count;
                break;
            }
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(fault(&error)),
        }
    }
    buffer.truncate(filled);
    let (before, after) = (Mark::of(&before), Mark::of(&file.metadata().map_err(|error| fault(&error))?));
    Ok((before == after && filled == size).then_some(after))
}

/// What the operating system's answer means.
pub(super) fn fault(error: &io::Error) -> FileFault {
    match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => FileFault::Missing,
        Some(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => FileFault::Forbidden,
        Some(rustix::io::Errno::LOOP) => FileFault::LinkLoop,
        Some(rustix::io::Errno::TIMEDOUT | rustix::io::Errno::STALE) => FileFault::Timeout,
        Some(_) | None => FileFault::Failed,
    }
}
