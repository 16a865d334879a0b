//! How our dashboards are drawn: what Grafana's dashboard linter asks for, and what on-call people trip over.
//!
//! Of the linter's rules, those about Loki have no object here. "Every query selects by instance" is not followed: in
//! our series `instance` names what is watched, and an overview must not ask for it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use vedette::judge::RULES;
use vedette::judge::expiry::thresholds::Thresholds;
use vedette::model::certificate::{Certificate, Class, Fingerprint};
use vedette::model::policy::Policy;
use vedette::model::time::UnixTime;

use super::{BOARDS, board, panels, path, queries, title};

#[test]
fn dashboards_follow_our_rules() {
    for name in BOARDS {
        assert_eq!(faults(&board(name)), [""; 0], "{name}");
    }
}

#[test]
fn rules_are_shown_by_their_titles() {
    for name in BOARDS {
        let mut board = board(name);
        fill_in_titles(&mut board);
        let text = serde_json::to_string_pretty(&board).unwrap() + "\n";
        let file = format!("dashboards/{name}.json");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path(&file), &text).unwrap();
        }

        assert!(
            super::read(&file) == text,
            "{file} is not as the table of rules says, or not in the plain form of \
            its keys; run: UPDATE=1 cargo test --test it dashboards"
        );
    }
}

/// Everything in which a dashboard breaks a rule.
pub(super) fn faults(board: &Value) -> Vec<String> {
    let mut faults = whole(board);
    faults.extend(places(board));
    for panel in panels(board) {
        let more = [said(panel), sources(panel), asked(panel), measured(panel), limits(panel), links(panel)].concat();
        faults.extend(more.into_iter().map(|fault| format!("{}: {fault}", title(panel))));
    }
    faults
}

fn whole(board: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let uid = board["uid"].as_str().unwrap_or_default();
    let mut must = |holds: bool, fault: &str| {
        if !holds {
            faults.push(fault.to_owned());
        }
    };
    must(board["id"].is_null() && board.get("__inputs").is_none(), "it is an export, not a file to provision");
    must(uids().contains(uid), "its uid is not vedette- and its file's name");
    must(board["schemaVersion"].as_u64().is_some_and(|version| (39..=41).contains(&version)), "schema version");
    must(board["editable"] == false, "it can be edited in place, and lost with the next update");
    must(board["description"].as_str().is_some_and(|text| text.len() > 20), "it has no description");
    must(board["tags"] == serde_json::json!(["vedette"]), "the links between dashboards go by the tag vedette");
    let link = &board["links"][0];
    must(
        link["type"] == "dashboards" && link["includeVars"] == true && link["keepTime"] == true,
        "its links lose time or variables",
    );
    let variables = board.pointer("/templating/list").and_then(Value::as_array).cloned().unwrap_or_default();
    must(
        variables.first().is_some_and(|first| first["type"] == "datasource" && first["name"] == "datasource"),
        "its first variable is not the data source",
    );
    must(board["refresh"] == "30s", "it asks more often than Prometheus scrapes, or too seldom");
    must(
        variables.last().is_some_and(|last| last["type"] == "textbox" && last["name"] == "status"),
        "its last variable is not the address of the status page",
    );
    must(board["links"][1]["url"] == "${status}/", "its second link does not lead to the status page");
    let annotation = board["annotations"]["list"][0]["expr"].as_str().unwrap_or_default();
    must(
        annotation.contains("vedette_incidents") && annotation.contains("severity!=\"info\""),
        "it marks no incidents",
    );
    for variable in variables.iter().skip(1).filter(|variable| variable["type"] != "textbox") {
        // What Prometheus does not label with a vantage, and what is of no etcd, belongs to all.
        let may_be_absent =
            variable["name"] == "vantage" || variable["name"] == "etcd" && uid == "vedette-certificates";
        let is_plain = variable["refresh"] == 2
            && variable["multi"] == true
            && variable["includeAll"] == true
            && variable["allValue"] == if may_be_absent { ".*" } else { ".+" }
            && variable["label"].is_string()
            && variable.pointer("/datasource/uid").is_some_and(|uid| uid == "${datasource}");
        must(is_plain, "a variable does not reload with the time, select many, or use the chosen data source");
    }
    for name in ["job", "vantage", "cluster"] {
        must(
            variables.iter().any(|variable| variable["name"] == name),
            "it lacks the variable job, vantage or cluster",
        );
    }
    faults
}

