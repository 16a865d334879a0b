//! The flight recorder: an outage that was recorded is replayed, and a disk that hangs is in nobody's way.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use crate::clock;
use crate::drill::Drill;
use crate::net::Place;
use crate::process::Server;
use crate::vedette::{BINARY, NAME, Options};
use crate::world::World;

use super::watch::{self, CRITICAL, Fault, TOO_LATE, kill_apiservers, start_apiservers};

pub(crate) const DRILLS: &[Drill] = &[
    Drill::new("a_disk_that_hangs_delays_no_page", hung_disk).tidy(),
    Drill::new("a_recorded_outage_replays_to_the_mails_that_were_sent", replayed).tidy(),
];

/// What the kernel is asked for by who writes files.
const WRITES: &str = "write,writev,pwrite64,fsync,fdatasync,openat,ftruncate,rename,renameat2,unlink,unlinkat";
/// Longer than any drill, in microseconds: the call has not returned before the drill ends it.
const FOR_EVER: &str = "600000000";
/// No call of a thread that runs takes that long.
const HUNG: Duration = Duration::from_secs(3);

/// An outage from its first probe to the all-clear, and the same from the files.
fn replayed(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    let fault = Fault {
        what: "all apiservers killed, recorded",
        symptom: "all apiservers are down",
        level: CRITICAL,
        within: TOO_LATE,
    };
    let mails = watch::drill(world, &fault, kill_apiservers, start_apiservers)?;
    world.server(NAME)?.stop()?;

    for folder in [world.recordings(), kept(&world.recordings())?] {
        let replay = replay(world, &folder)?;
        let printed = String::from_utf8_lossy(&replay.stdout);
        ensure!(
            replay.status.success(),
            "{}: {}\n{printed}",
            folder.display(),
            String::from_utf8_lossy(&replay.stderr)
        );
        ensure!(printed.contains("The replay mails the same: 2 mails"), "{}:\n{printed}", folder.display());
        for mail in &mails {
            ensure!(printed.contains(&mail.subject), "'{}' is not in\n{printed}", mail.subject);
        }
    }
    Ok(())
}

/// First only the recorder's writes do not return: what is persisted is not in its way. Then those of the database do not
/// either. strace holds the calls back in the kernel, each in its own thread, as a disk does that no longer answers.
fn hung_disk(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    let recorder = hold_back(world, "recorder")?;
    let outage = |what| Fault { what, symptom: "all apiservers are down", level: CRITICAL, within: TOO_LATE };
    let fault = outage("all apiservers killed, recorder hung");
    watch::drill(world, &fault, kill_apiservers, start_apiservers)?;
    ensure!(is_hung(&recorder), "the recorder's writes return");
    let page = world.page("/metrics")?;
    for line in ["vedette_store_up 1", "vedette_store_write_failures_total 0"] {
        ensure!(page.body.lines().any(|is| is == line), "no '{line}': the recorder is in the way of the database");
    }

    let store = hold_back(world, "store")?;
    world.smtp.forget();
    let fault = outage("all apiservers killed, recorder and database hung");
    watch::drill(world, &fault, kill_apiservers, start_apiservers)?;
    ensure!(is_hung(&store), "the database's writes return");

    // The disk answers again: what was queued meanwhile is recorded, so nothing is missing in what is replayed.
    for thread in ["store", "recorder"] {
        world.server(&holder(thread))?.kill9()?;
    }
    world.server(NAME)?.stop()?;
    let replay = replay(world, &world.recordings())?;
    let printed = String::from_utf8_lossy(&replay.stdout);
    ensure!(replay.status.success(), "{}\n{printed}", String::from_utf8_lossy(&replay.stderr));
    ensure!(printed.contains("The replay mails the same: 4 mails"), "{printed}");
    Ok(())
}

/// From now on, and until its [`holder`] ends, no call to the file system returns in this thread of vedette, whose folder
/// in `/proc` is returned.
fn hold_back(world: &mut World, thread: &str) -> Result<PathBuf> {
    let task = task(&PathBuf::from(format!("/proc/{}/task", world.server(NAME)?.id()?)), thread)?;
    let id = task.file_name().map(|id| id.to_string_lossy().into_owned()).unwrap_or_default();
    let (calls, delay) = (format!("--trace={WRITES}"), format!("--inject={WRITES}:delay_enter={FOR_EVER}"));
    let log = world.folder.join(format!("logs/strace-{thread}.log"));
    let arguments = ["--quiet=all", &calls, &delay, "--attach", &id].map(str::to_owned).into();
    world.add(Server::new(&holder(thread), Place::Bastion, "strace", arguments, log));
    world.start(&holder(thread))?;
    clock::wait_until("strace to be attached", Duration::from_secs(10), || {
        field(&task, "TracerPid:").is_ok_and(|tracer| tracer != "0")
    })
    .with_context(|| world.server(&holder(thread)).map(|server| server.last_words()).unwrap_or_default())?;
    Ok(task)
}

/// Whether a thread is in one call for longer than any call takes that returns: a tracer stops it for an instant only.
fn is_hung(task: &Path) -> bool {
    clock::stays("a call that does not return", HUNG, || field(task, "State:").is_ok_and(|state| state == "t")).is_ok()
}

/// The name of the server that holds back the calls of a thread.
fn holder(thread: &str) -> String {
    format!("strace-{thread}")
}

/// The folder of a thread in `/proc`, by its name.
fn task(tasks: &Path, name: &str) -> Result<PathBuf> {
    let mut found = fs::read_dir(tasks)?.flatten().map(|task| task.path());
    found
        .find(|task| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim_end() == name))
        .ok_or_else(|| anyhow!("vedette has no thread {name}"))
}

/// The first word of a field of a thread's `status`. Its state is `t` while a tracer stops it.
fn field(task: &Path, name: &str) -> Result<String> {
    let status = fs::read_to_string(task.join("status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    Ok(line.and_then(|line| line.split_whitespace().next()).unwrap_or_default().to_owned())
}

/// The folder of the one incident whose beginning is kept.
fn kept(recordings: &Path) -> Result<PathBuf> {
    let folders: Vec<PathBuf> = fs::read_dir(recordings.join("kept"))?.flatten().map(|entry| entry.path()).collect();
    ensure!(folders.len() == 1, "kept is {folders:?}");
    folders.into_iter().next().ok_or_else(|| anyhow!("nothing is kept"))
}

fn replay(world: &World, folder: &Path) -> Result<Output> {
    let mut command = world.network.command(Place::Bastion, Path::new(BINARY));
    Ok(command.arg("replay").arg(folder).output()?)
}
