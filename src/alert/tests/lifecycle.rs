//! Hold and recovery.

use std::time::Duration;

use proptest::prelude::*;

use crate::alert::lifecycle::{Lifecycle, Step};
use crate::alert::relations::{Near, RuleScope};
use crate::judge::expiry::ServedExpiry;
use crate::model::incident::{Alarm, Stage};
use crate::model::policy::Policy;
use crate::model::rule::{Level, RuleId};
use crate::model::verdict::{ExpiryThreshold, Finding, FindingKey, Verdict, Why};
use crate::samples;

use super::{at, finding};

fn held(hold: u64) -> Finding {
    finding(RuleId::F22, Level::Warning, hold)
}

fn key() -> FindingKey {
    held(0).key()
}

/// Good probes in a row, the first and the last of them at these seconds.
fn good(since: u64, until: u64, probes: u32) -> Verdict {
    Verdict::Good { since: at(since), until: at(until), probes }
}

fn suspected(since: u64) -> Verdict {
    Verdict::Unknown(Why::Suspected { since: at(since) })
}

const UNCLEAR: Verdict = Verdict::Unknown(Why::Unclear);
const ISOLATED: Verdict = Verdict::Unknown(Why::Vantage);

/// Lets the lifecycle take each verdict at its second, and expects each step.
fn check(mut lifecycle: Lifecycle, verdicts: &[(u64, Verdict, Step)]) -> Lifecycle {
    for (second, verdict, step) in verdicts {
        let taken = lifecycle.take(&key(), verdict.clone(), &Policy::default(), at(*second));

        assert_eq!(taken, *step, "at second {second}: {verdict:?}");
    }
    lifecycle
}

fn bad(hold: u64) -> Verdict {
    Verdict::Bad(held(hold))
}

/// An alarm of no hold that fires at second 2.
fn firing() -> Lifecycle {
    check(Lifecycle::default(), &[(2, bad(0), Step::Fired)])
}

#[test]
fn a_finding_without_hold_fires_at_once() {
    assert!(firing().alarm(&key()).unwrap().is_firing());
}

#[test]
fn a_hold_counts_from_the_first_bad_probe() {
    check(
        Lifecycle::default(),
        &[
            (2, bad(30), Step::Raised),
            (4, bad(30), Step::None),
            (29, bad(30), Step::Changed),
            (30, bad(30), Step::Fired),
        ],
    );
}

#[test]
fn a_hold_stands_still_while_nobody_can_tell() {
    for doubt in [UNCLEAR, ISOLATED, suspected(5), Verdict::Unknown(Why::Stale)] {
        check(
            Lifecycle::default(),
            &[
                (2, bad(10), Step::Raised),
                (3, doubt.clone(), Step::None),
                (500, doubt, Step::Changed), // Written down once more; not counted.
                (507, bad(10), Step::Changed),
                (508, bad(10), Step::Fired),
            ],
        );
    }
}

#[test]
fn a_finding_that_is_good_again_before_its_hold_is_over_is_dropped() {
    let lifecycle = check(Lifecycle::default(), &[(2, bad(30), Step::Raised), (5, good(4, 5, 1), Step::Dropped)]);

    assert_eq!(lifecycle.alarms().count(), 0);
}

#[test]
fn a_clock_that_stepped_adds_no_more_than_a_minute_to_a_hold() {
    let stepped = |hold: u64| Finding { since: at(0).wall.minus(Duration::from_secs(86_400)), ..held(hold) };

    check(Lifecycle::default(), &[(2, Verdict::Bad(stepped(61)), Step::Raised)]);
    check(Lifecycle::default(), &[(2, Verdict::Bad(stepped(60)), Step::Fired)]);
}

#[test]
fn recovery_needs_fifteen_seconds_and_three_good_probes() {
    let recovered = Step::Recovered(at(10).wall);
    check(
        firing(),
        &[(10, good(10, 10, 1), Step::Changed), (24, good(10, 24, 9), Step::Changed), (25, good(10, 25, 3), recovered)],
    );
    check(
        firing(),
        &[(25, good(10, 25, 2), Step::Changed), (60, good(10, 60, 2), Step::Changed), (61, good(10, 61, 3), recovered)],
    );
}

#[test]
fn time_without_a_probe_is_no_recovery() {
    check(
        firing(),
        &[
            (10, good(10, 10, 3), Step::Changed),
            (14, good(10, 14, 9), Step::Changed),
            (100, good(10, 24, 9), Step::Changed),
        ],
    );
}

#[test]
fn good_probes_from_before_the_last_bad_verdict_are_no_recovery() {
    check(
        firing(),
        &[
            (12, bad(0), Step::None),
            (26, good(1, 26, 9), Step::Changed),
            (27, good(1, 27, 9), Step::Recovered(at(12).wall)),
        ],
    );
}

