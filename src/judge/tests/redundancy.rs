//! F51: what there is only one of.

use crate::judge::redundancy::Points;
use crate::model::gap::Single;
use crate::model::inventory::{Inventory, Reference};
use crate::model::rule::RuleId::F51;
use crate::model::verdict::Verdict;

use super::fixture::Member::{Learner, Up};
use super::fixture::{Seen, each, end, inventory, name, of, pages, round, verdicts, view};

fn check(inventory: Inventory, probes: &[(u64, Option<Seen>)], subject: &str, expected: &[Single]) {
    let verdicts = verdicts(&view(inventory, probes), end(probes));
    let listed =
        verdicts.iter().filter(|(key, _)| key.rule == F51 && key.subject == of(subject)).find_map(|(_, verdict)| {
            let Verdict::Bad(finding) = verdict else { return None };
            let Some(Points { points }) = finding.seen() else { panic!("{finding:?}") };
            Some(points.clone())
        });

    assert_eq!(listed.unwrap_or_default(), expected);
}

#[test]
fn one_of_a_kind_and_even_numbers_of_voters_are_listed() {
    let api = || of("prod/apiserver/api-1");
    let etcd = || of("prod/etcd/main");
    let nothing = each(&[0], None);
    check(inventory(2, 3), &nothing, "prod", &[]);
    check(inventory(1, 3), &nothing, "prod", &[Single::Apiserver(api())]);
    check(inventory(2, 1), &nothing, "prod", &[Single::Voter(of("prod/etcd/main/etcd-1"))]);
    check(inventory(2, 4), &nothing, "prod", &[Single::EvenVoters { etcd: etcd(), voters: 4 }]);
    check(inventory(0, 0), &nothing, "prod", &[Single::WayIn(of("prod/vip"))]);

    let mut sole = inventory(1, 5);
    sole.clusters.values_mut().next().unwrap().vip = None;
    check(sole, &nothing, "prod", &[Single::Apiserver(api()), Single::WayIn(api())]);
}

#[test]
fn learners_have_no_vote_and_count_for_nothing() {
    let probes = each(&[0], round(&[Up, Up, Up, Learner]));
    check(inventory(2, 4), &probes, "prod", &[]);

    let probes = each(&[0], round(&[Up, Up, Learner]));
    check(inventory(2, 3), &probes, "prod", &[Single::EvenVoters { etcd: of("prod/etcd/main"), voters: 2 }]);

    let probes = each(&[0], pages(&[false, false, false, true]));
    check(inventory(2, 4), &probes, "prod", &[]);
}

#[test]
fn a_sole_resolver_is_one_of_the_vantage_unless_it_is_a_stub() {
    for (loopback, expected) in [(false, vec![Single::Resolver(of("vantage/resolver/10.0.0.53:53"))]), (true, vec![])] {
        let mut one = inventory(2, 3);
        let address = "10.0.0.53:53".to_owned();
        one.resolvers = vec![Reference { name: name("10.0.0.53:53"), address, is_loopback: loopback }];

        check(one, &each(&[0], None), "vantage", &expected);
    }
}
