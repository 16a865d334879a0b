//! A Debian that is booted by a real systemd, in a container on the bastion, for what only an init can show.
//!
//! Its root comes from `tools/root.sh`, is shared by all runs and never written to: what a run changes lives in
//! memory and ends with it. It shares the bastion's network, so the lab's mail server and pages are reachable.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::clock;
use crate::drill::Skipped;
use crate::net::{Place, output};
use crate::process::Server;
use crate::world::World;

/// Its name among the world's servers.
pub(crate) const NAME: &str = "machine";
/// Where it sees the folder it was given.
pub(crate) const SOURCE: &str = "/src";
/// Booting takes two seconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// In a control group of its own: two containers in one group take each other for themselves.
const BOOT: &str = r#"
for tree in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    [ -e "$tree/cgroup.procs" ] || continue
    mkdir -p "$tree/$1" && echo $$ >"$tree/$1/cgroup.procs"
done
exec systemd-nspawn --quiet --register=no --keep-unit --resolv-conf=off --timezone=off --link-journal=no \
    --volatile=overlay --bind-ro="$3:/src" --console=pipe --directory="$2" --boot
"#;

/// A booted machine. It is the world's server [`NAME`], and ends with the world.
pub(crate) struct Machine {
    /// Process number of its init, as the lab sees it.
    init: String,
    group: String,
}

/// Builds the root where it is missing; asked before the lab isolates itself, because that needs the network.
pub(crate) fn prepare() -> Result<()> {
    // What cannot be had is said again when a drill asks for it.
    root(&[]).map(drop).or_else(|error| if error.downcast_ref::<Skipped>().is_some() { Ok(()) } else { Err(error) })
}

impl Machine {
    /// Boots; `source` is seen inside as [`SOURCE`].
    ///
    /// # Errors
    /// [`Skipped`] with what is missing.
    pub(crate) fn boot(world: &mut World, source: &Path) -> Result<Self> {
        let root = root(&["--no-build"])?;
        let group = format!("vedette-lab-{}", std::process::id());
        let words = ["-c", BOOT, "boot", &group, &root.display().to_string(), &source.display().to_string()];
        let log = world.folder.join("logs/machine.log");
        world.add(Server::new(NAME, Place::Bastion, "sh", words.map(str::to_owned).to_vec(), log));
        world.start(NAME)?;
        let id = world.server(NAME)?.id()?;
        let children = format!("/proc/{id}/task/{id}/children");
        let booted = clock::wait_for("the machine to boot", PATIENCE, || {
            // The first child is a midwife; its successor is the init.
            let Some(init) = fs::read_to_string(&children)?.split_whitespace().next().map(str::to_owned) else {
                return Ok(None);
            };
            let machine = Self { init, group: group.clone() };
            let state = machine.run("systemctl is-system-running || true")?;
            Ok((state.trim() == "running").then_some(machine))
        });
        match booted {
            Ok(machine) => Ok(machine),
            Err(error) => Err(error.context(world.server(NAME)?.last_words())),
        }
    }

    /// Runs a shell script as root inside, to its end, and returns what it printed.
    ///
    /// # Errors
    /// When a command of it fails; its error output is the message.
    pub(crate) fn run(&self, script: &str) -> Result<String> {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.init, "--mount", "--pid", "--uts", "--ipc", "--net", "--", "sh", "-euc", script]);
        output(&mut command)
    }

    /// Starts a shell script as root inside; dropping it lets it go on.
    pub(crate) fn start(&self, script: &str) -> Result<std::process::Child> {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.init, "--mount", "--pid", "--uts", "--ipc", "--net", "--", "sh", "-euc", script]);
        command.spawn().context("starting nsenter")
    }

    /// What systemd says of a property of a unit.
    pub(crate) fn property(&self, unit: &str, property: &str) -> Result<String> {
        self.run(&format!("systemctl show -P {property} {unit}")).map(|text| text.trim().to_owned())
    }

    /// Shuts down in order, and removes the control groups it had.
    pub(crate) fn power_off(self, world: &mut World) -> Result<()> {
        world.server(NAME)?.stop()?;
        for tree in ["systemd", "unified", "."] {
            let group = Path::new("/sys/fs/cgroup").join(tree).join(&self.group);
            if group.is_dir() {
                // A group that is still in use stays; it holds nothing.
                drop(Command::new("find").arg(group).args(["-depth", "-type", "d", "-delete"]).output());
            }
        }
        Ok(())
    }
}

fn root(arguments: &[&str]) -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/tools/root.sh");
    let done = Command::new(&script)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{}", script.display()))?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    if let Some(why) = text.lines().find_map(|line| line.strip_prefix("skipped: ")) {
        return Err(Skipped(why.to_owned()).into());
    }
    if !done.status.success() {
        bail!("{} failed", script.display());
    }
    Ok(PathBuf::from(text.trim()))
}
