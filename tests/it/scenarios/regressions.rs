//! What a fresh reader found: each of these was once a page lost, doubled or false.

use std::time::Duration;

use vedette::model::inventory::Reference;
use vedette::model::reason::MessageReason::{First, HappenedWhileMute, Resolved};
use vedette::model::rule::{Level, RuleId};
use vedette::model::subject::Subject;

use super::world::{Doing, World, api, inventory, name, seconds, vip};

#[test]
fn a_reference_that_was_dead_before_does_not_hide_the_isolation() {
    let mut two = inventory();
    two.references.push(Reference { name: name("ntp"), address: "10.0.9.8:123".into(), is_loopback: false });
    let mut world = World::with(two);
    world.set(&Subject::Reference(name("ntp")), Doing::Frozen);
    world.at(seconds(60), |world| world.cut_off = true);
    world.at(seconds(150), |world| world.cut_off = false);

    world.run_until(seconds(400));

    assert_eq!(world.told(), [(RuleId::F04, HappenedWhileMute)]);
}

#[test]
fn an_outage_that_began_in_a_long_isolation_is_mailed_after_it() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.cut_off = true);
    world.at(seconds(70), |world| {
        world.set(&api(1), Doing::Refusing);
        world.set(&api(2), Doing::Refusing);
    });
    world.at(seconds(180), |world| world.cut_off = false);

    world.run_until(seconds(600));

    assert!(world.told().contains(&(RuleId::F24, First)), "{:?}", world.told());
}

#[test]
fn an_isolation_during_an_open_incident_of_a_cluster_is_still_its_own_incident() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.slay(&api(2)));
    world.at(seconds(200), |world| world.cut_off = true);
    world.at(seconds(320), |world| world.cut_off = false);

    world.run_until(seconds(600));

    assert_eq!(world.told(), [(RuleId::F22, First), (RuleId::F04, HappenedWhileMute)]);
    assert_eq!(world.threads().len(), 2);
}

#[test]
fn a_certificate_first_seen_in_its_notice_threshold_is_mailed_when_it_gets_worse() {
    let mut world = World::new();
    world.ends.insert(api(1), seconds(1200));

    world.run_until(seconds(1195));

    assert!(!world.mails.is_empty(), "notice at 800 s, warning at 1000 s, page at 1150 s, and no mail");
}

#[test]
fn servers_that_now_hang_and_now_say_not_ready_are_an_outage() {
    let mut world = World::new();
    world.at(seconds(60), |world| {
        world.set(&api(1), Doing::Wavering);
        world.set(&api(2), Doing::Wavering);
    });

    world.run_until(seconds(180));
    let first = world.mails.first().map(|mail| mail.at.saturating_sub(seconds(60)));
    assert!(first.is_some_and(|after| after <= seconds(12)), "first mail after {first:?}");
}

#[test]
fn a_dead_address_is_paged_though_an_instance_is_down_as_well() {
    let mut world = World::new();
    world.at(seconds(60), |world| {
        world.slay(&api(1));
    });
    world.at(seconds(150), |world| world.slay(&vip()));

    world.run_until(seconds(400));
    assert!(world.mails.iter().any(|mail| mail.message.level == Level::Critical), "{:?}", world.told());
}

#[test]
fn a_level_that_goes_up_and_down_is_not_mailed_each_time() {
    let mut world = World::new();
    world.set(&api(1), Doing::Slow(Duration::from_millis(1500)));
    for turn in 2..40 {
        world.at(seconds(turn * 30), |world| world.set(&api(2), Doing::Slow(Duration::from_millis(1500))));
        world.at(seconds(turn * 30 + 15), |world| world.set(&api(2), Doing::Well));
    }

    world.run_until(seconds(1200));

    assert!(world.mails.len() <= 3, "{} mails: {:?}", world.mails.len(), world.told());
}

#[test]
fn an_instance_that_was_slow_and_died_is_dead_and_not_slow() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.set(&api(2), Doing::Slow(Duration::from_millis(1500))));
    world.at(seconds(78), |world| world.slay(&api(2)));

    world.run_until(seconds(300));

    assert_eq!(world.told(), [(RuleId::F22, First)]);
}

#[test]
fn an_alarm_that_no_rule_judges_any_more_is_withdrawn() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.slay(&api(2)));
    world.at(seconds(120), |world| {
        world.kill();
        let mut sole = inventory();
        sole.clusters.values_mut().next().unwrap().apiservers.retain(|known, _| *known != name("api-1"));
        world.reconfigure(sole);
        world.heal();
        world.restart();
    });

    world.run_until(seconds(300));

    assert!(world.open().is_empty(), "{:?}", world.open());
}

#[test]
fn ordinary_requests_that_hang_behind_green_health_are_told() {
    let mut world = World::new();
    world.at(seconds(60), |world| {
        world.set(&api(1), Doing::Queueing);
        world.set(&api(2), Doing::Queueing);
    });

    world.run_until(seconds(300));

    assert!(!world.mails.is_empty());
}

#[test]
fn a_store_that_answers_too_late_costs_one_page_and_no_more() {
    let mut world = World::new();
    world.at(seconds(60), |world| {
        world.slay(&api(1));
        world.slay(&api(2));
    });
    world.at(seconds(90), World::kill);
    world.at(seconds(91), |world| world.restart_remembering_after(seconds(3)));
    world.at(seconds(150), World::heal);
    world.at(seconds(250), World::kill);
    world.at(seconds(251), World::restart);

    world.run_until(seconds(400));

    assert_eq!(world.told(), [(RuleId::F24, First), (RuleId::F24, First), (RuleId::F24, Resolved)]);
}

#[test]
fn what_a_full_disk_refused_is_written_when_there_is_room_again() {
    let mut world = World::new();
    world.at(seconds(60), |world| {
        world.slay(&api(1));
        world.slay(&api(2));
    });
    world.at(seconds(95), |world| world.store_fails = true);
    world.at(seconds(100), World::heal);
    world.at(seconds(150), |world| world.store_fails = false);
    world.at(seconds(200), World::kill);
    world.at(seconds(210), World::restart);

    world.run_until(seconds(400));

    assert_eq!(world.told(), [(RuleId::F24, First), (RuleId::F24, Resolved)]);
}
