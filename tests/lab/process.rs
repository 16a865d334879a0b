//! One server process of the lab: started in its place, killed, frozen, thawed, started again.
//!
//! A server is never restarted by the lab on its own: what a drill kills stays dead until the drill
//! starts it. Output goes to a log file that grows over restarts. All servers live in the lab's
//! process namespace and die with it, whatever happens to the lab.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::clock;
use crate::net::{Network, Place};

/// Time a server gets to end after SIGTERM. A kube-apiserver needs one to two seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// What to run, and where.
pub(crate) struct Server {
    /// The name by which drills call it.
    pub(crate) name: String,
    place: Place,
    program: PathBuf,
    arguments: Vec<String>,
    variables: BTreeMap<String, String>,
    /// Standard output and error of all its runs.
    pub(crate) log: PathBuf,
    child: Option<Child>,
}

impl Server {
    /// Describes a server; nothing runs yet.
    pub(crate) fn new(
        name: &str,
        place: Place,
        program: impl Into<PathBuf>,
        arguments: Vec<String>,
        log: PathBuf,
    ) -> Self {
        Self {
            name: name.to_owned(),
            place,
            program: program.into(),
            arguments,
            variables: BTreeMap::new(),
            log,
            child: None,
        }
    }

    /// Starts it; returns when the process exists, not when it serves.
    pub(crate) fn start(&mut self, network: &Network) -> Result<Instant> {
        if self.is_running() {
            bail!("{} already runs", self.name);
        }
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command: Command = network.command(self.place, &self.program);
        command
            .args(&self.arguments)
            .envs(&self.variables)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A Ctrl-C at the terminal is for the lab, which then ends its servers.
            .process_group(0);
        self.child = Some(command.spawn().with_context(|| format!("starting {}", self.name))?);
        Ok(clock::now())
    }

    /// Whether its process exists; a frozen one does.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Its process number, while it runs.
    pub(crate) fn id(&self) -> Result<u32> {
        self.child.as_ref().map(Child::id).ok_or_else(|| anyhow!("{} has no process", self.name))
    }

    /// Adds an argument for the next start.
    pub(crate) fn add_argument(&mut self, argument: impl Into<String>) {
        self.arguments.push(argument.into());
    }

    /// Sets an environment variable for the next start.
    pub(crate) fn set_variable(&mut self, name: &str, value: impl Into<String>) {
        self.variables.insert(name.to_owned(), value.into());
    }

    /// Sends SIGTERM and does not wait for the end.
    pub(crate) fn terminate(&mut self) -> Result<Instant> {
        self.signal(Signal::TERM)?;
        Ok(clock::now())
    }

    /// Ends it with SIGKILL.
    pub(crate) fn kill9(&mut self) -> Result<Instant> {
        self.signal(Signal::KILL)?;
        let at = clock::now();
        self.reap(PATIENCE)?;
        Ok(at)
    }

    /// Ends it with SIGTERM and waits for the end.
    pub(crate) fn stop(&mut self) -> Result<Instant> {
        self.signal(Signal::TERM)?;
        let at = clock::now();
        self.reap(PATIENCE)?;
        Ok(at)
    }

    /// Stops its execution without ending it; returns once the kernel says it is stopped.
    pub(crate) fn freeze(&mut self) -> Result<Instant> {
        self.signal(Signal::STOP)?;
        let stat = format!("/proc/{}/stat", self.pid()?.as_raw_nonzero());
        clock::wait_until("a process to stop", PATIENCE, || {
            // The state is the first field behind the name, which stands in parentheses.
            fs::read_to_string(&stat).is_ok_and(|text| text.rsplit(") ").next().is_some_and(|s| s.starts_with('T')))
        })
    }

    /// Lets a frozen process run on.
    pub(crate) fn thaw(&mut self) -> Result<Instant> {
        self.signal(Signal::CONT)?;
        Ok(clock::now())
    }

    /// The last lines of the log, for error messages.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        if !self.is_running() {
            bail!("{} does not run; its log ends with\n{}", self.name, self.last_words());
        }
        kill_process(self.pid()?, signal).with_context(|| format!("{signal:?} to {}", self.name))
    }

    fn pid(&self) -> Result<Pid> {
        self.child
            .as_ref()
            .and_then(|child| Pid::from_raw(i32::try_from(child.id()).ok()?))
            .ok_or_else(|| anyhow!("{} has no process", self.name))
    }

    fn reap(&mut self, limit: Duration) -> Result<()> {
        let name = self.name.clone();
        clock::wait_until(&format!("the end of {name}"), limit, || !self.is_running()).map(drop)
    }
}
