//! The answer of `vedette probe --once`: one summary line, one table of everything seen, or the same as JSON.
//!
//! The first line and the exit code keep the monitoring-plugins contract (`STATUS - text | label=value`), so that one
//! program serves a person and Nagios, Icinga or Checkmk alike. Nothing is judged here: findings and what could not be
//! told come in as values. No colours, and no `|` behind the first line, where plugins read figures. Called by `cli`.

mod json;
pub(in crate::render) mod row;
pub(in crate::render) mod rows;
mod stored;
mod summary;

use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};

use crate::model::inventory::Inventory;
use crate::model::observation::Observation;
use crate::model::phase::Phases;
use crate::model::rule::RuleId;
use crate::model::subject::Subject;
use crate::model::time::Now;
use crate::model::verdict::{Finding, Why};

pub use json::json;
pub use row::Saw;
pub use summary::{State, summary};

use rows::rows;

/// Everything there is to say about one pass over the inventory.
#[derive(Clone, Copy)]
pub struct Pass<'a> {
    /// When the pass ended; ages and days left count from here.
    pub now: Now,
    /// What should exist.
    pub inventory: &'a Inventory,
    /// What was seen.
    pub looks: &'a [Observation],
    /// What is wrong.
    pub findings: &'a [Finding],
    /// What could not be told.
    pub unknowns: &'a [Unknown],
    /// The words of a finding's rule, as a mail subject says them after the cluster's name.
    pub headline: &'a dyn Fn(&Finding) -> String,
    /// What a rule tells, in a few words.
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

/// The summary line, an empty line, the table.
///
/// Every look stays on one line unless that is wider than `width`, the columns of the terminal: then the milliseconds
/// are not told by phase, and what is too long even so is wrapped.
#[must_use]
pub fn text(pass: Pass<'_>, width: Option<u16>) -> String {
    let whole = listed(pass, None);
    let widest = whole.lines().map(|line| line.chars().count()).max().unwrap_or_default();
    let table = match width {
        Some(width) if widest > usize::from(width) => listed(pass, Some(width)),
        Some(_) | None => whole,
    };
    format!("{}\n\n{table}", summary(pass))
}

/// The table; with `width` in its short form.
fn listed(pass: Pass<'_>, width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    match width {
        Some(width) => table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    table.set_header(["SUBJECT", "ADDRESS", "PROBE", "CONN", "STATE", "RESULT", "MILLISECONDS", "CERT DAYS"]);
    for row in rows(pass) {
        let days = row.end.as_ref().map_or_else(String::new, |end| {
            end.days_left.map_or_else(|| "never".to_owned(), |days| format!("{days:.1}"))
        });
        table.add_row([
            row.subject.to_string(),
            row.address.clone(),
            row.probe.kind.as_str().to_owned(),
            row.probe.connection.as_str().to_owned(),
            row.saw.as_str().to_owned(),
            row.result.clone(),
            if width.is_some() { total(&row.phases) } else { milliseconds(&row.phases) },
            days,
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `dial 1.0 + tls 4.6 = 5.6`; empty when no phase was reached.
fn milliseconds(phases: &Phases) -> String {
    let reached: Vec<String> =
        phases.reached().map(|(phase, spent)| format!("{} {}", phase.as_str(), figure(spent))).collect();
    match reached.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        several => format!("{} = {}", several.join(" + "), total(phases)),
    }
}

/// `5.6`; empty when no phase was reached.
fn total(phases: &Phases) -> String {
    phases.reached().next().map_or_else(String::new, |_| figure(phases.total()))
}

fn figure(spent: Duration) -> String {
    format!("{:.1}", spent.as_secs_f64() * 1000.0)
}

/// `text` without what would break a terminal or the plugin contract: control characters and `|`.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || c == '|' { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests;
