//! The answer of `vedette certs`: a table for people, or one JSON object a line.
//!
//! ```json
//! {"place": "/etc/kubernetes/pki/apiserver.crt", "entry": "", "kind": "leaf", "state": "ok",
//!  "not_after": "2027-03-04T05:06:07Z", "not_before": "2026-03-04T05:06:07Z", "subject": "CN=kube-apiserver",
//!  "issuer": "CN=kubernetes", "serial": "3f0c", "fingerprint_sha256": "9a41…", "degraded": false}
//! {"place": "/etc/kubernetes/pki/old.crt", "entry": "line 12", "reason": "the block has no END line"}
//! ```
//!
//! `not_after` is "no end" for what has none, and "not knowable here" for credentials that a plugin obtains or that do
//! not say; what is not known otherwise is null. Field names are stable. Nothing is decided here. Called by `cli`.

use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::judge::phrases;
use crate::model::certificate::Fingerprint;
use crate::model::certificate_list::{CertificateList, Condition, End, ListEntry, Unread};
use crate::model::time::UnixTime;

use super::harmless::line;

/// Characters of a subject in the table.
const MAX_SUBJECT: usize = 72;

/// Everything there is to say.
#[derive(Debug, Clone, Copy)]
pub struct Listing<'a> {
    /// What was found; sorted.
    pub list: &'a CertificateList,
    /// When it was looked at.
    pub now: UnixTime,
    /// The time within which an end is soon.
    pub warn: Duration,
    /// The same as it was written.
    pub warn_text: &'a str,
    /// Columns of the terminal; `None` where no terminal reads it: then every row is one line.
    pub width: Option<u16>,
}

#[derive(Serialize)]
struct EntryReport<'a> {
    place: &'a str,
    entry: &'a str,
    kind: &'static str,
    state: &'static str,
    not_after: String,
    not_before: Option<String>,
    subject: &'a str,
    issuer: &'a str,
    serial: String,
    fingerprint_sha256: Option<String>,
    degraded: bool,
}

#[derive(Serialize)]
struct UnreadReport<'a> {
    place: &'a str,
    entry: &'a str,
    reason: &'a str,
}

/// One JSON object a line: one for each certificate, then one for each thing that could not be read.
pub fn json(listing: Listing<'_>) -> impl Iterator<Item = String> {
    let entry = move |entry: &ListEntry| {
        serde_json::to_string(&EntryReport {
            place: &entry.place,
            entry: &entry.entry,
            kind: entry.kind,
            state: entry.condition(listing.now, listing.warn).as_str(),
            not_after: end_text(entry.end),
            not_before: entry.not_before.map(|start| start.to_string()),
            subject: &entry.subject,
            issuer: &entry.issuer,
            serial: serial(&entry.serial),
            fingerprint_sha256: entry.fingerprint.as_ref().map(Fingerprint::to_string),
            degraded: entry.is_degraded,
        })
    };
    let unread =
        |Unread { place, entry, reason }: &Unread| serde_json::to_string(&UnreadReport { place, entry, reason });
    let left_out = listing.list.left_out;
    let rest = (left_out > 0).then(|| {
        let reason = format!("{left_out} more certificates and faults are too many to be listed");
        serde_json::to_string(&UnreadReport { place: "", entry: "", reason: &reason })
    });
    let objects = listing.list.entries.iter().map(entry).chain(listing.list.unread.iter().map(unread)).chain(rest);
    objects.map(|object| object.expect("texts and booleans always serialise") + "\n")
}

/// A summary, the table of what ends first, and what could not be read.
#[must_use]
pub fn text(listing: Listing<'_>) -> String {
    let mut out = summary(listing);
    if !listing.list.entries.is_empty() {
        let mut table = table(listing.width);
        table.set_header(["IN", "ENDS", "WHAT", "PLACE"]);
        for entry in &listing.list.entries {
            let place = placed(&entry.place, &entry.entry);
            table.add_row([left(entry, listing), end_text(entry.end), what(entry), place]);
        }
        add_table(&mut out, &table);
    }
    add_unread(&mut out, listing);
    out
}

