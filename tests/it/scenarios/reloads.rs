//! The configuration changes while everything goes on: no page lost, none doubled, no tick out of step.

use std::time::Duration;

use vedette::model::inventory::{Cluster, Inventory};
use vedette::model::probe::ProbeKind;
use vedette::model::reason::MessageReason::{First, Resolved};
use vedette::model::rule::RuleId;
use vedette::model::subject::Subject;

use super::world::{Relay, World, api, inventory, name, seconds, vip};

/// A second cluster: one apiserver.
fn lab_api() -> Subject {
    Subject::Apiserver(name("lab"), name("api-1"))
}

fn with_lab() -> Inventory {
    let mut all = inventory();
    let prod = &all.clusters[&name("prod")];
    let apiservers = [(name("api-1"), prod.apiservers[&name("api-1")].clone())].into();
    all.clusters.insert(name("lab"), Cluster { apiservers, ..Cluster::default() });
    all
}

/// Both instances of the first cluster somewhere else.
fn moved() -> Inventory {
    let mut all = inventory();
    let prod = all.clusters.get_mut(&name("prod")).unwrap();
    for endpoint in prod.apiservers.values_mut() {
        endpoint.address = format!("10.1{}", &endpoint.address[4..]);
    }
    all
}

/// One of three configurations, for worlds that change at random.
pub(super) fn variant(n: u8) -> Inventory {
    match n {
        1 => inventory(),
        2 => moved(),
        _ => with_lab(),
    }
}

fn without_mail() -> Inventory {
    Inventory { mails: false, ..inventory() }
}

fn times(world: &World, subject: &Subject) -> Vec<Duration> {
    let of_subject =
        world.probes.iter().filter(|(_, probe)| probe.subject == *subject && probe.kind == ProbeKind::Readyz);
    of_subject.map(|(at, _)| *at).collect()
}

fn kill_both(world: &mut World) {
    world.slay(&api(1));
    world.slay(&api(2));
}

#[test]
fn a_reload_in_the_middle_of_an_outage_is_not_told() {
    for tenths in (595..1200).step_by(17) {
        let mut world = World::new();
        world.at(seconds(60), kill_both);
        world.at(Duration::from_millis(tenths * 100), |world| world.reload(with_lab()));
        world.at(seconds(100), World::heal);

        world.run_until(seconds(300));

        assert_eq!(world.told(), [(RuleId::F24, First), (RuleId::F24, Resolved)], "reloaded at {tenths}");
        assert_eq!(world.threads().len(), 1);
    }
}

#[test]
fn a_reload_tries_a_refused_mail_at_once() {
    let mut world = World::new();
    world.relay = Relay::Refusing;
    world.at(seconds(60), kill_both);
    world.at(seconds(100), |world| {
        world.relay = Relay::Accepting;
        world.reload(inventory());
    });

    world.run_until(seconds(110));

    assert_eq!(world.told(), [(RuleId::F24, First)]);
}

#[test]
fn a_reload_changes_nothing_about_a_hold() {
    let first_mail = |reload_at: Option<u64>| {
        let mut world = World::new();
        world.at(seconds(60), |world| world.slay(&api(2)));
        if let Some(at) = reload_at {
            world.at(seconds(at), |world| world.reload(with_lab()));
        }
        world.run_until(seconds(200));
        assert_eq!(world.mails.len(), 1);
        world.mails[0].at
    };

    let undisturbed = first_mail(None);

    for at in [61, 70, 89] {
        assert_eq!(first_mail(Some(at)), undisturbed, "reloaded at {at}");
    }
}

#[test]
fn what_is_still_watched_keeps_its_ticks_and_what_is_new_joins_them() {
    let run = |reload: bool| {
        let mut world = World::new();
        if reload {
            world.at(seconds(31), |world| world.reload(with_lab()));
        }
        world.run_until(seconds(90));
        world
    };

    let (before, after) = (run(false), run(true));

    for subject in [api(1), api(2), vip()] {
        assert_eq!(times(&after, &subject), times(&before, &subject), "{subject}");
    }
    let new = times(&after, &lab_api());
    assert!(new[0] >= seconds(31) && new[0] <= seconds(34), "{new:?}");
    assert!(new.windows(2).all(|pair| pair[1] == pair[0] + seconds(3)), "{new:?}");
    assert_eq!(after.counters().skipped + after.counters().lost, 0);
}

