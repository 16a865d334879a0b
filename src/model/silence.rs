//! Silences: for one cluster nothing is said until a time. Looking, judging and resolving go on.

use serde::{Deserialize, Serialize};

use super::subject::Name;
use super::time::UnixTime;

/// One silence. A cluster has one at most; a new one replaces the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// The cluster nothing is said about.
    pub cluster: Name,
    /// When it was asked for.
    pub since: UnixTime,
    /// When it ends by itself.
    pub until: UnixTime,
    /// Why, in the words of who asked for it.
    pub reason: String,
    /// Who asked for it, as far as the machine knows.
    pub by: String,
    /// Whether even the death of the whole cluster is not to be said.
    pub even_if_dead: bool,
}

/// What a person on the machine asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Say nothing about a cluster for a while.
    Silence(Silence),
    /// Speak again.
    EndSilence(Name),
}
