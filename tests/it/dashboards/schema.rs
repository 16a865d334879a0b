//! Dashboards against Grafana's own types, vendored as JSON Schema by `grafana/regenerate`.
//!
//! The type of a dashboard leaves the options of panels open; each kind of panel has a type of its own, and so have its
//! field options.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

use super::{BOARDS, board, panels, title};

static SCHEMAS: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(include_str!("grafana/schema.json")).unwrap());

/// Keys of an annotation that Grafana leaves to its data source.
const OF_PROMETHEUS: [&str; 5] = ["expr", "step", "tagKeys", "textFormat", "titleFormat"];

#[test]
fn dashboards_fit_grafanas_own_types() {
    for name in BOARDS {
        assert_eq!(faults(&board(name)), [""; 0], "{name}");
    }
}

/// Everything in which a dashboard differs from Grafana's types.
pub(super) fn faults(board: &Value) -> Vec<String> {
    let mut whole = board.clone();
    for annotation in whole.pointer_mut("/annotations/list").and_then(Value::as_array_mut).into_iter().flatten() {
        annotation.as_object_mut().unwrap().retain(|key, _| !OF_PROMETHEUS.contains(&key.as_str()));
    }
    let mut faults = check("dashboard", &whole, "dashboard");
    for panel in panels(board) {
        let kind = panel["type"].as_str().unwrap_or_default();
        faults.extend(check(&format!("{kind}.options"), &panel["options"], title(panel)));
        if let Some(custom) = panel.pointer("/fieldConfig/defaults/custom") {
            faults.extend(check(&format!("{kind}.fields"), custom, title(panel)));
        }
    }
    faults
}

fn check(schema: &str, value: &Value, place: &str) -> Vec<String> {
    let Some(schema) = validator(schema) else { return vec![format!("{place}: no type {schema} is vendored")] };
    schema.iter_errors(value).map(|error| format!("{place}: {} {error}", error.instance_path())).collect()
}

fn validator(name: &str) -> Option<Validator> {
    let mut schema = SCHEMAS["schemas"].get(name)?.clone();
    // Grafana fills in what is absent: types say which options exist and of what kind, not that all must be written.
    if !name.starts_with("dashboard") {
        for definition in schema["definitions"].as_object_mut()?.values_mut() {
            definition.as_object_mut()?.remove("required");
        }
    }
    Some(jsonschema::draft7::new(&schema).unwrap())
}
