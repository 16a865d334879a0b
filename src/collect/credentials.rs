//! When credentials must be read again.
//!
//! Reading itself is `config::source`'s; what is in them is understood in `identity.rs`. Blocks on files, so it is
//! called on threads that may block.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::settings::Source;

/// Enough of a file's state to see that it was replaced, rewritten or made readable; sources that cannot change have
/// none. The time is the one of the last change of any kind (ctime), in seconds and nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark(Option<(u64, u64, i64, i64)>);

/// The state of a source, without reading it. A source that cannot be read has a state too.
pub(crate) fn mark(source: &Source) -> Mark {
    let seen = path(source).and_then(|path| fs::metadata(path).ok());
    Mark(seen.map(|seen| (seen.ino(), seen.len(), seen.ctime(), seen.ctime_nsec())))
}

fn path(source: &Source) -> Option<PathBuf> {
    match source {
        Source::File(path) => Some(path.clone()),
        Source::Credential(name) => {
            std::env::var_os("CREDENTIALS_DIRECTORY").map(|directory| Path::new(&directory).join(name))
        }
        Source::Env(_) | Source::Inline(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_has_another_mark_and_an_unread_one_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let source = Source::File(path.clone());
        let absent = mark(&source);
        fs::write(&path, "one").unwrap();
        let first = mark(&source);
        assert_eq!(mark(&source), first);
        let fresh = folder.path().join("fresh");
        fs::write(&fresh, "two").unwrap();

        fs::rename(&fresh, &path).unwrap();

        assert_ne!(mark(&source), first);
        assert_ne!(absent, first);
    }
}
