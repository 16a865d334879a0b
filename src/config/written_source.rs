//! Sources of credentials and certificates as the configuration writes them.
//!
//! Called by the readers of mail, heartbeat and clusters. Whether what is there can do its job is in `material.rs`.

use super::material::{Named, Use};
use super::read_context::ReadContext;
use super::settings::{ClientPair, Source};
use super::yaml_tree::{Section, shortened};
use crate::parse::diagnostic::Diagnostic;
use crate::parse::yaml::Node;

pub(super) const SOURCE_KEYS: [&str; 3] = ["file", "credential", "env"];

impl ReadContext<'_> {
    /// The source under `key`, examined; `None` when absent or unusable.
    pub(super) fn source(&self, section: &Section<'_>, key: &str, purpose: Use) -> Option<Source> {
        let node = section.find(key)?;
        let source = self.written_source(node)?;
        self.examine(&source, purpose, Named { file: None, position: node.position });
        Some(source)
    }

    /// The client certificate and key of a section that has both or neither.
    pub(super) fn client_pair(&self, section: &Section<'_>) -> Option<ClientPair> {
        let certificate = self.source(section, "client_certificate", Use::Certificate);
        let key = self.source(section, "client_key", Use::Key);
        let (has_certificate, has_key) =
            (section.find("client_certificate").is_some(), section.find("client_key").is_some());
        if has_certificate != has_key {
            let (present, absent) =
                if has_key { ("client_key", "client_certificate") } else { ("client_certificate", "client_key") };
            let position = section.find(present).map_or(section.position, |node| node.position);
            self.complaints.add(
                Diagnostic::error(position, format!("'{present}' without '{absent}'")).hint("give both or neither"),
            );
        }
        let position = section.find("client_key").map_or(section.position, |node| node.position);
        Some(self.paired(certificate?, key?, Named { file: None, position }))
    }

    fn written_source(&self, node: &Node) -> Option<Source> {
        if node.scalar().is_some() {
            // It may well be the secret itself, so it is not repeated.
            let hint = "write '{ file: PATH }', '{ credential: NAME }' or '{ env: VARIABLE }'";
            self.complaints.add(
                Diagnostic::error(node.position, "expected a mapping that says where it is, found a string").hint(hint),
            );
            return None;
        }
        let section = Section::open(node, &SOURCE_KEYS, self.complaints)?;
        let given: Vec<&str> = SOURCE_KEYS.into_iter().filter(|key| section.find(key).is_some()).collect();
        let [key] = given.as_slice() else {
            let diagnostic = Diagnostic::error(node.position, format!("expected one source, found {}", given.len()));
            self.complaints.add(diagnostic.hint("give exactly one of file, credential and env"));
            return None;
        };
        let text = section.read(key, |text| Ok(text.to_owned()))?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let is_name = !text.is_empty() && text.chars().all(is_plain) && !text.starts_with('.');
        match *key {
            "file" => Some(Source::File(self.folder.join(text))),
            _ if !is_name => {
                let what = format!("'{}' cannot be the name of a {key}", shortened(&text));
                let hint = "letters, digits, '_', '-' and '.' only; for a path use 'file'";
                self.complaints.add(Diagnostic::error(node.position, what).hint(hint));
                None
            }
            "credential" => Some(Source::Credential(text)),
            _ => Some(Source::Env(text)),
        }
    }
}
