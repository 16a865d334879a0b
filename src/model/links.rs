//! Where a mail sends its reader for more: addresses from the configuration, with words to fill in.

use serde::{Deserialize, Serialize};

use super::rule::RuleId;
use super::subject::Name;

/// Addresses that mails carry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Links {
    /// The status page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// A dashboard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dashboard: Option<String>,
    /// What to do about a rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runbook: Option<String>,
}

/// Words in braces that are filled in: the cluster's name (empty for vedette's own incidents), the rule's name (`F01`)
/// and the incident's identity.
pub const PLACES: [&str; 3] = ["cluster", "rule", "incident"];

impl Links {
    /// The links of one incident.
    #[must_use]
    pub fn filled(&self, cluster: Option<&Name>, rule: RuleId, incident: &str) -> Self {
        let cluster = cluster.map_or("", |cluster| cluster.as_str());
        let fill = |link: &Option<String>| {
            let link = link.as_ref()?.replace("{cluster}", cluster).replace("{rule}", rule.as_str());
            Some(link.replace("{incident}", incident))
        };
        Self { status: fill(&self.status), dashboard: fill(&self.dashboard), runbook: fill(&self.runbook) }
    }

    /// Those there are, by what they lead to.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [("Status", &self.status), ("Dashboard", &self.dashboard), ("Runbook", &self.runbook)]
            .into_iter()
            .filter_map(|(name, link)| Some((name, link.as_deref()?)))
    }
}
