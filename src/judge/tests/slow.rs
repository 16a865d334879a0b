//! F49: answers, but slowly.

use crate::model::rule::Level::{Critical, Warning};
use crate::model::rule::RuleId::F49;

use super::fixture::{Says, check, each, ready, together, took, version};

const A1: &str = "prod/apiserver/api-1";
const A2: &str = "prod/apiserver/api-2";

#[test]
fn three_probes_in_a_row_above_a_second_are_slow() {
    for (millis, times, says) in [
        (1001, &[0, 3000][..], Says::Unclear),
        (1001, &[0, 3000, 6000][..], Says::Bad(Warning, 30)),
        (1000, &[0, 3000, 6000][..], Says::Good),
    ] {
        check(&each(times, took(millis, ready(A1))), &[(F49, "prod", says)]);
    }
}

#[test]
fn one_brisk_probe_between_begins_the_count_anew() {
    let probes = together(&[each(&[0, 3000, 9000], took(1500, ready(A1))), each(&[6000], ready(A1))]);

    check(&probes, &[(F49, "prod", Says::Unclear)]);
}

#[test]
fn ordinary_traffic_counts_by_itself() {
    let slow = each(&[0, 10_000, 20_000], took(1500, version(A1)));
    let probes = together(&[slow, each(&[0, 3000, 6000, 20_000], ready(A1))]);

    check(&probes, &[(F49, "prod", Says::Bad(Warning, 30))]);
}

#[test]
fn it_is_critical_only_when_every_instance_is_slow() {
    let slow = |subject| each(&[0, 3000, 6000], took(1500, ready(subject)));
    let warning = Says::Bad(Warning, 30);
    for (endpoints, says) in [
        (&[A1, A2][..], Says::Bad(Critical, 10)),
        (&[A1][..], warning),
        (&["prod/vip"][..], warning),
        (&["prod/vip", A2][..], warning),
    ] {
        let probes: Vec<_> = endpoints.iter().map(|endpoint| slow(endpoint)).collect();

        check(&together(&probes), &[(F49, "prod", says)]);
    }
}
