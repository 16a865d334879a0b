//! Runs drills and reports as a test harness does. `lanes.rs` runs several at a time.
//!
//! A drill gets a fresh world, or, where it leaves no trace, the one that another such drill has left: then vedette, its
//! store, the mails and the certificates are fresh, and etcd, the apiservers and the balancer have run for a while.
//!
//! A drill is a function that gets a running world and fails by an error. What it cannot have makes it
//! skip, by returning [`Skipped`]; on a build server, where CI=true, a skip is a failure.

use std::collections::BTreeSet;
use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use ::vedette::store::recording;
use anyhow::Result;

use crate::clock;
use crate::drills::DRILLS;
use crate::table::Table;
use crate::tools::{Extra, Tools};
use crate::world::{Extent, World};

/// When a drill is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tier {
    /// Always.
    Short,
    /// With `--full` only.
    Full,
}

/// One drill.
pub(crate) struct Drill {
    /// The fact it claims.
    pub(crate) name: &'static str,
    run: fn(&mut World) -> Result<()>,
    tier: Tier,
    extent: Extent,
    /// Whether it mends whatever it breaks, so that the next such drill can have its world.
    pub(crate) is_tidy: bool,
    /// Whether it measures what the machine can do, so that no other may run beside it.
    pub(crate) measures: bool,
    /// Whether it boots a machine of its own.
    pub(crate) boots: bool,
    /// Programs that it needs beside those of every world.
    pub(crate) wants: &'static [Extra],
}

impl Drill {
    /// A drill on a whole world, run always. The name is the fact it claims:
    /// `a_frozen_apiserver_is_mailed_once`.
    pub(crate) const fn new(name: &'static str, run: fn(&mut World) -> Result<()>) -> Self {
        Self {
            name,
            run,
            tier: Tier::Short,
            extent: Extent::Whole,
            is_tidy: false,
            measures: false,
            boots: false,
            wants: &[],
        }
    }

    /// The same, which mends whatever it breaks, and does not mind what the control plane has been through.
    pub(crate) const fn tidy(self) -> Self {
        Self { is_tidy: true, ..self }
    }

    /// The same, which has the machine to itself when all others have ended.
    pub(crate) const fn alone(self) -> Self {
        Self { measures: true, ..self }
    }

    /// The same, run with `--full` only.
    pub(crate) const fn when_full(self) -> Self {
        Self { tier: Tier::Full, ..self }
    }

    /// The same, which boots a machine (`machine.rs`), whose root has to be there before.
    pub(crate) const fn on_a_machine(self) -> Self {
        Self { boots: true, ..self }
    }

    /// The same, with these among the tools, which are not built for the others.
    pub(crate) const fn with(self, wants: &'static [Extra]) -> Self {
        Self { wants, ..self }
    }

    /// The same, with many members and apiservers.
    pub(crate) const fn on_a_large_cluster(self) -> Self {
        Self { extent: Extent::Large, ..self }
    }

    /// The same, with kube-apiservers of the minor version before.
    pub(crate) const fn on_the_older_kubernetes(self) -> Self {
        Self { extent: Extent::Older, wants: &[Extra::OlderKubernetes], ..self }
    }

    /// The same, in a world whose control plane is not started, which is up at once.
    pub(crate) const fn without_cluster(self) -> Self {
        Self { extent: Extent::MailOnly, ..self }
    }
}

/// Something is missing on this machine, and what.
#[derive(Debug)]
pub(crate) struct Skipped(pub(crate) String);

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "skipped: {}", self.0)
    }
}

impl std::error::Error for Skipped {}

/// Which drills to run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choice {
    /// Parts of names, any of which must match; none means all.
    pub(crate) names: Vec<String>,
    /// Whether [`Tier::Full`] counts.
    pub(crate) full: bool,
}

impl Choice {
    /// The programs that any of the chosen drills needs beside those of every world.
    pub(crate) fn extras(&self) -> BTreeSet<Extra> {
        self.drills().iter().flat_map(|drill| drill.wants).copied().collect()
    }

    /// The chosen drills, in the order in which they are begun: first those that want a whole world of their own, then
    /// those that share one, then those that need no control plane.
    pub(crate) fn drills(&self) -> Vec<&'static Drill> {
        let mut drills: Vec<&Drill> = all()
            .filter(|drill| self.full || drill.tier == Tier::Short)
            .filter(|drill| self.names.is_empty() || self.names.iter().any(|name| drill.name.contains(name)))
            .collect();
        drills.sort_by_key(|drill| (drill.extent == Extent::MailOnly, drill.is_tidy));
        drills
    }
}

