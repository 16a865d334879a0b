//! How the configuration in use came to be, and what an attempt to replace it came to.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::inventory::Inventory;
use super::policy::Policy;
use super::time::UnixTime;

/// The configuration in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    /// When the configuration in use was read, or, while a copy stands in, when that copy was.
    pub at: UnixTime,
    /// The latest attempt to replace it, when that failed; `None` after a success.
    pub refused: Option<Refusal>,
    /// Times it was replaced since the start.
    pub reloads: u64,
    /// Times a replacement was refused since the start.
    pub refusals: u64,
    /// Whether the file could not be used at the start, so that the last copy that could stands in for it.
    pub is_copy: bool,
    /// What is written in the file and not in force, in words; at most 20.
    pub remarks: Vec<String>,
}

/// An attempt to replace the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reload {
    /// The file is in order.
    Taken(Box<Replacement>),
    /// It is not: what was in use stays in use.
    Refused(Refusal),
    /// It was not at the start: the copy that is in use instead was in force at `of`.
    StoodIn {
        /// When the copy was made.
        of: UnixTime,
        /// What is wrong with the file.
        refusal: Refusal,
    },
}

/// What the engine gets to know of a new configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replacement {
    /// When it was read.
    pub at: UnixTime,
    /// What should exist.
    pub inventory: Arc<Inventory>,
    /// The numbers that decide.
    pub policy: Arc<Policy>,
    /// As [`Configured::remarks`].
    pub remarks: Vec<String>,
}

/// A configuration that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// When.
    pub at: UnixTime,
    /// Every mistake, each with file, line and column, as `vedette check` prints it; at most 20.
    pub mistakes: Vec<String>,
}

/// Mistakes and remarks that are kept: a page that lists more is not read.
pub const MOST: usize = 20;

impl Configured {
    /// A configuration read at start, at `at`.
    #[must_use]
    pub const fn at_start(at: UnixTime) -> Self {
        Self { at, refused: None, reloads: 0, refusals: 0, is_copy: false, remarks: Vec::new() }
    }

    /// Notes that a newer one was not taken.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.refusals = self.refusals.saturating_add(1);
        self.refused = Some(refusal);
    }

    /// Notes that another one, read at `at`, is in use now.
    pub fn replace(&mut self, at: UnixTime, remarks: Vec<String>) {
        let (reloads, refusals) = (self.reloads.saturating_add(1), self.refusals);
        *self = Self { at, refused: None, reloads, refusals, is_copy: false, remarks };
    }
}

impl Refusal {
    /// A refusal for these `mistakes`, of which the first [`MOST`] are kept.
    #[must_use]
    pub fn new(at: UnixTime, mistakes: Vec<String>) -> Self {
        Self { at, mistakes: first(mistakes) }
    }
}

/// The first [`MOST`] of `lines`, with a last one that says how many are left out.
#[must_use]
pub fn first(mut lines: Vec<String>) -> Vec<String> {
    let more = (lines.len() + 1).saturating_sub(MOST);
    if lines.len() > MOST {
        lines.truncate(MOST - 1);
        lines.push(format!("and {more} more"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted() {
        let lines = |count: usize| first((1..=count).map(|n| n.to_string()).collect());

        assert_eq!(lines(20).last().unwrap(), "20");
        assert_eq!((lines(23).len(), lines(23).last().unwrap().as_str()), (20, "and 4 more"));
    }
}
