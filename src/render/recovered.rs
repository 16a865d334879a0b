//! The present state in the mail of a resolved incident: which subjects are good again since when, and which
//! certificate took the place of the old one.

use std::collections::BTreeMap;

use crate::judge::phrases;
use crate::model::certificate::Fingerprint;
use crate::model::message::Message;
use crate::model::place::Place;
use crate::model::replacement::Replacement;
use crate::model::subject::Subject;
use crate::model::time::UnixTime;
use crate::model::verdict::Finding;

use super::document::{Block, Section};
use super::evidence::{listed, moment};
use super::harmless::{LONGEST, line};

/// Subjects listed one by one; the rest is counted.
const LISTED: usize = 12;

/// One line for each subject that is good again; empty where nothing has recovered.
pub(super) fn recovered(message: &Message) -> Vec<String> {
    let Some(_) = message.incident.over.filter(|over| !over.withdrawn) else { return Vec::new() };
    let mut since: BTreeMap<String, UnixTime> = BTreeMap::new();
    let mut order = Vec::new();
    for part in &message.incident.parts {
        let Some(at) = part.over else { continue };
        // Those that recovered before the last of them are named by the first evidence alone.
        let first = &message.incident.headline;
        let first = (first.key() == part.finding.key()).then_some(first);
        for named in first.into_iter().chain([&part.finding]).flat_map(|finding| named(message, finding)) {
            let known = since.entry(named.clone()).or_insert_with(|| {
                order.push(named);
                at
            });
            *known = at.max(*known);
        }
    }
    let more = order.len().saturating_sub(LISTED);
    let mut lines: Vec<String> = order
        .into_iter()
        .take(LISTED)
        .filter_map(|named| since.get(&named).map(|at| line(&format!("{named}: good since {at}"), LONGEST)))
        .collect();
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

/// What a finding was about, as a person says it. What is not configured any more has not recovered.
fn named(message: &Message, finding: &Finding) -> Vec<String> {
    if let Some(path) = finding.evidence.file() {
        return vec![path.to_owned()];
    }
    let is_configured = |subject: &Subject| !subject.is_endpoint() || message.addresses.contains_key(subject);
    let concerned = finding.concerned().into_iter().filter(is_configured);
    concerned.map(|subject| phrases::place(&subject, &message.addresses)).collect()
}

/// The certificates that are seen now where the old ones were; `None` where nothing is known of any.
pub(super) fn certificates(message: &Message, root: &Finding) -> Option<Section> {
    let mut alike: BTreeMap<(Fingerprint, Fingerprint), Vec<&Replacement>> = BTreeMap::new();
    for replacement in &message.replacements {
        alike.entry((replacement.fingerprint, replacement.was)).or_default().push(replacement);
    }
    if alike.is_empty() {
        return None;
    }
    let title = match (alike.len(), message.replacements.iter().all(Replacement::is_unchanged)) {
        (1, false) => "The new certificate",
        (_, false) => "The new certificates",
        (_, true) => "The certificate, unchanged",
    };
    let blocks = alike.values().flat_map(|alike| certificate(message, root, alike)).collect();
    Some(Section { title, blocks })
}

fn certificate(message: &Message, root: &Finding, alike: &[&Replacement]) -> Vec<Block> {
    let Some(new) = alike.first() else { return Vec::new() };
    let mut facts = vec![
        ("Subject", line(&new.subject, LONGEST)),
        ("Expires", moment(new.not_after, message.composed)),
        ("SHA-256", new.fingerprint.short()),
    ];
    if !new.is_unchanged() {
        let ending = match root.evidence.certificates().and_then(|known| known.end_of(new.was)) {
            Some(at) if at <= message.composed => format!(", expired at {at}"),
            Some(at) => format!(", which {}", at.ending()),
            None => String::new(),
        };
        facts.push(("Replaces", format!("{}{ending}", new.was.short())));
    }
    let mut blocks = vec![Block::Facts(facts)];
    let place = |replacement: &&Replacement| match &replacement.place {
        Place::Endpoint { subject, .. } => (Some(phrases::place(subject, &message.addresses)), None),
        stored @ (Place::File { .. } | Place::Object { .. } | Place::Host { .. }) => (None, Some(stored.words())),
    };
    let (served, files): (Vec<_>, Vec<_>) = alike.iter().map(place).unzip();
    let shown = |places: Vec<Option<String>>| places.into_iter().flatten().map(|text| line(&text, LONGEST)).collect();
    blocks.extend(listed("Served at:", shown(served), 0));
    blocks.extend(listed("On disk:", shown(files), 0));
    blocks
}
