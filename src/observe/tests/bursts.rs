//! Bursts: how many, and which probes.

use std::time::Duration;

use super::{at, inventory, name, of};
use crate::model::policy::Policy;
use crate::model::probe::{Connection, Probe, ProbeKind};
use crate::model::subject::Subject;
use crate::model::time::Mono;
use crate::observe::burst::Bursts;
use crate::observe::urgency::Urgency::{Confirmation, Scheduled};

const API: &str = "prod/apiserver/api-1";

fn start(bursts: &mut Bursts, subject: &str, millis: u64) -> bool {
    bursts.start(&of(subject), at(millis), &inventory(2, 3), &Policy::default(), at(millis).mono)
}

/// Takes every probe when it is due.
fn run(bursts: &mut Bursts) -> Vec<(Probe, Mono)> {
    let mut probes = Vec::new();
    while let Some(due) = bursts.next() {
        probes.extend(bursts.pop(due).map(|(probe, due, _)| (probe, due)));
    }
    probes
}

fn times(probes: &[(Probe, Mono)], subject: &str) -> Vec<u128> {
    let own = probes.iter().filter(|(probe, _)| probe.subject == of(subject));
    own.map(|(_, due)| due.since(at(0).mono).as_millis()).collect()
}

#[test]
fn a_subject_gets_one_burst_in_ten_seconds() {
    let mut bursts = Bursts::default();

    assert!(start(&mut bursts, API, 0));
    assert!(!start(&mut bursts, API, 1));
    assert!(!start(&mut bursts, API, 9_999));
    assert!(start(&mut bursts, "prod/apiserver/api-2", 5_000), "another subject");
    assert!(start(&mut bursts, API, 10_000));
}

#[test]
fn the_probes_of_a_burst_confirm_by_themselves() {
    let mut bursts = Bursts::default();
    start(&mut bursts, API, 0);

    let probes = run(&mut bursts);

    let own = times(&probes, API);
    assert!(own.len() >= 2 && *own.last().unwrap() >= 1000, "with the first bad look three over a second: {own:?}");
    assert!(
        probes
            .iter()
            .filter(|(probe, _)| probe.kind != ProbeKind::EtcdStatus)
            .all(|(probe, _)| { probe.connection == Connection::New })
    );
}

#[test]
fn a_burst_probes_at_every_cause_and_at_the_reference_points() {
    let mut bursts = Bursts::default();
    start(&mut bursts, API, 0);

    let probes = run(&mut bursts);

    for other in ["prod/apiserver/api-2", "prod/vip", "prod/etcd/main", "vantage/reference/relay"] {
        let times = times(&probes, other);
        assert!(times[0] == 0 && *times.last().unwrap() >= 1000, "{other}: {times:?}");
    }
}

#[test]
fn a_burst_for_a_member_asks_all_members_until_an_election_would_have_ended() {
    let mut bursts = Bursts::default();
    start(&mut bursts, "prod/etcd/main/etcd-2", 0);

    let probes = run(&mut bursts);

    assert!(*times(&probes, "prod/etcd/main").last().unwrap() >= 3000);
    assert!(probes.iter().all(|(probe, _)| probe.subject.cluster().is_none() || probe.kind == ProbeKind::EtcdStatus));
}

#[test]
fn no_probe_of_a_burst_is_due_before_the_burst_is_started() {
    for took in [0, 1_000, 2_990, 3_000, 3_100, 4_500, 60_000] {
        for subject in [API, "prod/etcd/main", "prod/etcd/main/etcd-2", "vantage/reference/relay"] {
            let mut bursts = Bursts::default();
            bursts.start(&of(subject), at(0), &inventory(2, 3), &Policy::default(), at(took).mono);

            let probes = run(&mut bursts);

            let early = probes.iter().find(|(_, due)| *due < at(took).mono);
            assert!(early.is_none(), "{subject}, seen to be bad after {took} ms: {early:?}");
        }
    }
}

#[test]
fn bursts_that_start_together_share_their_probes() {
    let mut alone = Bursts::default();
    start(&mut alone, API, 0);
    let alone = run(&mut alone).len();

    let mut shared = Bursts::default();
    for subject in [API, "prod/apiserver/api-2", "prod/vip"] {
        start(&mut shared, subject, 0);
    }
    let probes = run(&mut shared);

    assert!(probes.len() < alone * 2, "{} looks for three bursts, {alone} for one", probes.len());
    assert_eq!(times(&probes, "vantage/reference/relay"), [0, 1020]);
    assert_eq!(times(&probes, "prod/etcd/main"), [0, 1020]);
}