/// Numbers of panels and their places on the grid of 24 columns.
fn places(board: &Value) -> Vec<String> {
    let all = board["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = all.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    let mut faults = Vec::new();
    if ids.len() != all.len() {
        faults.push("two panels have one number".to_owned());
    }
    let titles: BTreeSet<&str> = all.iter().map(title).collect();
    if titles.len() != all.len() {
        faults.push("two panels have one title".to_owned());
    }
    let edges = |panel: &Value| -> Option<[u64; 4]> {
        let place = |key: &str| panel["gridPos"][key].as_u64();
        Some([place("x")?, place("y")?, place("x")? + place("w")?, place("y")? + place("h")?])
    };
    for (number, panel) in all.iter().enumerate() {
        let Some([left, top, right, bottom]) = edges(panel) else {
            faults.push(format!("{}: no place", title(panel)));
            continue;
        };
        if right > 24 || bottom - top < 4 && panel["type"] != "row" {
            faults.push(format!("{}: too far right, or too low to be read", title(panel)));
        }
        for other in &all[number + 1..] {
            let Some([l, t, r, b]) = edges(other) else { continue };
            if left < r && l < right && top < b && t < bottom {
                faults.push(format!("{} lies on {}", title(panel), title(other)));
            }
        }
    }
    faults
}

/// Title, description, unit, and what stands there when nothing does.
fn said(panel: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let kind = panel["type"].as_str().unwrap_or_default();
    if !["stat", "timeseries", "table", "state-timeline", "bargauge"].contains(&kind) {
        faults.push(format!("{kind} is none of the core panels we use"));
    }
    if panel["title"].as_str().is_none_or(str::is_empty) {
        faults.push("no title".to_owned());
    }
    if panel["description"].as_str().is_none_or(|text| text.len() < 20) {
        faults.push("no description".to_owned());
    }
    let defaults = &panel["fieldConfig"]["defaults"];
    if defaults["unit"].as_str().is_none_or(str::is_empty) {
        faults.push("no unit".to_owned());
    }
    if defaults["noValue"].as_str().is_none_or(|text| text.len() < 10) {
        faults.push("it does not say what it means when there is nothing".to_owned());
    }
    let says_states = defaults["mappings"].as_array().is_some_and(|mappings| !mappings.is_empty());
    if kind == "state-timeline" && !says_states {
        faults.push("states are numbers, not words".to_owned());
    }
    faults
}

/// The data source is the chosen one.
fn sources(panel: &Value) -> Vec<String> {
    let targets = panel["targets"].as_array().cloned().unwrap_or_default();
    if targets.is_empty() {
        return vec!["no query".to_owned()];
    }
    let mut references: BTreeSet<&str> = BTreeSet::new();
    let mut faults = Vec::new();
    for source in targets.iter().map(|target| &target["datasource"]).chain([&panel["datasource"]]) {
        if source["type"] != "prometheus" || source["uid"] != "${datasource}" {
            faults.push(format!("data source {source}"));
        }
    }
    for target in &targets {
        if !references.insert(target["refId"].as_str().unwrap_or_default()) {
            faults.push("two queries of one name".to_owned());
        }
        // A range would show the last value that a series had as if it were still there.
        let is_now = ["stat", "bargauge", "table"].iter().any(|kind| panel["type"] == *kind);
        if target["instant"] != is_now {
            faults.push("it asks for a range where now is shown, or the other way round".to_owned());
        }
    }
    faults
}

/// What a query must do whatever it is about.
fn asked(panel: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for query in queries(panel) {
        let selectors = query.matches("vedette_").count() + query.matches("process_").count();
        if query.matches("job=~\"$job\", vantage=~\"$vantage\"").count() != selectors {
            faults.push(format!("not every series of {query} is chosen by job and vantage"));
        }
        for (at, _) in query.match_indices("rate(") {
            let rest = &query[at..];
            let range = rest.split('[').nth(1).and_then(|rest| rest.split(']').next());
            if range != Some("$__rate_interval") {
                faults.push(format!("a fixed range in {query}"));
            }
            let name = rest[5..].split(['{', '[']).next().unwrap_or_default();
            if !["_total", "_bucket", "_sum", "_count"].iter().any(|suffix| name.ends_with(suffix)) {
                faults.push(format!("the rate of a gauge in {query}"));
            }
        }
        for word in query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            if word.ends_with("_total")
                && !["rate(", "increase("].iter().any(|of| query.contains(&format!("{of}{word}")))
            {
                faults.push(format!("a counter without rate or increase in {query}"));
            }
        }
    }
    faults
}

