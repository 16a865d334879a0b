//! The certificates and credentials that `vedette certs` finds, what could not be read, and how bad each is.

use std::sync::Arc;
use std::time::Duration;

use super::certificate::{Certificate, Fingerprint};
use super::time::UnixTime;

/// Everything that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateList {
    /// What has an end, or may have one.
    pub entries: Vec<ListEntry>,
    /// What could not be read.
    pub unread: Vec<Unread>,
    /// What was left out on purpose, for people.
    pub notes: Vec<String>,
    /// Entries and faults beyond those that are kept.
    pub left_out: u64,
    /// Entries that [`select`](Self::select) took out.
    pub deselected: u64,
}

/// One certificate or credential at one place. Small, because there may be hundreds of thousands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// The file, or the endpoint with the address that answered; fit to be shown.
    pub place: Arc<str>,
    /// Where at that place: `line 12`, `user admin`; empty where there is nothing else.
    pub entry: Box<str>,
    /// What it is, in one word for programs.
    pub kind: &'static str,
    /// Subject of a certificate, `sub` of a token.
    pub subject: Box<str>,
    /// Who issued it.
    pub issuer: Arc<str>,
    /// Serial number in hex, as it lies in the certificate; empty for what has none.
    pub serial: Box<str>,
    /// SHA-256 of the certificate; `None` for what is no certificate, or is only reported.
    pub fingerprint: Option<Fingerprint>,
    /// Start of validity, where it is known.
    pub not_before: Option<UnixTime>,
    /// End of validity.
    pub end: End,
    /// Whether only part of it could be read.
    pub is_degraded: bool,
}

/// What is reported while places are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListEvent {
    /// A certificate or credential.
    Found(ListEntry),
    /// Something that cannot be read.
    Unread(Unread),
    /// Something that was left out on purpose, for people.
    Note(String),
    /// A file was read or an endpoint answered: it goes on.
    Progress,
}

/// When something ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Then.
    At(UnixTime),
    /// Never.
    Never,
    /// That cannot be known here: a plugin obtains it, or it does not say.
    NotKnowable,
}

/// What could not be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unread {
    /// The file or endpoint, fit to be shown.
    pub place: Arc<str>,
    /// Where at that place; empty for all of it.
    pub entry: Box<str>,
    /// Why, as a sentence about the place goes on.
    pub reason: Box<str>,
}

/// How something in the list is. Ordered, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// It does not end soon.
    Well,
    /// It ends within the time that was asked about.
    EndsSoon,
    /// Its time has not come yet.
    NotYetValid,
    /// It has ended.
    Ended,
    /// Its start is behind its end: it is never valid.
    NeverValid,
}

/// A start of validity this far ahead is taken for a difference between two clocks: Kubernetes dates its certificates
/// back by as much for that reason.
pub const CLOCK_DIFFERENCE: Duration = Duration::from_secs(300);

impl ListEntry {
    /// A certificate of this kind.
    #[must_use]
    pub fn certificate(place: &Arc<str>, entry: Box<str>, kind: &'static str, read: Certificate) -> Self {
        Self {
            place: Arc::clone(place),
            entry,
            kind,
            subject: read.subject.into(),
            issuer: read.issuer.into(),
            serial: read.serial.into(),
            fingerprint: Some(read.fingerprint),
            not_before: Some(read.not_before).filter(|start| *start != UnixTime::NEVER_BEGUN),
            end: End::of(read.not_after),
            is_degraded: false,
        }
    }

    /// A leaf as tests list it.
    #[cfg(test)]
    pub(crate) fn leaf(place: &str, subject: &str, end: End) -> Self {
        Self {
            place: place.into(),
            entry: "".into(),
            kind: "leaf",
            subject: subject.into(),
            issuer: "CN=kubernetes".into(),
            serial: "00ff01".into(),
            fingerprint: Some(Fingerprint([0xab; 32])),
            not_before: None,
            end,
            is_degraded: false,
        }
    }

    /// How it is at `now`; `warn` is the time within which an end is soon.
    #[must_use]
    pub fn condition(&self, now: UnixTime, warn: Duration) -> Condition {
        let start = self.not_before.unwrap_or(UnixTime::NEVER_BEGUN);
        match self.end {
            End::At(end) if end < start => Condition::NeverValid,
            // RFC 5280 section 4.1.2.5: the last second is still inside.
            End::At(end) if end.plus(Duration::from_secs(1)) <= now => Condition::Ended,
            _ if start > now.plus(CLOCK_DIFFERENCE) => Condition::NotYetValid,
            End::At(end) if end <= now.plus(warn) => Condition::EndsSoon,
            End::At(_) | End::Never | End::NotKnowable => Condition::Well,
        }
    }
}

