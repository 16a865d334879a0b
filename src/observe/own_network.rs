//! Proof that our own path works: when something outside this machine last answered or refused.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::time::{Mono, Now};

/// Scheduled starts of probes that proved the path, thinned to one in 50 ms and kept for a minute.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct OwnNetwork {
    proofs: VecDeque<Mono>,
    first_since_isolated: Option<Now>,
    last_proof: Option<Now>,
    proofs_since_isolated: u32,
    isolated: bool,
    /// When the network was last found to be lost.
    found_isolated: Option<Mono>,
}

const THINNING: Duration = Duration::from_millis(50);
const KEPT: Duration = Duration::from_secs(60);

impl OwnNetwork {
    /// A probe scheduled at `scheduled` proved the path.
    pub fn prove(&mut self, scheduled: Now) {
        // A probe that was under way when the network was lost may have got its answer before that, so it does not show
        // that the network is back.
        if self.found_isolated.is_none_or(|found| scheduled.mono >= found) {
            self.count(scheduled);
        }
        if self.proofs.back().is_some_and(|last| scheduled.mono < last.plus(THINNING)) {
            return;
        }
        self.proofs.push_back(scheduled.mono);
        while self.proofs.front().is_some_and(|oldest| scheduled.mono.since(*oldest) > KEPT) {
            self.proofs.pop_front();
        }
    }

    fn count(&mut self, scheduled: Now) {
        if self.proofs_since_isolated == 0 {
            self.first_since_isolated = Some(scheduled);
        }
        self.proofs_since_isolated = self.proofs_since_isolated.saturating_add(1);
        if self.last_proof.is_none_or(|last| last.mono < scheduled.mono) {
            self.last_proof = Some(scheduled);
        }
    }

    /// Whether a probe scheduled between the two instants, both included, proved the path.
    #[must_use]
    pub fn is_proven_between(&self, from: Mono, to: Mono) -> bool {
        self.proofs.iter().rev().any(|proof| from <= *proof && *proof <= to)
    }

    /// Scheduled start of the latest proof.
    #[must_use]
    pub fn last(&self) -> Option<Mono> {
        self.proofs.back().copied()
    }

    /// The vantage turned out to be isolated at `now`, or sees again.
    pub const fn set_isolated(&mut self, isolated: bool, now: Mono) {
        if isolated && !self.isolated {
            self.first_since_isolated = None;
            self.proofs_since_isolated = 0;
            self.found_isolated = Some(now);
        }
        self.isolated = isolated;
    }

    /// Whether the vantage is isolated.
    #[must_use]
    pub const fn is_isolated(&self) -> bool {
        self.isolated
    }

    /// The first proof after the last isolation (or since start), the last one, and how many there were. A probe that
    /// was scheduled before the isolation was found is none of them, whenever its answer came.
    #[must_use]
    pub fn since_isolated(&self) -> Option<(Now, Now, u32)> {
        Some((self.first_since_isolated?, self.last_proof?, self.proofs_since_isolated))
    }
}
