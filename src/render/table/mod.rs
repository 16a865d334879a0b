//! The answer of `vedette probe`: one summary line, one table of everything seen, or the same as JSON.
//!
//! The first line and the exit code keep the monitoring-plugins contract (`STATUS - text | label=value`), so that one
//! program serves a person and Nagios, Icinga or Checkmk alike. Nothing is evaluated here: findings and unknown
//! verdicts come in as values. No colours, and no `|` behind the first line, where plugins read figures. Called by
//! `cli`.

mod certificate_files;
mod json;
mod layout;
pub(in crate::render) mod row;
pub(in crate::render) mod rows;
mod summary;
mod totals;

use crate::model::inventory::Inventory;
use crate::model::observation::Observation;
use crate::model::rule::RuleId;
use crate::model::subject::Subject;
use crate::model::time::Now;
use crate::model::verdict::{Finding, Why};

pub use json::json;
pub use row::Saw;
pub use summary::{State, summary};

use row::Row;
use rows::rows;

/// Everything there is to say about one pass over the inventory.
#[derive(Clone, Copy)]
pub struct Pass<'a> {
    /// When the pass ended; ages and days left count from here.
    pub now: Now,
    /// What should exist.
    pub inventory: &'a Inventory,
    /// What was seen.
    pub observations: &'a [Observation],
    /// What is wrong.
    pub findings: &'a [Finding],
    /// What could not be determined.
    pub unknowns: &'a [Unknown],
    /// The words of a finding's rule, as a mail subject says them after the cluster's name.
    pub headline: &'a dyn Fn(&Finding) -> String,
    /// What a rule reports, in a few words.
    pub title: &'a dyn Fn(RuleId) -> &'static str,
}

/// A subject of which a rule cannot say whether it is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// The rule.
    pub rule: RuleId,
    /// The subject.
    pub subject: Subject,
    /// Why not.
    pub why: Why,
}

/// What is printed below the summary line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layout {
    /// Columns of the terminal; `None` where no terminal reads it: then every row is one line.
    pub width: Option<u16>,
    /// Whether what is good is listed as well, and not only counted.
    pub all: bool,
}

/// The summary line, an empty line, a table of what is not good, and a line for each cluster that says how much is.
#[must_use]
pub fn text(pass: Pass<'_>, layout: Layout) -> String {
    let (good, others): (Vec<Row>, Vec<Row>) =
        rows(pass).into_iter().partition(|row| row.saw == Saw::Ok && !layout.all);
    let width = layout.width.map(usize::from);
    let blocks = [summary(pass) + "\n", layout::lines(&others, width), totals::lines(pass, &good)];
    blocks.into_iter().filter(|block| !block.is_empty()).collect::<Vec<_>>().join("\n")
}

/// `text` without what would break a terminal or the plugin contract: control characters and `|`.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || c == '|' { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests;
