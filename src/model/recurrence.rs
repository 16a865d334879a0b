//! What a mail says of earlier incidents of the same kind.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::incident::Incident;
use super::time::UnixTime;
use super::verdict::FindingKey;

/// A resolved incident, as far as the next one of its kind needs to know it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Past {
    /// When it was resolved. First, so that the oldest sorts first.
    pub over: UnixTime,
    /// When it began.
    pub opened: UnixTime,
    /// Rule and subject that its thread was named after.
    pub key: FindingKey,
}

/// When the like of an incident happened before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// When the latest of them began.
    pub opened: UnixTime,
    /// How long that one lasted.
    pub lasted: Duration,
    /// How many began within [`Before::WINDOW`] before this one.
    pub recent: usize,
}

impl Before {
    /// What counts as recent: a month, as the reviews of on-call teams cover.
    pub const WINDOW: Duration = Duration::from_secs(30 * 86_400);
}

impl Past {
    /// Resolved incidents that are kept: in the database, and in memory of what the next mails need to know.
    pub const KEPT: usize = 1000;

    /// What of `incident` the next one needs to know; `None` while it is open, and for one that was only given up.
    #[must_use]
    pub fn of(incident: &Incident) -> Option<Self> {
        let over = incident.over.filter(|over| !over.withdrawn)?.at;
        Some(Self { over, opened: incident.opened, key: incident.headline.key() })
    }
}
