//! What was counted of the probes at one endpoint: how long they and their phases took, and how they ended.
//!
//! Bounded by the closed sets of kinds, phases and causes, and kept small: a vantage that watches ten thousand
//! endpoints holds ten thousand of these. Knows nothing of observations; `observe/history.rs` adds, the metrics page
//! reads.

use std::time::Duration;

use serde::de::Error as _;
use serde::de::IntoDeserializer;
use serde::de::value;
use serde::{Deserialize, Deserializer, Serialize};

use super::histogram::Histogram;
use super::phase::{Cause, Phase};
use super::probe::{Connection, ProbeKind};

/// How a probe ended that was answered as it should be.
pub const OK: &str = "ok";

/// How a health probe ended that was answered with anything but status 200.
pub const NOT_READY: &str = "not_ready";

/// How any other probe ended that was.
pub const BAD_STATUS: &str = "bad_status";

type Endings = Vec<((Asked, &'static str), u64)>;

/// Counts since start, or since the endpoint came into the configuration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Tally {
    // Sorted: a dozen entries are searched as quickly as a tree, in a third of its room.
    durations: Vec<(Asked, Histogram)>,
    phases: Vec<((Asked, Phase), Sum)>,
    #[serde(deserialize_with = "endings")]
    endings: Endings,
}

/// What was asked over which connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Asked {
    /// Kind of probe.
    pub kind: ProbeKind,
    /// New or kept connection.
    pub connection: Connection,
}

/// How many durations there were, and their sum.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Sum {
    /// How many.
    pub count: u64,
    /// In seconds.
    pub seconds: f64,
}

impl Tally {
    /// Counts one probe that ended with `outcome`: `ok`, what an answer says, or the cause of a failure.
    pub fn end(&mut self, asked: Asked, outcome: &'static str) {
        *entry(&mut self.endings, (asked, outcome)) += 1;
    }

    /// Counts how long a probe took that got an answer, as far as its distribution is kept.
    pub fn answered(&mut self, asked: Asked, spent: Duration) {
        if has_distribution(asked.kind) {
            entry(&mut self.durations, asked).observe(spent);
        }
    }

    /// Counts how long a phase took that a probe reached, whether or not it failed there.
    pub fn reached(&mut self, asked: Asked, phase: Phase, spent: Duration) {
        entry(&mut self.phases, (asked, phase)).add(spent);
    }

    /// The durations of probes that got an answer, in order.
    pub fn durations(&self) -> impl Iterator<Item = (Asked, &Histogram)> {
        self.durations.iter().map(|(asked, histogram)| (*asked, histogram))
    }

    /// The durations of phases that probes reached, in order.
    pub fn phases(&self) -> impl Iterator<Item = (Asked, Phase, Sum)> {
        self.phases.iter().map(|((asked, phase), sum)| (*asked, *phase, *sum))
    }

    /// How many probes ended with which outcome, in order.
    pub fn endings(&self) -> impl Iterator<Item = (Asked, &'static str, u64)> {
        self.endings.iter().map(|((asked, outcome), times)| (*asked, *outcome, *times))
    }
}

/// Endings as they were counted. Their words are those of a closed set; one that is unknown is refused.
fn endings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Endings, D::Error> {
    let read: Vec<((Asked, String), u64)> = Deserialize::deserialize(deserializer)?;
    let known = |((asked, word), times): ((Asked, String), u64)| match ending(&word) {
        Some(word) => Ok(((asked, word), times)),
        None => Err(D::Error::custom(format_args!("{word} is no ending of a probe"))),
    };
    read.into_iter().map(known).collect()
}

fn ending(word: &str) -> Option<&'static str> {
    let answered = [OK, NOT_READY, BAD_STATUS].into_iter().find(|known| *known == word);
    answered.or_else(|| {
        let cause = Cause::deserialize(IntoDeserializer::<value::Error>::into_deserializer(word)).ok()?;
        Some(cause.as_str())
    })
}

/// Whether quantiles are kept: of what clients wait for. Of everything else the mean says enough, and a distribution
/// takes ten lines of the page for each endpoint.
const fn has_distribution(kind: ProbeKind) -> bool {
    matches!(kind, ProbeKind::Readyz | ProbeKind::Version)
}

impl Sum {
    fn add(&mut self, spent: Duration) {
        self.count += 1;
        self.seconds += spent.as_secs_f64();
    }
}

/// What `entries`, which are sorted, hold under `key`.
fn entry<K: Ord + Copy, V: Default>(entries: &mut Vec<(K, V)>, key: K) -> &mut V {
    let at = match entries.binary_search_by_key(&key, |(known, _)| *known) {
        Ok(at) => at,
        Err(at) => {
            // Most are never joined by another one.
            entries.reserve_exact(1);
            entries.insert(at, (key, V::default()));
            at
        }
    };
    &mut entries[at].1
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Asked = Asked { kind: ProbeKind::Readyz, connection: Connection::New };
    const LIVEZ: Asked = Asked { kind: ProbeKind::Livez, connection: Connection::Reused };

    #[test]
    fn what_is_counted_is_kept_apart_and_in_order() {
        let mut tally = Tally::default();
        for (asked, phase) in [(LIVEZ, Phase::FirstByte), (NEW, Phase::Tls), (NEW, Phase::Dial), (NEW, Phase::Tls)] {
            tally.reached(asked, phase, Duration::from_millis(5));
        }
        for outcome in ["timeout", "ok", "ok"] {
            tally.end(NEW, outcome);
        }

        let phases: Vec<_> = tally.phases().map(|(asked, phase, sum)| (asked, phase, sum.count)).collect();
        assert_eq!(phases, [(NEW, Phase::Dial, 1), (NEW, Phase::Tls, 2), (LIVEZ, Phase::FirstByte, 1)]);
        assert_eq!(tally.endings().collect::<Vec<_>>(), [(NEW, "ok", 2), (NEW, "timeout", 1)]);
    }

    #[test]
    fn only_what_clients_wait_for_has_a_distribution() {
        let mut tally = Tally::default();
        for asked in [NEW, LIVEZ] {
            tally.answered(asked, Duration::from_millis(5));
        }

        assert_eq!(tally.durations().map(|(asked, known)| (asked, known.count())).collect::<Vec<_>>(), [(NEW, 1)]);
    }
}
