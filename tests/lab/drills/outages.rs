//! Outages of the watched: exactly the expected incident, one thread with the right cause, one all-clear.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::clock;
use crate::controllers;
use crate::drill::Drill;
use crate::net::output;
use crate::pki::Life;
use crate::tools::{Extra, OLDER_APISERVER};
use crate::vedette::{Options, Relay};
use crate::vip;
use crate::world::World;

use super::watch::{self, AFTER_HOLD, CRITICAL, Fault, TOO_LATE, kill_apiservers, start_apiservers};

pub(crate) const DRILLS: &[Drill] = &[
    Drill::new("killed_apiservers_are_one_thread", killed_apiservers).tidy(),
    Drill::new("a_frozen_apiserver_behind_a_check_of_its_port_is_told_as_lost_connections", frozen_apiserver).tidy(),
    Drill::new("a_frozen_apiserver_that_the_balancer_takes_out_is_a_warning_of_its_own", frozen_apiserver_taken_out),
    Drill::new("a_dead_vip_is_blamed_itself", dead_vip).tidy(),
    Drill::new("a_frozen_quorum_is_the_cause_of_all", frozen_quorum).tidy(),
    Drill::new("a_killed_quorum_is_told_by_tripwires", killed_quorum).tidy(),
    Drill::new("a_full_etcd_is_told_though_readyz_is_green", full_etcd).tidy(),
    Drill::new("an_expired_certificate_is_one_mail_about_it", expired_certificate).tidy(),
    Drill::new("restarts_and_a_packet_burst_mail_nothing", nothing_worth_a_mail).with(&[Extra::Controllers]),
    Drill::new("the_main_faults_are_told_alike_with_the_kubernetes_before", main_faults)
        .when_full()
        .on_the_older_kubernetes(),
    Drill::new("dead_dns_and_an_unsynchronised_clock_mute_nothing", dead_dns).tidy(),
];

const fn hard(what: &'static str, symptom: &'static str) -> Fault {
    Fault { what, symptom, level: CRITICAL, within: TOO_LATE }
}

fn killed_apiservers(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    let fault = hard("all apiservers killed", "all apiservers are down");
    let mails = watch::drill(world, &fault, kill_apiservers, start_apiservers)?;

    ensure!(mails[0].text.contains("10.89.0.31:6443"), "the dial address is missing:\n{}", mails[0].text);
    ensure!(!mails[0].html.is_empty(), "no HTML part");
    ensure!(mails[0].encrypted == Some(true) && mails[0].account.is_some(), "sent in the clear or without login");
    Ok(())
}

/// The balancer only opens a connection to see whether an instance is there, and a frozen one accepts it.
fn frozen_apiserver(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    let fault = hard("one apiserver frozen behind a TCP check", "API VIP loses connections");
    let mails = watch::drill(world, &fault, |world| world.freeze("api-2"), |world| world.thaw("api-2"))?;
    let text = &mails[0].text;
    let said = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for wanted in ["api-2 (10.89.0.32:6443) is down", "health check does not ask for /readyz"] {
        ensure!(said.contains(wanted), "'{wanted}' is missing:\n{text}");
    }
    Ok(())
}

/// The balancer asks each instance for /readyz: what clients lose ends within seconds, and what remains is the redundancy.
fn frozen_apiserver_taken_out(world: &mut World) -> Result<()> {
    world.stop("vip")?;
    vip::check_readyz(world.size, &world.folder)?;
    world.start("vip")?;
    world.wait_ready(Duration::from_secs(30))?;
    watch::start(world, &Options::default())?;
    let fault = Fault {
        what: "one apiserver frozen behind a /readyz check (30 s hold)",
        symptom: "apiserver api-2",
        level: "[WARNING",
        within: AFTER_HOLD,
    };
    watch::drill(world, &fault, |world| world.freeze("api-2"), |world| world.thaw("api-2"))?;
    Ok(())
}

