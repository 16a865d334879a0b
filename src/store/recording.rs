//! The flight recorder's files: what went into the engine and when, so that any minute of it can be replayed.
//!
//! A segment is one gzip file: a line that names the form, a line of JSON that says whose it is, then records. The first
//! record is a checkpoint, the engine as bytes, so that a replay may begin with any segment; the others follow in the
//! order in which they happened. A file that was cut off is good as far as it goes. `segment.rs` is the form,
//! `chunks.rs` a checkpoint on its way to the disk, `files.rs` the names of the files, `folder.rs` how much room they
//! take, `keeping.rs` what is kept longer. Called by `daemon/recorder.rs` and `cli/replay`.

mod chunks;
mod files;
mod folder;
mod keeping;
mod record;
mod segment;
#[cfg(test)]
mod tests;

pub use chunks::Chunks;
pub use files::{Segment, in_order, is_next};
pub use folder::{Folder, Limits};
pub use keeping::{AFTER, BEFORE, Keep};
pub use record::{Mailed, Record};
pub use segment::{Head, ReadError, Reader, Writer};
