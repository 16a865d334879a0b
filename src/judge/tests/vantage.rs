//! F04 the vantage is cut off, and what is believed meanwhile.

use crate::model::inventory::{Inventory, Reference};
use crate::model::rule::Level::Critical;
use crate::model::rule::RuleId::{F04, F22, F23, F24};
use crate::model::subject::Subject;
use crate::model::verdict::{Verdict, Why};

use super::stage::{
    Says, at, check, check_in, dead, each, end, inventory, mute, name, path_works, ready, said, together, verdicts,
    view,
};

const RELAY: &str = "vantage/reference/relay";
const A1: &str = "prod/apiserver/api-1";
const BLIND: Says = Says::Bad(Critical, 60);

#[test]
fn the_vantage_is_blind_when_its_reference_points_are_silent_and_nothing_has_answered_since() {
    let cut = |times: &[u64]| together(&[each(times, mute(RELAY)), each(times, mute(A1))]);
    for (says, looks) in [
        (Says::NeverSeen, cut(&[0, 1000])),
        (Says::NeverSeen, cut(&[0, 500, 999])),
        (BLIND, cut(&[0, 500, 1000])),
        (BLIND, together(&[each(&[0], ready(A1)), cut(&[100, 600, 1100])])),
        (Says::Good, together(&[cut(&[0, 500, 1000]), each(&[1001], ready(A1))])),
        (Says::Good, together(&[cut(&[0, 500, 1000]), each(&[1001], dead("prod/apiserver/api-2"))])),
    ] {
        check(&looks, &[(F04, "vantage", says)]);
    }
}

#[test]
fn a_reference_point_that_was_dead_before_says_nothing() {
    let dead_for_long = each(&[0, 500, 1000, 10_000, 10_600, 11_200], mute(RELAY));
    let cluster = together(&[each(&[5000], ready(A1)), each(&[10_000, 10_600, 11_200], mute(A1))]);

    check(&together(&[dead_for_long, cluster]), &[(F04, "vantage", Says::Good)]);
}

#[test]
fn one_of_two_reference_points_that_answers_is_sight() {
    let mut two = inventory(2, 3);
    two.references.push(Reference { name: name("gate"), address: "10.0.9.1:22".into(), is_loopback: false });
    let looks = each(&[0, 500, 1000], mute(RELAY));
    let both = together(&[looks.clone(), each(&[0, 500, 1000], mute("vantage/reference/gate"))]);

    check_in(
        two.clone(),
        &together(&[looks, each(&[300], dead("vantage/reference/gate"))]),
        &[(F04, "vantage", Says::Good)],
    );
    check_in(two, &both, &[(F04, "vantage", BLIND)]);
}

#[test]
fn places_on_this_machine_are_no_witnesses() {
    let mut local = inventory(2, 3);
    local.references[0].is_loopback = true;
    let looks = each(&[0, 500, 1000], mute(RELAY));

    check_in(local, &looks, &[(F04, "vantage", Says::Nothing)]);
}

#[test]
fn without_any_reference_point_blindness_is_not_judged() {
    let alone = Inventory { references: Vec::new(), ..inventory(2, 3) };

    check_in(alone, &each(&[0, 500, 1000], mute(A1)), &[(F04, "vantage", Says::Nothing)]);
}

#[test]
fn while_blind_nothing_bad_is_believed_of_any_cluster() {
    let looks = together(&[
        each(&[0, 500, 1000], dead(A1)),
        each(&[0, 500, 1000], dead("prod/apiserver/api-2")),
        each(&[1000], ready("prod/vip")),
    ]);
    let mut view = view(inventory(2, 3), &looks);
    let seeing = verdicts(&view, end(&looks));
    view.set_blind(true, at(1000).mono);
    let blind = verdicts(&view, end(&looks));

    assert!(matches!(said(&seeing, F24, "prod"), Says::Bad(..)));
    for (rule, subject, says) in [(F22, A1, Says::Vantage), (F24, "prod", Says::Vantage), (F23, "prod/vip", Says::Good)]
    {
        assert_eq!(said(&blind, rule, subject), says, "{rule}");
    }
    let of_clusters = blind.iter().filter(|(key, _)| key.subject != Subject::Vantage);
    assert!(
        of_clusters
            .map(|(_, verdict)| verdict)
            .all(|verdict| { matches!(verdict, Verdict::Good { .. } | Verdict::Unknown(Why::Vantage)) })
    );
}

#[test]
fn what_was_bad_while_blind_is_forgotten_with_the_return_of_sight() {
    let looks = together(&[each(&[0, 500, 1000], mute(A1)), each(&[100], path_works())]);
    let mut view = view(inventory(2, 3), &looks);
    view.set_blind(true, at(1000).mono);
    view.set_blind(false, at(2000).mono);

    let seeing = verdicts(&view, at(2000));

    assert_eq!(said(&seeing, F22, A1), Says::Unclear);
}
