//! The parts of a document that show what was seen: the table of probes, the facts of a certificate.

use std::time::Duration;

use crate::judge::phrases;
use crate::judge::words::{self, Shows};
use crate::model::certificate_evidence::CertificateEvidence;
use crate::model::message::{Message, ProbeLine};
use crate::model::phase::Phases;
use crate::model::probe::ProbeKind;
use crate::model::time::UnixTime;
use crate::model::verdict::{Anchor, Finding, Untrusted};

use super::document::{Block, ProbeRow, Section};
use super::harmless::{LONGEST, line};

/// Probes shown: more bury what they are to prove.
const PROBES: usize = 6;

/// Places of a certificate shown: two screens on a phone.
const SHOWN: usize = 24;

/// Longest text in one cell.
const CELL: usize = 160;

/// The latest probes of what the finding is about, what failed before what did not; `None` where there are none.
pub(super) fn probes(message: &Message, root: &Finding) -> Option<Section> {
    let mut concerned: Vec<&ProbeLine> = message.probes.iter().filter(|seen| concerns(root, seen)).collect();
    if concerned.is_empty() {
        return None;
    }
    let more = concerned.len().saturating_sub(PROBES);
    if more > 0 {
        concerned.sort_by_key(|seen| seen.is_good());
        concerned.truncate(PROBES);
        concerned.sort_by(|a, b| (&a.probe.subject, a.probe.kind).cmp(&(&b.probe.subject, b.probe.kind)));
    }
    let mut blocks = vec![Block::Probes(concerned.into_iter().map(probe_row).collect())];
    if more > 0 {
        blocks.push(Block::Text(format!("and {more} more probes: vedette status")));
    }
    Some(Section { title: "Latest probe results", blocks })
}

/// Whether a probe is evidence for the finding: those of etcd show nothing about an apiserver, and those of answers
/// nothing about a certificate.
fn concerns(root: &Finding, seen: &ProbeLine) -> bool {
    let of_etcd = seen.probe.subject.is_of_etcd();
    match words::of(root.rule).shows {
        Shows::All => true,
        Shows::Etcd => of_etcd,
        Shows::Apiservers => !of_etcd || !seen.is_good(),
        Shows::Failed => !seen.is_good(),
        Shows::Files => seen.probe.kind == ProbeKind::Files,
        Shows::Nothing => false,
    }
}

fn probe_row(seen: &ProbeLine) -> ProbeRow {
    let at = seen.at.to_string();
    let saw = match &seen.outcome {
        Ok(summary) => summary.clone(),
        Err(unseen) => unseen.to_string(),
    };
    ProbeRow {
        target: line(seen.probe.subject.short(), 63),
        address: line(&seen.address, CELL),
        kind: kind(seen.probe.kind),
        at: line(at.split_once('T').map_or(at.as_str(), |(_, time)| time), CELL),
        saw: line(&saw, CELL),
        took: took(&seen.phases),
        good: seen.is_good(),
    }
}

/// The kind of probe as a person says it.
pub(super) const fn kind(kind: ProbeKind) -> &'static str {
    match kind {
        ProbeKind::Readyz => "GET /readyz",
        ProbeKind::Livez => "GET /livez",
        ProbeKind::Version => "GET /version",
        ProbeKind::EtcdStatus => "status",
        ProbeKind::EtcdRead => "linearizable read",
        ProbeKind::EtcdAlarms => "alarm list",
        ProbeKind::EtcdMembers => "member list",
        ProbeKind::EtcdHealth => "health",
        ProbeKind::EtcdMetrics => "metrics",
        ProbeKind::Chain => "TLS handshake",
        ProbeKind::Addresses => "addresses",
        ProbeKind::Tripwire => "kept connection",
        ProbeKind::Reference => "connect",
        ProbeKind::Resolver => "DNS",
        ProbeKind::OwnClock => "clock",
        ProbeKind::Files => "files",
        ProbeKind::PriorityLevels => "priority levels",
        ProbeKind::RequestDump => "requests",
        ProbeKind::ApiserverMetrics => "metrics",
        ProbeKind::LeaseWrite => "write of a Lease",
        ProbeKind::LeaseRead => "cached read",
        ProbeKind::CreateConfigMap => "create a ConfigMap",
        ProbeKind::CreatePod => "create a Pod",
        ProbeKind::AccessReview => "access review",
        ProbeKind::SecretRead => "read of a Secret",
        ProbeKind::Statusz => "GET /statusz",
        ProbeKind::Flagz => "GET /flagz",
    }
}

fn took(phases: &Phases) -> String {
    let reached: Vec<String> =
        phases.reached().map(|(phase, spent)| format!("{} {}", phase.as_str(), short(spent))).collect();
    reached.join(", ")
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
    let (ending, places, stored, more) = match root.evidence.certificates()? {
        CertificateEvidence::Served { ending, places, files, .. } => (ending, places, files, 0),
        CertificateEvidence::Filed { ending, files, more, .. } => (ending, &[][..], files, more),
        CertificateEvidence::Outdated { served, served_ends, stored, stored_ends, file } => {
            let facts = vec![
                ("Served", format!("{served}, expires {}", moment(served_ends, message.composed))),
                ("On disk", format!("{stored}, expires {}", moment(stored_ends, message.composed))),
                ("File", line(file, LONGEST)),
            ];
            return Some(Section { title: "The two certificates", blocks: vec![Block::Facts(facts)] });
        }
        CertificateEvidence::Untrusted { parts, trusted } => {
            let facts = parts.iter().flat_map(|part| untrusted(message, part));
            let mut blocks = vec![Block::Facts(facts.collect())];
            let known = |known: &Anchor| line(&format!("{} ({})", known.holder, known.fingerprint), LONGEST);
            blocks.extend(listed("Trusted by the configuration:", trusted.iter().map(known).collect(), 0));
            return Some(Section { title: "The certificates", blocks });
        }
    };
    let mut facts = vec![
        ("Subject", line(ending.holder, LONGEST)),
        ("Issuer", line(ending.issuer, LONGEST)),
        ("Expires", moment(ending.not_after, message.composed)),
        ("SHA-256", ending.fingerprint.to_string()),
    ];
    facts.extend(root.renewed_by().map(|who| ("Renewed by", who.to_owned())));
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
        ("Subject", line(&part.holder, LONGEST)),
        ("Issuer", line(&part.issuer, LONGEST)),
        ("Names", line(&phrases::list(&part.names), LONGEST)),
        ("SHA-256", part.fingerprint.to_string()),
    ]
}

/// Places under a heading, as far as they fit.
pub(super) fn listed(heading: &str, mut places: Vec<String>, beyond: usize) -> Vec<Block> {
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
        "never".to_owned()
    } else if at > composed {
        format!("{at} (in {})", phrases::lasting(at.since(composed)))
    } else {
        format!("{at} ({} before this mail)", phrases::lasting(composed.since(at)))
    }
}
