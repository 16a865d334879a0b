//! What of the segments is kept longer: of an incident its cluster and the vantage, from before it to after it began.
//!
//! The rest of a vantage is left out, except one answer a second that proves that our own network works, because faults
//! of the cluster are confirmed by such proof. The checkpoint is copied whole: it cannot be taken apart without knowing
//! the engine, is small beside the records, and only the first segment needs one.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use crate::model::incident::{Incident, IncidentId};
use crate::model::subject::Name;
use crate::model::time::{Mono, UnixTime};

use super::files::{Segment, is_next};
use super::record::{Kind, Record};
use super::segment::{Head, ReadError, Reader, Writer};

/// How long before the first bad probe of an incident.
pub const BEFORE: Duration = Duration::from_secs(600);

/// How long after it.
pub const AFTER: Duration = Duration::from_secs(900);

/// Of other clusters, one answer that proves our path is kept this often: as often as a burst asks for one.
const PROOF: Duration = Duration::from_secs(1);

/// What is to be kept of an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    /// The incident.
    pub incident: IncidentId,
    /// Its cluster; `None` for one of the vantage, of which everything is kept, because all clusters together tell
    /// whether the vantage has a network.
    pub cluster: Option<Name>,
    /// The first bad probe.
    pub opened: UnixTime,
}

impl Keep {
    /// What is to be kept of `incident`.
    #[must_use]
    pub fn of(incident: &Incident) -> Self {
        Self { incident: incident.id.clone(), cluster: incident.cluster.clone(), opened: incident.opened }
    }

    /// Until when something is to be kept.
    #[must_use]
    pub fn until(&self) -> UnixTime {
        self.opened.plus(AFTER)
    }

    /// Whether it is about any part of `segment`.
    #[must_use]
    pub fn wants(&self, segment: &Segment) -> bool {
        segment.ended >= self.opened.minus(BEFORE) && segment.began < self.until()
    }

    /// Folder of what is kept of it.
    pub(super) fn name(&self) -> String {
        let cluster = self.cluster.as_ref().map_or("vantage", Name::as_str);
        let id = self.incident.0.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
        format!("{cluster}-{id}")
    }
}

/// Writes what `segment` holds of the vantage and of the cluster `only` to `path`; the whole of it where there is
/// nothing else. `before` is what is kept of the segment before, which makes a checkpoint needless where it is complete.
pub(super) fn copy(segment: &Segment, path: &Path, only: Option<&Name>, before: Option<&Path>) -> io::Result<()> {
    let Some(only) = only else { return link(&segment.path, path) };
    let mut reader = Reader::open(&segment.path).map_err(io::Error::other)?;
    let needs_checkpoint = !before.is_some_and(|before| reader.head().follows && is_next(before, &segment.path));
    let head = Head { only: Some(only.clone()), ..reader.head().clone() };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut writer = Writer::new(file, &head)?;
    let (mut left_out, mut proven) = (0_u64, None);
    while let Some(frame) = reader.next_frame() {
        let frame = match frame {
            Ok(frame) => frame,
            // As it was after a crash: what is whole is kept.
            Err(ReadError::Cut { .. }) => break,
            Err(error) => return Err(io::Error::other(error)),
        };
        let is_ours = frame.scope.is_none_or(|scope| scope == only.as_str());
        let is_kept = is_ours || frame.proves_path && is_next_proof(&frame.record(), &mut proven);
        if !is_kept {
            left_out += 1;
            continue;
        }
        if frame.kind != Kind::Checkpoint || needs_checkpoint {
            writer.write_frame(&frame)?;
        }
    }
    drop(writer.finish()?);
    if left_out == 0 {
        fs::remove_file(path)?;
        return link(&segment.path, path);
    }
    Ok(())
}

fn is_next_proof(record: &Result<Record, String>, proven: &mut Option<Mono>) -> bool {
    let Ok(Record::Input { now, .. }) = record else { return false };
    let is_due = proven.is_none_or(|proven| now.mono.since(proven) >= PROOF);
    if is_due {
        *proven = Some(now.mono);
    }
    is_due
}

/// Another name for the same file; a copy where the filesystem has no such thing.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut File::open(from)?, &mut file)?;
    Ok(())
}
