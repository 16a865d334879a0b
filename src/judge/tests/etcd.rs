//! F01 quorum, F02 one member, F09 NOSPACE, F10 CORRUPT and unknown alarms.

use crate::judge::commands::Commands;
use crate::model::addresses::Addresses;
use crate::model::etcd::{EtcdAlarm, EtcdAlarmKind};
use crate::model::host_access::Hosts;
use crate::model::inventory::Inventory;
use crate::model::rule::Level::{Critical, Warning};
use crate::model::rule::RuleId::{F01, F02, F08, F09, F10, F52};
use crate::model::verdict::Verdict;

use super::fixture::Member::{Corrupt, Full, Gone, Hung, Leaderless, Learner, Unwelcoming, Up};
use super::fixture::{
    Member, Says, alarm_lists, check_in, each, end, inventory, path_works, round, round_with, together, verdicts, view,
};

const ETCD: &str = "prod/etcd/main";
const LOST: Says = Says::Bad(Critical, 0);
const DOWN: Says = Says::Bad(Warning, 30);

fn members(count: usize) -> Inventory {
    inventory(2, u8::try_from(count).unwrap())
}

/// Three equal rounds, with proof of our path between them; what F01 says, and which members F02 calls down.
fn check_rounds(does: &[Member], quorum: Says, down: &[(&str, Says)]) {
    let probes = together(&[each(&[0, 500, 1000], round(does)), each(&[100], path_works())]);
    let mut expected = vec![(F01, ETCD, quorum)];
    expected.extend(down.iter().map(|(member, says)| (F02, *member, *says)));
    check_in(members(does.len()), &probes, &expected);
}

const E1: &str = "prod/etcd/main/etcd-1";
const E2: &str = "prod/etcd/main/etcd-2";
const E3: &str = "prod/etcd/main/etcd-3";
const E4: &str = "prod/etcd/main/etcd-4";
const E5: &str = "prod/etcd/main/etcd-5";

#[test]
fn the_quorum_is_a_majority_of_the_configured_voters() {
    for silent in [Gone, Hung] {
        check_rounds(&[Up, Up, Up], Says::Good, &[]);
        check_rounds(&[Up, Up, silent], Says::Good, &[(E3, DOWN)]);
        check_rounds(&[Up, silent, silent], LOST, &[(E2, DOWN), (E3, DOWN)]);
        check_rounds(&[Up, silent], LOST, &[(E2, DOWN)]);
        check_rounds(&[Up, Up, silent, silent], LOST, &[(E3, DOWN), (E4, DOWN)]);
        check_rounds(&[Up, Up, Up, silent, silent], Says::Good, &[(E4, DOWN), (E5, DOWN)]);
        check_rounds(&[Up, Up, silent, silent, silent], LOST, &[(E3, DOWN), (E4, DOWN), (E5, DOWN)]);
    }
}

#[test]
fn a_sole_member_gets_ten_seconds_and_is_no_lost_redundancy() {
    check_rounds(&[Gone], Says::Bad(Critical, 10), &[(E1, Says::Unclear)]);
}

#[test]
fn two_rounds_confirm_nothing() {
    let probes = each(&[0, 1000], round(&[Up, Gone, Gone]));

    check_in(members(3), &probes, &[(F01, ETCD, Says::Suspected), (F02, E2, Says::Suspected)]);
}

#[test]
fn a_missing_leader_is_told_when_it_outlasts_an_election() {
    for (last, says) in [(2999, Says::Suspected), (3000, LOST), (3001, LOST)] {
        let probes = each(&[0, 1500, last], round(&[Leaderless, Leaderless, Leaderless]));

        check_in(members(3), &probes, &[(F01, ETCD, says)]);
    }
}

#[test]
fn a_leader_seen_by_a_minority_is_no_leader() {
    let probes = each(&[0, 1500, 3000], round(&[Up, Leaderless, Leaderless]));

    check_in(members(3), &probes, &[(F01, ETCD, LOST)]);
}

