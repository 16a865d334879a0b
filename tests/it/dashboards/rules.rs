//! The alerts about what vedette judges: one for each rule, in the rule's own words, with its unit test for promtool.
//! `UPDATE=1` writes both files anew from the table of rules. The drills run promtool on them.

use std::fmt::Write as _;
use std::fs;

use serde_json::{Value, json};

use vedette::judge::RULES;
use vedette::judge::description::Description;
use vedette::model::rule::RuleId;

use super::{path, read};

const ALERTS: &str = "config/prometheus/incidents.rules.yaml";
const TESTS: &str = "config/prometheus/tests/incidents.test.yaml";
const RUNBOOK: &str = "docs/runbook.md";
/// Every rule file with its unit tests.
pub(super) const FILES: [(&str, &str); 4] = [
    (ALERTS, TESTS),
    ("config/prometheus/vedette.rules.yaml", "config/prometheus/tests/vedette.test.yaml"),
    ("config/prometheus/etcd.rules.yaml", "config/prometheus/tests/etcd.test.yaml"),
    ("config/prometheus/certificates.rules.yaml", "config/prometheus/tests/certificates.test.yaml"),
];

const HEAD: &str = "\
# One alert for each rule of vedette, in its own words. Generated: UPDATE=1 cargo test --test it dashboards
#
# vedette has confirmed the fault and waited its grace period, so the alerts have no 'for'. They stay for a minute after
# the incident is resolved, so that a restart of vedette does not resolve and reopen them (keep_firing_for: Prometheus
# 2.42 or later). Incidents of severity info raise no alert: VedetteSinglePointOfFailure and VedetteMonitoringGap fire
# only where the key 'severities' of vedette's configuration raises F51 and F53.
#
# runbook_url is the path of the runbook in vedette's source; where you publish it:
# sed -i 's#docs/runbook.md#https://wiki.example.com/vedette/runbook#' *.rules.yaml
groups:
  - name: vedette-incidents
    rules:
";

const TESTS_HEAD: &str = "\
# Unit tests of incidents.rules.yaml for promtool. Generated: UPDATE=1 cargo test --test it dashboards
#
# For each rule: incidents that are pending or only information raise nothing, one that fires does, with these words,
# also while it is clearing, and a minute after it is resolved the alert is gone.
rule_files: [../incidents.rules.yaml]
evaluation_interval: 1m
tests:
";

const RUNBOOK_HEAD: &str = "\
# Runbook of vedette's alerts

Generated from the rules: UPDATE=1 cargo test --test it dashboards

A section for each alert of `config/prometheus`. Those about a cluster are incidents of vedette: the evidence and the
commands for the case at hand are in its mail, on its status page, and on its host in `vedette incidents ID`.
";

/// Where the evidence is that a rule file cannot know.
const NEXT: &str =
    "On the vedette host: vedette incidents (with the ID of one: evidence and commands), or its status page.";

#[test]
fn every_rule_has_its_alert_in_its_own_words_and_a_test_of_it() {
    let (mut alerts, mut tests) = (HEAD.to_owned(), TESTS_HEAD.to_owned());
    for rule in RULES.iter().map(|rule| rule.description()) {
        write_alert(&mut alerts, rule);
        write_test(&mut tests, rule);
    }
    is_written(ALERTS, &alerts);
    is_written(TESTS, &tests);
}

#[test]
fn every_alert_has_its_section_in_the_runbook() {
    let mut runbook = RUNBOOK_HEAD.to_owned();
    for rule in RULES.iter().map(|rule| rule.description()) {
        let [_, (_, impact), (_, cause), _] = words(rule);
        let (id, name, title) = (rule.id, rule.name, rule.title);
        // Alerts lead to the heading, `links.runbook` of the configuration to the rule.
        writeln!(runbook, "\n<a id=\"{id}\"></a>\n\n## Vedette{name}\n\n{id}: {title}.\n").unwrap();
        writeln!(runbook, "**Impact.** {}\n", impact.replace("{{ $labels.cluster }}", "the cluster")).unwrap();
        writeln!(runbook, "**Likely cause.** {}\n", cause.replace("{{ $labels.cluster }}", "the cluster")).unwrap();
        writeln!(runbook, "**Next.** {NEXT}").unwrap();
    }
    for alert in FILES[1..].iter().flat_map(|(file, _)| alerts(file)) {
        let text = |key: &str| alert["annotations"][key].as_str().unwrap_or_default().to_owned();
        let (name, severity) = (alert["alert"].as_str().unwrap(), alert["labels"]["severity"].as_str().unwrap());
        let heading = format!("\n## {name}\n");
        if runbook.contains(&heading) {
            continue;
        }
        writeln!(runbook, "{heading}\nSeverity {severity}: `{}`\n", text("summary")).unwrap();
        writeln!(runbook, "{}", text("description")).unwrap();
    }
    is_written(RUNBOOK, &runbook);
}

