//! What is asked of a cluster in any second: never more than its ceiling, and an outage of many servers is found as
//! fast as one of few.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use vedette::model::cost::Cost;
use vedette::model::inventory::Inventory;
use vedette::model::plan::Plan;
use vedette::model::probe::ProbeKind;
use vedette::model::rule::RuleId;
use vedette::model::subject::Subject;

use super::world::{Doing, World, api, etcd, inventory, name, seconds, vip};

/// The usual cluster with so many instances and members.
fn sized(apiservers: u8, members: u8) -> Inventory {
    let mut inventory = inventory();
    let cluster = inventory.clusters.get_mut(&name("prod")).unwrap();
    let endpoint = cluster.apiservers[&name("api-1")].clone();
    cluster.apiservers = (1..=apiservers).map(|n| (name(&format!("api-{n}")), endpoint.clone())).collect();
    let etcd = cluster.etcds.get_mut(&name("main")).unwrap();
    etcd.members = (1..=members).map(|n| (name(&format!("etcd-{n}")), endpoint.clone())).collect();
    inventory
}

fn ceiling(world: &World, inventory: &Inventory) -> u32 {
    let planned = Plan::new(inventory, &world.policy).rate(&Some(name("prod")));
    world.policy.ceiling(planned.requests)
}

/// Most requests sent to the cluster within one second, wherever it begins.
fn busiest_second(world: &World, inventory: &Inventory) -> u32 {
    let mut within: VecDeque<(Duration, u32)> = VecDeque::new();
    let mut busiest = 0;
    for (at, probe) in world.probes.iter().filter(|(_, probe)| probe.subject.cluster().is_some()) {
        within.retain(|(earlier, _)| *at < *earlier + seconds(1));
        within.push_back((*at, Cost::of(inventory, probe).requests));
        busiest = busiest.max(within.iter().map(|(_, requests)| requests).sum());
    }
    busiest
}

/// The longest time in which some instance was not asked for its health: what waits for the ceiling comes back.
fn longest_pause(world: &World) -> Duration {
    let mut last: BTreeMap<&Subject, Duration> = BTreeMap::new();
    let mut longest = Duration::ZERO;
    for (at, probe) in world.probes.iter().filter(|(_, probe)| probe.kind == ProbeKind::Readyz) {
        if let Some(before) = last.insert(&probe.subject, *at) {
            longest = longest.max(at.saturating_sub(before));
        }
    }
    longest
}

/// Breaks `fault` into a world of that size at 60 s, and returns how long its first mail took.
fn first_mail(apiservers: u8, members: u8, rule: RuleId, fault: impl Fn(&mut World) + 'static) -> Duration {
    let inventory = sized(apiservers, members);
    let mut world = World::with(inventory.clone());
    world.at(seconds(60), fault);

    world.run_until(seconds(120));

    assert_eq!(world.told().first().map(|(rule, _)| *rule), Some(rule));
    assert_eq!(world.threads().len(), 1, "{:?}", world.told());
    let (busiest, ceiling) = (busiest_second(&world, &inventory), ceiling(&world, &inventory));
    assert!(busiest <= ceiling, "{busiest} requests within a second, the ceiling is {ceiling}");
    let longest = longest_pause(&world);
    assert!(longest <= world.policy.readyz_interval + seconds(2), "an instance was not asked for {longest:?}");
    world.mails[0].at.saturating_sub(seconds(60))
}

#[test]
fn ten_killed_apiservers_are_told_as_fast_as_two() {
    let killed = |count: u8| move |world: &mut World| (1..=count).for_each(|n| world.slay(&api(n)));

    let few = first_mail(2, 3, RuleId::F24, killed(2));
    let many = first_mail(10, 5, RuleId::F24, killed(10));

    assert!(many <= few + Duration::from_millis(150), "{many:?} for ten, {few:?} for two");
}

#[test]
fn ten_frozen_apiservers_are_told_within_a_second_of_two() {
    let frozen = |count: u8| {
        move |world: &mut World| {
            (1..=count).for_each(|n| world.set(&api(n), Doing::Frozen));
            world.set(&vip(), Doing::Frozen);
        }
    };

    let few = first_mail(2, 3, RuleId::F24, frozen(2));
    let many = first_mail(10, 5, RuleId::F24, frozen(10));

    // Each of them is under way for 3 s, and the tokens of three times ten take more than a second to come back.
    assert!(many <= few + seconds(1), "{many:?} for ten, {few:?} for two");
}

#[test]
fn a_lost_majority_of_five_members_is_told_as_fast_as_that_of_three() {
    let killed = |count: u8| move |world: &mut World| (1..=count).for_each(|n| world.slay(&etcd(n)));

    let few = first_mail(2, 3, RuleId::F01, killed(2));
    let many = first_mail(10, 5, RuleId::F01, killed(3));

    assert!(many <= few + Duration::from_millis(100), "{many:?} for five, {few:?} for three");
}

#[test]
fn everything_dead_at_once_is_told_within_five_seconds_at_any_size() {
    for (apiservers, members) in [(1, 1), (2, 3), (3, 5), (10, 5), (30, 7)] {
        let inventory = sized(apiservers, members);
        let mut world = World::with(inventory.clone());
        world.at(seconds(60), move |world| {
            (1..=apiservers).for_each(|n| world.slay(&api(n)));
            (1..=members).for_each(|n| world.slay(&etcd(n)));
            world.slay(&vip());
        });

        world.run_until(seconds(120));

        // What is the only one of its kind waits ten seconds.
        let within = if apiservers == 1 { seconds(13) } else { seconds(5) };
        let first = world.mails[0].at.saturating_sub(seconds(60));
        assert!(first <= within, "{apiservers} and {members}: {first:?}");
        assert!(busiest_second(&world, &inventory) <= ceiling(&world, &inventory));
    }
}
