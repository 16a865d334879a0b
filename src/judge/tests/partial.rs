//! Slow and partial faults: what fails beside what works decides whom the mail names, and what it says.

use std::collections::BTreeMap;

use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::rule::Level::Warning;
use crate::model::rule::RuleId::{self, F22, F23, F49};
use crate::model::subject::Subject;
use crate::model::verdict::Verdict;

use super::fixture::{
    Says, Seen, check_in, dead, each, end, inventory, of, path_works, ready, together, took, took_in, unseen, verdicts,
    version, version_status, view,
};

type Probes = Vec<(u64, Option<Seen>)>;

const A1: &str = "prod/apiserver/api-1";
const A2: &str = "prod/apiserver/api-2";
const VIP: &str = "prod/vip";
const HANGS: Unseen = Unseen { phase: Phase::Tls, cause: Cause::Timeout };
const SLOW: Says = Says::Bad(Warning, 30);

/// What a person reads of `rule` about `subject` after `probes`, nothing else being wrong.
fn check(probes: &Probes, rule: RuleId, subject: &str, says: Says, sentence: &str) {
    check_in(
        inventory(2, 0),
        probes,
        &[(rule, subject, says), (RuleId::F53, "prod", Says::Bad(crate::model::rule::Level::Info, 0))],
    );
    let verdicts = verdicts(&view(inventory(2, 0), probes), end(probes));
    let finding = verdicts.iter().find_map(|(key, verdict)| match verdict {
        Verdict::Bad(finding) if key.rule == rule && key.subject == of(subject) => Some(finding),
        Verdict::Bad(_) | Verdict::Good { .. } | Verdict::Unknown(_) => None,
    });
    let addresses: BTreeMap<Subject, String> = BTreeMap::new();

    assert_eq!(finding.unwrap().what(&addresses), sentence);
}

/// Everything well until `until` seconds, but for these.
fn well(until: u64, except: &[&str]) -> Probes {
    let times: Vec<u64> = (0..=until / 3).map(|n| n * 3000 + 7).collect();
    let ordinary: Vec<u64> = (0..=until / 10).map(|n| n * 10_000 + 9).collect();
    let endpoints = [A1, A2, VIP].into_iter().filter(|endpoint| !except.contains(endpoint));
    let mut groups: Vec<Probes> =
        endpoints.flat_map(|endpoint| [each(&times, ready(endpoint)), each(&ordinary, version(endpoint))]).collect();
    groups.push(each(&times, path_works()));
    together(&groups)
}

fn with(others: Probes, own: &[Probes]) -> Probes {
    together(&[&[others], own].concat())
}

const TICKS: [u64; 8] = [0, 3000, 6000, 9000, 12_000, 15_000, 18_000, 21_000];
const ORDINARY: [u64; 3] = [1000, 11_000, 21_010];

#[test]
fn an_instance_that_takes_no_new_connections_is_told_from_one_that_is_dead() {
    let bad = each(&TICKS, unseen(A2, HANGS));
    check(
        &with(well(21, &[A2]), &[bad.clone(), each(&ORDINARY, version(A2))]),
        F22,
        A2,
        SLOW,
        "kube-apiserver api-2 is hanging: it accepts the connection, then does not respond in the TLS handshake. Over \
         a connection opened earlier it still responds. 1 of 2 instances are ready.",
    );
    check(
        &with(well(21, &[A2]), &[bad]),
        F22,
        A2,
        SLOW,
        "kube-apiserver api-2 is hanging: it accepts the connection, then does not respond in the TLS handshake. 1 of 2 \
         instances are ready.",
    );
}

#[test]
fn an_address_that_takes_no_new_connections_is_dead_though_open_ones_go_on() {
    check(
        &with(well(21, &[VIP]), &[each(&TICKS, dead(VIP)), each(&ORDINARY, version(VIP))]),
        F23,
        VIP,
        Says::Bad(crate::model::rule::Level::Critical, 0),
        "The API VIP vip is down: connection refused, nothing listens there. Over a connection opened earlier it \
         still responds. Probed directly, api-1 and api-2 are ready.",
    );
}

