//! Reference targets that die, and reference targets that fall silent because we are cut off: two stories, never mixed
//! up.

use vedette::judge::monitoring_gap::Coverage;
use vedette::model::gap::Gap;
use vedette::model::inventory::{Cluster, Inventory, Reference};
use vedette::model::reason::MessageReason::{First, HappenedWhileMute, Resolved};
use vedette::model::rule::{Level, RuleId};
use vedette::model::subject::Subject;

use super::world::{Doing, World, api, etcd, inventory, name, seconds, vip};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

fn gateway() -> Subject {
    Subject::Reference(name("gateway"))
}

/// The mail relay hands on from this machine; the only reference target is another one.
fn beside_a_gateway() -> Inventory {
    let gateway = Reference { name: name("gateway"), address: "10.0.9.1:22".into(), is_loopback: false };
    Inventory { references: vec![gateway], ..inventory() }
}

/// All of the cluster answers nothing any more.
fn darken(world: &mut World) {
    for subject in [api(1), api(2), vip(), etcd(1), etcd(2), etcd(3)] {
        world.set(&subject, Doing::Dark);
    }
}

fn restart(world: &mut World) {
    world.kill();
    world.restart();
}

fn pages(world: &World) -> Vec<RuleId> {
    let firsts = world.mails.iter().filter(|mail| mail.message.reason == First);
    let critical = firsts.filter(|mail| mail.message.level == Level::Critical);
    critical.map(|mail| mail.message.incident.root().rule).collect()
}

#[test]
fn an_uplink_that_is_cut_for_days_is_one_mail_with_and_without_restarts() {
    for (hours, restarts) in [(6, 0), (72, 4)] {
        let mut world = World::unhurried(inventory());
        world.at(seconds(60), |world| world.cut_off = true);
        for n in 1..=restarts {
            world.at(seconds(60 + n * 12 * HOUR), restart);
        }
        world.at(seconds(hours * HOUR), World::heal);

        world.run_until(seconds((hours + 1) * HOUR));

        assert_eq!(world.told(), [(RuleId::F04, HappenedWhileMute)], "{restarts}");
    }
}

#[test]
fn a_cluster_that_goes_dark_days_after_its_only_reference_point_is_one_page() {
    // Nothing is kept that grows with the days: one is as good as three weeks.
    for (dark, restarts) in [(DAY, &[DAY / 2, DAY - 5][..]), (6 * HOUR, &[6 * HOUR + 10]), (6 * HOUR, &[])] {
        let mut world = World::unhurried(beside_a_gateway());
        world.at(seconds(60), |world| world.set(&gateway(), Doing::Dark));
        world.at(seconds(dark), darken);
        for at in restarts {
            world.at(seconds(*at), restart);
        }

        world.run_until(seconds(dark + 600));

        assert_eq!(pages(&world).len(), 1, "{restarts:?}: {:?}", world.told());
        let warned: Vec<_> = world.told().into_iter().filter(|(rule, _)| *rule == RuleId::F55).collect();
        assert_eq!(warned, [(RuleId::F55, First)], "{restarts:?}");
        let page = world.mails.last().unwrap();
        assert!(page.message.incident.root().path_unproven);
        // The first probe, half a minute without proof, and the wait for a cause.
        let after = page.at.saturating_sub(seconds(dark));
        assert!(after <= seconds(150), "{restarts:?}: {after:?}");
    }
}

#[test]
fn a_reference_point_that_dies_with_the_cluster_or_shortly_before_is_isolation_for_as_long_as_it_lasts() {
    for (before, restarts) in [(0, false), (60, false), (500, false), (0, true), (500, true)] {
        let mut world = World::with(beside_a_gateway());
        world.at(seconds(2000 - before), |world| world.set(&gateway(), Doing::Dark));
        world.at(seconds(2000), darken);
        if restarts {
            world.at(seconds(2000 + HOUR / 6), restart);
        }

        world.run_until(seconds(2000 + HOUR / 3));

        assert_eq!(world.open(), [RuleId::F04], "{before} {restarts}");
        assert!(world.told().iter().all(|(rule, _)| *rule == RuleId::F04), "{before} {restarts}: {:?}", world.told());
    }
}

#[test]
fn a_silent_reference_point_is_warned_of_after_ten_minutes_and_is_a_gap_until_it_answers() {
    let mut world = World::with(beside_a_gateway());
    world.at(seconds(60), |world| world.set(&gateway(), Doing::Dark));
    world.at(seconds(300), restart);
    world.at(seconds(1000), World::heal);

    world.run_until(seconds(900));

    assert_eq!(world.told(), [(RuleId::F55, First)]);
    let at = world.mails[0].at;
    assert!(seconds(660) <= at && at <= seconds(720), "{at:?}");
    let has_gap = |world: &World| {
        let is_gap = |gap: &Gap| *gap == Gap::ReferencesSilent(vec![gateway()]);
        world.listed().iter().any(|it| it.get::<Coverage>().is_some_and(|known| known.gaps.iter().any(is_gap)))
    };
    assert!(has_gap(&world));

    world.run_until(seconds(1100));

    assert_eq!(world.told(), [(RuleId::F55, First), (RuleId::F55, Resolved)]);
    assert!(!has_gap(&world));
}

#[test]
fn a_watched_cluster_that_is_dead_for_hours_is_no_reference_point_and_gets_no_second_warning() {
    let mut two = Inventory { references: Vec::new(), ..inventory() };
    let prod = &two.clusters[&name("prod")];
    let lab = Cluster { etcds: Default::default(), vip: None, ..prod.clone() };
    two.clusters.insert(name("lab"), lab);
    let lab = |n: u8| Subject::Apiserver(name("lab"), name(&format!("api-{n}")));
    let mut world = World::unhurried(two);
    world.at(seconds(60), move |world| {
        world.set(&lab(1), Doing::Dark);
        world.set(&lab(2), Doing::Dark);
    });
    world.at(seconds(4 * HOUR), restart);
    world.at(seconds(8 * HOUR), darken);

    world.run_until(seconds(8 * HOUR + 600));

    let firsts: Vec<_> = world.told().into_iter().filter(|(_, reason)| *reason == First).collect();
    assert_eq!(firsts.len(), 2, "{firsts:?}");
    assert!(firsts.iter().all(|(rule, _)| *rule != RuleId::F55 && *rule != RuleId::F04), "{firsts:?}");
}
