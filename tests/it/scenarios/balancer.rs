//! The balancer in front of the API: connections that it loses are told soon, stray ones and restarts are not.

use std::time::Duration;

use vedette::model::inventory::Inventory;
use vedette::model::reason::MessageReason::{First, Resolved};
use vedette::model::rule::{Level, RuleId};

use super::world::{Doing, World, api, inventory, seconds, vip};

/// When the fault begins, at each of so many points of the intervals.
const MOMENTS: u64 = 8;

fn moments() -> impl Iterator<Item = Duration> {
    (0..MOMENTS).map(|n| seconds(20) + Duration::from_millis(n * 390))
}

#[test]
fn a_balancer_that_sends_to_a_frozen_instance_is_told_within_twelve_seconds() {
    for at in moments() {
        let mut world = World::new();
        world.at(at, |world| world.set(&api(2), Doing::Frozen));
        world.at(at + seconds(40), World::heal);

        world.run_until(at + seconds(130));

        assert_eq!(world.told(), [(RuleId::F61, First), (RuleId::F61, Resolved)], "at {at:?}");
        assert_eq!(world.threads().len(), 1);
        let first = &world.mails[0];
        let after = first.at.saturating_sub(at);
        assert!(after <= seconds(12), "told {after:?} after {at:?}");
        assert_eq!(first.message.level, Level::Critical);
        assert_eq!(first.message.incident.headline.evidence.concerned(), [api(2)]);
        let clear = world.mails[1].at.saturating_sub(at + seconds(40));
        assert!(clear <= seconds(60), "all-clear {clear:?} after {at:?}");
    }
}

#[test]
fn a_balancer_that_takes_a_frozen_instance_out_within_six_seconds_mails_about_the_instance_alone() {
    for at in moments() {
        let mut world = World::new();
        world.at(at, |world| world.set(&api(2), Doing::Frozen));
        world.at(at + seconds(6), |world| world.checks_readyz = true);
        world.at(at + seconds(20), World::heal);

        world.run_until(at + seconds(60));

        assert!(world.mails.is_empty(), "at {at:?}: {:?}", world.told());
    }
}

#[test]
fn an_address_that_moves_to_another_host_within_eight_seconds_is_no_balancer_that_loses_connections() {
    for at in moments() {
        let mut standby = inventory();
        standby.clusters.values_mut().for_each(|cluster| cluster.vip_fails_over = true);
        let mut world = World::with(standby);
        world.at(at, |world| world.set(&vip(), Doing::Dark));
        world.at(at + seconds(8), World::heal);

        world.run_until(at + seconds(60));

        assert!(world.mails.is_empty(), "at {at:?}: {:?}", world.told());
    }
}

/// Seconds until it is told that so many of a thousand connections are lost, with this seed.
fn told_after(permille: u64, seed: u64) -> Option<Duration> {
    let mut world = World::sparing(inventory());
    world.losing = Some((0, seed));
    world.at(seconds(120), move |world| world.losing = Some((permille, seed)));
    world.run_until(seconds(120 + 100));
    let told: Vec<RuleId> = world.told().into_iter().map(|(rule, _)| rule).collect();
    assert!(told.iter().all(|rule| *rule == RuleId::F61), "{told:?}");
    world.mails.first().map(|mail| mail.at.saturating_sub(seconds(120)))
}

#[test]
fn one_connection_in_ten_is_told_in_25_s_as_a_rule_and_in_75_s_nearly_always() {
    let never = seconds(3600);
    let mut after: Vec<Duration> = (0..100).map(|seed| told_after(100, seed).unwrap_or(never)).collect();
    after.sort_unstable();

    assert!(after[50] <= seconds(25), "median {:?}", after[50]);
    assert!(after[94] <= seconds(75), "95 of 100 {:?}", after[94]);
}

#[test]
fn one_connection_in_a_hundred_for_hours_mails_nothing() {
    let mut world = World::sparing(inventory());
    world.losing = Some((10, 7));

    world.run_until(seconds(3 * 3600));

    assert!(world.mails.is_empty(), "{:?}", world.told());
    assert!(world.counters().burst_probes > 1000, "losses are followed by samples");
}

#[test]
fn a_balancer_without_known_instances_is_told_as_well() {
    let mut alone: Inventory = inventory();
    alone.clusters.values_mut().for_each(|cluster| {
        cluster.apiservers.clear();
        cluster.etcds.clear();
    });
    let mut world = World::with(alone);
    world.at(seconds(120), |world| world.losing = Some((300, 3)));
    world.at(seconds(240), |world| world.losing = None);

    world.run_until(seconds(500));

    assert_eq!(world.told(), [(RuleId::F61, First), (RuleId::F61, Resolved)]);
}

#[test]
fn the_samples_of_an_hour_of_losses_are_bounded() {
    let mut world = World::sparing(inventory());
    world.losing = Some((500, 11));

    world.run_until(seconds(3600));

    // 300 in three minutes, and what confirms that it is no outage: a burst of 14 in ten seconds at most.
    let most = 300 * 20 + 360 * 14;
    assert!(world.counters().burst_probes <= most, "{} of {most}", world.counters().burst_probes);
}
