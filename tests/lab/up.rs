//! `up`: a lab for a person. Brings a world up, says how to reach it, and stays.
//!
//! With a terminal it takes one-key faults on lines of their own. Ctrl-C ends it at any time: the outer
//! process then takes everything down, so nothing here has to.

use std::env;
use std::fs;
use std::io::{self, BufRead, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::clock;
use crate::faults::etcdctl_flags;
use crate::isolate::{WINDOW, WINDOW_ADDRESS};
use crate::mail::Mail;
use crate::net::{self, Place};
use crate::pki::Life;
use crate::tools::Tools;
use crate::vedette::{BINARY, LISTEN, Options, Relay};
use crate::world::{Extent, World};

/// How often mailboxes are looked at.
const GLANCE: Duration = Duration::from_millis(300);

const KEYS: &str = concat!(
    "Break something: a digit and Enter, and watch the mail arrive below.\n\n",
    "  1 kill both apiservers      2 freeze api-2           3 stop the VIP\n",
    "  4 freeze two etcd members   5 fill etcd (NOSPACE)    6 cut the bastion off\n",
    "  7 expired certificate on api-1                       8 let the whole site fall silent\n",
    "  0 heal everything           q quit (or Ctrl-C); nothing is left behind",
);

/// Sets a mail off from what the lab says itself.
const RULE: &str = "------------------------------------------------------------------------";

/// What `up` was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// Run vedette on it as well.
    pub(crate) vedette: bool,
    /// A command to run on the bastion instead of staying.
    pub(crate) exec: Option<String>,
}

/// Brings a world up and stays until told to go.
pub(crate) fn run(request: &Request, folder: &Path, volatile: &Path, tools: &Tools) -> Result<ExitCode> {
    println!("lab: bringing up etcd, kube-apiserver, HAProxy and mail servers");
    let start = clock::now();
    let mut world = World::up(folder, volatile, tools, Extent::Whole)?;
    println!("lab: up after {:.1} s\n", clock::since(start).as_secs_f64());
    let relay = if world.no_postfix.is_some() { Relay::StartTls } else { Relay::Postfix };
    let files = vec![world.folder.join("pki")];
    let config = world.write_vedette_config(&Options { relay, files, ..Options::default() })?;
    write_scripts(&world)?;
    open_window(&world)?;
    println!("{}\n", directions(&world, &config, request.vedette));
    if request.vedette {
        watch(&mut world, &config)?;
    }
    if let Some(command) = &request.exec {
        let mut shell = world.network.command(Place::Bastion, "sh");
        shell.args(["-c", command]).envs(environment(&world, &config));
        let code = shell.status()?.code().unwrap_or(1);
        return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
    }
    println!("\n{KEYS}\n");
    stay(&mut world)?;
    Ok(ExitCode::SUCCESS)
}

/// Starts vedette and shows what it sees first.
fn watch(world: &mut World, config: &Path) -> Result<()> {
    world.start_vedette(config)?;
    let started = clock::wait_until("vedette to serve its pages", Duration::from_secs(20), || {
        world.page("/healthz").is_ok_and(|answer| answer.status == 200)
    });
    if let Err(error) = started {
        return Err(error.context(world.what_vedette_said()));
    }
    println!("vedette probe --all {}\n", config.display());
    let mut probe = world.network.command(Place::Bastion, BINARY);
    probe.args(["probe", "--all"]).arg(config).status()?;
    Ok(())
}

/// Takes keys and tells of mails until the person wants to go.
fn stay(world: &mut World) -> Result<()> {
    let (keys, input) = mpsc::channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if keys.send(line).is_err() {
                break;
            }
        }
    });
    let mut told = 0;
    let mut fault = clock::now();
    loop {
        match input.recv_timeout(GLANCE) {
            Ok(key) if key.trim() == "q" => return Ok(()),
            Ok(key) => match press(world, key.trim()) {
                Ok(Some(at)) => fault = at,
                Ok(None) => println!("{KEYS}"),
                Err(error) => println!("lab: {error:#}"),
            },
            Err(RecvTimeoutError::Timeout) => {}
            // Input has ended, as with a lab in the background: stay until a signal comes.
            Err(RecvTimeoutError::Disconnected) => clock::pass(GLANCE),
        }
        let mut mails = world.mails();
        mails.extend(world.postfix_mails()?);
        mails.sort_by_key(|mail| mail.arrived);
        for mail in mails.iter().skip(told) {
            announce(world, mail, told, fault)?;
            told += 1;
        }
    }
}

