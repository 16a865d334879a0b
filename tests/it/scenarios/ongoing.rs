//! What lasts stays open: only a fresh good probe at the very thing ends it, or another configuration.

use std::time::Duration;

use proptest::prelude::*;

use vedette::model::inventory::{Inventory, Reference};
use vedette::model::reason::MessageReason::{First, Resolved};
use vedette::model::rule::{Level, RuleId};
use vedette::model::subject::Subject;

use super::disk::{client, renewed, with_files};
use super::world::{Doing, World, api, etcd, name, seconds, vip};

const MINUTE: u64 = 60;
const DAY: u64 = 86_400;

/// api-1 serves an old certificate beside a newer one on disk.
fn stale() -> World {
    let mut world = World::with(with_files());
    let start = world.start.wall;
    world.disk.put("pki", "/srv/pki/apiserver.crt", vec![renewed(start)]);
    world
}

#[test]
fn an_old_certificate_that_is_served_on_is_one_incident_over_restarts_and_half_written_files() {
    let mut world = stale();
    world.at(seconds(20 * MINUTE), |world| {
        world.kill();
        world.restart();
    });
    world.at(seconds(25 * MINUTE), |world| world.disk.cut_short("/srv/pki/apiserver.crt"));
    world.at(seconds(30 * MINUTE), |world| {
        world.kill();
        world.restart();
    });
    world.at(seconds(40 * MINUTE), |world| world.disk.heal());
    world.at(seconds(45 * MINUTE), |world| world.disk.lose("pki"));
    world.at(seconds(50 * MINUTE), |world| world.disk.heal());

    world.run_until(seconds(70 * MINUTE));

    let of_stale =
        |world: &World| world.told().into_iter().filter(|(rule, _)| *rule == RuleId::F54).collect::<Vec<_>>();
    assert_eq!(of_stale(&world), [(RuleId::F54, First)]);

    world.disk.remove("pki", "/srv/pki/apiserver.crt");
    world.run_until(seconds(80 * MINUTE));

    assert_eq!(of_stale(&world), [(RuleId::F54, First), (RuleId::F54, Resolved)]);
}

#[test]
fn an_item_that_ends_sooner_than_sixty_four_others_closes_none_of_them() {
    let mut world = World::with(with_files());
    let start = world.start.wall;
    for number in 1..=64 {
        world.disk.put("users", &format!("/srv/users/{number}"), vec![client(number, start, seconds(5 * DAY))]);
    }
    world.at(seconds(10 * MINUTE), move |world| {
        world.disk.put("users", "/srv/users/sooner", vec![client(65, start, seconds(4 * DAY))]);
    });

    world.run_until(seconds(30 * MINUTE));

    let ongoing = world.snapshot().alarms.iter().filter(|alarm| alarm.finding.rule == RuleId::F28).count();
    assert_eq!(ongoing, 65);
    assert_eq!(world.ended, []);
    assert!(world.told().iter().all(|(_, reason)| *reason != Resolved), "{:?}", world.told());
}

#[test]
fn an_item_is_over_when_its_own_source_was_read_without_it_whatever_becomes_of_other_sources() {
    let mut world = World::with(with_files());
    let start = world.start.wall;
    world.disk.put("users", "/srv/users/anna", vec![client(1, start, seconds(5 * DAY))]);
    world.disk.put("pki", "/srv/pki/agent", vec![client(2, start, seconds(5 * DAY))]);
    // The one source is lost over a restart, so that nobody remembers what was in it; the other is read in full.
    world.at(seconds(5 * MINUTE), |world| {
        world.kill();
        world.disk.forget();
        world.disk.lose("pki");
        world.disk.forget();
        world.restart();
    });
    world.at(seconds(10 * MINUTE), |world| world.disk.remove("users", "/srv/users/anna"));

    world.run_until(seconds(30 * MINUTE));

    let ended: Vec<String> = world.ended.iter().map(|key| key.subject.to_string()).collect();
    assert_eq!(ended, ["prod/stored/0101010101010101"]);
    let stands: Subject = "prod/stored/0202020202020202".parse().unwrap();
    assert!(world.snapshot().alarms.iter().any(|alarm| alarm.finding.subject == stands));
}

#[test]
fn what_a_source_held_is_withdrawn_with_the_source_and_nothing_else_is() {
    let mut world = World::with(with_files());
    let start = world.start.wall;
    world.disk.put("users", "/srv/users/anna", vec![client(1, start, seconds(5 * DAY))]);
    world.disk.put("pki", "/srv/pki/agent", vec![client(2, start, seconds(5 * DAY))]);
    world.at(seconds(10 * MINUTE), |world| {
        let mut without = with_files();
        without.clusters.get_mut(&name("prod")).unwrap().files.retain(|known, _| *known != name("users"));
        world.reload(without);
    });

    world.run_until(seconds(30 * MINUTE));

    let ended: Vec<String> = world.ended.iter().map(|key| key.subject.to_string()).collect();
    assert_eq!(ended, ["prod/stored/0101010101010101"]);
}

