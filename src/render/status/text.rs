//! The page as text of at most 80 columns, commands to copy excepted: for `curl`, for `vedette status`, for a terminal
//! over SSH.
//!
//! States are words and one mark in front (`!` bad, `~` degraded, `?` unknown), no colours.

use super::facts::{
    Cell, CertificateFacts, ClusterLine, CommandLine, Detail, EvidenceLine, IncidentFacts, LevelLine, Load, Moment,
    Notice, SenderLine, State, Status,
};

use crate::model::zone::Zone;
use crate::render::local::times;

/// Columns of a line at most. Only commands, which must be copied whole, may be wider.
pub const WIDTH: usize = 80;

/// The page.
#[must_use]
pub fn text(status: &Status) -> String {
    let mut out = Sheet { text: String::new(), zone: status.time_zone.clone() };
    out.say("", &format!("{}: {}", status.state.as_str().to_uppercase(), status.headline));
    if let Some(since) = &status.since {
        out.say("  ", &format!("since {}", full(since)));
    }
    out.say("  ", &format!("probed from {} by vedette {}", status.vantage, status.version));
    let stale = if status.is_stale { ", STALLED" } else { "" };
    out.say("  ", &format!("data from {}{stale}", full(&status.snapshot)));
    let tally = status.tally;
    out.say(
        "  ",
        &format!(
            "clusters: {} down, {} degraded, {} unknown, {} ok; {} silenced",
            tally.down, tally.degraded, tally.unknown, tally.ok, tally.silenced
        ),
    );
    if !status.notices.is_empty() {
        out.title("notices");
        status.notices.iter().for_each(|notice| self::notice(&mut out, notice));
    }
    out.title("open incidents");
    if status.incidents.is_empty() {
        out.say("  ", if status.is_isolated { "unknown" } else { "none" });
    }
    status.incidents.iter().for_each(|incident| self::incident(&mut out, incident));
    status.more_incidents.iter().for_each(|line| out.say("  - ", line));
    clusters(&mut out, status);
    status.details.iter().for_each(|detail| self::detail(&mut out, detail));
    certificates(&mut out, status);
    gaps(&mut out, status);
    own(&mut out, status);
    out.text
}

fn notice(out: &mut Sheet, notice: &Notice) {
    out.say(&format!("{} ", mark(notice.state)), &format!("{}: {}", notice.kind, notice.text));
    for (word, moment) in [("since", &notice.since), ("until", &notice.until)] {
        if let Some(moment) = moment {
            out.say("    ", &format!("{word} {}", full(moment)));
        }
    }
    notice.lines.iter().for_each(|line| out.say("    ", line));
}

fn incident(out: &mut Sheet, incident: &IncidentFacts) {
    out.say("! ", &format!("{} {}", incident.severity.as_str().to_uppercase(), incident.headline));
    out.say("    ", &format!("since {}, {}", full(&incident.opened), incident.course));
    out.say("    ", &incident.what);
    if let Some(cause) = &incident.cause {
        out.say("    ", &format!("Root cause: {cause}"));
    }
    out.say("    ", &format!("Impact: {}", incident.impact));
    out.say("    ", &format!("Likely cause: {}", incident.likely_cause));
    let at = incident.notified_at.as_ref().map_or_else(String::new, |at| format!(", the last at {}", full(at)));
    out.say("    ", &format!("Notifications: {}{at}", incident.notified));
    incident.evidence.iter().for_each(|line| evidence(out, line));
    if !incident.beside.is_empty() {
        out.say("    ", "At the same time, unrelated:");
        incident.beside.iter().for_each(|line| out.say("    - ", line));
    }
    if !incident.follows.is_empty() {
        out.say("    ", "Related, grouped here:");
        incident.follows.iter().for_each(|line| out.say("    - ", line));
    }
    commands(out, &format!("Next: {}", incident.place), &incident.next);
    commands(out, "To fix:", &incident.fix);
    let place = incident.cluster.as_deref().unwrap_or("vantage");
    out.say("    ", &format!("(rule {}, incident {} of {place})", incident.rule, incident.id));
    out.blank();
}

fn commands(out: &mut Sheet, title: &str, commands: &[CommandLine]) {
    if !commands.is_empty() {
        out.say("    ", title);
    }
    for command in commands {
        if let Some(note) = &command.note {
            out.say("      # ", note);
        }
        out.whole("      ", &command.line);
    }
}

fn clusters(out: &mut Sheet, status: &Status) {
    let extent = &status.extent;
    let which = match &extent.only {
        Some(only) => format!("cluster {only} of {}", extent.clusters),
        None => format!("clusters, {} in all, page {} of {}", extent.clusters, extent.page, extent.pages),
    };
    out.title(&which);
    status.clusters.iter().for_each(|line| cluster(out, line));
}

