//! A mail as a drill looks at it, whichever server took it.

use std::collections::BTreeMap;
use std::time::Instant;

use mail_parser::{HeaderValue, MessageParser};

/// A parsed message. Absent headers are empty.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    /// When the server had it whole.
    pub(crate) arrived: Instant,
    /// Decoded subject.
    pub(crate) subject: String,
    /// Identity, without angle brackets.
    pub(crate) message_id: String,
    /// Identities this one answers.
    pub(crate) in_reply_to: Vec<String>,
    /// The thread, oldest first.
    pub(crate) references: Vec<String>,
    /// Every header beginning with `X-Vedette-`, by its whole name as it came.
    pub(crate) marks: BTreeMap<String, String>,
    /// The text part.
    pub(crate) text: String,
    /// The HTML part, empty when there is none.
    pub(crate) html: String,
    /// Envelope sender; empty when the server does not say.
    pub(crate) from: String,
    /// Envelope recipients; empty when the server does not say.
    pub(crate) to: Vec<String>,
    /// Account the sender logged in with, if any.
    pub(crate) account: Option<String>,
    /// Whether it came over TLS; `None` when the server does not say.
    pub(crate) encrypted: Option<bool>,
}

impl Mail {
    /// Reads a message; what cannot be parsed becomes a mail without headers, which no drill expects.
    pub(crate) fn parse(bytes: &[u8], arrived: Instant) -> Self {
        let parsed = MessageParser::default().parse(bytes).unwrap_or_default();
        let marks = parsed
            .headers_raw()
            .filter(|(name, _)| name.to_ascii_lowercase().starts_with("x-vedette-"))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Self {
            arrived,
            subject: parsed.subject().unwrap_or_default().to_owned(),
            message_id: parsed.message_id().unwrap_or_default().to_owned(),
            in_reply_to: identities(parsed.in_reply_to()),
            references: identities(parsed.references()),
            marks,
            text: parsed.body_text(0).unwrap_or_default().into_owned(),
            html: if parsed.html_body_count() > 0 {
                parsed.body_html(0).unwrap_or_default().into_owned()
            } else {
                String::new()
            },
            from: String::new(),
            to: Vec::new(),
            account: None,
            encrypted: None,
        }
    }

    /// The message its thread began with: the oldest reference, or itself.
    pub(crate) fn thread_root(&self) -> &str {
        self.references.first().or(self.in_reply_to.first()).unwrap_or(&self.message_id)
    }
}

fn identities(value: &HeaderValue<'_>) -> Vec<String> {
    if let Some(list) = value.as_text_list() {
        return list.iter().map(ToString::to_string).collect();
    }
    value.as_text().map(str::to_owned).into_iter().collect()
}
