//! What was found in a file to the items that the daemon keeps of it.

use std::sync::Arc;
use std::time::Duration;

use super::super::{jwt, kubeadm, x509};
use super::{Contents, Found, What};
use crate::model::certificate::Certificate;
use crate::model::certificate_files::{Item, ItemKind, Life};
use crate::model::digest::stable_hash;
use crate::model::time::UnixTime;

/// A token that does not say when it began is taken to have lived this long, the longest that Kubernetes gives out; a
/// certificate of kubeadm's report as well, which lives as long as that by default.
const UNKNOWN_LIFE: Duration = Duration::from_secs(365 * 86_400);

impl Contents {
    /// What has an end, or says that it has none. Issuers come through `intern`, since the certificates of a machine
    /// have few of them.
    #[must_use]
    pub fn items(&mut self, intern: &mut dyn FnMut(&str) -> Arc<str>) -> Vec<Item> {
        let found = std::mem::take(&mut self.found);
        // Exactly as many as there will be, so that boxing them up moves nothing.
        let mut items = Vec::with_capacity(found.iter().filter(|found| found.is_item()).count());
        for found in found {
            let position = u32::try_from(items.len() + 1).unwrap_or(u32::MAX);
            items.extend(found.into_item(position, intern));
        }
        items
    }

    /// The number of blocks and entries that could not be read.
    #[must_use]
    pub fn damaged(&self) -> u32 {
        u32::try_from(self.faults.len()).unwrap_or(u32::MAX)
    }
}

impl Found {
    const fn is_item(&self) -> bool {
        !matches!(self.what, What::NotKnowable(_))
    }

    fn into_item(self, position: u32, intern: &mut dyn FnMut(&str) -> Arc<str>) -> Option<Item> {
        match self.what {
            What::Certificate { certificate, .. } => Some(of_certificate(&certificate, self.kind, position, intern)),
            What::Token(claims) => Some(of_token(claims, self.kind, position, intern)),
            What::Reported(row) => of_report(&row, self.kind, position, intern),
            What::NotKnowable(_) => None,
        }
    }
}

fn of_certificate(read: &Certificate, kind: ItemKind, position: u32, intern: &mut dyn FnMut(&str) -> Arc<str>) -> Item {
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

fn of_token(claims: jwt::Claims, kind: ItemKind, position: u32, intern: &mut dyn FnMut(&str) -> Arc<str>) -> Item {
    let life = claims.expires.map(|not_after| Life {
        not_after,
        not_before: claims.issued.unwrap_or_else(|| UnixTime::minus(not_after, UNKNOWN_LIFE)),
    });
    Item {
        fingerprint: claims.fingerprint,
        identity: stable_hash(&["token", &claims.subject, &claims.issuer]),
        life,
        holder: claims.subject.into(),
        issuer: intern(&claims.issuer),
        key: None,
        position,
        kind,
    }
}

/// kubeadm tells no fingerprint: name, issuer and end together stand for it.
fn of_report(
    row: &kubeadm::Row,
    kind: ItemKind,
    position: u32,
    intern: &mut dyn FnMut(&str) -> Arc<str>,
) -> Option<Item> {
    let not_after = row.not_after?;
    let written = format!("kubeadm\n{}\n{}\n{not_after}", row.name, row.issuer);
    Some(Item {
        fingerprint: x509::fingerprint(written.as_bytes()),
        identity: stable_hash(&["kubeadm", &row.name, &row.issuer]),
        life: Some(Life { not_after, not_before: not_after.minus(UNKNOWN_LIFE) }),
        holder: format!("kubeadm {}", row.name).into(),
        issuer: intern(&row.issuer),
        key: None,
        position,
        kind,
    })
}
