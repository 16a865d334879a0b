//! Bursts: how many, which looks, and never above the ceiling.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{at, inventory, of};
use crate::model::policy::Policy;
use crate::model::probe::{Connection, Probe, ProbeKind};
use crate::model::subject::Subject;
use crate::model::time::Mono;
use crate::observe::burst::Bursts;

const API: &str = "prod/apiserver/api-1";

fn start(bursts: &mut Bursts, subject: &str, millis: u64) -> bool {
    bursts.start(&of(subject), at(millis), &inventory(2, 3), &Policy::default(), at(millis).mono)
}

/// Takes every look when it is due.
fn run(bursts: &mut Bursts) -> Vec<(Probe, Mono)> {
    let mut looks = Vec::new();
    while let Some(due) = bursts.next() {
        looks.extend(bursts.pop(&Policy::default(), due));
    }
    looks
}

fn times(looks: &[(Probe, Mono)], subject: &str) -> Vec<u128> {
    let own = looks.iter().filter(|(probe, _)| probe.subject == of(subject));
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
fn the_looks_of_a_burst_confirm_by_themselves() {
    let mut bursts = Bursts::default();
    start(&mut bursts, API, 0);

    let looks = run(&mut bursts);

    let own = times(&looks, API);
    assert!(own.len() >= 2 && *own.last().unwrap() >= 1000, "with the first bad look three over a second: {own:?}");
    assert!(
        looks
            .iter()
            .filter(|(probe, _)| probe.kind != ProbeKind::EtcdStatus)
            .all(|(probe, _)| { probe.connection == Connection::New })
    );
}

#[test]
fn a_burst_looks_at_every_cause_and_at_the_reference_points() {
    let mut bursts = Bursts::default();
    start(&mut bursts, API, 0);

    let looks = run(&mut bursts);

    for other in ["prod/apiserver/api-2", "prod/vip", "prod/etcd/main", "vantage/reference/relay"] {
        let times = times(&looks, other);
        assert!(times[0] == 0 && *times.last().unwrap() >= 1000, "{other}: {times:?}");
    }
}

#[test]
fn a_burst_for_a_member_asks_all_members_until_an_election_would_have_ended() {
    let mut bursts = Bursts::default();
    start(&mut bursts, "prod/etcd/main/etcd-2", 0);

    let looks = run(&mut bursts);

    assert!(*times(&looks, "prod/etcd/main").last().unwrap() >= 3000);
    assert!(looks.iter().all(|(probe, _)| probe.subject.cluster().is_none() || probe.kind == ProbeKind::EtcdStatus));
}

#[test]
fn no_look_of_a_burst_is_due_before_the_burst_is_started() {
    for took in [0, 1_000, 2_990, 3_000, 3_100, 4_500, 60_000] {
        for subject in [API, "prod/etcd/main", "prod/etcd/main/etcd-2", "vantage/reference/relay"] {
            let mut bursts = Bursts::default();
            bursts.start(&of(subject), at(0), &inventory(2, 3), &Policy::default(), at(took).mono);

            let looks = run(&mut bursts);

            let early = looks.iter().find(|(_, due)| *due < at(took).mono);
            assert!(early.is_none(), "{subject}, seen to be bad after {took} ms: {early:?}");
        }
    }
}

#[test]
fn bursts_that_start_together_share_their_looks() {
    let mut alone = Bursts::default();
    start(&mut alone, API, 0);
    let alone = run(&mut alone).len();

    let mut shared = Bursts::default();
    for subject in [API, "prod/apiserver/api-2", "prod/vip"] {
        start(&mut shared, subject, 0);
    }
    let looks = run(&mut shared);

    assert!(looks.len() < alone * 2, "{} looks for three bursts, {alone} for one", looks.len());
    assert_eq!(times(&looks, "vantage/reference/relay"), [0, 1020]);
    assert_eq!(times(&looks, "prod/etcd/main"), [0, 1020]);
}

#[test]
fn the_ceiling_sheds_what_is_above_it_and_counts_it() {
    let policy = Policy::default();
    let mut bursts = Bursts::default();
    for n in 1..=20 {
        bursts.second_handshake(&of(&format!("prod/apiserver/api-{n}")), at(0).mono);
    }
    bursts.second_handshake(&of("vantage/reference/relay"), at(0).mono);

    let at_once: Vec<(Probe, Mono)> = std::iter::from_fn(|| bursts.pop(&policy, at(1000).mono)).collect();

    let mut per_cluster: BTreeMap<Option<String>, u32> = BTreeMap::new();
    for (probe, _) in &at_once {
        *per_cluster.entry(probe.subject.cluster().map(ToString::to_string)).or_default() += 1;
    }
    assert_eq!(per_cluster[&Some("prod".to_owned())], policy.ceiling_per_second);
    assert_eq!(per_cluster[&None], 1, "the vantage has a ceiling of its own");
    assert_eq!(bursts.shed(), 10);
}

#[test]
fn the_ceiling_holds_in_every_second_and_not_only_in_full_ones() {
    let policy = Policy::default();
    let mut bursts = Bursts::default();
    for n in 0_u64..100 {
        bursts.second_handshake(&of(&format!("prod/apiserver/api-{n}")), at(n * 37).mono);
    }

    let taken: Vec<Mono> = run(&mut bursts).into_iter().map(|(_, due)| due).collect();

    let ceiling = usize::try_from(policy.ceiling_per_second).unwrap();
    assert!(taken.windows(ceiling + 1).all(|window| window[ceiling].since(window[0]) >= Duration::from_secs(1)));
    assert_eq!(taken.len() + usize::try_from(bursts.shed()).unwrap(), 100);
}

#[test]
fn what_has_no_look_of_its_own_starts_no_look_at_itself() {
    for subject in [Subject::Vantage, of("prod")] {
        let mut bursts = Bursts::default();
        bursts.start(&subject, at(0), &inventory(2, 3), &Policy::default(), at(0).mono);

        assert!(run(&mut bursts).iter().all(|(probe, _)| probe.subject != subject), "{subject}");
    }
}

#[test]
fn what_is_in_doubt_is_looked_at_once_and_at_once() {
    let mut bursts = Bursts::default();
    start(&mut bursts, API, 0);
    while bursts.next().is_some_and(|due| due < at(500).mono) {
        bursts.pop(&Policy::default(), at(400).mono);
    }

    for doubted in ["prod/apiserver/api-2", "prod/etcd/main", "prod/etcd/main/etcd-2", "prod"] {
        bursts.look_again(&of(doubted), &inventory(2, 3), at(500).mono);
    }

    let looks: Vec<_> = run(&mut bursts).into_iter().filter(|(_, due)| *due == at(500).mono).collect();
    assert_eq!(times(&looks, "prod/apiserver/api-2"), [500], "a pause between bursts does not hold it back");
    assert_eq!(times(&looks, "prod/etcd/main"), [500], "one look is about all members");
    assert_eq!(times(&looks, "prod"), [0; 0]);
}
