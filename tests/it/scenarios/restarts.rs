//! kill -9 at any instant: one page, one all-clear, no hold forgotten.

use std::collections::BTreeSet;
use std::time::Duration;

use vedette::model::incident::{Ending, Incident};
use vedette::model::reason::MessageReason::{First, HappenedWhileMute, Resolved};
use vedette::model::rule::{Level, RuleId};

use super::world::{Relay, World, api, etcd, seconds};

#[test]
fn a_hold_survives_a_restart() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.slay(&api(2)));
    world.at(seconds(80), World::kill);
    world.at(seconds(82), World::restart);
    world.at(seconds(200), World::heal);

    world.run_until(seconds(400));

    assert_eq!(world.told(), [(RuleId::F22, First), (RuleId::F22, Resolved)]);
    let first = world.mails[0].at;
    // Booked every 5 s, the gap is not booked: 60 + 30 + 2 + at most 5, and the confirmation.
    assert!(first >= seconds(90) && first <= seconds(101), "{first:?}");
}

#[test]
fn ten_minutes_without_redundancy_are_counted_over_a_restart() {
    for (rule, fault) in [
        (RuleId::F22, (|world: &mut World| world.slay(&api(2))) as fn(&mut World)),
        (RuleId::F02, |world| world.slay(&etcd(3))),
        (RuleId::F03, |world| world.peers.cut(3)),
    ] {
        let mut world = World::new();
        world.at(seconds(60), fault);
        world.at(seconds(400), World::kill);
        world.at(seconds(410), World::restart);

        world.run_until(seconds(760));

        let levels: Vec<Level> = world.mails.iter().map(|mail| mail.message.level).collect();
        assert_eq!(levels, [Level::Warning, Level::Critical], "{rule}");
        assert_eq!(world.threads().len(), 1, "{rule}");
        let critical = world.mails[1].at;
        assert!(critical >= seconds(660) && critical <= seconds(675), "{rule} at {critical:?}");
    }
}

#[test]
fn a_fault_that_comes_again_after_a_restart_has_lasted_since_then() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.slay(&api(2)));
    world.at(seconds(400), World::kill);
    world.at(seconds(405), World::heal);
    world.at(seconds(410), World::restart);
    world.at(seconds(416), |world| world.slay(&api(2)));

    world.run_until(seconds(990));

    assert!(world.mails.iter().all(|mail| mail.message.level == Level::Warning), "{:?}", world.told());
}

#[test]
fn a_message_owed_at_the_crash_is_sent_after_it_and_once() {
    let mut world = World::new();
    world.at(seconds(59), |world| world.relay = Relay::Stalled);
    world.at(seconds(60), |world| {
        world.slay(&api(1));
        world.slay(&api(2));
    });
    world.at(seconds(65), World::kill);
    world.at(seconds(66), |world| {
        world.relay = Relay::Accepting;
        world.restart();
    });
    world.at(seconds(150), World::heal);

    world.run_until(seconds(300));

    assert_eq!(world.told(), [(RuleId::F24, First), (RuleId::F24, Resolved)]);
}

#[test]
fn a_fault_that_ended_while_we_were_dead_gets_its_all_clear() {
    let mut world = World::new();
    world.at(seconds(60), |world| {
        world.slay(&api(1));
        world.slay(&api(2));
    });
    world.at(seconds(90), World::kill);
    world.at(seconds(100), World::heal);
    world.at(seconds(110), World::restart);

    world.run_until(seconds(300));

    assert_eq!(world.told(), [(RuleId::F24, First), (RuleId::F24, Resolved)]);
}