fn dead_vip(world: &mut World) -> Result<()> {
    watch::start(world, &Options { relay: Relay::Implicit, ..Options::default() })?;
    let fault = hard("VIP dead, instances alive", "API VIP down");
    watch::drill(world, &fault, |world| world.kill9("vip"), |world| world.start("vip"))?;
    Ok(())
}

fn frozen_quorum(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    let fault = hard("etcd quorum frozen", "etcd has lost quorum");
    let freeze = |world: &mut World| {
        let at = world.freeze("etcd-1")?;
        world.freeze("etcd-2")?;
        Ok(at)
    };
    let thaw = |world: &mut World| {
        world.thaw("etcd-1")?;
        world.thaw("etcd-2")
    };
    watch::drill(world, &fault, freeze, thaw)?;
    Ok(())
}

fn killed_quorum(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    let fault = hard("etcd quorum killed", "etcd has lost quorum");
    let kill = |world: &mut World| {
        let at = world.kill9("etcd-2")?;
        world.kill9("etcd-3")?;
        Ok(at)
    };
    let revive = |world: &mut World| {
        world.start("etcd-2")?;
        world.start("etcd-3")
    };
    watch::drill(world, &fault, kill, revive)?;
    Ok(())
}

fn full_etcd(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    let fault = hard("etcd NOSPACE", "etcd is full (NOSPACE alarm)");
    watch::drill(world, &fault, |world| world.fill_etcd(), |world| world.free_etcd())?;
    Ok(())
}

fn expired_certificate(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    let fault = hard("expired certificate served", "certificate of api-1");
    let mails = watch::drill(
        world,
        &fault,
        |world| world.replace_certificate(1, Life::Expired),
        |world| world.replace_certificate(1, Life::Year),
    )?;
    ensure!(mails[0].text.contains("10.89.0.31:6443"), "the place is missing:\n{}", mails[0].text);
    Ok(())
}

/// Controllers run, and each leader is restarted, then one apiserver; a burst of packets is lost.
fn nothing_worth_a_mail(world: &mut World) -> Result<()> {
    controllers::start(world)?;
    watch::start(world, &Options::default())?;
    for controller in controllers::BOTH {
        controllers::restart_leader(world, controller)?;
    }
    let start = clock::now();
    world.kill9("api-1")?;
    world.start("api-1")?;
    world.wait_ready(Duration::from_secs(60))?;
    let took = clock::since(start);
    world.quiet_for(watch::SETTLED)?;

    world.packet_burst(Duration::from_secs(1))?;
    // A hold would end 30 s after the restart began: look past it.
    world.quiet_for(Duration::from_secs(35).saturating_sub(took))?;
    ensure!(world.mails().is_empty(), "something was mailed");
    Ok(())
}

/// One after the other on apiservers of the minor version before.
fn main_faults(world: &mut World) -> Result<()> {
    let version = output(world.kubectl()?.args(["get", "--raw", "/version"]))?;
    let minor = OLDER_APISERVER.rsplit('-').next().unwrap_or_default();
    ensure!(version.contains(&format!("\"gitVersion\": \"v{minor}.")), "these are no apiservers of {minor}: {version}");
    for faulty in [killed_apiservers, frozen_apiserver, dead_vip, frozen_quorum, full_etcd, expired_certificate] {
        faulty(world)?;
        world.refresh()?;
    }
    Ok(())
}

/// The kernel clock of a machine without NTP is unsynchronised by itself; the resolver is an address where nobody is.
fn dead_dns(world: &mut World) -> Result<()> {
    let resolvers = vec!["10.89.0.99:53".to_owned()];
    watch::start(world, &Options { resolvers, ..Options::default() })?;
    let fault = hard("all apiservers killed, DNS dead", "all apiservers are down");
    watch::drill(world, &fault, kill_apiservers, start_apiservers)?;
    Ok(())
}
