//! The schema that `vedette schema` prints: the files in `config/` are what it says, and mistakes of form are not.
//!
//! The checker below knows the keywords that the schema uses and no others; it fails on one it has never heard of.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use vedette::config::schema;

#[test]
fn the_files_in_config_are_what_it_says() {
    for name in ["vedette.example.yaml", "minimal.yaml"] {
        let faults = faults(&fs::read_to_string(home().join("config").join(name)).unwrap());

        assert_eq!(faults, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn mistakes_of_form_are_refused() {
    for (name, place) in [
        ("unknown_keys", "/vantge"),
        ("wrong_kinds", "/"),
        ("missing_keys", "/"),
        ("top_is_a_list", "/"),
        ("clusters_is_no_list", "/clusters"),
        ("no_clusters", "/clusters"),
        ("bad_names", "/clusters/"),
        ("secret_written_out", "/"),
        ("secret_in_two_places", "/"),
        ("durations_without_unit", "/"),
        ("durations_that_are_none", "/"),
        ("addresses_without_port", "/"),
        ("unknown_rules_and_levels", "/"),
        ("certificates_of_no_class", "/clusters"),
        ("mail_of_no_protection", "/mail/tls"),
        ("mail_to_nobody", "/mail/to"),
    ] {
        let file = home().join("tests/it/config_errors").join(format!("{name}.yaml"));
        let faults = faults(&fs::read_to_string(file).unwrap());

        assert!(faults.iter().any(|fault| fault.starts_with(place)), "{name}: {faults:?}");
    }
}

#[test]
fn the_copy_for_editors_is_what_is_printed() {
    let file = home().join("config/vedette.schema.json");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, schema::text()).unwrap();
    }

    assert_eq!(fs::read_to_string(file).unwrap(), schema::text(), "run: UPDATE=1 cargo test --test it schema");
}

fn faults(yaml: &str) -> Vec<String> {
    let root: Value = serde_json::from_str(&schema::text()).unwrap();
    assert_eq!(root["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let value: Value = serde_saphyr::from_str(yaml).unwrap();
    let mut faults = Vec::new();
    check(&root, &root, &value, "", &mut faults);
    faults
}

/// Adds what is wrong with `value` at `place` by `schema`, a part of `root`.
fn check(root: &Value, schema: &Value, value: &Value, place: &str, faults: &mut Vec<String>) {
    let Some(keywords) = schema.as_object() else { panic!("{schema} at {place}") };
    for (keyword, wanted) in keywords {
        let is_good = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "format" => true,
            "$ref" => {
                let path = wanted.as_str().unwrap().trim_start_matches('#');
                check(root, root.pointer(path).unwrap(), value, place, faults);
                true
            }
            "anyOf" | "oneOf" => {
                let tried: Vec<Vec<String>> = wanted
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|one| {
                        let mut inner = Vec::new();
                        check(root, one, value, place, &mut inner);
                        inner
                    })
                    .collect();
                let is_good = tried.iter().any(Vec::is_empty);
                if !is_good {
                    faults.extend(tried.into_iter().flatten());
                }
                is_good
            }
            "type" => wanted
                .as_array()
                .map_or_else(|| is_a(value, wanted), |kinds| kinds.iter().any(|kind| is_a(value, kind))),
            "const" => value == wanted,
            "enum" => wanted.as_array().unwrap().contains(value),
            "pattern" => value.as_str().is_none_or(|text| matches(wanted.as_str().unwrap(), text)),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= wanted.as_u64().unwrap()),
            "minProperties" => value.as_object().is_none_or(|map| map.len() as u64 >= wanted.as_u64().unwrap()),
            "maxProperties" => value.as_object().is_none_or(|map| map.len() as u64 <= wanted.as_u64().unwrap()),
            "required" => wanted
                .as_array()
                .unwrap()
                .iter()
                .all(|key| value.as_object().is_none_or(|map| map.contains_key(key.as_str().unwrap()))),
            "items" => {
                for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, wanted, item, &format!("{place}/{at}"), faults);
                }
                true
            }
            "properties" => {
                for (key, inner) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = wanted.get(key) {
                        check(root, schema, inner, &format!("{place}/{key}"), faults);
                    }
                }
                true
            }
            "propertyNames" => {
                for key in value.as_object().into_iter().flatten().map(|(key, _)| key) {
                    check(root, wanted, &Value::from(key.as_str()), &format!("{place}/{key}"), faults);
                }
                true
            }
            "additionalProperties" => {
                let known = keywords.get("properties");
                let others = value.as_object().into_iter().flatten();
                for (key, inner) in others.filter(|(key, _)| known.is_none_or(|known| known.get(key).is_none())) {
                    if *wanted == Value::Bool(false) {
                        faults.push(format!("{place}/{key}: unknown"));
                    } else {
                        check(root, wanted, inner, &format!("{place}/{key}"), faults);
                    }
                }
                true
            }
            unknown => panic!("the schema uses {unknown}, which this checker does not know"),
        };
        if !is_good {
            faults.push(format!("{}: {keyword}", if place.is_empty() { "/" } else { place }));
        }
    }
}

fn is_a(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("no {other} is expected anywhere"),
    }
}

/// The patterns that the schema uses.
fn matches(pattern: &str, text: &str) -> bool {
    let is_port = |digits: &str| (1..=5).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
    match pattern {
        ":[0-9]{1,5}$" => text.rsplit_once(':').is_some_and(|(_, port)| is_port(port)),
        "^[A-Za-z0-9][A-Za-z0-9._:-]{0,62}$" => text.parse::<vedette::model::subject::Name>().is_ok(),
        "^[A-Za-z0-9._][A-Za-z0-9._-]{0,31}$" => {
            text.len() <= 32
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
                && !text.starts_with('-')
        }
        "^([0-9]+(ms|s|m|h|d))+$" => is_duration(text),
        unknown => panic!("the schema uses the pattern {unknown}, which this checker does not know"),
    }
}

fn is_duration(mut text: &str) -> bool {
    let was_empty = text.is_empty();
    while !text.is_empty() {
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let rest = ["ms", "s", "m", "h", "d"].into_iter().find_map(|known| unit.strip_prefix(known));
        match rest {
            Some(rest) if unit.len() < text.len() => text = rest,
            _ => return false,
        }
    }
    !was_empty
}

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