impl End {
    /// The end of validity as it is written.
    #[must_use]
    pub fn of(end: UnixTime) -> Self {
        if end.is_endless() { Self::Never } else { Self::At(end) }
    }
}

/// Entries and faults that are kept each: at 400 bytes, 400 MB.
const MAX_KEPT: usize = 1_000_000;

impl CertificateList {
    /// Takes what was reported. What is more than is kept is counted in a fault.
    pub fn take(&mut self, event: ListEvent) {
        match event {
            ListEvent::Found(entry) if self.entries.len() < MAX_KEPT => self.entries.push(entry),
            ListEvent::Unread(unread) if self.unread.len() < MAX_KEPT => self.unread.push(unread),
            ListEvent::Note(note) if self.notes.len() < MAX_KEPT => self.notes.push(note),
            ListEvent::Found(_) | ListEvent::Unread(_) => self.left_out += 1,
            ListEvent::Note(_) | ListEvent::Progress => {}
        }
    }

    /// Puts what ends first in front, what has no end last, equal ends by their places; what was read twice is listed
    /// once.
    pub fn sort(&mut self) {
        // Shorter ones first, so that line 9 is in front of line 10.
        fn order(entry: &ListEntry) -> (End, &str, usize, &str, Option<Fingerprint>) {
            (entry.end, &entry.place, entry.entry.len(), &entry.entry, entry.fingerprint)
        }
        self.entries.sort_by(|one, other| order(one).cmp(&order(other)));
        self.entries.dedup();
        self.unread
            .sort_by(|one, other| (&one.place, one.entry.len(), one).cmp(&(&other.place, other.entry.len(), other)));
        self.unread.dedup();
    }

    /// Keeps the entries whose place or subject contains one of `names`, in any case, or all where there are no names;
    /// and of these, with `within`, what has ended or ends within that time, is not yet valid or never is. The rest is
    /// counted. What could not be read stays: it may be what was asked for.
    ///
    /// Returns the names that no entry contains: most likely they are misspelt, and an empty list would say all is well.
    pub fn select(&mut self, names: &[String], within: Option<Duration>, now: UnixTime) -> Vec<String> {
        let before = self.entries.len();
        let lowered: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
        let mut is_matched = vec![false; names.len()];
        self.entries.retain(|entry| {
            let texts = [&*entry.place, &*entry.entry, &*entry.subject].map(str::to_lowercase);
            let mut is_named = names.is_empty();
            for (name, is_matched) in lowered.iter().zip(&mut is_matched) {
                if texts.iter().any(|text| text.contains(name)) {
                    (is_named, *is_matched) = (true, true);
                }
            }
            is_named && within.is_none_or(|within| entry.condition(now, within) != Condition::Well)
        });
        self.deselected += u64::try_from(before - self.entries.len()).unwrap_or(u64::MAX);
        let unmatched = names.iter().zip(is_matched).filter(|(_, is_matched)| !is_matched);
        unmatched.map(|(name, _)| name.clone()).collect()
    }

    /// The exit code: 0 all well, 1 something ends soon, 2 something has ended or is broken, 3 something could not be
    /// read. Of several the worst counts, in the order 2, 3, 1, 0.
    #[must_use]
    pub fn exit_code(&self, now: UnixTime, warn: Duration) -> u8 {
        let worst = self.entries.iter().map(|entry| entry.condition(now, warn)).max().unwrap_or(Condition::Well);
        match worst {
            Condition::NeverValid | Condition::Ended | Condition::NotYetValid => 2,
            Condition::EndsSoon | Condition::Well if !self.unread.is_empty() || self.left_out > 0 => 3,
            Condition::EndsSoon => 1,
            Condition::Well => 0,
        }
    }
}

