//! The alerts about what vedette judges: one for each rule, in the rule's own words, with its unit test for promtool.
//! `UPDATE=1` writes both files anew from the table of rules. The drills run promtool on them.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use vedette::judge::RULES;
use vedette::judge::words::Words;
use vedette::model::rule::{Level, RuleId};
use vedette::model::subject::Subject;
use vedette::model::time::UnixTime;
use vedette::model::verdict::{Evidence, Finding};

use super::{path, read};

const ALERTS: &str = "config/prometheus/incidents.rules.yaml";
const TESTS: &str = "config/prometheus/tests/incidents.test.yaml";

const HEAD: &str = "\
# One alert for each rule of vedette, in its own words. Generated: UPDATE=1 cargo test --test it dashboards
#
# vedette has confirmed what these say and waited out its holds, so they wait for nothing more. They stay for a minute
# after the incident is gone, so that a restart of vedette does not end and reopen them.
groups:
  - name: vedette-incidents
    rules:
";

const TESTS_HEAD: &str = "\
# Unit tests of incidents.rules.yaml for promtool. Generated: UPDATE=1 cargo test --test it dashboards
#
# For each rule: incidents that are pending or only information raise nothing, one that fires does, with these words,
# also while it is clearing, and a minute after it is over the alert is gone.
rule_files: [../incidents.rules.yaml]
evaluation_interval: 1m
tests:
";

const NEXT: &str = "vedette's mail about it has the evidence and the commands; on its machine: vedette probe --once";

