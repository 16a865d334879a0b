//! Each fault: exactly the expected incident, one thread with the right cause, one all-clear, nothing else.

use std::time::Duration;

use vedette::model::inventory::Inventory;
use vedette::model::reason::MessageReason::{CauseFound, First, Resolved};
use vedette::model::rule::{Level, RuleId};

use super::world::{Doing, World, api, etcd, inventory, seconds, vip};

/// Runs a fault from 60 s to 120 s and expects one thread named after `rule`: first mail within `within`, all-clear
/// within a minute of healing, nothing else.
fn check(rule: RuleId, within: Duration, fault: impl Fn(&mut World) + 'static) -> World {
    check_lasting(rule, seconds(60), within, fault)
}

fn check_lasting(rule: RuleId, lasting: Duration, within: Duration, fault: impl Fn(&mut World) + 'static) -> World {
    let mut world = World::new();
    world.at(seconds(60), fault);
    world.at(seconds(60) + lasting, World::heal);

    world.run_until(seconds(60) + lasting + seconds(300));

    assert_eq!(world.told(), [(rule, First), (rule, Resolved)]);
    assert_eq!(world.threads().len(), 1);
    assert!(world.open().is_empty(), "{:?}", world.open());
    let first = world.mails[0].at.saturating_sub(seconds(60));
    assert!(first <= within, "first mail after {first:?}");
    let clear = world.mails[1].at.saturating_sub(seconds(60) + lasting);
    assert!(clear <= seconds(60), "all-clear after {clear:?}");
    world
}

#[test]
fn a_healthy_hour_is_silent() {
    let mut world = World::new();

    world.run_until(seconds(3600));

    assert!(world.mails.is_empty(), "{:?}", world.told());
    assert_eq!(world.counters().burst_probes, 0);
    assert!(world.beats.len() > 700, "{} beats", world.beats.len());
}

#[test]
fn killed_apiservers_are_one_incident_within_three_seconds() {
    let world = check(RuleId::F24, seconds(3), |world| {
        world.slay(&api(1));
        world.slay(&api(2));
    });

    assert_eq!(world.mails[0].message.level, Level::Critical);
}

#[test]
fn apiservers_that_come_back_slowly_are_still_the_same_incident() {
    let mut world = World::new();
    world.at(seconds(60), |world| {
        world.slay(&api(1));
        world.slay(&api(2));
    });
    world.at(seconds(80), |world| {
        world.set(&api(1), Doing::NotReady(&["poststarthook/rbac/bootstrap-roles"]));
        world.set(&api(2), Doing::NotReady(&["etcd-readiness"]));
    });
    world.at(seconds(100), World::heal);

    world.run_until(seconds(300));

    assert_eq!(world.told(), [(RuleId::F24, First), (RuleId::F24, Resolved)]);
}

#[test]
fn apiservers_that_freeze_are_one_incident_within_eight_seconds() {
    check(RuleId::F24, seconds(8), |world| {
        world.set(&api(1), Doing::Frozen);
        world.set(&api(2), Doing::Frozen);
    });
}

#[test]
fn one_frozen_apiserver_is_a_warning_after_its_hold() {
    let world = check(RuleId::F22, seconds(35), |world| {
        world.checks_readyz = true;
        world.set(&api(2), Doing::Frozen);
    });

    assert_eq!(world.mails[0].message.level, Level::Warning);
    assert!(world.mails[0].at >= seconds(90), "not before its hold");
}

#[test]
fn one_lost_apiserver_becomes_critical_when_it_lasts() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.slay(&api(2)));

    world.run_until(seconds(60 + 700));

    let levels: Vec<Level> = world.mails.iter().map(|mail| mail.message.level).collect();
    assert_eq!(levels, [Level::Warning, Level::Critical]);
    assert_eq!(world.threads().len(), 1);
}

#[test]
fn a_dead_address_with_live_instances_is_blamed_itself() {
    check(RuleId::F23, seconds(8), |world| world.set(&vip(), Doing::Frozen));
    check(RuleId::F23, seconds(5), |world| world.slay(&vip()));
}

#[test]
fn a_lost_quorum_is_the_cause_of_everything_that_follows() {
    let world = check(RuleId::F01, seconds(8), |world| {
        world.set(&etcd(1), Doing::Frozen);
        world.set(&etcd(2), Doing::Frozen);
        world.set(&api(1), Doing::NotReady(&["etcd", "etcd-readiness"]));
        world.set(&api(2), Doing::NotReady(&["etcd", "etcd-readiness"]));
    });

    let folded: Vec<RuleId> = world.mails[1].message.incident.parts.iter().map(|part| part.finding.rule).collect();
    assert!(folded.contains(&RuleId::F25), "{folded:?}");
    assert!(folded.contains(&RuleId::F02), "{folded:?}");
}

