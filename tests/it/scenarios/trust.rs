//! Chains that the configured CA does not verify, logins withheld because of it, and something else that answers.

use vedette::judge::monitoring_gap::Coverage;
use vedette::judge::untrusted::UntrustedChains;
use vedette::model::certificate::Trust;
use vedette::model::gap::Gap;
use vedette::model::phase::Cause;
use vedette::model::reason::MessageReason::{First, Resolved};
use vedette::model::rule::{Level, RuleId};

use super::world::{Doing, World, api, etcd, inventory, seconds, vip};

#[test]
fn a_rotated_ca_is_one_warning_and_the_withheld_token_a_part_of_it() {
    let mut world = World::new();
    world.at(seconds(60), |world| {
        for n in [1, 2] {
            world.distrust.insert(api(n), Trust::UnknownAuthority);
            world.set(&api(n), Doing::WantsLogin(Cause::TokenWithheld));
        }
    });
    world.at(seconds(600), World::heal);

    world.run_until(seconds(900));

    assert_eq!(world.told(), [(RuleId::F27, First), (RuleId::F27, Resolved)]);
    let first = &world.mails[0];
    assert_eq!(first.message.level, Level::Warning);
    assert!(first.at >= seconds(90) && first.at <= seconds(110), "{:?}", first.at);
    let Some(UntrustedChains { parts, .. }) = first.message.incident.headline.seen() else {
        panic!("{:?}", first.message.incident.headline)
    };
    let places: Vec<_> = parts.iter().map(|part| part.place.clone()).collect();
    assert_eq!(places, [api(1), api(2), vip()]);
    let last = &world.mails[1].message.incident;
    assert!(last.parts.iter().any(|part| part.finding.rule == RuleId::F52), "the withheld token is told in the thread");
}

#[test]
fn the_chains_of_an_etcd_are_told_together_though_they_are_probed_at_once_a_minute() {
    let mut world = World::new();
    world.at(seconds(60), |world| {
        for n in [1, 2, 3] {
            world.distrust.insert(etcd(n), Trust::WrongName);
        }
    });

    world.run_until(seconds(400));

    assert_eq!(world.told(), [(RuleId::F27, First)]);
    let Some(UntrustedChains { parts, .. }) = world.mails[0].message.incident.headline.seen() else { panic!() };
    assert_eq!(parts.len(), 3);
}

#[test]
fn one_handshake_that_is_refused_is_no_news() {
    let mut world = World::new();
    world.at(seconds(60), |world| {
        world.distrust.insert(api(1), Trust::UnknownAuthority);
    });
    world.at(seconds(63), World::heal);

    world.run_until(seconds(400));

    assert!(world.mails.is_empty(), "{:?}", world.told());
}

#[test]
fn the_warning_outlives_a_restart_and_ends_only_by_handshakes() {
    let mut world = World::new();
    world.at(seconds(60), |world| {
        world.distrust.insert(api(2), Trust::UnknownAuthority);
    });
    world.at(seconds(200), World::kill);
    world.at(seconds(210), |world| {
        world.set(&api(2), Doing::Frozen);
        world.restart();
    });

    world.run_until(seconds(900));

    let of_trust =
        |world: &World| world.told().into_iter().filter(|(rule, _)| *rule == RuleId::F27).collect::<Vec<_>>();
    assert_eq!(of_trust(&world), [(RuleId::F27, First)]);

    world.heal();
    world.run_until(seconds(1000));

    assert_eq!(of_trust(&world), [(RuleId::F27, First), (RuleId::F27, Resolved)]);
}

#[test]
fn a_ca_that_is_no_longer_configured_closes_what_was_judged_by_it() {
    let mut world = World::new();
    world.at(seconds(60), |world| {
        world.distrust.insert(api(1), Trust::UnknownAuthority);
    });
    world.at(seconds(300), |world| {
        let mut known = inventory();
        known.clusters.values_mut().for_each(|cluster| cluster.is_verified = false);
        world.distrust.insert(api(1), Trust::Unverified);
        world.reload(known);
    });

    world.run_until(seconds(400));

    assert_eq!(world.told(), [(RuleId::F27, First), (RuleId::F27, Resolved)]);
    assert!(world.mails[1].message.incident.over.is_some_and(|over| over.withdrawn));
}

#[test]
fn a_login_that_is_wanted_where_none_is_configured_is_listed_and_refuses_nothing() {
    let mut world = World::new();
    world.set(&api(1), Doing::WantsLogin(Cause::NoCredential));
    world.set(&api(2), Doing::WantsLogin(Cause::NoCredential));

    world.run_until(seconds(300));

    assert!(world.mails.is_empty(), "{:?}", world.told());
    let listed = world.listed();
    let is_listed = |gap: &Gap| matches!(gap, Gap::NoCredential(places) if places[..] == [vip(), api(1), api(2)]);
    let gaps = listed.iter().filter_map(|evidence| {
        let Coverage { gaps } = evidence.get()?;
        Some(gaps)
    });
    assert!(gaps.flatten().any(is_listed), "{listed:?}");
}

#[test]
fn a_portal_in_place_of_every_apiserver_is_one_page_within_seconds() {
    let mut world = World::new();
    world.at(seconds(60), |world| {
        world.set(&api(1), Doing::Portal);
        world.set(&api(2), Doing::Portal);
    });
    world.at(seconds(180), World::heal);

    world.run_until(seconds(400));

    assert_eq!(world.told(), [(RuleId::F24, First), (RuleId::F24, Resolved)]);
    assert!(world.mails[0].at <= seconds(66), "{:?}", world.mails[0].at);
}

#[test]
fn a_portal_at_the_shared_address_is_its_own_trouble() {
    let mut world = World::new();
    world.at(seconds(60), |world| world.set(&vip(), Doing::Portal));
    world.at(seconds(180), World::heal);

    world.run_until(seconds(400));

    assert_eq!(world.told(), [(RuleId::F23, First), (RuleId::F23, Resolved)]);
}

#[test]
fn green_health_checks_do_not_hide_that_nothing_else_is_answered_by_an_apiserver() {
    let mut world = World::new();
    world.at(seconds(60), |world| {
        world.set(&api(1), Doing::HealthAlone);
        world.set(&api(2), Doing::HealthAlone);
    });
    world.at(seconds(300), World::heal);

    world.run_until(seconds(500));

    assert_eq!(world.told(), [(RuleId::F58, First), (RuleId::F58, Resolved)]);
    assert_eq!(world.mails[0].message.level, Level::Critical);
    assert!(world.mails[0].at <= seconds(110), "{:?}", world.mails[0].at);
}