#[test]
fn a_shorter_interval_is_in_force_within_itself_and_not_all_at_once() {
    let mut world = World::new();
    world.at(seconds(31), |world| {
        world.policy.readyz_interval = seconds(1);
        world.reload(inventory());
    });

    world.run_until(seconds(60));

    let after: Vec<Duration> = times(&world, &api(1)).into_iter().filter(|at| *at > seconds(31)).collect();
    assert!(after[0] <= seconds(32) && after.len() >= 28, "{after:?}");
    let at_once = world.probes.iter().filter(|(at, _)| *at == seconds(31)).count();
    assert!(at_once <= 1, "{at_once} looks in the moment of the reload");
}

#[test]
fn the_incident_of_a_removed_cluster_is_withdrawn_and_it_is_left_alone() {
    let mut world = World::with(with_lab());
    world.at(seconds(60), |world| world.slay(&lab_api()));
    world.at(seconds(120), |world| world.reload(inventory()));

    world.run_until(seconds(400));

    let last = world.mails.last().unwrap();
    assert_eq!((world.mails.len(), last.message.reason, world.threads().len()), (2, Resolved, 1));
    assert!(last.message.incident.over.unwrap().withdrawn);
    assert!(world.open().is_empty());
    assert!(times(&world, &lab_api()).iter().all(|at| *at <= seconds(120)));
    assert!(!world.snapshot().clusters.contains_key(&name("lab")));
}

#[test]
fn an_added_cluster_is_paged_for() {
    let mut world = World::new();
    world.at(seconds(30), |world| world.reload(with_lab()));
    world.at(seconds(60), |world| world.slay(&lab_api()));

    world.run_until(seconds(100));

    assert_eq!(world.mails.len(), 1);
    assert_eq!(world.mails[0].message.incident.cluster, Some(name("lab")));
}

#[test]
fn an_outage_ends_at_the_new_place_in_its_own_thread() {
    let mut world = World::new();
    world.at(seconds(60), kill_both);
    world.at(seconds(80), |world| {
        world.heal();
        world.reload(moved());
    });

    world.run_until(seconds(300));

    assert_eq!(world.told(), [(RuleId::F24, First), (RuleId::F24, Resolved)]);
    assert_eq!(world.threads().len(), 1);
    let resolved = world.mails[1].at;
    assert!(resolved >= seconds(95), "ended at {resolved:?} without having been seen well for long enough");
}

#[test]
fn what_was_seen_at_the_old_place_is_not_believed_of_the_new_one() {
    let mut world = World::new();
    world.at(seconds(60), kill_both);
    world.at(Duration::from_millis(60_400), |world| {
        world.heal();
        world.reload(moved());
    });

    world.run_until(seconds(200));

    assert_eq!(world.mails.len(), 0, "{:?}", world.told());
}

#[test]
fn a_refused_configuration_changes_nothing_and_is_shown() {
    let mut world = World::new();
    world.at(seconds(40), World::reload_badly);
    world.run_until(seconds(60));

    let configured = world.snapshot().configured.clone();
    assert_eq!((configured.refusals, configured.reloads), (1, 0));
    assert_eq!(configured.refused.unwrap().mistakes.len(), 1);
    assert_eq!(world.counters().skipped, 0);

    world.at(seconds(61), |world| world.reload(inventory()));
    world.run_until(seconds(63));
    let configured = world.snapshot().configured.clone();
    assert_eq!((configured.reloads, configured.refused), (1, None));
}

#[test]
fn whoever_is_to_be_mailed_from_now_on_hears_of_what_is_open() {
    let mut world = World::with(without_mail());
    world.at(seconds(60), kill_both);
    world.at(seconds(120), |world| world.reload(inventory()));
    world.at(seconds(200), World::heal);

    world.run_until(seconds(300));

    assert_eq!(world.told(), [(RuleId::F24, First), (RuleId::F24, Resolved)]);
    assert!(world.mails[0].at >= seconds(120));
}

#[test]
fn nothing_is_owed_to_nobody() {
    let mut world = World::new();
    world.relay = Relay::Stalled;
    world.at(seconds(60), kill_both);
    world.at(seconds(70), |world| world.reload(without_mail()));

    world.run_until(seconds(200));

    assert_eq!(world.snapshot().backlog.waiting, 0);
    assert!(world.mails.is_empty());
}