fn is_written(file: &str, text: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path(file), text).unwrap();
    }
    assert_eq!(read(file), text, "run: UPDATE=1 cargo test --test it dashboards");
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do_and_has_a_unit_test() {
    for (rules, tests) in FILES {
        let tested: Value = serde_saphyr::from_str(&read(tests)).unwrap();
        let cases: Vec<&Value> = tested["tests"].as_array().unwrap().iter().collect();
        let expected = |name: &str, fires: bool| {
            let checks = cases.iter().flat_map(|case| case["alert_rule_test"].as_array().unwrap());
            let mut of_it = checks.filter(|check| check["alertname"] == name);
            of_it.any(|check| check["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty()) == fires)
        };
        for alert in alerts(rules) {
            let name = alert["alert"].as_str().unwrap();
            let annotations = &alert["annotations"];

            assert!(name.starts_with("Vedette"), "{name}");
            assert!(alert["labels"]["severity"].is_string(), "{name} has no severity");
            assert!(annotations["summary"].is_string() && annotations["description"].is_string(), "{name}");
            assert_eq!(annotations["runbook_url"], format!("{RUNBOOK}#{}", name.to_lowercase()));
            assert!(expected(name, true), "no unit test makes {name} fire");
            assert!(expected(name, false), "no unit test keeps {name} from firing");
        }
    }
}

#[test]
fn no_rule_merges_two_vedettes_and_no_rule_about_members_two_etcds() {
    for (file, _) in FILES {
        for rule in all(file) {
            let expr = rule["expr"].as_str().unwrap();
            let lists = expr.split(" by (").skip(1).chain(expr.split(" on (").skip(1));
            for list in lists.filter_map(|rest| rest.split(')').next()) {
                let labels: Vec<&str> = list.split(", ").collect();
                assert!(labels.contains(&"vantage"), "{file}: by ({list}) of {expr}");
                assert!(!labels.contains(&"instance") || labels.contains(&"etcd"), "{file}: by ({list}) of {expr}");
            }
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

/// Everything that tells one incident from another, and one vedette from another.
const BY: &str = "job, vantage, cluster, component, etcd, instance, severity";

fn write_alert(text: &mut String, rule: &Description) {
    let id = rule.id;
    writeln!(text, "      - alert: Vedette{}", rule.name).unwrap();
    writeln!(text, "        expr: >-").unwrap();
    writeln!(text, "          max by ({BY})").unwrap();
    writeln!(text, "          (vedette_incidents{{rule=\"{id}\", severity!=\"info\", state!=\"pending\"}}) > 0")
        .unwrap();
    writeln!(text, "        keep_firing_for: 1m").unwrap();
    writeln!(text, "        labels:").unwrap();
    writeln!(text, "          severity: \"{{{{ $labels.severity }}}}\"").unwrap();
    writeln!(text, "          rule: {id}").unwrap();
    writeln!(text, "        annotations:").unwrap();
    for (name, words) in annotations(rule) {
        writeln!(text, "          {name}: {}", json!(words)).unwrap();
    }
}

fn write_test(text: &mut String, rule: &Description) {
    let id = rule.id;
    // What the two are about differs: a part of one etcd of two, and a vantage.
    let (series_of, labels_of) = if is_of_vantage(id) {
        ("component=\"vantage\"", "component: vantage")
    } else {
        (
            "cluster=\"prod\",component=\"part\",etcd=\"main\",instance=\"one\"",
            "cluster: prod, component: part, etcd: main, instance: one",
        )
    };
    let series = |severity: &str, state: &str, values: &str| {
        format!(
            "      - series: 'vedette_incidents{{job=\"vedette\",vantage=\"bastion-1\",{series_of},rule=\"{id}\",severity=\"{severity}\",state=\"{state}\"}}'\n        \
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
        writeln!(text, "        alertname: Vedette{}", rule.name).unwrap();
        if !fires {
            writeln!(text, "        exp_alerts: []").unwrap();
            continue;
        }
        writeln!(text, "        exp_alerts:").unwrap();
        writeln!(
            text,
            "          - exp_labels: {{ job: vedette, vantage: bastion-1, {labels_of}, severity: critical, rule: {id} }}"
        )
        .unwrap();
        writeln!(text, "            exp_annotations:").unwrap();
        for (name, words) in annotations(rule) {
            let words = words.replace(CLUSTER, "prod").replace(INSTANCE, " one");
            writeln!(text, "              {name}: {}", json!(words)).unwrap();
        }
    }
}

/// Whether its findings are about the machine that watches, and of no cluster.
const fn is_of_vantage(rule: RuleId) -> bool {
    matches!(rule, RuleId::F04 | RuleId::F55 | RuleId::F60)
}

const CLUSTER: &str = "{{ $labels.cluster }}";
const INSTANCE: &str = "{{ with $labels.instance }} {{ . }}{{ end }}";

/// What receivers show: the summary names the part, the description has everything else.
fn annotations(rule: &Description) -> [(&'static str, String); 6] {
    let [summary, impact, cause, next] = words(rule);
    let description = format!("Impact: {} Likely cause: {} Next: {}", impact.1, cause.1, next.1);
    let url = format!("{RUNBOOK}#vedette{}", rule.name.to_lowercase());
    [summary, ("description", description), ("runbook_url", url), impact, cause, next]
}

/// What an alert can say before anything was seen: what the rule says of any case, about a cluster of that name.
fn words(rule: &Description) -> [(&'static str, String); 4] {
    let summary =
        if is_of_vantage(rule.id) { rule.title.to_owned() } else { format!("{CLUSTER}{INSTANCE}: {}", rule.title) };
    let [impact, cause] = [rule.impact, rule.likely_cause].map(str::to_owned);
    [("summary", summary), ("impact", impact), ("cause", cause), ("next", NEXT.to_owned())]
}
