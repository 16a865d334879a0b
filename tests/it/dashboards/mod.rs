//! The dashboards in `dashboards/` and the Prometheus rules in `config/prometheus/`: well-formed by Grafana's own types,
//! drawn by our own rules, and about nothing that the daemon does not export. That every query returns what it should is
//! shown on a real Prometheus by `tests/lab/drills/boards.rs`.

mod lint;
mod names;
mod pictures;
mod rules;
mod schema;
mod seeded;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Files in `dashboards/`.
const BOARDS: [&str; 5] = ["overview", "apiserver", "etcd", "certificates", "self"];

/// A dashboard as it is in its file.
fn board(name: &str) -> Value {
    serde_json::from_str(&read(&format!("dashboards/{name}.json"))).unwrap()
}

/// All panels that draw something.
fn panels(board: &Value) -> Vec<&Value> {
    board["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row").collect()
}

fn title(panel: &Value) -> &str {
    panel["title"].as_str().unwrap_or("without a title")
}

/// The queries of a panel.
fn queries(panel: &Value) -> Vec<&str> {
    panel["targets"].as_array().into_iter().flatten().filter_map(|target| target["expr"].as_str()).collect()
}

fn read(file: &str) -> String {
    fs::read_to_string(path(file)).unwrap()
}

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

#[test]
fn every_dashboard_is_tested() {
    let mut found: Vec<String> = fs::read_dir(path("dashboards"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    found.sort();
    let mut named = BOARDS.map(str::to_owned).to_vec();
    named.sort();

    assert_eq!(found, named);
}
