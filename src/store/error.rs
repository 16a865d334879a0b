//! The errors of the store.

use std::path::PathBuf;

/// Why something could not be stored or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file or its directory cannot be used.
    #[error("opening {path}")]
    Open {
        /// The database file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database refuses: full disk, read-only, damaged.
    #[error("the database")]
    Database(#[from] rusqlite::Error),
    /// It is damaged and cannot be moved aside either.
    #[error("the database is damaged ({damage}), and moving it aside")]
    Damaged {
        /// What is damaged.
        damage: String,
        /// Why it cannot be moved.
        source: std::io::Error,
    },
    /// A value has no JSON form.
    #[error("writing a value as JSON")]
    Encode(#[source] serde_json::Error),
}
