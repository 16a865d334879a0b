//! Faults planted into a good dashboard, each of which must be found: a check that never fails checks nothing.

use serde_json::Value;

use super::{board, lint, schema};

/// What is planted, where, and what.
const FAULTS: [(&str, &str, &str); 27] = [
    ("a width as text", "/panels/0/gridPos/w", "\"4\""),
    ("a schema version as text", "/schemaVersion", "\"39\""),
    ("an option that no panel has", "/panels/0/options/colourMode", "\"value\""),
    ("an option of another kind", "/panels/0/options/colorMode", "\"rainbow\""),
    ("a field option that does not exist", "/panels/6/fieldConfig/defaults/custom/lineColour", "1"),
    ("a key that dashboards do not have", "/panels/0/colour", "\"red\""),
    ("a data source by its uid", "/panels/0/datasource/uid", "\"P1809F7CD0C75ACF3\""),
    ("an export with inputs", "/__inputs", "[]"),
    ("a number instead of null", "/id", "7"),
    ("another uid", "/uid", "\"abcdef\""),
    ("two panels of one number", "/panels/1/id", "40"),
    ("two panels in one place", "/panels/1/gridPos/x", "2"),
    ("a panel beyond the grid", "/panels/5/gridPos/w", "9"),
    ("no unit", "/panels/0/fieldConfig/defaults/unit", "\"\""),
    ("no description", "/panels/0/description", "\"\""),
    ("no word for nothing", "/panels/0/fieldConfig/defaults/noValue", "\"\""),
    ("a unit that is not the metric's", "/panels/5/fieldConfig/defaults/unit", "\"ms\""),
    ("another limit than vedette's", "/panels/5/fieldConfig/defaults/thresholds/steps/1/value", "2"),
    ("a range where now is shown", "/panels/0/targets/0/instant", "false"),
    (
        "a fixed range",
        "/panels/11/targets/0/expr",
        "\"histogram_quantile(0.99, sum by (le) (rate(vedette_probe_duration_seconds_bucket{job=~\\\"$job\\\", vantage=~\\\"$vantage\\\"}[5m])))\"",
    ),
    (
        "the rate of a gauge",
        "/panels/15/targets/0/expr",
        "\"rate(vedette_etcd_raft_term{job=~\\\"$job\\\", vantage=~\\\"$vantage\\\"}[$__rate_interval])\"",
    ),
    ("links that lose the time", "/links/0/keepTime", "false"),
    ("two panels of one title", "/panels/1/title", "\"Heartbeat\""),
    ("a refresh below the scrape", "/refresh", "\"10s\""),
    ("annotations of information", "/annotations/list/0/expr", "\"vedette_incidents\""),
    ("a vedette that cannot be chosen", "/templating/list/2/name", "\"other\""),
    (
        "seconds that are called days",
        "/panels/5/targets/0/expr",
        "\"time() - min(vedette_snapshot_timestamp_seconds{job=~\\\"$job\\\", vantage=~\\\"$vantage\\\"})\"",
    ),
];

#[test]
fn every_planted_fault_is_found() {
    for (what, pointer, value) in FAULTS {
        let mut board = board("overview");
        plant(&mut board, pointer, serde_json::from_str(value).unwrap());

        let found = [schema::faults(&board), lint::faults(&board)].concat();
        assert!(!found.is_empty(), "{what} at {pointer} is not found");
    }
}

#[test]
fn a_link_to_nowhere_is_found() {
    let mut board = board("overview");
    let text = board.to_string().replace("/d/vedette-etcd?", "/d/etcd?");
    board = serde_json::from_str(&text).unwrap();

    assert_eq!(lint::faults(&board).len(), 1);
}

fn plant(board: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = board.pointer_mut(parent).unwrap();
    if let Some(object) = parent.as_object_mut() {
        object.insert(key.to_owned(), value);
    } else {
        parent[key.parse::<usize>().unwrap()] = value;
    }
}
