//! A resolver in the mail place that knows the lab's servers by name: dnsmasq, without any server behind it.
//!
//! Its drill makes it the machine's resolver, for the processes of this lab alone.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::clock;
use crate::drill::Skipped;
use crate::net::{self, PLACES, Place};
use crate::pki;
use crate::process::Server;
use crate::world::World;

/// Its name among the world's servers.
pub(crate) const NAME: &str = "resolver";

/// Where it listens.
pub(crate) fn address() -> String {
    format!("{}:53", Place::Mail.ip())
}

/// Bound on every wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts it, makes it the only resolver of this lab, and waits for its first answer: before that, the SIGHUP of
/// [`lead`] would end it.
///
/// # Errors
/// [`Skipped`] without dnsmasq; else what the mount said, or that it does not answer.
pub(crate) fn start(world: &mut World) -> Result<()> {
    if Command::new("dnsmasq").arg("--version").output().is_err() {
        return Err(Skipped("no dnsmasq (Debian: dnsmasq-base)".into()).into());
    }
    let mut arguments: Vec<String> = [
        "--keep-in-foreground",
        "--no-resolv",
        "--no-hosts",
        "--bind-interfaces",
        "--log-facility=-",
        "--user=root",
        "--group=root",
        "--pid-file=",
        "--conf-file=/dev/null",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.push(format!("--listen-address={}", Place::Mail.ip()));
    arguments.push(format!("--addn-hosts={}", records(world).display()));
    write_records(world, &[])?;
    let log = world.folder.join("logs/resolver.log");
    world.add(Server::new(NAME, Place::Mail, "dnsmasq", arguments, log));

    let list = world.folder.join("resolv.conf");
    pki::write(&list, &format!("nameserver {}\noptions timeout:1 attempts:1\n", Place::Mail.ip()), 0o644)?;
    // The lab has a mount namespace of its own, so nobody else sees this.
    net::run(Command::new("mount").arg("--bind").arg(&list).arg("/etc/resolv.conf"))?;
    world.start(NAME)?;
    says(world, Place::Vip, Place::Vip.ip())
}

/// Lets the names of `moved` lead to these addresses from now on, and all others where they always did.
///
/// # Errors
/// When the records cannot be written, or the resolver does not say so.
pub(crate) fn lead(world: &mut World, moved: &[(Place, Ipv4Addr)]) -> Result<()> {
    write_records(world, moved)?;
    read_again(world)?;
    moved.iter().try_for_each(|(place, ip)| says(world, *place, *ip))
}

/// Lets the name of `place` lead to a second address as well from now on.
///
/// # Errors
/// As those of [`lead`].
pub(crate) fn lead_also(world: &mut World, place: Place, ip: Ipv4Addr) -> Result<()> {
    let mut text = std::fs::read_to_string(records(world))?;
    writeln!(text, "{ip} {}", place.name())?;
    pki::write(&records(world), &text, 0o644)?;
    read_again(world)?;
    says(world, place, ip)
}

/// dnsmasq(8): SIGHUP clears the cache and reads the hosts files again.
fn read_again(world: &mut World) -> Result<()> {
    let id = world.server(NAME)?.id()?.to_string();
    net::run(Command::new("kill").args(["-HUP", &id]))
}

/// Waits until the name of `place` leads to `ip`, as the bastion sees it.
fn says(world: &World, place: Place, ip: Ipv4Addr) -> Result<()> {
    let name = place.name();
    let asked = || net::output(world.network.command(Place::Bastion, "getent").args(["ahostsv4", &name]));
    clock::wait_until(&format!("{name} to lead to {ip}"), PATIENCE, || {
        asked().is_ok_and(|said| said.lines().any(|line| line.split_whitespace().next() == Some(&ip.to_string())))
    })
    .map(drop)
}

fn records(world: &World) -> PathBuf {
    world.folder.join("resolver.hosts")
}

fn write_records(world: &World, moved: &[(Place, Ipv4Addr)]) -> Result<()> {
    let mut text = String::new();
    for place in PLACES {
        let ip = moved.iter().find(|(known, _)| *known == place).map_or(place.ip(), |(_, ip)| *ip);
        writeln!(text, "{ip} {}", place.name())?;
    }
    pki::write(&records(world), &text, 0o644)
}