#[test]
fn a_single_point_that_was_mended_is_over_and_not_withdrawn() {
    let mut loud = sole_resolver();
    loud.levels.insert(RuleId::F51, Level::Warning);
    let mut world = World::with(loud.clone());
    world.at(seconds(120), move |world| {
        loud.resolvers.push(Reference { name: name("dns-2"), address: "10.0.9.54:53".into(), is_loopback: false });
        world.reload(loud);
    });

    world.run_until(seconds(300));

    assert_eq!(world.told(), [(RuleId::F51, First), (RuleId::F51, Resolved)]);
    assert_eq!(world.withdrawn, []);
}

fn sole_resolver() -> Inventory {
    let resolvers = vec![Reference { name: name("dns"), address: "10.0.9.53:53".into(), is_loopback: false }];
    Inventory { resolvers, ..with_files() }
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Kill(u8),
    Freeze(u8),
    NotReady(u8),
    Refuse(u8),
    CutOff,
    Stall,
    Crash,
    CutShort,
    Lose(bool),
    Heal,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0_u8..6).prop_map(Event::Kill),
        (0_u8..6).prop_map(Event::Freeze),
        (0_u8..2).prop_map(Event::NotReady),
        (0_u8..6).prop_map(Event::Refuse),
        Just(Event::CutOff),
        Just(Event::Stall),
        Just(Event::Crash),
        Just(Event::CutShort),
        any::<bool>().prop_map(Event::Lose),
        Just(Event::Heal),
    ]
}

fn apply(world: &mut World, event: Event) {
    let subject = |n: u8| match n {
        0 | 1 => api(n + 1),
        2 => vip(),
        _ => etcd(n - 2),
    };
    match event {
        Event::Kill(n) => world.slay(&subject(n)),
        Event::Freeze(n) => world.set(&subject(n), Doing::Frozen),
        Event::NotReady(n) => world.set(&subject(n), Doing::NotReady(&["informer-sync"])),
        Event::Refuse(n) => world.set(&subject(n), Doing::Unwelcoming),
        Event::CutOff => world.cut_off = true,
        Event::Stall => world.stall(seconds(7)),
        Event::Crash => {
            world.kill();
            world.restart();
        }
        Event::CutShort => {
            world.disk.cut_short("/srv/pki/apiserver.crt");
            world.disk.cut_short("/srv/users/7");
        }
        Event::Lose(pki) => world.disk.lose(if pki { "pki" } else { "users" }),
        Event::Heal => {
            world.heal();
            world.disk.heal();
        }
    }
}

/// How many worlds a property is tried in: `VEDETTE_WORLDS`, or so many.
fn worlds(usually: u32) -> ProptestConfig {
    let asked = std::env::var("VEDETTE_WORLDS").ok().and_then(|asked| asked.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(usually), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(worlds(12))]

    /// Over restarts, outages of every kind and files that cannot be read, what is wrong all the time ends for no
    /// moment, and without another configuration nothing at all is withdrawn.
    #[test]
    fn whatever_happens_beside_it_what_lasts_is_not_ended(
        events in proptest::collection::vec((0_u16..12_000, event()), 1..12)
    ) {
        let mut world = World::with(sole_resolver());
        let start = world.start.wall;
        world.disk.put("pki", "/srv/pki/apiserver.crt", vec![renewed(start)]);
        for number in 1..=66 {
            let ends = seconds(5 * DAY - u64::from(number));
            world.disk.put("users", &format!("/srv/users/{number}"), vec![client(number, start, ends)]);
        }
        let mut at = seconds(10);
        for (wait, event) in events.iter().copied() {
            at += Duration::from_millis(u64::from(wait) * 10);
            world.at(at, move |world| apply(world, event));
        }
        world.at(at + seconds(120), |world| apply(world, Event::Heal));
        world.run_until(at + seconds(120) + seconds(400));

        let lasts = |rule| matches!(rule, RuleId::F28 | RuleId::F51 | RuleId::F53 | RuleId::F54);
        let ended: Vec<_> = world
            .ended
            .iter()
            .filter(|key| lasts(key.rule) && !matches!(&key.subject, Subject::Stored(_, source) if source.as_str().len() < 16))
            .collect();
        prop_assert!(ended.is_empty(), "{:?}", ended);
        prop_assert!(world.withdrawn.is_empty(), "{:?}", world.withdrawn);
    }
}
