//! A path that drops large ClientHellos is a finding of its own and no outage, and an outage is never taken for one.

use std::time::Duration;

use vedette::judge::client_hello::Hello;
use vedette::model::phase::Cause;
use vedette::model::reason::MessageReason::{First, Resolved};
use vedette::model::rule::{Level, RuleId};

use super::world::{Doing, World, api, seconds, vip};

const CUTS: [Cause; 3] = [Cause::Reset, Cause::Closed, Cause::Timeout];

#[test]
fn a_middlebox_that_drops_large_hellos_is_told_once_and_nothing_is_called_down() {
    for cause in CUTS {
        for begin in [0, 60, 61, 62] {
            let mut world = World::new();
            world.at(seconds(begin), move |world| world.narrow = Some(cause));
            world.at(seconds(200), World::heal);

            world.run_until(seconds(200));

            assert_eq!(world.told(), [(RuleId::F56, First)], "{cause:?} at {begin}");
            let first = &world.mails[0];
            assert_eq!(first.message.level, Level::Warning);
            assert!(first.at <= seconds(begin + 60), "{cause:?} at {begin}: {:?}", first.at);
            let Some(Hello { endpoints, of: 3, .. }) = first.message.incident.headline.seen() else {
                panic!("{:?}", first.message.incident.headline.evidence);
            };
            assert_eq!(endpoints.len(), 3, "{cause:?} at {begin}");
            let others: Vec<_> = world.snapshot().alarms.iter().map(|alarm| alarm.finding.clone()).collect();
            assert!(
                others.iter().all(|finding| finding.level == Level::Info || finding.rule == RuleId::F56),
                "{cause:?} at {begin}: {others:?}"
            );

            world.run_until(seconds(400));

            assert_eq!(world.told(), [(RuleId::F56, First), (RuleId::F56, Resolved)], "{cause:?} at {begin}");
        }
    }
}

#[test]
fn behind_such_a_middlebox_an_outage_is_told_as_fast_as_ever() {
    for cause in CUTS {
        let mut world = World::new();
        world.at(seconds(10), move |world| world.narrow = Some(cause));
        world.at(seconds(120), |world| {
            world.slay(&api(1));
            world.slay(&api(2));
        });

        world.run_until(seconds(160));

        assert_eq!(world.told(), [(RuleId::F56, First), (RuleId::F24, First)], "{cause:?}");
        assert!(world.mails[1].at <= seconds(125), "{cause:?}: {:?}", world.mails[1].at);
    }
}

#[test]
fn an_outage_that_probes_like_one_is_confirmed_as_fast_as_ever_and_is_none() {
    for (doing, most) in [(Doing::Resetting, 5), (Doing::Frozen, 8)] {
        let mut world = World::new();
        let first = doing.clone();
        world.at(seconds(60), move |world| world.set(&api(1), first));
        world.at(seconds(60), move |world| world.set(&api(2), doing));

        world.run_until(seconds(100));

        assert_eq!(world.told(), [(RuleId::F24, First)]);
        assert!(world.mails[0].at <= seconds(60 + most), "{:?}", world.mails[0].at);
    }
}

#[test]
fn an_apiserver_that_restarts_or_restarts_again_is_no_middlebox() {
    for doing in [Doing::Resetting, Doing::Frozen, Doing::Refusing] {
        for millis in (300..6000).step_by(950) {
            for between in [500, 1300, 2600] {
                let mut world = World::new();
                for round in 0..3 {
                    let down = seconds(60) + Duration::from_millis(round * (millis + between));
                    for endpoint in [api(1), vip()] {
                        let (doing, again) = (doing.clone(), endpoint.clone());
                        world.at(down, move |world| world.set(&endpoint, doing));
                        let up = down + Duration::from_millis(millis);
                        world.at(up, move |world| world.set(&again, Doing::Well));
                    }
                }

                world.run_until(seconds(150));

                let is_hello = |rule: RuleId| rule == RuleId::F56;
                assert!(!world.told().iter().any(|(rule, _)| is_hello(*rule)), "{doing:?} {millis} {between}");
                let snapshot = world.snapshot();
                assert!(
                    !snapshot.alarms.iter().any(|alarm| is_hello(alarm.finding.rule)),
                    "{doing:?} {millis} {between}"
                );
            }
        }
    }
}

#[test]
fn a_balancer_with_one_dead_backend_is_no_middlebox() {
    for doing in [Doing::Resetting, Doing::Frozen] {
        for offset in 0..6 {
            let mut world = World::new();
            let at = seconds(60) + Duration::from_millis(offset * 370);
            let dead = doing.clone();
            world.at(at, move |world| world.set(&api(2), dead));

            world.run_until(seconds(200));

            assert!(
                !world.told().iter().any(|(rule, _)| *rule == RuleId::F56),
                "{doing:?} {offset}: {:?}",
                world.told()
            );
        }
    }
}
