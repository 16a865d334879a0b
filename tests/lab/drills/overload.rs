//! Overload of the apiservers by one client: told within a minute with who does it, and ended by the object of the mail.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::clock;
use crate::drill::Drill;
use crate::net::{Place, output};
use crate::storm::{self, Storm, USER};
use crate::vedette::{NAME, Options};
use crate::world::World;

use super::watch::{self, CRITICAL, SETTLED};

pub(crate) const DRILLS: &[Drill] =
    &[Drill::new("a_storm_of_lists_is_told_with_who_does_it_and_ends_by_the_object_of_the_mail", storm_of_lists)
        .alone()
        .when_full()];

/// Clients, as many as the nodes of a cluster of fair size.
const CLIENTS: u16 = 200;
/// What each of them lists.
const OBJECTS: u32 = 20_000;
/// How long an overload may last before it is told, and how much later who does it may follow.
const TOLD: Duration = Duration::from_secs(60);
const NAMED: Duration = Duration::from_secs(30);
/// What has queued up is answered or given up after a minute; then come good probes for as long as an all-clear needs.
const CLEARED: Duration = Duration::from_secs(150);
/// Above this our own processor was short, and what was measured is not vedette.
const LONGEST_LAG: f64 = 0.25;

fn storm_of_lists(world: &mut World) -> Result<()> {
    storm::prepare(world, OBJECTS)?;
    watch::start(world, &Options::default())?;
    // The apiservers share one processor, vedette and the rest have the other.
    for name in ["api-1", "api-2"] {
        keep_on(world, name, 0)?;
    }
    keep_on(world, NAME, 1)?;
    world.quiet_for(SETTLED)?;

    let began = clock::now();
    let storm = Storm::begin(world, CLIENTS)?;
    let outcome = told_and_ended(world, began);
    let counted = storm.counted();
    println!("the storm: {counted}");
    drop(storm);
    outcome.with_context(|| format!("{counted}\n{}", world.what_vedette_said()))
}

/// The part during which the clients go on, whatever happens to their requests.
fn told_and_ended(world: &mut World, began: Instant) -> Result<()> {
    let first = world.await_mails(1, TOLD)?[0].clone();
    world.table.note("storm of lists", began, first.arrived);
    ensure!(first.subject.contains(CRITICAL), "{}", first.subject);
    ensure!(first.subject.contains("the API is overloaded"), "{}\n{}", first.subject, first.text);

    let names = |text: &str| text.contains(USER) && text.contains("list configmaps");
    let naming = clock::wait_for("a mail that says who does it", NAMED, || {
        Ok(world.mails().into_iter().find(|mail| names(&mail.text)))
    })?;
    world.table.note("storm of lists: who does it", began, naming.arrived);
    ensure!(naming.thread_root() == first.thread_root(), "two threads");
    ensure!(world.mails().len() <= 2, "{} mails", world.mails().len());
    let lag = world.page("/metrics")?.series("vedette_loop_lag_seconds").context("no vedette_loop_lag_seconds")?;
    ensure!(lag <= LONGEST_LAG, "void: vedette itself was {lag} s late\n{}", first.text);

    // By an administrator's certificate straight at an instance, as the mail says.
    let before = world.mails().len();
    let object = object_of(world, &naming.text)?;
    let applied = clock::now();
    clock::wait_for("the object to be applied", Duration::from_secs(60), || {
        Ok(output(at_instance(world)?.args(["apply", "-f"]).arg(&object)).ok())
    })?;
    let clear = clock::wait_for("the all-clear", CLEARED, || {
        Ok(world.mails().into_iter().find(|mail| mail.subject.starts_with("[RESOLVED")))
    })?;
    world.table.note("storm of lists: object applied to all-clear", applied, clear.arrived);
    ensure!(clear.thread_root() == first.thread_root(), "two threads");
    ensure!(world.mails().len() == before + 1, "{} mails", world.mails().len());
    output(at_instance(world)?.args(["delete", "-f"]).arg(&object)).map(drop)
}

/// Lets all threads of a server run on one processor only.
fn keep_on(world: &mut World, name: &str, processor: u8) -> Result<()> {
    let process = world.server(name)?.id()?.to_string();
    output(Command::new("taskset").args(["-a", "-p", "-c", &processor.to_string(), &process])).map(drop)
}

/// A `kubectl` for the first instance, not for the VIP.
fn at_instance(world: &World) -> Result<Command> {
    let mut kubectl = world.kubectl()?;
    kubectl.arg(format!("--server=https://{}:6443", Place::Api(1).ip()));
    Ok(kubectl)
}

/// The file of the object that a mail prints, with the name that its commands use.
fn object_of(world: &World, text: &str) -> Result<PathBuf> {
    let printed = text.split_once("\nOBJECT\n").context("no object in the mail")?.1;
    let manifest = printed.split_once("apiVersion:").context("no manifest in the mail")?.1;
    let manifest = manifest.split("\n\n").next().unwrap_or_default();
    let name = text.split_whitespace().find(|word| word.starts_with("vedette-throttle-") && word.ends_with(".yaml"));
    let path = world.folder.join(name.context("no file's name in the mail")?);
    fs::write(&path, format!("apiVersion:{manifest}\n"))?;
    Ok(path)
}
