//! Everything on the page that is no table.

use crate::render::status::facts::{Cell, CommandLine, EvidenceLine, IncidentFacts, Notice, State, Status};
use crate::render::status::incidents;

use super::words::{full, moment, safe, took, word};

pub(super) fn notices(out: &mut String, status: &Status) {
    if status.notices.is_empty() {
        return;
    }
    out.push_str("<section aria-labelledby=\"first\"><h2 id=\"first\">Notices</h2>\n");
    status.notices.iter().for_each(|notice| self::notice(out, notice));
    out.push_str("</section>\n");
}

fn notice(out: &mut String, notice: &Notice) {
    out.push_str(&format!(
        "<div class=\"card {}\">{} {}",
        notice.state.as_str(),
        word(notice.state, notice.kind),
        safe(&notice.text)
    ));
    for (word, at) in [("since", &notice.since), ("until", &notice.until)] {
        if let Some(at) = at {
            out.push_str(&format!("<p class=\"dim\">{word} {}</p>", full(at)));
        }
    }
    list(out, &notice.lines);
    out.push_str("</div>\n");
}

fn list(out: &mut String, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    out.push_str("<ul>");
    lines.iter().for_each(|line| out.push_str(&format!("<li>{}</li>", safe(line))));
    out.push_str("</ul>");
}

pub(super) fn incidents(out: &mut String, status: &Status) {
    out.push_str("<section aria-labelledby=\"open\"><h2 id=\"open\">Open incidents</h2>\n");
    if status.incidents.is_empty() {
        let none = if status.is_isolated { word(State::Unknown, "unknown") } else { word(State::Ok, "none") };
        out.push_str(&format!("<p>{none}</p>"));
    }
    status.incidents.iter().for_each(|incident| self::incident(out, incident));
    list(out, &status.more_incidents);
    out.push_str("</section>\n");
}

fn incident(out: &mut String, incident: &IncidentFacts) {
    let state = incidents::state(incident.severity);
    out.push_str(&format!("<article class=\"card {}\">", state.as_str()));
    out.push_str(&format!("<h3>{} {}</h3>\n", word(state, incident.severity.as_str()), safe(&incident.headline)));
    out.push_str(&format!("<p>since {}, <b>{}</b></p>\n", full(&incident.opened), safe(incident.course)));
    out.push_str(&format!("<p>{}</p>\n", safe(&incident.what)));
    out.push_str("<dl>");
    let mut fact = |name: &str, text: String| out.push_str(&format!("<dt>{name}</dt><dd>{text}</dd>"));
    if let Some(cause) = &incident.cause {
        fact("Root cause", safe(cause));
    }
    fact("Impact", safe(&incident.impact));
    fact("Likely", safe(&incident.likely_cause));
    let at = incident.notified_at.as_ref().map_or_else(String::new, |at| format!(", the last {}", full(at)));
    fact("Notifications", format!("{}{at}", safe(&incident.notified)));
    out.push_str("</dl>\n");
    evidence(out, &incident.evidence);
    if !incident.beside.is_empty() {
        out.push_str("<p class=\"dim\">At the same time, unrelated:</p>");
        list(out, &incident.beside);
    }
    if !incident.follows.is_empty() {
        out.push_str("<p class=\"dim\">Related, grouped here:</p>");
        list(out, &incident.follows);
    }
    commands(out, &format!("Next: {}", incident.place), &incident.next);
    commands(out, "To fix:", &incident.fix);
    let place = incident.cluster.as_deref().unwrap_or("the vedette host");
    out.push_str(&format!(
        "<p class=\"dim\">rule {}, incident {} of {}</p></article>\n",
        safe(&incident.rule),
        safe(&incident.id),
        safe(place)
    ));
}

