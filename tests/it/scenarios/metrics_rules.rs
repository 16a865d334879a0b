//! What the pages of metrics of the apiservers show: told when it lasts, ended when it is over, and never a sign of life.

use std::time::Duration;

use vedette::model::apiserver_metrics::{Configuration, Counter, DeprecatedApi, Loaded, NoPage, Seats};
use vedette::model::probe::ProbeKind;
use vedette::model::reason::MessageReason::{First, Resolved};
use vedette::model::rule::{Level, RuleId};
use vedette::model::time::UnixTime;

use super::world::{Doing, World, api, inventory, name, seconds};

const MINUTE: u64 = 60;

fn with_metrics() -> World {
    let mut inventory = inventory();
    inventory.clusters.get_mut(&name("prod")).unwrap().apiserver_metrics = true;
    World::sparing(inventory)
}

fn minutes(count: u64) -> Duration {
    seconds(count * MINUTE)
}

/// Levels of what is listed of `rule`, at whatever subject.
fn listed(world: &World, rule: RuleId) -> Vec<Level> {
    world.snapshot().alarms.iter().filter(|alarm| alarm.finding.rule == rule).map(|alarm| alarm.finding.level).collect()
}

#[test]
fn audit_events_that_are_lost_for_minutes_are_told_and_a_few_at_once_are_not() {
    let mut world = with_metrics();
    // As where a log is rotated.
    world.metrics.rates.push((api(2), Counter::AuditLost, 60, [minutes(20), minutes(21)]));
    world.metrics.rates.push((api(1), Counter::AuditLost, 600, [minutes(60), minutes(80)]));

    world.run_until(minutes(59));
    assert_eq!(world.told(), []);
    world.run_until(minutes(75));
    assert_eq!(world.told(), [(RuleId::F36, First)]);
    world.run_until(minutes(120));
    assert_eq!(world.told(), [(RuleId::F36, First), (RuleId::F36, Resolved)]);
}

#[test]
fn connections_through_the_egress_selector_that_fail_are_told() {
    let mut world = with_metrics();
    world.metrics.rates.push((api(1), Counter::EgressFailures, 30, [minutes(10), minutes(60)]));

    world.run_until(minutes(30));

    assert_eq!(world.told(), [(RuleId::F46, First)]);
}

#[test]
fn watches_that_are_ended_events_without_number_and_apis_that_go_are_listed_and_mailed_to_nobody() {
    let mut world = with_metrics();
    world.metrics.rates.push((api(1), Counter::EventsCreated, 120, [seconds(0), minutes(600)]));
    world.metrics.rates.push((api(1), Counter::EventsCreated, 3_000, [minutes(60), minutes(600)]));
    world.metrics.rates.push((api(2), Counter::WatchesEnded, 40, [minutes(60), minutes(600)]));
    let deprecated = DeprecatedApi { removed_in: "1.38".into(), what: "flowschemas/v1beta3".into() };
    world.metrics.page(&api(2)).deprecated.insert(deprecated);

    world.run_until(minutes(59));
    assert_eq!(listed(&world, RuleId::F43), [Level::Info]);
    assert_eq!((listed(&world, RuleId::F45), listed(&world, RuleId::F39)), (vec![], vec![]));
    world.run_until(minutes(85));
    assert_eq!((listed(&world, RuleId::F45), listed(&world, RuleId::F39)), (vec![Level::Info], vec![Level::Info]));
    assert!(world.mails.is_empty(), "{:?}", world.told());
}

#[test]
fn an_encryption_configuration_that_one_instance_cannot_load_is_told_and_ends_when_it_is_loaded() {
    let mut world = with_metrics();
    let at = move |secs: i64| Some(UnixTime::from_secs(1_772_000_000_i64 + secs));
    let loaded = move |failed, succeeded, hash: &str| Loaded {
        hash: Some(hash.into()),
        failed: u64::from(failed > 0),
        succeeded_at: at(succeeded),
        failed_at: (failed > 0).then(|| at(failed)).flatten(),
    };
    let both = move |world: &mut World, ours: [Loaded; 2]| {
        for (number, loaded) in (1..).zip(ours) {
            world.metrics.page(&api(number)).configurations.insert(Configuration::Encryption, loaded);
        }
    };
    both(&mut world, [loaded(0, 10, "sha256:a"), loaded(0, 10, "sha256:a")]);
    // A new file on one host after the other: what differs for minutes is nothing.
    world.at(minutes(10), move |world| both(world, [loaded(0, 600, "sha256:b"), loaded(0, 10, "sha256:a")]));
    world.at(minutes(18), move |world| both(world, [loaded(0, 600, "sha256:b"), loaded(0, 1_080, "sha256:b")]));
    world.at(minutes(60), move |world| both(world, [loaded(0, 600, "sha256:b"), loaded(3_600, 1_080, "sha256:b")]));
    world.at(minutes(120), move |world| both(world, [loaded(0, 600, "sha256:b"), loaded(3_600, 7_200, "sha256:b")]));

    world.run_until(minutes(60));
    assert_eq!(world.told(), []);
    world.run_until(minutes(85));
    assert_eq!(world.told(), [(RuleId::F64, First)]);
    world.run_until(minutes(150));
    assert_eq!(world.told(), [(RuleId::F64, First), (RuleId::F64, Resolved)]);
}

#[test]
fn seats_that_are_nearly_all_taken_are_listed_before_they_are_told() {
    let mut world = with_metrics();
    let taken = |used| {
        move |world: &mut World| {
            world.metrics.page(&api(1)).seats.insert("workload-low".into(), Seats { used, nominal: 600, limit: 600 });
        }
    };
    world.at(minutes(20), taken(450));
    world.at(minutes(90), taken(570));

    world.run_until(minutes(60));
    assert_eq!(listed(&world, RuleId::F65), [Level::Info]);
    assert_eq!(world.told(), []);
    world.run_until(minutes(130));
    assert_eq!(world.told(), [(RuleId::F65, First)]);
}

#[test]
fn a_page_that_is_refused_or_never_ends_says_nothing_of_the_server_and_is_asked_for_less_often() {
    let mut counts = Vec::new();
    for instead in [None, Some(NoPage::TooLarge), Some(NoPage::Forbidden)] {
        let mut world = with_metrics();
        world.metrics.instead = instead;
        world.run_until(minutes(60));

        assert_eq!(world.told(), []);
        let asked = world.probes.iter().filter(|(_, probe)| probe.kind == ProbeKind::ApiserverMetrics);
        counts.push(asked.count());
    }
    // One instance a minute, and each of two every ten minutes.
    assert!((58..=61).contains(&counts[0]), "{counts:?}");
    assert!((10..=14).contains(&counts[1]), "{counts:?}");
}

#[test]
fn no_page_is_asked_for_while_an_overload_is_suspected() {
    let mut inventory = inventory();
    let prod = inventory.clusters.get_mut(&name("prod")).unwrap();
    (prod.apiserver_metrics, prod.flow_control) = (true, true);
    let mut world = World::with(inventory);
    world.load.has_seats_of_our_own = true;
    for number in [1, 2] {
        world.at(minutes(5), move |world| world.set(&api(number), Doing::TurningAway(1)));
    }
    world.run_until(minutes(15));

    let late = world
        .probes
        .iter()
        .filter(|(at, probe)| probe.kind == ProbeKind::ApiserverMetrics && *at > minutes(5) + seconds(30));
    assert_eq!(late.count(), 0);
}