#[test]
fn killed_etcd_members_are_told_within_three_seconds() {
    check(RuleId::F01, seconds(3), |world| {
        world.slay(&etcd(1));
        world.slay(&etcd(2));
    });
}

#[test]
fn one_dead_member_is_a_warning_after_its_hold() {
    check(RuleId::F02, seconds(35), |world| world.slay(&etcd(3)));
}

#[test]
fn an_election_of_two_seconds_is_not_worth_a_mail() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.leaderless = true);
    world.at(seconds(62), World::heal);

    world.run_until(seconds(300));

    assert!(world.mails.is_empty(), "{:?}", world.told());
}

#[test]
fn a_cluster_without_leader_is_told_after_the_election_time() {
    check(RuleId::F01, seconds(8), |world| world.leaderless = true);
}

#[test]
fn a_full_database_is_told_though_readyz_is_green() {
    check(RuleId::F09, seconds(8), |world| world.nospace = true);
}

#[test]
fn apiservers_that_cannot_reach_a_sound_etcd_are_told_with_that_cause() {
    check(RuleId::F25, seconds(12), |world| {
        world.set(&api(1), Doing::NotReady(&["etcd"]));
        world.set(&api(2), Doing::NotReady(&["etcd"]));
    });
}

#[test]
fn instances_not_ready_for_another_reason_are_told_as_such() {
    check(RuleId::F50, seconds(12), |world| {
        world.set(&api(1), Doing::NotReady(&["poststarthook/rbac/bootstrap-roles"]));
        world.set(&api(2), Doing::NotReady(&["poststarthook/rbac/bootstrap-roles"]));
    });
}

#[test]
fn a_renewed_certificate_is_not_told_once_more_of_the_balancer_that_showed_it_last() {
    for lasting in 20..26 {
        check_lasting(RuleId::F26, seconds(lasting), seconds(12), |world| {
            world.checks_readyz = true;
            world.expired.insert(api(1));
            // The balancer has only the one with the expired certificate left.
            world.set(&api(2), Doing::Frozen);
        });
    }
}

#[test]
fn an_expired_certificate_is_one_mail_about_the_certificate() {
    let world = check(RuleId::F26, seconds(12), |world| {
        world.expired.insert(api(1));
    });

    assert_eq!(world.mails[0].message.level, Level::Critical);
}

#[test]
fn slow_instances_are_slow_and_not_down() {
    let world = check_lasting(RuleId::F49, seconds(120), seconds(40), |world| {
        world.set(&api(1), Doing::Slow(Duration::from_millis(1500)));
        world.set(&api(2), Doing::Slow(Duration::from_millis(1500)));
    });

    assert!(world.counters().burst_probes < 40, "slow answers start no storm: {}", world.counters().burst_probes);
}

#[test]
fn a_refused_credential_is_no_outage() {
    check(RuleId::F52, seconds(45), |world| {
        world.set(&api(1), Doing::Unwelcoming);
        world.set(&api(2), Doing::Unwelcoming);
    });
}

#[test]
fn one_event_that_shows_on_apiservers_and_on_etcd_seconds_apart_is_one_mail() {
    for millis in (0..=3000).step_by(500) {
        let mut world = World::new();
        world.at(seconds(60), |world| {
            world.set(&api(1), Doing::Unwelcoming);
            world.set(&api(2), Doing::Unwelcoming);
        });
        let later = seconds(60) + Duration::from_millis(millis);
        world.at(later, |world| {
            for number in 1..=3 {
                world.set(&etcd(number), Doing::Unwelcoming);
            }
        });

        world.run_until(seconds(200));

        assert_eq!(world.told(), [(RuleId::F52, First)], "{millis} ms apart");
        let [mail] = world.mails.as_slice() else { panic!("{millis} ms apart: {} mails", world.mails.len()) };
        assert_eq!(mail.message.incident.parts.len(), 2, "{millis} ms apart");
        let after = mail.at.saturating_sub(seconds(60));
        assert!(after <= seconds(45), "{millis} ms apart: {after:?}");
    }
}

