//! Three pairs of handshakes decide whether the path drops large ClientHellos, and nothing else is taken for it.

use std::time::Duration;

use proptest::prelude::*;

use crate::model::policy::Policy;
use crate::model::probe::{Greeting, Hello};
use crate::model::time::{Mono, Now, UnixTime};
use crate::observe::client_hello::{ClientHellos, PAIRS, Passage};

#[test]
fn pairs_of_which_every_large_one_fails_and_every_small_one_succeeds_decide() {
    for (spare, (last_after, last)) in PAIRS.iter().enumerate() {
        let (mut hellos, start) = doubted();

        for (number, (after, hello)) in PAIRS.iter().enumerate() {
            // With one of them missing the pairs are not whole.
            if number != spare {
                take(&mut hellos, start + millis(*after), *hello, *hello == Hello::Small);
            }
            assert!(!matches!(hellos.passage(), Passage::Narrow(_)), "{number}");
        }
        take(&mut hellos, start + millis(*last_after), *last, *last == Hello::Small);

        assert_eq!(hellos.passage(), Passage::Narrow(at(0)));
        assert_eq!(hellos.next(), Hello::Small);
    }
}

#[test]
fn one_exception_clears_the_path_and_the_endpoint_is_asked_as_ever() {
    for odd in 0..PAIRS.len() {
        let (mut hellos, start) = doubted();

        for (number, (after, hello)) in PAIRS.iter().enumerate() {
            let is_heard = (*hello == Hello::Small) != (number == odd);
            take(&mut hellos, start + millis(*after), *hello, is_heard);
        }

        assert!(!matches!(hellos.passage(), Passage::Narrow(_)), "{odd}");
    }
}

#[test]
fn pairs_that_took_too_long_decide_nothing_and_are_made_again() {
    let (mut hellos, start) = doubted();
    for (number, (_, hello)) in PAIRS.iter().enumerate() {
        take(&mut hellos, start + 1500 * u64::try_from(number).unwrap(), *hello, *hello == Hello::Small);
    }
    assert!(matches!(hellos.passage(), Passage::Doubtful(_)));

    let late = start + 20_000;
    assert!(take(&mut hellos, late, Hello::Large, false).is_none());
    assert!(take(&mut hellos, late + 100, Hello::Small, true).is_some());
}

#[test]
fn the_large_one_is_tried_now_and_then_and_ends_it() {
    let (mut hellos, start) = doubted();
    for (after, hello) in PAIRS {
        take(&mut hellos, start + millis(*after), *hello, *hello == Hello::Small);
    }

    let tests = (1..20).filter(|n| take(&mut hellos, start + n * 3000, Hello::Small, true).is_some()).count();
    assert_eq!(tests, 2, "in a minute");
    take(&mut hellos, start + 61_000, Hello::Large, true);

    assert!(matches!(hellos.passage(), Passage::Free(run) if run.first == at(start + 61_000)));
    assert_eq!(hellos.next(), Hello::Large);
}

#[test]
fn a_large_one_whose_silence_is_told_late_raises_the_doubt_as_well() {
    let mut hellos = ClientHellos::default();
    hellos.take_overdue();
    assert_eq!(hellos.next(), Hello::Small);
    assert!(take(&mut hellos, 1000, Hello::Small, true).is_none());

    assert!(take(&mut hellos, 0, Hello::Large, false).is_some());
}

proptest! {
    /// Servers that are down from one time to another, however these lie, and a hello of either size.
    #[test]
    fn a_restart_is_never_taken_for_a_middlebox(down in 0..6000u64, lasting in 1..6000u64, again in 500..6000u64) {
        let is_down = |at: u64| {
            let second = down + lasting + again;
            (down..down + lasting).contains(&at) || (second..second + lasting).contains(&at)
        };
        let mut hellos = ClientHellos::default();
        let mut due: std::collections::BTreeSet<(u64, bool)> = (0..20_000).step_by(1000).map(|at| (at, false)).collect();
        while let Some((now, is_test)) = due.pop_first() {
            let hello = if is_test { Hello::Large } else { hellos.next() };
            if let Some(test) = take(&mut hellos, now, hello, !is_down(now)) {
                due.extend(test.iter().map(|(after, hello)| (now + millis(*after) + 1, *hello == Hello::Large)));
            }
            prop_assert!(!matches!(hellos.passage(), Passage::Narrow(_)));
        }
    }
}

/// The state in which pairs are asked for, and when that was.
fn doubted() -> (ClientHellos, u64) {
    let mut hellos = ClientHellos::default();
    assert!(take(&mut hellos, 0, Hello::Large, false).is_none());
    assert_eq!(hellos.next(), Hello::Small);
    assert!(take(&mut hellos, 100, Hello::Small, true).is_some());
    (hellos, 100)
}

fn take(
    hellos: &mut ClientHellos,
    millis: u64,
    hello: Hello,
    is_heard: bool,
) -> Option<crate::observe::client_hello::Test> {
    hellos.take(at(millis), Greeting { hello, is_heard }, &Policy::default())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap()
}

fn at(millis: u64) -> Now {
    let start = Now { wall: UnixTime::from_secs(1_790_000_000), mono: Mono(Duration::from_secs(1000)) };
    start.plus(Duration::from_millis(millis))
}