/// What a calendar cannot hold: what could not be read, and what has an end that is not known. Empty where there is
/// nothing of it.
#[must_use]
pub fn beside_calendar(listing: Listing<'_>) -> String {
    let mut out = String::new();
    let not_knowable: Vec<&ListEntry> =
        listing.list.entries.iter().filter(|entry| entry.end == End::NotKnowable).collect();
    if !not_knowable.is_empty() {
        let mut table = table(listing.width);
        table.set_header(["NO END KNOWN HERE", "PLACE"]);
        for entry in not_knowable {
            table.add_row([what(entry), placed(&entry.place, &entry.entry)]);
        }
        add_table(&mut out, &table);
    }
    add_unread(&mut out, listing);
    out
}

/// What could not be read, and what was left out.
fn add_unread(out: &mut String, listing: Listing<'_>) {
    if !listing.list.unread.is_empty() {
        let mut table = table(listing.width);
        table.set_header(["NOT READ", "WHY"]);
        for Unread { place, entry, reason } in &listing.list.unread {
            table.add_row([placed(place, entry), line(reason, super::harmless::LONGEST)]);
        }
        add_table(out, &table);
    }
    if !listing.list.notes.is_empty() || listing.list.left_out > 0 {
        out.push('\n');
    }
    if listing.list.left_out > 0 {
        let left_out = listing.list.left_out;
        writeln!(out, "{left_out} more certificates and faults are too many to be listed").expect("a text takes all");
    }
    for note in &listing.list.notes {
        writeln!(out, "{note}").expect("a text takes all");
    }
}

