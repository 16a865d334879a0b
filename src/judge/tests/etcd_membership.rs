//! F57: members that are not the cluster they are configured as; and what etcd's own list says of them.

use crate::judge::context::RuleContext;
use crate::judge::etcd_membership::Membership;
use crate::judge::judge;
use crate::judge::monitoring_gap::Coverage;
use crate::judge::redundancy::Points;
use crate::model::etcd::{Condition, MemberMetrics, MemberStatus, Mismatch};
use crate::model::gap::{Gap, Single};
use crate::model::rule::Level::{Critical, Info, Warning};
use crate::model::rule::RuleId::{self, F01, F02, F03, F51, F53, F57};
use crate::model::verdict::{Finding, Verdict};

use super::fixture::Member::{Apart, Gone, Stray, Up};
use super::fixture::{
    Says, Seen, check_in, each, end, healths, inventory, listening, lists, of, pages_of, round, round_with, said,
    together, verdicts, view,
};

const ETCD: &str = "prod/etcd/main";
const PAGE: Says = Says::Bad(Critical, 0);
const HELD: Says = Says::Bad(Warning, 30);

/// A Status round of three members, each answer changed by `change`.
fn three(change: impl Fn(&mut MemberStatus)) -> Option<Seen> {
    round_with(&[Up, Up, Up], change)
}

fn apart(status: &mut MemberStatus) {
    status.cluster_id = 90 + status.member_id;
    status.leader = Some(status.member_id);
}

/// What `rule` finds in the cluster of so many configured members.
fn finding(rule: RuleId, members: u8, probes: &[(u64, Option<Seen>)]) -> Option<Finding> {
    let verdicts = verdicts(&view(inventory(2, members), probes), end(probes));
    verdicts.into_iter().find_map(|(key, verdict)| {
        let Verdict::Bad(finding) = verdict else { return None };
        (key.rule == rule).then_some(finding)
    })
}

/// What F57 has found.
fn found(probes: &[(u64, Option<Seen>)]) -> Vec<Mismatch> {
    let finding = finding(F57, 3, probes).unwrap();
    let Some(Membership { found, .. }) = finding.seen() else { panic!("{finding:?}") };
    found.clone()
}

fn gaps(probes: &[(u64, Option<Seen>)]) -> Vec<Gap> {
    let finding = finding(F53, 3, probes).unwrap();
    let Some(Coverage { gaps }) = finding.seen() else { panic!("{finding:?}") };
    gaps.clone()
}

/// What F51 lists of a cluster with one watched member.
fn points(probes: &[(u64, Option<Seen>)]) -> Vec<Single> {
    let Some(finding) = finding(F51, 1, probes) else { return Vec::new() };
    let Some(Points { points }) = finding.seen() else { panic!("{finding:?}") };
    points.clone()
}

#[test]
fn three_clusters_of_one_member_are_told_as_that_and_as_no_lost_quorum() {
    let probes = each(&[0, 500, 1000], three(apart));
    check_in(inventory(2, 3), &probes, &[(F57, ETCD, PAGE), (F01, ETCD, Says::Unclear)]);
    assert!(matches!(found(&probes).as_slice(), [Mismatch::SeveralClusters(groups)] if groups.len() == 3));

    let two = each(&[0, 500], three(apart));
    check_in(inventory(2, 3), &two, &[(F57, ETCD, Says::Suspected), (F01, ETCD, Says::Unclear)]);

    let mended = together(&[probes, each(&[4000], three(|_| {}))]);
    check_in(inventory(2, 3), &mended, &[(F57, ETCD, Says::Good), (F01, ETCD, Says::Good)]);
}

