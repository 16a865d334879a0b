//! CAs in a bundle beside their successor, on which nothing that was verified depends any more.
//!
//! During a rotation both CAs are trusted, and the old one stays in the bundle when it has expired. That does no harm
//! as long as some path leads to another of them, because clients try each.

use std::collections::BTreeSet;

use crate::judge::context::RuleContext;
use crate::model::certificate::{Fingerprint, Trust};
use crate::model::certificate_files::{Held, Item, ItemKind};

/// The CAs that the served chains of a cluster lead to.
pub(super) struct Depended<'a> {
    /// CAs on the paths that verify.
    on: BTreeSet<Fingerprint>,
    /// Issuers in chains whose CA is not known.
    unproven: BTreeSet<&'a str>,
}

impl<'a> Depended<'a> {
    pub(super) fn of(context: &'a RuleContext<'_>) -> Self {
        let mut depended = Self { on: BTreeSet::new(), unproven: BTreeSet::new() };
        for seen in context.served_endpoints().iter().filter_map(|endpoint| context.view.served(endpoint)) {
            match (&seen.served.path, seen.served.trust) {
                (Some(path), _) => {
                    depended.on.insert(path.anchor);
                    depended.on.extend(&path.intermediates);
                }
                // None of our CAs verifies it, expired or not.
                (None, Trust::UnknownAuthority) => {}
                (
                    None,
                    Trust::Trusted
                    | Trust::Expired
                    | Trust::NotYetValid
                    | Trust::WrongName
                    | Trust::WrongPurpose
                    | Trust::Invalid
                    | Trust::Unproven
                    | Trust::Unverified,
                ) => depended.unproven.extend(seen.served.chain.iter().map(|sent| sent.issuer.as_str())),
            }
        }
        depended
    }

    /// Whether a path that verifies leads over this certificate.
    pub(super) fn is_on(&self, fingerprint: Fingerprint) -> bool {
        self.on.contains(&fingerprint)
    }

    /// Whether `held` is a CA that nothing depends on, beside its successor in every file that holds it.
    ///
    /// One that has not ended yet counts only where a path that verifies leads to the successor: until then the
    /// rotation may not be complete.
    pub(super) fn is_spare(&self, context: &RuleContext<'_>, held: Held<'_>) -> bool {
        let item = held.item();
        let Some(life) = item.life.filter(|_| item.kind == ItemKind::Authority) else { return false };
        if self.is_on(item.fingerprint) || self.unproven.contains(item.holder.as_ref()) {
            return false;
        }
        let has_ended = life.not_after < context.now.wall;
        let lasts =
            |other: &Item| other.life.is_some_and(|other| other.not_after > life.not_after.max(context.now.wall));
        let is_successor = |other: &Item| {
            other.kind == ItemKind::Authority
                && lasts(other)
                && (self.is_on(other.fingerprint) || has_ended && other.holder == item.holder)
        };
        held.places().all(|(_, file, _)| file.items.iter().any(is_successor))
    }
}
