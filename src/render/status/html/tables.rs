//! The tables of the page. On a narrow screen each row becomes a card; a table that is still too wide scrolls in its
//! box.

use crate::render::status::facts::{
    Backend, Cell, CertificateFacts, ClusterLine, Detail, Endpoint, LevelLine, Load, Member, Moment, SenderLine, State,
    Status,
};

use super::words::{full, moment, safe, took, word};

/// The canaries, as columns.
const CANARIES: [&str; 6] =
    ["write of a Lease", "cached read", "create a ConfigMap", "create a Pod", "access review", "read of a Secret"];

/// Columns of the matrix.
const PROBES: [&str; 4] = ["GET /readyz", "GET /livez", "GET /version", "kept connection"];

/// Columns of the matrix of members, those that nothing has left out.
const ROUNDS: [&str; 5] = ["status", "health", "linearizable read", "member list", "metrics"];

/// Classes of the bar of phases and what they are called.
const PHASES: [(&str, &str); 5] = [
    ("resolve", "resolve"),
    ("connect", "connect"),
    ("tls", "tls"),
    ("processing", "processing"),
    ("transfer", "transfer"),
];

/// What the colours of the bars below mean.
fn key(parts: &[(&str, &str)]) -> String {
    let named = |(class, name): &(&str, &str)| {
        format!(
            "<svg class=\"key\" viewBox=\"0 0 10 10\" aria-hidden=\"true\"><rect class=\"{class}\" width=\"10\" \
             height=\"10\"/></svg>{name}"
        )
    };
    format!(" <small>{}</small>", parts.iter().map(named).collect::<Vec<_>>().join(" "))
}

fn open(out: &mut String, caption: &str, key: &str, headings: &[&str]) {
    out.push_str(&format!(
        "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"{0}\"><table class=\"cards\">\
         <caption>{0}{key}</caption><thead><tr>",
        safe(caption)
    ));
    headings.iter().for_each(|heading| out.push_str(&format!("<th scope=\"col\">{heading}</th>")));
    out.push_str("</tr></thead><tbody>\n");
}

fn close(out: &mut String) {
    out.push_str("</tbody></table></div>\n");
}

pub(super) fn clusters(out: &mut String, status: &Status) {
    let extent = &status.extent;
    out.push_str("<section aria-labelledby=\"clusters\"><h2 id=\"clusters\">Clusters</h2>\n");
    let caption = match &extent.only {
        Some(only) => format!("{only}, one of {}", extent.clusters),
        None if extent.pages == 1 => format!("{} in all, worst first", extent.clusters),
        None => format!("{} in all, worst first, page {} of {}", extent.clusters, extent.page, extent.pages),
    };
    open(out, &caption, "", &["cluster", "state", "apiservers", "API VIP", "etcd", "probed"]);
    status.clusters.iter().for_each(|line| cluster(out, line));
    close(out);
    pages(out, status);
    out.push_str("</section>\n");
}

fn cluster(out: &mut String, line: &ClusterLine) {
    let since = line.since.as_ref().map_or_else(String::new, |since| format!(" <small>{}</small>", moment(since)));
    let muted = line
        .silenced
        .as_ref()
        .map_or_else(String::new, |until| format!("<br><small>silenced until {}</small>", full(until)));
    let seen = line.seen.as_ref().map_or_else(|| "not all yet".to_owned(), moment);
    out.push_str(&format!(
        "<tr><th scope=\"row\"><a href=\"?cluster={0}\">{0}</a></th><td class=\"all\" data-l=\"state\">{1}{since} \
         {2}{muted}</td>\
         <td data-l=\"apiservers\">{3}</td><td data-l=\"API VIP\">{4}</td><td data-l=\"etcd\">{5}</td>\
         <td data-l=\"seen\">{seen}</td></tr>\n",
        safe(&line.name),
        word(line.state, line.state.as_str()),
        safe(&line.why),
        safe(&line.instances),
        safe(&line.vip),
        safe(&line.members),
    ));
}

fn pages(out: &mut String, status: &Status) {
    let extent = &status.extent;
    if extent.only.is_some() {
        out.push_str("<nav aria-label=\"all clusters\"><a href=\"?\">All clusters</a></nav>\n");
    } else if extent.pages > 1 {
        out.push_str("<nav aria-label=\"pages\">");
        for page in 1..=extent.pages {
            out.push_str(&if page == extent.page {
                format!("<b aria-current=\"page\">{page}</b>")
            } else {
                format!("<a href=\"?page={page}\">{page}</a>")
            });
        }
        out.push_str("</nav>\n");
    }
}

