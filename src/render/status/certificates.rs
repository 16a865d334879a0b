//! Certificates by what ends first, served or in watched files, each once however many places have it.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::certificate::{Certificate, Fingerprint, Trust};
use crate::model::certificate_evidence::CertificateEvidence;
use crate::model::certificate_files::{FilesReading, Held};
use crate::model::place::Place;
use crate::model::rule::Level;
use crate::model::snapshot::ClusterSnapshot;
use crate::model::subject::{Name, Subject, VANTAGE};
use crate::model::time::{Now, UnixTime};
use crate::model::verdict::{ExpiryThreshold, Finding};
use crate::render::metrics::Page;

use super::facts::{CertificateFacts, Moment, State};
use super::moment::{short, wall};

/// Places named for one certificate.
const PLACES: usize = 8;

/// Items of files that are considered: those that end first. Far more than a page has room for.
const HELD: usize = 200;

/// Certificates of one cluster, served or in watched files, each with its end.
pub(super) fn of(page: Page<'_>, name: &Name, cluster_snapshot: &ClusterSnapshot) -> Vec<(UnixTime, CertificateFacts)> {
    let mut places: BTreeMap<Fingerprint, Vec<(&Subject, UnixTime, &Certificate, Trust)>> = BTreeMap::new();
    for (subject, (seen, served)) in &cluster_snapshot.served {
        if let Some(first) = served.earliest() {
            places.entry(first.fingerprint).or_default().push((subject, *seen, first, served.trust));
        }
    }
    let mut all: Vec<_> = places.values().filter_map(|places| served(page, name, cluster_snapshot, places)).collect();
    if let Some((read, reading)) = &cluster_snapshot.stored {
        let is_served = |fingerprint: &Fingerprint| places.contains_key(fingerprint);
        all.extend(in_files(page, Some(name), *read, reading, is_served));
    }
    all
}

/// What the vantage's own files hold.
pub(super) fn of_vantage(page: Page<'_>) -> Vec<(UnixTime, CertificateFacts)> {
    let stored = page.snapshot.stored.as_ref();
    stored.map_or_else(Vec::new, |(read, reading)| in_files(page, None, *read, reading, |_| false))
}

fn in_files(
    page: Page<'_>,
    cluster: Option<&Name>,
    read: UnixTime,
    reading: &FilesReading,
    is_served: impl Fn(&Fingerprint) -> bool,
) -> Vec<(UnixTime, CertificateFacts)> {
    let watched = |held: &Held<'_>| held.is_current() && !is_served(&held.item().fingerprint);
    reading.held().take(HELD).filter(watched).filter_map(|held| stored(page, cluster, read, &held)).collect()
}

fn stored(
    page: Page<'_>,
    cluster: Option<&Name>,
    read: UnixTime,
    held: &Held<'_>,
) -> Option<(UnixTime, CertificateFacts)> {
    let item = held.item();
    let ends = item.life?.not_after;
    let band = band(page, cluster, item.fingerprint, ends);
    let watches = page.snapshot.inventory.files(cluster);
    let (source, ..) = held.places().next()?;
    let class = watches.and_then(|watches| watches.get(&source.name)).map_or("", |watch| watch.certificates.as_str());
    let facts = CertificateFacts {
        cluster: cluster.map_or_else(|| VANTAGE.to_owned(), Name::to_string),
        band: band.map_or("", ExpiryThreshold::as_str),
        state: if is_only_listed(page, cluster, item.fingerprint) { State::Ok } else { state(band) },
        expires: ending(ends, page.now),
        certificate_subject: short(&item.holder),
        issuer: short(&item.issuer),
        fingerprint: item.fingerprint.short(),
        class,
        trust: "on disk",
        places: bounded(held.places().map(|(_, file, _)| file.place())),
        seen: wall(read, page.now),
    };
    Some((ends, facts))
}

