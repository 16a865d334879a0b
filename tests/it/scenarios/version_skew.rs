//! Instances of different versions: an upgrade is nothing to write about, a forgotten one is.

use std::time::Duration;

use vedette::model::reason::MessageReason::{First, Resolved};
use vedette::model::rule::{Level, RuleId};

use super::world::{Doing, World, api, etcd, seconds};

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
fn a_rolling_upgrade_mails_nothing_however_long_the_pause_between_its_instances() {
    let mut world = World::new();
    upgrade(&mut world, 1, 600, "v1.37.0");
    for n in 1..=3 {
        world.at(seconds(HOUR + u64::from(n) * 1200), move |world| {
            world.versions.insert(etcd(n), "3.7.0");
        });
    }
    upgrade(&mut world, 2, 20 * HOUR, "v1.37.0");

    world.run_until(seconds(46 * HOUR));

    assert_eq!(world.told(), []);
}

#[test]
fn an_upgrade_that_was_left_half_done_is_told_after_a_day_and_ends_with_it() {
    let mut world = World::new();
    upgrade(&mut world, 1, 600, "v1.37.0");
    upgrade(&mut world, 2, 30 * HOUR, "v1.37.0");

    world.run_until(seconds(24 * HOUR + 500));
    assert_eq!(world.told(), []);

    world.run_until(seconds(29 * HOUR));
    assert_eq!(world.told(), [(RuleId::F17, First)]);
    let message = &world.mails[0].message;
    assert_eq!((message.level, &message.incident.headline.subject), (Level::Warning, &"prod".parse().unwrap()));
    assert!(within_minutes(world.mails[0].at, 24 * HOUR + 606), "{:?}", world.mails[0].at);

    world.run_until(seconds(31 * HOUR));
    assert_eq!(world.told(), [(RuleId::F17, First), (RuleId::F17, Resolved)]);
}

#[test]
fn an_odd_member_of_an_etcd_is_told_of_that_etcd() {
    let mut world = World::new();
    world.at(seconds(600), |world| {
        world.versions.insert(etcd(3), "3.5.24");
    });

    world.run_until(seconds(25 * HOUR));

    assert_eq!(world.told(), [(RuleId::F17, First)]);
    assert_eq!(world.mails[0].message.incident.headline.subject, etcd(3).etcd().unwrap());
}

#[test]
fn two_minors_apart_is_told_within_the_hour_and_one_patch_release_only_after_a_day() {
    for (version, hours) in [("v1.34.9", 1), ("v1.36.2", 24), ("v2.0.0", 1)] {
        let mut world = World::new();
        upgrade(&mut world, 1, 600, version);

        world.run_until(seconds(hours * HOUR + 2000));

        assert_eq!(world.told(), [(RuleId::F17, First)], "{version}");
        assert!(within_minutes(world.mails[0].at, hours * HOUR + 606), "{version}: {:?}", world.mails[0].at);
    }
}

#[test]
fn a_restart_of_vedette_does_not_begin_the_day_anew() {
    let mut world = World::new();
    upgrade(&mut world, 1, 600, "v1.37.0");
    world.at(seconds(12 * HOUR), World::restart);

    world.run_until(seconds(25 * HOUR));

    assert_eq!(world.told(), [(RuleId::F17, First)]);
}

fn within_minutes(at: Duration, due: u64) -> bool {
    seconds(due - 30) <= at && at <= seconds(due + 180)
}
