//! Credentials from where the configuration says they are, read again when they change.
//!
//! Reads bytes and nothing more: what is in them is understood in `identity.rs`. Blocks on files, so it is called on
//! threads that may block. Contents never reach an error, a log or a `Debug` text.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use crate::config::settings::Source;

/// Octets read of one credential: an authority bundle of a whole operating system has a quarter of this.
const MAX_OCTETS: u64 = 1024 * 1024;

/// Why a credential cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("{} cannot be read", .0.display())]
    File(PathBuf, #[source] io::Error),
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    #[error("{} is larger than 1 MiB", .0.display())]
    TooLarge(PathBuf),
    #[error("the credential '{0}' needs systemd's CREDENTIALS_DIRECTORY, which is not set")]
    NoDirectory(String),
    #[error("the environment variable {0} is not set")]
    NoVariable(String),
}

/// Enough of a file's state to see that it was replaced, rewritten or made readable; sources that cannot change have
/// none. The time is the one of the last change of any kind (ctime), in seconds and nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark(Option<(u64, u64, i64, i64)>);

/// The state of a source, without reading it. A source that cannot be read has a state too.
pub(crate) fn mark(source: &Source) -> Mark {
    let seen = path(source).ok().flatten().and_then(|path| fs::metadata(path).ok());
    Mark(seen.map(|seen| (seen.ino(), seen.len(), seen.ctime(), seen.ctime_nsec())))
}

/// The bytes of a source.
///
/// # Errors
///
/// Names the source, never its content.
pub(crate) fn read(source: &Source) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
    match source {
        Source::Inline(octets) => Ok(Zeroizing::new(octets.expose_secret().to_vec())),
        Source::Env(name) => std::env::var(name)
            .map(|value| Zeroizing::new(value.into_bytes()))
            .map_err(|_| Unreadable::NoVariable(name.clone())),
        Source::File(_) | Source::Credential(_) => match path(source)? {
            Some(path) => read_file(&path),
            None => Ok(Zeroizing::default()),
        },
    }
}

fn path(source: &Source) -> Result<Option<PathBuf>, Unreadable> {
    match source {
        Source::File(path) => Ok(Some(path.clone())),
        Source::Credential(name) => std::env::var_os("CREDENTIALS_DIRECTORY")
            .map(|directory| Some(Path::new(&directory).join(name)))
            .ok_or_else(|| Unreadable::NoDirectory(name.clone())),
        Source::Env(_) | Source::Inline(_) => Ok(None),
    }
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
    let failed = |error| Unreadable::File(path.to_owned(), error);
    // Asked before opening, because opening a FIFO would wait for a writer.
    let seen = fs::metadata(path).map_err(failed)?;
    if !seen.is_file() {
        return Err(Unreadable::NotAFile(path.to_owned()));
    }
    let mut octets = Zeroizing::new(Vec::new());
    File::open(path).and_then(|file| file.take(MAX_OCTETS + 1).read_to_end(&mut octets)).map_err(failed)?;
    if u64::try_from(octets.len()).unwrap_or(u64::MAX) > MAX_OCTETS {
        return Err(Unreadable::TooLarge(path.to_owned()));
    }
    Ok(octets)
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
        assert_eq!(read(&source).unwrap().as_slice(), b"one");
        assert_eq!(mark(&source), first);
        let fresh = folder.path().join("fresh");
        fs::write(&fresh, "two").unwrap();

        fs::rename(&fresh, &path).unwrap();

        assert_ne!(mark(&source), first);
        assert_ne!(absent, first);
        assert_eq!(read(&source).unwrap().as_slice(), b"two");
    }

    #[test]
    fn what_is_no_file_is_refused_without_hanging() {
        let folder = tempfile::tempdir().unwrap();

        assert!(matches!(read(&Source::File(folder.path().to_owned())), Err(Unreadable::NotAFile(_))));
        assert!(matches!(read(&Source::File("/dev/zero".into())), Err(Unreadable::NotAFile(_))));
        assert!(matches!(read(&Source::File(folder.path().join("none"))), Err(Unreadable::File(..))));
        assert!(matches!(read(&Source::Env("VEDETTE_NO_SUCH_VARIABLE".into())), Err(Unreadable::NoVariable(_))));
    }

    #[test]
    fn a_file_without_end_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        File::create(&path).unwrap().set_len(MAX_OCTETS + 1).unwrap();

        assert!(matches!(read(&Source::File(path)), Err(Unreadable::TooLarge(_))));
    }
}
