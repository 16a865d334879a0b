//! The daemon as a service manager and a scraper see it: ready when it is, drained when told, honest when misled.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::closed_port::Reserved;

/// A vedette that watches an apiserver which refuses, on this machine.
pub(crate) struct Daemon {
    child: Child,
    listens_at: Reserved,
    notify: UnixDatagram,
    pub(crate) folder: tempfile::TempDir,
}

/// A port where nobody listens. No socket is given one below 1024 unless it asks for it.
pub(crate) const NOBODY: u16 = 1;

pub(crate) fn configuration(folder: &Path, address: &str) -> PathBuf {
    let file = folder.join("vedette.yaml");
    let text = format!(
        "vantage:\n  name: here\n  listen: {address}\n  store: {}\n  control: off\n  resolvers: []\n\
         clusters:\n  - name: prod\n    credentials: {{}}\n    apiservers:\n      - {{ name: api-1, address: \"127.0.0.1:{NOBODY}\" }}\n",
        folder.join("vedette.db").display(),
    );
    fs::write(&file, text).unwrap();
    file
}

pub(crate) fn start() -> Daemon {
    start_with(|folder, address| drop(configuration(folder, address)))
}

/// A daemon with the configuration that `write` puts into a folder, to answer at an address.
pub(crate) fn start_with(write: impl FnOnce(&Path, &str)) -> Daemon {
    let folder = tempfile::tempdir().unwrap();
    let listens_at = Reserved::new().unwrap();
    write(folder.path(), &listens_at.address.to_string());
    start_in(folder, listens_at)
}

/// A daemon with the configuration that is in `folder`, which makes it answer at `listens_at`.
fn start_in(folder: tempfile::TempDir, listens_at: Reserved) -> Daemon {
    let socket = folder.path().join("notify");
    fs::remove_file(&socket).ok();
    let notify = UnixDatagram::bind(&socket).unwrap();
    notify.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let log = fs::File::options().create(true).append(true).open(folder.path().join("log")).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_vedette"))
        .arg("run")
        .arg(folder.path().join("vedette.yaml"))
        .env("NOTIFY_SOCKET", &socket)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    Daemon { child, listens_at, notify, folder }
}

impl Daemon {
    /// Ends it politely and starts it again with what its folder holds now.
    pub(crate) fn restarted(mut self) -> Self {
        self.signal(Signal::TERM);
        assert!(self.child.wait().unwrap().success());
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        let listens_at = std::mem::replace(&mut self.listens_at, Reserved::new().unwrap());
        start_in(folder, listens_at)
    }

