//! Incidents as people and scripts read them afterwards: one line each, or the whole story of one.

use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use serde::{Deserialize, Serialize};

use crate::judge::commands::{Commands, guess};
use crate::judge::phrases;
use crate::judge::words;
use crate::model::addresses::Addresses;
use crate::model::host_access::Hosts;
use crate::model::incident::Incident;
use crate::model::snapshot::Snapshot;
use crate::model::subject::VANTAGE;
use crate::model::time::UnixTime;

use super::document;
use super::harmless::{LONGEST, line};

/// One incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentReport {
    /// Its identity, as in the mails.
    pub id: String,
    /// The cluster, or the vantage.
    pub cluster: String,
    /// The highest severity it has reached.
    pub severity: String,
    /// Whether it is open.
    pub open: bool,
    /// The first bad probe, RFC 3339.
    pub since: String,
    /// The same in seconds since 1970.
    pub since_seconds: i64,
    /// The first good probe, RFC 3339.
    pub until: Option<String>,
    /// The same in seconds since 1970.
    pub until_seconds: Option<i64>,
    /// How long it lasted, or has lasted so far.
    pub duration_seconds: u64,
    /// Whether it ended because it is no longer watched.
    pub withdrawn: bool,
    /// The finding the thread is named after.
    pub headline: FindingEntry,
    /// The deepest cause, when it is another.
    pub cause: Option<FindingEntry>,
    /// Everything in it, in the order in which it began.
    pub parts: Vec<FindingEntry>,
    /// Mails written about it.
    pub messages: u32,
    /// When the last of them was written.
    pub last_message: Option<String>,
    /// The silence that withheld a mail, or in spite of which one was sent.
    pub silences: Option<SilenceReport>,
    /// What to run, while it is open and vedette runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Next>,
}

/// What to run, as in the mails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// Where and as whom.
    pub place: String,
    /// What only reads.
    pub read: Vec<Step>,
    /// What changes something.
    pub fix: Vec<Step>,
}

/// One line to copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The line for the shell.
    pub command: String,
    /// What to know about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One finding of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingEntry {
    /// Its rule.
    pub rule: String,
    /// What it is about.
    pub subject: String,
    /// Its level.
    pub severity: String,
    /// In a few words.
    pub title: String,
    /// What was seen.
    pub evidence: String,
    /// The same as a list, where it is several things of equal weight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<String>,
    /// Why, most likely.
    pub likely_cause: String,
    /// Since when.
    pub since: String,
    /// Until when; `None` while it is ongoing.
    pub until: Option<String>,
}

/// What a silence did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceReport {
    /// From when.
    pub since: String,
    /// Until when.
    pub until: String,
    /// Why.
    pub comment: String,
    /// Who asked for it.
    pub author: String,
    /// The mail that was withheld and never sent: `first`, `escalated` and so on.
    pub withheld: Option<String>,
}

/// The story of `incident` as of `now`.
#[must_use]
pub fn of(incident: &Incident, addresses: &Addresses, now: UnixTime) -> IncidentReport {
    let entry = |finding: &crate::model::verdict::Finding, over: Option<UnixTime>| FindingEntry {
        rule: finding.rule.to_string(),
        subject: finding.subject.to_string(),
        severity: finding.level.to_string(),
        title: line(&finding.headline(), LONGEST),
        evidence: line(&finding.what(addresses), LONGEST),
        items: finding
            .listed(addresses)
            .map(|(_, items)| items.iter().map(|item| line(item, LONGEST)).collect())
            .unwrap_or_default(),
        likely_cause: line(&finding.likely_cause(), LONGEST),
        since: finding.since.to_string(),
        until: over.map(|at| at.to_string()),
    };
    let ended = |key| {
        let part = incident.parts.iter().find(|part| part.finding.key() == key);
        part.and_then(|part| part.over)
    };
    let named = |finding: &crate::model::verdict::Finding| entry(finding, ended(finding.key()));
    let mut parts: Vec<_> = incident.parts.iter().collect();
    parts.sort_by_key(|part| part.finding.since);
    let over = incident.over.map(|over| over.at);
    IncidentReport {
        id: incident.id.to_string(),
        cluster: incident.cluster.as_ref().map_or_else(|| VANTAGE.to_owned(), ToString::to_string),
        severity: incident.level.to_string(),
        open: over.is_none(),
        since: incident.opened.to_string(),
        since_seconds: incident.opened.as_secs(),
        until: over.map(|at| at.to_string()),
        until_seconds: over.map(UnixTime::as_secs),
        duration_seconds: over.unwrap_or(now).since(incident.opened).as_secs(),
        withdrawn: incident.over.is_some_and(|over| over.withdrawn),
        headline: named(&incident.headline),
        cause: incident.cause.as_ref().filter(|cause| cause.key() != incident.headline.key()).map(named),
        parts: parts.into_iter().map(|part| entry(&part.finding, part.over)).collect(),
        messages: incident.told.messages,
        last_message: incident.told.last.map(|at| at.to_string()),
        silences: incident.silenced.as_ref().map(|silence_effect| SilenceReport {
            since: silence_effect.silence.since.to_string(),
            until: silence_effect.silence.until.to_string(),
            comment: line(&silence_effect.silence.comment, LONGEST),
            author: line(&silence_effect.silence.author, LONGEST),
            withheld: silence_effect.withheld.map(|reason| reason.as_str().to_owned()),
        }),
        next: None,
    }
}

