//! The configuration as written: a tree of mappings, read key by key, every error recorded and none fatal.
//!
//! Knows keys and forms, not meanings. Each section states its keys; anything else is an unknown key with a guess
//! at what was meant. Called by the readers of the sections.

use crate::parse::diagnostic::Diagnostic;
use crate::parse::yaml::{Entry, Node, Position, Value};

use super::problem::Complaints;

/// A mapping whose keys have been checked.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    /// Where it begins.
    pub(super) position: Position,
    /// Where complaints go.
    pub(super) complaints: &'a Complaints,
    entries: &'a [Entry],
}

/// What is wrong with a value, before anybody says where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) what: String,
    pub(super) hint: Option<String>,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: Some(hint.into()) }
    }

    pub(super) fn at(self, position: Position) -> Diagnostic {
        Diagnostic { hint: self.hint, ..Diagnostic::error(position, self.what) }
    }
}

impl<'a> Section<'a> {
    /// The mapping `node`, which may have these keys. `None`, and a complaint, when it is something else.
    pub(super) fn open(node: &'a Node, keys: &[&str], complaints: &'a Complaints) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            let hint = format!("its keys are: {}", keys.join(", "));
            complaints
                .add(Diagnostic::error(node.position, format!("expected a mapping, found {}", node.kind())).hint(hint));
            return None;
        };
        let section = Self { position: node.position, complaints, entries };
        section.refuse_repeated_keys();
        for entry in entries.iter().filter(|entry| !keys.contains(&entry.key.as_str())) {
            let hint = match nearest(&entry.key, keys) {
                Some(meant) => format!("did you mean '{meant}'?"),
                None => format!("the keys here are: {}", keys.join(", ")),
            };
            complaints
                .add(Diagnostic::error(entry.position, format!("unknown key '{}'", shortened(&entry.key))).hint(hint));
        }
        Some(section)
    }

    /// A mapping whose keys are chosen names or those of a fixed list.
    pub(super) fn open_any(node: &'a Node, complaints: &'a Complaints) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            complaints.add(Diagnostic::error(node.position, format!("expected a mapping, found {}", node.kind())));
            return None;
        };
        let section = Self { position: node.position, complaints, entries };
        section.refuse_repeated_keys();
        Some(section)
    }

    fn refuse_repeated_keys(&self) {
        for (index, entry) in self.entries.iter().enumerate() {
            if let Some(first) = self.entries[..index].iter().find(|earlier| earlier.key == entry.key) {
                let what =
                    format!("key '{}' again; it is already set in line {}", shortened(&entry.key), first.position.line);
                self.complaints.add(Diagnostic::error(entry.position, what).hint("keep one of the two"));
            }
        }
    }

    /// All entries.
    pub(super) const fn entries(&self) -> &'a [Entry] {
        self.entries
    }

    /// The value of `key`; an empty one counts as absent.
    pub(super) fn find(&self, key: &str) -> Option<&'a Node> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (entry.node.value != Value::Null).then_some(&entry.node)
    }

    /// The value of `key`, with a complaint when it is absent.
    pub(super) fn require(&self, key: &str) -> Option<&'a Node> {
        let found = self.find(key);
        if found.is_none() {
            let written = self.entries.iter().find(|entry| entry.key == key);
            let diagnostic = match written {
                Some(entry) => Diagnostic::error(entry.position, format!("'{key}' is empty")),
                None => Diagnostic::error(self.position, format!("'{key}' is missing")),
            };
            self.complaints.add(diagnostic);
        }
        found
    }

    /// The value of `key` through `parse`.
    pub(super) fn read<T>(&self, key: &str, parse: impl Fn(&str) -> Result<T, Wrong>) -> Option<T> {
        self.scalar(self.find(key)?, parse)
    }

    /// The value of `key` through `parse`, with a complaint when it is absent.
    pub(super) fn read_required<T>(&self, key: &str, parse: impl Fn(&str) -> Result<T, Wrong>) -> Option<T> {
        self.scalar(self.require(key)?, parse)
    }

    /// `true` or `false`; false when absent or wrong.
    pub(super) fn flag(&self, key: &str) -> bool {
        match self.find(key).map(|node| (node, &node.value)) {
            Some((_, Value::Bool(value))) => *value,
            Some((node, _)) => {
                self.complaints.add(Diagnostic::error(node.position, format!("'{key}' must be true or false")));
                false
            }
            None => false,
        }
    }

    /// The items of the list under `key`; `None` when absent or no list.
    pub(super) fn list(&self, key: &str) -> Option<&'a [Node]> {
        self.items(key, self.find(key)?)
    }

    /// The items of the list under `key`, with a complaint when it is absent.
    pub(super) fn list_required(&self, key: &str) -> Option<&'a [Node]> {
        self.items(key, self.require(key)?)
    }

    /// `node` through `parse`.
    pub(super) fn scalar<T>(&self, node: &Node, parse: impl Fn(&str) -> Result<T, Wrong>) -> Option<T> {
        let Some(text) = node.scalar() else {
            self.complaints.add(Diagnostic::error(node.position, format!("expected a string, found {}", node.kind())));
            return None;
        };
        parse(text).map_err(|wrong| self.complaints.add(wrong.at(node.position))).ok()
    }

    fn items(&self, key: &str, node: &'a Node) -> Option<&'a [Node]> {
        let Value::List(items) = &node.value else {
            let what = format!("'{key}' must be a list, and is {}", node.kind());
            self.complaints.add(Diagnostic::error(node.position, what).hint("start each item with '- '"));
            return None;
        };
        Some(items)
    }
}

/// `text` made fit to be quoted in a complaint: control characters escaped, and at most 100 characters of it.
pub(super) fn shortened(text: &str) -> String {
    let mut short = String::new();
    for (index, c) in text.chars().enumerate() {
        match c {
            _ if index == 100 => {
                short.push('…');
                break;
            }
            _ if c.is_control() => short.extend(c.escape_default()),
            _ => short.push(c),
        }
    }
    short
}

/// The one of `known` that `word` was probably meant to be.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_'], "");
    let word = plain(word);
    let distances = known.iter().map(|key| (distance(&word, &plain(key)), *key));
    // A third of the letters may be wrong, two at most: beyond that a guess confuses.
    distances
        .min_by_key(|(distance, _)| *distance)
        .filter(|(d, key)| *d <= 2 && *d * 3 <= key.len())
        .map(|(_, key)| key)
}

/// Levenshtein's distance over bytes; keys are ASCII.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_are_near_or_not_made() {
        let known = ["interval", "address", "to", "ca", "client_key"];
        for (word, meant) in [
            ("intervall", Some("interval")),
            ("adress", Some("address")),
            ("clientKey", Some("client_key")),
            ("client-key", Some("client_key")),
            ("CA", Some("ca")),
            ("x", None),
            ("password", None),
        ] {
            assert_eq!(nearest(word, &known), meant, "{word}");
        }
    }
}