pub(super) fn detail(out: &mut String, detail: &Detail) {
    let name = safe(&detail.cluster);
    out.push_str(&format!("<section aria-label=\"{name}\"><h2>{name}: probes</h2>\n"));
    if !detail.endpoints.is_empty() {
        let probes = used(&PROBES, detail.endpoints.iter().map(|endpoint| endpoint.cells.as_slice()));
        let mut headings = vec!["apiserver"];
        headings.extend(&probes);
        open(out, &format!("apiservers, {}", detail.planned), &key(&PHASES), &headings);
        detail.endpoints.iter().for_each(|endpoint| self::endpoint(out, endpoint, &probes));
        close(out);
    }
    if !detail.canaries.is_empty() {
        let probes = used(&CANARIES, detail.canaries.iter().map(|endpoint| endpoint.cells.as_slice()));
        let mut headings = vec!["apiserver"];
        headings.extend(&probes);
        open(out, "canaries", &key(&PHASES), &headings);
        detail.canaries.iter().for_each(|endpoint| self::endpoint(out, endpoint, &probes));
        close(out);
    }
    detail.load.iter().for_each(|load| self::load(out, load));
    if !detail.members.is_empty() {
        let probes = used(&ROUNDS, detail.members.iter().map(|member| member.cells.as_slice()));
        let mut headings = vec!["member", "state", "database"];
        headings.extend(&probes);
        let marks = &detail.quota_marks;
        let ticks = format!("{} % of the quota", marks.join(", "));
        let shares = [("used", "in use"), ("free", "free in the file"), ("tick", ticks.as_str())];
        open(out, "etcd members", &key(&shares), &headings);
        detail.members.iter().for_each(|member| self::member(out, member, marks, &probes));
        close(out);
    }
    out.push_str("</section>\n");
}

/// Who uses the apiservers: their levels, and the largest senders.
fn load(out: &mut String, load: &Load) {
    let seen = |seen: &Option<Moment>| seen.as_ref().map_or_else(|| "not seen".to_owned(), |at| at.age.clone());
    if let Some(since) = &load.suspected_since {
        out.push_str(&format!("<p>{} since {}</p>\n", word(State::Degraded, "overload suspected"), full(since)));
    }
    let caption = format!("priority levels, {}", seen(&load.levels_seen));
    open(out, &caption, "", &["level", "under way", "waiting"]);
    for LevelLine { level, executing, waiting } in &load.levels {
        out.push_str(&format!(
            "<tr><th scope=\"row\">{}</th><td data-l=\"under way\">{executing}</td><td data-l=\"waiting\">{waiting}</td></tr>\n",
            safe(level)
        ));
    }
    close(out);
    let caption = format!("largest senders, {}", seen(&load.senders_seen));
    open(out, &caption, "", &["user", "asks", "share", "usually", "under way", "waiting", "level"]);
    for SenderLine { user, asks, level, share, usual, executing, waiting } in &load.senders {
        out.push_str(&format!(
            "<tr><th scope=\"row\">{}</th><td data-l=\"asks\">{}</td><td data-l=\"share\">{share}</td>\
             <td data-l=\"usually\">{usual}</td><td data-l=\"under way\">{executing}</td>\
             <td data-l=\"waiting\">{waiting}</td><td data-l=\"level\">{}</td></tr>\n",
            safe(user),
            safe(asks),
            safe(level),
        ));
    }
    close(out);
}

/// Those of `columns` that some row has a cell for.
fn used<'a>(columns: &[&'static str], rows: impl Iterator<Item = &'a [Cell]>) -> Vec<&'static str> {
    let present: Vec<&str> = rows.flatten().map(|cell| cell.probe).collect();
    columns.iter().copied().filter(|column| present.contains(column)).collect()
}

fn endpoint(out: &mut String, endpoint: &Endpoint, probes: &[&str]) {
    let itself = endpoint.itself.as_ref().map_or_else(String::new, |itself| format!(", {itself}"));
    row_head(out, &endpoint.name, &format!("{}{itself}", endpoint.address));
    cells(out, &endpoint.cells, probes);
    out.push_str("</tr>\n");
}

fn cells(out: &mut String, cells: &[Cell], probes: &[&str]) {
    for probe in probes {
        match cells.iter().find(|cell| cell.probe == *probe) {
            Some(cell) => self::cell(out, cell),
            None => out.push_str(&format!("<td data-l=\"{probe}\"><span class=\"dim\">not probed</span></td>")),
        }
    }
}

fn row_head(out: &mut String, name: &str, address: &str) {
    out.push_str(&format!(
        "<tr><th scope=\"row\">{}<br><small class=\"addr\">{}</small></th>",
        safe(name),
        safe(address)
    ));
}

fn cell(out: &mut String, cell: &Cell) {
    let seen = cell.seen.as_ref().map_or_else(String::new, |seen| format!(" <small>{}</small>", moment(seen)));
    out.push_str(&format!("<td data-l=\"{}\">{}{seen}", cell.probe, word(cell.state, cell.outcome)));
    if !cell.result.is_empty() {
        out.push_str(&format!("<br>{}", safe(&cell.result)));
    }
    bar(out, cell);
    out.push_str(&format!("<small>{}</small></td>", took(cell)));
}