#[test]
fn a_bad_verdict_and_a_suspicion_break_a_recovery_and_another_doubt_does_not() {
    check(firing(), &[(10, good(10, 10, 1), Step::Changed), (12, bad(0), Step::Changed)]);
    check(firing(), &[(10, good(10, 10, 1), Step::Changed), (12, suspected(12), Step::Changed)]);
    let doubted = check(firing(), &[(3, good(3, 3, 1), Step::Changed), (4, UNCLEAR, Step::None)]);
    assert!(matches!(doubted.alarm(&key()).unwrap().stage, Stage::Clearing { .. }));
}

#[test]
fn silence_however_long_resolves_nothing() {
    let lifecycle = check(firing(), &[(86_400, UNCLEAR, Step::None), (2 * 86_400, ISOLATED, Step::None)]);

    assert!(matches!(lifecycle.alarm(&key()).unwrap().stage, Stage::Firing { .. }));
}

#[test]
fn a_finding_that_grows_louder_or_enters_a_later_threshold_has_worsened() {
    let louder = Finding { level: Level::Critical, ..held(0) };
    check(firing(), &[(3, Verdict::Bad(louder), Step::Worsened), (4, bad(0), Step::None)]);

    let policy = Policy::default();
    let mut lifecycle = Lifecycle::default();
    let certificate = |band: ExpiryThreshold| {
        let mut finding = finding(RuleId::F26, Level::Warning, 0);
        samples::change(&mut finding, |expiry: &mut ServedExpiry| expiry.band = band);
        finding
    };
    let steps = [ExpiryThreshold::Warning, ExpiryThreshold::Warning, ExpiryThreshold::Urgent, ExpiryThreshold::Warning]
        .map(|band| {
            let finding = certificate(band);
            lifecycle.take(&finding.key(), Verdict::Bad(finding), &policy, at(3))
        });
    assert_eq!(steps, [Step::Fired, Step::None, Step::Worsened, Step::None]);
}

#[test]
fn an_alarm_keeps_the_time_of_its_first_bad_probe() {
    let later = Finding { since: at(20).wall, ..held(0) };
    let lifecycle = check(firing(), &[(25, Verdict::Bad(later), Step::None)]);

    assert_eq!(lifecycle.alarm(&key()).unwrap().finding.since, at(0).wall);
}

#[test]
fn a_restored_alarm_goes_on_where_it_stood_and_the_gap_is_not_booked() {
    let restored = |stage| {
        let mut lifecycle = Lifecycle::default();
        lifecycle.restore(Alarm { finding: held(30), stage, incident: None }, at(1_000));
        lifecycle
    };
    let pending = Stage::Pending { since: at(2).wall, held: Duration::from_secs(20) };
    check(restored(pending), &[(1_009, bad(30), Step::Changed), (1_010, bad(30), Step::Fired)]);
    check(restored(pending), &[(1_001, good(1_001, 1_001, 1), Step::Dropped)]);

    let firing = Stage::Firing { since: at(2).wall };
    check(restored(firing), &[(1_001, bad(30), Step::None)]);
    check(
        restored(firing),
        &[
            (1_014, good(1_000, 1_014, 9), Step::Changed),
            (1_015, good(1_000, 1_015, 9), Step::Recovered(at(1_000).wall)),
        ],
    );
}

#[test]
fn the_next_time_to_judge_is_the_end_of_the_hold_and_a_recovery_waits_for_probes() {
    let next = |lifecycle: &Lifecycle| lifecycle.next().map(|(at, _)| at);

    assert_eq!(next(&check(Lifecycle::default(), &[(2, bad(30), Step::Raised)])), Some(at(30).mono));
    assert_eq!(next(&firing()), None);
    assert_eq!(next(&check(firing(), &[(12, good(10, 12, 1), Step::Changed)])), None);
}

#[test]
fn suspicions_are_kept_from_their_first_moment_until_a_verdict() {
    let lifecycle = check(Lifecycle::default(), &[(2, suspected(1), Step::None), (9, suspected(1), Step::None)]);
    let within = |lifecycle: &Lifecycle, seconds| {
        lifecycle.is_suspected(&Near::At(key()), at(12).mono, Duration::from_secs(seconds))
    };
    assert_eq!((within(&lifecycle, 9), within(&lifecycle, 10)), (false, true));

    assert!(!within(&check(lifecycle, &[(10, UNCLEAR, Step::None)]), 60));
}

