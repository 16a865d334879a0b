//! F28: a certificate, CA or token in a file ends soon or has ended, or watched files cannot be read.
//!
//! What an endpoint serves is reported by F26, and so is the same certificate on disk. What was replaced beside itself
//! (the dated files of a kubelet, a backup) is not reported. Our own credentials are reported as such.

pub mod ends;
pub mod item;
mod own;
mod spare;
pub mod unread;

use crate::model::rule::RuleId;
use crate::model::subject::Subject;
use crate::model::verdict::Verdict;

use super::Rule;
use super::context::RuleContext;
use super::description::{Description, Shows};
use super::edges::Edge;
use super::stored::{ReadBack, Stored};

use ends::Watched;
use item::StoredExpiry;
use spare::Depended;
use unread::Unread;

/// F28: something in a file reaches its end, or cannot be read.
pub struct StoredEnds;

impl Rule for StoredEnds {
    fn description(&self) -> &'static Description {
        &Description {
            id: RuleId::F28,
            name: "FileCertificateExpiring",
            in_short: "credential or file",
            title: "certificate or token in a file expires soon, has expired, or cannot be read",
            impact: "When it expires its user is locked out; an unreadable file hides that.",
            likely_cause: "Not renewed, or the file is missing or unreadable.",
            shows: Shows::Files,
        }
    }

    fn read(&self, stored: &Stored) -> Option<ReadBack> {
        stored.kind::<StoredExpiry>().or_else(|| stored.kind::<Unread>())
    }

    fn explains(&self) -> &'static [Edge] {
        const EDGES: [Edge; 1] = [Edge::in_cluster(RuleId::F52)];
        &EDGES
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let scope = context.cluster.map(|(name, _)| name);
        let Some(watches) = context.view.inventory().files(scope).filter(|watches| !watches.is_empty()) else {
            return Vec::new();
        };
        let is_clock_trusted = context.view.is_wall_clock_trusted(context.now.mono);
        let depended = Depended::of(context);
        let files_view = context.view.files_view(scope);
        let watched = Watched { context, scope, watches, files_view, is_clock_trusted, depended };
        let mut verdicts = watched.ends();
        verdicts.extend(watches.iter().map(|(name, watch)| {
            let subject = watched.subject(name.clone());
            (subject.clone(), unread::judge_source(context, files_view, subject, name, watch))
        }));
        verdicts
    }

    #[cfg(test)]
    fn sample(&self) -> crate::samples::Sample {
        item::sample()
    }
}
