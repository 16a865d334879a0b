//! The vantage's own troubles are never a cluster's.

use std::time::Duration;

use vedette::model::inventory::Reference;
use vedette::model::reason::MessageReason::{First, HappenedWhileMute, Resolved};
use vedette::model::rule::RuleId;

use super::world::{Doing, World, api, etcd, inventory, name, seconds, vip};

#[test]
fn cut_off_for_minutes_sends_one_mail_about_itself_after_return() {
    for millis in [0, 400, 700, 1100, 1900, 2600] {
        let mut world = World::new();
        let cut = seconds(60) + Duration::from_millis(millis);
        world.at(cut, |world| world.cut_off = true);
        world.at(cut + seconds(90), World::heal);

        world.run_until(seconds(400));

        assert_eq!(world.told(), [(RuleId::F04, HappenedWhileMute)], "cut at {cut:?}");
        let after_return = world.mails[0].at.saturating_sub(cut + seconds(90));
        assert!(after_return <= seconds(60), "{after_return:?}");
        let in_the_gap = world.beats.iter().filter(|beat| **beat > cut + seconds(10) && **beat < cut + seconds(90));
        assert_eq!(in_the_gap.count(), 0, "the heartbeat is withheld");
    }
}

#[test]
fn dead_dns_hides_neither_an_outage_nor_an_isolation() {
    let mut with_dns = inventory();
    with_dns.resolvers = vec![Reference { name: name("dns"), address: "10.0.9.53:53".into(), is_loopback: false }];
    let mut world = World::with(with_dns);
    world.at(seconds(30), |world| world.dead_dns = true);
    world.at(seconds(120), |world| {
        world.slay(&api(1));
        world.slay(&api(2));
    });
    world.at(seconds(150), |world| {
        world.doing.clear();
    });
    world.at(seconds(240), |world| world.cut_off = true);
    world.at(seconds(330), |world| world.cut_off = false);

    world.run_until(seconds(500));

    assert_eq!(world.told(), [(RuleId::F24, First), (RuleId::F24, Resolved), (RuleId::F04, HappenedWhileMute)]);
}

#[test]
fn what_has_no_address_is_told_once_as_not_watched_and_pages_nobody() {
    let mut world = World::new();
    for endpoint in [vip(), api(1), api(2), etcd(1), etcd(2), etcd(3)] {
        world.set(&endpoint, Doing::Nameless);
    }
    world.at(seconds(600), World::heal);

    world.run_until(seconds(900));

    assert_eq!(world.told(), [(RuleId::F53, First), (RuleId::F53, Resolved)]);
    assert!(world.mails[0].at < seconds(75), "{:?}", world.mails[0].at);
}

#[test]
fn a_dns_that_comes_up_after_us_mails_nothing() {
    let mut world = World::new();
    for endpoint in [vip(), api(1), etcd(2)] {
        world.set(&endpoint, Doing::Nameless);
    }
    world.at(seconds(45), World::heal);

    world.run_until(seconds(300));

    assert!(world.mails.is_empty(), "{:?}", world.told());
}

#[test]
fn a_short_isolation_is_only_recorded() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.cut_off = true);
    world.at(seconds(95), World::heal);

    world.run_until(seconds(300));

    assert!(world.mails.is_empty(), "{:?}", world.told());
}

#[test]
fn a_probe_from_before_the_isolation_ends_it_neither_at_once_nor_after_a_stall() {
    for millis in (0..3000).step_by(300) {
        let mut world = World::new();
        let cut = seconds(62) + Duration::from_millis(millis);
        // One probe begins with the path still there, and its answer comes when the vantage is isolated already.
        world.at(seconds(60), |world| world.set(&api(1), Doing::Slow(seconds(5))));
        world.at(cut, |world| world.cut_off = true);
        // A clock that is set voids what was seen around it, as a stall of our own does.
        world.at(cut + seconds(30), |world| world.step_wall(3_000));
        world.at(cut + seconds(90), World::heal);

        world.run_until(cut + seconds(80));

        assert_eq!(world.open(), [RuleId::F04], "cut at {cut:?}");
        let in_the_gap = world.beats.iter().filter(|beat| **beat > cut + seconds(10));
        assert_eq!(in_the_gap.count(), 0, "cut at {cut:?}");
    }
}

#[test]
fn an_outage_that_began_before_the_isolation_is_resolved_only_by_good_probes() {
    let mut world = World::new();
    world.at(seconds(60), |world| {
        world.slay(&api(1));
        world.slay(&api(2));
    });
    world.at(seconds(80), |world| world.cut_off = true);
    world.at(seconds(110), |world| world.cut_off = false);
    world.at(seconds(160), World::heal);

    world.run_until(seconds(300));

    assert_eq!(world.told(), [(RuleId::F24, First), (RuleId::F24, Resolved)]);
    assert!(world.mails[1].at > seconds(160));
}

#[test]
fn an_outage_during_the_isolation_is_told_after_it() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.cut_off = true);
    world.at(seconds(70), |world| {
        world.set(&api(1), Doing::Refusing);
        world.set(&api(2), Doing::Refusing);
    });
    world.at(seconds(90), |world| world.cut_off = false);

    world.run_until(seconds(200));

    assert_eq!(world.told(), [(RuleId::F24, First)]);
    assert!(world.mails[0].at > seconds(90) && world.mails[0].at < seconds(105), "{:?}", world.mails[0].at);
}