#[test]
fn killed_at_any_instant_of_an_outage_it_pages_once_and_clears_once() {
    for tenths in (595..1200).step_by(11) {
        let mut world = World::new();
        let at = Duration::from_millis(tenths * 100);
        world.at(seconds(60), |world| {
            world.slay(&api(1));
            world.slay(&api(2));
        });
        world.at(seconds(100), World::heal);
        world.at(at, World::kill);
        world.at(at + seconds(2), World::restart);

        world.run_until(seconds(300));

        let ids: BTreeSet<_> =
            world.mails.iter().map(|mail| (mail.message.id.clone(), mail.message.reason.as_str())).collect();
        let reasons: Vec<_> = ids.iter().map(|(_, reason)| *reason).collect();
        assert_eq!(reasons, ["first", "resolved"], "killed at {at:?}");
        assert_eq!(world.threads().len(), 1, "killed at {at:?}");
    }
}

/// Both apiservers are dead since second 60 and told of; at second 90 the process is killed.
fn killed_after_the_page() -> World {
    let mut world = World::new();
    world.at(seconds(60), |world| {
        world.slay(&api(1));
        world.slay(&api(2));
    });
    world.run_until(seconds(90));
    assert_eq!(world.told(), [(RuleId::F24, First)]);
    world.kill();
    world
}

#[test]
fn an_alarm_whose_incident_is_lost_or_closed_is_told_again_and_mutes_nothing() {
    for is_closed in [false, true] {
        let mut world = killed_after_the_page();
        let mut memory = world.memory();
        let lost = memory.incidents.pop().unwrap();
        if is_closed {
            let over = Some(Ending { at: lost.opened, withdrawn: true });
            memory.ended.push(Incident { over, ..lost });
        }
        world.restart_with(memory);
        world.at(seconds(120), World::heal);

        world.run_until(seconds(119));
        assert_eq!(world.told(), [(RuleId::F24, First), (RuleId::F24, First)], "closed: {is_closed}");
        assert_ne!(world.mails[0].message.id, world.mails[1].message.id, "else mail programs show one of them");

        world.run_until(seconds(300));
        assert_eq!(world.told()[2..], [(RuleId::F24, Resolved)], "closed: {is_closed}");
    }
}

#[test]
fn an_alarm_whose_row_is_lost_stands_until_it_is_seen_good() {
    let mut world = killed_after_the_page();
    let mut memory = world.memory();
    memory.alarms.clear();
    world.restart_with(memory);
    world.at(seconds(150), World::heal);

    world.run_until(seconds(149));
    assert_eq!(world.told(), [(RuleId::F24, First)], "nothing has recovered");

    world.run_until(seconds(300));
    assert_eq!(world.told(), [(RuleId::F24, First), (RuleId::F24, Resolved)]);
}

#[test]
fn a_mail_whose_row_is_lost_is_said_again_whatever_it_was() {
    for (killed, expected) in [(70, First), (130, HappenedWhileMute)] {
        let mut world = World::new();
        world.at(seconds(59), |world| world.relay = Relay::Stalled);
        world.at(seconds(60), |world| {
            world.slay(&api(1));
            world.slay(&api(2));
        });
        world.at(seconds(100), |world| world.doing.clear());
        world.run_until(seconds(killed));
        world.kill();
        let mut memory = world.memory();
        assert!(!memory.owed.is_empty());
        memory.owed.clear();
        world.relay = Relay::Accepting;
        world.restart_with(memory);

        world.run_until(seconds(killed + 20));

        assert_eq!(world.told(), [(RuleId::F24, expected)], "killed at {killed} s");
    }
}

#[test]
fn an_incident_whose_row_is_lost_is_taken_from_the_mail_that_is_owed_of_it() {
    let mut world = World::new();
    world.at(seconds(59), |world| world.relay = Relay::Stalled);
    world.at(seconds(60), |world| {
        world.slay(&api(1));
        world.slay(&api(2));
    });
    world.run_until(seconds(70));
    world.kill();
    let mut memory = world.memory();
    memory.incidents.clear();
    world.relay = Relay::Accepting;
    world.restart_with(memory);
    world.at(seconds(120), World::heal);

    world.run_until(seconds(300));

    assert_eq!(world.told(), [(RuleId::F24, First), (RuleId::F24, Resolved)]);
}
