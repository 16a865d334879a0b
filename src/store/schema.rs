//! The tables, and the migrations from older ones.
//!
//! Each row holds the model's value as JSON, which alone is read back; the other columns are for people with an
//! SQLite shell and for sorting. Migrations only add, so that an older release still reads a newer database.

use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::{Batch, Connection, TransactionBehavior};

/// Steps from each `user_version` to the next.
const STEPS: [&str; 4] = [
    "
    CREATE TABLE alarms (
        rule    TEXT NOT NULL,
        subject TEXT NOT NULL,
        level   TEXT NOT NULL,
        stage   TEXT NOT NULL,
        since   TEXT NOT NULL,
        json    TEXT NOT NULL,
        PRIMARY KEY (rule, subject)
    ) WITHOUT ROWID;
    CREATE TABLE incidents (
        id        TEXT NOT NULL PRIMARY KEY,
        cluster   TEXT,
        rule      TEXT NOT NULL,
        subject   TEXT NOT NULL,
        level     TEXT NOT NULL,
        opened    TEXT NOT NULL,
        ended     TEXT,
        opened_ms INTEGER NOT NULL,
        ended_ms  INTEGER,
        json      TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX incidents_by_end ON incidents (ended_ms);
    CREATE TABLE outbox (
        number       INTEGER PRIMARY KEY,
        message      TEXT NOT NULL UNIQUE,
        incident     TEXT NOT NULL,
        reason       TEXT NOT NULL,
        level        TEXT NOT NULL,
        composed     TEXT NOT NULL,
        attempts     INTEGER NOT NULL,
        last_failure TEXT,
        composed_ms  INTEGER NOT NULL,
        json         TEXT NOT NULL
    );
",
    "
    CREATE TABLE silences (
        cluster      TEXT NOT NULL PRIMARY KEY,
        since        TEXT NOT NULL,
        until        TEXT NOT NULL,
        reason       TEXT NOT NULL,
        by           TEXT NOT NULL,
        even_if_dead INTEGER NOT NULL,
        json         TEXT NOT NULL
    ) WITHOUT ROWID;
",
    "
    CREATE TABLE refused (
        recipient TEXT NOT NULL PRIMARY KEY,
        since     TEXT NOT NULL,
        said      TEXT NOT NULL,
        is_told   INTEGER NOT NULL,
        json      TEXT NOT NULL
    ) WITHOUT ROWID;
",
    // A row of `outbox` stays what releases before this one read and write; who is told is here. They delete a message
    // that they have sent from `outbox` alone, so the trigger takes its deliveries along.
    "
    CREATE TABLE deliveries (
        message      TEXT NOT NULL,
        outlet       TEXT NOT NULL,
        recipient    TEXT NOT NULL,
        progress     TEXT NOT NULL,
        attempts     INTEGER NOT NULL,
        last_failure TEXT,
        json         TEXT NOT NULL,
        PRIMARY KEY (message, outlet, recipient)
    ) WITHOUT ROWID;
    CREATE TRIGGER deliveries_of_sent AFTER DELETE ON outbox BEGIN
        DELETE FROM deliveries WHERE message = OLD.message;
    END;
    CREATE TABLE refused_recipients (
        outlet    TEXT NOT NULL,
        recipient TEXT NOT NULL,
        since     TEXT NOT NULL,
        said      TEXT NOT NULL,
        is_told   INTEGER NOT NULL,
        json      TEXT NOT NULL,
        PRIMARY KEY (outlet, recipient)
    ) WITHOUT ROWID;
    INSERT INTO refused_recipients (outlet, recipient, since, said, is_told, json)
        SELECT 'mail', recipient, since, said, is_told, json FROM refused;
",
];

/// Brings the database to this release's tables. A database of a newer release is left as it is.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    migrate_watched(connection, &mut || {})
}

/// The same, calling `between` after each statement: where a crash may come.
pub(super) fn migrate_watched(connection: &mut Connection, between: &mut dyn FnMut()) -> rusqlite::Result<()> {
    let at: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = usize::try_from(at).unwrap_or(0);
    if done > STEPS.len() {
        tracing::warn!(
            "the database was written by a newer version of vedette (format {at}); using it as far as it \
                        is understood"
        );
    }
    for (step, version) in STEPS.iter().zip(1_i64..).skip(done) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut statements = Batch::new(&transaction, step);
        while let Some(mut statement) = statements.next()? {
            statement.execute([])?;
            between();
        }
        transaction.pragma_update(None, "user_version", version)?;
        between();
        transaction.commit()?;
        between();
    }
    Ok(())
}
