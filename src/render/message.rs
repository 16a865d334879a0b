//! A [`Message`] becomes a [`Document`]: which words, in which order.
//!
//! The order answers the questions of a person woken at 3 am: what, since when, what it means, how we know, why, what
//! next, what else. Knows nothing of mail formats, and takes every fact from the message itself, so that a message
//! sent again reads the same.

use crate::judge::commands::Commands;
use crate::judge::phrases;
use crate::judge::words;
use crate::model::command::Object;
use crate::model::delivery::Attempt;
use crate::model::incident::Part;
use crate::model::message::{Caveat, Message};
use crate::model::reason::MessageReason;
use crate::model::recipient::Rejection;
use crate::model::recurrence::Before;
use crate::model::rule::Level;
use crate::model::verdict::Finding;

use super::document::{Block, Command, Document, Section, Tone};
use super::evidence;
use super::harmless::{LONGEST, line, verbatim};
use super::local;
use super::recovered;
use super::silence_note;
use super::subject_line::{self, latest, level_word};
use super::unreachable_site;

/// Findings described one by one; the rest is counted.
const DESCRIBED: usize = 12;

/// Release that made the message.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Refused recipients that one mail names.
const REJECTED: usize = 10;

/// The document for one attempt.
#[must_use]
pub fn document(attempt: &Attempt) -> Document {
    let message = &attempt.message;
    let is_over = is_over(message);
    let root = latest(&message.incident, message.incident.root());

    let is_silent = !is_over && unreachable_site::is_silent(message, root);

    let mut sections = vec![opening(message, is_silent)];
    if message.reason != MessageReason::Resolved {
        let title = if is_over { "What it meant" } else { "Impact" };
        let impact = if is_silent { unreachable_site::IMPACT.to_owned() } else { root.impact() };
        sections.push(Section::of(title, text(&impact)));
        sections.push(Section::of("Likely cause", text(&root.likely_cause())));
    }
    if !is_over {
        sections.extend(next(message, root, is_silent));
    }
    sections.extend(evidence::probes(message, root));
    let renewed = recovered::certificates(message, root);
    sections.extend(renewed.or_else(|| evidence::certificate(message, root)));
    sections.extend(beside(message));
    sections.extend(folded(message));
    sections.push(about(attempt));

    let document = Document {
        subject: subject_line::subject(message),
        id: message.id.clone(),
        thread: message.thread.clone(),
        headers: headers(message),
        tone: tone(message),
        badge: badge(message),
        place: incident_place(message),
        heading: subject_line::base(message),
        preheader: line(&preheader(message, root), PREHEADER),
        sections,
    };
    local::document(document, message.time_zone.as_ref())
}

/// What, since when, still true or not.
fn opening(message: &Message, is_silent: bool) -> Section {
    let incident = &message.incident;
    let what = |finding: &Finding| line(&finding.what(&message.addresses), LONGEST);
    let headline = latest(incident, &incident.headline);

    let mut blocks: Vec<Block> = lead(message).into_iter().map(|lead| Block::Strong(line(&lead, LONGEST))).collect();
    if message.reason == MessageReason::Remains {
        let ongoing: Vec<String> = incident.ongoing().take(DESCRIBED).map(what).collect();
        blocks.push(Block::Items(ongoing));
    } else if is_over(message) {
        let recovered = recovered::recovered(message);
        if !recovered.is_empty() {
            blocks.push(Block::Items(recovered));
        }
        let (said, items) = described(message, headline);
        blocks.push(text(&format!("What it was: {said}")));
        blocks.extend(items);
    } else {
        let (said, items) = described(message, headline);
        blocks.push(if blocks.is_empty() { Block::Strong(said) } else { Block::Text(said) });
        blocks.extend(items);
    }
    if is_silent {
        blocks.push(Block::Strong(line(&unreachable_site::sentence(message), LONGEST)));
    }
    if let Some(cause) = incident.cause.as_ref().filter(|cause| cause.key() != incident.headline.key()) {
        blocks.push(text(&format!("Root cause: {}", what(latest(incident, cause)))));
    }
    if headline.path_unproven {
        blocks.push(text(
            "No reference target outside the cluster could be probed at that time, so the network of vedette may be at fault as well.",
        ));
    }
    blocks.extend(silence_note::sentence(message).map(|sentence| text(&sentence)));
    blocks.push(Block::Facts(times(message)));
    Section { title: "", blocks }
}

