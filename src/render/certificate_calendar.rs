//! The answer of `vedette certs --ics`: a calendar (RFC 5545) with one event for each end, to be subscribed to or imported.
//!
//! An event's UID depends on the place and on the certificate, so a calendar that is made again updates its events, and
//! the event of a certificate that was renewed goes away. What has no end, or none that is known, has no event. What
//! could not be read has no time either; `cli` prints it beside the calendar. Called by `cli`.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::certificate_list::{End, ListEntry};
use crate::model::digest::stable_hash_of;
use crate::model::time::UnixTime;

use super::certificate_list::{Listing, placed, serial, what};
use super::harmless::{LONGEST, line};

/// Octets of a line without its end, at most. Source: RFC 5545 section 3.1.
const LONGEST_LINE: usize = 75;

/// The calendar, a part at a time. An event reminds `listing.warn` before its end.
///
/// Without any event it is a calendar without a component. RFC 5545 section 3.6 asks for one, but what subscribes to
/// calendars takes it, and would report an empty answer as a fault.
pub fn calendar(listing: Listing<'_>) -> impl Iterator<Item = String> {
    let mut begun = String::new();
    for (name, value) in [("BEGIN", "VCALENDAR"), ("VERSION", "2.0"), ("PRODID", "-//vedette//certs//EN")] {
        add(&mut begun, name, value);
    }
    let mut ended = String::new();
    add(&mut ended, "END", "VCALENDAR");

    let mut seen = BTreeSet::new();
    let events = listing.list.entries.iter().filter_map(move |entry| {
        let End::At(end) = entry.end else { return None };
        let uid = uid(entry);
        let event = event(entry, &uid, end, listing)?;
        // The same certificate twice at one place is one end.
        seen.insert(uid).then_some(event)
    });
    std::iter::once(begun).chain(events).chain(std::iter::once(ended))
}

/// The event of an end; `None` for an end that a calendar cannot hold.
fn event(entry: &ListEntry, uid: &str, end: UnixTime, listing: Listing<'_>) -> Option<String> {
    let summary = escaped(&format!("{} ends", what(entry)));
    let mut out = String::new();
    add(&mut out, "BEGIN", "VEVENT");
    add(&mut out, "UID", uid);
    add(&mut out, "DTSTAMP", &date_time(listing.now)?);
    add(&mut out, "DTSTART", &date_time(end)?);
    add(&mut out, "SUMMARY", &summary);
    add(&mut out, "LOCATION", &escaped(&placed(&entry.place, &entry.entry)));
    add(&mut out, "DESCRIPTION", &description(entry));
    // Nobody is busy because a certificate ends.
    add(&mut out, "TRANSP", "TRANSPARENT");
    add(&mut out, "BEGIN", "VALARM");
    add(&mut out, "ACTION", "DISPLAY");
    add(&mut out, "TRIGGER", &before(listing.warn));
    add(&mut out, "DESCRIPTION", &summary);
    add(&mut out, "END", "VALARM");
    add(&mut out, "END", "VEVENT");
    Some(out)
}

fn description(entry: &ListEntry) -> String {
    let mut lines = Vec::new();
    let fingerprint = entry.fingerprint.as_ref().map(ToString::to_string).unwrap_or_default();
    for (name, value) in [
        ("Subject", &*entry.subject),
        ("Issuer", &*entry.issuer),
        ("Serial", &serial(&entry.serial)),
        ("SHA-256", &fingerprint),
    ] {
        if !value.is_empty() {
            lines.push(escaped(&format!("{name}: {value}")));
        }
    }
    // An escaped line break. Source: RFC 5545 section 3.3.11.
    lines.join("\\n")
}

