//! The results of verification of the chains that one endpoint served, handshake by handshake.
//!
//! Of all leaves together, because a balancer serves the certificates of its instances in turn. Called by
//! `view/apply.rs`.

use serde::{Deserialize, Serialize};

use crate::model::certificate::{Distrust, Trust};
use crate::model::policy::Policy;
use crate::model::time::Now;

use super::probe_runs::Run;

/// Handshakes that were trusted and refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trusting {
    latest: Option<Trust>,
    good: Option<Run>,
    bad: Option<(Distrust, Run)>,
    was: Option<Distrust>,
}

impl Trusting {
    /// Records the result of verification of a handshake at `at`. Returns whether it is the first that is refused for
    /// this reason. Handshakes of which nothing is known change nothing.
    pub fn take(&mut self, trust: Trust, at: Now, policy: &Policy) -> bool {
        match (trust, trust.distrust()) {
            (_, Some(reason)) => {
                let known = self.bad.filter(|(known, _)| *known == reason);
                self.bad = Some((reason, Run::extended(known.map(|(_, run)| run), at)));
                (self.good, self.was) = (None, Some(reason));
                self.latest = Some(trust);
                known.is_none()
            }
            (Trust::Trusted, None) => {
                let good = Run::extended(self.good, at);
                let lasted = good.last.mono.since(good.first.mono);
                if lasted >= policy.keep_firing_for && good.probes >= policy.recovery_probes {
                    self.bad = None;
                }
                (self.good, self.latest) = (Some(good), Some(trust));
                false
            }
            // Expiry is reported by another rule, and shows nothing about other failures of verification.
            (Trust::Expired, None) => {
                (self.good, self.latest) = (None, Some(trust));
                false
            }
            (_, None) => false,
        }
    }

    /// Handshakes that were refused for `reason`, with none between them that lasted; whether the latest was one.
    #[must_use]
    pub fn refused(&self, reason: Distrust) -> Option<(&Run, bool)> {
        let (_, run) = self.bad.as_ref().filter(|(known, _)| *known == reason)?;
        Some((run, self.latest.and_then(Trust::distrust) == Some(reason)))
    }

    /// Handshakes in a row that were trusted, up to the latest.
    #[must_use]
    pub const fn trusted(&self) -> Option<&Run> {
        self.good.as_ref()
    }

    /// Whether one was ever refused for `reason`.
    #[must_use]
    pub fn was(&self, reason: Distrust) -> bool {
        self.was == Some(reason)
    }
}
