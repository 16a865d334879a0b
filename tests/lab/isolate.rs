//! Runs the lab inside namespaces of its own, and cleans up behind it.
//!
//! The process a person starts (the outer one) makes a folder, starts itself again under `unshare` in
//! new mount, network and process namespaces (without root in a new user namespace as well), and waits.
//! Whatever ends first, the kernel ends every process of the lab with the process namespace: when the
//! outer process is killed, `setpriv` sees to it. So labs can run side by side and leave nothing.
//! The outer process also holds the window: a port on the host's loopback that leads to the bastion's,
//! so that a browser sees vedette's pages.

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::{TcpListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};

use crate::clock;
use crate::drill::Skipped;
use crate::tools::{Extra, Tools, search_path};

/// Prefix of the lab's folders below the system's folder for temporary files.
const PREFIX: &str = "vedette-lab-";
/// The unix socket that leads to the bastion's loopback.
pub(crate) const WINDOW: &str = "window.sock";
/// Marks the inner process, and tells it the folder.
pub(crate) const FOLDER: &str = "VEDETTE_LAB_FOLDER";
/// Tells the inner process where the window is on the host.
pub(crate) const WINDOW_ADDRESS: &str = "VEDETTE_LAB_WINDOW";

/// Runs this program again with `arguments` inside, and returns how it ended.
///
/// # Errors
/// [`Skipped`] when the kernel or the system refuses namespaces.
pub(crate) fn run_inside(arguments: &[String], extras: &BTreeSet<Extra>) -> Result<ExitCode> {
    let flags = namespace_flags()?;
    let tools = Tools::find(extras)?;
    remove_dead_labs();
    let folder = tempfile::Builder::new()
        .prefix(PREFIX)
        .permissions(Permissions::from_mode(0o711)) // Postfix passes through as a user of its own.
        .tempdir()
        .context("making the lab's folder")?;
    let lock = File::create(folder.path().join("lock"))?;
    lock.lock()?;
    tools.save(&folder.path().join("tools"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(supervise(folder.path(), &flags, arguments))
}

async fn supervise(folder: &Path, flags: &[&str], arguments: &[String]) -> Result<ExitCode> {
    let window = match TcpListener::bind("127.0.0.1:9876").await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind("127.0.0.1:0").await?,
    };
    let mut child = tokio::process::Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare"])
        .args(flags)
        .arg(env::current_exe()?)
        .args(arguments)
        .env("PATH", search_path())
        .env(FOLDER, folder)
        .env(WINDOW_ADDRESS, window.local_addr()?.to_string())
        .kill_on_drop(true)
        .spawn()
        .context("starting setpriv")?;
    if let Some(pid) = child.id() {
        tokio::task::spawn_blocking({
            let file = folder.join("pid");
            move || note_inner_pid(pid, &file)
        });
    }
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    loop {
        tokio::select! {
            status = child.wait() => {
                let status = status?;
                let code = status.code().or_else(|| status.signal().map(|number| 128 + number)).unwrap_or(1);
                return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
            }
            Ok((mut outside, _)) = window.accept() => {
                let socket = folder.join(WINDOW);
                tokio::spawn(async move {
                    let mut inside = UnixStream::connect(socket).await?;
                    tokio::io::copy_bidirectional(&mut outside, &mut inside).await
                });
            }
            _ = interrupt.recv() => return end(child).await,
            _ = terminate.recv() => return end(child).await,
        }
    }
}

/// Takes the lab down at a signal: the kernel ends everything inside with the process namespace.
async fn end(mut child: tokio::process::Child) -> Result<ExitCode> {
    child.kill().await?;
    Ok(ExitCode::from(130))
}

/// What `unshare` has to make, tried once.
fn namespace_flags() -> Result<Vec<&'static str>> {
    let mut flags = vec!["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    if !rustix::process::geteuid().is_root() {
        flags.extend(["--user", "--map-root-user"]);
        // More than one mapped user is needed by Postfix alone, so it is only taken when it is there.
        if probe(&[flags.as_slice(), &["--map-auto"]].concat()).is_ok() {
            flags.push("--map-auto");
            return Ok(flags);
        }
    }
    match probe(&flags) {
        Ok(()) => Ok(flags),
        Err(why) => Err(Skipped(format!("no namespaces of our own: {why:#}")).into()),
    }
}

fn probe(flags: &[&str]) -> Result<()> {
    let mut unshare = Command::new("unshare");
    crate::net::run(unshare.args(flags).arg("true").env("PATH", search_path()))
}

/// Notes the process number by which the host knows the inner process, for the scripts in `bin`.
fn note_inner_pid(unshare: u32, file: &Path) -> Result<()> {
    let children = format!("/proc/{unshare}/task/{unshare}/children");
    let ours = env::current_exe()?;
    let pid = clock::wait_for("the inner process", Duration::from_secs(10), || {
        let text = fs::read_to_string(&children)?;
        // `unshare` has a short-lived child of its own while it maps users.
        let mut pids = text.split_whitespace();
        Ok(pids.find(|pid| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == ours)).map(str::to_owned))
    })?;
    Ok(fs::write(file, pid)?)
}

/// Removes folders of labs that were killed: nobody holds their lock.
fn remove_dead_labs() {
    for entry in fs::read_dir(env::temp_dir()).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && is_dead(&entry.path()).unwrap_or(false) {
            // Another user's folder stays; that is theirs to remove.
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

fn is_dead(folder: &Path) -> Result<bool> {
    let lock = File::open(folder.join("lock"))?;
    // A lab that is just being made may not hold its lock yet.
    let age = clock::wall().duration_since(lock.metadata()?.modified()?)?;
    Ok(age > Duration::from_secs(60) && lock.try_lock().is_ok())
}

/// Inside: mounts a memory file system for what must be fast, may be foreign-owned, and must vanish.
///
/// etcd syncs every write; on a disk shared with builds that alone elects new leaders.
pub(crate) fn mount_volatile(folder: &Path) -> Result<std::path::PathBuf> {
    let volatile = folder.join("volatile");
    fs::create_dir(&volatile)?;
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "mode=755", "vedette-lab"]).arg(&volatile).stdin(Stdio::null());
    crate::net::run(mount)?;
    Ok(volatile)
}