#[test]
fn a_member_of_another_cluster_is_critical_when_that_one_takes_writes() {
    let leading = each(&[0, 500, 1000], round(&[Up, Up, Stray]));
    check_in(inventory(2, 3), &leading, &[(F57, ETCD, PAGE), (F01, ETCD, Says::Good), (F03, ETCD, Says::Unclear)]);

    let idle = each(
        &[0, 500, 1000],
        round_with(&[Up, Up, Stray], |status| {
            status.leader = status.leader.filter(|_| status.cluster_id == 1);
        }),
    );
    check_in(inventory(2, 3), &idle, &[(F57, ETCD, HELD), (F01, ETCD, Says::Good)]);
}

#[test]
fn several_leaders_are_told_when_they_outlast_an_election() {
    for (last, says) in [(2900, Says::Suspected), (3000, PAGE)] {
        let probes = each(&[0, 1500, last], round(&[Up, Up, Apart]));
        check_in(inventory(2, 3), &probes, &[(F57, ETCD, says), (F01, ETCD, Says::Good)]);
    }
    let probes = each(&[0, 1500, 3000], round(&[Up, Up, Apart]));
    assert!(matches!(found(&probes).as_slice(), [Mismatch::SeveralLeaders(leaders)] if leaders.len() == 2));
}

#[test]
fn one_member_behind_several_names_is_told_and_counts_once() {
    let same = each(&[0, 500, 1000], three(|status| status.member_id = 1));
    check_in(inventory(2, 3), &same, &[(F57, ETCD, HELD), (F01, ETCD, Says::Good)]);
    let told = found(&same);
    assert!(matches!(told.as_slice(), [Mismatch::SameMember { names, .. }] if names.len() == 3), "{told:?}");

    let listed = together(&[same, each(&[100], lists(3, &[(1, "e1", false), (2, "e2", false), (3, "e3", false)]))]);
    check_in(inventory(2, 3), &listed, &[(F57, ETCD, HELD), (F01, ETCD, Says::Good)]);
}

#[test]
fn metrics_listeners_tell_of_several_leaders_and_of_one_member_under_several_names() {
    let page = |id: &str, is_leader| MemberMetrics {
        member_id: Some(id.into()),
        is_leader: Some(is_leader),
        ..MemberMetrics::default()
    };
    let well = each(&[0, 1500, 3000], healths(&[Condition::Well; 3]));
    for (pages, says) in [
        ([page("a", true), page("b", false), page("c", false)], Says::Good),
        ([page("a", true), page("b", true), page("c", false)], PAGE),
        ([page("a", true), page("a", true), page("a", true)], HELD),
    ] {
        let probes = together(&[well.clone(), each(&[0, 1500, 3000], pages_of(&pages))]);

        check_in(listening(3), &probes, &[(F57, ETCD, says), (F01, ETCD, Says::Good)]);
    }
}

#[test]
fn silence_mends_no_mismatch() {
    let probes =
        together(&[each(&[0, 500, 1000], round(&[Up, Up, Stray])), each(&[2000, 2500, 3000], round(&[Up, Up, Gone]))]);
    let down = (F02, "prod/etcd/main/etcd-3", HELD);
    let verdicts = verdicts(&view(inventory(2, 3), &probes), end(&probes));

    assert_eq!(said(&verdicts, F57, ETCD), Says::Suspected);
    assert_eq!(said(&verdicts, down.0, down.1), down.2);
}

#[test]
fn a_voter_that_never_started_is_listed_at_once_and_a_warning_after_ten_minutes() {
    let listed = lists(3, &[(1, "etcd-1", false), (2, "etcd-2", false), (3, "etcd-3", false), (4, "", false)]);
    for (seconds, says) in [(1, Says::Bad(Info, 0)), (599, Says::Bad(Info, 0)), (600, Says::Bad(Warning, 0))] {
        let times: Vec<u64> = (0..=seconds).step_by(3).map(|second| second * 1000).chain([seconds * 1000]).collect();
        let probes = together(&[each(&[0], listed.clone()), each(&times, round(&[Up, Up, Up]))]);

        check_in(inventory(2, 3), &probes, &[(F57, ETCD, says), (F01, ETCD, Says::Good)]);
    }

    let learner = lists(3, &[(1, "etcd-1", false), (2, "etcd-2", false), (3, "etcd-3", false), (4, "", true)]);
    let probes = together(&[each(&[0], learner), each(&[0, 500, 1000], round(&[Up, Up, Up]))]);
    check_in(inventory(2, 3), &probes, &[(F57, ETCD, Says::Good)]);
}

