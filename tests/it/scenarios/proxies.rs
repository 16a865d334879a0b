//! A proxy is part of our own path: what it does wrong is never a cluster's fault, and is told once.

use vedette::judge::proxy::ProxyFailure;
use vedette::model::delivery::Attempt;
use vedette::model::inventory::{Cluster, Endpoint, Inventory, Proxy};
use vedette::model::outlet::Outlet;
use vedette::model::phase::Cause;
use vedette::model::reason::MessageReason::{First, Resolved};
use vedette::model::rule::{Level, RuleId};

use super::world::{Doing, World, api, etcd, inventory, name, seconds};

const FAULTS: [Cause; 5] =
    [Cause::ProxyLogin, Cause::ProxyDown, Cause::ProxyDenied, Cause::ProxyUnreachable, Cause::ProxySilent];

#[test]
fn a_proxy_that_fails_is_told_once_for_all_clusters_behind_it_and_none_is_called_dead() {
    for cause in FAULTS {
        let mut world = World::with(two_behind_a_proxy());
        world.at(seconds(60), move |world| fail(world, &["prod", "dev"], cause));
        world.at(seconds(300), World::heal);

        world.run_until(seconds(200));

        assert_eq!(world.told(), [(RuleId::F60, First)], "{cause:?}");
        assert_eq!(world.open(), [RuleId::F60], "{cause:?}");
        let first = &world.mails[0];
        assert_eq!((first.message.level, &first.message.incident.cluster), (Level::Critical, &None));
        assert!(seconds(118) <= first.at && first.at <= seconds(140), "{cause:?}: {:?}", first.at);
        let Some(ProxyFailure { lost, of: 2, .. }) = first.message.incident.headline.seen() else {
            panic!("{:?}", first.message.incident.headline.evidence);
        };
        assert_eq!(lost.iter().map(|(cluster, _)| cluster.as_str()).collect::<Vec<_>>(), ["dev", "prod"], "{cause:?}");

        world.run_until(seconds(500));

        assert_eq!(world.told(), [(RuleId::F60, First), (RuleId::F60, Resolved)], "{cause:?}");
    }
}

#[test]
fn a_proxy_that_is_restarted_tells_nobody_anything() {
    for cause in FAULTS {
        let mut world = World::with(two_behind_a_proxy());
        world.at(seconds(60), move |world| fail(world, &["prod", "dev"], cause));
        // Open tunnels break with it.
        world.at(seconds(60), |world| world.break_connection(&api(1)));
        world.at(seconds(95), World::heal);

        world.run_until(seconds(300));

        assert!(world.mails.is_empty(), "{cause:?}: {:?}", world.told());
    }
}

#[test]
fn what_a_proxy_says_of_a_cluster_is_told_of_the_cluster() {
    for cause in [Cause::ProxyTarget, Cause::Refused, Cause::Unreachable] {
        let mut world = World::with(two_behind_a_proxy());
        world.at(seconds(60), move |world| fail(world, &["prod"], cause));

        world.run_until(seconds(200));

        assert_eq!(world.told(), [(RuleId::F24, First)], "{cause:?}");
        assert!(world.mails[0].at < seconds(70), "{cause:?}: {:?}", world.mails[0].at);
    }
}

#[test]
fn a_proxy_that_stays_mute_about_one_cluster_and_leads_to_another_is_not_what_fails() {
    let mut world = World::with(two_behind_a_proxy());
    world.at(seconds(60), |world| fail(world, &["prod"], Cause::ProxySilent));

    world.run_until(seconds(200));

    assert_eq!(world.told(), [(RuleId::F24, First)]);
    assert!(world.mails[0].at < seconds(80), "{:?}", world.mails[0].at);
}

#[test]
fn a_login_that_is_refused_for_one_cluster_isolates_only_that_one() {
    let mut world = World::with(two_behind_a_proxy());
    world.at(seconds(60), |world| fail(world, &["prod"], Cause::ProxyLogin));
    world.at(seconds(200), |world| world.set(&dev(), Doing::Refusing));

    world.run_until(seconds(300));

    assert_eq!(world.told(), [(RuleId::F60, First), (RuleId::F24, First)]);
    assert_eq!(world.mails[1].message.incident.cluster, Some(name("dev")));
}