#[test]
fn a_learner_never_votes() {
    // Followed by a learner and one of two voters, a leader has no majority.
    let probes = each(&[0, 500, 1000], round(&[Up, Gone, Learner]));
    check_in(members(3), &probes, &[(F01, ETCD, LOST), (F02, E2, DOWN)]);

    // A learner that is down raises no majority: two of three voters are enough.
    let seen_once = vec![(0, round(&[Up, Up, Up, Learner]))];
    let probes = together(&[seen_once, each(&[500, 1000, 1500], round(&[Up, Up, Gone, Gone]))]);
    check_in(members(4), &probes, &[(F01, ETCD, Says::Good), (F02, E3, DOWN), (F02, E4, DOWN)]);
}

#[test]
fn a_lost_member_is_critical_after_ten_minutes_when_no_further_one_may_be_lost() {
    let beat: Vec<u64> = (0..=200).map(|n| n * 3000).collect();
    for (does, before, after) in [
        (&[Up, Up, Gone][..], DOWN, Says::Bad(Critical, 30)),
        (&[Up, Up, Gone, Up][..], DOWN, Says::Bad(Critical, 30)),
        (&[Up, Up, Gone, Up, Up][..], DOWN, DOWN),
    ] {
        let probes = each(&beat, round(does));
        let expected = |says| [(F01, ETCD, Says::Good), (F02, E3, says)];

        check_in(members(does.len()), &probes[..probes.len() - 1], &expected(before));
        check_in(members(does.len()), &probes, &expected(after));
    }
}

#[test]
fn a_member_that_comes_back_is_good_at_once() {
    let probes = together(&[each(&[0, 500, 1000], round(&[Up, Up, Gone])), vec![(1500, round(&[Up, Up, Up]))]]);

    check_in(members(3), &probes, &[(F02, E3, Says::Good), (F01, ETCD, Says::Good)]);
}

#[test]
fn members_that_refuse_our_credential_may_well_agree() {
    for does in [[Unwelcoming; 3], [Up, Unwelcoming, Unwelcoming], [Gone, Unwelcoming, Unwelcoming]] {
        let probes = each(&[0, 500, 1000], round(&does));
        let first = if does[0] == Gone { DOWN } else { Says::Good };
        let expected = [
            (F01, ETCD, Says::Unclear),
            (F02, E1, if does[0] == Unwelcoming { Says::Unclear } else { first }),
            (F02, E3, Says::Unclear),
            (F09, ETCD, Says::Unclear),
            (F10, ETCD, Says::Unclear),
            (F52, ETCD, Says::Bad(Warning, 30)),
        ];

        check_in(members(3), &probes, &expected);
    }
}

#[test]
fn one_refusal_saves_no_quorum_that_is_lost_anyway() {
    let probes = each(&[0, 500, 1000], round(&[Gone, Gone, Unwelcoming]));

    check_in(
        members(3),
        &probes,
        &[(F01, ETCD, LOST), (F02, E1, DOWN), (F02, E2, DOWN), (F52, ETCD, Says::Bad(Warning, 30))],
    );
}

#[test]
fn one_member_that_reports_nospace_is_enough() {
    for does in [[Full, Up, Up], [Gone, Full, Hung], [Full, Full, Full]] {
        let probes = each(&[0, 500, 1000], round(&does));
        let down: &[_] = if does[0] == Gone { &[(F01, ETCD, LOST), (F02, E1, DOWN), (F02, E3, DOWN)] } else { &[] };

        check_in(members(3), &probes, &[down, &[(F09, ETCD, LOST)]].concat());
    }
}

#[test]
fn the_all_clear_of_nospace_needs_a_majority_of_voters() {
    let full = each(&[0, 500, 1000], round(&[Full, Full, Full]));
    for (does, says) in [
        (&[Up, Up, Up][..], Says::Good),
        (&[Up, Up, Hung][..], Says::Good),
        (&[Up, Hung, Hung][..], Says::Unclear),
        (&[Up, Learner, Hung][..], Says::Unclear),
        (&[Up, Up, Full][..], LOST),
    ] {
        let probes = together(&[full.clone(), vec![(1500, round(does))]]);

        check_in(members(3), &probes, &[(F09, ETCD, says)]);
    }
}