/// Every incident of `snapshot` as of `now`, with what to run while it is open.
#[must_use]
pub fn all(snapshot: &Snapshot, now: UnixTime) -> Vec<IncidentReport> {
    let (inventory, addresses) = (&snapshot.inventory, snapshot.inventory.addresses_of_clusters());
    let told = |incident: &Incident| {
        let hosts = guess::in_snapshot(snapshot, incident.cluster.as_ref());
        IncidentReport { next: next(incident, &addresses, &hosts, &inventory.vantage), ..of(incident, &addresses, now) }
    };
    snapshot.incidents.iter().map(|incident| told(incident)).collect()
}

/// What to run about an open `incident`, seen from `vantage`; `None` once it is over.
pub(super) fn next(incident: &Incident, addresses: &Addresses, hosts: &Hosts, vantage: &str) -> Option<Next> {
    if incident.over.is_some() {
        return None;
    }
    let (root, commands) = (incident.root(), Commands::new(addresses, hosts));
    let all = words::commands(root, &commands);
    let of_kind = |changes: bool| {
        let shown = all.iter().filter(|command| command.changes == changes).map(document::Command::shown);
        shown.map(|command| Step { command: command.line, note: command.note }).collect()
    };
    Some(Next { place: commands.place(vantage, &all), read: of_kind(false), fix: of_kind(true) })
}

/// One line for each incident.
#[must_use]
pub fn table(reports: &[IncidentReport]) -> String {
    if reports.is_empty() {
        return "No incidents.\n".into();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["INCIDENT", "STATE", "SINCE", "LASTED", "SEVERITY", "CLUSTER", "RULE", "WHAT", "MAILS"]);
    for report in reports {
        let root = report.cause.as_ref().unwrap_or(&report.headline);
        table.add_row([
            report.id.clone(),
            state(report).to_owned(),
            report.since.clone(),
            lasted(report),
            report.severity.clone(),
            report.cluster.clone(),
            root.rule.clone(),
            root.title.clone(),
            mails(report),
        ]);
    }
    lines(table)
}

/// The whole story of one.
#[must_use]
pub fn text(report: &IncidentReport) -> String {
    let mut out = format!("incident {}: {}: {}\n\n", report.id, report.cluster, report.headline.title);
    let mut fact = |name: &str, value: &str| out.push_str(&format!("  {name:<13} {value}\n"));
    fact("state", state(report));
    fact("severity", &report.severity);
    fact("since", &report.since);
    if let Some(until) = &report.until {
        fact("until", until);
    }
    fact(if report.open { "lasts" } else { "lasted" }, &lasted(report));
    let root = report.cause.as_ref().unwrap_or(&report.headline);
    if let Some(cause) = &report.cause {
        fact("root cause", &format!("{}: {}", cause.rule, cause.title));
    }
    fact("likely cause", &root.likely_cause);
    match &report.last_message {
        Some(last) => fact("mails", &format!("{}, the last at {last}", report.messages)),
        None => fact("mails", "none"),
    }
    if let Some(silence_report) = &report.silences {
        fact(
            "silenced",
            &format!(
                "from {} to {} by {}: {}",
                silence_report.since, silence_report.until, silence_report.author, silence_report.comment
            ),
        );
    }
    out.push_str("\nFindings\n");
    for part in &report.parts {
        let until = part.until.as_ref().map_or_else(|| "ongoing".to_owned(), |until| format!("resolved at {until}"));
        let about = format!("{} {} ({})", part.rule, part.subject, part.severity);
        out.push_str(&format!("\n  {about}\n    since {}, {until}\n", part.since));
        if part.items.is_empty() {
            out.push_str(&format!("    {}\n", part.evidence));
        }
        part.items.iter().for_each(|item| out.push_str(&format!("    - {item}\n")));
    }
    if let Some(next) = &report.next {
        steps(&mut out, &format!("Next: {}", next.place), &next.read);
        steps(&mut out, "To fix:", &next.fix);
    }
    out
}

/// Lines as they can be copied, unbroken and each by itself.
fn steps(out: &mut String, title: &str, steps: &[Step]) {
    if steps.is_empty() {
        return;
    }
    out.push_str(&format!("\n{title}\n\n"));
    for Step { command, note } in steps {
        if let Some(note) = note {
            out.push_str(&format!("# {note}\n"));
        }
        out.push_str(&format!("{command}\n"));
    }
}

fn state(report: &IncidentReport) -> &'static str {
    match (report.open, report.withdrawn) {
        (true, _) => "open",
        (false, true) => "closed",
        (false, false) => "resolved",
    }
}

fn lasted(report: &IncidentReport) -> String {
    phrases::lasting(Duration::from_secs(report.duration_seconds))
}

/// Mails about it; an incident without any says whether a silence is the reason.
fn mails(report: &IncidentReport) -> String {
    match (report.messages, &report.silences) {
        (0, Some(_)) => "none (silenced)".into(),
        (number, _) => number.to_string(),
    }
}

/// A table's lines without the blanks at their ends.
pub(super) fn lines(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
