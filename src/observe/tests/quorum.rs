//! One Status round as a vote.

use std::time::Duration;

use super::{at, name};
use crate::model::etcd::{MemberAnswer, MemberListing, MemberStatus, ReadAnswer};
use crate::model::phase::{Cause, Phase, Phases, Unseen};
use crate::observe::assessment::Assessment;
use crate::observe::membership::Membership;
use crate::observe::quorum::{Before, Count, count, count_with, is_spread, majority, reads};

/// Follows leader `id`, knows of none (0), is silent, or refuses us.
#[derive(Debug, Clone, Copy)]
enum Does {
    Follows(u64),
    Learns,
    Mute,
    Refuses,
}
use Does::{Follows, Learns, Mute, Refuses};

fn answer(n: usize, does: Does, sent_after: Duration) -> MemberAnswer<MemberStatus> {
    let unseen = |cause| Err(Unseen { phase: Phase::FirstByte, cause });
    let status = |leader: u64, is_learner| MemberStatus {
        version: "3.6.16".into(),
        cluster_id: 1,
        member_id: u64::try_from(n).unwrap() + 1,
        leader: (leader != 0).then_some(leader),
        raft_term: 3,
        raft_index: 100,
        raft_applied_index: None,
        revision: 50,
        db_size_bytes: 1,
        db_in_use_bytes: None,
        db_quota_bytes: None,
        is_learner,
        storage_version: None,
        downgrade: None,
        alarms: Vec::new(),
        errors: Vec::new(),
    };
    let answer = match does {
        Follows(leader) => Ok(status(leader, false)),
        Learns => Ok(status(1, true)),
        Mute => unseen(Cause::Timeout),
        Refuses => unseen(Cause::CredentialRejected),
    };
    MemberAnswer { member: name(&format!("etcd-{n}")), sent_after, phases: Phases::default(), answer }
}

fn round(does: &[Does]) -> Vec<MemberAnswer<MemberStatus>> {
    does.iter().enumerate().map(|(n, does)| answer(n, *does, Duration::ZERO)).collect()
}

#[test]
fn majorities_are_more_than_half() {
    let majorities: Vec<usize> = (1..=5).map(majority).collect();

    assert_eq!(majorities, [1, 2, 2, 3, 3]);
}

#[test]
fn a_leader_is_agreed_by_exactly_a_majority_of_one_to_five_voters() {
    for voters in 1..=5 {
        for followers in 0..=voters {
            for rest in [Mute, Follows(0), Follows(2)] {
                let mut does = vec![Follows(1); followers];
                does.resize(voters, rest);
                let counted = count(&round(&does), |_| false);

                let expected = match rest {
                    _ if followers >= majority(voters) => Some(1),
                    Follows(2) if voters - followers >= majority(voters) => Some(2),
                    Follows(_) | Learns | Mute | Refuses => None,
                };
                assert_eq!(counted.agreed, expected, "{does:?}");
                assert_eq!(counted.leader == Assessment::Good, expected.is_some(), "{does:?}");
                assert_eq!(counted.voters, voters);
            }
        }
    }
}

#[test]
fn members_that_refuse_us_leave_it_open_only_as_far_as_they_could_decide() {
    for (does, is_open) in [
        (&[Refuses, Refuses, Refuses][..], true),
        (&[Follows(1), Refuses, Mute][..], true),
        (&[Mute, Mute, Refuses][..], false),
        (&[Follows(1), Mute, Mute, Refuses, Mute][..], false),
        (&[Follows(0), Follows(0), Follows(0)][..], false),
    ] {
        let counted = count(&round(does), |_| false);

        assert_eq!(counted.leader == Assessment::Unclear, is_open, "{does:?}: {:?}", counted.leader);
    }
}

#[test]
fn a_learner_neither_votes_nor_raises_what_is_needed() {
    let counted = count(&round(&[Follows(1), Learns, Learns]), |_| false);
    assert_eq!((counted.agreed, counted.voters, counted.answering), (Some(1), 1, 1));

    let counted = count(&round(&[Follows(1), Mute, Learns]), |_| false);
    assert_eq!((counted.agreed, counted.voters, counted.answering), (None, 2, 1));

    let silent_learner = count(&round(&[Follows(1), Follows(1), Mute, Mute]), |member| *member == name("etcd-3"));
    assert_eq!((silent_learner.agreed, silent_learner.voters), (Some(1), 3));
}

/// A round counted beside etcd's own list: ids, and whether they have started.
fn beside(does: &[Does], listed: &[(u64, bool)]) -> Count {
    let member = |(id, has_started): &(u64, bool)| MemberListing {
        id: *id,
        name: if *has_started { format!("e{id}") } else { String::new() },
        is_learner: false,
        client_urls: Vec::new(),
    };
    let members: Vec<MemberListing> = listed.iter().map(member).collect();
    let list = Some(Membership { at: at(0), members: &members });
    count_with(&round(does), |_| false, &Before { status: &|_| None, list, is_list_asked: true })
}

