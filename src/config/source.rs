//! Reading a credential or certificate from where the configuration says it is, anew on every use.
//!
//! Nothing is cached, so a rotated file is seen without a restart. Opens regular files only, and never waits for
//! one: a FIFO in place of a key must not stop a daemon. Errors name the place and the cause, never the content.

use std::env;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use super::settings::Source;
use crate::parse::text::MAX_BYTES;

/// Why a source could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file cannot be opened or read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is something else in its place: a directory, a FIFO, a device.
    #[error("{} is not a regular file", path.display())]
    NotRegular {
        /// The path.
        path: PathBuf,
    },
    /// More than [`MAX_BYTES`].
    #[error("{} has more than {MAX_BYTES} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// No credentials directory, so we do not run in a unit with credentials.
    #[error("credential '{name}' cannot be found: $CREDENTIALS_DIRECTORY is not set")]
    NoCredentials {
        /// The credential.
        name: String,
    },
    /// The environment variable is absent.
    #[error("environment variable {name} is not set")]
    Unset {
        /// The variable.
        name: String,
    },
    /// A password or token that is empty, has more than one line, or is not UTF-8.
    #[error("{place} does not hold exactly one line of text")]
    NotOneLine {
        /// The place.
        place: String,
    },
}

impl Source {
    /// The bytes as they are there now, at most [`MAX_BYTES`]. Blocks for as long as the file system does.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub fn read(&self) -> Result<SecretSlice<u8>, SourceError> {
        match self {
            Self::File(path) => Ok(read_file(path)?.bytes),
            Self::Credential(name) => {
                let folder = env::var_os("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty());
                let folder = folder.ok_or_else(|| SourceError::NoCredentials { name: name.clone() })?;
                Ok(read_file(&Path::new(&folder).join(name))?.bytes)
            }
            Self::Env(name) => {
                use std::os::unix::ffi::OsStringExt as _;
                let value = env::var_os(name).ok_or_else(|| SourceError::Unset { name: name.clone() })?;
                Ok(value.into_vec().into())
            }
            Self::Inline(bytes) => Ok(SecretSlice::clone(Arc::as_ref(bytes))),
        }
    }

    /// The one line of text in it, for passwords and tokens: without the line end that editors add.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub fn read_line(&self) -> Result<SecretString, SourceError> {
        let bytes = self.read()?;
        let text = std::str::from_utf8(bytes.expose_secret()).map(|text| text.trim_end_matches(['\r', '\n']));
        match text {
            Ok(line) if !line.is_empty() && !line.contains(['\r', '\n', '\0']) => Ok(line.to_owned().into()),
            Ok(_) | Err(_) => Err(SourceError::NotOneLine { place: format!("{self:?}") }),
        }
    }
}

/// A file as it was read.
pub(super) struct Contents {
    pub(super) bytes: SecretSlice<u8>,
    /// Permission bits.
    pub(super) mode: u32,
}

/// Reads a regular file whole.
pub(super) fn read_file(path: &Path) -> Result<Contents, SourceError> {
    let unreadable = |source: io::Error| SourceError::Unreadable { path: path.to_owned(), source };
    // Without NONBLOCK, opening a FIFO waits for a writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file: File = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(opened) => opened.into(),
        // What open answers for a socket.
        Err(rustix::io::Errno::NXIO) => return Err(SourceError::NotRegular { path: path.to_owned() }),
        Err(errno) => return Err(unreadable(errno.into())),
    };
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(SourceError::NotRegular { path: path.to_owned() });
    }
    // Room for everything from the start, because a growing buffer leaves copies of a secret behind.
    let room = usize::try_from(metadata.len()).map_or(MAX_BYTES, |length| length.min(MAX_BYTES)) + 1;
    let mut bytes = Vec::with_capacity(room);
    file.take(u64::try_from(MAX_BYTES + 1).unwrap_or(u64::MAX)).read_to_end(&mut bytes).map_err(unreadable)?;
    let is_too_long = bytes.len() > MAX_BYTES;
    let bytes: SecretSlice<u8> = bytes.into();
    if is_too_long {
        return Err(SourceError::TooLong { path: path.to_owned() });
    }
    Ok(Contents { bytes, mode: metadata.permissions().mode() & 0o7777 })
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::fs;

    use super::*;

    #[test]
    fn a_rotated_file_is_seen_on_the_next_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let source = Source::File(path.clone());

        fs::write(&path, "one\n").unwrap();
        let first = source.read_line().unwrap();
        fs::write(&path, "two\r\n").unwrap();
        let second = source.read_line().unwrap();

        assert_eq!((first.expose_secret(), second.expose_secret()), ("one", "two"));
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in [folder.path(), fifo.as_path(), &socket, Path::new("/dev/null")] {
            let error = Source::File(path.to_owned()).read().unwrap_err();

            assert!(matches!(error, SourceError::NotRegular { .. }), "{error}");
        }
    }

    #[test]
    fn errors_name_place_and_cause() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent");

        let error = Source::File(path.clone()).read().unwrap_err();

        assert_eq!(error.to_string(), format!("cannot read {}", path.display()));
        assert_eq!(error.source().unwrap().to_string(), "No such file or directory (os error 2)");
        assert_eq!(
            Source::Env("VEDETTE_NEVER_SET".to_owned()).read().unwrap_err().to_string(),
            "environment variable VEDETTE_NEVER_SET is not set"
        );
    }

    #[test]
    fn long_files_and_lines_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");

        fs::write(&path, vec![b'x'; MAX_BYTES]).unwrap();
        assert!(Source::File(path.clone()).read().is_ok());
        fs::write(&path, vec![b'x'; MAX_BYTES + 1]).unwrap();
        assert!(matches!(Source::File(path.clone()).read(), Err(SourceError::TooLong { .. })));
        for text in [&b""[..], b"\n", b"a\nb", b"a\0", b"\xff"] {
            fs::write(&path, text).unwrap();
            assert!(matches!(Source::File(path.clone()).read_line(), Err(SourceError::NotOneLine { .. })), "{text:?}");
        }
    }
}
