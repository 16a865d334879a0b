//! What every rule must be able to say. Mails, the status page and the alert annotations take the text about a finding
//! from here and from nowhere else.

use crate::model::addresses::Addresses;
use crate::model::rule::RuleId;
use crate::model::verdict::Finding;

use super::commands::{Command, Commands};

/// Commands that one mail or incident shows at most: freeing the database of five members takes fourteen.
pub(super) const COMMANDS: usize = 16;

/// The words of one rule. Everything here is read by a person at 3 am.
pub trait Words: Sync {
    /// The rule's name.
    fn id(&self) -> RuleId;

    /// What the rule is about, for tables: `etcd quorum lost or no leader`.
    fn title(&self) -> &'static str;

    /// The symptom as a mail subject has it after the cluster's name, without anything that changes while the incident
    /// lasts, at most 50 characters: `etcd has lost quorum`, `apiserver api-2 is failing`.
    fn headline(&self, finding: &Finding) -> String;

    /// One or two sentences: what was seen, and where (the connect address too). A timeout of connect is worded
    /// "unreachable from here", a refused connection "down", a timeout after connect "hanging".
    fn what(&self, finding: &Finding, addresses: &Addresses) -> String;

    /// The same as [`Words::what`] where it is several things of equal weight: an introduction, and one line for each.
    fn listed(&self, _finding: &Finding, _addresses: &Addresses) -> Option<(String, Vec<String>)> {
        None
    }

    /// What stops working for users, and what goes on.
    fn impact(&self, finding: &Finding) -> String;

    /// The likely cause and why we think so.
    fn likely_cause(&self, finding: &Finding) -> String;

    /// What to run, with the right hosts, most useful first, what changes something last; [`commands`] shows the first of it.
    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command>;

    /// Who has to renew what a finding is about, and how, as the rest of "renewed by"; only for things that end.
    fn renewed_by(&self, _finding: &Finding) -> Option<&'static str> {
        None
    }
}

/// What to run about `finding`, as much as is shown of it.
#[must_use]
pub fn commands(finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
    let mut all = of(finding.rule).next_commands(finding, commands);
    all.truncate(COMMANDS);
    all
}

/// The words of `rule`.
#[must_use]
pub fn of(rule: RuleId) -> &'static dyn Words {
    super::rule(rule)
}
