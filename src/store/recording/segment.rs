//! One segment, written and read from its beginning.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::model::subject::Name;
use crate::model::time::Now;

use super::chunks::Chunks;
use super::record::{self, Frame, Record};

/// The first line, without its version.
const NAME: &str = "vedette recording ";
/// The version that is written, and the only one that is read.
const VERSION: u32 = 1;
/// Longest of the two lines.
const LINE: u64 = 64 << 10;

/// What a segment says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Version of the vedette that wrote it.
    pub vedette: String,
    /// The vantage.
    pub vantage: String,
    /// When its first record may have come at the earliest.
    pub began: Now,
    /// Whether nothing is missing between the segment before and this one.
    pub follows: bool,
    /// The cluster that this is the part of: what is about others is left out, but for one answer a second that proves
    /// that our own network works. `None` for everything.
    #[serde(default)]
    pub only: Option<Name>,
}

/// Writes one segment.
pub struct Writer<W: Write> {
    gzip: GzEncoder<W>,
}

/// Reads one segment.
pub struct Reader {
    path: PathBuf,
    head: Head,
    gzip: BufReader<GzDecoder<BufReader<File>>>,
    records: u64,
    body: Vec<u8>,
    is_over: bool,
}

/// Why a segment cannot be read, or no further.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("{path}: {source}", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("{path}: not a recording of vedette; recordings are in the folder 'recordings' beside its database", path = path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// It has another form.
    #[error("{path}: a recording of form {version}, and this vedette reads form {VERSION}; replay it with the version that wrote it", path = path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The form.
        version: String,
    },
    /// It ends too early, as after a crash.
    #[error("{path}: cut off after record {records}; what came before is used", path = path.display())]
    Cut {
        /// The file.
        path: PathBuf,
        /// Records that were whole.
        records: u64,
    },
    /// A record cannot be read.
    #[error("{path}: record {record} cannot be read ({problem}), and nothing behind it; what came before is used. vedette {vedette} wrote it, and this is {this}", path = path.display(), record = records + 1, this = env!("CARGO_PKG_VERSION"))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Records that could be read.
        records: u64,
        /// The version that wrote it.
        vedette: String,
        /// What is wrong.
        problem: String,
    },
}

impl<W: Write> Writer<W> {
    /// Begins a segment in `file`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(file: W, head: &Head) -> io::Result<Self> {
        // What is recorded repeats itself so much that the fastest level is nearly as good as the best.
        let mut gzip = GzEncoder::new(file, Compression::fast());
        writeln!(gzip, "{NAME}{VERSION}")?;
        writeln!(gzip, "{}", serde_json::to_string(head)?)?;
        Ok(Self { gzip })
    }

    /// Appends a record.
    ///
    /// # Errors
    /// When it cannot be written; the file is then good for nothing more.
    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        record.write(&mut self.gzip)
    }

    /// Appends the engine as it is, whose bytes are freed while they are written.
    ///
    /// # Errors
    /// When it cannot be written; the file is then good for nothing more.
    pub fn write_checkpoint(&mut self, engine: Chunks) -> io::Result<()> {
        record::write_checkpoint(engine, &mut self.gzip)
    }

    pub(super) fn write_frame(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        frame.write(&mut self.gzip)
    }

    /// Bytes that are no record.
    #[cfg(test)]
    pub(super) fn write_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.gzip.write_all(bytes)
    }

    /// Hands everything to the kernel, so that the end of this process loses nothing of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.gzip.flush()
    }

    /// Ends the segment.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self) -> io::Result<W> {
        self.gzip.finish()
    }
}

impl Writer<File> {
    /// Bytes on disk so far.
    ///
    /// # Errors
    /// When the file cannot be asked.
    pub fn size(&self) -> io::Result<u64> {
        Ok(self.gzip.get_ref().metadata()?.len())
    }
}

impl Reader {
    /// Opens the segment at `path`.
    ///
    /// # Errors
    /// When it cannot be opened, or is none that this version reads.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let path = path.to_path_buf();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(source) => return Err(ReadError::Open { path, source }),
        };
        let mut gzip = BufReader::new(GzDecoder::new(BufReader::new(file)));
        let foreign = || ReadError::Foreign { path: path.clone() };
        let first = line(&mut gzip).map_err(|_| foreign())?;
        let version = first.strip_prefix(NAME).ok_or_else(foreign)?;
        if version != VERSION.to_string() {
            return Err(ReadError::Version { version: version.to_owned(), path });
        }
        let head = line(&mut gzip).map_err(|_| ReadError::Cut { path: path.clone(), records: 0 })?;
        let head = serde_json::from_str(&head).map_err(|_| foreign())?;
        Ok(Self { path, head, gzip, records: 0, body: Vec::new(), is_over: false })
    }

    /// What it says of itself.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }

    pub(super) fn next_frame(&mut self) -> Option<Result<Frame<'_>, ReadError>> {
        if self.is_over {
            return None;
        }
        match self.read_body() {
            Ok(true) => {}
            Ok(false) => {
                self.is_over = true;
                return None;
            }
            Err(error) => {
                self.is_over = true;
                return Some(Err(error));
            }
        }
        match Frame::read(&self.body) {
            Ok(frame) => {
                self.records += 1;
                Some(Ok(frame))
            }
            Err(problem) => {
                self.is_over = true;
                Some(Err(damaged(&self.path, self.records, &self.head, problem)))
            }
        }
    }

    /// Reads one record without its length; false at the end.
    fn read_body(&mut self) -> Result<bool, ReadError> {
        let cut = |_| ReadError::Cut { path: self.path.clone(), records: self.records };
        if self.gzip.fill_buf().map_err(cut)?.is_empty() {
            return Ok(false);
        }
        let mut length = [0; 4];
        self.gzip.read_exact(&mut length).map_err(cut)?;
        let length = record::length(length);
        let length = length.map_err(|problem| damaged(&self.path, self.records, &self.head, problem))?;
        self.body.clear();
        let limit = u64::try_from(length).unwrap_or(u64::MAX);
        let read = self.gzip.by_ref().take(limit).read_to_end(&mut self.body).map_err(cut)?;
        if read < length { Err(ReadError::Cut { path: self.path.clone(), records: self.records }) } else { Ok(true) }
    }
}

impl Iterator for Reader {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = match self.next_frame()? {
            Ok(frame) => frame.record(),
            Err(error) => return Some(Err(error)),
        };
        self.is_over |= read.is_err();
        Some(read.map_err(|problem| damaged(&self.path, self.records - 1, &self.head, problem)))
    }
}

fn damaged(path: &Path, records: u64, head: &Head, problem: String) -> ReadError {
    ReadError::Damaged { path: path.to_path_buf(), records, vedette: head.vedette.clone(), problem }
}

/// One line without its end.
fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut text = String::new();
    from.take(LINE).read_line(&mut text)?;
    text.pop().filter(|end| *end == '\n').ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(text)
}
