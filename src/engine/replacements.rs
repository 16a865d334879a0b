//! The certificates that took the place of those a resolved incident was about.
//!
//! Read from what the endpoints serve and the files hold when the mail is composed; decides nothing.

use crate::model::certificate::{Fingerprint, Served};
use crate::model::certificate_evidence::{CertificateEvidence, Ending};
use crate::model::certificate_files::{Item, ItemKind};
use crate::model::incident::Incident;
use crate::model::replacement::Replacement;
use crate::model::subject::{Name, Subject};
use crate::model::verdict::Finding;
use crate::observe::certificate_files::FilesView;
use crate::observe::view::View;

/// Replacements in one message: as many places as a mail lists of a certificate.
const MOST: usize = 24;

/// What is seen now in the places of every certificate that `incident` was about; nothing while it is open, and nothing
/// of what is no longer monitored.
pub(super) fn replacements(view: &View, incident: &Incident) -> Vec<Replacement> {
    if incident.over.is_none_or(|over| over.withdrawn) {
        return Vec::new();
    }
    let of_part = |finding: &Finding| of(view, finding, view.files_view(incident.cluster.as_ref()));
    // The parts hold what was bad last, the headline what was bad first: endpoints recover one after the other.
    let findings = incident.parts.iter().map(|part| &part.finding).chain([&incident.headline]);
    let mut found: Vec<Replacement> = findings.flat_map(of_part).collect();
    found.sort_by(|a, b| (&a.place, a.fingerprint, a.was).cmp(&(&b.place, b.fingerprint, b.was)));
    found.dedup();
    found.truncate(MOST);
    found
}

fn of(view: &View, finding: &Finding, files_view: Option<&FilesView>) -> Vec<Replacement> {
    let Some(certificates) = finding.evidence.certificates() else { return Vec::new() };
    match certificates {
        CertificateEvidence::Served { ending, is_authority, places, .. } => {
            let of_ca = is_authority.then_some(ending.holder);
            places.iter().filter_map(|place| served(view, place, ending.fingerprint, of_ca)).collect()
        }
        CertificateEvidence::Untrusted { parts, .. } => {
            parts.iter().filter_map(|part| served(view, &part.place, part.fingerprint, None)).collect()
        }
        CertificateEvidence::Outdated { served: was, .. } => {
            served(view, &finding.subject, was, None).into_iter().collect()
        }
        CertificateEvidence::Filed { ending, kind, files, sources, .. } => {
            files_view.and_then(|view| stored(view, ending, kind, files, sources)).into_iter().collect()
        }
    }
}

/// What `place` serves now: its own certificate, or the CA of that name where it was one that expired.
fn served(view: &View, place: &Subject, was: Fingerprint, of_ca: Option<&str>) -> Option<Replacement> {
    let served: &Served = &view.served(place)?.served;
    let ca = of_ca.and_then(|name| served.chain.iter().skip(1).find(|certificate| certificate.subject == name));
    let certificate = ca.or_else(|| served.leaf())?;
    Some(Replacement {
        place: view.inventory().place(place),
        subject: certificate.subject.clone(),
        fingerprint: certificate.fingerprint,
        not_after: certificate.not_after,
        was,
    })
}

/// The item of the same kind and subject that lies in the same file, or else in the same source, and lasts longest.
fn stored(
    files_view: &FilesView,
    ending: Ending<'_>,
    kind: ItemKind,
    paths: &[String],
    sources: &[Name],
) -> Option<Replacement> {
    let is_alike = |item: &Item| item.kind == kind && *item.holder == *ending.holder;
    let candidates = files_view.reading().held().filter(|held| held.is_current()).flat_map(|held| held.places());
    let best = candidates
        .filter(|(source, file, item)| {
            let is_near = sources.contains(&source.name) || paths.iter().any(|path| **path == *file.path);
            is_near && is_alike(item)
        })
        .filter_map(|(_, file, item)| Some((file, item, item.life?.not_after)))
        .max_by_key(|(file, _, not_after)| (paths.iter().any(|path| **path == *file.path), *not_after))?;
    let (file, item, not_after) = best;
    Some(Replacement {
        place: file.place(),
        subject: item.holder.to_string(),
        fingerprint: item.fingerprint,
        not_after,
        was: ending.fingerprint,
    })
}