fn cluster(out: &mut Sheet, line: &ClusterLine) {
    let muted = line.silenced.as_ref().map_or_else(String::new, |until| format!(", SILENCED until {}", full(until)));
    out.say(
        &format!("{} ", mark(line.state)),
        &format!("{}: {}{muted}: {}", line.name, line.state.as_str().to_uppercase(), line.why),
    );
    if let Some(since) = &line.since {
        out.say("    ", &format!("since {}", full(since)));
    }
    let seen = line.seen.as_ref().map_or_else(|| "not all probed yet".to_owned(), |seen| seen.age.clone());
    out.say("    ", &format!("apiservers {}; API VIP {}; etcd {}; {seen}", line.instances, line.vip, line.members));
}

fn detail(out: &mut Sheet, detail: &Detail) {
    out.title(&format!("{}: probes ({})", detail.cluster, detail.planned));
    for endpoint in &detail.endpoints {
        out.say("  ", &format!("{}  {}", endpoint.name, endpoint.address));
        endpoint.itself.iter().for_each(|itself| out.say("    ", itself));
        endpoint.cells.iter().for_each(|cell| self::cell(out, "    ", cell));
    }
    for member in &detail.members {
        let told: Vec<&str> = [&member.role, &member.version, &member.raft]
            .into_iter()
            .map(String::as_str)
            .filter(|text| !text.is_empty())
            .collect();
        out.say("  ", &format!("etcd {}  {}  {}", member.name, member.address, told.join(", ")));
        if let Some(backend) = &member.backend {
            out.say(&format!("  {} ", mark(backend.state)), &format!("database {}, {}", backend.text, backend.tier));
        }
        member.alarms.iter().for_each(|alarm| out.say("  ! ", &format!("alarm {alarm}")));
        member.cells.iter().for_each(|cell| self::cell(out, "    ", cell));
    }
    for endpoint in &detail.canaries {
        out.say("  ", &format!("canaries through {}", endpoint.name));
        endpoint.cells.iter().for_each(|cell| self::cell(out, "    ", cell));
    }
    detail.load.iter().for_each(|load| self::load(out, load));
}

fn load(out: &mut Sheet, load: &Load) {
    let seen = |seen: &Option<Moment>| seen.as_ref().map_or_else(|| "not seen".to_owned(), |at| at.age.clone());
    if let Some(since) = &load.suspected_since {
        out.say("  ~ ", &format!("an overload is suspected since {}", full(since)));
    }
    let busy = load.levels.iter().filter(|level| level.executing + level.waiting > 0);
    let busy: Vec<String> = busy
        .map(|LevelLine { level, executing, waiting }| format!("{level} {executing} under way, {waiting} waiting"))
        .collect();
    let busy = if busy.is_empty() { "nothing under way".to_owned() } else { busy.join("; ") };
    out.hang("  ", "    ", &format!("priority levels, {}: {busy}", seen(&load.levels_seen)));
    out.hang("  ", "    ", &format!("largest senders, {}:", seen(&load.senders_seen)));
    for SenderLine { user, asks, level, share, usual, executing, waiting } in &load.senders {
        let text =
            format!("{share} (usually {usual}) {user}: {asks}, {executing} under way, {waiting} waiting in {level}");
        out.hang("    ", "      ", &text);
    }
}

fn cell(out: &mut Sheet, indent: &str, cell: &Cell) {
    let lead = format!("{}{} {:<17} ", &indent[..indent.len() - 2], mark(cell.state), cell.probe);
    out.hang(&lead, &" ".repeat(lead.chars().count()), &saw(cell));
}

fn evidence(out: &mut Sheet, line: &EvidenceLine) {
    let lead = format!("    {} ", mark(line.cell.state));
    let address = if line.address == line.target { "" } else { &line.address };
    let text = format!("{} {address} {}: {}", line.target, line.cell.probe, saw(&line.cell));
    out.hang(&lead, "        ", &text);
}

/// `not ready, 2 s ago: 500: etcd (new: connect 1.0 + tls 4.6 = 5.6 ms)`.
fn saw(cell: &Cell) -> String {
    let Some(seen) = &cell.seen else { return cell.outcome.to_owned() };
    let phases: Vec<String> = cell.phases.iter().map(|share| format!("{} {}", share.phase, share.millis)).collect();
    let took = if phases.is_empty() { String::new() } else { format!(": {} = {}", phases.join(" + "), cell.total) };
    format!("{}, {}: {} ({}{took})", cell.outcome, seen.age, cell.result, cell.connection)
}