/// The unit is the one that the query's series have.
fn measured(panel: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for target in panel["targets"].as_array().into_iter().flatten() {
        let (unit, query) = (unit(panel, target), target["expr"].as_str().unwrap_or_default());
        let is_allowed = match due(query) {
            "none" => unit == "none" || unit == "short",
            due => unit == due,
        };
        if !is_allowed {
            faults.push(format!("{unit} is not the unit of {query}"));
        }
    }
    faults
}

/// The unit of a query's values: its own, where an override gives it one.
fn unit<'a>(panel: &'a Value, target: &Value) -> &'a str {
    let overrides = panel["fieldConfig"]["overrides"].as_array().into_iter().flatten();
    let own = overrides
        .filter(|one| one["matcher"]["id"] == "byFrameRefID" && one["matcher"]["options"] == target["refId"])
        .flat_map(|one| one["properties"].as_array().into_iter().flatten())
        .find(|property| property["id"] == "unit")
        .map(|property| &property["value"]);
    own.unwrap_or(&panel["fieldConfig"]["defaults"]["unit"]).as_str().unwrap_or_default()
}

fn due(query: &str) -> &'static str {
    // What follows stands in for nothing being there.
    let query = query.split(" or 0 *").next().unwrap_or(query);
    let counts = ["count(", "max(sum without (state)", "max(max by"].iter().any(|start| query.starts_with(start));
    match () {
        // Grafana's own unit of days turns 364 of them into 52 weeks.
        () if query.contains("time()) / 86400") => "suffix: d",
        // A mean: what took so long, by how often.
        () if query.contains("_seconds_sum") && query.contains("_seconds_count") => "s",
        () if query.contains(" / ") || query.contains("$__range") => "percentunit",
        () if query.contains("increase(") || query.contains("rate(process_cpu_seconds_total") => "none",
        () if counts => "none",
        () if query.contains("_timestamp_seconds") => {
            if query.contains("time() - ") || query.contains(" - time()") {
                "s"
            } else {
                "an age, not an instant"
            }
        }
        () if query.contains("histogram_quantile") => "s",
        () if query.contains("rate(") => "cps",
        () if query.contains("_per_second") => "reqps",
        () if query.contains("_bytes") => "bytes",
        () if query.contains("_seconds") => "s",
        () => "none",
    }
}

/// Colours change where vedette itself changes its mind.
fn limits(panel: &Value) -> Vec<String> {
    let fields = std::iter::once(&panel["fieldConfig"]["defaults"]);
    let steps = fields.flat_map(|field| field["thresholds"]["steps"].as_array().into_iter().flatten());
    let seen: Vec<f64> = steps.filter_map(|step| step["value"].as_f64()).collect();
    let known = known_limits();
    if seen.is_empty() || known.contains(&seen) {
        return Vec::new();
    }
    vec![format!("colours change at {seen:?}; what we know is {known:?}")]
}