#[test]
fn a_machine_that_stalls_every_few_seconds_still_comes_to_the_end_of_a_hold() {
    // A hold of 30 s stands still through each stall and until the look after it has come back, which at an instance
    // that is frozen takes 3 s.
    for (doing, most) in [(Doing::Refusing, 50), (Doing::Frozen, 80), (Doing::NotReady(&["poststarthook/x"]), 50)] {
        let mut world = World::new();
        let broken = doing.clone();
        world.at(seconds(60), move |world| world.set(&api(2), broken));
        for at in (62..260).step_by(7) {
            world.at(seconds(at), |world| world.stall(Duration::from_millis(1500)));
        }

        world.run_until(seconds(260));

        let first = world.mails.first().map(|mail| mail.at.saturating_sub(seconds(60)));
        assert!(first.is_some_and(|after| after <= seconds(most)), "{doing:?}: {first:?}");
    }
}

#[test]
fn an_isolated_machine_that_stalls_every_few_seconds_knows_in_time_how_long_it_is_isolated() {
    for offset in 0..7 {
        let mut world = World::new();
        let cut = seconds(60 + offset);
        world.at(cut, |world| world.cut_off = true);
        for at in (64..260).step_by(7) {
            world.at(seconds(at), |world| world.stall(Duration::from_millis(1500)));
        }

        let mut after = seconds(0);
        while world.open().is_empty() && after < seconds(190) {
            after += seconds(1);
            world.run_until(cut + after);
        }

        // The hold of a minute stands still through each stall and the 3 s after it in which nothing answers.
        assert!(after <= seconds(120), "{offset}: {after:?}");
    }
}

#[test]
fn a_machine_that_stalls_every_few_seconds_still_tells_an_outage_within_seconds() {
    for offset in 0..8 {
        let mut world = World::new();
        for at in (20..200).step_by(8) {
            world.at(seconds(at + offset), |world| world.stall(Duration::from_millis(1200)));
        }
        world.at(seconds(60), |world| {
            world.slay(&api(1));
            world.slay(&api(2));
        });

        world.run_until(seconds(100));

        assert_eq!(world.told(), [(RuleId::F24, First)]);
        assert!(world.mails[0].at <= seconds(75), "{offset}: {:?}", world.mails[0].at);
    }
}

#[test]
fn time_in_which_we_stood_still_counts_for_no_hold() {
    for lasting in [7, 600] {
        let mut world = World::new();
        world.at(seconds(60), |world| world.set(&api(2), Doing::Refusing));
        world.at(seconds(70), move |world| world.stall(seconds(lasting)));

        world.run_until(seconds(130 + lasting));

        assert_eq!(world.told(), [(RuleId::F22, First)]);
        let at = world.mails[0].at;
        // About 10 s of 30 were over when it began, and what confirms takes up to 9 s after a long one.
        assert!(seconds(70 + lasting + 18) <= at && at <= seconds(70 + lasting + 31), "{lasting}: {at:?}");
    }
}

#[test]
fn stopped_anew_while_we_stand_still_we_stood_still_once() {
    let mut world = World::new();
    for at in [60, 65] {
        world.at(seconds(at), |world| world.stall(seconds(7)));
    }

    world.run_until(seconds(71));
    assert!(world.snapshot().loop_lag < seconds(1), "{:?}", world.snapshot().loop_lag);
    world.run_until(seconds(72));
    assert!(world.snapshot().loop_lag > seconds(11), "{:?}", world.snapshot().loop_lag);
    world.run_until(seconds(200));

    assert!(world.mails.is_empty(), "{:?}", world.told());
}

#[test]
fn what_was_mended_while_we_stood_still_is_not_told() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.set(&api(2), Doing::Refusing));
    world.at(seconds(75), |world| world.stall(seconds(600)));
    world.at(seconds(300), World::heal);

    world.run_until(seconds(800));

    assert!(world.mails.is_empty(), "{:?}", world.told());
}

#[test]
fn an_isolation_in_which_we_stood_still_is_as_long_as_we_saw_it() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.cut_off = true);
    world.at(seconds(75), |world| world.stall(seconds(600)));
    world.at(seconds(700), World::heal);

    world.run_until(seconds(900));

    assert!(world.mails.is_empty(), "{:?}", world.told());
}

#[test]
fn a_wall_clock_that_steps_neither_raises_nor_clears() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.slay(&api(2)));
    world.at(seconds(70), |world| world.step_wall(3_600_000));
    world.at(seconds(75), |world| world.step_wall(-7_200_000));

    world.run_until(seconds(120));

    assert_eq!(world.told(), [(RuleId::F22, First)]);
    assert!(world.mails[0].at >= seconds(88), "{:?}", world.mails[0].at);
}

#[test]
fn a_wall_clock_set_past_the_end_of_every_certificate_ends_none() {
    const DAYS_400: i64 = 400 * 86_400_000;
    for back in [75, 150, 400] {
        let mut world = World::new();
        world.at(seconds(60), |world| world.step_wall(DAYS_400));
        world.at(seconds(back), |world| world.step_wall(-DAYS_400));

        world.run_until(seconds(600));

        // That our own clock is wrong is told after five minutes, and nothing of a certificate.
        let is_of_clock = |(rule, _): &(RuleId, _)| *rule == RuleId::F16;
        assert!(world.told().iter().all(is_of_clock), "back after {back} s: {:?}", world.told());
        assert_eq!(!world.mails.is_empty(), back > 360, "back after {back} s: {:?}", world.told());
    }
}

#[test]
fn a_machine_that_starts_with_a_wrong_clock_ends_no_certificate() {
    let mut world = World::new();
    world.step_wall(400 * 86_400_000);

    world.run_until(seconds(300));

    assert!(world.mails.is_empty(), "{:?}", world.told());
}
