//! Families about certificates and tokens in files.
//!
//! One source is one entry of the configuration, so the page is as long as that, whatever the directories hold: of each
//! source the first end of each kind is shown. Paths and subjects are on the status page and in mails.

use std::collections::BTreeMap;

use crate::model::certificate_files::{FileFault, FilesReading, ItemKind};
use crate::model::subject::{Name, Subject};
use crate::model::time::UnixTime;

use super::Page;
use super::family::{Family, instant, len};
use super::sample::Labels;

pub(super) fn families(page: Page<'_>) -> Vec<Family> {
    let mut stored = page.format.gauge(
        "vedette_file_certificates",
        "Certificates and tokens in the files of a configured path, each place counted.",
    );
    let mut first = page.format.gauge(
        "vedette_file_certificate_not_after_timestamp_seconds",
        "Earliest expiry (notAfter) among the certificates and tokens of one kind under a configured path. Replaced ones \
         are left out; unreadable ones count as last read.",
    );
    let mut files =
        page.format.gauge("vedette_files_examined", "Files under a configured path that the latest check examined.");
    let mut left_out = page
        .format
        .gauge("vedette_files_skipped", "Files, directories and certificates skipped because a limit was reached.");
    let mut faults = page.format.gauge(
        "vedette_file_read_errors",
        "Files under a configured path that cannot be read, by reason; the path itself counts as one when it is at fault.",
    );
    let of_vantage = page.snapshot.stored.iter().map(|(_, reading)| (None, reading));
    let of_clusters = page.snapshot.clusters.iter().filter_map(|(name, cluster_snapshot)| {
        cluster_snapshot.stored.as_ref().map(|(_, reading)| (Some(name), reading))
    });
    for (cluster, reading) in of_vantage.chain(of_clusters) {
        let ends = first_ends(reading);
        for source in &reading.sources {
            let labels = labels(cluster, &source.name);
            files.sample(&labels, super::family::count(source.looked_at));
            left_out.sample(&labels, super::family::count(source.left_out));
            for kind in ItemKind::ALL {
                let of_kind = source.files.iter().flat_map(|file| file.items.iter()).filter(|item| item.kind == kind);
                let count = of_kind.count();
                let labels = labels.clone().with("kind", label(kind));
                if count > 0 {
                    stored.sample(&labels, len(count));
                }
                first.known(&labels, ends.get(&(&source.name, kind)).copied().map(instant));
            }
            for fault in FileFault::ALL {
                let is_so = |known: Option<FileFault>| known == Some(fault);
                let of_files =
                    source.files.iter().filter(|file| is_so(file.fault.map(|trouble| trouble.fault))).count();
                let count = of_files + usize::from(is_so(source.fault));
                if count > 0 {
                    faults.sample(&labels.clone().with("reason", fault.as_str()), len(count));
                }
            }
        }
    }
    vec![stored, first, files, left_out, faults]
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