#[test]
fn an_instance_that_comes_and_goes_is_told_though_never_three_probes_in_a_row_are_bad() {
    let good = each(&[0, 6000, 12_000, 18_000, 21_020], ready(A2));
    let bad = each(&[3000, 9000, 15_000], dead(A2));
    check(
        &with(well(21, &[A2]), &[good, bad]),
        F22,
        A2,
        SLOW,
        "kube-apiserver api-2 fails intermittently: 3 times within 1 min it was down: connection refused, nothing \
         listens there, and it responded in between. 2 of 2 instances are ready.",
    );
}

#[test]
fn a_path_of_ours_that_loses_packets_accuses_nobody() {
    let times = [3000, 9000, 15_000];
    let bad = |endpoint| each(&times, unseen(endpoint, super::fixture::MUTE));
    let good = |endpoint| each(&[0, 6000, 12_000, 18_000, 21_020], ready(endpoint));
    let relay = together(&[
        each(&times, unseen("vantage/reference/relay", super::fixture::MUTE)),
        each(&[0, 6000, 12_000, 18_000, 21_020], path_works()),
    ]);
    let probes = together(&[bad(A1), good(A1), bad(A2), good(A2), bad(VIP), good(VIP), relay]);

    check_in(
        inventory(2, 0),
        &probes,
        &[
            (F22, A1, Says::Unclear),
            (F22, A2, Says::Unclear),
            (RuleId::F53, "prod", Says::Bad(crate::model::rule::Level::Info, 0)),
        ],
    );
}

#[test]
fn ordinary_requests_that_wait_behind_quick_health_checks_are_said_to_queue() {
    check(
        &with(well(21, &[A2]), &[each(&TICKS, ready(A2)), each(&ORDINARY, took(1500, version(A2)))]),
        F49,
        "prod",
        SLOW,
        "Non-exempt requests to api-2 are queued (API Priority and Fairness): the last took 1.5 s, mostly server \
         processing; 3 in a row were slow. /readyz is exempt and fast. 1 of 2 instances are slow.",
    );
}

#[test]
fn ordinary_requests_that_are_refused_for_overload_are_said_to_be_refused() {
    check(
        &with(well(21, &[A2]), &[each(&TICKS, ready(A2)), each(&ORDINARY, version_status(A2, 429))]),
        F49,
        "prod",
        SLOW,
        "api-2 rejects non-exempt requests for overload (HTTP 429, API Priority and Fairness), 3 in a row. /readyz \
         is exempt and responds. 1 of 2 instances are slow.",
    );
}

#[test]
fn slow_at_everything_is_the_server_itself() {
    let slow = [each(&TICKS, took(2000, ready(A2))), each(&ORDINARY, took(1500, version(A2)))];
    check(
        &with(well(21, &[A2]), &slow),
        F49,
        "prod",
        SLOW,
        "api-2 responds, but took 2 s, mostly server processing; 8 probes in a row were slow. 1 of 2 \
         instances are slow.",
    );
}

#[test]
fn slow_handshakes_and_slow_checks_are_told_apart_by_what_is_quick() {
    for (phase, sentence) in [
        (
            Phase::Tls,
            "New connections to api-2 took 1.5 s, mostly the TLS handshake; 8 in a row were slow. Requests over a \
             kept connection are fast. 1 of 2 instances are slow.",
        ),
        (
            Phase::Dial,
            "New connections to api-2 took 1.5 s, mostly the TCP connect; 8 in a row were slow. Requests over a kept \
             connection are fast. 1 of 2 instances are slow.",
        ),
        (
            Phase::FirstByte,
            "The readiness checks of api-2 took 1.5 s, mostly server processing; 8 in a row were slow. \
             Requests that need no etcd are fast. 1 of 2 instances are slow.",
        ),
    ] {
        let slow = each(&TICKS, took_in(phase, 1500, ready(A2)));
        check(&with(well(21, &[A2]), &[slow, each(&ORDINARY, version(A2))]), F49, "prod", SLOW, sentence);
    }
}

#[test]
fn a_slow_address_before_quick_instances_is_named_itself() {
    let slow = [each(&TICKS, took_in(Phase::Tls, 1500, ready(VIP))), each(&ORDINARY, took(1500, version(VIP)))];
    check(
        &with(well(21, &[VIP]), &slow),
        F49,
        "prod",
        SLOW,
        "The API VIP responds, but took 1.5 s, mostly the TLS handshake; 8 probes in a row were slow. Probed \
         directly, none of the 2 instances is slow.",
    );
}
