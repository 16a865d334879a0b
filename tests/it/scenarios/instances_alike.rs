//! What apiservers tell of themselves: a rolling change is nothing to write about, a forgotten one and a restart loop are.

use vedette::judge::etcd_servers::Mismatched;
use vedette::judge::flags_differ::Differences;
use vedette::judge::monitoring_gap::Coverage;
use vedette::model::gap::Gap;
use vedette::model::inventory::Inventory;
use vedette::model::probe::ProbeKind;
use vedette::model::reason::MessageReason::{Escalated, First, Resolved};
use vedette::model::rule::{Level, RuleId};
use vedette::model::subject::Subject;
use vedette::model::zpages::NoZpage;

use super::world::{Doing, World, api, inventory, name, seconds};

const HOUR: u64 = 3600;

fn asked() -> Inventory {
    let mut inventory = inventory();
    inventory.clusters.get_mut(&name("prod")).unwrap().zpages = true;
    inventory
}

/// The apiserver restarts at `second`, is away for `away` seconds, and comes back as `change` makes it.
fn restart(world: &mut World, n: u8, second: u64, away: u64, change: impl FnOnce(&mut World, Subject) + 'static) {
    world.at(seconds(second), move |world| world.slay(&api(n)));
    world.at(seconds(second + away), move |world| {
        world.set(&api(n), Doing::Well);
        world.zpages.started.insert(api(n), second + away);
        change(world, api(n));
    });
}

/// The same between two looks of an unhurried world, so that only its z-pages show it.
fn renew(world: &mut World, n: u8, second: u64, change: impl FnOnce(&mut World, Subject) + 'static) {
    world.at(seconds(second), move |world| {
        world.zpages.started.insert(api(n), second);
        change(world, api(n));
    });
}

fn set_flag(flag: &'static str, value: &'static str) -> impl Fn(&mut World, Subject) + Copy {
    move |world, instance| {
        world.zpages.flags.entry(instance).or_default().insert(flag, value);
    }
}

/// The alarms of one rule, with their levels, firing or not.
fn alarms(world: &World, rule: RuleId) -> Vec<(Subject, Level)> {
    let snapshot = world.snapshot();
    let of_rule = snapshot.alarms.iter().filter(|alarm| alarm.finding.rule == rule);
    of_rule.map(|alarm| (alarm.finding.subject.clone(), alarm.finding.level)).collect()
}

#[test]
fn a_rolling_upgrade_with_new_flags_restarts_each_instance_once_and_mails_nothing() {
    let mut world = World::with(asked());
    for (n, second) in [(1, 600), (2, 1800)] {
        restart(&mut world, n, second, 6, |world, instance| {
            world.versions.insert(instance.clone(), "v1.38.0");
            world.zpages.binary.insert(instance.clone(), "1.38.0");
            set_flag("anonymous-auth", "false")(world, instance.clone());
            set_flag("new-in-1-38", "true")(world, instance);
        });
    }

    world.run_until(seconds(2400));

    assert_eq!(world.told(), []);
    assert_eq!(alarms(&world, RuleId::F62), []);
    assert_eq!(alarms(&world, RuleId::F37), []);
}

#[test]
fn a_flag_that_was_changed_on_one_instance_is_told_after_an_hour_with_both_values_and_ends_with_the_change_of_the_other()
 {
    let mut world = World::unhurried(asked());
    renew(&mut world, 1, 1200, set_flag("anonymous-auth", "false"));
    renew(&mut world, 2, 1200 + 2 * HOUR, set_flag("anonymous-auth", "false"));

    world.run_until(seconds(1200 + HOUR));
    assert_eq!(world.told(), []);

    world.run_until(seconds(1200 + HOUR + 240));
    assert_eq!(world.told(), [(RuleId::F62, First)]);
    let message = &world.mails[0].message;
    let differences: &Differences = message.incident.root().seen().unwrap();
    let values: Vec<_> = differences.flags[0].values.iter().map(|(value, by)| (value.as_deref(), by.clone())).collect();
    assert_eq!(values, [(Some("false"), vec![api(1)]), (Some("true"), vec![api(2)])]);
    assert_eq!((differences.flags.len(), message.level), (1, Level::Warning));

    world.run_until(seconds(1200 + 2 * HOUR + 240));
    assert_eq!(world.told(), [(RuleId::F62, First), (RuleId::F62, Resolved)]);
}

