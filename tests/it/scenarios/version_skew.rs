//! Instances of different versions: an upgrade is nothing to write about, a forgotten one is.

use std::time::Duration;

use vedette::model::reason::MessageReason::{First, Resolved};
use vedette::model::rule::{Level, RuleId};

use super::world::{Doing, World, api, etcd, inventory, seconds};

const HOUR: u64 = 3600;

/// The apiserver restarts at `second` and comes back with `version`.
fn upgrade(world: &mut World, n: u8, second: u64, version: &'static str) {
    world.at(seconds(second), move |world| world.set(&api(n), Doing::Refusing));
    world.at(seconds(second + 6), move |world| {
        world.heal();
        world.versions.insert(api(n), version);
    });
}

#[test]
fn a_rolling_upgrade_mails_nothing_with_an_hour_and_a_half_between_its_instances() {
    let mut world = World::new();
    upgrade(&mut world, 1, 600, "v1.37.0");
    for n in 1..=3 {
        world.at(seconds(u64::from(n) * 1800), move |world| {
            world.versions.insert(etcd(n), "3.7.0");
        });
    }
    upgrade(&mut world, 2, 6000, "v1.37.0");

    world.run_until(seconds(7200));

    assert_eq!(world.told(), []);
}

#[test]
fn an_upgrade_that_was_left_half_done_is_told_after_a_day_and_ends_with_it() {
    let mut world = World::unhurried(inventory());
    // Between two looks of this world, so that their restarts are not seen.
    for (n, second) in [(1, 606), (2, 24 * HOUR + 1806)] {
        world.at(seconds(second), move |world| {
            world.versions.insert(api(n), "v1.37.0");
        });
    }

    world.run_until(seconds(24 * HOUR + 500));
    assert_eq!(world.told(), []);

    world.run_until(seconds(24 * HOUR + 1200));
    assert_eq!(world.told(), [(RuleId::F17, First)]);
    let message = &world.mails[0].message;
    assert_eq!((message.level, &message.incident.headline.subject), (Level::Warning, &"prod".parse().unwrap()));
    assert!(is_soon_after(world.mails[0].at, 24 * HOUR + 606), "{:?}", world.mails[0].at);

    world.run_until(seconds(24 * HOUR + 2400));
    assert_eq!(world.told(), [(RuleId::F17, First), (RuleId::F17, Resolved)]);
}

#[test]
fn more_than_one_minor_apart_is_told_within_the_hour_even_over_a_restart_of_vedette() {
    for version in ["v1.34.9", "v2.0.0"] {
        let mut world = World::new();
        upgrade(&mut world, 1, 600, version);
        world.at(seconds(2400), World::restart);

        world.run_until(seconds(HOUR + 1200));

        assert_eq!(world.told(), [(RuleId::F17, First)], "{version}");
        assert!(is_soon_after(world.mails[0].at, HOUR + 606), "{version}: {:?}", world.mails[0].at);
    }
}

#[test]
fn an_odd_member_of_an_etcd_is_told_of_that_etcd() {
    let mut world = World::new();
    world.at(seconds(600), |world| {
        world.versions.insert(etcd(3), "3.4.37");
    });

    world.run_until(seconds(HOUR + 1200));

    assert_eq!(world.told(), [(RuleId::F17, First)]);
    assert_eq!(world.mails[0].message.incident.headline.subject, etcd(3).etcd().unwrap());
}

fn is_soon_after(at: Duration, due: u64) -> bool {
    seconds(due - 30) <= at && at <= seconds(due + 180)
}
