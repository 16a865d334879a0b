//! YAML text to a tree in which every key and value knows its place. The only file that knows the YAML library.
//!
//! A tree instead of derived structs, because a derived reader stops at the first unknown key and a person wants
//! all mistakes at once. Duplicate keys stay in the tree for the reader to complain about. Called by
//! [`super::kubeconfig`] and by the configuration.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Location, NonFiniteFloatPolicy, Options, Spanned};

use super::text::MAX_BYTES;

/// A place in a text, counted from 1; columns are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line.
    pub line: u64,
    /// Column.
    pub column: u64,
}

/// A value and its place. A value behind an alias has the place of the alias.
#[derive(Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it begins.
    pub position: Position,
    /// What it is.
    pub value: Value,
}

/// What a node holds.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing: an empty value, `~` or `null`.
    Null,
    /// A plain `true` or `false`.
    Bool(bool),
    /// A plain scalar that YAML reads as a number, as it was written.
    Number(String),
    /// Any other scalar.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the text, duplicates included.
    Map(Vec<Entry>),
}

/// One entry of a mapping.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where the key begins.
    pub position: Position,
    /// The key.
    pub key: String,
    /// The value.
    pub node: Node,
}

/// Why a text is not YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where; `None` when the library does not know.
    pub position: Option<Position>,
    /// What is wrong.
    pub what: String,
}

/// The documents of `text`; empty ones are left out.
///
/// # Errors
/// The first violation of YAML's grammar (nothing behind it can be read reliably), or a text beyond the bounds:
/// [`MAX_BYTES`], 32 levels, 200,000 nodes, aliases counted with all they expand to.
pub fn documents(text: &str) -> Result<Vec<Node>, Fault> {
    if text.len() > MAX_BYTES {
        return Err(Fault { position: None, what: format!("longer than {MAX_BYTES} bytes") });
    }
    let documents: Vec<Spanned<Shape>> =
        serde_saphyr::from_multiple_with_options(text, options()).map_err(|error| fault(&error))?;
    Ok(documents.into_iter().map(|document| place(document, text)).collect())
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 32,
            flow_nesting_limit: 32,
            max_nodes: 200_000,
            max_events: 600_000,
            max_documents: 64,
            max_recorded_anchor_events: 100_000,
            max_total_scalar_bytes: 2 * MAX_BYTES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 50_000,
            max_replay_stack_depth: 16,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        reject_unsupported_tags: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    }
}

/// Values as the library infers them; numbers get their spelling back from the text afterwards.
enum Shape {
    Null,
    Bool(bool),
    Number,
    Text(String),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Shape, E> {
        Ok(Shape::Bool(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Number)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Shape, E> {
        Ok(Shape::Number)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Shape, E> {
        Ok(Shape::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Number)
    }

    fn visit_str<E>(self, value: &str) -> Result<Shape, E> {
        Ok(Shape::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Shape, E> {
        Ok(Shape::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Shape::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Shape, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Shape::Map(map))
    }
}

fn place(spanned: Spanned<Shape>, text: &str) -> Node {
    let Spanned { value, referenced, defined } = spanned;
    let value = match value {
        Shape::Null => Value::Null,
        Shape::Bool(value) => Value::Bool(value),
        Shape::Number => Value::Number(spelling(defined, text)),
        Shape::Text(value) => Value::Text(value),
        Shape::List(items) => Value::List(items.into_iter().map(|item| place(item, text)).collect()),
        Shape::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, node)| Entry {
                    position: position(key.referenced),
                    key: key.value,
                    node: place(node, text),
                })
                .collect(),
        ),
    };
    Node { position: position(referenced), value }
}

/// `1.10` is a version or a name as often as a number: the spelling is kept, never the value.
fn spelling(location: Location, text: &str) -> String {
    let span = location.span();
    let slice = || {
        let start = usize::try_from(span.byte_offset()?).ok()?;
        let length = usize::try_from(span.byte_len()?).ok()?;
        text.get(start..start.checked_add(length)?)
    };
    slice().unwrap_or_default().trim().to_owned()
}

fn position(location: Location) -> Position {
    Position { line: location.line().max(1), column: location.column().max(1) }
}

fn fault(error: &serde_saphyr::Error) -> Fault {
    struct Plain;
    impl serde_saphyr::Localizer for Plain {
        fn attach_location<'a>(&self, base: std::borrow::Cow<'a, str>, _: Location) -> std::borrow::Cow<'a, str> {
            base
        }
    }
    let formatter = serde_saphyr::DefaultMessageFormatter.with_localizer(&Plain);
    let what = plainly(error.without_snippet().render_with_formatter(&formatter));
    Fault { position: error.location().filter(|location| *location != Location::UNKNOWN).map(position), what }
}

