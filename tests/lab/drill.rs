//! Runs drills, each in a fresh world, and reports as a test harness does. `lanes.rs` runs three at a time.
//!
//! A drill is a function that gets a running world and fails by an error. What it cannot have makes it
//! skip, by returning [`Skipped`]; on a build server, where CI=true, a skip is a failure.

use std::collections::BTreeSet;
use std::env;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

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
    /// Whether it boots a machine of its own.
    pub(crate) boots: bool,
    wants: Option<Extra>,
}

impl Drill {
    /// A drill on a whole world, run always. The name is the fact it claims:
    /// `a_frozen_apiserver_is_mailed_once`.
    pub(crate) const fn new(name: &'static str, run: fn(&mut World) -> Result<()>) -> Self {
        Self { name, run, tier: Tier::Short, extent: Extent::Whole, boots: false, wants: None }
    }

    /// The same, run with `--full` only.
    pub(crate) const fn when_full(self) -> Self {
        Self { tier: Tier::Full, ..self }
    }

    /// The same, which boots a machine (`machine.rs`), whose root has to be there before.
    pub(crate) const fn on_a_machine(self) -> Self {
        Self { boots: true, ..self }
    }

    /// The same, with prometheus and promtool among the tools, which are not built for the others.
    pub(crate) const fn with_prometheus(self) -> Self {
        Self { wants: Some(Extra::Prometheus), ..self }
    }

    /// The same, with what only hosts of a control plane have among the tools: kubeadm, kubelet and the like.
    pub(crate) const fn with_host_tools(self) -> Self {
        Self { wants: Some(Extra::Hosts), ..self }
    }

    /// The same, with other versions of etcd among the tools.
    pub(crate) const fn with_other_etcds(self) -> Self {
        Self { wants: Some(Extra::Etcds), ..self }
    }

    /// The same, with talosctl among the tools.
    pub(crate) const fn with_talosctl(self) -> Self {
        Self { wants: Some(Extra::Talos), ..self }
    }

    /// The same, with many members and apiservers.
    pub(crate) const fn on_a_large_cluster(self) -> Self {
        Self { extent: Extent::Large, ..self }
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
    /// Whether this run is one lane of a larger one, which prints the sum.
    pub(crate) is_lane: bool,
}

impl Choice {
    fn matches(&self, drill: &Drill, name: &str) -> bool {
        if self.is_lane { drill.name == name } else { drill.name.contains(name) }
    }

    /// The programs that any of the chosen drills needs beside those of every world.
    pub(crate) fn extras(&self) -> BTreeSet<Extra> {
        self.drills().iter().filter_map(|drill| drill.wants).collect()
    }

    /// The chosen drills.
    pub(crate) fn drills(&self) -> Vec<&'static Drill> {
        DRILLS
            .iter()
            .flat_map(|family| family.iter())
            .filter(|drill| self.full || drill.tier == Tier::Short)
            .filter(|drill| self.names.is_empty() || self.names.iter().any(|name| self.matches(drill, name)))
            .collect()
    }
}

/// How many drills ended how.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) passed: u32,
    pub(crate) failed: Vec<&'static str>,
    pub(crate) skipped: u32,
}

/// Runs the chosen drills in `volatile` and prints the outcome.
pub(crate) fn run(choice: &Choice, volatile: &Path, tools: &Tools) -> ExitCode {
    let mut tally = Tally::default();
    let mut table = Table::default();
    let drills = choice.drills();
    if !choice.is_lane {
        println!("\nrunning {} drills", drills.len());
    }
    for (number, drill) in drills.into_iter().enumerate() {
        let name = format!("drill-{number}");
        let start = clock::now();
        let outcome = run_one(drill, &volatile.join(&name), tools, &mut table);
        let secs = clock::since(start).as_secs_f64();
        let Err(error) = outcome else {
            println!("test drill::{} ... ok ({secs:.1} s)", drill.name);
            tally.passed += 1;
            continue;
        };
        if error.downcast_ref::<Skipped>().is_some() && !skip_is_failure() {
            println!("test drill::{} ... ignored, {error}", drill.name);
            tally.skipped += 1;
        } else {
            println!("test drill::{} ... FAILED ({secs:.1} s)\n    {error:#}\n", drill.name);
            tally.failed.push(drill.name);
        }
    }
    if choice.is_lane {
        table.lines().for_each(|line| println!("{line}"));
        return if tally.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    tally.conclude(&table)
}

/// Prints that nothing could be run; a failure on a build server only.
pub(crate) fn skip_all(choice: &Choice, why: &Skipped) -> ExitCode {
    let mut tally = Tally::default();
    for drill in choice.drills() {
        println!("test drill::{} ... ignored, {why}", drill.name);
        if skip_is_failure() {
            tally.failed.push(drill.name);
        } else {
            tally.skipped += 1;
        }
    }
    if choice.is_lane {
        return if tally.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    tally.conclude(&Table::default())
}

/// All files of a drill lie in memory: a disk that is busy with builds stalls whoever reads or writes it for a minute, and
/// the drill would then find what that does instead of what its fault does.
fn run_one(drill: &Drill, folder: &Path, tools: &Tools, table: &mut Table) -> Result<()> {
    let mut world = World::up(folder, &folder.join("volatile"), tools, drill.extent)?;
    let outcome = (drill.run)(&mut world);
    table.append(&mut world.table);
    if let Err(error) = &outcome
        && error.downcast_ref::<Skipped>().is_none()
    {
        print!("{}", world.what_vedette_said());
    }
    drop(world);
    // Junk and databases of a finished drill would add up on the memory file system.
    fs::remove_dir_all(folder)?;
    outcome
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