fn table(width: Option<u16>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    match width {
        Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    table
}

fn add_table(out: &mut String, table: &Table) {
    out.push('\n');
    for row in table.lines() {
        out.push_str(row.trim_end().strip_prefix(' ').unwrap_or(row.trim_end()));
        out.push('\n');
    }
}

/// `3 certificates: 1 has ended, 1 ends within 30d; 2 places could not be read`.
fn summary(listing: Listing<'_>) -> String {
    let count = |condition: Condition| {
        let of = |entry: &&ListEntry| entry.condition(listing.now, listing.warn) == condition;
        listing.list.entries.iter().filter(of).count()
    };
    let all = listing.list.entries.len();
    let mut parts = Vec::new();
    for (condition, one, several) in [
        (Condition::Ended, "has ended", "have ended"),
        (Condition::NeverValid, "is never valid", "are never valid"),
        (Condition::NotYetValid, "is not yet valid", "are not yet valid"),
    ] {
        let count = count(condition);
        if count > 0 {
            parts.push(format!("{count} {}", if count == 1 { one } else { several }));
        }
    }
    match count(Condition::EndsSoon) {
        0 => {}
        1 => parts.push(format!("1 ends within {}", listing.warn_text)),
        soon => parts.push(format!("{soon} end within {}", listing.warn_text)),
    }
    if parts.is_empty() && all > 0 {
        parts.push(format!("none ends within {}", listing.warn_text));
    }
    let noun = if all == 1 { "certificate or credential" } else { "certificates and credentials" };
    let found = if parts.is_empty() { format!("{all} {noun}") } else { format!("{all} {noun}: {}", parts.join(", ")) };
    let unread = match listing.list.unread.len() {
        0 => String::new(),
        1 => "; 1 could not be read".to_owned(),
        several => format!("; {several} could not be read"),
    };
    let deselected = match listing.list.deselected {
        0 => String::new(),
        1 => "; 1 other does not match the filter".to_owned(),
        several => format!("; {several} others do not match the filter"),
    };
    format!("{found}{unread}{deselected}\n")
}

/// Words for the time that is left.
fn left(entry: &ListEntry, listing: Listing<'_>) -> String {
    let now = listing.now;
    match (entry.condition(now, listing.warn), entry.end) {
        (Condition::NeverValid, _) => "never valid".to_owned(),
        (Condition::Ended, End::At(end)) => format!("ended {} ago", phrases::lasting(now.since(end))),
        (Condition::NotYetValid, _) => match entry.not_before {
            Some(start) => format!("valid in {}", phrases::lasting(start.since(now))),
            None => "not yet valid".to_owned(),
        },
        (_, End::At(end)) => phrases::lasting(end.since(now)),
        (_, End::Never | End::NotKnowable) => "-".to_owned(),
    }
}

fn end_text(end: End) -> String {
    match end {
        End::At(end) => end.to_string(),
        End::Never => "no end".to_owned(),
        End::NotKnowable => "not knowable here".to_owned(),
    }
}

pub(super) fn what(entry: &ListEntry) -> String {
    let kind = kind_words(entry.kind);
    let subject = line(&entry.subject, MAX_SUBJECT);
    let degraded = if entry.is_degraded { " (damaged, partly read)" } else { "" };
    if entry.kind == "credential" {
        return subject;
    }
    if subject.is_empty() { format!("{kind}{degraded}") } else { format!("{kind} {subject}{degraded}") }
}

/// What people call it.
fn kind_words(kind: &str) -> &str {
    match kind {
        "leaf" => "certificate",
        "client" | "kubeconfig_client" | "talos_client" => "client certificate",
        "authority" => "CA",
        "kubeconfig_token" | "token" => "token",
        "kubeadm_authority" => "CA, by kubeadm:",
        "kubeadm_certificate" => "certificate, by kubeadm:",
        other => other,
    }
}

pub(super) fn placed(place: &str, entry: &str) -> String {
    if entry.is_empty() { place.to_owned() } else { format!("{place} ({entry})") }
}

/// As people write numbers: without the zero that says that a number is positive.
pub(super) fn serial(hex: &str) -> String {
    match hex.as_bytes() {
        [b'0', b'0', b'8'..=b'9' | b'a'..=b'f', ..] => hex[2..].to_owned(),
        _ => hex.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn entry(place: &str, subject: &str, start: i64, end: End) -> ListEntry {
        let not_before = Some(UnixTime::from_secs(NOW + start));
        ListEntry { not_before, ..ListEntry::leaf(place, subject, end) }
    }

    fn sample() -> CertificateList {
        let day = 86_400;
        let end = |seconds: i64| End::At(UnixTime::from_secs(NOW + seconds));
        let mut list = CertificateList {
            entries: vec![
                entry("/etc/kubernetes/pki/apiserver.crt", "CN=kube-apiserver", -300 * day, end(12 * day + 3_700)),
                entry("/etc/kubernetes/pki/front-proxy-client.crt", "CN=front-proxy-client", -370 * day, end(-5 * day)),
                entry("/etc/kubernetes/pki/ca.crt", "CN=kubernetes", -300 * day, End::Never),
                entry("/srv/next.pem", "CN=next", 2 * day, end(300 * day)),
                ListEntry {
                    kind: "credential",
                    entry: "user oidc".into(),
                    serial: "".into(),
                    fingerprint: None,
                    not_before: None,
                    ..entry("/root/.kube/config", "exec plugin", 0, End::NotKnowable)
                },
                ListEntry { is_degraded: true, entry: "line 12".into(), ..entry("/srv/odd.pem", "", -9, end(day)) },
            ],
            unread: vec![
                Unread {
                    place: "/srv/odd.pem".into(),
                    entry: "line 30".into(),
                    reason: "the block has no END line".into(),
                },
                Unread {
                    place: "10.0.0.9:6443".into(),
                    entry: "".into(),
                    reason: "connect: connection refused".into(),
                },
            ],
            notes: vec!["/srv/up is a link to a directory above, and is not followed".to_owned()],
            left_out: 0,
            deselected: 0,
        };
        list.sort();
        list
    }

    fn listing(list: &CertificateList, width: Option<u16>) -> Listing<'_> {
        let now = UnixTime::from_secs(NOW);
        Listing { list, now, warn: Duration::from_secs(30 * 86_400), warn_text: "30d", width }
    }

    #[test]
    fn what_ends_first_is_on_top_and_what_could_not_be_read_below() {
        let list = sample();

        insta::assert_snapshot!("certificate_list", text(listing(&list, None)));
        insta::assert_snapshot!("certificate_list_narrow", text(listing(&list, Some(90))));
        insta::assert_snapshot!("certificate_list_empty", text(listing(&CertificateList::default(), None)));
    }

    #[test]
    fn a_filter_says_how_much_it_took_out() {
        let mut list = sample();
        list.select(&["front-proxy".to_owned()], None, UnixTime::from_secs(NOW));

        let first = text(listing(&list, None)).lines().next().unwrap().to_owned();

        let rest = "1 has ended; 2 could not be read; 5 others do not match the filter";
        assert_eq!(first, format!("1 certificate or credential: {rest}"));
    }

    #[test]
    fn what_no_calendar_holds_is_said_beside_it() {
        insta::assert_snapshot!("certificate_list_beside_calendar", beside_calendar(listing(&sample(), None)));
        assert_eq!(beside_calendar(listing(&CertificateList::default(), None)), "");
    }

    #[test]
    fn programs_get_one_object_a_line() {
        let list = sample();

        insta::assert_snapshot!("certificate_list_json", json(listing(&list, None)).collect::<String>());
    }
}
