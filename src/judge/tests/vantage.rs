//! F04 the vantage is cut off, and what is believed meanwhile.

use crate::model::inventory::{Cluster, Inventory, Reference};
use crate::model::rule::Level::{Critical, Info, Warning};
use crate::model::rule::RuleId::{F04, F22, F23, F24, F55};
use crate::model::verdict::{Verdict, Why};

use super::fixture::{
    Says, Seen, at, check, check_in, dead, each, end, inventory, mute, name, of, path_works, ready, said, together,
    verdicts, view,
};

const RELAY: &str = "vantage/reference/relay";
const A1: &str = "prod/apiserver/api-1";
const A2: &str = "prod/apiserver/api-2";
const ISOLATED: Says = Says::Bad(Critical, 60);
const DOWN: Says = Says::Bad(Warning, 30);

#[test]
fn the_vantage_is_isolated_when_its_reference_points_are_silent_and_nothing_has_answered_since() {
    let cut = |times: &[u64]| together(&[each(times, mute(RELAY)), each(times, mute(A1))]);
    for (says, probes) in [
        (Says::NeverSeen, cut(&[0, 1000])),
        (Says::NeverSeen, cut(&[0, 500, 999])),
        (ISOLATED, cut(&[0, 500, 1000])),
        (ISOLATED, together(&[each(&[0], ready(A1)), cut(&[100, 600, 1100])])),
        (Says::Good, together(&[cut(&[0, 500, 1000]), each(&[1001], ready(A1))])),
        (Says::Good, together(&[cut(&[0, 500, 1000]), each(&[1001], dead("prod/apiserver/api-2"))])),
    ] {
        check(&probes, &[(F04, "vantage", says)]);
    }
}

#[test]
fn a_reference_point_that_fell_silent_shortly_before_leaves_it_to_all_others() {
    let before = each(&[0, 500, 1000, 10_000, 10_600, 11_200], mute(RELAY));
    let cluster = |then: Vec<(u64, Option<Seen>)>| together(&[before.clone(), each(&[5000], ready(A1)), then]);

    check(&cluster(each(&[10_000, 10_600, 11_200], mute(A1))), &[(F04, "vantage", ISOLATED)]);
    check(&cluster(each(&[10_000, 10_600], mute(A1))), &[(F04, "vantage", Says::Good)]);
    check(&cluster(each(&[10_000, 10_600, 11_200], dead(A1))), &[(F04, "vantage", Says::Good), (F22, A1, DOWN)]);
}

#[test]
fn a_reference_point_that_is_known_to_be_dead_holds_back_no_fault_of_the_only_cluster() {
    let silence = each(&[0, 10_000, 20_000, 30_000, 40_000, 50_000], mute(RELAY));
    let times: Vec<u64> = (10..=17).map(|step| step * 3000).collect();
    let cut = together(&[silence, each(&[5000], ready(A1)), each(&times, mute(A1)), each(&times, mute(A2))]);
    for (is_dead, lasting, isolated, down) in [
        (false, 51_000, ISOLATED, Says::Suspected),
        (true, 51_000, Says::Good, Says::Suspected),
        (true, 60_000, Says::Good, Says::Bad(Critical, 0)),
    ] {
        let mut view = view(inventory(2, 3), &cut);
        view.set_silent_reference(&of(RELAY), is_dead);

        let verdicts = verdicts(&view, at(lasting));

        assert_eq!(said(&verdicts, F04, "vantage"), isolated, "{is_dead} {lasting}");
        assert_eq!(said(&verdicts, F24, "prod"), down, "{is_dead} {lasting}");
    }
}

#[test]
fn silence_counts_against_a_reference_point_only_while_something_else_answers() {
    let silent = |times: &[u64]| each(times, mute(RELAY));
    let warned = Says::Bad(Warning, 600);
    for (probes, says) in [
        (silent(&[0, 10_000, 20_000]), Says::Vantage),
        (together(&[silent(&[0, 10_000, 20_000]), each(&[15_000], ready(A1))]), warned),
        (together(&[silent(&[0, 10_000, 20_000]), each(&[15_000], dead(A1))]), warned),
        (together(&[silent(&[0, 10_000, 20_000]), each(&[5000], ready(A1))]), Says::Vantage),
        (together(&[silent(&[0, 1000, 2000]), each(&[1500], ready(A1))]), Says::Unclear),
        (
            together(&[silent(&[0, 10_000, 20_000]), each(&[15_000], ready(A1)), each(&[21_000], path_works())]),
            Says::Good,
        ),
        // Its machine refuses, and proves by that that our path works.
        (each(&[0, 10_000, 20_000], dead(RELAY)), Says::Good),
    ] {
        let verdicts = verdicts(&view(inventory(2, 3), &probes), end(&probes));

        assert_eq!(said(&verdicts, F55, RELAY), says, "{probes:?}");
    }
}

