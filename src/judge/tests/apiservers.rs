//! F22 one instance, F23 the address in front, F24 all instances, F25 and F50 not ready.

use crate::model::rule::Level::{Critical, Warning};
use crate::model::rule::RuleId::{F22, F23, F24, F25, F50};

use super::fixture::Member::{Gone, Up};
use super::fixture::{
    Says, Seen, answered, check, check_in, dead, each, inventory, mute, name, not_ready, ready, round, round_with,
    together,
};

const A1: &str = "prod/apiserver/api-1";
const A2: &str = "prod/apiserver/api-2";
const A3: &str = "prod/apiserver/api-3";
const VIP: &str = "prod/vip";
const PAGE: Says = Says::Bad(Critical, 0);
const HELD: Says = Says::Bad(Warning, 30);

const THRICE: [u64; 3] = [0, 500, 1000];

fn thrice(seen: Option<Seen>) -> Vec<(u64, Option<Seen>)> {
    each(&THRICE, seen)
}

#[test]
fn one_bad_instance_is_a_lost_redundancy_and_all_of_them_are_an_outage() {
    for (first, second, one, all) in [
        (ready(A1), ready(A2), Says::Good, Says::Good),
        (dead(A1), ready(A2), HELD, Says::Good),
        (dead(A1), dead(A2), HELD, PAGE),
        // A balancer's error page in place of the instance.
        (answered(A1, 503, &[]), ready(A2), HELD, Says::Good),
        (answered(A1, 503, &[]), dead(A2), HELD, PAGE),
    ] {
        let both_down = all == PAGE;
        let probes = together(&[thrice(first), thrice(second)]);
        let other = if both_down { HELD } else { Says::Good };

        check(&probes, &[(F22, A1, one), (F22, A2, other), (F24, "prod", all)]);
    }
}

#[test]
fn an_instance_nobody_has_seen_makes_no_outage_of_all() {
    check(&thrice(dead(A1)), &[(F22, A1, HELD), (F24, "prod", Says::NeverSeen)]);
    let probes = together(&[thrice(dead(A1)), each(&[900], dead(A2))]);
    check(&probes, &[(F22, A1, HELD), (F24, "prod", Says::Suspected)]);
}

#[test]
fn a_lost_instance_is_critical_after_ten_minutes_when_it_was_the_last_but_one() {
    let beat: Vec<u64> = (0..=200).map(|n| n * 3000).collect();
    for (instances, after) in [(2, Says::Bad(Critical, 30)), (3, HELD)] {
        let others = [A2, A3].into_iter().take(usize::from(instances) - 1);
        let mut probes: Vec<_> = others.map(|other| each(&beat, ready(other))).collect();
        probes.push(each(&beat, dead(A1)));
        let probes = together(&probes);
        let before = probes.len() - usize::from(instances);

        check_in(inventory(instances, 3), &probes[..before], &[(F22, A1, HELD)]);
        check_in(inventory(instances, 3), &probes, &[(F22, A1, after)]);
    }
}

#[test]
fn a_sole_instance_is_never_one_of_several_and_gets_ten_seconds() {
    let probes = thrice(dead(A1));

    check_in(inventory(1, 3), &probes, &[(F22, A1, Says::Nothing), (F24, "prod", Says::Bad(Critical, 10))]);
}

#[test]
fn without_configured_instances_the_address_counts_as_one() {
    let probes = thrice(dead(VIP));

    check_in(inventory(0, 3), &probes, &[(F23, VIP, Says::Nothing), (F24, "prod", Says::Bad(Critical, 10))]);
}

#[test]
fn a_dead_address_needs_an_instance_seen_ready_after_its_first_bad_probe() {
    for (seen_ready, says) in [(0, Says::Suspected), (100, Says::Suspected), (101, PAGE), (1100, PAGE)] {
        let probes = together(&[each(&[seen_ready], ready(A2)), each(&[100, 600, 1100], dead(VIP))]);

        check(&probes, &[(F23, VIP, says)]);
    }
}

#[test]
fn a_dead_address_without_any_probe_at_an_instance_is_only_suspected() {
    check(&thrice(dead(VIP)), &[(F23, VIP, Says::Suspected)]);
}

#[test]
fn an_address_that_fails_over_gets_ten_seconds() {
    let mut failing_over = inventory(2, 3);
    failing_over.clusters.get_mut(&name("prod")).unwrap().vip_fails_over = true;
    let probes = together(&[thrice(dead(VIP)), each(&[700], ready(A1))]);

    check_in(failing_over, &probes, &[(F23, VIP, Says::Bad(Critical, 10))]);
}

#[test]
fn an_address_that_leads_to_an_instance_that_is_not_ready_is_not_dead() {
    let probes = together(&[thrice(not_ready(VIP, &["ping"])), thrice(ready(A1))]);

    check(&probes, &[(F23, VIP, Says::Unclear)]);
}

