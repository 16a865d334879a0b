//! etcd members that answer and do not hold together: splits and elections.

use std::time::Duration;

use vedette::model::reason::MessageReason::{Escalated, First, Resolved};
use vedette::model::rule::{Level, RuleId};

use super::world::{Doing, World, api, etcd, seconds};

/// The mails and their level.
fn levels(world: &World) -> Vec<Level> {
    world.mails.iter().map(|mail| mail.message.level).collect()
}

#[test]
fn a_member_cut_off_from_its_peers_is_one_warning_after_its_hold_and_never_a_lost_quorum() {
    for member in 1..=3 {
        let mut world = World::new();
        world.at(seconds(60), move |world| world.peers.cut(member));
        world.at(seconds(180), World::heal);

        world.run_until(seconds(400));

        assert_eq!(world.told(), [(RuleId::F03, First), (RuleId::F03, Resolved)], "etcd-{member}");
        assert_eq!(levels(&world)[0], Level::Warning);
        let first = world.mails[0].at.saturating_sub(seconds(60));
        assert!(first >= seconds(30) && first <= seconds(37), "first mail after {first:?}");
        let clear = world.mails[1].at.saturating_sub(seconds(180));
        assert!(clear <= seconds(45), "all-clear after {clear:?}");
    }
}

#[test]
fn a_split_that_lasts_ten_minutes_is_critical_in_the_same_thread() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.peers.cut(3));

    world.run_until(seconds(60 + 640));

    assert_eq!(world.told(), [(RuleId::F03, First), (RuleId::F03, Escalated)]);
    assert_eq!(levels(&world), [Level::Warning, Level::Critical]);
    assert_eq!(world.threads().len(), 1);
}

#[test]
fn what_the_apiserver_beside_the_cut_member_suffers_is_told_with_the_split() {
    let mut world = World::new();
    world.at(seconds(60), |world| {
        world.peers.cut(2);
        world.set(&api(2), Doing::NotReady(&["etcd", "etcd-readiness"]));
    });
    world.at(seconds(240), World::heal);

    world.run_until(seconds(500));

    assert_eq!(world.threads().len(), 1, "{:?}", world.told());
    assert!(world.told().iter().all(|(rule, _)| *rule == RuleId::F03), "{:?}", world.told());
}

#[test]
fn a_member_that_hears_and_is_not_heard_shows_in_its_reads() {
    let mut world = World::new();
    world.at(seconds(60), |world| {
        world.peers.unheard.insert(2);
    });
    world.at(seconds(240), World::heal);

    world.run_until(seconds(500));

    assert_eq!(world.told(), [(RuleId::F03, First), (RuleId::F03, Resolved)]);
    assert!(world.mails[0].at <= seconds(60 + 55), "first mail at {:?}", world.mails[0].at);
}

#[test]
fn two_cut_members_of_three_are_a_lost_quorum_and_nothing_else() {
    let mut world = World::new();
    world.at(seconds(60), |world| {
        world.leaderless = true;
        world.peers.cut(2);
        world.peers.cut(3);
    });
    world.at(seconds(180), World::heal);

    world.run_until(seconds(500));

    assert_eq!(world.told(), [(RuleId::F01, First), (RuleId::F01, Resolved)]);
}

#[test]
fn one_election_and_one_restart_of_a_member_mail_nothing() {
    for millis in (0..3000).step_by(250) {
        let start = seconds(60) + Duration::from_millis(millis);
        let mut world = World::new();
        world.at(start, |world| {
            world.leaderless = true;
            world.peers.elect();
        });
        world.at(start + Duration::from_millis(1700), World::heal);
        // The leader is restarted: the others elect, it comes back, and learns late whom to follow.
        world.at(start + seconds(60), |world| {
            world.slay(&etcd(1));
            world.peers.elect();
        });
        world.at(start + seconds(66), |world| {
            world.set(&etcd(1), Doing::Well);
            world.peers.apart.insert(1);
        });
        world.at(start + seconds(70), World::heal);

        world.run_until(seconds(400));

        assert!(world.mails.is_empty(), "at {millis} ms: {:?}", world.told());
    }
}

