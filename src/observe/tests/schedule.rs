//! What the schedule costs, and that it keeps its grid.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::{inventory, name};
use crate::model::policy::Policy;
use crate::model::probe::Probe;
use crate::model::time::Mono;
use crate::observe::schedule::Schedule;

const START: Mono = Mono(Duration::from_secs(1_000));

fn planned(apiservers: u8, members: u8) -> f64 {
    let inventory = inventory(apiservers, members);
    Schedule::new(&inventory, &Policy::default(), START).planned(&inventory)[&Some(name("prod"))]
}

/// The budget that people are promised: 0.6 requests per second and apiserver and 2 more; 0.5 per etcd member.
#[test]
fn the_planned_rate_keeps_the_promised_budget() {
    for instances in 1..=5 {
        let rate = planned(instances, 0);
        assert!(rate <= 0.6 * f64::from(instances) + 2.0, "{instances} apiservers: {rate}");
    }
    for members in 1..=5 {
        let rate = planned(3, members) - planned(3, 0);
        assert!(rate <= 0.5 * f64::from(members) + 1e-9, "{members} members: {rate}");
    }
}

#[test]
fn the_planned_rate_is_what_is_really_asked_for() {
    let inventory = inventory(3, 0);
    let minutes = 10;
    let mut schedule = Schedule::new(&inventory, &Policy::default(), START);

    let asked = asked_until(&mut schedule, START.plus(Duration::from_secs(60 * minutes)));
    let of_cluster: usize =
        asked.iter().filter(|(probe, _)| probe.subject.cluster().is_some()).map(|(_, times)| times.len()).sum();

    let rate = f64::from(u32::try_from(of_cluster).unwrap()) / (60.0 * 10.0);
    assert!((rate - planned(3, 0)).abs() < 0.05, "{rate}");
}

#[test]
fn every_probe_is_first_asked_within_three_seconds_and_then_at_its_interval() {
    let mut schedule = Schedule::new(&inventory(3, 3), &Policy::default(), START);
    let intervals: BTreeMap<Probe, Duration> =
        schedule.probes().map(|(probe, interval)| (probe.clone(), interval)).collect();

    let asked = asked_until(&mut schedule, START.plus(Duration::from_secs(200)));

    assert_eq!(asked.len(), intervals.len());
    for (probe, times) in asked {
        assert!(times[0].since(START) < Duration::from_secs(3), "{probe}");
        assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) == intervals[&probe]), "{probe}");
    }
}

#[test]
fn first_probes_are_spread() {
    let schedule = Schedule::new(&inventory(3, 3), &Policy::default(), START);
    let probes = schedule.probes().count();

    let asked = asked_until(&mut schedule.clone(), START.plus(Duration::from_secs(3)));
    let instants: BTreeSet<Mono> = asked.values().map(|times| times[0]).collect();

    assert!(instants.len() * 10 >= probes * 9, "{} instants for {probes} probes", instants.len());
}

fn asked_until(schedule: &mut Schedule, end: Mono) -> BTreeMap<Probe, Vec<Mono>> {
    let mut asked: BTreeMap<Probe, Vec<Mono>> = BTreeMap::new();
    while let Some(due) = schedule.next().filter(|due| *due < end) {
        let (probe, scheduled, missed) = schedule.pop(due).unwrap();
        assert_eq!((scheduled, missed), (due, 0));
        asked.entry(probe).or_default().push(scheduled);
    }
    asked
}

proptest! {
    #[test]
    fn however_late_the_wake_ups_each_tick_is_taken_or_counted_as_missed(
        naps in proptest::collection::vec(0_u64..30_000, 1..40)
    ) {
        let mut schedule = Schedule::new(&inventory(1, 1), &Policy::default(), START);
        let mut ticks: BTreeMap<Probe, (Mono, u64)> = BTreeMap::new();
        let mut now = START;
        for nap in naps {
            now = now.plus(Duration::from_millis(nap));
            while let Some((probe, due, missed)) = schedule.pop(now) {
                prop_assert!(due <= now);
                let (first, count) = ticks.entry(probe.clone()).or_insert((due, 0));
                let interval = schedule.probes().find(|(known, _)| **known == probe).unwrap().1;
                prop_assert_eq!(due, first.plus(interval * u32::try_from(*count).unwrap()), "{}", probe);
                *count += 1 + missed;
            }
        }
    }
}
