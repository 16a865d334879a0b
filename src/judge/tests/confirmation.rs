//! When bad probes are believed, shown on F22 of one instance.

use crate::model::inventory::Inventory;
use crate::model::rule::Level::Warning;
use crate::model::rule::RuleId::F22;
use crate::model::verdict::Verdict;

use super::fixture::{
    Says, Seen, answered, at, check, check_in, dead, each, end, inventory, mute, not_ready, path_works, ready,
    together, verdicts, version, view,
};

const API: &str = "prod/apiserver/api-1";
const BAD: Says = Says::Bad(Warning, 30);

type Probes = Vec<(u64, Option<Seen>)>;

fn mute_at(times: &[u64]) -> Probes {
    each(times, mute(API))
}

fn proof_at(times: &[u64]) -> Probes {
    each(times, path_works())
}

#[test]
fn a_fault_needs_three_bad_probes_that_span_a_second_and_a_proof_of_our_path_after_the_first() {
    for (says, probes) in [
        (Says::NeverSeen, proof_at(&[0])),
        (Says::Suspected, together(&[mute_at(&[0]), proof_at(&[100])])),
        (Says::Suspected, together(&[mute_at(&[0, 5000]), proof_at(&[100])])),
        (Says::Suspected, together(&[mute_at(&[0, 500, 999]), proof_at(&[100])])),
        (BAD, together(&[mute_at(&[0, 500, 1000]), proof_at(&[100])])),
        (BAD, together(&[mute_at(&[0, 500, 1001]), proof_at(&[100])])),
        // Proof before the first; after the last; together with the last.
        (Says::Suspected, together(&[proof_at(&[0]), mute_at(&[100, 600, 1200])])),
        (Says::Suspected, together(&[mute_at(&[0, 500, 1000]), proof_at(&[1001])])),
        (BAD, together(&[proof_at(&[1000]), mute_at(&[0, 500, 1000])])),
    ] {
        check(&probes, &[(F22, API, says)]);
    }
}

#[test]
fn a_proof_stays_a_proof_for_the_probes_that_follow_it() {
    check(&together(&[mute_at(&[0, 3000, 6000, 9000]), proof_at(&[100])]), &[(F22, API, BAD)]);
}

#[test]
fn a_good_probe_between_bad_ones_begins_the_count_anew() {
    let broken = together(&[mute_at(&[0, 500, 1500]), each(&[1000], ready(API)), proof_at(&[100, 1600])]);
    let again = together(&[broken.clone(), mute_at(&[2000, 2500])]);

    check(&broken, &[(F22, API, Says::Suspected)]);
    check(&again, &[(F22, API, BAD)]);
}

#[test]
fn an_alive_answer_of_any_kind_between_bad_probes_begins_the_count_anew() {
    for alive in [answered(API, 429, &[]), answered(API, 403, &[]), answered(API, 401, &[])] {
        let probes = together(&[mute_at(&[0, 500, 1500]), each(&[1000], alive), proof_at(&[100, 1100])]);

        check(&probes, &[(F22, API, Says::Suspected)]);
    }
}

#[test]
fn ordinary_traffic_that_goes_through_takes_back_nothing() {
    let probes = together(&[mute_at(&[0, 500, 1000]), each(&[700], version(API)), proof_at(&[100])]);

    check(&probes, &[(F22, API, BAD)]);
}

#[test]
fn a_refused_connection_proves_our_path_itself() {
    check(&each(&[0, 500, 1000], dead(API)), &[(F22, API, BAD)]);
    check(&each(&[0, 500, 999], dead(API)), &[(F22, API, Says::Suspected)]);
}

#[test]
fn another_endpoint_of_the_same_cluster_proves_our_path() {
    let probes = together(&[mute_at(&[0, 500, 1000]), each(&[100], ready("prod/apiserver/api-2"))]);

    check(&probes, &[(F22, API, BAD)]);
}

#[test]
fn an_instance_that_names_its_trouble_and_then_dies_is_down_at_once_and_only_since_then() {
    let probes = together(&[each(&[0, 500], not_ready(API, &["ping"])), each(&[1000], dead(API))]);

    check(&probes, &[(F22, API, BAD)]);
    let said = verdicts(&view(inventory(2, 3), &probes), end(&probes));
    assert!(said.iter().any(|(_, verdict)| matches!(verdict, Verdict::Bad(finding) if finding.since == at(1000).wall)));
}

#[test]
fn without_any_reference_point_a_fault_is_believed_after_thirty_seconds_as_unproven() {
    let alone = || Inventory { references: Vec::new(), ..inventory(2, 3) };
    let probes = |until| together(&[proof_at(&[0]), mute_at(&[100, 600, 1100]), vec![(until, None)]]);

    check_in(alone(), &probes(30_099), &[(F22, API, Says::Suspected)]);
    check_in(alone(), &probes(30_100), &[(F22, API, BAD)]);
    check(&probes(30_100), &[(F22, API, Says::Suspected)]);
    let said = verdicts(&view(alone(), &probes(30_100)), end(&probes(30_100)));
    assert!(said.iter().any(|(_, verdict)| matches!(verdict, Verdict::Bad(finding) if finding.path_unproven)));
}

#[test]
fn a_good_probe_is_good_for_thirty_seconds_and_then_says_nothing() {
    for (until, says) in [(30_000, Says::Good), (30_001, Says::Stale)] {
        check(&[(0, ready(API)), (until, None)], &[(F22, API, says)]);
    }
}