fn all() -> impl Iterator<Item = &'static Drill> {
    DRILLS.iter().flat_map(|family| family.iter())
}

/// How many drills ended how.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) passed: u32,
    pub(crate) failed: Vec<&'static str>,
    pub(crate) skipped: u32,
}

/// What a lane prints when a drill has ended and it waits for the name of the next.
pub(crate) const ENDED: &str = "drill ended";

/// One lane: runs the drills whose names it reads, as long as there are any, in `volatile`.
pub(crate) fn serve(volatile: &Path, tools: &Tools) -> ExitCode {
    let mut kept = None;
    for (number, name) in io::stdin().lines().map_while(Result::ok).enumerate() {
        let Some(drill) = all().find(|drill| drill.name == name) else { continue };
        let mut table = Table::default();
        let (start, before) = (clock::now(), clock::cpu_seconds());
        let outcome = run_one(drill, &volatile.join(format!("drill-{number}")), &mut kept, tools, &mut table);
        let (secs, cpu) = (clock::since(start).as_secs_f64(), clock::cpu_seconds() - before);
        match outcome {
            Ok(()) => println!("test drill::{name} ... ok ({secs:.1} s, {cpu:.1} s of CPU)"),
            Err(error) => match error.downcast_ref::<Skipped>() {
                Some(why) => println!("{}", skip(drill, why)),
                None => println!("test drill::{name} ... FAILED ({secs:.1} s)\n    {error:#}\n"),
            },
        }
        table.lines().for_each(|line| println!("{line}"));
        println!("{ENDED}");
    }
    drop(kept);
    ExitCode::SUCCESS
}

/// Says that a drill could not be run, and why; a failure on a build server.
pub(crate) fn skip(drill: &Drill, why: &Skipped) -> String {
    let verdict = if skip_is_failure() { "FAILED" } else { "ignored" };
    format!("test drill::{} ... {verdict}, {why}", drill.name)
}

/// Runs a drill on the world that the one before it has left in order, or on a new one.
///
/// All files of a drill lie in memory: a disk that is busy with builds stalls whoever reads or writes it for a minute, and
/// the drill would then find what that does instead of what its fault does.
fn run_one(drill: &Drill, folder: &Path, kept: &mut Option<World>, tools: &Tools, table: &mut Table) -> Result<()> {
    let used = kept.take().and_then(|mut world| match world.refresh() {
        Ok(()) if drill.is_tidy => Some(world),
        Ok(()) | Err(_) => end(world).ok().and(None),
    });
    let mut world = match used {
        Some(world) => world,
        None => World::up(folder, &folder.join("volatile"), tools, drill.extent)?,
    };
    let outcome = (drill.run)(&mut world);
    table.append(&mut world.table);
    if let Err(error) = &outcome
        && error.downcast_ref::<Skipped>().is_none()
    {
        print!("{}", world.what_vedette_said());
        if let Err(error) = leave_recordings(&world.recordings(), drill.name) {
            println!("    no recording is left: {error:#}");
        }
    }
    if outcome.is_ok() && drill.is_tidy {
        *kept = Some(world);
    } else {
        end(world)?;
    }
    outcome
}

/// Takes a world down. Junk and databases of a finished drill would add up on the memory file system.
fn end(world: World) -> Result<()> {
    let folder = world.folder.clone();
    drop(world);
    Ok(fs::remove_dir_all(folder)?)
}

/// Copies what vedette recorded in a failed drill to where it outlives the drill, and says how it is replayed.
fn leave_recordings(recordings: &Path, drill: &str) -> Result<()> {
    let files = recording::in_order(recordings)?;
    if files.is_empty() {
        return Ok(());
    }
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("recordings").join(format!("drill.{drill}"));
    fs::remove_dir_all(&place).ok();
    fs::create_dir_all(&place)?;
    for file in &files {
        fs::copy(file, place.join(file.file_name().unwrap_or_default()))?;
    }
    println!("    this drill is recorded: vedette replay {}", place.display());
    Ok(())
}

fn skip_is_failure() -> bool {
    env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

impl Tally {
    pub(crate) fn conclude(self, table: &Table) -> ExitCode {
        if !table.is_empty() {
            println!("\nseconds from cause to effect\n{table}");
        }
        for name in &self.failed {
            println!("failed: drill::{name}");
        }
        let (verdict, failed) = (if self.failed.is_empty() { "ok" } else { "FAILED" }, self.failed.len());
        println!("\ntest result: {verdict}. {} passed; {failed} failed; {} ignored", self.passed, self.skipped);
        println!("{} passed, {failed} failed", self.passed);
        if self.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
