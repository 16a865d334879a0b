//! The database file: opening, its settings, and what to do when it is damaged.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::model::exchange::{Change, PersistedState};
use crate::model::time::UnixTime;

use super::error::StoreError;
use super::{rows, schema};

/// How long to wait for a person's SQLite shell that holds the lock.
const BUSY: Duration = Duration::from_secs(1);

/// The file and, when it could be opened, the connection to it.
pub(super) struct Database {
    path: PathBuf,
    now: UnixTime,
    connection: Option<Connection>,
}

impl Database {
    /// Nothing is opened yet.
    pub(super) const fn new(path: PathBuf, now: UnixTime) -> Self {
        Self { path, now, connection: None }
    }

    /// What the database holds. A row that cannot be read is logged and left out.
    pub(super) fn restore(&mut self) -> Result<PersistedState, StoreError> {
        let connection = self.connect()?;
        let (memory, problems) = rows::recall(connection)?;
        for problem in problems {
            tracing::error!("a row of the database cannot be read and is skipped: {problem}");
        }
        Ok(memory)
    }

    /// Makes all `groups` of changes durable in one transaction.
    pub(super) fn persist(&mut self, groups: &[Vec<Change>]) -> Result<(), StoreError> {
        let result = write(self.connect()?, groups);
        if let Err(StoreError::Database(error)) = &result {
            let stays = matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
            );
            if !stays {
                self.connection = None;
            }
        }
        result
    }

    /// The connection, opened when there is none: at start, and again after an error that may have spoilt it.
    fn connect(&mut self) -> Result<&mut Connection, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => open_or_replace(&self.path, self.now)?,
        };
        Ok(self.connection.insert(connection))
    }

    /// Caps the size of the database, as a full disk would.
    #[cfg(test)]
    pub(super) fn cap(&mut self, pages: i64) -> Result<(), StoreError> {
        let connection = self.connect()?;
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        Ok(())
    }

    /// The connection, for tests that spoil rows.
    #[cfg(test)]
    pub(super) fn raw(&mut self) -> &Connection {
        self.connect().unwrap()
    }
}

fn write(connection: &mut Connection, groups: &[Vec<Change>]) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for change in groups.iter().flatten() {
        rows::apply(&transaction, change)?;
    }
    Ok(transaction.commit()?)
}

fn open_or_replace(path: &Path, now: UnixTime) -> Result<Connection, StoreError> {
    prepare_file(path).map_err(|source| StoreError::Open { path: path.into(), source })?;
    let damage = match open(path) {
        Ok(connection) => return Ok(connection),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => error.to_string(),
            _ => return Err(error.into()),
        },
    };
    let blocking = move_aside(path, now).map_err(|source| StoreError::Damaged { damage: damage.clone(), source })?;
    tracing::error!(
        "the database is damaged ({damage}); it was moved to {} and a new one is begun",
        blocking.display()
    );
    prepare_file(path).map_err(|source| StoreError::Open { path: path.into(), source })?;
    Ok(open(path)?)
}

/// Creates the file, unreadable for other users: it holds mails and the names of certificates.
fn prepare_file(path: &Path) -> std::io::Result<()> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(())
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    let verdict: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    if verdict != "ok" {
        let damaged = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        return Err(rusqlite::Error::SqliteFailure(damaged, Some(verdict)));
    }
    schema::migrate(&mut connection)?;
    Ok(connection)
}

/// Renames the database with its log, and never over an earlier one.
fn move_aside(path: &Path, now: UnixTime) -> std::io::Result<PathBuf> {
    let named = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let mut mark = format!(".corrupt-{}", now.as_secs());
    let mut again = 1;
    while named(&mark).exists() {
        mark = format!(".corrupt-{}.{again}", now.as_secs());
        again += 1;
    }
    std::fs::rename(path, named(&mark))?;
    for part in ["-wal", "-shm"] {
        match std::fs::rename(named(part), named(&format!("{mark}{part}"))) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(named(&mark))
}