#[test]
fn a_restart_of_one_apiserver_within_ten_seconds_mails_nothing() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.slay(&api(1)));
    world.at(seconds(68), |world| {
        world.set(&api(1), Doing::NotReady(&["poststarthook/start-apiextensions-controllers"]))
    });
    world.at(seconds(70), World::heal);

    world.run_until(seconds(300));

    assert!(world.mails.is_empty(), "{:?}", world.told());
}

#[test]
fn a_lost_packet_burst_mails_nothing_at_whatever_moment_it_comes() {
    for millis in (0..3000).step_by(73) {
        for lasting in [1000, 2500] {
            let mut world = World::new();
            world.at(seconds(60) + Duration::from_millis(millis), |world| world.cut_off = true);
            world.at(seconds(60) + Duration::from_millis(millis + lasting), World::heal);

            world.run_until(seconds(200));

            assert!(world.mails.is_empty(), "{lasting} ms at {millis} ms: {:?}", world.told());
        }
    }
}

#[test]
fn a_root_cause_found_later_is_told_in_the_same_thread() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.slay(&api(2)));
    world.at(seconds(120), |world| world.slay(&api(1)));
    world.at(seconds(180), World::heal);

    world.run_until(seconds(400));

    assert_eq!(world.told(), [(RuleId::F22, First), (RuleId::F24, CauseFound), (RuleId::F24, Resolved)]);
    assert_eq!(world.threads().len(), 1);
}

#[test]
fn a_sole_apiserver_gets_ten_seconds_to_restart() {
    let mut alone = inventory();
    let cluster = alone.clusters.values_mut().next().unwrap();
    cluster.apiservers.retain(|known, _| known.as_str() == "api-1");
    cluster.vip = None;
    let mut world = World::with(alone);
    world.at(seconds(60), |world| world.slay(&api(1)));
    world.at(seconds(68), World::heal);
    world.at(seconds(200), |world| world.slay(&api(1)));

    world.run_until(seconds(230));

    assert_eq!(world.told(), [(RuleId::F24, First)]);
    assert!(world.mails[0].at >= seconds(210));
}

#[test]
fn without_a_reference_point_an_unreachable_cluster_is_told_as_unproven() {
    let mut alone = inventory();
    alone.references.clear();
    let mut world = World::with(alone);
    world.at(seconds(60), |world| world.cut_off = true);
    world.at(seconds(100), |world| world.cut_off = false);

    world.run_until(seconds(200));

    assert_eq!(world.threads().len(), 1, "{:?}", world.told());
    assert_eq!(world.mails[0].message.incident.headline.rule, RuleId::F01);
    assert!(world.mails[0].message.incident.headline.path_unproven);
}

#[test]
fn an_address_that_fails_in_turns_with_a_bad_instance_is_told_with_it_and_over_with_it() {
    for lasting in [45, 61, 90, 119] {
        check_lasting(RuleId::F61, seconds(lasting), seconds(12), |world| world.set(&api(2), Doing::Frozen));
    }
}

#[test]
fn an_instance_that_dies_every_twenty_seconds_is_told_as_failing_at_times() {
    let mut world = World::new();
    for turn in 0..10 {
        world.at(seconds(60 + turn * 20), |world| world.slay(&api(2)));
        world.at(seconds(64 + turn * 20), World::heal);
    }

    world.run_until(seconds(500));

    assert_eq!(world.told(), [(RuleId::F22, First), (RuleId::F22, Resolved)]);
}

#[test]
fn a_dead_address_beside_a_living_one_is_told_after_two_minutes_as_a_warning() {
    let mut world = World::with(named());
    world.at(seconds(60), |world| world.dead_address = true);
    world.at(seconds(900), |world| world.dead_address = false);

    world.run_until(seconds(1500));

    assert_eq!(world.told(), [(RuleId::F59, First), (RuleId::F59, Resolved)]);
    assert!((seconds(190)..seconds(260)).contains(&world.mails[0].at), "{:?}", world.mails[0].at);
}

#[test]
fn an_address_that_leaves_the_name_before_that_mails_nothing() {
    let mut world = World::with(named());
    world.at(seconds(60), |world| world.dead_address = true);
    world.at(seconds(170), |world| world.dead_address = false);

    world.run_until(seconds(900));

    assert!(world.mails.is_empty(), "{:?}", world.told());
}

/// The API VIP is connected to by a name.
fn named() -> Inventory {
    let mut inventory = inventory();
    let vip = inventory.clusters.values_mut().next().unwrap().vip.as_mut().unwrap();
    vip.address = "api.test:6443".into();
    inventory
}
