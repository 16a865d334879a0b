//! Whose clock is wrong: a server's or our own, by the dates of answers.

use vedette::judge::clock_skew::Skew;
use vedette::model::reason::MessageReason::{First, Resolved};
use vedette::model::rule::{Level, RuleId};
use vedette::model::subject::Subject;

use super::world::{World, api, seconds};

fn skew(world: &World) -> Vec<(Subject, Level, i64)> {
    let snapshot = world.snapshot();
    let alarms = snapshot.alarms.iter().filter(|alarm| alarm.finding.rule == RuleId::F16);
    let ahead = |finding: &vedette::model::verdict::Finding| finding.seen::<Skew>().unwrap().ahead_millis / 1000;
    alarms.map(|alarm| (alarm.finding.subject.clone(), alarm.finding.level, ahead(&alarm.finding))).collect()
}

#[test]
fn a_server_whose_clock_is_wrong_by_half_a_minute_is_told_after_five_minutes_until_it_is_set() {
    let mut world = World::new();
    world.at(seconds(600), |world| {
        world.ahead.insert(api(1), -30_000);
    });
    world.at(seconds(1800), |world| world.ahead.clear());

    world.run_until(seconds(890));
    assert_eq!(world.told(), []);

    world.run_until(seconds(960));
    assert_eq!(world.told(), [(RuleId::F16, First)]);
    let root = world.mails[0].message.incident.root();
    assert_eq!(root.subject, api(1));
    let told: &Skew = root.seen().unwrap();
    assert!((-31_000..=-29_000).contains(&told.ahead_millis), "{told:?}");
    assert_eq!((told.places, told.agree), (3, 2));

    world.run_until(seconds(1900));
    assert_eq!(world.told(), [(RuleId::F16, First), (RuleId::F16, Resolved)]);
}

#[test]
fn a_server_that_is_off_by_a_few_seconds_is_only_listed_and_by_less_than_two_not_even_that() {
    for (ahead, listed) in [(900, None), (-900, None), (4_000, Some(Level::Info)), (-4_000, Some(Level::Info))] {
        let mut world = World::new();
        world.ahead.insert(api(2), ahead);

        world.run_until(seconds(900));

        let found: Vec<_> = skew(&world).into_iter().map(|(subject, level, _)| (subject, level)).collect();
        assert_eq!(found, listed.map(|level| (api(2), level)).into_iter().collect::<Vec<_>>(), "{ahead}");
        assert_eq!(world.told(), [], "{ahead}");
    }
}

#[test]
fn an_error_of_our_own_clock_is_told_as_ours_and_of_no_server() {
    let mut world = World::new();
    for n in [1, 2] {
        world.ahead.insert(api(n), 40_000);
    }

    world.run_until(seconds(900));

    let found = skew(&world);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0].0, found[0].1), (&Subject::Vantage, Level::Warning));
    assert!((-41..=-39).contains(&found[0].2), "{found:?}");
    assert_eq!(world.told(), [(RuleId::F16, First)]);
}

#[test]
fn with_one_server_beside_our_own_clock_nobody_can_say_whose_is_wrong() {
    let mut world = World::new();
    world.set(&api(2), super::world::Doing::Refusing);
    world.at(seconds(600), |world| {
        world.ahead.insert(api(1), 40_000);
    });

    world.run_until(seconds(1800));

    assert_eq!(skew(&world), []);
}
