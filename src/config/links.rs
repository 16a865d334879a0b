//! The addresses that mails carry, as written.

use url::Url;

use super::read_context::ReadContext;
use super::yaml_tree::{Section, Wrong, shortened};
use crate::model::links::{Links, PLACES};
use crate::parse::yaml::Node;

pub(super) const KEYS: [&str; 3] = ["status", "dashboard", "runbook"];

impl ReadContext<'_> {
    /// The links in `node`; those that cannot be used are complained of and left out.
    pub(super) fn links(&self, node: &Node) -> Links {
        let Some(section) = Section::open(node, &KEYS, self.complaints) else { return Links::default() };
        let read = |key: &str| section.read(key, link);
        Links { status: read("status"), dashboard: read("dashboard"), runbook: read("runbook") }
    }
}

/// An address for a browser, as written: words in braces are filled in for each mail.
fn link(text: &str) -> Result<String, Wrong> {
    for piece in text.split('{').skip(1) {
        let word = piece.split('}').next().unwrap_or_default();
        if !piece.contains('}') || !PLACES.contains(&word) {
            let what = format!("'{{{}' is not a word that is filled in", shortened(piece));
            return Err(Wrong::new(what, "write {cluster}, {rule} or {incident}"));
        }
    }
    // Whatever is filled in has no character that an address must not have.
    let filled = PLACES.iter().fold(text.to_owned(), |link, word| link.replace(&format!("{{{word}}}"), "x"));
    let is_link = Url::parse(&filled).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"' | b'\''));
    if is_link {
        Ok(text.to_owned())
    } else {
        let hint = "write for example 'https://status.example.com/?cluster={cluster}'";
        Err(Wrong::new(format!("'{}' is not a valid http or https URL", shortened(text)), hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_words_to_fill_in_is_a_link_and_anything_else_is_none() {
        for (text, is_link) in [
            ("https://bastion-1.example.com:9876/?cluster={cluster}", true),
            ("http://runbooks/{rule}", true),
            ("https://grafana.example.com/d/vedette?var-cluster={cluster}&x={incident}", true),
            ("ftp://files.example.com/", false),
            ("runbooks.example.com", false),
            ("https://example.com/{subject}", false),
            ("https://example.com/{rule", false),
            ("https://example.com/ a", false),
            ("https://example.com/\"><script>", false),
            ("", false),
        ] {
            assert_eq!(link(text).is_ok(), is_link, "{text}");
        }
    }
}