/// The text of a finding: a sentence, or an introduction and a list.
fn described(message: &Message, finding: &Finding) -> (String, Option<Block>) {
    match finding.listed(&message.addresses) {
        Some((introduction, items)) => {
            let items = items.iter().map(|item| line(item, LONGEST)).collect();
            (line(&introduction, LONGEST), Some(Block::Items(items)))
        }
        None => (line(&finding.what(&message.addresses), LONGEST), None),
    }
}

/// Why this message is sent now, where its content does not show it.
fn lead(message: &Message) -> Option<String> {
    let incident = &message.incident;
    let lasted = || phrases::lasting(message.lasted().unwrap_or_default());
    Some(match message.reason {
        MessageReason::First => return None,
        MessageReason::Escalated => format!("Escalated to {}.", level_word(message.level)),
        MessageReason::CauseFound => {
            format!("Root cause found: {}.", words::of(incident.root().rule).title)
        }
        MessageReason::CulpritFound => "The culprit is known now.".into(),
        MessageReason::Repeated => {
            format!("Still ongoing after {}.", phrases::lasting(message.composed.since(incident.opened)))
        }
        MessageReason::Remains => "The root cause is resolved, but not everything has recovered with it:".into(),
        MessageReason::Resolved if incident.over.is_some_and(|over| over.withdrawn) => {
            "Closed because it is no longer monitored. Nothing proves that it has recovered.".into()
        }
        MessageReason::Resolved => format!("Resolved after {}.", lasted()),
        MessageReason::HappenedWhileMute => {
            format!("Late notice: this began and was resolved after {}, while no mail could be sent.", lasted())
        }
        MessageReason::Drill => "This is a test mail on request. Nothing is wrong; what follows is a sample.".into(),
    })
}

/// Characters that mail programs show beside a subject, at most.
const PREHEADER: usize = 160;

/// What the list of mails is to show beside the subject: what was seen, and what it means.
fn preheader(message: &Message, root: &Finding) -> String {
    let incident = &message.incident;
    let headline = latest(incident, &incident.headline);
    match message.reason {
        MessageReason::Resolved | MessageReason::HappenedWhileMute | MessageReason::Drill => {
            lead(message).into_iter().chain(recovered::recovered(message)).collect::<Vec<_>>().join(" ")
        }
        MessageReason::First
        | MessageReason::Escalated
        | MessageReason::CauseFound
        | MessageReason::CulpritFound
        | MessageReason::Repeated
        | MessageReason::Remains => {
            let what = headline.what(&message.addresses);
            format!("{what} {}", root.impact())
        }
    }
}

/// The cluster, for the bar.
fn incident_place(message: &Message) -> Option<String> {
    message.incident.cluster.as_ref().map(|cluster| line(cluster.as_str(), 63))
}

fn times(message: &Message) -> Vec<(&'static str, String)> {
    let incident = &message.incident;
    let mut facts = vec![("Since", evidence::moment(incident.opened, message.composed))];
    match (incident.over, message.reason) {
        (Some(over), _) => facts.push(("Until", evidence::moment(over.at, message.composed))),
        (None, MessageReason::Drill) => {}
        (None, _) => facts.push(("Status", format!("ongoing at {}", message.composed))),
    }
    facts.push(("Where", line(&place(message), LONGEST)));
    facts.extend(message.before.as_ref().map(|before| ("Seen before", seen_before(before))));
    facts
}

/// When the like of it happened last, and how often lately: what comes again and again wants another cure.
fn seen_before(before: &Before) -> String {
    let often = if before.recent > 1 { format!("; {} times in 30 days", before.recent) } else { String::new() };
    format!("{} for {}{often}", before.opened, phrases::lasting(before.lasted))
}