#[test]
fn every_rule_has_its_alert_in_its_own_words_and_a_test_of_it() {
    let (mut alerts, mut tests) = (HEAD.to_owned(), TESTS_HEAD.to_owned());
    for rule in RULES {
        write_alert(&mut alerts, rule);
        write_test(&mut tests, rule);
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path(ALERTS), &alerts).unwrap();
        fs::write(path(TESTS), &tests).unwrap();
    }

    assert_eq!(read(ALERTS), alerts, "run: UPDATE=1 cargo test --test it dashboards");
    assert_eq!(read(TESTS), tests, "run: UPDATE=1 cargo test --test it dashboards");
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do_and_has_a_unit_test() {
    for (rules, tests) in
        [(ALERTS, TESTS), ("config/prometheus/vedette.rules.yaml", "config/prometheus/tests/vedette.test.yaml")]
    {
        let tested: Value = serde_saphyr::from_str(&read(tests)).unwrap();
        let cases: Vec<&Value> = tested["tests"].as_array().unwrap().iter().collect();
        let expected = |name: &str, fires: bool| {
            let checks = cases.iter().flat_map(|case| case["alert_rule_test"].as_array().unwrap());
            let mut of_it = checks.filter(|check| check["alertname"] == name);
            of_it.any(|check| check["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty()) == fires)
        };
        for alert in alerts(rules) {
            let name = alert["alert"].as_str().unwrap();

            assert!(name.starts_with("Vedette"), "{name}");
            assert!(alert["labels"]["severity"].is_string(), "{name} has no severity");
            assert!(alert["annotations"]["summary"].is_string() && alert["annotations"]["next"].is_string(), "{name}");
            assert!(expected(name, true), "no unit test makes {name} fire");
            assert!(expected(name, false), "no unit test keeps {name} from firing");
        }
    }
}

/// The alerts of a rule file.
pub(super) fn alerts(file: &str) -> Vec<Value> {
    let rules = all(file);
    rules.into_iter().filter(|rule| rule.get("alert").is_some()).collect()
}

/// The alerts and recorded series of a rule file.
pub(super) fn all(file: &str) -> Vec<Value> {
    let parsed: Value = serde_saphyr::from_str(&read(file)).unwrap();
    let groups = parsed["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

fn write_alert(text: &mut String, rule: &dyn Words) {
    let id = rule.id();
    writeln!(text, "      - alert: Vedette{id}").unwrap();
    writeln!(text, "        expr: >-").unwrap();
    writeln!(text, "          max by (job, cluster, level)").unwrap();
    writeln!(text, "          (vedette_incidents{{rule=\"{id}\", level!=\"info\", stage!=\"pending\"}}) > 0").unwrap();
    writeln!(text, "        keep_firing_for: 1m").unwrap();
    writeln!(text, "        labels:").unwrap();
    writeln!(text, "          severity: \"{{{{ $labels.level }}}}\"").unwrap();
    writeln!(text, "          rule: {id}").unwrap();
    writeln!(text, "        annotations:").unwrap();
    for (name, words) in annotations(rule, "{{ $labels.cluster }}") {
        writeln!(text, "          {name}: {}", json!(words)).unwrap();
    }
}

fn write_test(text: &mut String, rule: &dyn Words) {
    let id = rule.id();
    let cluster = if is_of_vantage(id) { "" } else { "cluster=\"prod\"," };
    let series = |level: &str, stage: &str, values: &str| {
        format!(
            "      - series: 'vedette_incidents{{job=\"vedette\",{cluster}rule=\"{id}\",level=\"{level}\",stage=\"{stage}\"}}'\n        \
             values: '{values}'\n"
        )
    };
    writeln!(text, "  - name: {id}").unwrap();
    writeln!(text, "    interval: 1m").unwrap();
    writeln!(text, "    input_series:").unwrap();
    text.push_str(&series("info", "firing", "1x9"));
    text.push_str(&series("warning", "pending", "1x9"));
    text.push_str(&series("critical", "firing", "_x2 1 1 stale"));
    text.push_str(&series("critical", "clearing", "_x4 1 stale"));
    writeln!(text, "    alert_rule_test:").unwrap();
    for (minute, fires) in [(1, false), (2, true), (4, true), (7, false)] {
        writeln!(text, "      - eval_time: {minute}m").unwrap();
        writeln!(text, "        alertname: Vedette{id}").unwrap();
        if !fires {
            writeln!(text, "        exp_alerts: []").unwrap();
            continue;
        }
        let cluster = if is_of_vantage(id) { "" } else { "cluster: prod, " };
        writeln!(text, "        exp_alerts:").unwrap();
        writeln!(
            text,
            "          - exp_labels: {{ job: vedette, {cluster}level: critical, severity: critical, rule: {id} }}"
        )
        .unwrap();
        writeln!(text, "            exp_annotations:").unwrap();
        for (name, words) in annotations(rule, "prod") {
            writeln!(text, "              {name}: {}", json!(words)).unwrap();
        }
    }
}

/// Whether its findings are about the machine that watches, and of no cluster.
const fn is_of_vantage(rule: RuleId) -> bool {
    matches!(rule, RuleId::F04 | RuleId::F55 | RuleId::F60)
}

/// What an alert can say before anything was seen: the rule's general words, about a cluster of that name.
fn annotations(rule: &dyn Words, cluster: &str) -> [(&'static str, String); 4] {
    const SOME: &str = "CLUSTER";
    let finding = Finding {
        rule: rule.id(),
        subject: Subject::Cluster(SOME.parse().unwrap()),
        level: Level::Critical,
        since: UnixTime::from_secs(0),
        hold: Duration::ZERO,
        path_unproven: false,
        // Evidence that no rule below expects, so that each says its general sentence.
        evidence: Evidence::Blind { silent: 0, references: 0 },
    };
    let summary = if is_of_vantage(rule.id()) { rule.title().to_owned() } else { format!("{SOME}: {}", rule.title()) };
    let words = [summary, rule.impact(&finding), rule.likely_cause(&finding), NEXT.to_owned()];
    let [summary, impact, cause, next] = words.map(|text| text.replace(SOME, cluster));
    [("summary", summary), ("impact", impact), ("cause", cause), ("next", next)]
}