fn known_limits() -> Vec<Vec<f64>> {
    let policy = Policy::default();
    vec![
        // Any at all of what should not be.
        vec![1.0],
        // None, some, all.
        vec![0.001, 1.0],
        // No majority, a majority, all.
        vec![0.501, 1.0],
        vec![0.8],
        // File descriptors, as etcd's mixin and most others warn.
        vec![0.8, 0.9],
        // Two and three nines of availability, as people say it.
        vec![0.99, 0.999],
        // etcd's own advice on disks: fsync below 10 ms, commit below 25 ms (etcd.io/docs, "Hardware", "FAQ").
        vec![0.01],
        vec![0.025],
        // etcd's default --heartbeat-interval.
        vec![0.1],
        // Renewal is due when a third of the lifetime is left (`judge/expiry/thresholds.rs`).
        vec![0.67],
        vec![policy.slow_after.as_secs_f64()],
        vec![policy.loop_lag.as_secs_f64()],
        vec![policy.withhold_heartbeat_after.as_secs_f64()],
        vec![f64::from(policy.ceiling_least)],
        vec![policy.clock_gap.as_secs_f64(), policy.expiry_clock_error.as_secs_f64()],
        // An engine that has written nothing down for as long as a heartbeat's interval stands still.
        vec![policy.heartbeat_interval.as_secs_f64()],
        // Chains are looked at this often; fifteen in a row that showed none.
        vec![policy.etcd_tls_interval.as_secs_f64() * 15.0],
        policy.quota_tiers.iter().map(|tier| f64::from(u32::try_from(tier.permille).unwrap()) / 1000.0).collect(),
        bands_by_hand(),
    ]
}

/// Days before the expiry at which the bands of a certificate renewed by hand begin, latest first.
fn bands_by_hand() -> Vec<f64> {
    let day = Duration::from_secs(86_400);
    let not_before = UnixTime::from_secs(1_700_000_000);
    let certificate = Certificate {
        fingerprint: Fingerprint([0; 32]),
        subject: String::new(),
        issuer: String::new(),
        serial: String::new(),
        not_before,
        not_after: not_before.plus(day * 365),
        names: Vec::new(),
        is_ca: false,
        is_self_issued: false,
        key: None,
    };
    let band = |days: u32| Thresholds::Leaf(Class::Manual).band(&certificate, certificate.not_after.minus(day * days));
    (1..364).filter(|&days| band(days) != band(days + 1)).map(f64::from).collect()
}

/// Links out of a panel lead to a dashboard of ours, with time and variables.
fn links(panel: &Value) -> Vec<String> {
    let overrides = panel["fieldConfig"]["overrides"].as_array().into_iter().flatten();
    let properties = overrides.flat_map(|one| one["properties"].as_array().into_iter().flatten());
    let links = properties.filter(|property| property["id"] == "links");
    let links = links.flat_map(|property| property["value"].as_array().into_iter().flatten());
    let of_all = panel["fieldConfig"]["defaults"]["links"].as_array().into_iter().flatten();
    let urls = links.chain(of_all).map(|link| &link["url"]);
    let mut faults = Vec::new();
    for url in urls.filter_map(Value::as_str).filter(|url| *url != "${status}/") {
        let uid = url.strip_prefix("/d/").and_then(|rest| rest.split('?').next()).unwrap_or_default();
        if !uids().contains(uid) {
            faults.push(format!("a link to {url}, which is not ours"));
        }
        for part in ["${datasource:queryparam}", "${vantage:queryparam}", "${status:queryparam}", "${__url_time_range}"]
        {
            if !url.contains(part) {
                faults.push(format!("a link without {part}"));
            }
        }
        if !url.contains("var-cluster=") && !url.contains("${cluster:queryparam}") {
            faults.push("a link without its clusters".to_owned());
        }
    }
    faults
}

fn uids() -> BTreeSet<String> {
    BOARDS.map(|name| format!("vedette-{name}")).into()
}

/// The column "what" of tables shows `F01 etcd quorum lost or no leader`.
fn fill_in_titles(board: &mut Value) {
    let titles: serde_json::Map<String, Value> = RULES
        .iter()
        .enumerate()
        .map(|(index, rule)| {
            let text = format!("{} {}", rule.id(), rule.description().title);
            (rule.id().to_string(), serde_json::json!({ "index": index, "text": text }))
        })
        .collect();
    for panel in board["panels"].as_array_mut().unwrap() {
        for one in panel.pointer_mut("/fieldConfig/overrides").and_then(Value::as_array_mut).into_iter().flatten() {
            if one["matcher"]["options"] != "what" {
                continue;
            }
            for property in one["properties"].as_array_mut().unwrap() {
                if property["id"] == "mappings" {
                    property["value"] = serde_json::json!([{ "type": "value", "options": titles }]);
                }
            }
        }
    }
}
