//! A document as the two parts of a mail.

use super::document::Document;
use super::{html, text};

/// Two parts that say the same, each complete on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// Plain text, at most 78 columns where the words allow it.
    pub text: String,
    /// HTML, at most 90 KiB.
    pub html: String,
}

/// Both parts. HTML that would be clipped by mail programs gives way to the text in a frame.
#[must_use]
pub fn parts(document: &Document) -> Parts {
    let text = text::text(document);
    let html = html::html(document);
    let html = if html.len() <= html::LARGEST {
        html
    } else {
        format!(
            "<!DOCTYPE html><html><body><pre style=\"white-space:pre-wrap\">{}</pre></body></html>",
            super::harmless::html(&text)
        )
    };
    Parts { text, html }
}
