//! Families about certificates and tokens in files.
//!
//! One source is one entry of the configuration, so the page is as long as that, whatever the directories hold: of each
//! source the first end of each kind is shown. Paths and subjects are on the status page and in mails.

use std::collections::BTreeMap;

use crate::model::certificate_files::{FileFault, FilesReading, ItemKind, SourceReading};
use crate::model::subject::{Name, Subject};
use crate::model::time::UnixTime;

use super::Page;
use super::drawing::{Drawing, Scope};
use super::family::{Family, count, instant, len};
use super::sample::Labels;

pub(super) fn families(page: Page<'_>) -> Vec<Drawing> {
    let stored = page.format.gauge(
        "vedette_file_certificates",
        "Certificates and tokens in the files of a configured path, each place counted.",
    );
    let first = page.format.gauge(
        "vedette_file_certificate_not_after_timestamp_seconds",
        "Earliest expiry (notAfter) among the certificates and tokens of one kind under a configured path. Replaced ones \
         are left out; unreadable ones count as last read.",
    );
    let files =
        page.format.gauge("vedette_files_examined", "Files under a configured path that the latest check examined.");
    let left_out = page
        .format
        .gauge("vedette_files_skipped", "Files, directories and certificates skipped because a limit was reached.");
    let faults = page.format.gauge(
        "vedette_file_read_errors",
        "Files under a configured path that cannot be read, by reason; the path itself counts as one when it is at fault.",
    );
    vec![
        stored.by_scope(certificates),
        first.by_scope(ends),
        files.by_scope(|scope, family| {
            sources(scope).for_each(|(labels, source)| family.sample(&labels, count(source.looked_at)));
        }),
        left_out.by_scope(|scope, family| {
            sources(scope).for_each(|(labels, source)| family.sample(&labels, count(source.left_out)));
        }),
        faults.by_scope(read_errors),
    ]
}

fn certificates(scope: Scope<'_>, family: &mut Family) {
    for (labels, source) in sources(scope) {
        for kind in ItemKind::ALL {
            let items = source.files.iter().flat_map(|file| file.items.iter());
            positive(family, &labels.clone().with("kind", label(kind)), items.filter(|item| item.kind == kind).count());
        }
    }
}

fn ends(scope: Scope<'_>, family: &mut Family) {
    let ends = scope.stored().map(first_ends).unwrap_or_default();
    for (labels, source) in sources(scope) {
        for kind in ItemKind::ALL {
            let end = ends.get(&(&source.name, kind)).copied();
            family.known(&labels.clone().with("kind", label(kind)), end.map(instant));
        }
    }
}

fn read_errors(scope: Scope<'_>, family: &mut Family) {
    for (labels, source) in sources(scope) {
        for fault in FileFault::ALL {
            let of_files = source.files.iter().filter_map(|file| file.fault.map(|trouble| trouble.fault));
            let times = of_files.chain(source.fault).filter(|known| *known == fault).count();
            positive(family, &labels.clone().with("reason", fault.as_str()), times);
        }
    }
}

/// Adds a count unless it is zero.
fn positive(family: &mut Family, labels: &Labels, times: usize) {
    family.known(labels, Some(times).filter(|times| *times > 0).map(len));
}

fn sources(scope: Scope<'_>) -> impl Iterator<Item = (Labels, &SourceReading)> {
    let cluster = scope.cluster.map(|(name, _)| name);
    let sources = scope.stored().into_iter().flat_map(|reading| &reading.sources);
    sources.map(move |source| (labels(cluster, &source.name), source))
}

/// As the field says it, a CA.
fn label(kind: ItemKind) -> &'static str {
    if kind == ItemKind::Authority { "ca" } else { kind.as_str() }
}

fn first_ends(reading: &FilesReading) -> BTreeMap<(&Name, ItemKind), UnixTime> {
    let mut ends = BTreeMap::new();
    for held in reading.held().filter(|held| held.is_current()) {
        for (source, _, item) in held.places() {
            if let Some(life) = item.life.filter(|life| !life.not_after.is_endless()) {
                ends.entry((&source.name, item.kind)).or_insert(life.not_after);
            }
        }
    }
    ends
}

fn labels(cluster: Option<&Name>, source: &Name) -> Labels {
    let subject = cluster.map_or(Subject::Vantage, |name| Subject::Cluster(name.clone()));
    Labels::of(&subject).with("source", source.as_str())
}
