//! What people read uses the field's words, one for each thing, and none of those that vedette used to have of its own.

use std::fs;
use std::path::{Path, PathBuf};

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

/// Texts that people read: mails, page and tables as the snapshots show them, and what is written by hand.
fn texts() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    for folder in ["src/render/snapshots", "src/render/status/snapshots", "src/render/table/snapshots"] {
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
    assert!(texts.len() > 80, "too few texts: {}", texts.len());
    texts
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