#[test]
fn a_listed_member_that_is_not_watched_is_a_gap_and_one_that_is_not_listed_is_told() {
    let round = || each(&[0, 500, 1000], round(&[Up, Up, Up]));
    let four = [(1, "a", false), (2, "b", false), (3, "c", false), (4, "d", false)];
    let probes = together(&[round(), each(&[1100], lists(3, &four))]);
    let gap = Gap::NotWatched { etcd: of(ETCD), members: vec!["d (https://10.0.0.24:2379)".into()] };
    assert!(gaps(&probes).contains(&gap), "{:?}", gaps(&probes));
    check_in(inventory(2, 3), &probes, &[(F57, ETCD, Says::Good), (F01, ETCD, Says::Good)]);

    let probes = together(&[round(), each(&[1100], lists(2, &four[..2]))]);
    check_in(inventory(2, 3), &probes, &[(F57, ETCD, HELD), (F01, ETCD, Says::Good)]);
    assert_eq!(found(&probes), [Mismatch::NotListed(vec![of("prod/etcd/main/etcd-3")])]);

    // A list that was told before it answered may be from before it joined.
    let probes = together(&[each(&[0], lists(2, &four[..2])), round()]);
    check_in(inventory(2, 3), &probes, &[(F57, ETCD, Says::Good)]);
}

#[test]
fn what_the_list_of_members_tells_ends_by_that_list_alone() {
    let round = || each(&[0, 500, 1000], round(&[Up, Up, Up]));
    let three = [(1, "a", false), (2, "b", false), (3, "c", false)];
    let raised = finding(F57, 3, &together(&[round(), each(&[1100], lists(2, &three[..2]))])).unwrap();
    for (list, is_over) in [
        (Vec::new(), false),
        (each(&[0], lists(2, &three[..2])), false),
        (each(&[1100], lists(2, &three[..2])), false),
        (each(&[1100], lists(3, &three)), true),
    ] {
        let probes = together(&[round(), list]);
        let view = view(inventory(2, 3), &probes);
        let cluster = view.inventory().clusters.first_key_value();
        let verdicts = judge(&RuleContext { view: &view, cluster, now: end(&probes), raised: &[&raised] });

        let is_good = |verdict: &Verdict| matches!(verdict, Verdict::Good { .. });
        let found = verdicts.iter().find(|(key, _)| key.rule == F57).map(|(_, verdict)| is_good(verdict));
        assert_eq!(found, Some(is_over), "{probes:?}");
    }
}

#[test]
fn votes_are_counted_over_etcds_own_list() {
    let three = [(1, "etcd-1", false), (2, "etcd-2", false), (3, "etcd-3", false)];
    // Only one of three is watched, and it is gone: that is no lost quorum.
    let probes = together(&[vec![(0, round(&[Up])), (50, lists(1, &three))], each(&[500, 1000, 1500], round(&[Gone]))]);
    check_in(inventory(2, 1), &probes, &[(F01, ETCD, Says::Good), (F02, "prod/etcd/main/etcd-1", HELD)]);

    let watched = |listed: &[(u64, &str, bool)]| vec![(0, round(&[Up])), (50, lists(1, listed))];
    assert_eq!(points(&watched(&three)), []);
    let even = Single::EvenVoters { etcd: of(ETCD), voters: 2 };
    assert_eq!(points(&watched(&three[..2])), [even]);
    assert_eq!(points(&watched(&three[..1])), [Single::Voter(of("prod/etcd/main/etcd-1"))]);
}