#[test]
fn three_elections_in_a_quarter_of_an_hour_are_a_warning_and_six_are_critical() {
    let mut world = World::new();
    for n in 1..=6 {
        world.at(seconds(100 * n), |world| world.peers.elect());
    }

    world.run_until(seconds(3600));

    assert_eq!(world.told(), [(RuleId::F05, First), (RuleId::F05, Escalated), (RuleId::F05, Resolved)]);
    assert_eq!(levels(&world)[..2], [Level::Warning, Level::Critical]);
    assert!(world.mails[0].at >= seconds(300) && world.mails[0].at <= seconds(305), "{:?}", world.mails[0].at);
    assert!(world.mails[1].at >= seconds(600) && world.mails[1].at <= seconds(605), "{:?}", world.mails[1].at);
}

#[test]
fn an_election_every_six_minutes_is_one_incident_and_not_many() {
    let mut world = World::new();
    for n in 1..=14 {
        world.at(seconds(360 * n), |world| world.peers.elect());
    }

    world.run_until(seconds(5400));

    assert!(world.threads().len() <= 1, "{:?}", world.told());
}

#[test]
fn a_restart_in_the_middle_of_a_hold_tells_a_split_once() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.peers.cut(3));
    world.at(seconds(80), World::kill);
    world.at(seconds(83), World::restart);
    world.at(seconds(150), World::kill);
    world.at(seconds(151), World::restart);
    world.at(seconds(240), World::heal);

    world.run_until(seconds(500));

    assert_eq!(world.told(), [(RuleId::F03, First), (RuleId::F03, Resolved)]);
}

#[test]
fn a_restart_forgets_the_elections_and_gives_no_all_clear_for_it() {
    let mut world = World::new();
    for n in 1..=3 {
        world.at(seconds(30 * n), |world| world.peers.elect());
    }
    world.at(seconds(120), World::kill);
    world.at(seconds(121), World::restart);

    world.run_until(seconds(121 + 890));
    assert_eq!(world.told(), [(RuleId::F05, First)]);

    world.run_until(seconds(121 + 960));
    assert_eq!(world.told(), [(RuleId::F05, First), (RuleId::F05, Resolved)]);
}

#[test]
fn three_clusters_of_one_member_are_paged_as_that_within_seconds() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.peers.alone = [1, 2, 3].into());
    world.at(seconds(180), World::heal);

    world.run_until(seconds(400));

    assert_eq!(world.told(), [(RuleId::F57, First), (RuleId::F57, Resolved)]);
    assert_eq!(levels(&world)[0], Level::Critical);
    assert!(world.mails[0].at <= seconds(68), "{:?}", world.mails[0].at);
}

#[test]
fn a_member_that_begins_a_cluster_of_its_own_is_paged_and_is_no_split() {
    for member in 1..=3 {
        let mut world = World::new();
        world.at(seconds(60), move |world| {
            world.peers.alone.insert(member);
        });

        world.run_until(seconds(300));

        assert_eq!(world.told(), [(RuleId::F57, First)], "etcd-{member}");
        assert!(world.mails[0].at <= seconds(68), "etcd-{member}: {:?}", world.mails[0].at);
    }
}

#[test]
fn one_member_behind_all_addresses_is_a_warning_after_its_hold() {
    let mut world = World::new();
    world.peers.same = true;

    world.run_until(seconds(300));

    assert_eq!(world.told(), [(RuleId::F57, First)]);
    assert_eq!(levels(&world), [Level::Warning]);
}

#[test]
fn a_member_that_never_starts_is_told_after_ten_minutes_and_one_that_joins_is_not() {
    for (until, told) in [(400, vec![]), (1500, vec![(RuleId::F57, First)])] {
        let mut world = World::new();
        world.at(seconds(60), |world| world.peers.unstarted = true);
        world.at(seconds(until), World::heal);

        world.run_until(seconds(until));

        assert_eq!(world.told(), told, "until {until} s");
    }
}

#[test]
fn the_ten_minutes_of_a_member_that_never_starts_are_counted_over_a_restart() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.peers.unstarted = true);
    world.at(seconds(400), World::kill);
    world.at(seconds(410), World::restart);

    world.run_until(seconds(800));

    assert_eq!(world.told(), [(RuleId::F57, First)]);
}

#[test]
fn beside_a_member_that_never_started_two_of_three_are_a_lost_quorum() {
    let mut world = World::new();
    world.peers.unstarted = true;
    world.at(seconds(100), |world| {
        world.leaderless = true;
        world.slay(&etcd(3));
    });

    world.run_until(seconds(200));

    assert_eq!(world.told()[0], (RuleId::F01, First), "{:?}", world.told());
}
