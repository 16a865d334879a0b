//! Reading the database from another process, while the daemon owns it or while none runs. Changes nothing.

use std::ffi::OsString;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use url::Url;

use crate::model::incident::Incident;

use super::rows;

/// All incidents that the database at `path` knows, the latest first. Rows that cannot be read are left out.
///
/// # Errors
/// Why it cannot be read, in one line: it is missing, closed to us, or no database.
pub fn incidents(path: &Path) -> Result<Vec<Incident>, String> {
    let named = |error: &dyn std::fmt::Display| format!("reading {}: {error}", path.display());
    // SQLite reports every error as "unable to open".
    std::fs::File::open(path).map_err(|error| named(&error))?;
    let connection = open(path).map_err(|error| named(&error))?;
    let version: i64 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(|error| named(&error))?;
    if version == 0 {
        // Created, and never used.
        return Ok(Vec::new());
    }
    let (incidents, problems) =
        rows::incidents(&connection).map_err(|error| named(&crate::model::error_chain::chain(&error)))?;
    for problem in problems {
        tracing::warn!("a row of the database cannot be read and is skipped: {problem}");
    }
    Ok(incidents)
}

/// Without a write-ahead log beside it no process writes, and a reader who may not make files in the folder would fail
/// over the index of a log that is not there: the file is then read as it is.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut log: OsString = path.into();
    log.push("-wal");
    let at_rest = std::path::absolute(path).ok().and_then(|path| Url::from_file_path(path).ok());
    match at_rest.filter(|_| !Path::new(&log).exists()) {
        Some(mut url) => {
            url.set_query(Some("immutable=1"));
            Connection::open_with_flags(url.as_str(), flags | OpenFlags::SQLITE_OPEN_URI)
        }
        None => Connection::open_with_flags(path, flags),
    }
}
