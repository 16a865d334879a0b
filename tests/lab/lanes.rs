//! Several drills at a time: they mostly wait, for holds and for silence, so some share two cores without harm.
//!
//! Each lane is a process of its own with namespaces of its own; this one hands out the drills and adds up. A lane ends
//! with a drill that leaves traces, and goes on, with its control plane, after one that does not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result};

use crate::drill::{self, Choice, Drill, ENDED, Skipped, Tally};
use crate::machine;
use crate::table::Table;
use crate::tools::{Extra, Tools};

/// The option that makes a run a lane: it reads names of drills.
pub(crate) const LANE: &str = "--lane";

/// Drills at a time, unless the variable says otherwise; timing is best with 1.
const LANES: usize = 4;
const LANES_VARIABLE: &str = "VEDETTE_LAB_LANES";

/// What all lanes share.
struct Driver {
    program: PathBuf,
    /// Programs that only some drills want and that are there.
    extras: Vec<Extra>,
    /// Those that are not, and why.
    missing: BTreeMap<Extra, Skipped>,
    queue: Mutex<VecDeque<&'static Drill>>,
    sum: Mutex<(Tally, Table)>,
}

/// Runs the chosen drills and prints the sum.
pub(crate) fn run(choice: &Choice) -> Result<ExitCode> {
    let drills = choice.drills();
    // Once, and before the first drill: what is missing is built here. Where something cannot be had that only some
    // drills want, only those are skipped.
    if let Err(error) = Tools::find(&BTreeSet::new()) {
        let why = error.downcast::<Skipped>()?;
        let mut tally = Tally::default();
        drills.iter().for_each(|drill| tally.count(drill, &[drill::skip(drill, &why)]));
        return Ok(tally.conclude(&Table::default()));
    }
    let (mut extras, mut missing) = (Vec::new(), BTreeMap::new());
    for extra in choice.extras() {
        match Tools::find(&[extra].into()) {
            Ok(_) => extras.push(extra),
            Err(error) => drop(missing.insert(extra, error.downcast::<Skipped>()?)),
        }
    }
    if drills.iter().any(|drill| drill.boots) {
        machine::prepare()?;
    }
    // What was just built reaches the disk half a minute later, and the first drills would read programs beside it.
    rustix::fs::sync();
    println!("\nrunning {} drills", drills.len());
    let (alone, together): (Vec<_>, Vec<_>) = drills.into_iter().partition(|drill| drill.measures);
    let lanes = env::var(LANES_VARIABLE).ok().and_then(|text| text.parse().ok()).unwrap_or(LANES);
    let driver = Driver {
        program: env::current_exe().context("finding this program")?,
        extras,
        missing,
        queue: Mutex::default(),
        sum: Mutex::default(),
    };
    for (drills, lanes) in [(together, lanes), (alone, 1)] {
        if let Ok(mut queue) = driver.queue.lock() {
            queue.extend(drills);
        }
        thread::scope(|scope| {
            for _ in 0..lanes {
                scope.spawn(|| driver.drive());
            }
        });
    }
    let (tally, table) = driver.sum.into_inner().unwrap_or_default();
    if choice.full && choice.names.is_empty() {
        record(&tally, &table)?;
    }
    Ok(tally.conclude(&table))
}

impl Driver {
    /// Runs drills in one lane after the other until none is left.
    fn drive(&self) {
        let mut kept = None;
        loop {
            let next = self.queue.lock().ok().and_then(|mut queue| queue.pop_front());
            let Some(drill) = next else { return };
            let (mut lines, mut figures) = (Vec::new(), Table::default());
            if let Some(why) = drill.wants.iter().find_map(|extra| self.missing.get(extra)) {
                lines.push(drill::skip(drill, why));
            } else {
                if !drill.is_tidy {
                    kept = None;
                }
                match kept.take().map_or_else(|| Lane::begin(self), Ok) {
                    Ok(mut lane) => {
                        let is_whole = lane.run(drill, &mut lines, &mut figures);
                        kept = Some(lane).filter(|_| is_whole && drill.is_tidy);
                    }
                    Err(error) => lines.push(format!("no lane: {error:#}")),
                }
            }
            println!("{}", lines.join("\n"));
            if let Ok(mut sum) = self.sum.lock() {
                sum.0.count(drill, &lines);
                sum.1.append(&mut figures);
            }
        }
    }
}

/// A process that runs drills one after the other. It ends when dropped.
struct Lane {
    process: Child,
    names: Option<ChildStdin>,
    lines: Option<Lines<BufReader<ChildStdout>>>,
}

impl Lane {
    fn begin(driver: &Driver) -> Result<Self> {
        let mut command = Command::new(&driver.program);
        command.args(["drill", LANE]).args(driver.extras.iter().map(|extra| extra.option()));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (names, lines) = (process.stdin.take(), process.stdout.take().map(|out| BufReader::new(out).lines()));
        Ok(Self { process, names, lines })
    }

    /// Runs one drill; what it prints is printed when it has ended. Returns whether the lane is still there.
    fn run(&mut self, drill: &Drill, lines: &mut Vec<String>, figures: &mut Table) -> bool {
        let asked = self.names.as_mut().is_some_and(|names| writeln!(names, "{}", drill.name).is_ok());
        for line in self.lines.iter_mut().flatten().map_while(Result::ok) {
            if line == ENDED {
                return asked;
            }
            // The kernel or the system refuses what a lab is made of.
            if let Some(why) = line.strip_prefix(NO_LAB) {
                lines.push(drill::skip(drill, &Skipped(why.to_owned())));
            } else if !figures.read(&line) {
                lines.push(line);
            }
        }
        false
    }
}

/// Stands before the reason why a lane could not begin.
pub(crate) const NO_LAB: &str = "no lab: ";

impl Drop for Lane {
    fn drop(&mut self) {
        // It ends when there are no more names.
        self.names = None;
        drop(self.process.wait());
    }
}

impl Tally {
    /// Counts a drill by what was printed of it; one that printed nothing of itself has failed.
    fn count(&mut self, drill: &Drill, lines: &[String]) {
        let verdict =
            |word: &str| lines.iter().any(|line| line.starts_with(&format!("test drill::{} ... {word}", drill.name)));
        match (verdict("ok"), verdict("ignored")) {
            (true, _) => self.passed += 1,
            (false, true) => self.skipped += 1,
            (false, false) => self.failed.push(drill.name),
        }
    }
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
