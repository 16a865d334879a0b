//! Dashboards and rules name only metrics and labels that the daemon exports, and what it exports is shown, or is on a
//! list with the reason why not.

use std::collections::{BTreeMap, BTreeSet};

use super::{BOARDS, board, panels, queries, read, rules};

/// A page with a sample of every family.
const PAGE: &str = "src/render/metrics/snapshots/vedette__render__metrics__tests__the_page_looks_like_this.snap";

/// Labels that Prometheus adds, or that its functions make.
const NOT_OURS: [&str; 3] = ["job", "le", "vantage"];

/// Labels that name a subject: whatever has some of them has all that its subjects have. The page of the tests has not
/// every family about every kind of subject.
const IDENTITY: [&str; 4] = ["cluster", "component", "etcd", "instance"];

/// Metrics on no dashboard and in no rule, each with the reason.
const UNSHOWN: [(&str, &str); 12] = [
    ("vedette_etcd_is_learner", "learners are few, and the rules know of them"),
    ("vedette_notifications_queued", "how long the oldest has been queued says more"),
    ("vedette_recipient_refusals_total", "vedette_recipients_rejected says who gets nothing now"),
    ("vedette_inputs_total", "for those who develop vedette"),
    ("vedette_probes_started_total", "vedette_probes_total says the same and by whom"),
    ("vedette_confirmation_probes_total", "for those who develop vedette"),
    ("vedette_store_write_failures_total", "vedette_store_up says it for now"),
    ("vedette_config_reloads_total", "whether the last one succeeded is what matters"),
    ("vedette_file_certificates", "how many there are changes nothing"),
    ("vedette_files_examined", "how many there are changes nothing"),
    ("vedette_connections_planned_per_second", "follows from the configuration; requests are what servers count"),
    (
        "vedette_response_bytes_planned_limit_per_second",
        "follows from the configuration; requests are what servers count",
    ),
];

#[test]
fn dashboards_and_rules_name_only_what_is_exported() {
    let exported = exported();
    for query in all_queries() {
        for (metric, labels) in named(&query) {
            let known = exported.get(base(&metric)).unwrap_or_else(|| panic!("no {metric}, asked for by {query}"));
            for label in labels {
                let is_identity = known.contains("component") && IDENTITY.contains(&label.as_str());
                let is_known = known.contains(&label) || is_identity || NOT_OURS.contains(&label.as_str());
                assert!(is_known, "{metric} has no label {label}, asked for by {query}; it has {known:?}");
            }
        }
    }
}

#[test]
fn what_is_exported_is_shown_or_left_out_for_a_reason() {
    let asked: BTreeSet<String> =
        all_queries().iter().flat_map(|query| named(query)).map(|(metric, _)| base(&metric).to_owned()).collect();
    let left_out: BTreeSet<&str> = UNSHOWN.iter().map(|(metric, _)| *metric).collect();
    let exported = exported();
    for metric in &left_out {
        assert!(exported.contains_key(*metric), "{metric} is not exported: take it off the list of the unshown");
    }
    for metric in exported.keys() {
        let (is_asked, is_left_out) = (asked.contains(metric), left_out.contains(metric.as_str()));
        assert!(
            is_asked || is_left_out,
            "{metric} is on no dashboard and in no rule: draw it, or add it to UNSHOWN with the reason"
        );
        assert!(!(is_asked && is_left_out), "{metric} is shown: take it off the list of the unshown");
    }
}

#[test]
fn labels_of_legends_and_columns_are_kept_by_their_queries() {
    for name in BOARDS {
        let board = board(name);
        for panel in panels(&board) {
            for target in panel["targets"].as_array().unwrap() {
                let (query, legend) = (target["expr"].as_str().unwrap(), target["legendFormat"].as_str().unwrap());
                for label in legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
                    assert!(groups(query).contains(label), "{legend} of {query}");
                }
            }
        }
    }
}

/// Every metric of the page, with its labels.
fn exported() -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in read(PAGE).lines().filter(|line| line.starts_with("vedette_")) {
        let series = line.rsplit_once(' ').unwrap().0;
        let (metric, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels.split("\",").filter_map(|pair| pair.split_once('=')).map(|(label, _)| label.to_owned());
        all.entry(base(metric).to_owned()).or_default().extend(labels);
    }
    all
}

fn all_queries() -> Vec<String> {
    let mut all = Vec::new();
    for name in BOARDS {
        let board = board(name);
        all.extend(panels(&board).into_iter().flat_map(queries).map(str::to_owned));
        for variable in board["templating"]["list"].as_array().unwrap() {
            all.extend(variable.pointer("/query/query").and_then(serde_json::Value::as_str).map(str::to_owned));
        }
    }
    for (file, _) in rules::FILES {
        all.extend(rules::all(file).iter().map(|rule| rule["expr"].as_str().unwrap().to_owned()));
    }
    all
}

/// Each metric in a query with the labels it is selected by, and those that the query groups by or asks for.
fn named(query: &str) -> Vec<(String, BTreeSet<String>)> {
    let mut found = Vec::new();
    for (at, _) in query.match_indices("vedette_") {
        // A recorded series has its own name, with colons.
        if at > 0 && query[..at].ends_with(':') {
            continue;
        }
        let rest = &query[at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (metric, rest) = rest.split_at(end);
        let selector = rest.strip_prefix('{').and_then(|rest| rest.split('}').next()).unwrap_or_default();
        let labels = selector.split(',').filter_map(|pair| pair.split(['=', '!']).next());
        let labels = labels.map(|label| label.trim().to_owned()).filter(|label| !label.is_empty());
        found.push((metric.to_owned(), labels.collect()));
    }
    found
}

/// Labels that a query groups by, or makes by count_values.
fn groups(query: &str) -> BTreeSet<&str> {
    let lists = query.split(" by (").skip(1).filter_map(|rest| rest.split(')').next());
    let counted = query.split("(\"").skip(1).filter_map(|rest| rest.split('"').next());
    lists.flat_map(|list| list.split(", ")).chain(counted).collect()
}

fn base(metric: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|suffix| metric.strip_suffix(suffix)).unwrap_or(metric)
}