#[test]
fn a_flag_on_which_no_answer_depends_is_only_listed() {
    let mut world = World::unhurried(asked());
    renew(&mut world, 1, 1200, set_flag("goaway-chance", "0.001"));

    world.run_until(seconds(3 * HOUR));

    assert_eq!(world.told(), []);
    assert_eq!(alarms(&world, RuleId::F62), [("prod".parse().unwrap(), Level::Info)]);
}

#[test]
fn a_difference_that_stood_before_a_restart_of_vedette_is_told_in_time_all_the_same() {
    let mut world = World::unhurried(asked());
    renew(&mut world, 1, 1200, set_flag("anonymous-auth", "false"));
    world.at(seconds(3000), World::restart);

    world.run_until(seconds(1200 + HOUR + 240));

    assert_eq!(world.told(), [(RuleId::F62, First)]);
}

#[test]
fn an_etcd_server_that_is_no_member_is_told_after_an_hour() {
    let mut world = World::unhurried(asked());
    let servers = "[https://10.0.0.21:2379,https://10.0.0.22:2379,https://10.0.0.29:2379]";
    for (n, second) in [(1, 1200), (2, 1800)] {
        renew(&mut world, n, second, set_flag("etcd-servers", servers));
    }

    world.run_until(seconds(1200 + HOUR + 240));

    assert_eq!(world.told(), [(RuleId::F63, First)]);
    let found: &Mismatched = world.mails[0].message.incident.root().seen().unwrap();
    assert_eq!(found.strangers, [("https://10.0.0.29:2379".to_owned(), vec![api(1), api(2)])]);
    assert_eq!(found.unused, ["etcd-3 (https://10.0.0.23:2379)"]);
}

#[test]
fn a_restart_loop_is_told_at_the_second_restart_critical_at_the_fourth_and_explains_that_the_instance_is_down() {
    let mut world = World::with(asked());
    // Between two restarts it is up for longer than an alarm needs to end.
    for n in 0..6 {
        restart(&mut world, 1, 1800 + 120 * n, 3, |_, _| {});
    }

    world.run_until(seconds(1800 + 130));
    assert_eq!(world.told(), [(RuleId::F37, First)]);
    world.run_until(seconds(1800 + 380));
    assert_eq!(world.told(), [(RuleId::F37, First), (RuleId::F37, Escalated)]);
    assert_eq!(world.mails[1].message.level, Level::Critical);

    world.run_until(seconds(1800 + HOUR));
    assert_eq!(world.told(), [(RuleId::F37, First), (RuleId::F37, Escalated), (RuleId::F37, Resolved)]);
    assert_eq!(world.threads().len(), 1);
}

#[test]
fn an_instance_that_stays_down_in_the_middle_of_its_loop_is_no_second_incident() {
    let mut world = World::with(asked());
    restart(&mut world, 1, 1800, 3, |_, _| {});
    restart(&mut world, 1, 1860, 3, |_, _| {});
    restart(&mut world, 1, 1920, 90, |_, _| {});

    world.run_until(seconds(HOUR));

    assert_eq!(world.threads().len(), 1, "{:?}", world.told());
    assert!(world.told().iter().all(|(rule, _)| *rule == RuleId::F37), "{:?}", world.told());
}

#[test]
fn restarts_that_follow_from_a_lost_quorum_are_of_its_incident() {
    let mut world = World::with(asked());
    let second = 1800;
    world.at(seconds(second), |world| {
        [2, 3].into_iter().for_each(|n| world.set(&super::world::etcd(n), Doing::Refusing));
    });
    // As kubelets do with an apiserver whose liveness probe fails.
    for round in 1..=4 {
        for n in [1, 2] {
            restart(&mut world, n, second + 60 * round, 3, move |world, instance| {
                world.set(&instance, Doing::NotReady(&["etcd", "etcd-readiness"]));
            });
        }
    }

    world.run_until(seconds(second + 400));

    assert_eq!(world.threads().len(), 1, "{:?}", world.told());
    assert!(world.told().iter().all(|(rule, _)| *rule == RuleId::F01), "{:?}", world.told());
}

