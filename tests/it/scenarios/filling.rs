//! A database that fills: told early, told louder, told over when space is given back.

use std::time::Duration;

use vedette::model::reason::MessageReason::{CauseFound, Escalated, First, Resolved};
use vedette::model::rule::{Level, RuleId};

use super::world::{World, inventory, seconds};

const MINUTE: u64 = 60;
const MIB: u64 = 1 << 20;

/// The database grows by `step` bytes a minute from the first minute until `minutes`.
fn growing(world: &mut World, minutes: u64, step: u64) {
    for minute in 1..=minutes {
        world.at(seconds(minute * MINUTE), move |world| world.peers.db_size_bytes += step);
    }
}

#[test]
fn a_database_that_fills_is_one_thread_from_forecast_to_nospace_and_its_end() {
    let mut world = World::new();
    // 2 GiB in less than five hours: a forecast of a few hours once there is one, then of less than four.
    growing(&mut world, 100, 7 * MIB);
    world.at(seconds(101 * MINUTE), |world| world.nospace = true);
    world.at(seconds(110 * MINUTE), |world| {
        world.nospace = false;
        world.peers.db_size_bytes = 200 * MIB;
    });

    world.run_until(seconds(115 * MINUTE));

    let told = world.told();
    assert_eq!(told.first(), Some(&(RuleId::F08, First)), "{told:?}");
    assert!(told.contains(&(RuleId::F08, Escalated)), "{told:?}");
    assert!(told.contains(&(RuleId::F09, CauseFound)), "{told:?}");
    assert_eq!(told.last(), Some(&(RuleId::F09, Resolved)), "{told:?}");
    assert_eq!(world.threads().len(), 1, "{told:?}");
    assert!(world.mails[0].at <= seconds(32 * MINUTE), "the forecast is told at {:?}", world.mails[0].at);
    assert!(world.open().is_empty(), "{:?}", world.open());
}

#[test]
fn the_tiers_are_told_by_size_alone_when_it_no_longer_grows() {
    for (percent, expected) in [(64, None), (74, None), (76, Some(Level::Warning)), (86, Some(Level::Critical))] {
        let mut world = World::new();
        world.at(seconds(60), move |world| world.peers.db_size_bytes = (2 << 30) / 100 * percent);

        world.run_until(seconds(600));

        let levels: Vec<Level> = world.mails.iter().map(|mail| mail.message.level).collect();
        assert_eq!(levels, expected.into_iter().collect::<Vec<_>>(), "{percent} %: {:?}", world.told());
    }
}

#[test]
fn what_is_only_listed_is_mailed_in_its_thread_when_it_gets_worse() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.peers.db_size_bytes = (2 << 30) / 100 * 66);
    world.at(seconds(600), |world| world.peers.db_size_bytes = (2 << 30) / 100 * 76);

    world.run_until(seconds(500));
    assert_eq!((world.open(), world.mails.len()), (vec![RuleId::F08], 0));

    world.run_until(seconds(900));
    assert_eq!(world.told(), [(RuleId::F08, First)]);
}

#[test]
fn a_size_on_the_edge_of_a_tier_is_told_once() {
    let mut world = World::new();
    for turn in 1..60 {
        let percent = if turn % 2 == 0 { 751 } else { 749 };
        world.at(seconds(turn * 120), move |world| world.peers.db_size_bytes = (2 << 30) / 1000 * percent);
    }

    world.run_until(seconds(7200));

    assert_eq!(world.told(), [(RuleId::F08, First)]);
}

#[test]
fn space_given_back_is_the_all_clear() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.peers.db_size_bytes = (2 << 30) / 100 * 80);
    world.at(seconds(600), |world| world.peers.db_size_bytes = (2 << 30) / 100 * 30);

    world.run_until(seconds(700));

    assert_eq!(world.told(), [(RuleId::F08, First), (RuleId::F08, Resolved)]);
}

#[test]
fn a_restart_clears_no_forecast_and_doubles_no_mail() {
    let mut world = World::new();
    growing(&mut world, 90, 4 * MIB);
    world.at(seconds(45 * MINUTE), World::kill);
    world.at(seconds(45 * MINUTE + 5), World::restart);

    world.run_until(seconds(95 * MINUTE));

    assert_eq!(world.told(), [(RuleId::F08, First)]);
}

#[test]
fn the_configured_quota_stands_in_for_one_that_is_not_told() {
    let mut with = inventory();
    let etcd = with.clusters.values_mut().flat_map(|cluster| cluster.etcds.values_mut()).next().unwrap();
    etcd.quota_bytes = Some(100 * MIB);
    for (inventory, expected) in [(with, 1), (inventory(), 0)] {
        let mut world = World::with(inventory);
        world.peers.db_quota_bytes = None;
        world.at(seconds(60), |world| world.peers.db_size_bytes = 80 * MIB);

        world.run_until(seconds(300) + Duration::from_millis(1));

        assert_eq!(world.mails.len(), expected, "{:?}", world.told());
    }
}