/// Does what a key stands for, and says when it took effect; nothing for an unknown key.
fn press(world: &mut World, key: &str) -> Result<Option<Instant>> {
    let (what, at) = match key {
        "1" => {
            let at = world.kill9("api-1")?;
            world.kill9("api-2")?;
            ("both apiservers are killed", at)
        }
        "2" => (
            "api-2 is frozen: it accepts connections and answers nothing, and the VIP still sends connections there",
            world.freeze("api-2")?,
        ),
        "3" => ("the VIP is stopped, its instances are not", world.stop("vip")?),
        "4" => {
            world.freeze("etcd-1")?;
            ("etcd has lost quorum: etcd-1 and etcd-2 are frozen", world.freeze("etcd-2")?)
        }
        "5" => ("etcd is full and takes no more writes", world.fill_etcd()?),
        "6" => (
            "the bastion is cut off: vedette is mute now, and tells of it after its return if that took a minute",
            world.network.cut(Place::Bastion)?,
        ),
        "7" => ("api-1 serves an expired certificate", world.replace_certificate(1, Life::Expired)?),
        "8" => ("no server of the site answers any more, and nobody refuses", silence(world)?),
        "0" => {
            println!("lab: healing");
            ("all is well again; the all-clear waits for 15 s of good looks", heal(world)?)
        }
        _ => return Ok(None),
    };
    println!("lab: {what}");
    Ok(Some(at))
}

/// As when a site loses its power: what vedette needs for itself is elsewhere and stays.
fn silence(world: &mut World) -> Result<Instant> {
    for place in [1, 2, 3].map(Place::Etcd).into_iter().chain([1, 2].map(Place::Api)) {
        world.network.cut(place)?;
    }
    world.network.cut(Place::Vip)
}

fn heal(world: &mut World) -> Result<Instant> {
    world.network.heal()?;
    for name in ["etcd-1", "etcd-2", "etcd-3", "api-1", "api-2", "vip"] {
        if world.server(name)?.is_running() {
            world.thaw(name)?;
        } else {
            world.start(name)?;
        }
    }
    if !world.etcd_alarms()?.is_empty() {
        world.free_etcd()?;
    }
    world.replace_certificate(1, Life::Year)?;
    world.wait_ready(Duration::from_secs(60))?;
    Ok(clock::now())
}

/// Prints a mail as a person would read it, and leaves it as a file.
fn announce(world: &World, mail: &Mail, number: usize, fault: Instant) -> Result<()> {
    let file = world.folder.join(format!("mail/{:03}.txt", number + 1));
    let text = format!("Subject: {}\nMessage-ID: {}\n\n{}", mail.subject, mail.message_id, mail.text);
    crate::pki::write(&file, &text, 0o644)?;
    let after = mail.arrived.saturating_duration_since(fault).as_secs_f64();
    println!("\nlab: mail {} arrived {after:.1} s after the last key took effect; {}", number + 1, file.display());
    println!("{RULE}\nSubject: {}\n\n{}\n{RULE}\n", mail.subject, mail.text.trim());
    Ok(())
}