/// Where the time went, as shares of the whole.
fn bar(out: &mut String, cell: &Cell) {
    let total: f64 = cell.phases.iter().map(|share| share.seconds).sum();
    if total <= 0.0 {
        out.push_str("<br>");
        return;
    }
    out.push_str("<svg class=\"bar\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" aria-hidden=\"true\">");
    let mut from = 0.0;
    for share in &cell.phases {
        let width = share.seconds / total * 100.0;
        if width >= 0.5 {
            out.push_str(&format!(
                "<rect class=\"{}\" x=\"{from:.0}\" width=\"{:.0}\" height=\"6\"/>",
                share.phase,
                width.max(1.0)
            ));
        }
        from += width;
    }
    out.push_str("</svg>");
}

fn member(out: &mut String, member: &Member, marks: &[String], probes: &[&str]) {
    row_head(out, &member.name, &member.address);
    out.push_str("<td data-l=\"state\">");
    if member.role.is_empty() {
        out.push_str("<span class=\"dim\">no answer</span>");
    } else {
        out.push_str(&format!(
            "<b>{}</b><br>{}<br><small>{}</small>",
            safe(&member.role),
            safe(&member.version),
            safe(&member.raft)
        ));
    }
    for alarm in &member.alarms {
        out.push_str(&format!("<br>{}", word(State::Down, alarm)));
    }
    out.push_str("</td><td data-l=\"database\">");
    match &member.backend {
        Some(backend) => self::backend(out, backend, marks),
        None => out.push_str("<span class=\"dim\">no answer</span>"),
    }
    out.push_str("</td>");
    cells(out, &member.cells, probes);
    out.push_str("</tr>\n");
}

/// The bar reaches to the quota: live pages, free pages of the file, and the marks of the tiers.
#[expect(clippy::cast_precision_loss, reason = "drawn on a bar of 220 pixels")]
fn backend(out: &mut String, backend: &Backend, marks: &[String]) {
    out.push_str(&word(backend.state, &backend.tier));
    if let Some(quota) = backend.quota_bytes.filter(|quota| *quota > 0) {
        let share = |bytes: u64| (bytes as f64 / quota as f64 * 100.0).min(100.0);
        let (file, used) = (share(backend.size_bytes), share(backend.in_use_bytes.unwrap_or(backend.size_bytes)));
        out.push_str("<svg class=\"bar\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" aria-hidden=\"true\">");
        out.push_str(&format!("<rect class=\"free\" width=\"{file:.1}\" height=\"6\"/>"));
        out.push_str(&format!("<rect class=\"used {}\" width=\"{used:.1}\" height=\"6\"/>", backend.state.as_str()));
        for mark in marks {
            out.push_str(&format!("<rect class=\"tick\" x=\"{mark}\" width=\"0.6\" height=\"6\"/>"));
        }
        out.push_str("</svg>");
    } else {
        out.push_str("<br>");
    }
    out.push_str(&format!("<small>{}</small>", safe(&backend.text)));
}

pub(super) fn certificates(out: &mut String, status: &Status) {
    out.push_str("<section aria-labelledby=\"certificates\"><h2 id=\"certificates\">Certificates</h2>\n");
    if status.certificates.is_empty() {
        out.push_str("<p>None yet.</p></section>\n");
        return;
    }
    open(out, "soonest expiry first", "", &["expires", "subject", "where", "renewal", "trust", "seen"]);
    status.certificates.iter().for_each(|facts| certificate(out, facts));
    close(out);
    if status.more_certificates > 0 {
        out.push_str(&format!("<p>and {} more</p>", status.more_certificates));
    }
    out.push_str("</section>\n");
}

fn certificate(out: &mut String, facts: &CertificateFacts) {
    let band = if facts.band.is_empty() { facts.state.as_str() } else { facts.band };
    out.push_str(&format!(
        "<tr><th scope=\"row\">{} {}<br><small class=\"at\">{}</small></th>",
        word(facts.state, band),
        facts.expires.as_ref().map_or_else(|| "never".to_owned(), moment),
        facts.expires.as_ref().map_or_else(String::new, |ends| safe(&ends.at))
    ));
    out.push_str(&format!(
        "<td class=\"all\" data-l=\"subject\">{}<br><small>issued by {}, sha256 {}</small></td><td class=\"all\" \
         data-l=\"where\">{}: {}</td>",
        safe(&facts.certificate_subject),
        safe(&facts.issuer),
        safe(&facts.fingerprint),
        safe(&facts.cluster),
        safe(&facts.places.join(", "))
    ));
    out.push_str(&format!(
        "<td data-l=\"renewal\">{}</td><td data-l=\"trust\">{}</td><td data-l=\"seen\">{}</td></tr>\n",
        facts.class,
        facts.trust,
        moment(&facts.seen)
    ));
}
