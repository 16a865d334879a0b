//! One record, and its form: a length, what it is, whose it is, and the rest in MessagePack with names.
//!
//! What it is and whose stands before the rest, so that a filter need not read it.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::model::exchange::Input;
use crate::model::incident::IncidentId;
use crate::model::message::MessageId;
use crate::model::subject::Name;
use crate::model::time::{Now, UnixTime};

use super::chunks::Chunks;

/// Longest record that is read: a checkpoint of ten thousand endpoints is a third of it.
const LONGEST: usize = 256 << 20;

/// What a recording holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// The engine as it was before the next input.
    Checkpoint(Vec<u8>),
    /// Something that the engine was told, and when.
    Input {
        /// When it was handled.
        now: Now,
        /// What.
        input: Input,
    },
    /// A mail that was handed to the mailer.
    Mailed(Mailed),
    /// So many inputs are missing here, because the disk was slower than they came.
    Dropped(u64),
}

/// A mail that was handed to the mailer: enough to tell whether a replay does the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailed {
    /// When.
    pub at: UnixTime,
    /// Which message; the same at every attempt.
    pub message: MessageId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The incident it is about.
    pub incident: IncidentId,
    /// The cluster of the incident; `None` for one of the vantage.
    pub cluster: Option<Name>,
    /// The subject line.
    pub subject: String,
    /// Whom it is for.
    pub recipients: Vec<String>,
}

/// A record before it is read: what a filter sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) kind: Kind,
    /// The cluster it is about; `None` where it concerns all.
    pub(super) scope: Option<&'a str>,
    /// An answer that proves that our own network works.
    pub(super) proves_path: bool,
    pub(super) payload: &'a [u8],
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Checkpoint,
    Input,
    Mailed,
    Dropped,
}

#[derive(Serialize)]
struct Written<'a> {
    now: Now,
    input: &'a Input,
}

#[derive(Deserialize)]
struct Read {
    now: Now,
    input: Input,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Checkpoint => b'C',
            Self::Input => b'I',
            Self::Mailed => b'M',
            Self::Dropped => b'D',
        }
    }

    const fn of(byte: u8) -> Option<Self> {
        match byte {
            b'C' => Some(Self::Checkpoint),
            b'I' => Some(Self::Input),
            b'M' => Some(Self::Mailed),
            b'D' => Some(Self::Dropped),
            _ => None,
        }
    }
}

impl Record {
    /// The cluster that it is about; `None` where it concerns the vantage or everything.
    #[must_use]
    pub fn scope(&self) -> Option<&Name> {
        match self {
            Self::Input { input: Input::Observed(observation), .. } => observation.probe.subject.cluster(),
            Self::Mailed(mailed) => mailed.cluster.as_ref(),
            Self::Input { .. } | Self::Checkpoint(_) | Self::Dropped(_) => None,
        }
    }

    /// Writes the record to `out`.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let proves_path =
            matches!(self, Self::Input { input: Input::Observed(observation), .. } if observation.proves_path);
        let encoded;
        let (kind, payload) = match self {
            Self::Checkpoint(engine) => (Kind::Checkpoint, engine.as_slice()),
            Self::Input { now, input } => {
                encoded = encode(&Written { now: *now, input })?;
                (Kind::Input, encoded.as_slice())
            }
            Self::Mailed(mailed) => {
                encoded = encode(mailed)?;
                (Kind::Mailed, encoded.as_slice())
            }
            Self::Dropped(inputs) => {
                encoded = encode(inputs)?;
                (Kind::Dropped, encoded.as_slice())
            }
        };
        Frame { kind, scope: self.scope().map(Name::as_str), proves_path, payload }.write(out)
    }
}

impl<'a> Frame<'a> {
    /// Writes the frame to `out`.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let scope = self.scope.unwrap_or_default();
        head(self.kind, self.proves_path, scope, self.payload.len(), out)?;
        out.write_all(self.payload)
    }

    /// The frame in `body`, which is everything behind its length.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, String> {
        let [kind, flags, scope_length, rest @ ..] = body else { return Err("it is too short".into()) };
        let kind = Kind::of(*kind).ok_or_else(|| format!("its kind {kind} is unknown"))?;
        let (scope, payload) =
            rest.split_at_checked(usize::from(*scope_length)).ok_or_else(|| "it is too short".to_owned())?;
        let scope = std::str::from_utf8(scope).map_err(|error| error.to_string())?;
        Ok(Self { kind, scope: Some(scope).filter(|scope| !scope.is_empty()), proves_path: *flags & 1 == 1, payload })
    }

    /// What it holds.
    pub(super) fn record(&self) -> Result<Record, String> {
        Ok(match self.kind {
            Kind::Checkpoint => Record::Checkpoint(self.payload.to_vec()),
            Kind::Input => {
                let Read { now, input } = decode(self.payload)?;
                Record::Input { now, input }
            }
            Kind::Mailed => Record::Mailed(decode(self.payload)?),
            Kind::Dropped => Record::Dropped(decode(self.payload)?),
        })
    }
}

/// Writes a checkpoint to `out`, and frees each part of it behind it.
pub(super) fn write_checkpoint(engine: Chunks, out: &mut impl Write) -> io::Result<()> {
    head(Kind::Checkpoint, false, "", engine.len(), out)?;
    engine.write_to(out)
}

/// What stands before the `payload` bytes of a record.
fn head(kind: Kind, proves_path: bool, scope: &str, payload: usize, out: &mut impl Write) -> io::Result<()> {
    let scope_length = u8::try_from(scope.len()).map_err(|_| io::Error::other("a name is too long"))?;
    let length = payload + scope.len() + 3;
    let length = u32::try_from(length).map_err(|_| io::Error::other("a record is too long"))?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(&[kind.byte(), u8::from(proves_path), scope_length])?;
    out.write_all(scope.as_bytes())
}

/// The length in front of a frame, if it may be read.
pub(super) fn length(bytes: [u8; 4]) -> Result<usize, String> {
    let length = usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX);
    if length <= LONGEST { Ok(length) } else { Err(format!("its length of {length} bytes is impossible")) }
}

fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    rmp_serde::to_vec_named(value).map_err(io::Error::other)
}

fn decode<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, String> {
    rmp_serde::from_slice(bytes).map_err(|error| error.to_string())
}
