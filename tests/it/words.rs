//! What people read uses the field's words, one for each thing, and none of those that vedette used to have of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Words that were replaced, and what is said instead. Whole words, in any case.
const OLD: [(&str, &str); 32] = [
    ("look", "probe"),
    ("looks", "probes"),
    ("looked", "probed"),
    ("looking", "probing, monitoring"),
    ("dial", "connect"),
    ("dials", "connects"),
    ("dialled", "connected"),
    ("dialling", "connect, connecting"),
    ("first_byte", "processing"),
    ("authority", "CA"),
    ("authorities", "CAs"),
    ("holder", "subject"),
    ("holders", "subjects"),
    ("ladder", "thresholds"),
    ("shared address", "API VIP"),
    ("shared API address", "API VIP"),
    ("reference point", "reference target"),
    ("reference points", "reference targets"),
    ("deeper cause", "root cause"),
    ("told", "notified, mailed, reported"),
    ("mended", "fixed"),
    ("mend", "fix"),
    ("heals", "recovers"),
    ("stands still", "is stalled"),
    ("still so", "ongoing"),
    ("stands", "is ongoing, is"),
    ("complained", "reported"),
    ("follows from it", "related"),
    ("cut off from everything", "has lost its network"),
    ("knows no leader", "has no leader"),
    ("takes no writes", "rejects writes"),
    ("even if it dies", "full outages included"),
];

/// Texts that people read: mails, page, tables and complaints as the snapshots show them, what is written by hand, the
/// schema, the help, the log, dashboards and alert rules.
fn texts() -> Vec<(PathBuf, String)> {
    let mut texts = shown();
    texts.extend(described());
    texts.extend(help(&[]));
    texts.extend(logged());
    texts.extend(answered());
    texts
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shown() -> Vec<(PathBuf, String)> {
    let root = root();
    let mut texts = Vec::new();
    for folder in [
        "src/render/snapshots",
        "src/render/status/snapshots",
        "src/render/table/snapshots",
        "tests/it/config_errors/snapshots",
    ] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            // The keys of JSON are names that programs read.
            let is_read = path.extension().is_some_and(|kind| kind == "snap")
                && !["json", "document"].iter().any(|kind| path.to_string_lossy().contains(kind));
            if is_read {
                let text = fs::read_to_string(&path).unwrap();
                // What precedes the second rule is of the tool that keeps snapshots.
                let shown = text.splitn(3, "---\n").nth(2).unwrap().to_owned();
                texts.push((path, shown));
            }
        }
    }
    for file in ["README.md", "docs/runbook.md", "config/minimal.yaml", "config/vedette.example.yaml"] {
        let path = root.join(file);
        texts.push((path.clone(), fs::read_to_string(&path).unwrap()));
    }
    for path in files_in("config/prometheus", "yaml") {
        texts.push((path.clone(), fs::read_to_string(&path).unwrap()));
    }
    assert!(texts.len() > 160, "too few texts: {}", texts.len());
    texts
}

