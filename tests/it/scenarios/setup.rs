//! What the set-up lacks: listed, never mailed unless the configuration makes it loud, and gone when it is mended.

use std::sync::Arc;

use vedette::judge::monitoring_gap::Coverage;
use vedette::judge::redundancy::Points;
use vedette::model::canary::Canary;
use vedette::model::gap::{Gap, Single};
use vedette::model::reason::MessageReason::First;
use vedette::model::rule::{Level, RuleId};
use vedette::model::verdict::Evidence;

use super::world::{Doing, World, api, etcd, inventory, seconds};

#[test]
fn gaps_and_single_points_are_listed_and_open_no_incident() {
    let mut managed = inventory();
    let cluster = managed.clusters.values_mut().next().unwrap();
    cluster.apiservers.clear();
    cluster.etcds.clear();
    let mut world = World::with(managed);

    world.run_until(seconds(120));

    assert!(world.mails.is_empty() && world.open().is_empty(), "{:?}", world.open());
    let listed = world.listed();
    assert!(listed.contains(&coverage(vec![Gap::NoEtcd, Gap::NoInstances, no_canaries()])), "{listed:?}");
    let way = Single::WayIn("prod/vip".parse().unwrap());
    assert!(listed.iter().any(|it| it.get() == Some(&Points { points: vec![way.clone()] })), "{listed:?}");
}

#[test]
fn a_cluster_that_lacks_only_metrics_listeners_and_a_writer_lists_only_these() {
    let mut world = World::new();

    world.run_until(seconds(120));

    assert_eq!(world.listed(), [coverage(vec![deaf(), no_canaries()])]);
}

#[test]
fn a_member_that_was_never_seen_is_listed_until_it_answers() {
    let mut world = World::new();
    world.set(&etcd(3), Doing::Refusing);
    world.at(seconds(100), World::heal);

    world.run_until(seconds(90));
    assert!(world.listed().contains(&coverage(vec![Gap::NeverSeen(vec![etcd(3)]), deaf(), no_canaries()])));

    world.run_until(seconds(200));
    assert_eq!(world.listed(), [coverage(vec![deaf(), no_canaries()])]);
}

#[test]
fn a_member_that_was_seen_and_died_is_no_gap() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.slay(&etcd(3)));
    world.at(seconds(60), |world| world.slay(&api(2)));

    world.run_until(seconds(120));

    let is_gap = |evidence: &Arc<dyn Evidence>| evidence.get::<Coverage>().is_some();
    let gaps: Vec<_> = world.listed().into_iter().filter(is_gap).collect();
    assert_eq!(gaps, [coverage(vec![deaf(), no_canaries()])]);
}

#[test]
fn what_the_configuration_makes_loud_is_mailed() {
    let mut loud = inventory();
    loud.levels.insert(RuleId::F51, Level::Warning);
    loud.clusters.values_mut().next().unwrap().apiservers.retain(|known, _| known.as_str() == "api-1");
    let mut world = World::with(loud);

    world.run_until(seconds(120));

    assert_eq!(world.told(), [(RuleId::F51, First)]);
}

/// What is not seen without a credential for the canaries.
fn no_canaries() -> Gap {
    Gap::CanariesOff(Canary::ALL.to_vec())
}

/// What is not seen of the etcd of these stories, which has no metrics listeners.
fn deaf() -> Gap {
    Gap::NoListener(vec!["prod/etcd/main".parse().unwrap()])
}

fn coverage(gaps: Vec<Gap>) -> Arc<dyn Evidence> {
    Arc::new(Coverage { gaps })
}