impl Condition {
    /// One word for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Well => "ok",
            Self::EndsSoon => "ends_soon",
            Self::NotYetValid => "not_yet_valid",
            Self::Ended => "ended",
            Self::NeverValid => "never_valid",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;
    const WARN: Duration = Duration::from_secs(30 * DAY);

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_secs(1_800_000_000 + seconds)
    }

    fn entry(start: i64, end: End) -> ListEntry {
        ListEntry {
            place: "a".into(),
            entry: "".into(),
            kind: "leaf",
            subject: "CN=a".into(),
            issuer: "CN=ca".into(),
            serial: "01".into(),
            fingerprint: None,
            not_before: Some(at(start)),
            end,
            is_degraded: false,
        }
    }

    #[test]
    fn a_condition_changes_at_its_very_second() {
        use Condition::{Ended, EndsSoon, NeverValid, NotYetValid, Well};
        let warn = i64::try_from(WARN.as_secs()).unwrap();
        for (start, end, condition) in [
            (-9, End::At(at(-2)), Ended),
            (-9, End::At(at(-1)), Ended),
            (-9, End::At(at(0)), EndsSoon),
            (-9, End::At(at(warn)), EndsSoon),
            (-9, End::At(at(warn + 1)), Well),
            (300, End::At(at(warn + 1)), Well),
            (301, End::At(at(warn + 1)), NotYetValid),
            (301, End::Never, NotYetValid),
            (-3, End::At(at(-4)), NeverValid),
            (9, End::At(at(8)), NeverValid),
            (-9, End::Never, Well),
            (-9, End::NotKnowable, Well),
        ] {
            assert_eq!(entry(start, end).condition(at(0), WARN), condition, "{start} {end:?}");
        }
    }

    #[test]
    fn the_worst_counts_and_a_bad_end_is_worse_than_what_cannot_be_read() {
        let unread = Unread { place: "b".into(), entry: "".into(), reason: "is missing".into() };
        let [well, soon, ended] = [End::Never, End::At(at(9)), End::At(at(-9))].map(|end| entry(-99, end));
        for (entries, unread, code) in [
            (vec![], vec![], 0),
            (vec![well.clone()], vec![], 0),
            (vec![well.clone(), soon.clone()], vec![], 1),
            (vec![soon.clone()], vec![unread.clone()], 3),
            (vec![well], vec![unread.clone()], 3),
            (vec![soon, ended.clone()], vec![unread], 2),
            (vec![ended], vec![], 2),
        ] {
            let list = CertificateList { entries, unread, ..Default::default() };
            assert_eq!(list.exit_code(at(0), WARN), code, "{list:?}");
        }
    }

    #[test]
    fn a_selection_counts_what_it_takes_out_and_keeps_what_could_not_be_read() {
        let named = |place: &str, subject: &str, end| ListEntry {
            place: place.into(),
            subject: subject.into(),
            ..entry(-9, end)
        };
        let day = i64::try_from(DAY).unwrap();
        let all = [
            named("/pki/etcd/server.crt", "CN=m1", End::At(at(-day))),
            named("/pki/apiserver.crt", "CN=kube-apiserver", End::At(at(7 * day))),
            named("/pki/other.crt", "CN=Kube-Proxy", End::At(at(7 * day + 1))),
            named("/pki/ca.crt", "CN=kubernetes", End::Never),
            ListEntry { entry: "user kube".into(), ..named("/admin.conf", "CN=me", End::NotKnowable) },
        ];
        let unread = vec![Unread { place: "b".into(), entry: "".into(), reason: "is missing".into() }];
        let week = Some(Duration::from_secs(7 * DAY));
        for (names, within, kept, unmatched) in [
            (&[][..], None, &[0, 1, 2, 3, 4][..], &[][..]),
            (&[], week, &[0, 1], &[]),
            (&["KUBE-"], None, &[1, 2], &[]),
            (&["kube-"], week, &[1], &[]),
            (&["etcd", "user kube"], None, &[0, 4], &[]),
            (&["etcd", "apisever"], None, &[0], &["apisever"]),
            (&["kube-proxy"], week, &[], &[]),
        ] {
            let mut list =
                CertificateList { entries: all.to_vec(), unread: unread.clone(), ..CertificateList::default() };
            let names: Vec<String> = names.iter().map(|name| String::from(*name)).collect();

            let found = list.select(&names, within, at(0));

            let expected: Vec<ListEntry> = kept.iter().map(|place: &usize| all[*place].clone()).collect();
            assert_eq!(list.entries, expected, "{names:?}");
            assert_eq!(list.deselected, u64::try_from(all.len() - kept.len()).unwrap());
            assert_eq!(list.unread, unread);
            assert_eq!(found, unmatched.to_vec() as Vec<&str>, "{names:?}");
        }
    }

    #[test]
    fn what_ends_first_is_first_and_what_never_does_is_last() {
        let ends = [End::NotKnowable, End::Never, End::At(at(5)), End::At(at(-5))];
        let mut list = CertificateList { entries: ends.map(|end| entry(-9, end)).to_vec(), ..Default::default() };

        list.sort();

        let sorted: Vec<End> = list.entries.iter().map(|entry| entry.end).collect();
        assert_eq!(sorted, [End::At(at(-5)), End::At(at(5)), End::Never, End::NotKnowable]);
    }
}
