//! The bytes of a file to the certificates and tokens in it, whatever kind of file it is.
//!
//! Recognises PEM, DER, kubeconfigs, talosconfigs and bearer tokens by content, never by name. Decodes no key: a key
//! beside a certificate costs nothing and is not read. Opens nothing; files that a kubeconfig names come back as names.
//! Called by `collect/files`.

use std::sync::Arc;

use secrecy::ExposeSecret as _;

use super::kubeconfig::Material;
use super::kubeconfig::embedded::{self, PieceKind};
use super::pem::{self, FaultKind};
use super::{jwt, talosconfig, x509};
use crate::model::certificate::Certificate;
use crate::model::certificate_files::{FileFault, Item, ItemKind, Life};
use crate::model::digest::stable_hash;
use crate::model::time::UnixTime;

/// What a file holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// Certificates and tokens in the order of the text.
    pub items: Vec<Item>,
    /// Files that a kubeconfig names, relative to its folder.
    pub named: Vec<(PieceKind, String)>,
    /// Blocks and entries that could not be read.
    pub damaged: u32,
    /// Whether the text ends inside a block, as while it is being written.
    pub is_cut_short: bool,
    /// Why nothing could be read at all.
    pub fault: Option<FileFault>,
}

/// A token that does not say when it began is taken to have lived this long: the longest that Kubernetes gives out.
const UNKNOWN_LIFE: std::time::Duration = std::time::Duration::from_secs(365 * 86_400);

/// Everything in `bytes` that has an end.
///
/// Issuers come through `intern`, since the certificates of a machine have few of them.
#[must_use]
pub fn contents(bytes: &[u8], intern: &mut dyn FnMut(&str) -> Arc<str>) -> Contents {
    if bytes.trim_ascii().is_empty() {
        return Contents { is_cut_short: true, fault: Some(FileFault::HalfWritten), ..Contents::default() };
    }
    let scan = pem::scan(bytes);
    if scan.markers > 0 {
        return of_pem(&scan, intern);
    }
    if let Some((read, is_for_clients)) = (bytes[0] == 0x30).then(|| x509::with_usage(bytes)).flatten() {
        return Contents { items: vec![certificate(&read, is_for_clients, 1, intern)], ..Contents::default() };
    }
    if bytes.starts_with(b"eyJ")
        && let Some(token) = token(bytes, ItemKind::Token, 1, intern)
    {
        return Contents { items: vec![token], ..Contents::default() };
    }
    if embedded::is_meant(bytes) {
        return of_kubeconfig(bytes, intern);
    }
    if talosconfig::is_meant(bytes) {
        return of_talosconfig(bytes, intern);
    }
    let fault = if is_other_form(bytes) { FileFault::Unsupported } else { FileFault::NothingInIt };
    Contents { fault: Some(fault), ..Contents::default() }
}

/// What a file holds that a kubeconfig names as its `kind`.
#[must_use]
pub fn piece(bytes: &[u8], kind: PieceKind, intern: &mut dyn FnMut(&str) -> Arc<str>) -> Contents {
    let items = match kind {
        PieceKind::Token => token(bytes, ItemKind::KubeconfigToken, 1, intern).into_iter().collect(),
        PieceKind::Certificate | PieceKind::Authority => {
            let mut found = of_pem(&pem::scan(bytes), intern);
            if kind == PieceKind::Certificate {
                found.items.iter_mut().for_each(in_kubeconfig);
            }
            return found;
        }
    };
    Contents { items, ..Contents::default() }
}

fn of_pem(scan: &pem::Scan, intern: &mut dyn FnMut(&str) -> Arc<str>) -> Contents {
    // Exactly as many as there will be, so that boxing them up moves nothing.
    let items = Vec::with_capacity(scan.certificates.len());
    let mut contents = Contents { items, damaged: saturated(scan.faults.len()), ..Contents::default() };
    for (found, position) in scan.certificates.iter().zip(1..) {
        match x509::with_usage(&found.der) {
            Some((read, is_for_clients)) => {
                contents.items.push(certificate(&read, is_for_clients, position, intern));
            }
            None => contents.damaged = contents.damaged.saturating_add(1),
        }
    }
    contents.is_cut_short = scan.is_truncated || scan.faults.last().is_some_and(|fault| fault.kind == FaultKind::NoEnd);
    if contents.items.is_empty() && scan.keys.is_empty() {
        let is_pkcs7 = scan.others.iter().any(|other| other.label.starts_with("PKCS"));
        contents.fault = Some(match () {
            () if contents.is_cut_short => FileFault::HalfWritten,
            () if is_pkcs7 => FileFault::Unsupported,
            () => FileFault::NothingInIt,
        });
    } else if contents.items.is_empty() {
        contents.fault = Some(FileFault::NothingInIt);
    }
    contents
}