#[test]
fn the_majority_is_one_of_etcds_own_voters() {
    let all = |ids: &[u64]| -> Vec<(u64, bool)> { ids.iter().map(|id| (*id, true)).collect() };
    let bad = |counted: &Count| matches!(counted.leader, Assessment::Bad(_));

    // Two of five are watched: what they follow is followed by a majority, or they would not.
    let counted = beside(&[Follows(1), Follows(1)], &all(&[1, 2, 3, 4, 5]));
    assert_eq!((counted.leader, counted.voters, counted.unwatched), (Assessment::Good, 5, 3));
    // Neither knows a leader.
    assert!(bad(&beside(&[Follows(0), Follows(0)], &all(&[1, 2, 3, 4, 5]))));
    // No watched member answers, and the rest may be a majority.
    assert_eq!(beside(&[Mute], &all(&[1, 2, 3])).leader, Assessment::Unclear);
    assert!(bad(&beside(&[Mute, Mute, Mute], &all(&[1, 2, 3]))));
    // Of four voters one never started, so two that answer are too few, and three enough.
    let four = [(1, true), (2, true), (3, true), (4, false)];
    assert!(bad(&beside(&[Follows(1), Follows(1), Mute], &four)));
    assert_eq!(beside(&[Follows(1), Follows(1), Follows(1)], &four).leader, Assessment::Good);
    // A configured member that was removed has no vote any more.
    let counted = beside(&[Follows(1), Follows(0), Follows(0)], &all(&[1]));
    assert_eq!((counted.leader, counted.voters), (Assessment::Good, 1));
}

#[test]
fn before_the_list_is_known_a_member_that_was_never_seen_may_have_no_vote() {
    let answers = round(&[Follows(1), Follows(1), Mute, Mute]);
    let asked = |is_list_asked| {
        count_with(&answers, |_| false, &Before { status: &|_| None, list: None, is_list_asked }).leader
    };

    assert_eq!(asked(false), Assessment::Unclear);
    assert!(matches!(asked(true), Assessment::Bad(_)));
}

#[test]
fn one_member_under_three_names_is_one_voter() {
    let mut answers = round(&[Follows(1), Follows(1), Follows(1)]);
    answers.iter_mut().filter_map(|answer| answer.answer.as_mut().ok()).for_each(|status| status.member_id = 1);

    let counted = count(&answers, |_| false);

    assert_eq!((counted.voters, counted.answering, counted.leader), (1, 1, Assessment::Good));
    assert!(matches!(counted.as_configured, Assessment::Bad(_)));
}

#[test]
fn members_that_speak_otherwise_than_configured_are_alive_and_have_lost_no_quorum() {
    let mut answers = round(&[Mute, Mute, Mute]);
    for answer in &mut answers {
        answer.answer = Err(Unseen { phase: Phase::Tls, cause: Cause::WithoutTls });
    }

    let counted = count(&answers, |_| false);

    assert!(counted.members.values().all(|assessment| *assessment == Assessment::Alive), "{:?}", counted.members);
    assert_eq!(counted.leader, Assessment::Alive);
    assert!(matches!(counted.as_configured, Assessment::Bad(_)));
}

#[test]
fn members_that_each_lead_have_lost_no_quorum() {
    let mut answers = round(&[Follows(1), Follows(2), Follows(3)]);
    for (answer, cluster) in answers.iter_mut().zip(70..) {
        answer.answer.as_mut().unwrap().cluster_id = cluster;
    }

    let counted = count(&answers, |_| false);

    assert_eq!((counted.agreed, counted.leader), (None, Assessment::Alive));
    assert!(matches!(counted.as_configured, Assessment::Bad(_)));
}

#[test]
fn reads_of_a_majority_of_the_voters_make_one_that_fails_a_sign() {
    let stuck = Unseen { phase: Phase::FirstByte, cause: Cause::Timeout };
    let read = |n: usize, served: bool| MemberAnswer {
        member: name(&format!("etcd-{n}")),
        sent_after: Duration::ZERO,
        phases: Phases::default(),
        answer: if served { Ok(ReadAnswer { revision: None }) } else { Err(stuck) },
    };
    let answers = [read(0, true), read(1, true), read(2, false), read(3, false)];

    let signs = reads(&answers, |member| *member == name("etcd-3"));
    assert_eq!(
        (signs[&name("etcd-2")].clone(), signs[&name("etcd-3")].clone()),
        (Assessment::of_unseen(stuck), Assessment::Unclear)
    );

    let signs = reads(&answers, |_| false);
    assert_eq!(signs[&name("etcd-2")], Assessment::Unclear);
}

#[test]
fn a_round_is_void_when_our_own_sends_went_apart_by_more_than_allowed() {
    let most = Duration::from_secs(1);
    let sent = |millis: &[u64]| -> Vec<_> {
        let answers = millis.iter().enumerate();
        answers.map(|(n, millis)| answer(n, Follows(1), Duration::from_millis(*millis))).collect()
    };
    for (millis, is_void) in
        [(&[][..], false), (&[7000], false), (&[0, 1000], false), (&[0, 1001], true), (&[9000, 9500, 10_000], false)]
    {
        assert_eq!(is_spread(&sent(millis), most), is_void, "{millis:?}");
    }
}

#[test]
fn a_member_that_never_answered_spreads_no_round() {
    let late = answer(0, Mute, Duration::from_secs(5));

    assert!(!is_spread(&[late, answer(1, Follows(1), Duration::ZERO)], Duration::from_secs(1)));
}
