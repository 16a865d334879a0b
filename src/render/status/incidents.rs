//! Open incidents with their evidence, and those that are over.

use crate::judge::commands::{Command, Commands, guess};
use crate::judge::phrases::lasting;
use crate::judge::words;
use crate::model::incident::{Incident, Stage};
use crate::model::probe::ProbeKind;
use crate::model::rule::Level;
use crate::model::subject::{Name, Subject};
use crate::model::verdict::Finding;
use crate::render::document;
use crate::render::metrics::Page;
use crate::render::metrics::fresh::is_fresh;

use super::facts::{CommandLine, Ended, EvidenceLine, IncidentFacts, State};
use super::moment::{said, several, wall};
use super::probes::lines;

/// Probes and consequences shown of one incident.
const SHOWN: usize = 8;

/// The state of an incident of which everything has begun to recover.
pub(super) const RECOVERING: &str = "recovering";

/// Everything about an open incident.
pub(super) fn open(page: Page<'_>, incident: &Incident) -> IncidentFacts {
    let addresses = page.snapshot.inventory.addresses(incident.cluster.as_ref());
    let root = latest(page, incident, incident.root());
    let shown = latest(page, incident, &incident.headline);
    let what = |finding: &Finding| said(&finding.what(&addresses));
    let mut first = what(shown);
    if shown.path_unproven {
        first.push_str(
            " No reference target outside the cluster could be probed, so the network of vedette may be \
                        at fault as well.",
        );
    }
    let hosts = guess::in_snapshot(page.snapshot, incident.cluster.as_ref());
    let commands = Commands::new(&addresses, &hosts);
    let next = words::commands(root, &commands);
    IncidentFacts {
        id: said(&incident.id.0),
        cluster: incident.cluster.as_ref().map(ToString::to_string),
        severity: incident.level,
        rule: root.rule.to_string(),
        headline: headline(page, incident),
        opened: wall(incident.opened, page.now),
        course: course(page, incident),
        what: first,
        cause: incident.cause.as_ref().filter(|cause| cause.key() != incident.headline.key()).map(|_| what(root)),
        impact: said(&root.impact()),
        likely_cause: said(&root.likely_cause()),
        notified: notified(page, incident),
        notified_at: incident.told.last.map(|at| wall(at, page.now)),
        evidence: evidence(page, incident),
        beside: others(page, incident, false),
        follows: others(page, incident, true),
        place: said(&commands.place(&page.snapshot.inventory.vantage, &next)),
        next: of_kind(&next, false),
        fix: of_kind(&next, true),
    }
}

/// Commands that change something, or those that do not.
fn of_kind(commands: &[Command], changes: bool) -> Vec<CommandLine> {
    let shown = commands.iter().filter(|command| command.changes == changes).map(document::Command::shown);
    shown.map(|command| CommandLine { line: command.line, note: command.note }).collect()
}

/// Cluster and symptom.
pub(super) fn headline(page: Page<'_>, incident: &Incident) -> String {
    let place = incident.cluster.as_ref().map_or(page.snapshot.inventory.vantage.as_str(), Name::as_str);
    said(&format!("{place}: {}", incident.headline.headline()))
}

/// An incident that is over; `None` while it is open.
pub(super) fn ended(page: Page<'_>, incident: &Incident) -> Option<Ended> {
    let over = incident.over?;
    let how = if over.withdrawn { ", closed because it is no longer monitored" } else { "" };
    Some(Ended {
        headline: headline(page, incident),
        rule: incident.root().rule.to_string(),
        resolved: wall(over.at, page.now),
        lasted: format!("{}{how}", lasting(over.at.since(incident.opened))),
    })
}

/// The finding as the alarm holds it now: the incident's copy is renewed only when a mail is composed.
fn latest<'a>(page: Page<'a>, incident: &'a Incident, finding: &'a Finding) -> &'a Finding {
    let key = finding.key();
    let current = page.snapshot.alarms.iter().map(|alarm| &alarm.finding).find(|finding| finding.key() == key);
    let kept = incident.parts.iter().map(|part| &part.finding).find(|finding| finding.key() == key);
    current.or(kept).unwrap_or(finding)
}

