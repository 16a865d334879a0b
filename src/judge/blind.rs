//! F04: the vantage itself sees nothing.

use crate::model::rule::RuleId;
use crate::model::verdict::{Evidence, Finding};

use super::phrases;
use super::words::{Addresses, Words};

/// F04: nothing outside answers, reference points included.
pub struct Blind;

impl Words for Blind {
    fn id(&self) -> RuleId {
        RuleId::F04
    }

    fn title(&self) -> &'static str {
        "the vantage is cut off"
    }

    fn headline(&self, _: &Finding) -> String {
        "cut off from everything it watches".into()
    }

    fn what(&self, finding: &Finding, _: &Addresses) -> String {
        let Evidence::Blind { silent, references } = &finding.evidence else {
            return "Nothing outside this machine answers.".into();
        };
        format!(
            "Nothing outside this machine answers: {silent} of {silent} watched places are silent, {references} reference \
             points outside the clusters among them."
        )
    }

    fn impact(&self, _: &Finding) -> String {
        "For users: unknown. The clusters may be fine or not; vedette cannot see them from here and says nothing about \
         them while this lasts."
            .into()
    }

    fn likely_cause(&self, _: &Finding) -> String {
        "This machine's own network: link, route, firewall or the site's uplink. Places outside the clusters fail at \
         the same time, so the clusters are not the cause."
            .into()
    }

    fn next_commands(&self, _: &Finding, addresses: &Addresses) -> Vec<String> {
        let mut commands = vec!["ip -brief link; ip -brief address".to_owned()];
        if let Some(address) = addresses.values().find(|address| !address.is_empty()) {
            let host = phrases::host(address);
            commands.push(format!("ip route get {host}"));
            commands.push(format!("tracepath -n {host}"));
        }
        commands.push("nft list ruleset | head -50".to_owned());
        commands.push("vedette probe --once".to_owned());
        commands
    }
}