fn served(
    page: Page<'_>,
    name: &Name,
    cluster_snapshot: &ClusterSnapshot,
    places: &[(&Subject, UnixTime, &Certificate, Trust)],
) -> Option<(UnixTime, CertificateFacts)> {
    let (subject, _, certificate, _) = *places.first()?;
    let (_, seen, _, _) = *places.iter().max_by_key(|(_, seen, _, _)| *seen)?;
    // The worst word of all places: the same chain may be expected under a name that it does not bear.
    let trust = places.iter().map(|(_, _, _, trust)| *trust).max_by_key(|trust| is_doubtful(*trust))?;
    let band = band(page, Some(name), certificate.fingerprint, certificate.not_after);
    let class = page.snapshot.inventory.endpoint(subject).map_or("", |endpoint| endpoint.certificates.as_str());
    let at = places.iter().map(|(subject, ..)| page.snapshot.inventory.place(subject));
    let held = cluster_snapshot.stored.iter().flat_map(|(_, reading)| reading.held().take(HELD));
    let same = held.filter(|held| held.item().fingerprint == certificate.fingerprint);
    let at = at.chain(same.flat_map(|held| held.places()).map(|(_, file, _)| file.place()));
    let facts = CertificateFacts {
        cluster: name.to_string(),
        band: band.map_or("", ExpiryThreshold::as_str),
        state: if is_doubtful(trust) { state(band).max(State::Degraded) } else { state(band) },
        expires: ending(certificate.not_after, page.now),
        certificate_subject: short(&certificate.subject),
        issuer: short(&certificate.issuer),
        fingerprint: certificate.fingerprint.short(),
        class,
        trust: trust.as_str(),
        places: bounded(at),
        seen: wall(seen, page.now),
    };
    Some((certificate.not_after, facts))
}

fn ending(not_after: UnixTime, now: Now) -> Option<Moment> {
    (!not_after.is_endless()).then(|| wall(not_after, now))
}

const fn is_doubtful(trust: Trust) -> bool {
    !matches!(trust, Trust::Trusted | Trust::Unproven | Trust::Unverified)
}

const fn state(band: Option<ExpiryThreshold>) -> State {
    match band {
        Some(ExpiryThreshold::Expired) => State::Down,
        Some(ExpiryThreshold::Warning | ExpiryThreshold::Urgent | ExpiryThreshold::Page) => State::Degraded,
        Some(ExpiryThreshold::Notice) | None => State::Ok,
    }
}

/// Each place once: a file may belong to several entries of the configuration.
fn bounded(places: impl Iterator<Item = Place>) -> Vec<String> {
    let mut named = BTreeSet::new();
    let places = places.filter(|place| named.insert(place.clone()));
    let mut places: Vec<String> = places.map(|place| place.words()).collect();
    let more = places.len().saturating_sub(PLACES);
    if more > 0 {
        places.truncate(PLACES);
        places.push(format!("and {more} more"));
    }
    places
}

/// Whether the rules found that nobody has to act on its end: it was replaced where it is served, or its successor is
/// stored beside it.
fn is_only_listed(page: Page<'_>, cluster: Option<&Name>, of: Fingerprint) -> bool {
    let is_it = |finding: &Finding| {
        let ending = match finding.evidence.certificates() {
            Some(CertificateEvidence::Filed { ending, .. }) => Some(ending),
            Some(
                CertificateEvidence::Served { .. }
                | CertificateEvidence::Outdated { .. }
                | CertificateEvidence::Untrusted { .. },
            )
            | None => None,
        };
        ending.is_some_and(|ending| ending.fingerprint == of && ending.band > ExpiryThreshold::Notice)
    };
    let alarms = page.snapshot.alarms.iter().filter(|alarm| alarm.finding.subject.cluster() == cluster);
    let mut found = alarms.filter(|alarm| is_it(&alarm.finding)).peekable();
    found.peek().is_some() && found.all(|alarm| alarm.finding.level == Level::Info)
}

/// The threshold that a rule found it beyond; what has ended is expired, with or without a finding.
fn band(page: Page<'_>, cluster: Option<&Name>, of: Fingerprint, ends: UnixTime) -> Option<ExpiryThreshold> {
    let of_it = |finding: &Finding| {
        let ending = finding.evidence.certificates()?.ending()?;
        (ending.fingerprint == of).then_some(ending.band)
    };
    let alarms = page.snapshot.alarms.iter().filter(|alarm| alarm.finding.subject.cluster() == cluster);
    let found = alarms.filter_map(|alarm| of_it(&alarm.finding)).max();
    if ends < page.now.wall { Some(ExpiryThreshold::Expired) } else { found }
}