fn place(message: &Message) -> String {
    let subject = &message.incident.headline.subject;
    match message.addresses.get(subject).filter(|address| !address.is_empty()) {
        Some(address) => format!("{} at {address}, probed from {}", phrases::full(subject), message.vantage),
        None if message.incident.cluster.is_some() => {
            format!("{}, probed from {}", phrases::full(subject), message.vantage)
        }
        None => message.vantage.clone(),
    }
}

/// What to run, and below it what changes something.
fn next(message: &Message, root: &Finding, is_silent: bool) -> Vec<Section> {
    let commands = Commands::new(&message.addresses, &message.hosts);
    let of_rule = words::commands(root, &commands);
    let place = commands.place(&message.vantage, &of_rule);
    let of_kind = |changes: bool| {
        of_rule.iter().filter(move |command| command.changes == changes).map(Command::shown).collect::<Vec<_>>()
    };
    let read: Vec<Command> =
        is_silent.then(|| unreachable_site::command(message)).into_iter().chain(of_kind(false)).collect();
    let mut sections = Vec::new();
    if !read.is_empty() {
        sections.push(Section { title: "Next", blocks: vec![text(&place), Block::Commands(read)] });
    }
    let change = of_kind(true);
    if !change.is_empty() {
        sections.push(Section::of("To fix", Block::Commands(change)));
    }
    let steps = root.evidence.steps(root);
    if !steps.is_empty() {
        let steps = steps.iter().map(|step| line(step, LONGEST)).collect();
        sections.push(Section::of("In this order", Block::Steps(steps)));
    }
    sections.extend(root.evidence.objects(root).iter().map(object));
    sections
}

/// An object to apply, its lines as they are: indented, it would be another one.
fn object(object: &Object) -> Section {
    let file = text(&format!("{}, as {}.yaml:", object.what, object.name));
    Section { title: "Object", blocks: vec![file, Block::Verbatim(object.yaml.lines().map(verbatim).collect())] }
}

/// Findings that began at the same time and are not consequences of it.
fn beside(message: &Message) -> Option<Section> {
    let items = lines(message.incident.others(false));
    (!items.is_empty()).then(|| Section::of("At the same time, unrelated", Block::Items(items)))
}

/// What follows from something in the incident.
fn folded(message: &Message) -> Option<Section> {
    let items = lines(message.incident.others(true));
    (!items.is_empty()).then(|| Section::of("Related, grouped here, no separate mail", Block::Items(items)))
}

/// A line for each part, the most severe first; the rest is counted.
fn lines<'a>(parts: impl Iterator<Item = &'a Part>) -> Vec<String> {
    let mut parts: Vec<&Part> = parts.collect();
    parts.sort_by_key(|part| (part.over.is_some(), std::cmp::Reverse(part.finding.level)));
    let mut items: Vec<String> = parts
        .iter()
        .take(DESCRIBED)
        .map(|part| {
            let finding = &part.finding;
            let state = part.over.map_or_else(|| "ongoing".to_owned(), |over| format!("resolved at {over}"));
            let headline = finding.headline();
            line(&format!("{}: {headline}; since {}, {state}", finding.rule, finding.since), LONGEST)
        })
        .collect();
    if parts.len() > DESCRIBED {
        items.push(format!("and {} more", parts.len() - DESCRIBED));
    }
    items
}

