//! Certificates on disk: renewed but not loaded, and vedette's own that ends soon.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::clock;
use crate::drill::Drill;
use crate::net::Place;
use crate::pki::{Life, Served};
use crate::vedette::Options;
use crate::world::World;

use super::watch::{self, Fault, TOO_LATE};

pub(crate) const DRILLS: &[Drill] = &[
    Drill::new("a_renewal_that_an_apiserver_has_not_loaded_is_told", not_loaded_by_apiserver).tidy(),
    Drill::new("a_renewal_that_an_etcd_member_has_not_loaded_is_told", not_loaded_by_etcd).tidy(),
    Drill::new("our_own_client_certificate_that_ends_soon_is_told_as_ours", own_ends_soon).tidy(),
];

fn not_loaded_by_apiserver(world: &mut World) -> Result<()> {
    not_loaded(world, Served::Api(1), "api-1: renewed certificate not in use", "10.89.0.31:6443")
}

fn not_loaded_by_etcd(world: &mut World) -> Result<()> {
    not_loaded(
        world,
        Served::Etcd(1),
        "etcd-1: renewed certificate not in use",
        &format!("{}:2379", Place::Etcd(1).ip()),
    )
}

/// Watches a directory that the server does not read from, renews there, and lets the server have it later.
fn not_loaded(world: &mut World, server: Served, symptom: &'static str, address: &str) -> Result<()> {
    let in_use = world.pki.leaf(&server.leaf()).cert;
    let staged = staging(world)?.join("server.crt");
    fs::copy(&in_use, &staged)?;
    watch::start(world, &options(world))?;
    // What is served lies on disk as well: nothing to tell.
    world.quiet_for(Duration::from_secs(8))?;

    world.pki.renew(server, &staged)?;
    let at = clock::now();
    let fault = Fault { what: "renewed on disk, not loaded (5 s guard)", symptom, level: "[WARNING", within: TOO_LATE };
    let mail = watch::told(world, &fault, at)?;
    ensure!(mail.text.contains(&staged.display().to_string()), "the file is missing:\n{}", mail.text);
    ensure!(mail.text.contains(address), "the endpoint is missing:\n{}", mail.text);
    ensure!(mail.text.contains("crictl stop"), "the way out is missing:\n{}", mail.text);

    let fresh = in_use.with_extension("new");
    fs::copy(&staged, &fresh)?;
    fs::rename(&fresh, &in_use)?;
    let mended = clock::now();
    watch::cleared(world, &fault, mended)?;
    Ok(())
}

fn own_ends_soon(world: &mut World) -> Result<()> {
    staging(world)?;
    watch::start(world, &options(world))?;
    let fault = Fault {
        what: "our etcd client certificate ends in 3 days",
        symptom: "vedette's certificate for etcd main: expiry",
        level: "[WARNING",
        within: TOO_LATE,
    };
    let renew =
        |life: Life| move |world: &World| -> Result<Instant> { world.pki.own_etcd_client(life).map(|()| clock::now()) };
    let at = renew(Life::LastDays)(world)?;
    let mail = watch::told(world, &fault, at)?;
    ensure!(mail.text.contains("vedette can no longer probe etcd main"), "the effect is missing:\n{}", mail.text);

    let mended = renew(Life::Year)(world)?;
    watch::cleared(world, &fault, mended)?;
    Ok(())
}

/// A directory that belongs to nobody else.
fn staging(world: &World) -> Result<PathBuf> {
    let folder = world.folder.join("staged");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn options(world: &World) -> Options {
    let timing = [("files_interval", "1s"), ("not_loaded_after", "5s"), ("etcd_tls_interval", "2s")];
    Options {
        files: vec![world.folder.join("staged")],
        timing: timing.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..Options::default()
    }
}