#[test]
fn a_cluster_is_a_reference_point_for_others_and_gets_no_warning_as_such() {
    let mut two = inventory(2, 3);
    let lab = Cluster { etcds: Default::default(), ..two.clusters[&name("prod")].clone() };
    two.clusters.insert(name("lab"), lab);
    let silent = each(&[0, 5000, 10_000], mute("lab/apiserver/api-1"));
    let probes = together(&[silent.clone(), each(&[9000], ready(A1))]);
    let in_part = together(&[probes.clone(), each(&[7000], dead("lab/apiserver/api-2"))]);
    for (probes, says) in [(probes, Says::Bad(Info, 600)), (silent, Says::Vantage), (in_part, Says::Good)] {
        let verdicts = verdicts(&view(two.clone(), &probes), end(&probes));

        assert_eq!(said(&verdicts, F55, "lab"), says, "{probes:?}");
    }
    let alone = verdicts(&view(inventory(2, 3), &[]), at(0));
    assert_eq!(said(&alone, F55, "prod"), Says::Nothing);
}

#[test]
fn one_of_two_reference_points_that_answers_is_sight() {
    let mut two = inventory(2, 3);
    two.references.push(Reference { name: name("gate"), address: "10.0.9.1:22".into(), is_loopback: false });
    let probes = each(&[0, 500, 1000], mute(RELAY));
    let both = together(&[probes.clone(), each(&[0, 500, 1000], mute("vantage/reference/gate"))]);

    check_in(
        two.clone(),
        &together(&[probes, each(&[300], dead("vantage/reference/gate"))]),
        &[(F04, "vantage", Says::Good)],
    );
    check_in(two, &both, &[(F04, "vantage", ISOLATED)]);
}

#[test]
fn places_on_this_machine_are_no_witnesses() {
    let mut local = inventory(2, 3);
    local.references[0].is_loopback = true;
    let probes = each(&[0, 500, 1000], mute(RELAY));

    check_in(local, &probes, &[(F04, "vantage", Says::Nothing)]);
}

#[test]
fn without_any_reference_point_isolation_is_not_judged() {
    let alone = Inventory { references: Vec::new(), ..inventory(2, 3) };

    check_in(alone, &each(&[0, 500, 1000], mute(A1)), &[(F04, "vantage", Says::Nothing)]);
}

#[test]
fn while_isolated_nothing_bad_is_believed_of_any_cluster() {
    let probes = together(&[
        each(&[0, 500, 1000], dead(A1)),
        each(&[0, 500, 1000], dead("prod/apiserver/api-2")),
        each(&[1000], ready("prod/vip")),
    ]);
    let mut view = view(inventory(2, 3), &probes);
    let seeing = verdicts(&view, end(&probes));
    view.set_isolated(true, at(1000).mono);
    let isolated = verdicts(&view, end(&probes));

    assert!(matches!(said(&seeing, F24, "prod"), Says::Bad(..)));
    for (rule, subject, says) in [(F22, A1, Says::Vantage), (F24, "prod", Says::Vantage), (F23, "prod/vip", Says::Good)]
    {
        assert_eq!(said(&isolated, rule, subject), says, "{rule}");
    }
    let of_clusters = isolated.iter().filter(|(key, _)| key.subject.cluster().is_some());
    assert!(
        of_clusters
            .map(|(_, verdict)| verdict)
            .all(|verdict| { matches!(verdict, Verdict::Good { .. } | Verdict::Unknown(Why::Vantage)) })
    );
}

#[test]
fn what_was_bad_while_isolated_is_forgotten_with_the_return_of_sight() {
    let probes = together(&[each(&[0, 500, 1000], mute(A1)), each(&[100], path_works())]);
    let mut view = view(inventory(2, 3), &probes);
    view.set_isolated(true, at(1000).mono);
    view.set_isolated(false, at(2000).mono);

    let seeing = verdicts(&view, at(2000));

    assert_eq!(said(&seeing, F22, A1), Says::Unclear);
}
