//! Random worlds: whatever happens in whatever order, some things always hold. The events and the seed are printed on
//! failure.
//!
//! More worlds than the few of an ordinary run, in some minutes:
//! `VEDETTE_WORLDS=10000 cargo test --release --test it scenarios::chance`.

use std::time::Duration;

use proptest::prelude::*;
use vedette::model::exchange::PersistedState;
use vedette::model::incident::Ending;

use super::mute;
use super::reloads;
use super::world::{Doing, Relay, World, api, etcd, seconds, vip};

#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    Kill(u8),
    Freeze(u8),
    NotReady(u8),
    NoSpace,
    CutOff,
    Stall,
    Crash,
    Silence(bool),
    Reload(u8),
    Heal,
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0_u8..6).prop_map(Event::Kill),
        (0_u8..6).prop_map(Event::Freeze),
        (0_u8..2).prop_map(Event::NotReady),
        Just(Event::NoSpace),
        Just(Event::CutOff),
        Just(Event::Stall),
        Just(Event::Crash),
        any::<bool>().prop_map(Event::Silence),
        (0_u8..4).prop_map(Event::Reload),
        Just(Event::Heal),
    ]
}

pub(super) fn apply(world: &mut World, event: Event) {
    let subject = |n: u8| match n {
        0 | 1 => api(n + 1),
        2 => vip(),
        _ => etcd(n - 2),
    };
    match event {
        Event::Kill(n) => world.slay(&subject(n)),
        Event::Freeze(n) => world.set(&subject(n), Doing::Frozen),
        Event::NotReady(n) => world.set(&subject(n), Doing::NotReady(&["informer-sync"])),
        Event::NoSpace => world.nospace = true,
        Event::CutOff => world.cut_off = true,
        Event::Stall => world.relay = Relay::Stalled,
        Event::Crash => {
            world.kill();
            world.restart();
        }
        Event::Silence(include_outages) => world.silence(seconds(90), include_outages),
        Event::Reload(0) => world.reload_badly(),
        Event::Reload(n) => world.reload(reloads::variant(n)),
        Event::Heal => world.heal(),
    }
}

/// What a start finds of what was stored: each of these many rows is gone, since it cannot be read.
#[derive(Debug, Clone, Copy)]
enum Loss {
    Alarm(u8),
    Incident(u8),
    Owed(u8),
    Silence,
    /// An incident was closed without a word, as one that is doubled is.
    Closed(u8),
}

fn loss() -> impl Strategy<Value = Loss> {
    prop_oneof![
        3 => any::<u8>().prop_map(Loss::Alarm),
        3 => any::<u8>().prop_map(Loss::Incident),
        2 => any::<u8>().prop_map(Loss::Owed),
        1 => Just(Loss::Silence),
        1 => any::<u8>().prop_map(Loss::Closed),
    ]
}

fn lose(memory: &mut PersistedState, loss: Loss) {
    fn remove<T>(rows: &mut Vec<T>, pick: u8) {
        if !rows.is_empty() {
            rows.remove(usize::from(pick) % rows.len());
        }
    }
    match loss {
        Loss::Alarm(pick) => remove(&mut memory.alarms, pick),
        Loss::Incident(pick) => remove(&mut memory.incidents, pick),
        Loss::Owed(pick) => remove(&mut memory.owed, pick),
        Loss::Silence => memory.silences.clear(),
        Loss::Closed(pick) if !memory.incidents.is_empty() => {
            let at = usize::from(pick) % memory.incidents.len();
            let mut closed = memory.incidents.remove(at);
            closed.over = Some(Ending { at: closed.opened, withdrawn: true });
            memory.ended.insert(0, closed);
        }
        Loss::Closed(_) => {}
    }
}

