//! The queries of the dashboards in `dashboards/`, with their variables filled in as Grafana does when everything is
//! chosen.

use std::fs;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

const BOARDS: [&str; 5] = ["overview", "apiserver", "etcd", "certificates", "self"];
/// At a scrape a second `$__rate_interval` would be 16 s in Grafana (scrape interval times four, plus one step).
const RATE_INTERVAL: &str = "16s";
/// The time that is shown.
const RANGE: &str = "15m";

/// One query of one panel.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// The file's name.
    pub(crate) board: &'static str,
    /// The panel's title, and the query's letter where it is not the first.
    pub(crate) panel: String,
    pub(crate) expression: String,
    /// Labels that the legend or the columns show.
    pub(crate) labels: Vec<String>,
    /// Whether the panel shows a range of time rather than now.
    pub(crate) is_range: bool,
    /// What the panel says when there is nothing.
    pub(crate) nothing: String,
}

/// Every query of every panel, and what fills the variables.
pub(crate) fn queries() -> Result<Vec<Query>> {
    let mut queries = Vec::new();
    for board in BOARDS {
        let file = format!("{}/dashboards/{board}.json", env!("CARGO_MANIFEST_DIR"));
        let parsed: Value = serde_json::from_str(&fs::read_to_string(&file)?).with_context(|| file.clone())?;
        for variable in list(&parsed["templating"]["list"]) {
            // Every variable but the data source and the address of the page is asked of Prometheus.
            if let Some(query) = variable["query"]["query"].as_str() {
                queries.push(of_variable(board, variable, query).ok_or_else(|| anyhow!("{file}: {query}"))?);
            }
        }
        for panel in list(&parsed["panels"]) {
            for (number, target) in list(&panel["targets"]).iter().enumerate() {
                queries.push(of_panel(board, panel, number, target).ok_or_else(|| anyhow!("{file}: {panel}"))?);
            }
        }
    }
    Ok(queries)
}

/// `label_values(METRIC, LABEL)` is Grafana's; Prometheus is asked for the labels' groups.
fn of_variable(board: &'static str, variable: &Value, query: &str) -> Option<Query> {
    let (metric, label) = query.strip_prefix("label_values(")?.strip_suffix(')')?.rsplit_once(", ")?;
    Some(Query {
        board,
        panel: format!("${}", variable["name"].as_str()?),
        expression: filled_in(&format!("group by ({label}) ({metric})")),
        labels: vec![label.to_owned()],
        is_range: false,
        nothing: String::new(),
    })
}

fn of_panel(board: &'static str, panel: &Value, number: usize, target: &Value) -> Option<Query> {
    let mime_message = if number == 0 { String::new() } else { format!(" {}", target["refId"].as_str()?) };
    let legend = target["legendFormat"].as_str()?;
    let named = legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()).map(str::to_owned);
    let columns = list(&panel["transformations"]).iter().filter_map(|one| one["options"]["indexByName"].as_object());
    let columns = columns.flat_map(|names| names.keys().cloned()).filter(|name| name != "Value");
    Some(Query {
        board,
        panel: format!("{}{mime_message}", panel["title"].as_str()?),
        expression: filled_in(target["expr"].as_str()?),
        labels: named.chain(columns).collect(),
        is_range: target["range"].as_bool()?,
        nothing: panel["fieldConfig"]["defaults"]["noValue"].as_str()?.to_owned(),
    })
}

fn filled_in(expression: &str) -> String {
    let mut text = expression.replace("$__rate_interval", RATE_INTERVAL).replace("$__range", RANGE);
    for (variable, all) in
        [("$job", ".+"), ("$vantage", ".*"), ("$cluster", ".+"), ("$instance", ".+"), ("$etcd", ".*")]
    {
        text = text.replace(variable, all);
    }
    text
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