fn of_kubeconfig(bytes: &[u8], intern: &mut dyn FnMut(&str) -> Arc<str>) -> Contents {
    let Some(pieces) = embedded::held(bytes) else {
        return Contents { fault: Some(FileFault::BrokenKubeconfig), ..Contents::default() };
    };
    let mut contents = Contents::default();
    for found in pieces {
        match found.material {
            Material::File(path) => contents.named.push((found.kind, path)),
            Material::Inline(bytes) => {
                let inner = piece(bytes.expose_secret(), found.kind, intern);
                contents.damaged = contents.damaged.saturating_add(inner.damaged);
                contents.items.extend(inner.items);
            }
        }
    }
    for (item, position) in contents.items.iter_mut().zip(1..) {
        item.position = position;
    }
    contents
}

fn of_talosconfig(bytes: &[u8], intern: &mut dyn FnMut(&str) -> Arc<str>) -> Contents {
    let mut contents = Contents::default();
    for piece in talosconfig::pieces(bytes) {
        let Some(pem) = piece.pem else {
            contents.damaged = contents.damaged.saturating_add(1);
            continue;
        };
        let mut inner = of_pem(&pem::scan(&pem), intern);
        if !piece.is_authority {
            inner.items.iter_mut().for_each(in_talosconfig);
        }
        contents.damaged = contents.damaged.saturating_add(inner.damaged);
        contents.items.extend(inner.items);
    }
    for (item, position) in contents.items.iter_mut().zip(1..) {
        item.position = position;
    }
    contents
}

const fn in_talosconfig(item: &mut Item) {
    if matches!(item.kind, ItemKind::Leaf | ItemKind::Client) {
        item.kind = ItemKind::TalosClient;
    }
}

fn certificate(
    read: &Certificate,
    is_for_clients: bool,
    position: u32,
    intern: &mut dyn FnMut(&str) -> Arc<str>,
) -> Item {
    let kind = match (read.is_ca, is_for_clients) {
        (true, _) => ItemKind::Authority,
        (false, true) => ItemKind::Client,
        (false, false) => ItemKind::Leaf,
    };
    Item {
        fingerprint: read.fingerprint,
        identity: read.identity(),
        life: Some(Life { not_before: read.not_before, not_after: read.not_after }),
        holder: read.subject.as_str().into(),
        issuer: intern(&read.issuer),
        key: read.key.and_then(|key| key.beginning()),
        position,
        kind,
    }
}

/// `None` for what is no JSON Web Token: a token of another kind has no end that could be read.
fn token(bytes: &[u8], kind: ItemKind, position: u32, intern: &mut dyn FnMut(&str) -> Arc<str>) -> Option<Item> {
    let claims = jwt::claims(bytes)?;
    let life = claims.expires.map(|not_after| Life {
        not_after,
        not_before: claims.issued.unwrap_or_else(|| UnixTime::minus(not_after, UNKNOWN_LIFE)),
    });
    Some(Item {
        fingerprint: claims.fingerprint,
        identity: stable_hash(&["token", &claims.subject, &claims.issuer]),
        life,
        holder: claims.subject.into(),
        issuer: intern(&claims.issuer),
        key: None,
        position,
        kind,
    })
}

fn in_kubeconfig(item: &mut Item) {
    item.kind = match item.kind {
        ItemKind::Leaf | ItemKind::Client => ItemKind::KubeconfigClient,
        ItemKind::Token => ItemKind::KubeconfigToken,
        kind @ (ItemKind::Authority
        | ItemKind::KubeconfigClient
        | ItemKind::TalosClient
        | ItemKind::KubeconfigToken) => kind,
    };
}

/// First bytes of PKCS#12 and DER PKCS#7 (a sequence), Java key stores, gzip, zip and tar.
fn is_other_form(bytes: &[u8]) -> bool {
    const JKS: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];
    const JCEKS: [u8; 4] = [0xce, 0xce, 0xce, 0xce];
    let is_tar = bytes.get(257..262) == Some(b"ustar");
    [&[0x30, 0x82][..], &[0x30, 0x80], &JKS, &JCEKS, &[0x1f, 0x8b], b"PK\x03\x04"]
        .iter()
        .any(|magic| bytes.starts_with(magic))
        || is_tar
}

fn saturated(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
