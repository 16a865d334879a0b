//! Findings that were written down and are read back.

use serde_json::json;

use crate::judge::stored::Unreadable;
use crate::judge::{RULES, rule};
use crate::model::finding::Finding;
use crate::model::rule::RuleId;
use crate::samples;

#[test]
fn every_rule_reads_back_what_it_wrote() {
    for id in RuleId::ALL {
        let finding = samples::finding(id);

        let read: Finding = serde_json::from_str(&serde_json::to_string(&finding).unwrap()).unwrap();

        assert_eq!(read, finding);
    }
}

#[test]
fn each_name_leads_to_the_rule_of_that_name() {
    for (id, known) in RuleId::ALL.into_iter().zip(RULES) {
        assert_eq!((rule(id).id(), known.id()), (id, id));
    }
}

#[test]
fn evidence_that_nothing_here_can_read_keeps_its_finding_and_says_why() {
    for (evidence, why) in [
        (json!({ "isolated": { "silent": 3 } }), "missing field `references`"),
        (json!({ "tea_leaves": { "shape": "a ring" } }), "'tea_leaves' is nothing that F04 finds"),
        (json!({ "quorum": { "needed": 2 } }), "'quorum' is nothing that F04 finds"),
    ] {
        let mut written = serde_json::to_value(samples::finding(RuleId::F04)).unwrap();
        written["evidence"] = evidence;
        let beside = serde_json::to_value(samples::finding(RuleId::F01)).unwrap();

        let read: Vec<Finding> = serde_json::from_value(json!([written, beside])).unwrap();

        assert_eq!(read[0].key(), samples::finding(RuleId::F04).key());
        assert!(read[0].seen::<Unreadable>().is_some());
        let said = read[0].what(&samples::addresses());
        assert!(said.contains(why), "{said}");
        assert_eq!(read[0].headline(), "vedette isolated");
        assert_eq!(serde_json::to_value(&read[0]).unwrap(), written, "it is written down again as it was");
        assert_eq!(read[1], samples::finding(RuleId::F01));
    }
}

#[test]
fn the_tag_of_an_older_version_is_still_read() {
    let mut written = serde_json::to_value(samples::finding(RuleId::F04)).unwrap();
    written["evidence"] = json!({ "Blind": written["evidence"]["isolated"] });

    let read: Finding = serde_json::from_value(written).unwrap();

    assert_eq!(read, samples::finding(RuleId::F04));
}