fn certificates(out: &mut Sheet, status: &Status) {
    out.title("certificates, soonest expiry first");
    if status.certificates.is_empty() {
        out.say("  ", "none yet");
    }
    status.certificates.iter().for_each(|facts| certificate(out, facts));
    if status.more_certificates > 0 {
        out.say("  ", &format!("and {} more", status.more_certificates));
    }
}

fn certificate(out: &mut Sheet, facts: &CertificateFacts) {
    let band = if facts.band.is_empty() { String::new() } else { format!("{}: ", facts.band.to_uppercase()) };
    let ending =
        facts.expires.as_ref().map_or_else(|| "never expires".to_owned(), |ends| format!("expires {}", full(ends)));
    let ends = format!("{band}{ending}, {}", facts.cluster);
    out.say(&format!("{} ", mark(facts.state)), &ends);
    out.say("    ", &format!("{} issued by {}", facts.certificate_subject, facts.issuer));
    out.say(
        "    ",
        &format!("{}, renewal {}, sha256 {}, seen {}", facts.trust, facts.class, facts.fingerprint, facts.seen.age),
    );
    out.say("    at ", &facts.places.join(", "));
}

fn gaps(out: &mut Sheet, status: &Status) {
    out.title("not monitored or unknown");
    if status.gaps.is_empty() {
        out.say("  ", "nothing: everything configured has been probed lately");
    }
    for gap in &status.gaps {
        let seen = gap.seen.as_ref().map_or_else(String::new, |seen| format!(", {}", seen.age));
        out.say("? ", &format!("{}: {}{seen}", gap.about, gap.text));
    }
    if status.more_gaps > 0 {
        out.say("  ", &format!("and {} more", status.more_gaps));
    }
}

fn own(out: &mut Sheet, status: &Status) {
    let own = &status.own;
    out.title(&format!("vedette itself, on {}", status.vantage));
    out.say("  ", &format!("started {}; configuration read {}", full(&own.started), full(&own.configured)));
    for value in &own.values {
        let lead = format!("{} {:<14} ", mark(value.state), value.name);
        out.hang(&lead, &" ".repeat(lead.len()), &value.text);
    }
    own.probes.iter().for_each(|line| evidence(out, line));
    out.title("resolved incidents");
    if status.resolved_incidents.is_empty() {
        out.say("  ", "none");
    }
    for ended in &status.resolved_incidents {
        out.say(
            "  ",
            &format!("{} {}, lasted {}, resolved {}", ended.rule, ended.headline, ended.lasted, full(&ended.resolved)),
        );
    }
    out.blank();
    out.say("", &format!("format {}", status.format));
}

const fn mark(state: State) -> char {
    match state {
        State::Ok => ' ',
        State::Unknown => '?',
        State::Degraded => '~',
        State::Down => '!',
    }
}

fn full(moment: &Moment) -> String {
    format!("{} ({})", moment.at, moment.age)
}

/// Text under construction, no line of it wider than [`WIDTH`] but commands.
struct Sheet {
    text: String,
    /// Whose local time is shown beside UTC.
    zone: Option<Zone>,
}

impl Sheet {
    fn title(&mut self, title: &str) {
        self.blank();
        self.say("", &title.to_uppercase());
    }

    fn blank(&mut self) {
        if !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// A line as it is, however long: who copies a broken command types half of it.
    fn whole(&mut self, first: &str, text: &str) {
        self.text.push_str(first);
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// A paragraph after `first`; further lines begin under its first word.
    fn say(&mut self, first: &str, text: &str) {
        self.hang(first, &" ".repeat(columns(first).max(2)), text);
    }

    /// A paragraph after `first`; further lines begin with `rest`. Words wider than a line are broken.
    fn hang(&mut self, first: &str, rest: &str, text: &str) {
        let mut column = columns(first);
        let mut is_empty = true;
        self.text.push_str(first);
        let text = times(text, self.zone.as_ref());
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            let width = columns(word);
            if !is_empty && column + 1 + width > WIDTH {
                self.text.push('\n');
                self.text.push_str(rest);
                (column, is_empty) = (columns(rest), true);
            }
            if !is_empty {
                self.text.push(' ');
                column += 1;
            }
            is_empty = false;
            for c in word.chars() {
                if column + columns_of(c) > WIDTH {
                    self.text.push('\n');
                    self.text.push_str(rest);
                    column = columns(rest);
                }
                self.text.push(c);
                column += columns_of(c);
            }
        }
        self.text.truncate(self.text.trim_end_matches(' ').len());
        self.text.push('\n');
    }
}

pub(super) fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// Columns that a terminal gives a character, never too few: everything from Hangul on counts as wide (Unicode UAX 11
/// has its first wide character there).
const fn columns_of(c: char) -> usize {
    if c < '\u{1100}' { 1 } else { 2 }
}
