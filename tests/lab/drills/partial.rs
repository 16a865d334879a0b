//! Faults of a part: a member, a link, an instance. One warning after its hold, naming the part, and no page.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::clock;
use crate::drill::Drill;
use crate::etcd::MEMBERS;
use crate::net::Place;
use crate::vedette::Options;
use crate::world::World;

use super::watch::{self, AFTER_HOLD, Fault, SETTLED};

pub(crate) const DRILLS: &[Drill] = &[
    Drill::new("a_killed_follower_is_a_lost_redundancy", killed_follower).tidy(),
    Drill::new("a_killed_leader_is_a_lost_redundancy_and_no_outage", killed_leader).tidy(),
    Drill::new("a_frozen_leader_is_a_lost_redundancy_and_no_outage", frozen_leader).tidy(),
    Drill::new("a_member_cut_off_from_its_peers_is_named_as_split", split_member).tidy(),
    Drill::new("a_link_that_is_dead_one_way_names_the_member_that_hears_no_leader", one_way_link).tidy(),
    Drill::new("an_apiserver_not_ready_for_a_reason_of_its_own_is_told_with_it", draining_apiserver),
    Drill::new("one_dead_apiserver_behind_the_vip_is_blamed_and_not_the_vip", dead_instance).tidy(),
    Drill::new("a_path_that_swallows_large_hellos_is_told_as_that_and_nothing_is_called_down", narrow_path).tidy(),
];

/// Longest time an apiserver of the lab may take from its SIGTERM to its end in [`draining_apiserver`].
const DRAIN: &str = "--shutdown-delay-duration=100s";

const fn lost_redundancy(what: &'static str, symptom: &'static str) -> Fault {
    Fault { what, symptom, level: "[WARNING", within: AFTER_HOLD }
}

/// The places of the API.
const API: [Place; 3] = [Place::Api(1), Place::Api(2), Place::Vip];

/// The apiservers are well, and newer clients cannot reach them.
fn narrow_path(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    let fault = Fault {
        what: "large ClientHellos swallowed (30 s hold)",
        symptom: "path drops large ClientHellos",
        level: "[WARNING",
        within: AFTER_HOLD,
    };
    let swallow = |world: &mut World| {
        API.iter().try_for_each(|place| world.network.swallow_large_hellos(*place))?;
        Ok(clock::now())
    };
    let pass = |world: &mut World| {
        API.iter().try_for_each(|place| world.network.pass_large_hellos(*place))?;
        Ok(clock::now())
    };
    let mails = watch::drill(world, &fault, swallow, pass)?;
    for place in ["10.89.0.31:6443", "10.89.0.32:6443", "10.89.0.48:6443"] {
        ensure!(mails[0].text.contains(place), "{place} is missing:\n{}", mails[0].text);
    }
    Ok(())
}

fn killed_follower(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    let follower = followers(world.etcd_leader()?)[0];
    let at = world.kill9(&name(follower))?;
    one_member(world, follower, at, "one etcd follower killed (30 s hold)", World::start)
}

fn killed_leader(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    let leader = world.etcd_leader()?;
    let at = world.kill9(&name(leader))?;
    one_member(world, leader, at, "etcd leader killed (30 s hold)", World::start)
}

fn frozen_leader(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    let leader = world.etcd_leader()?;
    let at = world.freeze(&name(leader))?;
    one_member(world, leader, at, "etcd leader frozen (30 s hold)", World::thaw)
}

/// Expects that member `n` is named as down, and nothing else.
fn one_member(
    world: &mut World,
    n: u8,
    at: Instant,
    what: &'static str,
    mend: fn(&mut World, &str) -> Result<Instant>,
) -> Result<()> {
    let fault = lost_redundancy(what, "etcd member etcd-");
    let mail = watch::told(world, &fault, at)?;
    ensure!(mail.subject.contains(&format!("member {} is down", name(n))), "the mail is '{}'", mail.subject);
    let mended = mend(world, &name(n))?;
    watch::cleared(world, &fault, mended)?;
    Ok(())
}

fn split_member(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    let leader = world.etcd_leader()?;
    let others = followers(leader);
    let mut at = None;
    for other in others {
        at = Some(world.network.drop_one_way(Place::Etcd(leader), Place::Etcd(other))?);
        world.network.drop_one_way(Place::Etcd(other), Place::Etcd(leader))?;
    }
    split(world, leader, at, "etcd leader split from its peers (30 s hold)")
}

/// A follower that no longer hears its leader, over a link that is dead in one direction only.
fn one_way_link(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    let leader = world.etcd_leader()?;
    let follower = followers(leader)[1];
    let at = world.network.drop_one_way(Place::Etcd(leader), Place::Etcd(follower))?;
    split(world, follower, Some(at), "etcd link dead one way (30 s hold)")
}

fn split(world: &mut World, n: u8, at: Option<Instant>, what: &'static str) -> Result<()> {
    let at = at.ok_or_else(|| anyhow::anyhow!("nothing was cut"))?;
    let fault = lost_redundancy(what, "network partition");
    let mail = watch::told(world, &fault, at)?;
    ensure!(mail.text.contains(&name(n)), "{} is not named:\n{}", name(n), mail.text);
    let mended = world.network.heal()?;
    watch::cleared(world, &fault, mended)?;
    Ok(())
}

/// An apiserver that was told to end serves on for its shutdown delay, and its readyz names the check `shutdown`.
fn draining_apiserver(world: &mut World) -> Result<()> {
    world.stop("api-2")?;
    world.server("api-2")?.add_argument(DRAIN);
    world.start("api-2")?;
    world.wait_ready(Duration::from_secs(60))?;
    watch::start(world, &Options::default())?;

    let fault = lost_redundancy("one apiserver draining (30 s hold)", "apiservers not ready");
    let at = world.server("api-2")?.terminate()?;
    let mail = watch::told(world, &fault, at)?;
    ensure!(mail.text.contains("shutdown"), "the failing check is not named:\n{}", mail.text);
    ensure!(mail.text.contains("api-2"), "the instance is not named:\n{}", mail.text);
    world.kill9("api-2")?;
    let mended = world.start("api-2")?;
    watch::cleared(world, &fault, mended)?;
    Ok(())
}

fn dead_instance(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    let fault = lost_redundancy("one of two apiservers killed (30 s hold)", "apiserver api-1");
    let mails = watch::drill(world, &fault, |world| world.kill9("api-1"), |world| world.start("api-1"))?;
    ensure!(!mails[0].subject.contains("shared"), "the VIP is blamed: '{}'", mails[0].subject);
    world.quiet_for(SETTLED)
}

fn name(n: u8) -> String {
    Place::Etcd(n).name()
}

fn followers(leader: u8) -> Vec<u8> {
    (1..=MEMBERS).filter(|n| *n != leader).collect()
}