/// The library's own messages, in words that the author of the file knows.
fn plainly(what: String) -> String {
    match what.as_str() {
        _ if what.starts_with("alias replay limit exceeded") => {
            "YAML aliases expand to more than 50000 values".to_owned()
        }
        "\"-\" is only valid inside a block" => "'-' cannot start a list item here".to_owned(),
        _ => what,
    }
}

impl Node {
    /// What kind of thing it is, with its article, for complaints. Never shows the content, which may be a secret.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// The scalar as it was written; `None` for anything else.
    #[must_use]
    pub fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) | Value::Number(text) => Some(text),
            Value::Bool(true) => Some("true"),
            Value::Bool(false) => Some("false"),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The first value under `key` that is not null, for readers that ignore what they do not know.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => {
                let entry = entries.iter().find(|entry| entry.key == key)?;
                (entry.node.value != Value::Null).then_some(&entry.node)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => None,
        }
    }
}

/// Shows the shape and the places, never the content: kubeconfigs carry keys.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.kind(), self.position)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_keeps_its_place_and_its_spelling() {
        let text = "a: &x 1.10\nb: *x\nc: [0x10, ~, true, 'true', yes, 10.0.0.1:53, \"\u{e9}\\n\"]\na: 2\nd: {<<: {k: v}}\ne:\n";

        let lines = sketch(text).unwrap();

        let expected = "1:1 a=1:7 1.10|2:1 b=2:4 1.10|3:1 c=[3:5 0x10,3:11 nothing,3:14 true,3:20 true,3:28 yes,\
            3:33 10.0.0.1:53,3:46 \u{e9}\n]|4:1 a=4:4 2|5:1 d={5:9 k=5:9 v}|6:1 e=6:2 nothing";
        assert_eq!(lines, format!("{{{expected}}}"));
    }

    #[test]
    fn a_violation_of_the_grammar_is_placed() {
        for (text, place, what) in [
            ("a: b: c", "1:5", "mapping values are not allowed in this context"),
            ("a:\n\t- b", "2:2", "tabs disallowed within this context (block indentation)"),
            ("a: *y", "1:4", "alias references unknown anchor"),
            ("a: !foo b", "1:9", "unsupported tag `!foo`"),
            ("a: \"x", "1:4", "unclosed quote"),
            ("[a]: b", "1:1", "expected string scalar"),
        ] {
            let fault = documents(text).unwrap_err();

            assert_eq!((fault.position.unwrap().to_string().as_str(), fault.what.as_str()), (place, what), "{text}");
        }
    }

    #[test]
    fn bombs_are_refused() {
        let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
            laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }

        assert!(documents(&laughs).unwrap_err().what.contains("expand to more than 50000 values"));
        assert!(documents(&"[".repeat(1000)).unwrap_err().what.contains("limit exceeded"));
        assert!(documents(&"- x\n".repeat(300_000)).is_err());
        assert!(documents(&" ".repeat(MAX_BYTES + 1)).is_err());
    }

    #[test]
    fn ten_thousand_targets_in_clusters_of_five_are_read() {
        let mut text = "clusters:\n".to_owned();
        for cluster in 0..2_000 {
            text.push_str(&format!(
                "  - name: c{cluster}\n    credentials: {{ ca: {{ file: /etc/vedette/ca.crt }}, client_certificate: \
                 {{ file: /etc/vedette/client.crt }}, client_key: {{ file: /etc/vedette/client.key }} }}\n    \
                 apiservers:\n"
            ));
            for n in cluster * 5..cluster * 5 + 5 {
                text.push_str(&format!(
                    "      - {{ name: t{n}, address: \"127.100.{}.{}:16443\", server_name: kubernetes.default.svc }}\n",
                    n / 250,
                    n % 250
                ));
            }
        }

        assert!(text.len() > 1024 * 1024, "{}", text.len());
        assert_eq!(documents(&text).map(|documents| documents.len()), Ok(1));
    }

    #[test]
    fn no_content_is_shown_by_accident() {
        let documents = documents("password: hunter2").unwrap();

        assert_eq!(format!("{documents:?}"), "[a mapping at 1:1]");
    }

    fn sketch(text: &str) -> Result<String, Fault> {
        fn show(node: &Node) -> String {
            match &node.value {
                Value::Map(entries) => {
                    let shown: Vec<String> =
                        entries.iter().map(|e| format!("{} {}={}", e.position, e.key, show(&e.node))).collect();
                    format!("{{{}}}", shown.join("|"))
                }
                Value::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(",")),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {
                    format!("{} {}", node.position, node.scalar().unwrap_or(node.kind()))
                }
            }
        }
        Ok(documents(text)?.iter().map(show).collect())
    }
}