#[test]
fn a_probe_of_the_schedule_counts_as_one_of_the_three() {
    let scheduled = |kind: ProbeKind, subject: &str| Probe::anew(of(subject), kind);
    let mut bursts = Bursts::default();
    start(&mut bursts, API, 0);
    while bursts.pop(at(0).mono).is_some() {}
    let serves = |bursts: &mut Bursts, kind, subject, millis| bursts.serve(&scheduled(kind, subject), at(millis).mono);
    assert_eq!(serves(&mut bursts, ProbeKind::Version, API, 100), Scheduled);
    assert_eq!(serves(&mut bursts, ProbeKind::Readyz, "prod/apiserver/api-2", 100), Scheduled);
    assert_eq!(times(&run(&mut bursts.clone()), API).len(), 2, "another question, or another endpoint");

    let urgency = serves(&mut bursts, ProbeKind::Readyz, API, 100);

    assert_eq!(urgency, Scheduled, "the spare one, which nothing waits for");
    assert_eq!(times(&run(&mut bursts.clone()), API), [1020], "the one that spans the second stays");
    assert_eq!(serves(&mut bursts, ProbeKind::Readyz, API, 1000), Confirmation);
    assert!(times(&run(&mut bursts), API).is_empty(), "and is no second one at the same time");
}

#[test]
fn confirmations_to_come_are_counted_by_cluster_until_they_are_taken_served_or_dropped() {
    let inventory = inventory(2, 3);
    let kept = |bursts: &Bursts, scope: &str, until| {
        bursts
            .confirmations(&Some(name(scope)), &inventory, at(until).mono)
            .map(|(due, sum)| (due.since(at(0).mono), sum))
    };
    let mut bursts = Bursts::default();
    start(&mut bursts, API, 0);
    // Two instances, the load balancer, and a round over three members.
    assert_eq!(kept(&bursts, "prod", 999), Some((Duration::ZERO, 6)));
    assert_eq!(kept(&bursts, "prod", 1020), Some((Duration::ZERO, 12)));
    assert_eq!(kept(&bursts, "lab", 1020), None);

    while bursts.pop(at(0).mono).is_some() {}
    assert_eq!(kept(&bursts, "prod", 1020), Some((Duration::from_millis(1020), 6)), "the spare one keeps nothing");

    bursts.serve(&Probe::reused(of("prod/etcd/main"), ProbeKind::EtcdStatus), at(1000).mono);
    assert_eq!(kept(&bursts, "prod", 1020), Some((Duration::from_millis(1020), 3)));

    bursts.drop_probes(|subject| *subject == of("prod/vip"));
    assert_eq!(kept(&bursts, "prod", 1020), Some((Duration::from_millis(1020), 2)));
}

#[test]
fn a_round_of_the_schedule_serves_a_burst_over_whichever_connection() {
    let mut bursts = Bursts::default();
    start(&mut bursts, "prod/etcd/main/etcd-2", 0);
    let before = times(&run(&mut bursts.clone()), "prod/etcd/main").len();

    bursts.serve(&Probe::reused(of("prod/etcd/main"), ProbeKind::EtcdStatus), at(1000).mono);

    assert_eq!(times(&run(&mut bursts), "prod/etcd/main").len(), before - 2, "the spare one and the one nearby");
}

#[test]
fn what_has_no_probe_of_its_own_starts_no_probe_at_itself() {
    for subject in [Subject::Vantage, of("prod")] {
        let mut bursts = Bursts::default();
        bursts.start(&subject, at(0), &inventory(2, 3), &Policy::default(), at(0).mono);

        assert!(run(&mut bursts).iter().all(|(probe, _)| probe.subject != subject), "{subject}");
    }
}

#[test]
fn what_is_in_doubt_is_probed_at_once_and_at_once() {
    let mut bursts = Bursts::default();
    start(&mut bursts, API, 0);
    while bursts.next().is_some_and(|due| due < at(500).mono) {
        bursts.pop(at(400).mono);
    }

    for doubted in ["prod/apiserver/api-2", "prod/etcd/main", "prod/etcd/main/etcd-2", "prod"] {
        bursts.probe_again(&of(doubted), &inventory(2, 3), at(500).mono);
    }

    let probes: Vec<_> = run(&mut bursts).into_iter().filter(|(_, due)| *due == at(500).mono).collect();
    assert_eq!(times(&probes, "prod/apiserver/api-2"), [500], "a pause between bursts does not hold it back");
    assert_eq!(times(&probes, "prod/etcd/main"), [500], "one look is about all members");
    assert_eq!(times(&probes, "prod"), [0; 0]);
}
