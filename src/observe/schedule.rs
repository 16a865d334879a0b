//! When each probe of the plan is due: fixed intervals on its own clock, phases spread by a hash, never moved by slow answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::digest::stable_hash;
use crate::model::plan::{Plan, PlannedProbe};
use crate::model::probe::Probe;
use crate::model::time::Mono;

/// The first run of every probe comes within this time of the start, or within one interval; later where there are more
/// probes than [`FIRST_RATE`] allows.
const FIRST_WITHIN: Duration = Duration::from_secs(3);

/// First probes a second. Each opens a connection, and a vantage of two cores that opened ten thousand at once would
/// time out on its own queue (it opens 1,000 a second when it does nothing else).
const FIRST_RATE: u32 = 500;

/// Probes start at multiples of this after the start. What starts in one moment is sent, answered and judged while the
/// processor is awake: waking it for each costs a third of a probe where a thousand clusters are probed (`benches/load`).
/// Five of 200 probes a second start together, and the last of them waits some 2 ms for the others.
const TOGETHER: Duration = Duration::from_millis(25);

/// The plan, and when each of its probes is due.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Schedule {
    plan: Plan,
    /// When each probe is due, by its line in the plan: names are long, and there are three probes to an endpoint.
    due: BTreeSet<(Mono, usize)>,
}

impl Schedule {
    /// Every probe of `plan`, as `vantage` spreads them.
    #[must_use]
    pub fn new(plan: Plan, vantage: &str, start: Mono) -> Self {
        let within = first_within(plan.probes().len());
        let first =
            |line: &PlannedProbe| start.plus(phase(vantage, &line.probe, line.interval.min(within))).plus(line.turn);
        let due = plan.probes().iter().enumerate().map(|(place, line)| (first(line), place)).collect();
        Self { plan, due }
    }

    /// Every probe of another plan. Probes that existed before keep their times; a shorter interval takes effect within
    /// that interval, and new probes begin as after a start.
    pub fn replace(&mut self, plan: Plan, vantage: &str, now: Mono) {
        let before = std::mem::replace(self, Self { plan, due: BTreeSet::new() });
        let lines = before.plan.probes();
        let known: BTreeMap<&Probe, (Mono, Duration)> = before
            .due
            .iter()
            .filter_map(|(due, place)| lines.get(*place).map(|line| (&line.probe, (*due, line.interval))))
            .collect();
        let lines = self.plan.probes();
        let within = first_within(lines.iter().filter(|line| !known.contains_key(&line.probe)).count());
        for (place, PlannedProbe { probe, interval, turn, .. }) in lines.iter().enumerate() {
            let soon = |within: Duration| now.plus(phase(vantage, probe, within.min(*interval)));
            let next = match known.get(probe) {
                Some((due, same)) if same == interval => *due,
                Some((due, _)) => (*due).min(soon(*interval)),
                None => soon(within).plus(*turn),
            };
            self.due.insert((next, place));
        }
    }

    /// The plan that it sends.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// When the next probe is due.
    #[must_use]
    pub fn next(&self) -> Option<Mono> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Takes the next probe that is due at `now`, with the time it was due, and sets its next tick.
    ///
    /// Ticks that lie in the past because the scheduler was late are skipped, not caught up: a burst of old probes
    /// would measure our own stall. The number of them comes back as well.
    pub fn pop(&mut self, now: Mono) -> Option<(Probe, Mono, u64)> {
        let (due, place) = self.due.first().filter(|(due, _)| *due <= now).copied()?;
        self.due.pop_first();
        let PlannedProbe { probe, interval, .. } = self.plan.probes().get(place)?.clone();
        let mut next = due.plus(interval);
        let mut missed = 0;
        if next <= now {
            let behind = u32::try_from(now.since(due).as_nanos() / interval.as_nanos().max(1)).unwrap_or(u32::MAX);
            missed = u64::from(behind);
            next = due.plus(interval.saturating_mul(behind)).plus(interval);
        }
        self.due.insert((next, place));
        Some((probe, due, missed))
    }
}

/// Within which time of the start so many probes are first made.
fn first_within(probes: usize) -> Duration {
    FIRST_WITHIN.max(Duration::from_secs(1) * u32::try_from(probes).unwrap_or(u32::MAX) / FIRST_RATE)
}

/// A fixed offset within `within` for each probe, from a hash, so that the probes do not all start together.
///
/// In steps of [`TOGETHER`], so that probes of many clusters share a wake-up.
fn phase(vantage: &str, probe: &Probe, within: Duration) -> Duration {
    // The canaries of a cluster keep their distances: the Lease is read so long after it was written.
    let cluster = probe.subject.cluster().filter(|_| probe.kind.canary().is_some());
    let text = cluster.map_or_else(|| probe.to_string(), ToString::to_string);
    let hash = stable_hash(&[vantage, &text]);
    let thousandth = u32::try_from(hash % 1000).unwrap_or(0);
    let offset = within * thousandth / 1000;
    let steps = offset.as_nanos() / TOGETHER.as_nanos();
    TOGETHER * u32::try_from(steps).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use crate::model::inventory::Inventory;
    use crate::model::policy::Policy;
    use crate::model::probe::ProbeKind;
    use crate::model::subject::{Name, Subject};

    use super::*;

    /// Nothing but the clock of this machine is read in it.
    fn schedule_of_one(interval: Duration) -> Schedule {
        let policy = Policy { own_clock_interval: interval, ..Policy::default() };
        let plan = Plan::new(&Inventory::default(), &policy);
        assert_eq!(plan.probes().len(), 1);
        Schedule { plan, due: BTreeSet::from([(Mono::ORIGIN, 0)]) }
    }

    #[test]
    fn probes_of_many_clusters_share_their_wake_ups() {
        let name = |n: u32| format!("c{n}").parse::<Name>().unwrap();
        let vantage = "bastion-1";
        let phases = (0..1_000).map(|n| {
            let probe = Probe::anew(Subject::Vip(name(n)), ProbeKind::Readyz);
            phase(vantage, &probe, Duration::from_secs(5))
        });
        let phases: BTreeSet<Duration> = phases.collect();

        assert!(phases.len() <= 200 && phases.len() > 150, "{}", phases.len());
        assert!(phases.iter().all(|phase| phase.as_millis() % TOGETHER.as_millis() == 0));
    }

    #[test]
    fn a_late_wake_up_skips_ticks_and_keeps_the_grid() {
        let mut schedule = schedule_of_one(Duration::from_secs(3));

        let (_, due, missed) = schedule.pop(Mono(Duration::from_secs(10))).unwrap();

        assert_eq!(due, Mono::ORIGIN);
        assert_eq!(missed, 3);
        assert_eq!(schedule.next(), Some(Mono(Duration::from_secs(12))));
    }

    #[test]
    fn a_tick_on_time_misses_nothing() {
        let mut schedule = schedule_of_one(Duration::from_secs(3));

        let (_, _, missed) = schedule.pop(Mono(Duration::from_millis(5))).unwrap();

        assert_eq!(missed, 0);
        assert_eq!(schedule.next(), Some(Mono(Duration::from_secs(3))));
    }
}
