//! When credentials must be read again.
//!
//! Reading itself is `config::source`'s; what is in them is understood in `identity.rs`. Blocks on files, so it is
//! called on threads that may block.

use std::path::Path;

use crate::config::mark::Mark;
use crate::config::settings::Source;

/// The state of a source, without reading it. What cannot change has always the same.
pub(crate) fn mark(source: &Source) -> Mark {
    match source {
        Source::File(path) => Mark::of(path),
        Source::Credential(name) => std::env::var_os("CREDENTIALS_DIRECTORY")
            .map(|directory| Mark::of(&Path::new(&directory).join(name)))
            .unwrap_or_default(),
        Source::Env(_) | Source::Inline(_) => Mark::default(),
    }
}
