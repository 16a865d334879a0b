//! Families about served certificates.
//!
//! An end date stays in the metrics for as long as the chain is the last one that was seen there, with the time of that
//! probe beside it: the date stays true, but nobody knows any more whether the chain is still in use.

use crate::model::certificate::{Certificate, Served, Trust};

use super::Page;
use super::family::{Family, instant, len};
use super::sample::Labels;

pub(super) fn families(page: Page<'_>) -> Vec<Family> {
    let mut not_before = page.format.gauge(
        "vedette_certificate_not_before_timestamp_seconds",
        "Start of validity (notBefore) of each certificate that the endpoint last served.",
    );
    let mut not_after = page.format.gauge(
        "vedette_certificate_not_after_timestamp_seconds",
        "Expiry (notAfter) of each certificate that the endpoint last served, by its position in the chain.",
    );
    let mut last_seen = page.format.gauge(
        "vedette_certificate_last_seen_timestamp_seconds",
        "Time the chain was last seen; updated by new TLS handshakes only.",
    );
    let mut trust = page.format.gauge(
        "vedette_certificate_verification",
        "Result of strict verification of the served chain: 1 for the result that applies, 0 for the others.",
    );
    let mut unreadable = page
        .format
        .gauge("vedette_certificate_unreadable", "Certificates in the served chain that could not be parsed.");
    for (subject, (seen, served)) in
        page.snapshot.clusters.values().flat_map(|cluster_snapshot| &cluster_snapshot.served)
    {
        let labels = Labels::of(subject);
        for (position, certificate) in served.chain.iter().enumerate() {
            let labels =
                labels.clone().with("role", role(served, position, certificate)).with("position", position.to_string());
            not_before.sample(&labels, instant(certificate.not_before));
            if !certificate.not_after.is_endless() {
                not_after.sample(&labels, instant(certificate.not_after));
            }
        }
        last_seen.sample(&labels, instant(*seen));
        trust.states(&labels, "result", &Trust::ALL.map(Trust::as_str), served.trust.as_str());
        unreadable.sample(&labels, len(served.unreadable));
    }
    vec![not_before, not_after, last_seen, trust, unreadable]
}

fn role(served: &Served, position: usize, certificate: &Certificate) -> &'static str {
    if position == 0 {
        "leaf"
    } else if certificate.is_self_issued {
        "root"
    } else if !served.needs(position) {
        "unused"
    } else {
        "intermediate"
    }
}
