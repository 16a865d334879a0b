//! F61: an address that loses some of the connections, what it is told apart from, and what ends it.

use std::collections::BTreeMap;

use crate::judge::balancer::LostConnections;
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::rule::Level::{Critical, Warning};
use crate::model::rule::RuleId::{F22, F23, F24, F61};
use crate::model::subject::Subject;
use crate::model::verdict::Verdict;

use super::fixture::{
    Says, Seen, check, dead, each, end, inventory, of, path_works, ready, together, unseen, verdicts, view,
};

type Probes = Vec<(u64, Option<Seen>)>;

const A1: &str = "prod/apiserver/api-1";
const A2: &str = "prod/apiserver/api-2";
const VIP: &str = "prod/vip";
const HANGS: Unseen = Unseen { phase: Phase::Tls, cause: Cause::Timeout };
const HELD: Says = Says::Bad(Warning, 30);

/// A connection a second for so many seconds, of which every `nth` is lost.
fn losing(until: u64, nth: u64) -> Probes {
    let (lost, answered): (Vec<u64>, Vec<u64>) = (0..until).map(|n| n * 1000).partition(|at| at / 1000 % nth == 1);
    together(&[each(&answered, ready(VIP)), each(&lost, unseen(VIP, HANGS))])
}

fn seconds(until: u64) -> Vec<u64> {
    (0..until).map(|n| n * 1000 + 7).collect()
}

/// Instances and our own path, seen all the time.
fn beside(until: u64, first: Option<Seen>, second: Option<Seen>) -> Probes {
    let times = seconds(until);
    together(&[each(&times, first), each(&times, second), each(&times, path_works())])
}

fn with(others: Probes, own: Probes) -> Probes {
    together(&[others, own])
}

#[test]
fn the_share_of_lost_connections_decides_how_bad_it_is() {
    for (nth, says) in
        [(2, Says::Bad(Critical, 0)), (4, Says::Bad(Critical, 0)), (8, Says::Bad(Warning, 0)), (50, Says::Good)]
    {
        check(&with(beside(60, ready(A1), ready(A2)), losing(60, nth)), &[(F61, VIP, says)]);
    }
}

#[test]
fn every_second_connection_lost_is_no_dead_address_and_names_the_instance_that_is_down() {
    let probes = with(beside(60, ready(A1), unseen(A2, HANGS)), losing(60, 2));

    check(&probes, &[(F22, A2, HELD), (F23, VIP, Says::Unclear), (F61, VIP, Says::Bad(Critical, 0))]);

    let all = verdicts(&view(inventory(2, 3), &probes), end(&probes));
    let found = all.iter().find_map(|(key, verdict)| match verdict {
        Verdict::Bad(finding) if key.rule == F61 => Some(finding),
        Verdict::Bad(_) | Verdict::Good { .. } | Verdict::Unknown(_) => None,
    });
    let addresses: BTreeMap<Subject, String> = BTreeMap::new();
    let evidence = found.unwrap().evidence.as_ref();
    assert_eq!(evidence.concerned(), [of(A2)]);
    assert_eq!(
        found.unwrap().what(&addresses),
        "Of the last 59 new connections to the API VIP vip 30 were lost (51 %), the others were answered. The last of \
         them: hanging: it accepts the connection, then does not respond in the TLS handshake. Probed directly, api-2 is \
         down, and the load balancer still sends connections there."
    );
}

#[test]
fn where_everything_is_lost_the_balancer_is_not_to_blame() {
    let all_down = with(beside(60, dead(A1), dead(A2)), losing(60, 2));
    check(
        &all_down,
        &[(F22, A1, HELD), (F22, A2, HELD), (F24, "prod", Says::Bad(Critical, 0)), (F61, VIP, Says::Unclear)],
    );

    let silent: Vec<u64> = (60..70).map(|n| n * 1000).collect();
    let dies = together(&[losing(60, 2), each(&silent, unseen(VIP, HANGS))]);
    check(
        &with(beside(70, ready(A1), ready(A2)), dies),
        &[(F61, VIP, Says::Unclear), (F23, VIP, Says::Bad(Critical, 0))],
    );
}

#[test]
fn a_path_of_ours_that_loses_packets_accuses_no_balancer() {
    let (lost, answered): (Vec<u64>, Vec<u64>) = seconds(60).into_iter().partition(|at| at / 1000 % 3 == 1);
    let in_part = |bad, good| together(&[each(&lost, bad), each(&answered, good)]);
    let relay = in_part(unseen("vantage/reference/relay", HANGS), path_works());
    let probes =
        together(&[beside(0, None, None), each(&seconds(60), ready(A1)), each(&seconds(60), ready(A2)), relay]);
    check(&with(probes, losing(60, 3)), &[(F61, VIP, Says::Unclear)]);

    let instances = [A1, A2].map(|instance| in_part(unseen(instance, HANGS), ready(instance)));
    let probes = together(&[instances.concat(), each(&seconds(60), path_works())]);
    check(&with(probes, losing(60, 3)), &[(F22, A1, HELD), (F22, A2, HELD), (F61, VIP, Says::Unclear)]);
}

#[test]
fn a_window_of_answers_ends_it_and_fewer_do_not() {
    for (answers, says) in [(50, Says::Bad(Critical, 0)), (101, Says::Good)] {
        let after: Vec<u64> = (60..60 + answers).map(|n| n * 1000).collect();
        let own = together(&[losing(60, 2), each(&after, ready(VIP))]);
        check(&with(beside(60 + answers, ready(A1), ready(A2)), own), &[(F61, VIP, says)]);
    }
}

#[test]
fn shares_are_rounded() {
    let share = |lost, of| LostConnections { lost, of, last: None, down: Vec::new() }.percent();

    assert_eq!([share(0, 0), share(1, 3), share(2, 3), share(7, 100), share(100, 100)], [0, 33, 67, 7, 100]);
}