/// Why you got this, and what to know about the message itself.
fn about(attempt: &Attempt) -> Section {
    let message = &attempt.message;
    let incident = &message.incident;
    let rule = latest(incident, incident.root()).rule;
    let mut facts = vec![
        ("Rule", format!("{rule} {}", words::of(rule).title)),
        ("Details", line(&format!("vedette incidents {} (on {})", incident.id, message.vantage), LONGEST)),
    ];
    if let Some(cluster) = incident.cluster.as_ref().filter(|_| !is_over(message)) {
        let silence = format!("vedette silence {cluster} 2h --comment 'why' (on {})", message.vantage);
        facts.push(("Silence", line(&silence, LONGEST)));
    }
    facts.extend([
        ("Message", line(&message.id.to_string(), LONGEST)),
        ("Written", line(&format!("{} by vedette {VERSION} on {}", message.composed, message.vantage), LONGEST)),
        ("Why you", line(&format!("You are in mail.to of the configuration on {}.", message.vantage), LONGEST)),
    ]);
    let links: Vec<_> = message.links.all().map(|(name, link)| (name, line(link, LONGEST))).collect();
    let mut blocks = Vec::new();
    if !links.is_empty() {
        blocks.push(Block::Links(links));
    }
    blocks.push(Block::Facts(facts));
    if attempt.attempts > 0 {
        let failure = attempt.last_failure.as_ref().map(|failure| format!(" ({})", failure.text)).unwrap_or_default();
        blocks
            .push(text(&format!("Delayed: {} earlier attempts to send this mail failed{failure}.", attempt.attempts)));
    }
    blocks.extend(attempt.rejections.iter().take(REJECTED).map(|rejection| {
        let Rejection { recipient, text: said } = rejection;
        text(&format!(
            "The relay rejects {recipient} permanently and says: {said}. This recipient gets no mail from vedette until \
             the address or the relay is fixed; then try: vedette drill mail --to {recipient}"
        ))
    }));
    let more = attempt.rejections.len().saturating_sub(REJECTED);
    if more > 0 {
        blocks.push(text(&format!("It rejects {more} more recipients permanently; the status page names them.")));
    }
    for caveat in &message.caveats {
        blocks.push(text(match caveat {
            Caveat::NotStored => {
                "The database did not confirm in time: after a crash you may get this mail twice, or miss the resolved mail."
            }
            Caveat::StartedEmpty => "vedette could not read its database when it started: you may have had earlier mails about this.",
        }));
    }
    Section { title: "About this mail", blocks }
}

fn headers(message: &Message) -> Vec<(&'static str, String)> {
    let incident = &message.incident;
    let cluster = incident.cluster.as_ref().map_or(crate::model::subject::VANTAGE, |cluster| cluster.as_str());
    vec![
        ("X-Vedette-Cluster", cluster.to_owned()),
        ("X-Vedette-Rule", incident.headline.rule.to_string()),
        ("X-Vedette-Level", message.level.to_string()),
        ("X-Vedette-Reason", message.reason.as_str().to_owned()),
        ("X-Vedette-Incident", line(&incident.id.0, 128)),
    ]
}

const fn is_over(message: &Message) -> bool {
    matches!(message.reason, MessageReason::Resolved | MessageReason::HappenedWhileMute)
}

const fn tone(message: &Message) -> Tone {
    match (message.reason, message.level) {
        (MessageReason::Resolved | MessageReason::HappenedWhileMute, _) => Tone::Over,
        (MessageReason::Drill, _) | (_, Level::Info) => Tone::Neutral,
        (_, Level::Warning) => Tone::Warning,
        (_, Level::Critical) => Tone::Critical,
    }
}

fn badge(message: &Message) -> String {
    let after = || phrases::lasting(message.lasted().unwrap_or_default());
    match message.reason {
        MessageReason::Resolved if message.incident.over.is_some_and(|over| over.withdrawn) => "CLOSED".into(),
        MessageReason::Resolved => format!("RESOLVED after {}", after()),
        MessageReason::HappenedWhileMute => format!("RESOLVED after {}, late notice", after()),
        MessageReason::Drill => "DRILL: a test, nothing is wrong".into(),
        MessageReason::Repeated => format!("STILL {}", level_word(message.level)),
        MessageReason::Remains => format!("STILL {}", level_word(message.level)),
        MessageReason::First | MessageReason::Escalated | MessageReason::CauseFound | MessageReason::CulpritFound => {
            let headline = latest(&message.incident, &message.incident.headline);
            let expired = headline.band() == Some(crate::model::verdict::ExpiryThreshold::Expired);
            let ended = if expired { ", EXPIRED" } else { "" };
            format!("{}{ended}", level_word(message.level))
        }
    }
}

fn text(text: &str) -> Block {
    Block::Text(line(text, LONGEST))
}
