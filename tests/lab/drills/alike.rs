//! Apiservers that are not alike: flags that differ are told with both values, and a kill loop is a restart loop.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::clock;
use crate::drill::Drill;
use crate::net::{Place, output};
use crate::vedette::{BINARY, Options};
use crate::world::World;

use super::watch::{self, CRITICAL, SETTLED};

pub(crate) const DRILLS: &[Drill] = &[
    Drill::new("flags_that_differ_are_found_and_named", differing_flags),
    Drill::new("an_apiserver_that_is_killed_again_and_again_is_told_as_a_restart_loop", kill_loop).when_full(),
];

/// The optional rights of the repository.
const RIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/rbac/zpages.yaml");

/// A start of an apiserver of the lab, and what vedette needs to see it.
const PATIENCE: Duration = Duration::from_secs(60);

fn grant(world: &World) -> Result<()> {
    output(world.kubectl()?.args(["apply", "-f", RIGHTS])).map(drop)
}

/// Waits for a line of the metrics page that begins and ends like this.
fn wait_metric(world: &World, beginning: &str, value: &str) -> Result<()> {
    let seen = clock::wait_until(beginning, PATIENCE, || {
        world.page("/metrics").is_ok_and(|page| {
            page.body.lines().any(|line| line.starts_with(beginning) && line.ends_with(&format!(" {value}")))
        })
    });
    seen.map(drop)
}

fn differing_flags(world: &mut World) -> Result<()> {
    world.stop("api-2")?;
    world.server("api-2")?.add_argument("--service-node-port-range=31000-32000");
    world.start("api-2")?;
    world.wait_ready(PATIENCE)?;
    grant(world)?;
    let config = world.write_vedette_config(&Options::default())?;
    world.start_vedette(&config)?;
    watch::ready(world)?;
    wait_metric(world, "vedette_cluster_differing_flags{cluster=\"lab\",weight=\"high\"}", "1")?;
    wait_metric(world, "vedette_cluster_differing_flags{cluster=\"lab\",weight=\"low\"}", "0")?;

    // The mail waits for an hour; the status page names the flag before, and one pass of vedette finds it.
    let page = world.page("/status.txt")?.body;
    ensure!(page.contains("differs in service-node-port-range"), "the flag is not named:\n{page}");
    ensure!(!page.contains("advertise-address"), "what is each instance's own is told:\n{page}");
    let mut command = world.network.command(Place::Bastion, BINARY);
    let done = command.args(["probe", "--once"]).arg(&config).output()?;
    let said = String::from_utf8_lossy(&done.stdout);
    ensure!(said.contains("apiservers run with different flags"), "{said}");
    world.quiet_for(SETTLED)
}

/// When api-1 started, as vedette shows it.
fn known_start(world: &World) -> Option<String> {
    let page = world.page("/metrics").ok()?;
    let is_of_it = |line: &&str| {
        line.starts_with("vedette_apiserver_start_timestamp_seconds{") && line.contains("instance=\"api-1\"")
    };
    page.body.lines().find(is_of_it)?.rsplit(' ').next().map(str::to_owned)
}

fn kill_loop(world: &mut World) -> Result<()> {
    grant(world)?;
    watch::start(world, &Options::default())?;
    let starts =
        |page: &str| page.lines().filter(|line| line.starts_with("vedette_apiserver_start_timestamp_seconds{")).count();
    clock::wait_until("both start times", PATIENCE, || {
        world.page("/metrics").is_ok_and(|page| starts(&page.body) == 2)
    })?;
    let mut killed = Vec::new();
    for _ in 0..4 {
        let before = known_start(world);
        killed.push(world.kill9("api-1")?);
        world.start("api-1")?;
        world.wait_ready(PATIENCE)?;
        // One that ends before it was asked when it started is not counted.
        clock::wait_until("its new start to be seen", PATIENCE * 2, || {
            known_start(world).is_some_and(|now| before.as_ref() != Some(&now))
        })?;
    }

    let is_told = |world: &World, level: &str| {
        let mails = world.mails();
        let told =
            mails.into_iter().find(|mail| mail.subject.contains("keeps restarting") && mail.subject.contains(level));
        told.ok_or_else(|| anyhow::anyhow!("no mail of level {level}"))
    };
    let first = clock::wait_for("the restart loop to be told", PATIENCE, || is_told(world, "[").map(Some))?;
    let worst = clock::wait_for("the restart loop to be critical", PATIENCE, || is_told(world, CRITICAL).map(Some))?;
    ensure!(first.text.contains("api-1"), "{}", first.text);
    world.table.note("an apiserver killed four times (told at the second)", killed[1], first.arrived);
    ensure!(first.thread_root() == worst.thread_root(), "'{}' and '{}' are two threads", first.subject, worst.subject);
    Ok(())
}
