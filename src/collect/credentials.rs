//! When credentials must be read again.
//!
//! `config::source` reads them, `identity.rs` parses their content. Blocks on files, so it is called on threads that
//! may block.

use std::path::Path;

use crate::config::file_stamp::FileStamp;
use crate::config::settings::Source;

/// The state of a source, without reading it. What cannot change has always the same.
pub(crate) fn stamp(source: &Source) -> FileStamp {
    match source {
        Source::File(path) => FileStamp::of(path),
        Source::Credential(name) => std::env::var_os("CREDENTIALS_DIRECTORY")
            .map(|directory| FileStamp::of(&Path::new(&directory).join(name)))
            .unwrap_or_default(),
        Source::Env(_) | Source::Inline(_) => FileStamp::default(),
    }
}
