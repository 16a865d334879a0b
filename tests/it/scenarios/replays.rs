//! Stories that are replayed from their recordings: whole, from any segment, as the part of one cluster, and with other
//! thresholds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use vedette::cli::replay::playback::{Replay, replacement};
use vedette::model::inventory::Inventory;
use vedette::model::policy::Policy;
use vedette::model::rule::RuleId;
use vedette::store::recording::{Folder, Keep, Limits, in_order};

use super::chance::{self, Event, event};
use super::tape;
use super::world::{Mail, Relay, World, api, etcd, inventory, name, seconds, vip};

/// A cluster loses quorum while the relay is stalled, an apiserver dies, the process is killed.
fn story() -> World {
    let mut world = World::with(two_clusters());
    world.at(seconds(60), |world| {
        world.relay = Relay::Stalled;
        world.slay(&etcd(1));
        world.slay(&etcd(2));
    });
    world.at(seconds(150), World::heal);
    world.at(seconds(400), |world| {
        world.kill();
        world.restart();
    });
    world.at(seconds(500), |world| world.slay(&api(1)));
    world.at(seconds(600), World::heal);
    world.run_until(seconds(900));
    world
}

fn two_clusters() -> Inventory {
    let mut inventory = inventory();
    let other = inventory.clusters[&name("prod")].clone();
    inventory.clusters.insert(name("test"), other);
    inventory
}

fn files(world: &World, folder: &std::path::Path) -> Vec<PathBuf> {
    world.tape().write(folder).into_iter().map(|segment| segment.path).collect()
}

#[test]
fn a_replay_mails_what_the_story_mailed() {
    let world = story();
    let home = tempfile::tempdir().unwrap();

    let replay = Replay::run(&files(&world, home.path()), None).unwrap();

    assert!(replay.is_same(), "{:#?}", replay.compared());
    assert_eq!(replay.recorded.len(), world.attempts);
    assert_eq!(replay.replayed, replay.recorded, "every attempt, at its time");
    assert!(world.mails.len() >= 4, "{:?}", world.told());
    assert_eq!(replay.notes.len(), 1, "the restart: {:?}", replay.notes);
}

#[test]
fn a_replay_begins_with_any_segment() {
    let world = story();
    let home = tempfile::tempdir().unwrap();
    let files = files(&world, home.path());

    let replay = Replay::run(&files[1..], None).unwrap();

    assert!(replay.is_same(), "{:#?}", replay.compared());
    assert!(!replay.recorded.is_empty());
}

#[test]
fn the_part_of_one_cluster_that_is_kept_mails_the_same_of_it() {
    let world = story();
    let home = tempfile::tempdir().unwrap();
    let segments = world.tape().write(home.path());
    let limits = Limits { latest: u64::MAX, kept: u64::MAX, reserve: 0 };
    let mut folder = Folder::open(home.path().to_path_buf(), limits).unwrap();
    let of_prod = |mail: &&Mail| mail.message.incident.cluster == Some(name("prod"));
    let incident = world.mails.iter().find(of_prod).unwrap().message.incident.clone();
    for segment in &segments {
        folder.keep(&Keep::of(&incident), segment).unwrap();
    }
    let kept = std::fs::read_dir(home.path().join("kept")).unwrap().next().unwrap().unwrap().path();
    assert!(kept.file_name().unwrap().to_string_lossy().starts_with("prod-"));

    let replay = Replay::run(&in_order(&kept).unwrap(), None).unwrap();

    assert_eq!(replay.only, Some(name("prod")));
    assert!(replay.is_same(), "{:#?}", replay.compared());
    assert!(replay.compared().len() >= 2, "{:#?}", replay.compared());
}

#[test]
fn other_thresholds_mail_something_else() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.slay(&api(1)));
    world.run_until(seconds(300));
    assert_eq!(world.told().len(), 1, "{:?}", world.told());
    let home = tempfile::tempdir().unwrap();
    let files = files(&world, home.path());
    let with = |redundancy_loss_for| {
        let policy = Policy { redundancy_loss_for, ..world.policy.clone() };
        Replay::run(&files, Some(replacement(Arc::clone(&world.inventory), Arc::new(policy)))).unwrap()
    };

    let (same, later) = (with(world.policy.redundancy_loss_for), with(seconds(3600)));

    assert!(same.is_same(), "{:#?}", same.compared());
    assert!(later.replayed.is_empty() && !later.is_same(), "{:#?}", later.compared());
    assert!(later.is_reconfigured && later.recorded.len() == 1);
}

#[test]
fn other_severities_mail_another_subject() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.slay(&vip()));
    world.run_until(seconds(120));
    let home = tempfile::tempdir().unwrap();
    let files = files(&world, home.path());
    let mut quieter = Inventory::clone(&world.inventory);
    quieter.levels.insert(RuleId::F23, vedette::model::rule::Level::Warning);

    let replay = Replay::run(&files, Some(replacement(Arc::new(quieter), Arc::new(world.policy.clone())))).unwrap();

    let compared = replay.compared();
    let (Some(recorded), Some(replayed)) = compared[0] else { panic!("{compared:#?}") };
    assert_eq!(recorded.message, replayed.message);
    assert!(recorded.subject.starts_with("[CRITICAL") && replayed.subject.starts_with("[WARNING"), "{compared:#?}");
}

#[test]
fn a_story_that_fails_leaves_a_recording_that_replays() {
    let place = tape::place();
    std::fs::remove_dir_all(&place).ok();

    catch_unwind(AssertUnwindSafe(|| {
        let world = story();
        assert!(world.mails.is_empty(), "as it happens, there are some");
    }))
    .unwrap_err();

    let replay = Replay::run(&in_order(&place).unwrap(), None).unwrap();
    assert!(replay.is_same() && !replay.recorded.is_empty());
    std::fs::remove_dir_all(&place).unwrap();
}

#[test]
fn hours_of_an_ordinary_cluster_fit_into_the_room_for_recordings() {
    let mut world = World::new();
    world.run_until(seconds(600));
    let home = tempfile::tempdir().unwrap();
    let (records, _) = world.tape().last_minute(&home.path().join("records"));
    let checkpoint = tape::bytes_of(&world, &home.path().join("checkpoint"));

    let minute = records + checkpoint;
    let minutes = vedette::config::settings::Vantage::RECORDINGS / minute;

    assert!(minutes > 10 * 60, "{minutes} min of {minute} bytes, {checkpoint} of them for the checkpoint");
}

proptest! {
    #![proptest_config(chance::worlds(6))]

    #[test]
    fn whatever_happens_its_recording_mails_the_same(
        events in proptest::collection::vec((0_u16..4000, event()), 1..6)
    ) {
        let world = chance::play(&events as &[(u16, Event)], false);
        let home = tempfile::tempdir().unwrap();

        let replay = Replay::run(&files(&world, home.path()), None).unwrap();

        prop_assert_eq!(&replay.replayed, &replay.recorded);
    }
}
