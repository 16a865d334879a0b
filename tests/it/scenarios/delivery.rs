//! Mail that stalls, refuses or is cut: nothing lost, nothing doubled beyond what cannot be known.

use vedette::model::probe::ProbeKind;
use vedette::model::reason::MessageReason::{First, HappenedWhileMute, Resolved};
use vedette::model::rule::RuleId;
use vedette::model::snapshot::HeartbeatState;

use super::world::{Relay, World, api, inventory, seconds};

fn kill_both(world: &mut World) {
    world.slay(&api(1));
    world.slay(&api(2));
}

#[test]
fn a_stalled_relay_delays_no_probe() {
    let mut stalled = World::new();
    let mut healthy = World::new();
    for world in [&mut stalled, &mut healthy] {
        world.at(seconds(60), kill_both);
    }
    stalled.at(seconds(59), |world| world.relay = Relay::Stalled);

    stalled.run_until(seconds(600));
    healthy.run_until(seconds(600));

    let ticks = |world: &World| {
        world.probes.iter().filter(|(_, probe)| probe.kind == ProbeKind::Readyz).map(|(at, _)| *at).collect::<Vec<_>>()
    };
    assert_eq!(ticks(&stalled), ticks(&healthy));
}

#[test]
fn an_outage_told_by_nobody_is_told_once_when_it_is_over() {
    let mut world = World::new();
    world.at(seconds(59), |world| world.relay = Relay::Stalled);
    world.at(seconds(60), kill_both);
    world.at(seconds(180), |world| {
        world.doing.clear();
    });
    world.at(seconds(300), |world| world.relay = Relay::Accepting);

    world.run_until(seconds(600));

    assert_eq!(world.told(), [(RuleId::F24, HappenedWhileMute)]);
    assert!(world.mails[0].at <= seconds(360), "{:?}", world.mails[0].at);
}

#[test]
fn an_outage_that_outlasts_the_stall_is_told_and_ended() {
    let mut world = World::new();
    world.at(seconds(59), |world| world.relay = Relay::Stalled);
    world.at(seconds(60), kill_both);
    world.at(seconds(120), |world| world.relay = Relay::Accepting);
    world.at(seconds(240), World::heal);

    world.run_until(seconds(400));

    assert_eq!(world.told(), [(RuleId::F24, First), (RuleId::F24, Resolved)]);
}

#[test]
fn a_repeat_comes_under_the_same_message_id() {
    let mut world = World::new();
    world.at(seconds(59), |world| world.relay = Relay::CutsBeforeAnswer);
    world.at(seconds(60), kill_both);
    world.at(seconds(70), |world| world.relay = Relay::Accepting);

    world.run_until(seconds(120));

    assert!(world.mails.len() >= 2);
    assert!(world.mails.iter().all(|mail| mail.message.id == world.mails[0].message.id));
}

#[test]
fn a_critical_mail_that_nobody_takes_withholds_the_heartbeat() {
    let mut world = World::new();
    world.at(seconds(59), |world| world.relay = Relay::Stalled);
    world.at(seconds(60), kill_both);

    world.run_until(seconds(300));

    let late = world.beats.iter().filter(|beat| **beat > seconds(130)).count();
    assert_eq!(late, 0);
    assert_eq!(world.heartbeat(), HeartbeatState::MailStuck);
}

#[test]
fn a_full_or_hung_disk_mutes_nothing_and_is_said() {
    for hangs in [false, true] {
        let mut world = World::new();
        world.at(seconds(59), move |world| {
            world.store_fails = !hangs;
            world.store_hangs = hangs;
        });
        world.at(seconds(60), kill_both);

        world.run_until(seconds(120));

        assert_eq!(world.told(), [(RuleId::F24, First)], "hangs: {hangs}");
        assert!(world.mails[0].at <= seconds(66), "{:?}", world.mails[0].at);
        assert!(!world.mails[0].message.caveats.is_empty(), "it says so");
    }
}

#[test]
fn an_open_critical_incident_is_said_again_after_four_hours() {
    let mut world = World::unhurried(inventory());
    world.at(seconds(60), kill_both);

    world.run_until(seconds(9 * 3600));

    let reasons: Vec<_> = world.mails.iter().map(|mail| mail.message.reason.as_str()).collect();
    assert_eq!(reasons, ["first", "repeated", "repeated"]);
}
