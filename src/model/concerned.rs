//! Which subjects a finding is about: its own, or those that its evidence names.

use super::subject::Subject;
use super::verdict::{Evidence, Finding};

impl Finding {
    /// The subjects that were bad: those that the evidence names where it names any, else the finding's own.
    #[must_use]
    pub fn concerned(&self) -> Vec<Subject> {
        let named: Vec<Subject> = match &self.evidence {
            Evidence::Quorum { silent, .. } => silent.iter().map(|(member, _)| member.clone()).collect(),
            Evidence::Split { apart, .. } => apart.iter().map(|apart| apart.member.clone()).collect(),
            Evidence::Quota(fill) => vec![fill.member.clone()],
            Evidence::AllBad { parts } | Evidence::Impostor { parts, .. } => {
                parts.iter().map(|(part, _)| part.clone()).collect()
            }
            Evidence::NotReady { parts, .. } => parts.iter().map(|(part, _)| part.clone()).collect(),
            Evidence::Slow { parts, awaited, .. } => {
                parts.iter().map(|(part, _)| part).chain(awaited).cloned().collect()
            }
            Evidence::Untrusted { parts, .. } => parts.iter().map(|part| part.place.clone()).collect(),
            Evidence::Expiry { places, .. } => places.clone(),
            Evidence::Refused { by, .. } => by.iter().map(|(place, _)| place.clone()).collect(),
            Evidence::Hello { endpoints, .. } => endpoints.clone(),
            Evidence::Silent { .. }
            | Evidence::Mismatch { .. }
            | Evidence::Elections { .. }
            | Evidence::Partial { .. }
            | Evidence::Vip { .. }
            | Evidence::Alarm { .. }
            | Evidence::Stored { .. }
            | Evidence::Unread { .. }
            | Evidence::Stale { .. }
            | Evidence::DeadAddresses { .. }
            | Evidence::SilentReference { .. }
            | Evidence::Coverage { .. }
            | Evidence::SinglePoints { .. }
            | Evidence::Proxy { .. }
            | Evidence::Isolated { .. } => Vec::new(),
        };
        if named.is_empty() { vec![self.subject.clone()] } else { named }
    }
}