#[test]
fn corrupt_pages_at_once_whatever_is_raised_beside_it() {
    let probes = each(&[0, 500, 1000], round(&[Corrupt, Up, Up]));
    check_in(members(3), &probes, &[(F10, ETCD, LOST), (F09, ETCD, Says::Good)]);

    let probes = each(&[0, 500, 1000], round(&[Corrupt, Full, Up]));
    check_in(members(3), &probes, &[(F10, ETCD, LOST), (F09, ETCD, LOST)]);

    let probes = each(&[0, 500], round(&[Corrupt, Up, Up]));
    check_in(members(3), &probes, &[(F10, ETCD, Says::Suspected)]);

    let over = together(&[probes, each(&[1500], round(&[Up, Up, Up]))]);
    check_in(members(3), &over, &[(F10, ETCD, Says::Good)]);
}

#[test]
fn an_alarm_of_an_unknown_kind_is_told_and_never_green() {
    let kind = EtcdAlarmKind::Other;
    let probes = each(
        &[0, 500, 1000],
        round_with(&[Up, Up, Up], |status| status.alarms = vec![EtcdAlarm { member_id: 2, kind }]),
    );

    check_in(members(3), &probes, &[(F10, ETCD, Says::Bad(Warning, 0)), (F09, ETCD, Says::Good)]);
}

#[test]
fn an_alarm_that_only_the_list_tells_is_told_until_the_list_ends_it() {
    let status = each(&[0, 3000, 6000, 9000], round(&[Up, Up, Up]));
    for (kind, rule, says) in [
        (EtcdAlarmKind::NoSpace, F09, LOST),
        (EtcdAlarmKind::Corrupt, F10, LOST),
        (EtcdAlarmKind::Other, F10, Says::Bad(Warning, 0)),
    ] {
        let listed = |kinds: &[EtcdAlarmKind]| alarm_lists(3, kinds);
        let two = together(&[status.clone(), each(&[100, 2000], listed(&[kind]))]);
        check_in(members(3), &two, &[(rule, ETCD, Says::Suspected)]);

        let three = together(&[two, each(&[4000], listed(&[kind]))]);
        check_in(members(3), &three, &[(rule, ETCD, says)]);

        let over = together(&[three, each(&[7000], listed(&[]))]);
        check_in(members(3), &over, &[(rule, ETCD, Says::Good)]);
    }
}

#[test]
fn a_list_that_is_older_than_what_the_members_say_keeps_no_alarm() {
    let full = each(&[0, 500, 1000], round(&[Full, Full, Full]));
    let listed = each(&[100, 600, 1100], alarm_lists(3, &[EtcdAlarmKind::NoSpace]));
    let probes = together(&[full, listed, each(&[4000], round(&[Up, Up, Up]))]);

    check_in(members(3), &probes, &[(F09, ETCD, Says::Good)]);
}

#[test]
fn nobody_is_sent_to_give_space_back_while_corrupt_stands() {
    let probes = each(
        &[0, 500, 1000],
        round_with(&[Corrupt, Full, Up], |status| {
            (status.db_size_bytes, status.db_quota_bytes) = (95, Some(100));
        }),
    );
    let verdicts = verdicts(&view(members(3), &probes), end(&probes));
    for rule in [F08, F09, F10] {
        let finding = verdicts.iter().find_map(|(key, verdict)| {
            let Verdict::Bad(finding) = verdict else { return None };
            (key.rule == rule).then_some(finding)
        });
        let finding = finding.unwrap_or_else(|| panic!("no {rule}"));
        let said = [
            finding
                .next_commands(&Commands::new(&Addresses::new(), &Hosts::default()))
                .into_iter()
                .map(|command| command.line)
                .collect::<Vec<_>>()
                .join("\n"),
            finding.likely_cause(),
            finding.impact(),
        ];

        assert!(said.iter().all(|text| !text.contains("defrag") && !text.contains("disarm")), "{rule}: {said:?}");
    }
}