fn directions(world: &World, config: &Path, is_watched: bool) -> String {
    let here = world.folder.display();
    let mails = match &world.no_postfix {
        None => "Postfix (10.89.0.50:25)".to_owned(),
        Some(why) => format!("the programmable server (10.89.0.50:2525), for want of Postfix: {why}"),
    };
    let config = config.display();
    let vedette = if is_watched {
        let address = env::var(WINDOW_ADDRESS).unwrap_or_default();
        format!(
            "metrics        http://{address}/metrics      (of the vedette that runs here)\n\
             vedette        {here}/bin/vedette probe {config}"
        )
    } else {
        format!("vedette        {here}/bin/vedette run {config}")
    };
    format!(
        "{vedette}\n\
         mails          {here}/mail      (taken by {mails})\n\
         kubectl        {here}/bin/kubectl get namespaces      (contexts vip, api-1, api-2)\n\
         etcdctl        {here}/bin/etcdctl endpoint status -w table\n\
         any command    {here}/bin/bastion COMMAND...      (runs it on the bastion)\n\
         kubeconfigs    {here}/admin.kubeconfig  {here}/vedette.kubeconfig\n\
         certificates   {here}/pki\n\
         logs           {here}/logs"
    )
}

fn environment(world: &World, config: &Path) -> Vec<(&'static str, String)> {
    vec![
        ("VEDETTE_LAB", world.folder.display().to_string()),
        ("VEDETTE_BINARY", BINARY.to_owned()),
        ("VEDETTE_CONFIG", config.display().to_string()),
        ("KUBECONFIG", crate::rbac::admin(&world.folder).display().to_string()),
    ]
}

/// Writes commands into `bin` that reach the lab from any shell of the same user.
fn write_scripts(world: &World) -> Result<()> {
    let here = world.folder.display();
    // The lab's user namespace has to be joined first when there is one.
    let user = if fs::read_to_string("/proc/self/uid_map")?.split_whitespace().eq(["0", "0", "4294967295"]) {
        ""
    } else {
        "--user --preserve-credentials "
    };
    let pid = world.folder.with_file_name("pid");
    let bastion = format!(
        "#!/bin/sh\nexec nsenter --target \"$(cat {})\" {user}--mount --wd=\"$PWD\" -- \\\n    nsenter --net={} -- \"$@\"\n",
        pid.display(),
        world.network.handle(Place::Bastion).display()
    );
    let kubectl = format!(
        "#!/bin/sh\nKUBECONFIG={here}/admin.kubeconfig KUBECACHEDIR={here}/kubectl-cache \\\n    exec {here}/bin/bastion {} \"$@\"\n",
        world.tools.path("kubectl")?.display()
    );
    let etcdctl = format!(
        "#!/bin/sh\nexec {here}/bin/bastion {} {} \"$@\"\n",
        world.tools.path("etcdctl")?.display(),
        etcdctl_flags(&world.pki, world.size).join(" ")
    );
    let vedette = format!("#!/bin/sh\nexec {here}/bin/bastion {BINARY} \"$@\"\n");
    for (name, text) in [("bastion", bastion), ("kubectl", kubectl), ("etcdctl", etcdctl), ("vedette", vedette)] {
        crate::pki::write(&world.folder.join("bin").join(name), &text, 0o755)?;
    }
    Ok(())
}

/// Leads connections from the outer process's window to vedette on the bastion's loopback.
fn open_window(world: &World) -> Result<()> {
    let listener = UnixListener::bind(world.folder.with_file_name(WINDOW))?;
    let handle = world.network.handle(Place::Bastion);
    thread::spawn(move || {
        for outside in listener.incoming().flatten() {
            let inside = net::inside(&handle, || Ok(TcpStream::connect(LISTEN)?));
            // With nobody listening the connection is closed, which is what the caller would see there.
            if let Ok(inside) = inside {
                thread::spawn(move || pass_on(&outside, &inside).is_ok());
            }
        }
    });
    Ok(())
}

fn pass_on(outside: &UnixStream, inside: &TcpStream) -> io::Result<()> {
    thread::scope(|scope| {
        scope.spawn(move || {
            let sent = io::copy(&mut (&*outside).take(u64::MAX), &mut &*inside);
            inside.shutdown(std::net::Shutdown::Write).is_ok() && sent.is_ok()
        });
        io::copy(&mut &*inside, &mut &*outside)?;
        (&*outside).flush()?;
        outside.shutdown(std::net::Shutdown::Both)
    })
}
