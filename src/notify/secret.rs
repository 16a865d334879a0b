//! Reads a configured source at the moment of use, so that a rotated file is seen without a restart.

use std::io::Error;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretSlice, SecretString};

use crate::config::settings::Source;

/// Largest file read: a bundle of authorities has some hundred kilobytes.
const LARGEST: u64 = 4 << 20;

/// The bytes behind `source`.
pub(super) fn read_bytes(source: &Source) -> Result<SecretSlice<u8>, Error> {
    match source {
        Source::File(path) => read_file(path.clone()),
        Source::Credential(name) => {
            let directory = std::env::var_os("CREDENTIALS_DIRECTORY")
                .ok_or_else(|| Error::other("CREDENTIALS_DIRECTORY is not set; systemd sets it for LoadCredential="))?;
            read_file(PathBuf::from(directory).join(name))
        }
        Source::Env(name) => match std::env::var(name) {
            Ok(value) => Ok(value.into_bytes().into()),
            Err(error) => Err(Error::other(format!("{name}: {error}"))),
        },
        Source::Inline(bytes) => Ok(bytes.expose_secret().to_vec().into()),
    }
}

/// The text behind `source`, without the line break that editors leave at its end.
pub(super) fn read_source(source: &Source) -> Result<SecretString, Error> {
    let bytes = read_bytes(source)?;
    let text = std::str::from_utf8(bytes.expose_secret()).map_err(|_| Error::other("the secret is not UTF-8"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned().into())
}

fn read_file(path: PathBuf) -> Result<SecretSlice<u8>, Error> {
    if std::fs::metadata(&path)?.len() > LARGEST {
        return Err(Error::other("the file is too large for a secret"));
    }
    Ok(std::fs::read(path)?.into())
}