/// Whether it goes on.
pub(super) fn course(page: Page<'_>, incident: &Incident) -> &'static str {
    let mut stages = page
        .snapshot
        .alarms
        .iter()
        .filter(|alarm| alarm.incident.as_ref() == Some(&incident.id))
        .map(|alarm| alarm.stage)
        .peekable();
    let is_vantage = incident.cluster.is_none();
    if page.snapshot.isolated_since.is_some() && !is_vantage {
        "unverified: vedette has no network"
    } else if stages.peek().is_some() && stages.all(|stage| matches!(stage, Stage::Clearing { .. })) {
        RECOVERING
    } else {
        "ongoing"
    }
}

fn notified(page: Page<'_>, incident: &Incident) -> String {
    let waiting = page.snapshot.backlog.waiting;
    let text = match incident.told.messages {
        _ if !page.snapshot.inventory.mails => "none: no mail is configured".to_owned(),
        0 => "none yet".to_owned(),
        count if waiting == 0 => format!("{} sent, accepted by the relay", several(count as usize, "mail")),
        count => format!("{} queued; {} not yet accepted by the relay", several(count as usize, "mail"), waiting),
    };
    let Some(silence_effect) = &incident.silenced else { return text };
    let silence = &silence_effect.silence;
    let until = wall(silence.until, page.now);
    let silence = format!("the silence of {} until {} ({})", silence.author, until.at, until.age);
    said(&match silence_effect.withheld {
        Some(_) => format!("{silence} suppresses some; {text}"),
        None => format!("despite {silence}; {text}"),
    })
}

fn evidence(page: Page<'_>, incident: &Incident) -> Vec<EvidenceLine> {
    let concerned = |subject: &Subject| incident.ongoing().any(|finding| is_about(finding, subject));
    let decides = |kind: ProbeKind| {
        matches!(kind, ProbeKind::Readyz | ProbeKind::EtcdStatus | ProbeKind::Reference | ProbeKind::Resolver)
    };
    let observations: Vec<_> = match &incident.cluster {
        Some(cluster) => page
            .snapshot
            .clusters
            .get(cluster)
            .iter()
            .flat_map(|cluster_snapshot| &cluster_snapshot.observations)
            .collect(),
        None => page.snapshot.vantage.iter().collect(),
    };
    let mut found: Vec<EvidenceLine> = observations
        .into_iter()
        .filter(|(probe, _)| decides(probe.kind) && (incident.cluster.is_none() || concerned(&probe.subject)))
        .filter(|(_, observation)| is_fresh(page, observation))
        .flat_map(|(_, observation)| lines(page, observation))
        .filter(|line| line.cell.state != State::Ok)
        .collect();
    // Of two probes of one kind, over a new and over the kept connection, the later one is shown.
    let age = |line: &EvidenceLine| line.cell.seen.as_ref().map_or(f64::MAX, |seen| seen.age_seconds);
    found.sort_by(|a, b| (&a.target, a.cell.probe).cmp(&(&b.target, b.cell.probe)).then(age(a).total_cmp(&age(b))));
    found.dedup_by(|a, b| a.target == b.target && a.cell.probe == b.cell.probe);
    found.truncate(SHOWN);
    found
}

/// Whether a probe at `subject` is evidence of `finding`.
fn is_about(finding: &Finding, subject: &Subject) -> bool {
    finding.evidence.shown().contains(&subject)
        || finding.subject == *subject
        || finding.subject.etcd().is_some() && finding.subject.etcd() == subject.etcd()
}

/// What names neither the incident nor its cause: what follows from something in it, or what does not.
fn others(page: Page<'_>, incident: &Incident, follows: bool) -> Vec<String> {
    let mut others: Vec<String> = incident
        .others(follows)
        .map(|part| {
            let finding = &part.finding;
            let dated = |at| {
                let at = wall(at, page.now);
                format!("{} ({})", at.at, at.age)
            };
            let state = part.over.map_or_else(|| "ongoing".to_owned(), |over| format!("resolved at {}", dated(over)));
            let words = finding.headline();
            said(&format!("{}: {words}; since {}, {state}", finding.rule, dated(finding.since)))
        })
        .collect();
    let more = others.len().saturating_sub(SHOWN);
    others.truncate(SHOWN);
    if more > 0 {
        others.push(format!("and {more} more"));
    }
    others
}

/// How an incident colours the page.
pub(super) const fn state(level: Level) -> State {
    match level {
        Level::Critical => State::Down,
        Level::Warning => State::Degraded,
        Level::Info => State::Ok,
    }
}