#[test]
fn an_address_that_fails_beside_a_bad_instance_is_blamed_only_after_half_a_minute() {
    for (last, says) in [(29_999, Says::Suspected), (30_000, PAGE)] {
        let times = [0, 15_000, last];
        let probes = together(&[each(&times, dead(A1)), each(&times, ready(A2)), each(&times, dead(VIP))]);

        check(&probes, &[(F22, A1, HELD), (F23, VIP, says)]);
    }
}

#[test]
fn an_instance_that_returns_while_the_address_fails_does_not_hurry_the_blame() {
    for (last_bad, says) in [(99, PAGE), (100, Says::Suspected), (900, Says::Suspected)] {
        let instance = together(&[each(&[last_bad], dead(A1)), each(&[last_bad + 100], ready(A1))]);
        let probes = together(&[instance, each(&[100, 600, 1100], dead(VIP)), each(&[1050], ready(A2))]);

        check(&probes, &[(F23, VIP, says)]);
    }
}

#[test]
fn instances_that_blame_etcd_are_believed_once_etcd_was_judged_after_them() {
    let blaming = together(&[each(&[100, 600, 1100], not_ready(A1, &["etcd"])), each(&[150], ready(A2))]);
    for (etcd, says) in [
        (Vec::new(), Says::Suspected),
        (vec![(100, round(&[Up, Up, Up]))], Says::Suspected),
        (vec![(101, round(&[Up, Up, Up]))], HELD),
        // Not yet known whether etcd is the cause.
        (vec![(101, round(&[Up, Gone, Gone]))], Says::Suspected),
    ] {
        check(&together(&[blaming.clone(), etcd]), &[(F25, "prod", says)]);
    }
    check_in(inventory(2, 0), &blaming, &[(F25, "prod", HELD)]);
}

#[test]
fn instances_that_still_wait_for_an_old_leader_are_no_outage_until_five_seconds_after_the_election() {
    let term = |term: u64| round_with(&[Up, Up, Up], |status| status.raft_term = term);
    let etcd = [(0, term(3)), (3000, term(4)), (6000, term(4)), (9000, term(4))];
    for (last, says) in [(4500, Says::Suspected), (7999, Says::Suspected), (8000, PAGE)] {
        let times = [2500, 3500, last];
        let blaming = |of| each(&times, not_ready(of, &["etcd"]));
        let until: Vec<_> = etcd.iter().filter(|(at, _)| *at <= last).cloned().collect();

        check(&together(&[blaming(A1), blaming(A2), until]), &[(F25, "prod", says)]);
    }
}

#[test]
fn not_ready_is_said_by_the_rule_that_knows_the_reason_and_by_no_other() {
    let etcd_is_fine = each(&[500], round(&[Up, Up, Up]));
    for (failing, blames, other) in [
        (&["etcd"][..], PAGE, Says::Unclear),
        (&["etcd-readiness"][..], PAGE, Says::Unclear),
        (&["etcd-override-0", "etcd-override-readiness-0"][..], PAGE, Says::Unclear),
        (&["etcd-override-readiness-1"][..], PAGE, Says::Unclear),
        (&["etcd-override-0", "kms-provider-0"][..], PAGE, Says::Unclear),
        (&["kms-provider-0", "etcd", "etcd-override-0"][..], PAGE, Says::Unclear),
        (&["etcd", "poststarthook/rbac/bootstrap-roles"][..], PAGE, Says::Unclear),
        (&["poststarthook/rbac/bootstrap-roles"][..], Says::Unclear, PAGE),
        (&["etcd-encryption"][..], Says::Unclear, PAGE),
    ] {
        let probes = together(&[thrice(not_ready(A1, failing)), thrice(not_ready(A2, failing)), etcd_is_fine.clone()]);

        let silent = [(F22, A1, Says::Unclear), (F24, "prod", Says::Unclear)];
        check(&probes, &[&silent[..], &[(F25, "prod", blames), (F50, "prod", other)]].concat());
    }
}

#[test]
fn one_dead_and_one_not_ready_are_an_outage_of_all() {
    let probes = together(&[thrice(dead(A1)), thrice(not_ready(A2, &["ping"]))]);

    check(&probes, &[(F22, A1, HELD), (F24, "prod", PAGE), (F50, "prod", HELD)]);
}

#[test]
fn a_sole_instance_that_is_not_ready_gets_ten_seconds() {
    let probes = thrice(not_ready(A1, &["ping"]));

    check_in(inventory(1, 0), &probes, &[(F50, "prod", Says::Bad(Critical, 10))]);
}

#[test]
fn an_instance_that_dies_takes_back_nothing_of_what_it_was_not_ready_for() {
    let probes = together(&[thrice(not_ready(A1, &["ping"])), thrice(ready(A2)), each(&[1500], mute(A1))]);

    check(&probes, &[(F22, A1, HELD), (F50, "prod", Says::Unclear)]);
}
