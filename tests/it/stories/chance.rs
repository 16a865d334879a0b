//! Random worlds: whatever happens in whatever order, some things always hold. The seed is printed on failure.

use std::time::Duration;

use proptest::prelude::*;

use super::reloads;
use super::world::{Doing, Relay, World, api, etcd, seconds, vip};

#[derive(Debug, Clone, Copy)]
enum Event {
    Slay(u8),
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

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0_u8..6).prop_map(Event::Slay),
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

fn apply(world: &mut World, event: Event) {
    let subject = |n: u8| match n {
        0 | 1 => api(n + 1),
        2 => vip(),
        _ => etcd(n - 2),
    };
    match event {
        Event::Slay(n) => world.slay(&subject(n)),
        Event::Freeze(n) => world.set(&subject(n), Doing::Frozen),
        Event::NotReady(n) => world.set(&subject(n), Doing::NotReady(&["informer-sync"])),
        Event::NoSpace => world.nospace = true,
        Event::CutOff => world.cut_off = true,
        Event::Stall => world.relay = Relay::Stalled,
        Event::Crash => {
            world.kill();
            world.restart();
        }
        Event::Silence(even_if_dead) => world.silence(seconds(90), even_if_dead),
        Event::Reload(0) => world.reload_badly(),
        Event::Reload(n) => world.reload(reloads::variant(n)),
        Event::Heal => world.heal(),
    }
}

fn play(events: &[(u16, Event)], records: bool) -> World {
    let mut world = World::new();
    world.records = records;
    let mut at = seconds(30);
    for (wait, event) in events.iter().copied() {
        at += Duration::from_millis(u64::from(wait) * 10);
        world.at(at, move |world| apply(world, event));
    }
    world.at(at + seconds(120), World::heal);
    world.run_until(at + seconds(120) + seconds(400));
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, ..ProptestConfig::default() })]

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
}
