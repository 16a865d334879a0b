//! The parts of a document that show what was seen: the table of looks, the facts of a certificate.

use std::time::Duration;

use crate::judge::{phrases, words};
use crate::model::message::{LookLine, Message};
use crate::model::phase::{Phase, Phases};
use crate::model::probe::ProbeKind;
use crate::model::time::UnixTime;
use crate::model::verdict::{Anchor, Evidence, Finding, Untrusted};

use super::document::{Block, Look, Section};
use super::harmless::{LONGEST, line};

/// Lines of evidence shown: two screens on a phone.
const SHOWN: usize = 24;

/// Longest text in one cell.
const CELL: usize = 160;

/// The table of looks; `None` when the message carries none.
pub(super) fn looks(message: &Message) -> Option<Section> {
    if message.looks.is_empty() {
        return None;
    }
    let mut blocks = vec![Block::Looks(message.looks.iter().take(SHOWN).map(look).collect())];
    if message.looks.len() > SHOWN {
        blocks.push(Block::Text(format!("and {} more looks", message.looks.len() - SHOWN)));
    }
    Some(Section { title: "What was seen last", blocks })
}

fn look(seen: &LookLine) -> Look {
    let at = seen.at.to_string();
    let (answered, saw) = match &seen.outcome {
        Ok(summary) => (true, summary.clone()),
        Err(unseen) => (false, unseen.to_string()),
    };
    Look {
        target: line(seen.probe.subject.short(), 63),
        address: line(&seen.address, CELL),
        kind: kind(seen.probe.kind),
        at: line(at.split_once('T').map_or(at.as_str(), |(_, time)| time), CELL),
        saw: line(&saw, CELL),
        took: took(&seen.phases),
        answered,
    }
}

/// The kind of look as a person says it.
pub(super) const fn kind(kind: ProbeKind) -> &'static str {
    match kind {
        ProbeKind::Readyz => "readyz",
        ProbeKind::Livez => "livez",
        ProbeKind::Version => "version",
        ProbeKind::EtcdStatus => "status",
        ProbeKind::EtcdRead => "read",
        ProbeKind::EtcdAlarms => "alarms",
        ProbeKind::EtcdMembers => "members",
        ProbeKind::EtcdHealth => "health",
        ProbeKind::EtcdMetrics => "metrics",
        ProbeKind::Chain => "certificate",
        ProbeKind::Addresses => "addresses",
        ProbeKind::Tripwire => "open conn.",
        ProbeKind::Reference => "connect",
        ProbeKind::Resolver => "DNS",
        ProbeKind::OwnClock => "clock",
        ProbeKind::Files => "files",
    }
}

fn took(phases: &Phases) -> String {
    let reached: Vec<String> =
        phases.reached().map(|(phase, spent)| format!("{} {}", phase_word(phase), short(spent))).collect();
    reached.join(", ")
}

const fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Resolve => "dns",
        Phase::Dial => "dial",
        Phase::Tls => "tls",
        Phase::FirstByte => "answer",
        Phase::Body => "body",
        Phase::Idle => "idle",
    }
}

/// A phase's time: under 10 ms with one decimal, since that is where loopback and far away differ.
fn short(spent: Duration) -> String {
    if spent < Duration::from_millis(10) {
        let tenths = spent.as_micros() / 100;
        format!("{}.{} ms", tenths / 10, tenths % 10)
    } else {
        phrases::lasting(spent)
    }
}

/// Everything about the certificate that an incident is about.
pub(super) fn certificate(message: &Message, root: &Finding) -> Option<Section> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all other evidence is about no certificate")]
    let (fingerprint, holder, issuer, not_after, places, stored, more) = match &root.evidence {
        Evidence::Expiry { fingerprint, holder, issuer, not_after, places, stored, .. } => {
            (fingerprint, holder, issuer, not_after, places.as_slice(), stored, 0)
        }
        Evidence::Stored { fingerprint, holder, issuer, not_after, paths, more, .. } => {
            (fingerprint, holder, issuer, not_after, &[][..], paths, *more)
        }
        Evidence::Stale { served, stored, path, served_ends, stored_ends, .. } => {
            let facts = vec![
                ("Served", served.to_string()),
                ("It ends", moment(*served_ends, message.composed)),
                ("On disk", stored.to_string()),
                ("It ends", moment(*stored_ends, message.composed)),
                ("File", line(path, LONGEST)),
            ];
            return Some(Section { title: "The two certificates", blocks: vec![Block::Facts(facts)] });
        }
        Evidence::Untrusted { parts, trusted } => {
            let facts = parts.iter().flat_map(|part| untrusted(message, part));
            let mut blocks = vec![Block::Facts(facts.collect())];
            let known = |known: &Anchor| line(&format!("{} ({})", known.holder, known.fingerprint), LONGEST);
            blocks.extend(listed("Trusted by the configuration:", trusted.iter().map(known).collect(), 0));
            return Some(Section { title: "The certificates", blocks });
        }
        _ => return None,
    };
    let mut facts = vec![
        ("Holder", line(holder, LONGEST)),
        ("Issuer", line(issuer, LONGEST)),
        ("Ends", moment(*not_after, message.composed)),
        ("SHA-256", fingerprint.to_string()),
    ];
    facts.extend(words::of(root.rule).renewed_by(root).map(|who| ("Renewed by", who.to_owned())));
    let mut blocks = vec![Block::Facts(facts)];
    let at: Vec<String> = places
        .iter()
        .map(|place| match message.addresses.get(place).filter(|address| !address.is_empty()) {
            Some(address) => line(&format!("{place} at {address}"), LONGEST),
            None => place.to_string(),
        })
        .collect();
    blocks.extend(listed("Served at:", at, 0));
    blocks.extend(listed("On disk:", stored.iter().map(|path| line(path, LONGEST)).collect(), more));
    Some(Section { title: "The certificate", blocks })
}

fn untrusted(message: &Message, part: &Untrusted) -> [(&'static str, String); 6] {
    let address = message.addresses.get(&part.place).filter(|address| !address.is_empty());
    let place = address.map_or_else(|| part.place.to_string(), |address| format!("{} at {address}", part.place));
    [
        ("Served at", line(&place, LONGEST)),
        ("Expected", line(&part.expected, LONGEST)),
        ("Holder", line(&part.holder, LONGEST)),
        ("Issuer", line(&part.issuer, LONGEST)),
        ("Names", line(&phrases::list(&part.names), LONGEST)),
        ("SHA-256", part.fingerprint.to_string()),
    ]
}

/// Places under a heading, as far as they fit.
fn listed(heading: &str, mut places: Vec<String>, beyond: usize) -> Vec<Block> {
    if places.is_empty() {
        return Vec::new();
    }
    let more = places.len().saturating_sub(SHOWN) + beyond;
    places.truncate(SHOWN);
    let mut blocks = vec![Block::Text(heading.into()), Block::Items(places)];
    if more > 0 {
        blocks.push(Block::Text(format!("and {more} more places")));
    }
    blocks
}

/// An instant and how far it is from the writing of the message.
pub(super) fn moment(at: UnixTime, composed: UnixTime) -> String {
    if at.is_endless() {
        "no end".to_owned()
    } else if at > composed {
        format!("{at} (in {})", phrases::lasting(at.since(composed)))
    } else {
        format!("{at} ({} before this mail)", phrases::lasting(composed.since(at)))
    }
}