#[test]
fn etcd_that_is_asked_directly_is_told_of_while_the_proxy_fails() {
    let mut world = World::with(two_behind_a_proxy());
    world.at(seconds(60), |world| fail(world, &["prod", "dev"], Cause::ProxyDown));
    world.at(seconds(150), |world| {
        world.slay(&etcd(1));
        world.slay(&etcd(2));
    });

    world.run_until(seconds(200));

    assert_eq!(world.told(), [(RuleId::F60, First), (RuleId::F01, First)]);
}

#[test]
fn an_outage_ends_neither_by_a_proxy_that_fails_nor_begins_before_it_leads_there_again() {
    let mut world = World::with(two_behind_a_proxy());
    let die = |world: &mut World| {
        world.set(&api(1), Doing::Refusing);
        world.set(&api(2), Doing::Refusing);
    };
    world.at(seconds(60), die);
    world.at(seconds(80), |world| fail(world, &["prod", "dev"], Cause::ProxyLogin));
    // It dies unseen, and is found dead when the proxy is back.
    world.at(seconds(100), |world| world.set(&dev(), Doing::Refusing));
    world.at(seconds(200), |world| world.proxy_does.clear());

    world.run_until(seconds(199));
    assert_eq!(world.told(), [(RuleId::F24, First), (RuleId::F60, First)]);

    world.run_until(seconds(260));
    assert_eq!(
        world.told(),
        [(RuleId::F24, First), (RuleId::F60, First), (RuleId::F24, First), (RuleId::F60, Resolved)]
    );
}

#[test]
fn a_site_that_is_cut_off_with_its_proxy_is_isolated_and_no_cluster_is_dead() {
    let mut world = World::with(two_behind_a_proxy());
    world.at(seconds(60), |world| {
        world.cut_off = true;
        fail(world, &["prod", "dev"], Cause::ProxyTarget);
    });

    world.run_until(seconds(200));

    assert_eq!(world.open(), [RuleId::F04]);
    assert!(world.mails.is_empty(), "{:?}", world.told());
}

#[test]
fn commands_in_mails_take_the_way_that_vedette_takes() {
    let mut world = World::with(two_behind_a_proxy());
    world.at(seconds(60), |world| fail(world, &["prod"], Cause::ProxyTarget));

    world.run_until(seconds(100));

    let attempt = Attempt::first(world.mails[0].message.clone(), Outlet::Mail, world.mails[0].to.clone());
    let body = vedette::render::text::text(&vedette::render::message::document(&attempt));
    let squeezed: String = body.chars().filter(|c| !c.is_whitespace() && *c != '\\').collect();
    assert!(squeezed.contains("curl-skS--proxy'http://USER:PASSWORD@10.0.9.1:3128'"), "{body}");
}

/// `prod` as ever and `dev` with one instance, both behind one proxy, which does not stand before etcd.
fn two_behind_a_proxy() -> Inventory {
    let mut inventory = inventory();
    let proxy = Proxy { name: name("10.0.9.1:3128"), url: "http://USER:PASSWORD@10.0.9.1:3128".into() };
    let prod = inventory.clusters.get_mut(&name("prod")).unwrap();
    prod.proxy = Some(proxy.clone());
    let endpoint = Endpoint { address: "10.1.0.11:6443".into(), ..prod.apiservers[&name("api-1")].clone() };
    let dev = Cluster { apiservers: [(name("api-1"), endpoint)].into(), proxy: Some(proxy), ..Cluster::default() };
    inventory.clusters.insert(name("dev"), dev);
    inventory
}

fn dev() -> vedette::model::subject::Subject {
    "dev/apiserver/api-1".parse().unwrap()
}

fn fail(world: &mut World, clusters: &[&str], cause: Cause) {
    world.proxy_does.extend(clusters.iter().map(|cluster| (name(cluster), cause)));
}
