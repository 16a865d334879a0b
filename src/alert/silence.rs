//! Silences in force, each with the instant at which it ends by itself. What they withhold is recorded in the incidents
//! (`group/withheld.rs`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::silence::{LONGEST, Silence};
use crate::model::subject::Name;
use crate::model::time::{Mono, Now};

/// All silences, one per cluster at most.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Silences {
    active: BTreeMap<Name, Active>,
}

/// A silence and its end on the clock that never steps.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Active {
    silence: Silence,
    ends: Mono,
}

impl Silences {
    /// Begins a silence; one of the same cluster is replaced. It never lasts longer than [`LONGEST`] from `now`.
    pub fn begin(&mut self, silence: Silence, now: Now) {
        let ends = now.mono.plus(silence.until.since(now.wall).min(LONGEST));
        self.active.insert(silence.cluster.clone(), Active { silence, ends });
    }

    /// The silence of a cluster.
    #[must_use]
    pub fn of(&self, cluster: &Name) -> Option<&Silence> {
        self.active.get(cluster).map(|active| &active.silence)
    }

    /// Ends the silence of a cluster before its time.
    pub fn end(&mut self, cluster: &Name) -> Option<Silence> {
        self.active.remove(cluster).map(|active| active.silence)
    }

    /// Clusters whose silence is over by either clock: a clock that steps must not prolong one.
    #[must_use]
    pub fn over(&self, now: Now) -> Vec<Name> {
        let is_over = |active: &Active| active.ends <= now.mono || active.silence.until <= now.wall;
        self.active.iter().filter(|(_, active)| is_over(active)).map(|(cluster, _)| cluster.clone()).collect()
    }

    /// When the next silence ends.
    #[must_use]
    pub fn next(&self) -> Option<Mono> {
        self.active.values().map(|active| active.ends).min()
    }

    /// All silences, by cluster.
    pub fn all(&self) -> impl Iterator<Item = &Silence> {
        self.active.values().map(|active| &active.silence)
    }
}