fn commands(out: &mut String, title: &str, commands: &[CommandLine]) {
    if commands.is_empty() {
        return;
    }
    let lines: Vec<String> = commands
        .iter()
        .map(|command| {
            let note = command.note.as_ref().map_or_else(String::new, |note| format!("# {}\n", safe(note)));
            format!("{note}{}", words(&command.line))
        })
        .collect();
    out.push_str(&format!("<p class=\"dim\">{}</p><pre>{}</pre>", safe(title), lines.join("\n")));
}

/// A line that is broken between its words alone, and inside one only where that fills a line by itself: a browser
/// breaks at hyphens else, and `--cacert` is read as two things.
fn words(line: &str) -> String {
    let whole = |word: &str| if word.is_empty() { String::new() } else { format!("<span>{}</span>", safe(word)) };
    line.split(' ').map(whole).collect::<Vec<_>>().join(" ")
}

/// Probes as a list: target, result, when, how the time was spent.
fn evidence(out: &mut String, lines: &[EvidenceLine]) {
    if lines.is_empty() {
        return;
    }
    out.push_str("<ul>");
    for line in lines {
        let is_name = line.address == line.target;
        let address =
            if is_name { String::new() } else { format!(" <span class=\"dim\">{}</span>", safe(&line.address)) };
        out.push_str(&format!(
            "<li><b>{}</b>{address} {} {}</li>",
            safe(&line.target),
            line.cell.probe,
            inline(&line.cell)
        ));
    }
    out.push_str("</ul>\n");
}

/// A cell on one line.
fn inline(cell: &Cell) -> String {
    let seen = cell.seen.as_ref().map_or_else(String::new, |seen| format!(" <small>{}</small>", moment(seen)));
    format!("{}{seen}: {} <small>{}</small>", word(cell.state, cell.outcome), safe(&cell.result), took(cell))
}

pub(super) fn gaps(out: &mut String, status: &Status) {
    out.push_str("<section aria-labelledby=\"gaps\"><h2 id=\"gaps\">Not monitored or unknown</h2>\n");
    out.push_str("<div class=\"card plain\">");
    if status.gaps.is_empty() {
        out.push_str("Nothing: everything configured has been probed lately.");
    } else {
        out.push_str("<ul>");
        for gap in &status.gaps {
            let seen = gap.seen.as_ref().map_or_else(String::new, |seen| format!(" <small>{}</small>", moment(seen)));
            out.push_str(&format!("<li><b>{}</b>: {}{seen}</li>", safe(&gap.about), safe(&gap.text)));
        }
        if status.more_gaps > 0 {
            out.push_str(&format!("<li>and {} more</li>", status.more_gaps));
        }
        out.push_str("</ul>");
    }
    out.push_str("</div></section>\n");
}

pub(super) fn own(out: &mut String, status: &Status) {
    let own = &status.own;
    out.push_str("<section aria-labelledby=\"own\"><h2 id=\"own\">vedette itself</h2>\n<div class=\"card plain\">");
    out.push_str(&format!(
        "<p>On {}; started {}; configuration read {}.</p><dl>",
        safe(&status.vantage),
        full(&own.started),
        full(&own.configured)
    ));
    for value in &own.values {
        let assessment = word(value.state, "");
        out.push_str(&format!("<dt>{}</dt><dd>{assessment}{}</dd>", safe(value.name), safe(&value.text)));
    }
    out.push_str("</dl>");
    evidence(out, &own.probes);
    out.push_str("</div></section>\n");
}

pub(super) fn ended(out: &mut String, status: &Status) {
    if status.resolved_incidents.is_empty() {
        return;
    }
    out.push_str("<section aria-labelledby=\"over\"><h2 id=\"over\">Resolved incidents</h2>\n");
    out.push_str("<div class=\"card plain\"><ul>");
    for ended in &status.resolved_incidents {
        out.push_str(&format!(
            "<li>{} {}, lasted {}, resolved {}</li>",
            safe(&ended.rule),
            safe(&ended.headline),
            safe(&ended.lasted),
            full(&ended.resolved)
        ));
    }
    out.push_str("</ul></div></section>\n");
}