#[test]
fn a_drain_that_takes_as_long_as_its_flag_says_mails_nothing_and_a_longer_one_does() {
    for (lasts, told) in [(65, false), (200, true)] {
        let mut world = World::with(asked());
        set_flag("shutdown-delay-duration", "1m10s")(&mut world, api(1));
        world.at(seconds(1200), |world| world.set(&api(1), Doing::NotReady(&["shutdown"])));
        world.at(seconds(1200 + lasts), |world| world.set(&api(1), Doing::Well));

        world.run_until(seconds(1800));

        assert_eq!(!world.told().is_empty(), told, "{lasts}: {:?}", world.told());
    }
}

#[test]
fn a_server_that_refuses_its_pages_or_has_none_is_a_gap_and_no_fault() {
    let instances = vec![api(1), api(2)];
    for (instead, gap) in [
        (NoZpage::Forbidden, Some(Gap::ZpagesForbidden(instances.clone()))),
        (NoZpage::Missing, Some(Gap::NoZpages(instances.clone()))),
        (NoZpage::Shed, None),
        (NoZpage::Foreign, None),
    ] {
        let mut world = World::with(asked());
        world.zpages.instead = Some(instead);

        world.run_until(seconds(900));

        let listed = world.listed();
        let gaps = listed.iter().filter_map(|one| one.get::<Coverage>()).flat_map(|coverage| coverage.gaps.clone());
        let gaps: Vec<Gap> = gaps.filter(|gap| matches!(gap, Gap::ZpagesForbidden(_) | Gap::NoZpages(_))).collect();
        assert_eq!(gaps, gap.into_iter().collect::<Vec<_>>(), "{instead}");
        assert_eq!(world.told(), [], "{instead}");
    }
}

#[test]
fn a_right_that_is_given_later_closes_the_gap() {
    let mut world = World::with(asked());
    world.zpages.instead = Some(NoZpage::Forbidden);
    world.at(seconds(900), |world| world.zpages.instead = None);

    world.run_until(seconds(1900));

    let listed = world.listed();
    let mut gaps = listed.iter().filter_map(|one| one.get::<Coverage>()).flat_map(|coverage| coverage.gaps.clone());
    assert!(!gaps.any(|gap| matches!(gap, Gap::ZpagesForbidden(_))));
}

#[test]
fn pages_are_asked_for_rarely_and_the_flags_of_a_new_process_at_once() {
    let mut world = World::with(asked());
    restart(&mut world, 1, 1800, 3, |_, _| {});
    world.run_until(seconds(HOUR));

    let asked = |kind: ProbeKind, from: u64, until: u64| {
        let within = seconds(from)..seconds(until);
        world
            .probes
            .iter()
            .filter(|(at, probe)| probe.kind == kind && probe.subject == api(1) && within.contains(at))
            .count()
    };
    assert!((1..=2).contains(&asked(ProbeKind::Flagz, 0, 90)), "the flags are known soon after the start");
    assert_eq!(asked(ProbeKind::Statusz, 600, 1800), 20);
    assert_eq!(asked(ProbeKind::Flagz, 600, 1800), 2);
    assert!((1..=2).contains(&asked(ProbeKind::Flagz, 1803, 1810)));
}

#[test]
fn an_emulated_version_is_listed_after_a_day() {
    let mut world = World::unhurried(asked());
    world.zpages.emulated.insert(api(1), "1.36");

    world.run_until(seconds(25 * HOUR));

    assert_eq!(world.told(), []);
    assert_eq!(alarms(&world, RuleId::F17), [("prod".parse().unwrap(), Level::Info)]);
}