/// Stable as long as the certificate is. What has no fingerprint keeps its UID when it is renewed, and its event moves.
fn uid(entry: &ListEntry) -> String {
    let place = entry.place.as_bytes();
    match &entry.fingerprint {
        Some(fingerprint) => {
            let start: String = fingerprint.to_string().chars().take(32).collect();
            format!("{start}-{:016x}@vedette", stable_hash_of(&[place]))
        }
        None => {
            let hash =
                stable_hash_of(&[place, entry.entry.as_bytes(), entry.kind.as_bytes(), entry.subject.as_bytes()]);
            format!("{hash:016x}@vedette")
        }
    }
}

/// `20270304T050607Z`; `None` outside the years 0000 to 9999, which four digits cannot hold.
fn date_time(at: UnixTime) -> Option<String> {
    let text = at.to_string().replace(['-', ':'], "");
    let is_date_time = text.len() == 16 && text.ends_with('Z') && text.as_bytes()[8] == b'T';
    is_date_time.then_some(text)
}

/// A negative duration, in days where it is whole days. Source: RFC 5545 section 3.3.6.
fn before(warn: Duration) -> String {
    const DAY: u64 = 86_400;
    match warn.as_secs() {
        0 => "PT0S".to_owned(),
        seconds if seconds.is_multiple_of(DAY) => format!("-P{}D", seconds / DAY),
        seconds => format!("-PT{seconds}S"),
    }
}

