//! F03: members that answer here and do not follow the majority.

use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::rule::Level::{Critical, Warning};
use crate::model::rule::RuleId::{F01, F02, F03};

use super::fixture::Member::{Elsewhere, Gone, Leaderless, Learner, Up};
use super::fixture::{MUTE, Member, Says, check_in, each, inventory, reads, round, together};

const ETCD: &str = "prod/etcd/main";
const SPLIT: Says = Says::Bad(Warning, 30);
const STUCK: Unseen = Unseen { phase: Phase::FirstByte, cause: Cause::Timeout };

fn check_rounds(does: &[Member], says: Says) {
    let members = u8::try_from(does.len()).unwrap();
    let probes = each(&[0, 500, 1000], round(does));
    check_in(inventory(2, members), &probes, &[(F01, ETCD, Says::Good), (F03, ETCD, says)]);
}

#[test]
fn a_member_of_another_mind_than_the_majority_is_split_from_it() {
    for other in [Leaderless, Elsewhere] {
        check_rounds(&[Up, Up, other], SPLIT);
        check_rounds(&[Up, Up, Up, other, other], SPLIT);
    }
    check_rounds(&[Up, Up, Up], Says::Good);
    check_rounds(&[Up, Up, Learner, Leaderless], SPLIT);
}

#[test]
fn what_no_majority_follows_is_a_lost_quorum_and_no_split() {
    let probes = each(&[0, 1500, 3000], round(&[Up, Elsewhere, Leaderless]));

    check_in(inventory(2, 3), &probes, &[(F01, ETCD, Says::Bad(Critical, 0)), (F03, ETCD, Says::Unclear)]);
}

#[test]
fn a_silent_member_is_down_and_not_split() {
    let probes = each(&[0, 500, 1000], round(&[Up, Up, Gone]));
    let down = (F02, "prod/etcd/main/etcd-3", Says::Bad(Warning, 30));
    check_in(inventory(2, 3), &probes, &[down, (F03, ETCD, Says::Unclear)]);

    // It was split before it went down, and silence does not resolve that.
    let split = each(&[0, 500, 1000], round(&[Up, Up, Leaderless]));
    let probes = together(&[split, each(&[2000, 2500, 3000], round(&[Up, Up, Gone]))]);
    check_in(inventory(2, 3), &probes, &[down, (F03, ETCD, Says::Suspected)]);
}

#[test]
fn two_rounds_of_two_minds_are_an_election() {
    let probes = each(&[0, 1000], round(&[Up, Up, Elsewhere]));
    check_in(inventory(2, 3), &probes, &[(F03, ETCD, Says::Suspected)]);

    let probes = together(&[each(&[0, 400, 1200], round(&[Up, Up, Elsewhere])), each(&[800], round(&[Up, Up, Up]))]);
    check_in(inventory(2, 3), &probes, &[(F03, ETCD, Says::Suspected)]);
}

#[test]
fn a_split_is_critical_after_ten_minutes_when_no_further_member_may_be_lost() {
    let beat: Vec<u64> = (0..=200).map(|n| n * 3000).collect();
    for (does, says) in [
        (&[Up, Up, Elsewhere][..], Says::Bad(Critical, 30)),
        (&[Up, Up, Up, Up, Elsewhere][..], SPLIT),
        (&[Up; 3][..], Says::Good),
    ] {
        let probes = each(&beat, round(does));
        let members = inventory(2, u8::try_from(does.len()).unwrap());
        let before = if says == Says::Good { Says::Good } else { SPLIT };

        check_in(members.clone(), &probes[..probes.len() - 1], &[(F03, ETCD, before)]);
        check_in(members, &probes, &[(F03, ETCD, says)]);
    }
}

#[test]
fn reads_that_fail_on_one_member_alone_tell_of_a_split_as_well() {
    let ticks = [0, 10_000, 20_000];
    let status: Vec<u64> = (0..=7).map(|n| n * 3000).collect();
    for (served, says) in [
        ([Ok(()), Ok(()), Err(STUCK)], SPLIT),
        ([Ok(()), Ok(()), Ok(())], Says::Good),
        // No member serves reads: an election, or F01.
        ([Err(STUCK), Err(STUCK), Err(STUCK)], Says::Unclear),
        ([Ok(()), Err(STUCK), Err(STUCK)], Says::Unclear),
        // It did not take the question at all: whether it is down is for the Status rounds to say.
        ([Ok(()), Ok(()), Err(MUTE)], Says::Unclear),
        // We may not read, which says nothing of the members.
        ([Err(Unseen { cause: Cause::CredentialRejected, ..STUCK }); 3], Says::Good),
    ] {
        let probes = together(&[each(&status, round(&[Up, Up, Up])), each(&ticks, reads(&served))]);

        check_in(inventory(2, 3), &probes, &[(F03, ETCD, says)]);
    }
}
