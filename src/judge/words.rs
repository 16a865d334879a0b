//! What may be said of findings and rules by those who know no rule: mails, pages, tables.

use crate::model::finding::Finding;
use crate::model::rule::RuleId;

use super::commands::{Command, Commands};
use super::description::Description;

pub use super::description::Shows;

/// Commands that one mail or incident shows at most: freeing the database of five members takes fourteen.
pub(super) const COMMANDS: usize = 16;

/// What to run about `finding`, as much as is shown of it.
#[must_use]
pub fn commands(finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
    let mut all = finding.next_commands(commands);
    all.truncate(COMMANDS);
    all
}

/// What there is to know of `rule` without a finding of it.
#[must_use]
pub fn of(rule: RuleId) -> &'static Description {
    super::rule(rule).description()
}
