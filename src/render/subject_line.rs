//! The subject line of a mail.
//!
//! Mail programs group by the subject without the brackets at its start (RFC 5256, section 2.1), so the base (cluster
//! and symptom) is constant for an incident, and everything that changes is in the brackets.

use std::time::Duration;

use crate::judge::{phrases, words};
use crate::model::certificate_evidence::Ending;
use crate::model::incident::{Incident, Part};
use crate::model::message::Message;
use crate::model::reason::MessageReason;
use crate::model::rule::{Level, RuleId};
use crate::model::time::UnixTime;
use crate::model::verdict::{ExpiryThreshold, Finding};

use super::harmless;

/// RFC 5322 section 2.1.1: lines should not be longer. The word `Subject: ` is not counted, as mail programs show it
/// apart.
pub const LONGEST: usize = 78;

/// Longest base: leaves room for the longest bracket that must be shown, `[STILL CRITICAL 23h] `.
pub const LONGEST_BASE: usize = 54;

/// A longer name of a cluster keeps at least this much.
const SHORTEST_PLACE: usize = 12;

/// The whole subject line.
#[must_use]
pub fn subject(message: &Message) -> String {
    let base = base(message);
    let room = LONGEST - base.len() - "[] ".len();
    let bracket = brackets(message).into_iter().find(|bracket| bracket.len() <= room);
    format!("[{}] {base}", bracket.unwrap_or_else(|| status(message)))
}

/// What may be in the brackets, the most informative first.
fn brackets(message: &Message) -> Vec<String> {
    let (status, level) = (status(message), level_word(message.level));
    let besides: Vec<String> = beside(message).into_iter().chain([String::new()]).collect();
    let of_news = (message.reason == MessageReason::CauseFound).then_some(level);
    let mut brackets = Vec::new();
    for cause in cause(message).into_iter().flatten() {
        for status in [status.as_str()].into_iter().chain(of_news) {
            brackets.extend(besides.iter().map(|beside| format!("{status}; cause: {cause}{beside}")));
        }
    }
    let more = match message.reason {
        MessageReason::Remains => ", cause resolved",
        MessageReason::HappenedWhileMute => ", late notice",
        MessageReason::Resolved if message.incident.over.is_some_and(|over| over.withdrawn) => ", no longer monitored",
        MessageReason::First
        | MessageReason::Escalated
        | MessageReason::CauseFound
        | MessageReason::CulpritFound
        | MessageReason::Repeated
        | MessageReason::Resolved
        | MessageReason::Drill => "",
    };
    for more in [more, ""] {
        brackets.extend(besides.iter().map(|beside| format!("{status}{more}{beside}")));
    }
    brackets
}

/// Findings at the same time that are not consequences of it, longest form first.
fn beside(message: &Message) -> Vec<String> {
    let is_said = match message.reason {
        MessageReason::First
        | MessageReason::Escalated
        | MessageReason::CauseFound
        | MessageReason::CulpritFound
        | MessageReason::Repeated
        | MessageReason::Remains => true,
        MessageReason::Resolved | MessageReason::HappenedWhileMute | MessageReason::Drill => false,
    };
    let stands = |part: &&Part| is_said && part.over.is_none() && part.finding.level > Level::Info;
    let mut rules: Vec<RuleId> = message.incident.others(false).filter(stands).map(|part| part.finding.rule).collect();
    let number = rules.len();
    rules.dedup();
    match rules.as_slice() {
        [] => Vec::new(),
        [rule] => {
            vec![format!("; also: {}", words::of(*rule).in_short), format!("; also {rule}"), format!("; +{number}")]
        }
        _ => vec![format!("; also {number} others"), format!("; +{number}")],
    }
}

/// The subject without brackets: depends on where the incident is and what its thread is named after, on nothing else.
#[must_use]
pub fn base(message: &Message) -> String {
    let incident = &message.incident;
    let headline = ascii(&incident.headline.headline());
    let place = match &incident.cluster {
        Some(cluster) => cluster.as_str().to_owned(),
        None => ascii(&message.vantage),
    };
    let place = if place.is_empty() { "vantage".to_owned() } else { place };
    let headline = phrases::fit(&headline, LONGEST_BASE - place.len().min(SHORTEST_PLACE) - ": ".len());
    let place = phrases::fit(&place, LONGEST_BASE - ": ".len() - headline.len());
    format!("{place}: {headline}")
}

/// What is in the brackets before any cause.
fn status(message: &Message) -> String {
    let level = level_word(message.level);
    let incident = &message.incident;
    let age = |until: UnixTime| compact(until.since(incident.opened));
    match message.reason {
        MessageReason::First | MessageReason::Escalated | MessageReason::CauseFound | MessageReason::CulpritFound => {
            match ending(incident, message.composed) {
                Some(ending) => format!("{level}: {ending}"),
                None => level.to_owned(),
            }
        }
        MessageReason::Repeated => format!("STILL {level} {}", age(message.composed)),
        MessageReason::Remains => format!("STILL {level} {}", age(message.composed)),
        MessageReason::Resolved => {
            let word = if incident.over.is_some_and(|over| over.withdrawn) { "CLOSED" } else { "RESOLVED" };
            format!("{word} {}", compact(message.lasted().unwrap_or_default()))
        }
        MessageReason::HappenedWhileMute => format!("RESOLVED {}", compact(message.lasted().unwrap_or_default())),
        MessageReason::Drill => "DRILL".into(),
    }
}

/// How far a certificate is from its end, for incidents that are about one.
fn ending(incident: &Incident, now: UnixTime) -> Option<String> {
    let latest = latest(incident, &incident.headline);
    let Ending { not_after, band, .. } = latest.evidence.certificates()?.ending()?;
    Some(match band {
        ExpiryThreshold::Expired => "EXPIRED".into(),
        ExpiryThreshold::Notice | ExpiryThreshold::Warning | ExpiryThreshold::Urgent | ExpiryThreshold::Page => {
            format!("{} left", compact(not_after.since(now)))
        }
    })
}

/// The latest evaluation of `finding`: the headline keeps what was seen first, the parts what was seen last.
pub(super) fn latest<'a>(incident: &'a Incident, finding: &'a Finding) -> &'a Finding {
    incident
        .parts
        .iter()
        .map(|part| &part.finding)
        .find(|part| part.rule == finding.rule && part.subject == finding.subject)
        .unwrap_or(finding)
}

/// The root cause, longest form first.
fn cause(message: &Message) -> Option<[String; 2]> {
    let cause = message.incident.cause.as_ref()?;
    if cause.key() == message.incident.headline.key() || message.reason == MessageReason::Drill {
        return None;
    }
    Some([words::of(cause.rule).in_short.to_owned(), cause.rule.as_str().to_owned()])
}

/// The word people filter by.
pub(super) const fn level_word(level: Level) -> &'static str {
    match level {
        Level::Info => "INFO",
        Level::Warning => "WARNING",
        Level::Critical => "CRITICAL",
    }
}

/// One unit, rounded down: `45s`, `14m`, `4h`, `3d`.
#[must_use]
pub fn compact(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

/// Printable ASCII without brackets: nothing to encode, and nothing that a mail program could strip as a bracket.
fn ascii(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| match c {
            '[' => '(',
            ']' => ')',
            ' '..='~' => c,
            _ if c.is_control() => ' ',
            _ => '?',
        })
        .collect();
    harmless::line(&plain, harmless::LONGEST)
}
