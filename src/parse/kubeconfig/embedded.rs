//! Everything in a kubeconfig that has an end: CAs, client certificates and tokens of all its entries.
//!
//! Unlike the choice of a context this complains of nothing: a broken entry costs itself. Opens no file and runs no
//! plugin. Called for kubeconfigs among watched files.

use super::{Material, Reading, text, yaml};

/// One thing in a kubeconfig that has an end.
#[derive(Debug, Clone)]
pub struct Piece {
    /// What it is.
    pub kind: PieceKind,
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

/// Whether `bytes` are meant as a kubeconfig: they name clusters, users and contexts.
#[must_use]
pub fn is_meant(bytes: &[u8]) -> bool {
    let text = text::decode(bytes).0;
    let words = ["clusters", "users", "contexts"].iter().filter(|word| text.contains(*word)).count();
    words >= 2 && (text.contains("current-context") || text.contains("apiVersion"))
}

/// Everything in the kubeconfig `bytes` that has an end, in the order of the text; `None` when it cannot be read.
#[must_use]
pub fn held(bytes: &[u8]) -> Option<Vec<Piece>> {
    let documents = yaml::documents(&text::decode(bytes).0).ok()?;
    let mut reading = Reading { documents: &documents, diagnostics: Vec::new() };
    let mut pieces = Vec::new();
    let clusters: Vec<_> = reading.entries("clusters").take(MAX_ENTRIES).filter_map(|it| it.field("cluster")).collect();
    for cluster in clusters {
        let material = reading.material(cluster, "certificate-authority-data", "certificate-authority");
        pieces.extend(material.map(|found| Piece { kind: PieceKind::Authority, material: found.value }));
    }
    let users: Vec<_> = reading.entries("users").take(MAX_ENTRIES).filter_map(|it| it.field("user")).collect();
    for user in users {
        let material = reading.material(user, "client-certificate-data", "client-certificate");
        pieces.extend(material.map(|found| Piece { kind: PieceKind::Certificate, material: found.value }));
        pieces.extend(reading.token(user).map(|found| Piece { kind: PieceKind::Token, material: found.value }));
    }
    Some(pieces)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    const TWO_OF_EACH: &str = "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: []\n\
        clusters:\n- name: a\n  cluster: {certificate-authority-data: YQ==}\n- name: b\n  cluster: {certificate-authority: b.crt}\n- 7\n\
        users:\n- name: a\n  user: {client-certificate-data: Yw==, token: t}\n- name: b\n  user: {tokenFile: d, exec: {}}\n\
        - name: c\n  user: {client-certificate-data: '%'}\n";

    #[test]
    fn every_entry_is_read_and_a_broken_one_costs_itself() {
        let pieces: Vec<String> = held(TWO_OF_EACH.as_bytes()).unwrap().iter().map(shown).collect();

        let expected = ["Authority a", "Authority file b.crt", "Certificate c", "Token t", "Token file d"];
        assert_eq!(pieces, expected);
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
        assert!(held(b"a: [").is_none());
    }

    fn shown(piece: &Piece) -> String {
        let material = match &piece.material {
            Material::Inline(bytes) => String::from_utf8_lossy(bytes.expose_secret()).into_owned(),
            Material::File(path) => format!("file {path}"),
        };
        format!("{:?} {material}", piece.kind)
    }
}
