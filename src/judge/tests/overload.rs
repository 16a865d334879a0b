//! F18: when users are hurt, when a level is only busy, and what ends either.

use crate::model::flow_control::NoDump;
use crate::model::inventory::Inventory;
use crate::model::rule::Level::{Critical, Info};
use crate::model::rule::RuleId::F18;

use super::fixture::{
    Says, Seen, check_in, each, end, inventory, levels, name, no_levels, ready, said, together, took, verdicts,
    version, version_status, view,
};

const A1: &str = "prod/apiserver/api-1";
const A2: &str = "prod/apiserver/api-2";
const HURT: Says = Says::Bad(Critical, 0);

/// Ordinary probes are ten seconds apart, as dumps of the levels are.
const THRICE: [u64; 3] = [0, 10_000, 20_000];

type Probes = Vec<(u64, Option<Seen>)>;

fn asked() -> Inventory {
    let mut inventory = inventory(2, 3);
    inventory.clusters.get_mut(&name("prod")).unwrap().flow_control = true;
    inventory
}

/// Exempt probes are fast throughout.
fn fast() -> Probes {
    together(&[A1, A2].map(|one| each(&[0, 5000, 10_000, 15_000, 20_000], ready(one))))
}

fn says(probes: &[Probes], subject: &str) -> Says {
    let probes = together(probes);
    said(&verdicts(&view(asked(), &probes), end(&probes)), F18, subject)
}

#[test]
fn users_are_hurt_where_ordinary_requests_are_slow_at_a_majority_and_exempt_ones_are_not() {
    let slow = |one: &str, millis| each(&THRICE, took(millis, version(one)));
    let brisk = |one: &str| each(&THRICE, version(one));
    for (probes, expected) in [
        (vec![slow(A1, 1001), slow(A2, 1001)], HURT),
        (vec![slow(A1, 1000), slow(A2, 1001)], Says::Unclear),
        (vec![slow(A1, 1001), brisk(A2)], Says::Unclear),
        (vec![brisk(A1), brisk(A2)], Says::Good),
    ] {
        assert_eq!(says(&[probes.concat(), fast()], "prod"), expected, "{probes:?}");
    }
}

#[test]
fn two_slow_probes_do_not_confirm_and_two_that_are_turned_away_do() {
    let twice = |one: &str, seen: fn(&str) -> Option<Seen>| each(&[10_000, 20_000], seen(one));
    let slow = |one: &str| took(1500, version(one));
    let shed = |one: &str| version_status(one, 429);

    assert_eq!(says(&[twice(A1, slow), twice(A2, slow), fast()], "prod"), Says::Unclear);
    assert_eq!(says(&[twice(A1, shed), twice(A2, shed), fast()], "prod"), HURT);
}

#[test]
fn where_exempt_requests_are_slow_too_only_requests_that_wait_show_an_overload() {
    let slow = |one: &str| [each(&THRICE, took(1500, version(one))), each(&THRICE, took(1500, ready(one)))].concat();
    let dumps = |waiting| [A1, A2].map(|one| each(&THRICE, levels(one, &[("workload-low", waiting, 0)]))).concat();

    assert_eq!(says(&[slow(A1), slow(A2), dumps(0)], "prod"), Says::Unclear, "it may be the network");
    assert_eq!(says(&[slow(A1), slow(A2), dumps(7)], "prod"), HURT);
}

#[test]
fn levels_on_which_the_cluster_depends_hurt_and_others_are_listed() {
    let well = || [fast(), [A1, A2].map(|one| each(&THRICE, version(one))).concat()].concat();
    let dumps = |level: &'static str, times: &[u64], waiting| each(times, levels(A2, &[(level, waiting, 0)]));
    for level in ["system", "leader-election", "node-high"] {
        assert_eq!(says(&[well(), dumps(level, &THRICE, 1)], "prod"), HURT, "{level}");
        assert_eq!(says(&[well(), dumps(level, &THRICE, 0)], "prod"), Says::Good, "{level}");
        let twice = dumps(level, &THRICE[..2], 1);
        assert_eq!(says(&[well(), twice], "prod"), Says::Unclear, "{level}");
    }
    for level in ["workload-high", "workload-low", "global-default", "catch-all", "of-our-own"] {
        let probes = [well(), dumps(level, &THRICE, 50)];
        assert_eq!((says(&probes, "prod"), says(&probes, A2)), (Says::Good, Says::Bad(Info, 60)), "{level}");
        assert_eq!(says(&[well(), dumps(level, &THRICE, 0)], A2), Says::Good, "{level}");
    }
    assert_eq!(says(&[well(), dumps("exempt", &THRICE, 50)], A2), Says::Good);
}

#[test]
fn requests_turned_away_between_two_dumps_count_and_those_from_before_do_not() {
    let well = || [fast(), [A1, A2].map(|one| each(&THRICE, version(one))).concat()].concat();
    let dumps = |counts: [u64; 4]| {
        let dump = |(count, at)| (at, levels(A1, &[("node-high", 0, count)]));
        counts.into_iter().zip([0, 6000, 13_000, 20_000]).map(dump).collect::<Probes>()
    };

    assert_eq!(says(&[well(), dumps([900, 901, 902, 903])], "prod"), HURT);
    assert_eq!(says(&[well(), dumps([900, 900, 900, 900])], "prod"), Says::Good);
}

#[test]
fn without_the_right_the_rest_still_counts_and_nothing_waits_for_it() {
    let well = || [fast(), [A1, A2].map(|one| each(&THRICE, version(one))).concat()].concat();
    let denied = |instead| [A1, A2].map(|one| each(&THRICE, no_levels(one, Err(instead)))).concat();
    for instead in [NoDump::Forbidden, NoDump::Missing, NoDump::Foreign, NoDump::Status(500)] {
        assert_eq!(says(&[well(), denied(instead)], "prod"), Says::Good, "{instead:?}");
        check_in(asked(), &together(&[well(), denied(instead)]), &[]);
    }
}
