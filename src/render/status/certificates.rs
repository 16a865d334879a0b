//! Served certificates by what ends first, each once however many places serve it.

use std::collections::BTreeMap;

use crate::model::certificate::{Certificate, Fingerprint, Trust};
use crate::model::snapshot::ClusterPicture;
use crate::model::subject::{Name, Subject};
use crate::model::time::UnixTime;
use crate::model::verdict::{Band, Evidence};
use crate::render::metrics::Page;

use super::facts::{CertificateFacts, State};
use super::moment::{short, wall};

/// Places named for one certificate.
const PLACES: usize = 8;

/// Certificates of one cluster, each with its end.
pub(super) fn of(page: Page<'_>, name: &Name, picture: &ClusterPicture) -> Vec<(UnixTime, CertificateFacts)> {
    let mut places: BTreeMap<Fingerprint, Vec<(&Subject, UnixTime, &Certificate, Trust)>> = BTreeMap::new();
    for (subject, (seen, served)) in &picture.served {
        if let Some(first) = served.earliest() {
            places.entry(first.fingerprint).or_default().push((subject, *seen, first, served.trust));
        }
    }
    places.into_values().filter_map(|places| facts(page, name, &places)).collect()
}

fn facts(
    page: Page<'_>,
    name: &Name,
    places: &[(&Subject, UnixTime, &Certificate, Trust)],
) -> Option<(UnixTime, CertificateFacts)> {
    let (subject, _, certificate, _) = *places.first()?;
    let (_, seen, _, _) = *places.iter().max_by_key(|(_, seen, _, _)| *seen)?;
    // The worst word of all places: the same chain may be expected under a name that it does not bear.
    let trust = places.iter().map(|(_, _, _, trust)| *trust).max_by_key(|trust| is_doubtful(*trust))?;
    let band = band(page, name, certificate);
    let class = page.snapshot.inventory.endpoint(subject).map_or("", |endpoint| endpoint.certificates.as_str());
    let mut shown: Vec<String> = places.iter().take(PLACES).map(|(subject, ..)| subject.to_string()).collect();
    if places.len() > PLACES {
        shown.push(format!("and {} more", places.len() - PLACES));
    }
    let facts = CertificateFacts {
        cluster: name.to_string(),
        band: band.map_or("", Band::as_str),
        state: match band {
            Some(Band::Expired) => State::Down,
            Some(Band::Warning | Band::Urgent | Band::Page) => State::Degraded,
            Some(Band::Notice) | None if is_doubtful(trust) => State::Degraded,
            Some(Band::Notice) | None => State::Ok,
        },
        ends: wall(certificate.not_after, page.now),
        holder: short(&certificate.subject),
        issuer: short(&certificate.issuer),
        fingerprint: certificate.fingerprint.short(),
        class,
        trust: trust.as_str(),
        places: shown,
        seen: wall(seen, page.now),
    };
    Some((certificate.not_after, facts))
}

const fn is_doubtful(trust: Trust) -> bool {
    !matches!(trust, Trust::Trusted | Trust::Unverified)
}

/// The band that the rule found it in; what has ended is expired, whoever has said so.
fn band(page: Page<'_>, name: &Name, certificate: &Certificate) -> Option<Band> {
    let of_it = |evidence: &Evidence| {
        let Evidence::Expiry { fingerprint, band, .. } = evidence else { return None };
        (*fingerprint == certificate.fingerprint).then_some(*band)
    };
    let found = page
        .snapshot
        .alarms
        .iter()
        .filter(|alarm| alarm.finding.subject.cluster() == Some(name))
        .filter_map(|alarm| of_it(&alarm.finding.evidence))
        .max();
    if certificate.not_after < page.now.wall { Some(Band::Expired) } else { found }
}
