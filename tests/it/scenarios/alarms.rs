//! Alarms inside etcd: CORRUPT before everything else, and none that nobody speaks of.

use vedette::judge::commands::Commands;
use vedette::model::etcd::EtcdAlarmKind::{Corrupt, NoSpace, Other};
use vedette::model::reason::MessageReason::{CauseFound, First, Resolved};
use vedette::model::rule::{Level, RuleId};

use super::world::{World, seconds};

/// Everything that the latest mail tells people to do.
fn commands(world: &World) -> String {
    let message = &world.mails.last().unwrap().message;
    let root = message.incident.root();
    let commands = Commands::new(&message.addresses, &message.hosts);
    root.next_commands(&commands).into_iter().map(|command| command.line + "\n").collect()
}

#[test]
fn corrupt_is_paged_within_seconds_and_resolved_when_it_is_gone() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.peers.alarms = vec![Corrupt]);
    world.at(seconds(180), World::heal);

    world.run_until(seconds(300));

    assert_eq!(world.told(), [(RuleId::F10, First), (RuleId::F10, Resolved)]);
    assert_eq!(world.mails[0].message.level, Level::Critical);
    assert!(world.mails[0].at <= seconds(68), "{:?}", world.mails[0].at);
}

#[test]
fn corrupt_beside_nospace_is_one_page_that_tells_nobody_to_disarm_or_defragment() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.peers.alarms = vec![NoSpace, Corrupt]);

    world.run_until(seconds(120));

    assert_eq!(world.told(), [(RuleId::F10, First)]);
    assert!(!commands(&world).contains("disarm") && !commands(&world).contains("defrag"), "{}", commands(&world));
}

#[test]
fn corrupt_after_nospace_takes_over_its_thread_and_its_advice() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.peers.alarms = vec![NoSpace]);
    world.at(seconds(120), |world| world.peers.alarms = vec![NoSpace, Corrupt]);

    world.run_until(seconds(100));
    assert_eq!(world.told(), [(RuleId::F09, First)]);
    assert!(commands(&world).contains("disarm"));

    world.run_until(seconds(200));
    assert_eq!(world.told(), [(RuleId::F09, First), (RuleId::F10, CauseFound)]);
    assert_eq!(world.threads().len(), 1);
    assert!(!commands(&world).contains("disarm") && !commands(&world).contains("defrag"), "{}", commands(&world));
}

#[test]
fn an_alarm_that_only_the_list_of_alarms_tells_is_paged_as_well() {
    for (kind, rule, level) in [
        (Corrupt, RuleId::F10, Level::Critical),
        (NoSpace, RuleId::F09, Level::Critical),
        (Other, RuleId::F10, Level::Warning),
    ] {
        let mut world = World::new();
        world.at(seconds(60), move |world| world.peers.listed = vec![kind]);
        world.at(seconds(200), World::heal);

        world.run_until(seconds(400));

        assert_eq!(world.told(), [(rule, First), (rule, Resolved)], "{kind:?}");
        assert_eq!(world.mails[0].message.level, level, "{kind:?}");
        // The list is asked for every 30 s, and what it first tells is confirmed at once.
        assert!(world.mails[0].at <= seconds(94), "{kind:?}: {:?}", world.mails[0].at);
    }
}
