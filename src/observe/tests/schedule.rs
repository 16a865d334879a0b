//! What the schedule costs, that it sends what is planned, and that it keeps its grid.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::{inventory, name};
use crate::model::cost::{Cost, Rate};
use crate::model::inventory::MetricsListener;
use crate::model::plan::Plan;
use crate::model::policy::Policy;
use crate::model::probe::Probe;
use crate::model::time::Mono;
use crate::observe::schedule::Schedule;

const START: Mono = Mono(Duration::from_secs(1_000));

fn plan(apiservers: u8, members: u8) -> Plan {
    Plan::new(&inventory(apiservers, members), &Policy::default())
}

fn scheduled(plan: Plan) -> Schedule {
    Schedule::new(plan, "bastion-1", START)
}

fn planned(apiservers: u8, members: u8) -> f64 {
    plan(apiservers, members).rate(&Some(name("prod"))).requests
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
fn every_probe_is_first_asked_within_three_seconds_and_then_at_its_interval() {
    let mut schedule = scheduled(plan(3, 3));
    let intervals: BTreeMap<Probe, Duration> =
        schedule.plan().probes().iter().map(|line| (line.probe.clone(), line.interval)).collect();

    let asked = asked_until(&mut schedule, START.plus(Duration::from_secs(200)));

    assert_eq!(asked.len(), intervals.len());
    for (probe, times) in asked {
        assert!(times[0].since(START) < Duration::from_secs(3), "{probe}");
        assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) == intervals[&probe]), "{probe}");
    }
}

#[test]
fn first_probes_are_spread() {
    let schedule = scheduled(plan(3, 3));
    let probes = schedule.plan().probes().len();

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
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whichever hour: each probe goes as often as its line of the plan says, and all together cost what the plan costs.
    /// The one run more or less is where the hour begins within an interval.
    #[test]
    fn what_the_schedule_sends_in_any_hour_is_what_is_planned(
        (apiservers, members) in (0_u8..5, 0_u8..5),
        intervals in proptest::array::uniform4(3_u64..120),
        (is_metrics_only, listeners) in (any::<bool>(), 0_u8..5),
        begins in 3_000_u64..10_000_000,
    ) {
        let mut inventory = inventory(apiservers, members);
        for etcd in inventory.clusters.get_mut(&name("prod")).unwrap().etcds.values_mut() {
            let named = etcd.members.keys().take(usize::from(listeners)).cloned();
            let listener = |n| (n, MetricsListener { url: "https://10.0.0.1:2381".into(), is_tls: true });
            etcd.listeners = named.map(listener).collect();
            etcd.is_metrics_only = is_metrics_only;
        }
        let [readyz, version, status, metrics] = intervals.map(Duration::from_secs);
        let policy = Policy {
            readyz_interval: readyz,
            version_interval: version,
            etcd_status_interval: status,
            etcd_metrics_interval: metrics,
            ..Policy::default()
        };
        let plan = Plan::new(&inventory, &policy);
        let mut schedule = scheduled(plan.clone());
        let hour = Duration::from_secs(3600);
        let begin = START.plus(Duration::from_millis(begins));

        asked_until(&mut schedule, begin);
        let sent = asked_until(&mut schedule, begin.plus(hour));

        let (mut requests, mut connections, mut bytes) = (0.0, 0.0, 0.0);
        let mut most_off = Cost::default();
        for line in plan.probes() {
            let runs = f64::from(u32::try_from(sent.get(&line.probe).map_or(0, Vec::len)).unwrap());
            let expected = hour.as_secs_f64() / line.interval.as_secs_f64();
            prop_assert!((runs - expected).abs() < 1.0 + 1e-6, "{}: {runs} of {expected}", line.probe);
            requests += runs * f64::from(line.cost.requests);
            connections += runs * f64::from(line.cost.connections);
            bytes += runs * float(line.cost.bytes);
            most_off.requests += line.cost.requests;
            most_off.connections += line.cost.connections;
            most_off.bytes += line.cost.bytes;
        }
        prop_assert_eq!(sent.len(), plan.probes().len(), "nothing goes that is not planned");
        let rate: Rate = plan.rates().values().copied().sum();
        prop_assert!((requests - rate.requests * 3600.0).abs() <= f64::from(most_off.requests) + 1e-3);
        prop_assert!((connections - rate.connections * 3600.0).abs() <= f64::from(most_off.connections) + 1e-3);
        prop_assert!((bytes - rate.bytes * 3600.0).abs() <= float(most_off.bytes) + 1.0);
    }
}

#[expect(clippy::cast_precision_loss, reason = "far from 2^53")]
const fn float(bytes: u64) -> f64 {
    bytes as f64
}

proptest! {
    #[test]
    fn however_late_the_wake_ups_each_tick_is_taken_or_counted_as_missed(
        naps in proptest::collection::vec(0_u64..30_000, 1..40)
    ) {
        let mut schedule = scheduled(plan(1, 1));
        let mut ticks: BTreeMap<Probe, (Mono, u64)> = BTreeMap::new();
        let mut now = START;
        for nap in naps {
            now = now.plus(Duration::from_millis(nap));
            while let Some((probe, due, missed)) = schedule.pop(now) {
                prop_assert!(due <= now);
                let (first, count) = ticks.entry(probe.clone()).or_insert((due, 0));
                let interval = schedule.plan().probes().iter().find(|line| line.probe == probe).unwrap().interval;
                prop_assert_eq!(due, first.plus(interval * u32::try_from(*count).unwrap()), "{}", probe);
                *count += 1 + missed;
            }
        }
    }
}
