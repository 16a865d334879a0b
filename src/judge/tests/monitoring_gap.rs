//! F53: what cannot be seen, gap by gap.

use crate::judge::monitoring_gap::Coverage;
use crate::model::canary::{Canaries, Canary};
use crate::model::gap::Gap;
use crate::model::inventory::{Inventory, MetricsListener};
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::rule::Level;
use crate::model::rule::RuleId::{F01, F51, F53};
use crate::model::verdict::Verdict;

use super::fixture::Member::{Gone, Nameless, Unwelcoming, Up};
use super::fixture::{
    NAMELESS, Says, Seen, dead, each, end, inventory, of, reads, ready, round, round_with, said, together, unseen,
    verdicts, view,
};

const REFUSED: Unseen = Unseen { phase: Phase::FirstByte, cause: Cause::CredentialRejected };

/// With every canary, as far as there is an API.
fn with_canaries(mut inventory: Inventory) -> Inventory {
    let canaries = || Canaries {
        on: Canary::ALL.into(),
        namespace: "vedette".into(),
        lease: "vedette-bastion-1".into(),
        secret: "vedette-canary".into(),
    };
    inventory.clusters.values_mut().for_each(|cluster| cluster.canaries = Some(canaries()));
    inventory
}

/// What F53 lists of `prod` after `probes`.
fn check(inventory: Inventory, probes: &[(u64, Option<Seen>)], expected: &[Gap]) {
    let verdicts = verdicts(&view(with_canaries(inventory), probes), end(probes));
    let listed =
        verdicts.iter().filter(|(key, _)| key.rule == F53 && key.subject == of("prod")).find_map(|(_, verdict)| {
            let Verdict::Bad(finding) = verdict else { return None };
            let Some(Coverage { gaps }) = finding.seen() else { panic!("{finding:?}") };
            Some(gaps.clone())
        });

    assert_eq!(listed.unwrap_or_default(), expected);
}

/// `prod` with a metrics listener at each of the first `listeners` members.
fn listening(apiservers: u8, members: u8, listeners: usize) -> Inventory {
    let mut inventory = inventory(apiservers, members);
    for etcd in inventory.clusters.values_mut().flat_map(|cluster| cluster.etcds.values_mut()) {
        let listener = || MetricsListener { url: "http://10.0.0.1:2381".into(), is_tls: false };
        etcd.listeners = etcd.members.keys().take(listeners).map(|member| (member.clone(), listener())).collect();
    }
    inventory
}

/// A quota that is reported.
fn told() -> Option<Seen> {
    round_with(&[Up, Up, Up], |status| status.db_quota_bytes = Some(2 << 30))
}

#[test]
fn what_the_configuration_does_not_name_is_a_gap() {
    let quota = || Gap::QuotaUnknown(of("prod/etcd/main"));
    let probes = |seen| each(&[0, 500, 1000], seen);
    check(listening(2, 3, 3), &probes(told()), &[]);
    check(listening(2, 3, 3), &probes(round(&[Up, Up, Up])), &[quota()]);
    let deaf = |subjects: &[&str]| Gap::NoListener(subjects.iter().map(|subject| of(subject)).collect());
    check(listening(2, 3, 2), &probes(told()), &[deaf(&["prod/etcd/main/etcd-3"])]);
    check(listening(2, 3, 0), &probes(told()), &[deaf(&["prod/etcd/main"])]);
    check(inventory(2, 0), &probes(None), &[Gap::NoEtcd]);
    check(inventory(0, 0), &probes(None), &[Gap::NoEtcd, Gap::NoInstances]);

    let mut alone = listening(2, 3, 3);
    alone.references.clear();
    alone.clusters.values_mut().next().unwrap().vip = None;
    check(alone, &probes(told()), &[Gap::NoReference, Gap::NoSharedAddress]);
}

