//! Families about served certificates.
//!
//! An end date stays in the metrics for as long as the chain is the last one that was seen there, with the time of that
//! probe beside it: the date stays true, but nobody knows any more whether the chain is still in use.

use crate::model::certificate::{Certificate, Served, Trust};
use crate::model::time::UnixTime;

use super::Page;
use super::drawing::{Drawing, Scope};
use super::family::{Family, instant, len};
use super::sample::Labels;

pub(super) fn families(page: Page<'_>) -> Vec<Drawing> {
    let not_before = page.format.gauge(
        "vedette_certificate_not_before_timestamp_seconds",
        "Start of validity (notBefore) of each certificate that the endpoint last served.",
    );
    let not_after = page.format.gauge(
        "vedette_certificate_not_after_timestamp_seconds",
        "Expiry (notAfter) of each certificate that the endpoint last served, by its position in the chain.",
    );
    let last_seen = page.format.gauge(
        "vedette_certificate_last_seen_timestamp_seconds",
        "Time the chain was last seen; updated by new TLS handshakes only.",
    );
    let trust = page.format.gauge(
        "vedette_certificate_verification",
        "Result of strict verification of the served chain: 1 for the result that applies, 0 for the others.",
    );
    let unreadable = page
        .format
        .gauge("vedette_certificate_unreadable", "Certificates in the served chain that could not be parsed.");
    vec![
        not_before.by_scope(|scope, family| {
            of_certificates(scope, family, |certificate| Some(certificate.not_before));
        }),
        not_after.by_scope(|scope, family| {
            of_certificates(scope, family, |certificate| {
                Some(certificate.not_after).filter(|not_after| !not_after.is_endless())
            });
        }),
        last_seen.by_scope(|scope, family| {
            served(scope).for_each(|(labels, seen, _)| family.sample(&labels, instant(seen)));
        }),
        trust.by_scope(|scope, family| {
            let all = Trust::ALL.map(Trust::as_str);
            served(scope).for_each(|(labels, _, served)| family.states(&labels, "result", &all, served.trust.as_str()));
        }),
        unreadable.by_scope(|scope, family| {
            served(scope).for_each(|(labels, _, served)| family.sample(&labels, len(served.unreadable)));
        }),
    ]
}

/// The chain last served at each endpoint, and when it was seen.
fn served(scope: Scope<'_>) -> impl Iterator<Item = (Labels, UnixTime, &Served)> {
    let all = scope.cluster.into_iter().flat_map(|(_, cluster_snapshot)| &cluster_snapshot.served);
    all.map(|(subject, (seen, served))| (Labels::of(subject), *seen, served.as_ref()))
}

fn of_certificates(scope: Scope<'_>, family: &mut Family, time: fn(&Certificate) -> Option<UnixTime>) {
    for (labels, _, served) in served(scope) {
        for (position, certificate) in served.chain.iter().enumerate() {
            let labels =
                labels.clone().with("role", role(served, position, certificate)).with("position", position.to_string());
            family.known(&labels, time(certificate).map(instant));
        }
    }
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
