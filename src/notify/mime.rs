//! A document as an Internet message: headers, threading, two alternative parts.
//!
//! Deterministic: the same attempt makes the same bytes, so that a repeat is recognised as one.

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder, MultiPart, SinglePart};

use crate::model::delivery::Attempt;
use crate::model::message::MessageId;
use crate::render::{mail, message};

/// Who writes to whom.
#[derive(Debug, Clone)]
pub(super) struct Addressing {
    pub(super) from: Mailbox,
    pub(super) to: Vec<Mailbox>,
    pub(super) reply_to: Option<Mailbox>,
}

/// The message as bytes for the DATA step.
pub(super) fn mime_message(attempt: &Attempt, who: &Addressing) -> Result<Vec<u8>, lettre::error::Error> {
    let document = message::document(attempt);
    let parts = mail::parts(&document);
    let domain = who.from.email.domain();
    let id = reference(&document.id, domain);
    let root = reference(&document.thread, domain);

    let mut builder = lettre::Message::builder()
        .from(who.from.clone())
        .date(UNIX_EPOCH + since_epoch(attempt))
        .message_id(Some(id.clone()))
        .subject(document.subject);
    for to in &who.to {
        builder = builder.to(to.clone());
    }
    builder = builder.reply_to(who.reply_to.clone().unwrap_or_else(|| who.from.clone()));
    if root != id {
        builder = builder.in_reply_to(root.clone()).references(root);
    }
    // RFC 3834 and Exchange's own: no out-of-office reply is sent to an alert. RFC 2919: filters without parsing
    // subjects.
    builder = with(builder, "Auto-Submitted", "auto-generated".into());
    builder = with(builder, "X-Auto-Response-Suppress", "All".into());
    builder = with(builder, "List-Id", format!("<vedette.{domain}>"));
    for (name, value) in document.headers {
        builder = with(builder, name, value);
    }

    let boundary = format!("vedette-{}", plain(&document.id.0));
    let body = MultiPart::alternative()
        .boundary(boundary)
        .singlepart(SinglePart::plain(parts.text))
        .singlepart(SinglePart::html(parts.html));
    Ok(builder.multipart(body)?.formatted())
}

fn with(builder: MessageBuilder, name: &'static str, value: String) -> MessageBuilder {
    match HeaderName::new_from_ascii(name.to_owned()) {
        Ok(name) => builder.raw_header(HeaderValue::new(name, value)),
        Err(_) => builder,
    }
}

/// `<id@domain>`. Only characters that RFC 5322 allows without quoting are kept of the id.
fn reference(id: &MessageId, domain: &str) -> String {
    format!("<{}@{domain}>", plain(&id.0))
}

fn plain(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' }).collect()
}

fn since_epoch(attempt: &Attempt) -> Duration {
    Duration::from_millis(u64::try_from(attempt.message.composed.as_millis()).unwrap_or(0))
}
