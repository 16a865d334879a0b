//! Everything in a kubeconfig that has an end: CAs, client certificates and tokens of all its entries.
//!
//! Unlike the choice of a context this reads all entries, and a broken one costs itself. Opens no file and runs no
//! plugin. Called for kubeconfigs among files.

use super::yaml::Node;
use super::{Material, Reading, says_something, text, yaml};
use crate::parse::sanitize;

/// Everything in a kubeconfig that has an end, or may have one.
#[derive(Debug, Default)]
pub struct Held {
    /// CAs, client certificates and tokens.
    pub pieces: Vec<Piece>,
    /// Users whose credential is not in the file: who they are, and where it comes from.
    pub elsewhere: Vec<(Box<str>, &'static str)>,
    /// Entries that cannot be read: which, and what is wrong with them.
    pub faults: Vec<(Box<str>, String)>,
}

/// One thing in a kubeconfig that has an end.
#[derive(Debug, Clone)]
pub struct Piece {
    /// What it is.
    pub kind: PieceKind,
    /// Its entry: `cluster NAME` or `user NAME`, fit to be shown.
    pub entry: Box<str>,
    /// Where its bytes are.
    pub material: Material,
}

/// What a piece of a kubeconfig is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceKind {
    /// CAs of a cluster.
    Authority,
    /// A user's client certificate chain.
    Certificate,
    /// A user's bearer token.
    Token,
}

/// Entries of one list that are read, so that a huge file takes bounded time; no real one has as many.
const MAX_ENTRIES: usize = 1_000;
/// Characters kept of a name.
const MAX_NAME: usize = 64;

/// Whether `bytes` are meant as a kubeconfig: they name clusters, users and contexts.
#[must_use]
pub fn is_meant(bytes: &[u8]) -> bool {
    let text = text::decode(bytes).0;
    let words = ["clusters", "users", "contexts"].iter().filter(|word| text.contains(*word)).count();
    words >= 2 && (text.contains("current-context") || text.contains("apiVersion"))
}

/// Everything in the kubeconfig `bytes` that has an end, in the order of the text.
///
/// # Errors
/// What is wrong with it, when nothing can be read.
pub fn held(bytes: &[u8]) -> Result<Held, String> {
    let documents = yaml::documents(&text::decode(bytes).0).map_err(|fault| match fault.position {
        Some(position) => format!("line {}: {}", position.line, fault.what),
        None => fault.what,
    })?;
    let mut reading = Reading { documents: &documents, diagnostics: Vec::new() };
    let mut held = Held::default();
    for (node, entry) in named(&reading, "clusters", "cluster") {
        let material = reading.material(node, "certificate-authority-data", "certificate-authority");
        held.take(&mut reading, &entry, PieceKind::Authority, material);
    }
    for (node, entry) in named(&reading, "users", "user") {
        let material = reading.material(node, "client-certificate-data", "client-certificate");
        held.take(&mut reading, &entry, PieceKind::Certificate, material);
        let token = reading.token(node);
        held.take(&mut reading, &entry, PieceKind::Token, token);
        for (key, from) in [("exec", "exec plugin"), ("auth-provider", "auth provider")] {
            if node.field(key).is_some_and(says_something) {
                held.elsewhere.push((entry.clone(), from));
            }
        }
    }
    Ok(held)
}

impl Held {
    fn take(
        &mut self,
        reading: &mut Reading<'_>,
        entry: &str,
        kind: PieceKind,
        material: Option<super::Located<Material>>,
    ) {
        self.pieces.extend(material.map(|found| Piece { kind, entry: entry.into(), material: found.value }));
        self.faults.extend(reading.diagnostics.drain(..).map(|diagnostic| (entry.into(), diagnostic.what)));
    }
}

/// The entries of `list` that have a body, each with what it is called.
fn named<'a>(reading: &Reading<'a>, list: &str, body: &str) -> Vec<(&'a Node, Box<str>)> {
    let entries = reading.entries(list).take(MAX_ENTRIES);
    let named = entries.filter_map(|entry| {
        let name = entry.field("name").and_then(Node::scalar).unwrap_or_default();
        Some((entry.field(body)?, format!("{body} {}", sanitize::shown(name, MAX_NAME)).into()))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    const TWO_OF_EACH: &str = "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: []\n\
        clusters:\n- name: a\n  cluster: {certificate-authority-data: YQ==}\n- name: b\n  cluster: {certificate-authority: b.crt}\n- 7\n\
        users:\n- name: a\n  user: {client-certificate-data: Yw==, token: t}\n- name: b\n  user: {tokenFile: d, exec: {command: a}}\n\
        - name: c\n  user: {client-certificate-data: '%'}\n";

    #[test]
    fn every_entry_is_read_and_a_broken_one_costs_itself() {
        let held = held(TWO_OF_EACH.as_bytes()).unwrap();

        let pieces: Vec<String> = held.pieces.iter().map(shown).collect();
        let expected = [
            "cluster a: Authority a",
            "cluster b: Authority file b.crt",
            "user a: Certificate c",
            "user a: Token t",
            "user b: Token file d",
        ];
        assert_eq!(pieces, expected);
        assert_eq!(held.elsewhere, [("user b".into(), "exec plugin")]);
        assert_eq!(held.faults, [("user c".into(), "'client-certificate-data' is not base64".to_owned())]);
    }

    #[test]
    fn only_what_names_its_parts_is_meant_as_one() {
        assert!(is_meant(TWO_OF_EACH.as_bytes()));
        assert!(is_meant(br#"{"apiVersion":"v1","clusters":[],"users":[]}"#));
        for other in ["", "apiVersion: v1\nkind: Pod\n", "clusters and users"] {
            assert!(!is_meant(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn what_is_no_yaml_is_said() {
        assert!(held(b"a: [").unwrap_err().starts_with("line 1: "));
    }

    fn shown(piece: &Piece) -> String {
        let material = match &piece.material {
            Material::Inline(bytes) => String::from_utf8_lossy(bytes.expose_secret()).into_owned(),
            Material::File(path) => format!("file {path}"),
        };
        format!("{}: {:?} {material}", piece.entry, piece.kind)
    }
}
