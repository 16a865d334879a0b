//! Runs of probes, and what breaks them.

use std::time::Duration;

use proptest::prelude::*;

use super::at;
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::policy::Policy;
use crate::model::verdict::{Symptom, Why};
use crate::observe::assessment::Assessment;
use crate::observe::own_network::OwnNetwork;
use crate::observe::probe_runs::{Confirmation, Effect, ProbeRuns};

const MUTE: Unseen = Unseen { phase: Phase::Dial, cause: Cause::Timeout };

fn silent() -> Assessment {
    Assessment::Bad(Symptom::Silent(MUTE))
}

fn not_ready() -> Assessment {
    Assessment::Bad(Symptom::NotReady(vec!["ping".into()]))
}

fn refused() -> Assessment {
    Assessment::Refused(Unseen { phase: Phase::FirstByte, cause: Cause::CredentialRejected })
}

/// A track after these signs, taken in the order given, each known at once; and what the last of them did.
fn after(signs: &[(u64, Assessment)]) -> (ProbeRuns, Effect) {
    let mut track = ProbeRuns::default();
    let mut effect = Effect::Same;
    for (millis, assessment) in signs {
        effect = track.take(at(*millis), assessment.clone(), &OwnNetwork::default(), at(*millis).mono);
    }
    (track, effect)
}

#[test]
fn every_turn_is_noticed_once() {
    for (signs, expected) in [
        (vec![(0, Assessment::Good)], Effect::Same),
        (vec![(0, silent())], Effect::TurnedBad),
        (vec![(0, silent()), (1, silent())], Effect::Same),
        (vec![(0, silent()), (1, Assessment::Good)], Effect::TurnedGood),
        (vec![(0, silent()), (1, refused())], Effect::TurnedGood),
        (vec![(0, silent()), (1, Assessment::Shed)], Effect::TurnedGood),
        (vec![(0, silent()), (1, Assessment::Unclear)], Effect::Same),
        // Another kind of fault gets a burst of its own.
        (vec![(0, silent()), (1, not_ready())], Effect::TurnedBad),
        (vec![(0, not_ready()), (1, silent())], Effect::TurnedBad),
        (vec![(0, silent()), (1, Assessment::Bad(Symptom::Status(503)))], Effect::Same),
        (vec![(5, Assessment::Good), (4, silent())], Effect::Late),
        (vec![(5, silent()), (4, Assessment::Good)], Effect::Late),
    ] {
        assert_eq!(after(&signs).1, expected, "{signs:?}");
    }
}

#[test]
fn a_bad_run_is_counted_from_its_first_probe_to_its_last() {
    let (track, _) = after(&[(0, Assessment::Good), (10, silent()), (20, Assessment::Unclear), (30, silent())]);

    let run = track.bad().unwrap().run;
    assert_eq!((run.first, run.last, run.probes), (at(10), at(30), 2));
    assert_eq!(track.good(), None);
    assert_eq!(track.last_good(), Some(at(0)));
}

#[test]
fn another_kind_of_trouble_goes_on_the_run_and_is_counted_by_itself() {
    let (track, _) = after(&[(0, not_ready()), (10, not_ready()), (20, silent())]);

    let bad = track.bad().unwrap();
    assert_eq!((bad.run.first, bad.run.probes), (at(0), 3));
    assert_eq!((bad.kind.first, bad.kind.probes), (at(20), 1));
}

#[test]
fn what_arrives_late_only_adds_to_a_bad_run_it_belongs_to() {
    for (late, probes, first) in [
        ((15, silent()), 3, 10), // Inside the run.
        ((5, silent()), 3, 5),   // Before it, after the last good probe.
        ((0, silent()), 2, 10),  // As old as the last good probe.
        ((15, Assessment::Good), 2, 10),
        ((15, refused()), 2, 10),
    ] {
        let (track, effect) = after(&[(0, Assessment::Good), (10, silent()), (20, silent()), late.clone()]);

        let run = track.bad().unwrap().run;
        assert_eq!(effect, Effect::Late);
        assert_eq!((run.probes, run.first, run.last), (probes, at(first), at(20)), "{late:?}");
    }
}

#[test]
fn a_late_bad_probe_makes_nothing_bad_that_is_good() {
    let (track, _) = after(&[(10, Assessment::Good), (5, silent()), (6, silent()), (7, silent())]);

    assert_eq!(track.bad(), None);
    assert_eq!(track.good().map(|run| run.probes), Some(1));
}

#[test]
fn slow_and_brisk_probes_in_a_row_end_each_other() {
    let mut track = ProbeRuns::default();
    for (millis, is_slow) in [(0, false), (1, true), (2, true)] {
        track.take_pace(at(millis), is_slow);
    }
    assert_eq!(track.slow().map(|run| (run.first, run.probes)), Some((at(1), 2)));
    assert_eq!(track.brisk(), None);

    track.take_pace(at(3), false);
    assert_eq!(track.slow(), None);
    assert_eq!(track.brisk().map(|run| (run.first, run.probes)), Some((at(3), 1)));

    track.forget_pace();
    assert_eq!((track.slow(), track.brisk()), (None, None));
}

