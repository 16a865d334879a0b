//! Credentials that are replaced under the running daemon: no probe is missed, and the old ones are no longer needed.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::clock;
use crate::drill::Drill;
use crate::pki::{self, Life};
use crate::rbac;
use crate::vedette::{NAME, Options};
use crate::world::World;

use super::{listeners, watch};

/// The longest time between two attempts at one mail, and some for a busy machine.
const AFTER_BACKOFF: Duration = Duration::from_secs(45);

pub(crate) const DRILLS: &[Drill] = &[
    Drill::new("credentials_are_rotated_and_a_bad_reload_is_refused_without_a_missed_look", rotated).tidy(),
    Drill::new("mail_refused_for_a_rotated_password_goes_out_once_the_file_has_the_new_one", mail_password)
        .without_cluster(),
];

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
    ensure!(!page.body.contains("severity=\"critical\""), "an alarm stands:\n{}", world.what_vedette_said());
    Ok(())
}

/// The relay's password is changed first, its file later, and in between somebody has to be paged.
fn mail_password(world: &mut World) -> Result<()> {
    let config = listeners::plain_members(world)?;
    world.start_vedette(&config)?;
    watch::ready(world)?;

    world.smtp.change_password("two-carrier-pigeons");
    world.kill9("etcd-2")?;
    world.kill9("etcd-3")?;
    clock::wait_until("a login to be refused", watch::TOO_LATE, || world.smtp.refused_logins() > 0)
        .with_context(|| world.what_vedette_said())?;
    world.quiet_for(watch::SETTLED)?;
    let logins = world.smtp.refused_logins();
    ensure!(logins == 1, "the relay was shown a password {logins} times that it had refused");

    let rotated = clock::now();
    pki::write(&world.folder.join("mail-password"), "two-carrier-pigeons", 0o600)?;
    let mails = watch::said(world, 1, AFTER_BACKOFF)?;
    world.table.note("mail password rotated to the mail that was refused", rotated, mails[0].arrived);
    ensure!(mails[0].subject.contains("etcd has lost quorum"), "'{}'", mails[0].subject);
    world.quiet_for(watch::SETTLED)?;

    // And the next mail needs neither a restart nor a second thought.
    world.start("etcd-2")?;
    world.start("etcd-3")?;
    let mails = watch::said(world, 2, watch::CLEARED)?;
    ensure!(mails[1].subject.starts_with("[RESOLVED") && mails[1].thread_root() == mails[0].thread_root());
    ensure!(world.smtp.refused_logins() == 1, "a login was refused after the rotation");
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

/// Series of probes that did not end well, and ticks that were skipped.
fn failed(world: &World) -> Result<Vec<String>> {
    let page = world.page("/metrics")?;
    // The z-pages need a right of their own, which vedette has not here.
    let is_zpage = |line: &str| line.contains("probe=\"statusz\"") || line.contains("probe=\"flagz\"");
    let is_bad = |line: &&str| {
        line.starts_with("vedette_probes_total") && !line.contains("outcome=\"ok\"") && !is_zpage(line)
            || line.starts_with("vedette_probes_skipped_total")
    };
    Ok(page.body.lines().filter(is_bad).map(str::to_owned).collect())
}