#[derive(Debug, Clone, Copy)]
enum Said {
    Bad,
    Good(u32),
    Suspected,
    Unclear,
    Isolated,
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        3 => Just(Said::Bad),
        3 => (1_u32..6).prop_map(Said::Good),
        1 => Just(Said::Suspected),
        1 => Just(Said::Unclear),
        1 => Just(Said::Isolated),
    ]
}

fn scope(second: u64) -> FindingKey {
    FindingKey { subject: samples::subject(&format!("prod-fra1/apiserver/api-{second}")), ..key() }
}

/// Alarms of one rule and cluster whose hold of 30 s begins at these seconds, judged each second until the last one.
fn same_scope(begin: &[u64], until: u64) -> Lifecycle {
    let mut lifecycle = Lifecycle::default();
    for second in 0..=until {
        for begun in begin.iter().filter(|begun| **begun <= second) {
            let finding = Finding { subject: scope(*begun).subject, since: at(*begun).wall, ..held(30) };
            lifecycle.take(&scope(*begun), Verdict::Bad(finding), &Policy::default(), at(second));
        }
    }
    lifecycle
}

fn expects_company(lifecycle: &Lifecycle, second: u64) -> bool {
    let place = scope(0).subject.cluster().cloned();
    lifecycle.expecting_company(&place, at(second).mono).contains_key(&RuleScope::of(&scope(0)))
}

#[test]
fn a_warning_waits_for_another_of_its_rule_that_is_seconds_away() {
    for (begin, now, expected) in [
        (&[0][..], 30, false),
        (&[0, 3], 30, true),
        (&[0, 3], 32, true),
        (&[0, 3], 33, false),
        (&[0, 5], 34, true),
        (&[0, 6], 30, false),
        // From the first of those that wait, not from the latest.
        (&[0, 3, 8], 33, false),
        (&[0, 3, 5], 33, true),
    ] {
        let lifecycle = same_scope(begin, now);

        assert_eq!(expects_company(&lifecycle, now), expected, "{begin:?} at {now} s");
    }
}

#[test]
fn what_comes_back_louder_while_it_recovers_has_worsened() {
    let louder = Verdict::Bad(Finding { level: Level::Critical, ..held(0) });

    check(
        firing(),
        &[(5, good(4, 5, 1), Step::Changed), (8, louder.clone(), Step::Worsened), (11, louder, Step::None)],
    );
}

#[test]
fn company_of_which_nothing_more_is_heard_is_waited_for_no_longer_than_five_seconds() {
    let mut lifecycle = same_scope(&[0, 1], 30);
    for second in 31..=40 {
        lifecycle.take(&scope(1), UNCLEAR, &Policy::default(), at(second));

        assert_eq!(expects_company(&lifecycle, second), second < 35, "at {second} s");
    }
}

#[test]
fn alarms_of_another_cluster_or_rule_are_no_company() {
    for other in [
        FindingKey { rule: RuleId::F49, ..scope(3) },
        FindingKey { subject: samples::subject("stage/apiserver/api-3"), ..key() },
    ] {
        let mut lifecycle = same_scope(&[0], 30);
        let finding = Finding { rule: other.rule, subject: other.subject.clone(), since: at(3).wall, ..held(30) };
        lifecycle.take(&other, Verdict::Bad(finding), &Policy::default(), at(30));

        assert!(!expects_company(&lifecycle, 30), "{other:?}");
    }
}

proptest! {
    #[test]
    fn no_alarm_ends_without_a_good_verdict_and_none_that_fired_in_less_than_fifteen_seconds(
        hold in 0_u64..40, script in proptest::collection::vec((0_u64..20, said()), 1..60)
    ) {
        let mut lifecycle = Lifecycle::default();
        let mut second = 0;
        let mut last_bad = 0;
        for (wait, said) in script {
            second += wait;
            let verdict = match said {
                Said::Bad => bad(hold),
                Said::Good(probes) => good(second.saturating_sub(20), second, probes),
                Said::Suspected => suspected(second),
                Said::Unclear => UNCLEAR,
                Said::Isolated => ISOLATED,
            };
            let before = lifecycle.alarm(&key()).cloned();
            let step = lifecycle.take(&key(), verdict, &Policy::default(), at(second));

            let has_ended = before.is_some() && lifecycle.alarm(&key()).is_none();
            prop_assert_eq!(has_ended, matches!(step, Step::Recovered(_) | Step::Dropped));
            if has_ended {
                let was_firing = before.is_some_and(|alarm| alarm.is_firing());
                prop_assert_eq!(was_firing, matches!(step, Step::Recovered(_)));
                prop_assert!(matches!(said, Said::Good(probes) if probes >= 3 || !was_firing));
                prop_assert!(!was_firing || second - last_bad >= 15);
            }
            if matches!(said, Said::Bad) {
                last_bad = second;
            }
        }
    }
}