#[test]
fn refusals_count_in_a_row_and_end_good_and_bad_runs() {
    let (track, _) = after(&[(0, Assessment::Good), (1, silent()), (2, refused()), (3, refused())]);

    let (_, run) = track.refused().unwrap();
    assert_eq!((run.first, run.probes), (at(2), 2));
    assert_eq!((track.good(), track.bad()), (None, None));
    for end in [Assessment::Good, silent(), Assessment::Unclear] {
        assert_eq!(after(&[(2, refused()), (3, end)]).0.refused(), None);
    }
}

#[test]
fn an_overdue_probe_is_a_first_sign_only_once_and_only_where_nothing_is_known_yet() {
    let mut track = ProbeRuns::default();
    assert!(track.take_overdue(at(1000).mono));
    assert!(!track.take_overdue(at(1100).mono));

    assert!(!after(&[(0, silent())]).0.take_overdue(at(1000).mono));
    let mut slow = ProbeRuns::default();
    slow.take_pace(at(0), true);
    assert!(!slow.take_overdue(at(1000).mono), "slow answers start no storm");
    let mut good = track;
    good.take(at(1200), Assessment::Good, &OwnNetwork::default(), at(1200).mono);
    assert!(good.take_overdue(at(3000).mono));
}

#[test]
fn the_path_must_be_proven_after_trouble_was_noticed_even_when_the_probe_began_before() {
    let policy = Policy::default();
    for (proof, is_confirmed) in [(500, false), (1000, true), (2500, true)] {
        let mut path = OwnNetwork::default();
        path.prove(at(proof));
        let mut track = ProbeRuns::default();
        track.take_overdue(at(1000).mono);
        for (scheduled, now) in [(0, 5000), (1500, 6000), (3000, 8000)] {
            track.take(at(scheduled), silent(), &path, at(now).mono);
        }

        let expected =
            if is_confirmed { Confirmation::Confirmed { path_unproven: false } } else { Confirmation::Suspected };
        assert_eq!(track.confirmation(&policy, || true, at(8000).mono), expected, "proof at {proof}");
    }
}

#[test]
fn bad_probes_that_are_forgotten_leave_nothing_to_confirm() {
    let (mut track, _) = after(&[(0, silent()), (500, silent()), (1000, silent())]);
    track.forget_bad();

    assert_eq!(track.confirmation(&Policy::default(), || true, at(1000).mono), Confirmation::None);
    assert_eq!(track.why(at(1000).mono, Duration::from_secs(30)), Why::Unclear);
}

#[test]
fn after_a_stall_of_our_own_one_more_bad_probe_confirms_what_was_long_enough_before() {
    let policy = Policy::default();
    for (before, assessment, expected) in [
        (&[0, 500, 1000][..], silent(), Confirmation::Confirmed { path_unproven: false }),
        (&[0, 500, 1000], Assessment::Good, Confirmation::None),
        (&[0, 500, 1000], Assessment::Unclear, Confirmation::Suspected),
        // Too short before: it begins anew.
        (&[0, 1000], silent(), Confirmation::Suspected),
    ] {
        let mut path = OwnNetwork::default();
        path.prove(at(600));
        let mut track = ProbeRuns::default();
        for scheduled in before {
            track.take(at(*scheduled), silent(), &path, at(*scheduled).mono);
        }
        track.doubt_bad(&policy);
        let stalled = track.confirmation(&policy, || true, at(1000).mono);
        assert!(!matches!(stalled, Confirmation::Confirmed { .. }), "{before:?}");

        track.take(at(4000), assessment.clone(), &path, at(4000).mono);

        assert_eq!(track.confirmation(&policy, || true, at(4000).mono), expected, "{before:?} {assessment:?}");
    }
}

fn assessment() -> impl Strategy<Value = Assessment> {
    prop_oneof![
        Just(Assessment::Good),
        Just(silent()),
        Just(not_ready()),
        Just(refused()),
        Just(Assessment::Shed),
        Just(Assessment::Unclear)
    ]
}

proptest! {
    #[test]
    fn good_and_bad_exclude_each_other_and_nothing_is_good_without_a_good_probe(
        signs in proptest::collection::vec((0_u64..20_000, assessment()), 0..40)
    ) {
        let (track, _) = after(&signs);

        prop_assert!(track.good().is_none() || track.bad().is_none());
        if let Some(run) = track.good() {
            prop_assert!(signs.iter().any(|(millis, assessment)| *assessment == Assessment::Good && at(*millis) == run.last));
        }
        if let Some(bad) = track.bad() {
            prop_assert!(track.last_good().is_none_or(|good| good.mono <= bad.run.first.mono));
            prop_assert!(bad.run.first.mono <= bad.run.last.mono);
            let bad_probes = signs.iter().filter(|(_, assessment)| matches!(assessment, Assessment::Bad(_))).count();
            prop_assert!(usize::try_from(bad.run.probes).unwrap() <= bad_probes);
        }
    }
}