/// Text from elsewhere as a value: harmless, and escaped as RFC 5545 section 3.3.11 wants it.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in line(text, LONGEST).chars() {
        if matches!(character, '\\' | ';' | ',') {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

/// Adds `name:value`, folded into lines of [`LONGEST_LINE`] octets between characters. Source: RFC 5545 section 3.1.
fn add(out: &mut String, name: &str, value: &str) {
    let mut length = 0;
    for character in name.chars().chain([':']).chain(value.chars()) {
        if length + character.len_utf8() > LONGEST_LINE {
            // The space that marks the rest of a line counts as well.
            out.push_str("\r\n ");
            length = 1;
        }
        out.push(character);
        length += character.len_utf8();
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use crate::model::certificate::Fingerprint;
    use crate::model::certificate_list::{CertificateList, Unread};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn in_days(days: i64) -> End {
        End::At(UnixTime::from_secs(NOW + days * 86_400))
    }

    fn drawn(entries: Vec<ListEntry>, warn: Duration) -> String {
        let list = CertificateList { entries, ..Default::default() };
        let now = UnixTime::from_secs(NOW);
        calendar(Listing { list: &list, now, warn, warn_text: "", width: None }).collect()
    }

    const MONTH: Duration = Duration::from_secs(30 * 86_400);

    /// As a reader of calendars undoes it.
    fn unfolded(text: &str) -> Vec<String> {
        let whole = text.replace("\r\n ", "");
        whole.split_terminator("\r\n").map(str::to_owned).collect()
    }

    fn values(text: &str, name: &str) -> Vec<String> {
        let start = format!("{name}:");
        unfolded(text).iter().filter_map(|line| line.strip_prefix(&start).map(str::to_owned)).collect()
    }

    #[test]
    fn each_end_is_an_event_that_says_what_ends_and_where() {
        let token = ListEntry {
            kind: "token",
            entry: "user ci".into(),
            fingerprint: None,
            serial: "".into(),
            issuer: "".into(),
            ..ListEntry::leaf("/root/.kube/config", "system:serviceaccount:ci:runner", in_days(3))
        };
        let text = drawn(
            vec![
                token,
                ListEntry::leaf("/etc/kubernetes/pki/apiserver.crt", "CN=kube-apiserver", in_days(12)),
                ListEntry::leaf("/srv/odd, old.pem", "CN=a,O=b;c\\d", in_days(900)),
            ],
            MONTH,
        );

        insta::assert_snapshot!("certificate_calendar", text.replace('\r', ""));
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    }

    #[test]
    fn what_has_no_end_that_a_calendar_can_hold_has_no_event() {
        let beyond = End::At(UnixTime::from_secs(-99_999_999_999_999));
        let ends = [End::Never, End::NotKnowable, beyond];

        let text = drawn(ends.map(|end| ListEntry::leaf("a", "CN=a", end)).to_vec(), MONTH);

        assert_eq!(text, "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//vedette//certs//EN\r\nEND:VCALENDAR\r\n");
    }

    #[test]
    fn an_event_is_the_same_as_long_as_its_certificate_is() {
        let first = ListEntry::leaf("a", "CN=a", in_days(5));
        let renewed = ListEntry { fingerprint: Some(Fingerprint([1; 32])), ..first.clone() };
        let elsewhere = ListEntry { place: "b".into(), ..first.clone() };
        let moved_down = ListEntry { entry: "line 9".into(), ..first.clone() };
        let token = ListEntry { fingerprint: None, ..first.clone() };
        let token_later = ListEntry { end: in_days(90), ..token.clone() };

        assert_eq!(uid(&first), uid(&moved_down));
        assert_ne!(uid(&first), uid(&renewed));
        assert_ne!(uid(&first), uid(&elsewhere));
        assert_eq!(uid(&token), uid(&token_later));
        let twice = drawn(vec![first.clone(), moved_down, elsewhere], MONTH);
        assert_eq!(values(&twice, "UID").len(), 2, "{twice}");
    }

    #[test]
    fn the_reminder_comes_before_the_end() {
        for (seconds, trigger) in [(0, "PT0S"), (86_400, "-P1D"), (30 * 86_400, "-P30D"), (90_000, "-PT90000S")] {
            let text = drawn(vec![ListEntry::leaf("a", "CN=a", in_days(5))], Duration::from_secs(seconds));

            assert_eq!(values(&text, "TRIGGER"), [trigger]);
        }
    }

    #[test]
    fn a_line_is_folded_at_its_75th_octet_and_never_within_a_character() {
        let folded = |value: &str| {
            let mut out = String::new();
            add(&mut out, "X", value);
            out
        };

        assert_eq!(folded(&"a".repeat(73)), format!("X:{}\r\n", "a".repeat(73)));
        assert_eq!(folded(&"a".repeat(74)), format!("X:{}\r\n a\r\n", "a".repeat(73)));
        let wide = format!("{}é", "a".repeat(72));
        assert_eq!(folded(&wide), format!("X:{}\r\n é\r\n", "a".repeat(72)));
        assert_eq!(folded(&"a".repeat(73 + 75)), format!("X:{}\r\n {}\r\n a\r\n", "a".repeat(73), "a".repeat(74)));
    }

    proptest! {
        #[test]
        fn no_text_from_elsewhere_adds_a_line_or_a_property(subject in ".{0,400}", place in ".{0,200}") {
            let place: Arc<str> = place.into();
            let found = ListEntry { place, ..ListEntry::leaf("", &subject, in_days(5)) };
            let text = drawn(vec![found], MONTH);

            let lines: Vec<&str> = text.split_terminator("\r\n").collect();
            prop_assert!(lines.iter().all(|line| line.len() <= LONGEST_LINE && !line.contains(char::is_control)));
            prop_assert_eq!(unfolded(&text).len(), 4 + 14);
            let summary = &values(&text, "SUMMARY")[0];
            let bare = summary.replace("\\\\", "").replace("\\;", "").replace("\\,", "");
            prop_assert!(!bare.contains(['\\', ';', ',']), "{}", summary);
        }
    }

    #[test]
    fn what_could_not_be_read_makes_no_event() {
        let unread = vec![Unread { place: "a".into(), entry: "".into(), reason: "is missing".into() }];
        let list = CertificateList { unread, ..Default::default() };
        let now = UnixTime::from_secs(NOW);

        let listing = Listing { list: &list, now, warn: MONTH, warn_text: "30d", width: None };
        let text: String = calendar(listing).collect();

        assert_eq!(values(&text, "BEGIN"), ["VCALENDAR"]);
    }
}
