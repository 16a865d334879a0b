//! An engine that is written down at any moment and read back goes on as if nothing had been.

use std::time::Duration;

use proptest::prelude::*;

use super::chance::{self, Event, event};
use super::world::{World, seconds};

/// What a world does in which `at_these`, in hundredths of a second, happens to the engine.
fn play(events: &[(u16, Event)], at_these: &[u16], happens: fn(&mut World)) -> Vec<String> {
    let mut world = World::new();
    world.records = true;
    for at in at_these {
        world.at(Duration::from_millis(u64::from(*at) * 10), happens);
    }
    let mut at = seconds(5);
    for (wait, event) in events.iter().copied() {
        at += Duration::from_millis(u64::from(wait) * 10);
        world.at(at, move |world| chance::apply(world, event));
    }
    world.at(at + seconds(60), World::heal);
    world.run_until(at + seconds(60) + seconds(90));
    world.actions
}

proptest! {
    #![proptest_config(chance::worlds(4))]

    #[test]
    fn an_engine_read_back_from_a_checkpoint_does_what_it_would_have_done(
        events in proptest::collection::vec((0_u16..4000, event()), 1..6),
        at_these in proptest::collection::vec(0_u16..20_000, 1..8),
    ) {
        let (without, with) = (play(&events, &at_these, |_| ()), play(&events, &at_these, World::reread));

        let differs = without.iter().zip(&with).find(|(without, with)| without != with);
        prop_assert!(differs.is_none(), "{:#?}", differs);
        prop_assert_eq!(without.len(), with.len());
    }
}

#[test]
fn bytes_that_are_no_checkpoint_are_refused_whole_and_cut() {
    let world = World::new();
    let checkpoint = world.checkpoint();

    assert!(vedette::engine::Engine::from_checkpoint(&checkpoint).is_ok());
    for cut in [0, 1, checkpoint.len() / 2, checkpoint.len() - 1] {
        let error = vedette::engine::Engine::from_checkpoint(&checkpoint[..cut]).unwrap_err();
        assert_eq!(error.to_string(), "not a checkpoint that this version of vedette can read", "{cut}");
    }
}