fn files_in(folder: &str, kind: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                _ if path.is_dir() => open.push(path),
                Some(found) if found == kind => files.push(path),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

/// The texts of the schema and of the dashboards, a line each.
fn described() -> Vec<(PathBuf, String)> {
    let schema = files_in("config", "json").into_iter().filter(|path| path.ends_with("vedette.schema.json"));
    let read = |path: PathBuf| {
        let document: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let mut lines = Vec::new();
        collect(&document, &mut lines);
        assert!(lines.len() > 10, "{}: too few texts", path.display());
        (path, lines.join("\n"))
    };
    let texts: Vec<_> = schema.chain(files_in("dashboards", "json")).map(read).collect();
    assert!(texts.len() > 4, "{texts:?}");
    texts
}

fn collect(value: &Value, lines: &mut Vec<String>) {
    const READ: [&str; 6] = ["title", "description", "legendFormat", "displayName", "label", "text"];
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                if let (true, Value::String(text)) = (READ.contains(&key.as_str()), value) {
                    lines.push(text.replace('\n', " "));
                }
                collect(value, lines);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, lines)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The help of a command, and of all below it.
fn help(command: &[&str]) -> Vec<(PathBuf, String)> {
    let asked = Command::new(env!("CARGO_BIN_EXE_vedette")).args(command).arg("--help").output().unwrap();
    assert!(asked.status.success(), "{command:?}");
    let text = String::from_utf8(asked.stdout).unwrap();
    let below = text.split_once("Commands:\n").map_or("", |(_, rest)| rest.split("\n\n").next().unwrap());
    let names: Vec<&str> = below
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(!command.is_empty() || names.len() > 6, "{names:?}");
    let mut texts: Vec<_> = names.iter().flat_map(|name| help(&[command, &[*name]].concat())).collect();
    texts.push((PathBuf::from(format!("vedette {} --help", command.join(" "))), text));
    texts
}

/// The literals of what is logged, a line each. Names of fields are read by programs and stand outside them.
fn logged() -> Vec<(PathBuf, String)> {
    let mut texts = Vec::new();
    for path in files_in("src", "rs") {
        let source = fs::read_to_string(&path).unwrap();
        let lines: Vec<String> = ["error", "warn", "info", "debug", "trace"]
            .iter()
            .flat_map(|level| {
                let calls: Vec<_> = source.split(&format!("tracing::{level}!(")).skip(1).map(literals).collect();
                calls.concat()
            })
            .collect();
        if !lines.is_empty() {
            texts.push((path, lines.join("\n")));
        }
    }
    assert!(texts.len() > 15, "too few files that log: {}", texts.len());
    texts
}

/// The sentences in what the listener and the commands answer.
fn answered() -> Vec<(PathBuf, String)> {
    let mut texts = Vec::new();
    for path in ["src/expose", "src/cli"].into_iter().flat_map(|folder| files_in(folder, "rs")) {
        if path.components().any(|part| part.as_os_str().to_string_lossy().starts_with("tests")) {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        let code = source.split("#[cfg(test)]").next().unwrap();
        let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let sentences: Vec<String> = literals(&code.join("\n")).into_iter().filter(|text| text.contains(' ')).collect();
        if !sentences.is_empty() {
            texts.push((path, sentences.join("\n")));
        }
    }
    assert!(texts.len() > 12, "too few files that answer: {}", texts.len());
    texts
}

/// The string literals up to the bracket that closes the one before `source`.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut depth, mut literal, mut is_escaped) = (1, None::<String>, false);
    for c in source.chars() {
        match (&mut literal, c) {
            (Some(text), _) if is_escaped => {
                is_escaped = false;
                text.push(c);
            }
            (Some(_), '\\') => is_escaped = true,
            (Some(_), '"') => found.extend(literal.take()),
            (Some(text), _) => text.push(if c == '\n' { ' ' } else { c }),
            (None, '"') => literal = Some(String::new()),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, _) => {}
        }
        if depth == 0 {
            break;
        }
    }
    found
}

/// Whether `word` is in `line` as a word of its own; keys such as `certificate-authority-data` are none.
fn has(line: &str, word: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || "_-./".contains(c));
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
        let ends_sentence =
            after == Some('.') && !line[at + word.len() + 1..].starts_with(|c: char| c.is_alphanumeric());
        !is_part(before) && (ends_sentence || !is_part(after))
    })
}

#[test]
fn nothing_that_people_read_has_the_old_words() {
    let mut found = Vec::new();
    for (path, text) in texts() {
        for (number, line) in text.lines().enumerate() {
            let line = line.to_lowercase();
            for (old, new) in OLD.iter().filter(|(old, _)| has(&line, &old.to_lowercase())) {
                found.push(format!("{}:{}: '{old}': say '{new}'", path.display(), number + 1));
            }
        }
    }

    assert!(found.is_empty(), "{}\n{}", found.len(), found.join("\n"));
}

#[test]
fn what_is_logged_is_found_whole_and_nothing_behind_it() {
    let source = r#"cluster = %name("a"), "a \"look\" (at {}) ends", f("x")); let other = "look";"#;

    assert_eq!(literals(source), ["a", "a \"look\" (at {}) ends", "x"]);
}

#[test]
fn an_old_word_is_found_where_it_is_a_word() {
    for (line, word, is_there) in [
        ("the last look was slow", "look", true),
        ("a second look.", "look", true),
        ("an outlook", "look", false),
        ("--certificate-authority ca.crt", "authority", false),
        ("outlook.example.com", "look", false),
    ] {
        assert_eq!(has(line, word), is_there, "{line}");
    }
}