    /// Waits until it has recorded something.
    pub(crate) fn records(&self) {
        let folder = self.folder.path().join("recordings");
        let bytes = || {
            let files = fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok);
            files.filter_map(|file| Some(file.metadata().ok()?.len())).sum::<u64>()
        };
        let before = bytes();
        assert!(within_a_minute(|| bytes() > before + 1000), "{} bytes after {before}", bytes());
    }

    /// Ends it politely.
    pub(crate) fn ended(mut self) -> Self {
        self.signal(Signal::TERM);
        assert!(self.child.wait().unwrap().success());
        self
    }

    /// Waits until `/metrics` has a line that begins with `start`.
    pub(crate) fn shows(&self, start: &str) -> bool {
        within_a_minute(|| self.get("/metrics").lines().any(|line| line.starts_with(start)))
    }

    /// How many probes it has sent, if it answers within five seconds.
    fn probes(&self) -> Option<u64> {
        let mut stream = TcpStream::connect(self.listens_at.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "GET /metrics HTTP/1.0\r\nhost: here\r\n\r\n").ok()?;
        let mut page = String::new();
        stream.read_to_string(&mut page).ok()?;
        let counts = page.lines().filter(|line| line.starts_with("vedette_probes_total{"));
        Some(counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
    }

    /// The value of a metric without labels.
    pub(crate) fn value(&self, metric: &str) -> f64 {
        let page = self.get("/metrics");
        let line = page.lines().find_map(|line| line.strip_prefix(&format!("{metric} ")));
        line.unwrap_or_else(|| panic!("no {metric}")).parse().unwrap()
    }

    /// Waits until a metric without labels is above `value`.
    pub(crate) fn grows(&self, metric: &str, value: f64) -> bool {
        within_a_minute(|| self.value(metric) > value)
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Waits for a message of the daemon to its service manager that holds `text`.
    pub(crate) fn hears(&self, text: &str) -> bool {
        let mut bytes = [0; 1024];
        loop {
            match self.notify.recv(&mut bytes) {
                Ok(count) if String::from_utf8_lossy(&bytes[..count]).contains(text) => return true,
                Ok(_) => {}
                // A process that was stopped and goes on: Linux ends a wait that has a limit.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    /// Where it answers.
    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.listens_at.address
    }

    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.listens_at.address).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nhost: here\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

/// Asks ten times a second whether `holds`.
fn within_a_minute(holds: impl Fn() -> bool) -> bool {
    (0..600).any(|turn| {
        if turn > 0 {
            std::thread::park_timeout(Duration::from_millis(100));
        }
        holds()
    })
}

/// A daemon must not outlive its test.
impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn it_is_ready_when_it_answers_and_drains_when_told() {
    let mut daemon = start();

    assert!(daemon.hears("READY=1"));
    assert!(daemon.get("/healthz").starts_with("HTTP/1.0 200"));
    assert!(daemon.get("/metrics").contains("vedette_build_info"));
    daemon.signal(Signal::TERM);

    assert!(daemon.hears("STOPPING=1"));
    assert!(daemon.child.wait().unwrap().success());
}

#[test]
fn a_taken_port_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    let output = Command::new(env!("CARGO_BIN_EXE_vedette"))
        .arg("run")
        .arg(configuration(folder.path(), &address))
        .output()
        .unwrap();

    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(stderr.contains(&address), "{stderr}");
}

#[test]
fn a_bad_configuration_ends_with_78_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vedette.yaml");
    fs::write(&file, "clusters:\n  - nam: prod\n").unwrap();

    let output = Command::new(env!("CARGO_BIN_EXE_vedette")).arg("run").arg(&file).output().unwrap();

    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("vedette.yaml:2:"));
}

#[test]
fn one_pass_over_a_dead_apiserver_is_critical_by_the_plugin_contract() {
    let folder = tempfile::tempdir().unwrap();
    let file = configuration(folder.path(), "127.0.0.1:9876");
    let probe = |more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_vedette")).args(["probe", "--once"]).arg(&file).args(more).output().unwrap()
    };

    let text = probe(&[]);
    let json = probe(&["--json"]);

    assert_eq!((text.status.code(), json.status.code()), (Some(2), Some(2)));
    assert!(String::from_utf8_lossy(&text.stdout).starts_with("CRITICAL - "), "{text:?}");
    let parsed: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(parsed.is_object());
}

#[test]
fn a_log_that_nobody_reads_delays_no_probe() {
    let (mut log, mut full) = std::io::pipe().unwrap();
    let room = rustix::pipe::fcntl_getpipe_size(&full).unwrap();
    full.write_all(&vec![b'.'; room]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let listens_at = Reserved::new().unwrap();
    let notify = UnixDatagram::unbound().unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_vedette"))
        .arg("run")
        .arg(configuration(folder.path(), &listens_at.address.to_string()))
        .stdout(Stdio::null())
        .stderr(full)
        .spawn()
        .unwrap();
    let mut daemon = Daemon { child, listens_at, notify, folder };

    let is_probing = within_a_minute(|| daemon.probes().is_some_and(|sent| sent > 3));
    assert!(is_probing, "nothing is probed while nobody reads the log");

    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        log.read_to_string(&mut text).map(|_| text)
    });
    daemon.signal(Signal::TERM);
    assert!(daemon.child.wait().unwrap().success());
    let text = reader.join().unwrap().unwrap();
    let said = text.trim_start_matches('.');
    assert!(said.contains(" INFO ") && said.contains("started: 1 clusters"), "{said}");
}
