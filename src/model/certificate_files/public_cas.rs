//! CAs of bundles that come with an operating system or a browser, as `ca-certificates.crt`.
//!
//! Every machine has a hundred and more of them, some of them expired, and their distributor maintains them. One that
//! issued another stored item is reported nevertheless.

use std::collections::BTreeSet;

use super::{FilesReading, ItemKind, StoredFile};

/// With this many CAs a file is a bundle for the public: the smallest that is shipped has about a hundred, and
/// a company's own has a handful.
const PUBLIC: usize = 30;

/// Where systems keep the CAs they ship: Debian, Red Hat, SUSE, Arch, Alpine, FreeBSD, and Java's export.
const FOLDERS: [&str; 8] = [
    "/etc/ssl/certs/",
    "/etc/pki/ca-trust/",
    "/etc/pki/tls/certs/",
    "/usr/share/ca-certificates/",
    "/usr/share/pki/ca-trust",
    "/etc/ca-certificates/extracted/",
    "/var/lib/ca-certificates/",
    "/usr/share/certs/trusted/",
];

/// What such bundles are called wherever they are copied to.
const NAMES: [&str; 6] =
    ["ca-certificates.crt", "ca-bundle.crt", "ca-bundle.trust.crt", "ca-bundle.pem", "tls-ca-bundle.pem", "cacert.pem"];

/// Positions in the order of `reading` of what is foreign.
pub(super) fn foreign(reading: &FilesReading) -> Vec<usize> {
    let is_public: Vec<Vec<bool>> =
        reading.sources.iter().map(|source| source.files.iter().map(|file| is_public(file)).collect()).collect();
    if !is_public.iter().flatten().any(|is_public| *is_public) {
        return Vec::new();
    }
    let items = || reading.sources.iter().flat_map(|source| source.files.iter()).flat_map(|file| file.items.iter());
    let issuers: BTreeSet<&str> =
        items().filter(|item| item.kind != ItemKind::Authority).map(|item| &*item.issuer).collect();
    let is_foreign = |(at, spot): (usize, &super::Spot)| {
        let item = reading.at(*spot).2;
        let lies_in_public = || {
            usize::try_from(spot.source).ok().zip(usize::try_from(spot.file).ok()).is_some_and(|(source, file)| {
                is_public.get(source).and_then(|files| files.get(file)).copied().unwrap_or_default()
            })
        };
        let is_foreign =
            item.kind == ItemKind::Authority && lies_in_public() && !issuers.contains(item.holder.as_ref());
        is_foreign.then_some(at)
    };
    reading.order.iter().enumerate().filter_map(is_foreign).collect()
}

fn is_public(file: &StoredFile) -> bool {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let authorities = || file.items.iter().filter(|item| item.kind == ItemKind::Authority);
    NAMES.contains(&name)
        || FOLDERS.iter().any(|folder| file.path.contains(folder))
        || authorities().nth(PUBLIC - 1).is_some()
}
