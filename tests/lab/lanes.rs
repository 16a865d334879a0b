//! Three drills at a time: they mostly wait, for holds and for silence, so three share two cores without harm.
//!
//! Each drill is a process of its own with namespaces of its own; this one hands them out and adds up.

use std::collections::{BTreeSet, VecDeque};
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result};

use crate::drill::{Choice, Drill, Tally};
use crate::machine;
use crate::table::Table;
use crate::tools::Tools;

/// The option that makes a run one lane of a larger one.
pub(crate) const LANE: &str = "--lane";

/// Drills at a time, unless the variable says otherwise; timing is best with 1.
const LANES: usize = 3;
const LANES_VARIABLE: &str = "VEDETTE_LAB_LANES";

/// Runs the chosen drills and prints the sum.
pub(crate) fn run(choice: &Choice) -> Result<ExitCode> {
    // Once, and before the first drill: what is missing is built here. Where something cannot be had that only some
    // drills want, only those are skipped, each by itself.
    Tools::find(&BTreeSet::new())?;
    for extra in choice.extras() {
        drop(Tools::find(&[extra].into()));
    }
    let program = env::current_exe().context("finding this program")?;
    let drills = choice.drills();
    if drills.iter().any(|drill| drill.boots) {
        machine::prepare()?;
    }
    // What was just built reaches the disk half a minute later, and the first drills would read programs beside it.
    rustix::fs::sync();
    println!("\nrunning {} drills", drills.len());
    let lanes = env::var(LANES_VARIABLE).ok().and_then(|text| text.parse().ok()).unwrap_or(LANES);
    let queue: Mutex<VecDeque<&'static Drill>> = Mutex::new(drills.into());
    let sum = Mutex::new((Tally::default(), Table::default()));
    thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.pop_front());
                    let Some(drill) = next else { break };
                    let mut command = Command::new(&program);
                    command.args(["drill", LANE, drill.name]);
                    if choice.full {
                        command.arg("--full");
                    }
                    run_one(drill, &mut command, &sum);
                }
            });
        }
    });
    let (tally, table) = sum.into_inner().unwrap_or_default();
    if choice.full && choice.names.is_empty() {
        record(&tally, &table)?;
    }
    Ok(tally.conclude(&table))
}

/// The last full run stands beside the drills, for those who read them without a lab.
const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/RESULTS.md");

fn record(tally: &Tally, table: &Table) -> Result<()> {
    let Tally { passed, failed, skipped } = tally;
    let failed = if failed.is_empty() { "none".to_owned() } else { failed.join(", ") };
    let text = format!(
        "# The last full run of the drills\n\n\
         Written by `cargo test --test lab -- --full`: every drill, with the versions that `tests/lab/tools` pins, {LANES} \
         at a time\non two cores, and a debug build of vedette. Each figure is one fault.\n\n\
         Passed: {passed}. Failed: {failed}. Skipped: {skipped}.\n\n\
         Seconds from cause to effect:\n\n```\n{table}\n```\n"
    );
    fs::write(RECORD, text).with_context(|| format!("writing {RECORD}"))
}

/// Runs one drill; its lines are printed together when it has ended.
fn run_one(drill: &'static Drill, command: &mut Command, sum: &Mutex<(Tally, Table)>) {
    let mut lines = Vec::new();
    let mut figures = Table::default();
    let ended = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().and_then(|mut child| {
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if !figures.read(&line) {
                    lines.push(line);
                }
            }
        }
        child.wait()
    });
    let is_good = ended.is_ok_and(|status| status.success());
    let was_skipped = lines.iter().any(|line| line.contains("... ignored"));
    println!("{}", lines.join("\n"));
    if let Ok(mut sum) = sum.lock() {
        sum.1.append(&mut figures);
        match (is_good, was_skipped) {
            (true, true) => sum.0.skipped += 1,
            (true, false) => sum.0.passed += 1,
            (false, _) => sum.0.failed.push(drill.name),
        }
    }
}