#[test]
fn what_never_answered_is_a_gap_and_what_died_is_none() {
    let api = || dead("prod/apiserver/api-2");
    let times = [0, 500, 1000];
    let silent = together(&[each(&times, api()), each(&times, told())]);
    check(listening(2, 3, 3), &silent, &[Gap::NeverSeen(vec![of("prod/apiserver/api-2")])]);

    let died =
        together(&[vec![(0, ready("prod/apiserver/api-2"))], each(&[500, 1000, 1500], api()), each(&times, told())]);
    check(listening(2, 3, 3), &died, &[]);

    let quota = |status: &mut crate::model::etcd::MemberStatus| status.db_quota_bytes = Some(2 << 30);
    let member = each(&times, round_with(&[Up, Up, Gone], quota));
    check(listening(2, 3, 3), &member, &[Gap::NeverSeen(vec![of("prod/etcd/main/etcd-3")])]);
}

#[test]
fn a_name_without_an_address_is_a_gap_and_no_fault_and_told_after_a_minute() {
    let endpoints = ["prod/apiserver/api-1", "prod/apiserver/api-2", "prod/vip"];
    let probes = |times: &[u64]| {
        let lost = endpoints.map(|endpoint| each(times, unseen(endpoint, NAMELESS)));
        together(&lost.into_iter().chain([each(times, round(&[Nameless; 3]))]).collect::<Vec<_>>())
    };
    let members = (1..=3).map(|n| of(&format!("prod/etcd/main/etcd-{n}")));
    let named = endpoints.map(of).into_iter().chain(members).collect();
    check(listening(2, 3, 3), &probes(&[0, 500, 1000]), &[Gap::Unresolved(named)]);
    let probes = probes(&[0, 500, 1000]);
    let verdicts = verdicts(&view(listening(2, 3, 3), &probes), end(&probes));
    assert_eq!(said(&verdicts, F53, "prod/vip"), Says::Bad(Level::Warning, 60));
    assert_eq!(said(&verdicts, F53, "prod/etcd/main/etcd-1"), Says::Bad(Level::Warning, 60));
    let others = verdicts.iter().filter(|(key, _)| !matches!(key.rule, F51 | F53));
    let bad: Vec<_> = others.filter(|(_, verdict)| matches!(verdict, Verdict::Bad(_))).collect();
    assert!(bad.is_empty(), "nobody was asked: {bad:?}");
}

#[test]
fn members_without_an_address_do_not_hide_that_the_rest_is_no_majority() {
    for (members, quorum) in [([Up, Up, Nameless], Says::Good), ([Up, Gone, Nameless], Says::Unclear)] {
        let probes = each(&[0, 500, 1000], round(&members));
        let verdicts = verdicts(&view(inventory(2, 3), &probes), end(&probes));

        assert_eq!(said(&verdicts, F01, "prod/etcd/main"), quorum, "{members:?}");
    }
    let lost = each(&[0, 500, 1000], round(&[Gone, Gone, Nameless]));
    let verdicts = verdicts(&view(inventory(2, 3), &lost), end(&lost));

    assert_eq!(said(&verdicts, F01, "prod/etcd/main"), Says::Bad(Level::Critical, 0));
}

#[test]
fn what_refuses_our_credential_is_a_gap_after_three_probes() {
    let etcd = |n: u8| of(&format!("prod/etcd/main/etcd-{n}"));
    let all = Gap::Refused(vec![etcd(1), etcd(2), etcd(3)]);
    check(listening(2, 3, 3), &each(&[0, 500], round(&[Unwelcoming; 3])), &[]);
    check(listening(2, 3, 3), &each(&[0, 500, 1000], round(&[Unwelcoming; 3])), &[all]);

    let refused = each(&[0, 10_000, 20_000], reads(&[Err(REFUSED); 3]));
    let probes = together(&[refused, each(&[0, 500, 20_000], told())]);
    check(listening(2, 3, 3), &probes, &[Gap::ReadsRefused(of("prod/etcd/main"))]);
}

#[test]
fn only_probes_that_see_everything_clear_it() {
    let both = [ready("prod/apiserver/api-1"), ready("prod/apiserver/api-2"), ready("prod/vip"), told()];
    let seen =
        |parts: &[Option<Seen>]| together(&parts.iter().map(|part| each(&[0, 500], part.clone())).collect::<Vec<_>>());
    for (probes, says) in [(seen(&both), Says::Good), (seen(&both[1..]), Says::NeverSeen)] {
        let verdicts = verdicts(&view(with_canaries(listening(2, 3, 3)), &probes), end(&probes));

        assert_eq!(said(&verdicts, F53, "prod"), says);
    }
}
