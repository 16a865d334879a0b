//! Credentials that are replaced under the running daemon: no look is missed, and the old ones are no longer needed.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::clock;
use crate::drill::Drill;
use crate::pki::Life;
use crate::rbac;
use crate::vedette::{NAME, Options};
use crate::world::World;

use super::watch;

pub(crate) const DRILLS: &[Drill] =
    &[Drill::new("credentials_are_rotated_and_a_bad_reload_is_refused_without_a_missed_look", rotated)];

/// The certificates vedette starts with end a minute after they were issued, so whoever went on with them would be
/// refused by apiservers and etcd alike.
fn rotated(world: &mut World) -> Result<()> {
    let issued = clock::now();
    present(world, Life::LastMinute)?;
    let timing = vec![("files_interval".to_owned(), "5s".to_owned())];
    watch::start(world, &Options { timing, ..Options::default() })?;
    let before = failed(world)?;

    clock::pass(Duration::from_secs(3));
    present(world, Life::Year)?;

    // Meanwhile somebody saves a configuration with a mistake in it, and then the good one again.
    let config = world.folder.join("vedette.yaml");
    let good = fs::read_to_string(&config)?;
    fs::write(&config, good.replace("apiservers:", "apiserver:"))?;
    hang_up(world)?;
    let reloaded = "vedette_config_last_reload_successful";
    let is = |world: &World, value: f64| world.page("/metrics").is_ok_and(|page| page.series(reloaded) == Some(value));
    clock::wait_until("the mistake to be refused", Duration::from_secs(15), || is(world, 0.0))
        .with_context(|| world.what_vedette_said())?;
    fs::write(&config, good)?;
    hang_up(world)?;
    clock::wait_until("the good configuration to be taken", Duration::from_secs(15), || is(world, 1.0))
        .with_context(|| world.what_vedette_said())?;

    // Past the end of the first certificates, and long enough for every look after it.
    clock::pass(Duration::from_secs(90).saturating_sub(clock::since(issued)));
    let after = failed(world)?;
    ensure!(before == after, "looks failed or were skipped: {before:?}, then {after:?}\n{}", world.what_vedette_said());
    let page = world.page("/metrics")?;
    ensure!(!page.body.contains("level=\"critical\""), "an alarm stands:\n{}", world.what_vedette_said());
    Ok(())
}

/// Issues vedette's client certificates anew, and its kubeconfig with them.
fn present(world: &World, life: Life) -> Result<()> {
    world.pki.rotate_client("vedette", life)?;
    world.pki.rotate_client("etcd/vedette", life)?;
    rbac::kubeconfig(&rbac::vedette(&world.folder), &world.pki, "vedette")
}

fn hang_up(world: &mut World) -> Result<()> {
    let pid = i32::try_from(world.server(NAME)?.id()?).ok().and_then(Pid::from_raw).context("no process number")?;
    kill_process(pid, Signal::HUP).context("SIGHUP to vedette")
}

/// Series of looks that did not end well, and ticks that were skipped.
fn failed(world: &World) -> Result<Vec<String>> {
    let page = world.page("/metrics")?;
    let is_bad = |line: &&str| {
        line.starts_with("vedette_probes_total") && !line.contains("outcome=\"ok\"")
            || line.starts_with("vedette_looks_skipped_total")
    };
    Ok(page.body.lines().filter(is_bad).map(str::to_owned).collect())
}
