//! A message in neutral form: its content in order, before it becomes text or HTML.

use crate::judge::commands;
use crate::model::message::MessageId;

use super::harmless::{LONGEST, line};

/// Everything a channel needs to send one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The subject line, at most 78 ASCII characters.
    pub subject: String,
    /// This message.
    pub id: MessageId,
    /// The first message of the thread; equal to `id` for the first.
    pub thread: MessageId,
    /// Headers by which machines sort mail: name and value, both without control characters.
    pub headers: Vec<(&'static str, String)>,
    /// Its colour: that of the bar.
    pub tone: Tone,
    /// The word in the bar: `CRITICAL`, `RESOLVED after 14 min`.
    pub badge: String,
    /// The cluster, for the coloured bar; `None` where none is concerned.
    pub place: Option<String>,
    /// The subject without its brackets.
    pub heading: String,
    /// What a mail program shows beside the subject in a list of mails: one line, no repetition of the subject.
    pub preheader: String,
    /// The content, in order.
    pub sections: Vec<Section>,
}

/// Colours a document can have; the badge has the same as a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Something is broken now.
    Critical,
    /// Something will break.
    Warning,
    /// It is resolved.
    Over,
    /// Nothing is wrong.
    Neutral,
}

/// One part of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its title; empty for the opening.
    pub title: &'static str,
    /// Its text.
    pub blocks: Vec<Block>,
}

/// Kinds of content. Every text in them is one harmless line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// The sentence that matters most.
    Strong(String),
    /// Named values.
    Facts(Vec<(&'static str, String)>),
    /// Named addresses for a browser.
    Links(Vec<(&'static str, String)>),
    /// Items.
    Items(Vec<String>),
    /// What to do, in this order.
    Steps(Vec<String>),
    /// Commands to copy, one each.
    Commands(Vec<Command>),
    /// Lines of a text to copy as it is.
    Verbatim(Vec<String>),
    /// What the probes saw.
    Probes(Vec<ProbeRow>),
}

/// A command to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The command itself.
    pub line: String,
    /// What to know about it, without a `#`.
    pub note: Option<String>,
}

/// One line of evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeRow {
    /// What was probed.
    pub target: String,
    /// The address.
    pub address: String,
    /// The kind of probe.
    pub kind: &'static str,
    /// Time of day, UTC.
    pub at: String,
    /// What was seen, or why nothing was.
    pub saw: String,
    /// Where the time went: `connect 1 ms, tls 3 ms`; empty when nothing was reached.
    pub took: String,
    /// Whether it shows nothing wrong.
    pub good: bool,
}

impl Command {
    /// A command as it is shown.
    #[must_use]
    pub fn shown(command: &commands::Command) -> Self {
        let note = command.note.as_deref().map(|note| line(note, LONGEST));
        Self { line: line(&command.line, LONGEST), note }
    }
}

impl Section {
    /// A section with one block.
    #[must_use]
    pub fn of(title: &'static str, block: Block) -> Self {
        Self { title, blocks: vec![block] }
    }
}
