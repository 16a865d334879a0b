//! What the mails tell people to run.

use crate::judge::words::{self, COMMANDS};
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::rule::RuleId;
use crate::model::samples::{addresses, finding, subject};
use crate::model::subject::Subject;
use crate::model::verdict::{Evidence, Finding};

const PROXY: &str = "http://squid.example:3128";

/// One finding of each rule, and those of which the commands depend on what was seen.
fn findings() -> Vec<Finding> {
    let withheld = |mut finding: Finding| {
        finding.subject = subject("prod-eu1/apiserver/api-1");
        if let Evidence::Refused { unseen, .. } = &mut finding.evidence {
            *unseen = Unseen { phase: Phase::FirstByte, cause: Cause::TokenWithheld };
        }
        finding
    };
    RuleId::ALL.into_iter().map(finding).chain([withheld(finding(RuleId::F52))]).collect()
}

#[test]
fn no_rule_has_more_commands_than_a_mail_shows() {
    for finding in findings() {
        let commands = words::of(finding.rule).next_commands(&finding, &addresses());
        assert!(commands.len() <= COMMANDS, "{}: {commands:#?}", finding.rule);
    }
}

#[test]
fn behind_a_proxy_no_command_asks_an_apiserver_around_it() {
    let direct = addresses();
    let mut behind = direct.clone();
    behind.insert(subject("vantage/proxy/squid"), PROXY.to_owned());
    let of_api: Vec<&String> = direct
        .iter()
        .filter(|(subject, _)| matches!(subject, Subject::Apiserver(..) | Subject::Vip(_)))
        .map(|(_, address)| address)
        .collect();
    let mut asked = 0;
    for finding in findings() {
        // One address of a name is found by our own resolver: there is none behind a proxy.
        if finding.rule != RuleId::F59 {
            for command in words::of(finding.rule).next_commands(&finding, &behind) {
                let names_api = of_api.iter().any(|address| command.contains(address.as_str()));
                asked += usize::from(names_api);
                assert!(!names_api || command.contains("squid.example:3128"), "{}: {command}", finding.rule);
            }
        }
    }
    assert!(asked > 10, "only {asked} commands name an apiserver: the samples show too little");
}