/// A world in which rows are lost at restarts, watched for alarms of which nobody hears.
fn play_losing(events: &[(u16, Result<Event, Vec<Loss>>)]) -> (World, Vec<String>) {
    let mut world = World::new();
    let mut at = seconds(30);
    for (wait, event) in events.iter().cloned() {
        at += Duration::from_millis(u64::from(wait) * 10);
        world.at(at, move |world| match event {
            Ok(event) => apply(world, event),
            Err(losses) => {
                world.kill();
                let mut memory = world.memory();
                losses.into_iter().for_each(|loss| lose(&mut memory, loss));
                world.restart_with(memory);
            }
        });
    }
    // The relay answers again, and everything that is broken stays so for long enough to be told.
    world.at(at + seconds(30), |world| world.relay = Relay::Accepting);
    let end = at + seconds(30) + mute::LONGEST + seconds(60);
    let mute = mute::watch(&mut world, end);
    (world, mute)
}

pub(super) fn worlds(few: u32) -> ProptestConfig {
    let asked = std::env::var("VEDETTE_WORLDS").ok().and_then(|worlds| worlds.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(few), max_shrink_iters: 200, ..ProptestConfig::default() }
}

pub(super) fn play(events: &[(u16, Event)], records: bool) -> World {
    play_woken(events, records, None)
}

fn play_woken(events: &[(u16, Event)], records: bool, ticks: Option<Duration>) -> World {
    let mut world = World::new();
    world.records = records;
    world.ticks = ticks;
    let mut at = seconds(30);
    for (wait, event) in events.iter().copied() {
        at += Duration::from_millis(u64::from(wait) * 10);
        world.at(at, move |world| apply(world, event));
    }
    world.at(at + seconds(120), World::heal);
    world.run_until(at + seconds(120) + seconds(400));
    world
}

/// What the engine did, without what it promised and showed.
fn deeds(world: World) -> Vec<String> {
    let is_deed = |line: &String| !line.starts_with("until ") && !line.contains(" Snapshot {");
    world.actions.into_iter().filter(is_deed).collect()
}

proptest! {
    #![proptest_config(worlds(32))]

    #[test]
    fn whatever_the_store_lost_every_alarm_is_told_or_explained_or_silenced(
        events in proptest::collection::vec(
            (0_u16..4000, prop_oneof![
                2 => event().prop_map(Ok),
                1 => proptest::collection::vec(loss(), 0..4).prop_map(Err),
            ]),
            1..10,
        )
    ) {
        let (_, mute) = play_losing(&events);

        prop_assert!(mute.is_empty(), "{:#?}", mute);
    }
}

proptest! {
    #![proptest_config(worlds(24))]

    #[test]
    fn everything_told_is_ended_and_nothing_is_told_twice(
        events in proptest::collection::vec((0_u16..6000, event()), 1..12)
    ) {
        let world = play(&events, false);

        prop_assert!(world.open().is_empty(), "still open: {:?}", world.open());
        for thread in world.threads() {
            let reasons: Vec<&str> = world
                .mails
                .iter()
                .filter(|mail| mail.message.thread == thread)
                .map(|mail| mail.message.reason.as_str())
                .collect();
            let ends = reasons.iter().filter(|reason| matches!(**reason, "resolved" | "happened_while_mute")).count();
            let begins = reasons.iter().filter(|reason| matches!(**reason, "first" | "happened_while_mute")).count();
            prop_assert_eq!(ends, 1, "{:?}", reasons);
            prop_assert_eq!(begins, 1, "{:?}", reasons);
        }
    }

    #[test]
    fn the_same_inputs_give_the_same_actions(
        events in proptest::collection::vec((0_u16..3000, event()), 1..6)
    ) {
        prop_assert_eq!(play(&events, true).actions, play(&events, true).actions);
    }

    /// A deadline that is computed otherwise than what happens at it shows here: as an action that comes only because
    /// something else woke the engine.
    #[test]
    fn woken_at_its_deadlines_alone_the_engine_does_the_same_as_woken_every_quarter_of_a_second(
        events in proptest::collection::vec((0_u16..3000, event()), 1..6)
    ) {
        let alone = deeds(play_woken(&events, true, None));
        let often = deeds(play_woken(&events, true, Some(Duration::from_millis(250))));

        let differs = alone.iter().zip(&often).find(|(alone, often)| alone != often);
        prop_assert!(differs.is_none(), "{:#?}", differs);
        prop_assert_eq!(alone.len(), often.len());
    }
}
