//! Local time beside UTC, in texts that are done.
//!
//! Every instant in a text has one form, that of [`UnixTime`]'s `Display`, wherever it was written: it is found by that
//! form. One place adds the local time, so a rule that words an instant need not know the configured zone.

use crate::model::time::UnixTime;
use crate::model::zone::Zone;

use super::document::{Block, Document};

/// Characters of `2026-03-01T03:14:00Z`.
const STAMP: usize = 20;

/// `text` with local time beside each instant; as it is without a zone.
pub(super) fn times(text: &str, zone: Option<&Zone>) -> String {
    let Some(zone) = zone else { return text.to_owned() };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, shown)) = next(rest, zone) {
        out.push_str(&rest[..at]);
        out.push_str(&shown);
        rest = &rest[at + STAMP..];
    }
    out.push_str(rest);
    out
}

/// The same for HTML, where tags stay as they are.
pub(super) fn html(page: &str, zone: Option<&Zone>) -> String {
    if zone.is_none() {
        return page.to_owned();
    }
    let mut out = String::with_capacity(page.len());
    let mut rest = page;
    while let Some((text, tagged)) = rest.split_once('<') {
        let end = tagged.find('>').map_or(tagged.len(), |end| end + 1);
        out.push_str(&times(text, zone));
        out.push('<');
        out.push_str(&tagged[..end]);
        rest = &tagged[end..];
    }
    out.push_str(&times(rest, zone));
    out
}

/// Everything in a mail that is read, what is to be copied excepted.
pub(super) fn document(mut document: Document, zone: Option<&Zone>) -> Document {
    if zone.is_none() {
        return document;
    }
    let local = |text: &mut String| *text = times(text, zone);
    local(&mut document.preheader);
    for block in document.sections.iter_mut().flat_map(|section| &mut section.blocks) {
        match block {
            Block::Text(text) | Block::Strong(text) => local(text),
            Block::Items(items) | Block::Steps(items) => items.iter_mut().for_each(local),
            Block::Facts(facts) => facts.iter_mut().for_each(|(_, value)| local(value)),
            Block::Probes(probes) => probes.iter_mut().for_each(|observation| local(&mut observation.saw)),
            Block::Links(_) | Block::Commands(_) | Block::Verbatim(_) => {}
        }
    }
    document
}

/// The first instant in `text`: where it is, and how it is shown.
fn next(text: &str, zone: &Zone) -> Option<(usize, String)> {
    // The `Z` at its end is rarer than the digits at its beginning.
    text.match_indices('Z').find_map(|(end, _)| {
        let at = (end + 1).checked_sub(STAMP)?;
        let is_alone = !text.get(..at)?.ends_with(|c: char| c.is_alphanumeric());
        let stamp = text.get(at..=end).filter(|stamp| is_alone && is_stamp(stamp))?;
        let instant: jiff::Timestamp = stamp.parse().ok()?;
        Some((at, zone.beside(UnixTime::from_secs(instant.as_second()))?))
    })
}

fn is_stamp(text: &str) -> bool {
    const FORM: &[u8] = b"0000-00-00T00:00:00Z";
    text.len() == FORM.len()
        && text.bytes().zip(FORM).all(|(byte, form)| if *form == b'0' { byte.is_ascii_digit() } else { byte == *form })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instant_gets_its_local_time_and_nothing_else_changes() {
        let zone: Zone = "Europe/Berlin".parse().unwrap();
        let local = "2026-03-01 03:14:00 UTC (04:14:00 CET)";
        for (text, shown) in [
            ("2026-03-01T03:14:00Z".to_owned(), local.to_owned()),
            (
                "Zurich: at 2026-03-01T03:14:00Z, then 2026-03-01T03:14:00Z.".into(),
                format!("Zurich: at {local}, then {local}."),
            ),
            (
                "A2026-03-01T03:14:00Z 2026-13-01T03:14:00Z 03:14:00Z Z".into(),
                "A2026-03-01T03:14:00Z 2026-13-01T03:14:00Z 03:14:00Z Z".into(),
            ),
            ("\u{e9}Z\u{1f600}2026-03-01T03:14:00Z\u{e9}".into(), format!("\u{e9}Z\u{1f600}{local}\u{e9}")),
        ] {
            assert_eq!(times(&text, Some(&zone)), shown);
            assert_eq!(times(&text, None), text);
        }
        let page = "<time datetime=\"2026-03-01T03:14:00Z\">2026-03-01T03:14:00Z</time>";
        assert_eq!(html(page, Some(&zone)), format!("<time datetime=\"2026-03-01T03:14:00Z\">{local}</time>"));
    }
}
