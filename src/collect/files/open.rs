//! Reading one regular file, whole, as it was at one moment.
//!
//! Never waits for a writer: a FIFO in place of a certificate is reported, not read. Knows nothing of certificates.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::num::NonZeroU32;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use zeroize::optimization_barrier;

use crate::model::certificate_files::FileFault;

/// Characters of a path that are shown.
const MAX_SHOWN: usize = 512;

/// A file that is written while it is read is read this often before it is called unsteady.
const ATTEMPTS: usize = 3;

/// Enough of a file's state to see that it was replaced or written.
///
/// Times are in nanoseconds since 1970: of the last writing, and of the last change of any kind. Small, because one is
/// kept for each file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileStamp {
    device: u64,
    inode: u64,
    /// In bytes, and one more; longer ones than are read need not be distinguished.
    size: NonZeroU32,
    written: i64,
    changed: i64,
}

impl FileStamp {
    pub(super) fn of(seen: &Metadata) -> Self {
        let nanos = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            device: seen.dev(),
            inode: seen.ino(),
            size: NonZeroU32::MIN.saturating_add(u32::try_from(seen.len()).unwrap_or(u32::MAX)),
            written: nanos(seen.mtime(), seen.mtime_nsec()),
            changed: nanos(seen.ctime(), seen.ctime_nsec()),
        }
    }
}

/// What one file after the other is read into. Forgets each: there may be a key beside a certificate.
#[derive(Default)]
pub(super) struct Buffer {
    /// As long as the longest file so far and one more; zero behind `filled`.
    room: Vec<u8>,
    filled: usize,
}

impl Buffer {
    /// What was read last.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.room[..self.filled]
    }

    /// Overwrites what was read last.
    pub(super) fn forget(&mut self) {
        // A plain fill, which is as fast as memory, and the barrier keeps the compiler from removing it.
        self.room[..self.filled].fill(0);
        optimization_barrier(self.room.as_slice());
        self.filled = 0;
    }

    /// Room for `size` bytes. Growing copies nothing that was read.
    fn empty(&mut self, size: usize) -> &mut [u8] {
        self.forget();
        if self.room.len() < size {
            self.room = vec![0; size];
        }
        &mut self.room[..size]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.forget();
    }
}

/// Reads the file, of `limit` bytes at most, into `buffer`, which forgets what it held.
///
/// # Errors
/// See [`FileFault`]; the buffer's content is then of no use.
pub(super) fn read(path: &Path, buffer: &mut Buffer, limit: usize) -> Result<FileStamp, FileFault> {
    for _ in 0..ATTEMPTS {
        if let Some(stamp) = read_once(path, buffer, limit)? {
            return Ok(stamp);
        }
    }
    Err(FileFault::Unsteady)
}

/// `None` when it was written meanwhile. A file that is replaced by another is still read as the one it was.
fn read_once(path: &Path, buffer: &mut Buffer, limit: usize) -> Result<Option<FileStamp>, FileFault> {
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
    let size = usize::try_from(before.len()).ok().filter(|size| *size <= limit).ok_or(FileFault::TooLarge)?;
    // One byte more than there should be, so that a single read tells that the end was reached.
    let room = buffer.empty(size + 1);
    let mut filled = 0;
    loop {
        match file.read(&mut room[filled..]) {
            Ok(0) => break,
            Ok(count) => {
                filled += count;
                if filled >= size {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                buffer.filled = filled;
                return Err(fault(&error));
            }
        }
    }
    buffer.filled = filled;
    let (before, after) = (FileStamp::of(&before), FileStamp::of(&file.metadata().map_err(|error| fault(&error))?));
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

/// A path as it may be shown on a screen and in a mail: bytes that are no text and what does not print by number.
pub(super) fn shown(path: &Path) -> Box<str> {
    let text = path.to_string_lossy();
    if text.len() <= MAX_SHOWN && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return text.into();
    }
    let mut out = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_alphanumeric() || c.is_ascii_graphic() || c == ' ' {
                out.push(c)
            } else {
                out.extend(c.escape_unicode())
            }
        }
        chunk.invalid().iter().for_each(|byte| out.push_str(&format!("\\x{byte:02x}")));
    }
    if out.chars().count() > MAX_SHOWN {
        out = out.chars().take(MAX_SHOWN).chain(['…']).collect();
    }
    out.into()
}
