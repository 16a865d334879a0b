//! A talosconfig to the CAs and client certificates in it: a copy of a credential that its owner has to renew.
//!
//! Opens nothing, and never decodes the key beside a certificate. A broken context costs itself.

use base64::Engine as _;

use super::yaml::{self, Entry, Node, Value};
use super::{sanitize, text};

/// Contexts that are read, so that a huge file takes bounded time; no real one has as many.
const MAX_CONTEXTS: usize = 1_000;
/// Characters kept of a name.
const MAX_NAME: usize = 64;

/// What a context holds, PEM.
#[derive(Debug)]
pub(super) struct Piece {
    /// Its context, fit to be shown.
    pub(super) context: String,
    /// Whether it is the CA, and not the client's certificate.
    pub(super) is_authority: bool,
    /// `None` for what is no base64.
    pub(super) pem: Option<Vec<u8>>,
}

/// Whether `bytes` are meant as a talosconfig: contexts by name, with endpoints or certificates of their own.
pub(super) fn is_meant(bytes: &[u8]) -> bool {
    let text = text::decode(bytes).0;
    // The words are searched first, because a folder may hold large files of another kind.
    let has_words = text.contains("contexts") && (text.contains("crt") || text.contains("endpoints"));
    has_words && contexts(&text).is_some()
}

/// The certificates in the talosconfig `bytes`, in the order of the text.
pub(super) fn pieces(bytes: &[u8]) -> Vec<Piece> {
    let text = text::decode(bytes).0;
    let mut pieces = Vec::new();
    for entry in contexts(&text).unwrap_or_default().iter().take(MAX_CONTEXTS) {
        for (key, is_authority) in [("ca", true), ("crt", false)] {
            let written = entry.node.field(key).and_then(Node::scalar).filter(|written| !written.trim().is_empty());
            let context = || format!("context {}", sanitize::shown(&entry.key, MAX_NAME));
            pieces.extend(written.map(|written| Piece { context: context(), is_authority, pem: decoded(written) }));
        }
    }
    pieces
}

fn decoded(written: &str) -> Option<Vec<u8>> {
    let compact: String = written.chars().filter(|c| !c.is_whitespace()).collect();
    base64::engine::general_purpose::STANDARD.decode(compact).ok()
}

/// The contexts, when all of them are mappings: those of a kubeconfig are a list.
fn contexts(text: &str) -> Option<Vec<Entry>> {
    let documents = yaml::documents(text).ok()?;
    let [document] = documents.as_slice() else { return None };
    let Value::Map(entries) = &document.field("contexts")?.value else { return None };
    let keys = ["ca", "crt", "endpoints", "nodes", "auth"];
    let is_context = |entry: &Entry| keys.iter().any(|key| entry.node.field(key).is_some());
    entries.iter().any(is_context).then(|| entries.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_context_is_read_and_a_broken_one_costs_itself() {
        let text = "context: a\ncontexts:\n  a:\n    endpoints: [10.0.0.1]\n    ca: Y2E=\n    crt: Y3J0\n    key: a2V5\n  \
                    b:\n    crt: '%'\n  c: null\n  d:\n    auth: {siderov1: {identity: a@example.com}}\n";

        assert!(is_meant(text.as_bytes()));
        let found: Vec<_> = pieces(text.as_bytes()).into_iter().map(|piece| (piece.is_authority, piece.pem)).collect();
        assert_eq!(found, [(true, Some(b"ca".to_vec())), (false, Some(b"crt".to_vec())), (false, None)]);
    }

    #[test]
    fn other_texts_are_not_meant() {
        for text in [
            "",
            "contexts: []\nendpoints: 1\n",
            "contexts:\n- name: a\n  context: {cluster: crt}\n",
            "contexts: {}\ncrt: a\n",
            "contexts: {a: {b: crt}}\n",
            "contexts and crt",
        ] {
            assert!(!is_meant(text.as_bytes()), "{text}");
        }
    }
}
