//! The vedette that is put among them: its configuration, what its metrics say, what it takes from the machine.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::closed_port::Reserved;

/// Where everything stands.
pub(crate) struct Ground {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) relay: SocketAddr,
    pub(crate) receiver: SocketAddr,
    pub(crate) resolvers: Vec<SocketAddr>,
    pub(crate) apiservers: Vec<(&'static str, SocketAddr)>,
    pub(crate) members: Vec<(&'static str, SocketAddr)>,
}

/// A running `vedette run`; killed when dropped.
pub(crate) struct Watcher {
    child: Child,
    listens_at: Reserved,
}

/// One scrape.
pub(crate) struct Scrape(String);

/// The default plan, except that deadlines leave room for a busy machine and that nothing waits for proof of a path
/// that loopback cannot give.
const TIMING: &str = "timing:\n  etcd_tls_interval: 5s\n  connect_timeout: 5s\n  tls_timeout: 5s\n  etcd_member_timeout: 5s\n  \
                      unproven_after: 2s\n  single_instance_for: 1s\n";

impl Ground {
    /// Nothing but this relay.
    pub(crate) fn of_relay(relay: SocketAddr) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            relay,
            receiver: relay,
            resolvers: Vec::new(),
            apiservers: vec![("nobody", relay)],
            members: Vec::new(),
        }
    }

    /// Writes the configuration; `listen` is vedette's own address.
    pub(crate) fn configuration(&self, listen: SocketAddr) -> PathBuf {
        let here = self.folder.path();
        let resolvers: Vec<String> = self.resolvers.iter().map(|at| format!("\"{at}\"")).collect();
        let mut text = format!(
            "vantage:\n  name: here\n  listen: \"{listen}\"\n  store: {}\n  resolvers: [{}]\n\
             mail:\n  relay: \"{}\"\n  tls: none\n  from: vedette@farm.test\n  to: [oncall@farm.test]\n\
             heartbeat:\n  url: \"http://{}/beat\"\n  interval: 5s\n{TIMING}clusters:\n",
            here.join("vedette.db").display(),
            resolvers.join(", "),
            self.relay,
            self.receiver,
        );
        let ca = here.join("ca.pem");
        for (name, at) in &self.apiservers {
            writeln!(text, "  - name: {name}\n    credentials: {{ ca: {{ file: {} }} }}", ca.display()).unwrap();
            writeln!(text, "    apiservers: [{{ name: a, address: \"{at}\" }}]").unwrap();
        }
        for (name, at) in &self.members {
            writeln!(text, "  - name: {name}\n    credentials: {{}}\n    etcd:\n      - name: e").unwrap();
            writeln!(
                text,
                "        ca: {{ file: {} }}\n        members: [{{ name: a, address: \"{at}\" }}]",
                ca.display()
            )
            .unwrap();
        }
        let file = here.join("vedette.yaml");
        fs::write(&file, text).unwrap();
        file
    }
}

/// vedette with these arguments.
pub(crate) fn command(arguments: &[&str], file: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vedette"));
    command.args(arguments).arg(file).stdin(Stdio::null());
    command
}

impl Watcher {
    pub(crate) fn start(ground: &Ground) -> Self {
        let listens_at = Reserved::new().unwrap();
        let file = ground.configuration(listens_at.address);
        let log = fs::File::create(ground.folder.path().join("log")).unwrap();
        let child = command(&["run"], &file).stderr(log).spawn().unwrap();
        Self { child, listens_at }
    }

    /// The metrics; `None` as long as nobody answers.
    pub(crate) fn scrape(&self) -> Option<Scrape> {
        let mut stream = TcpStream::connect(self.listens_at.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        write!(stream, "GET /metrics HTTP/1.0\r\nhost: here\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(Scrape(answer))
    }

    pub(crate) fn resident_kib(&self) -> u64 {
        status_kib(self.child.id(), "VmRSS:").expect("it runs")
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A line of `/proc/PID/status`, in KiB; `None` when the process is gone.
pub(crate) fn status_kib(pid: u32, key: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key))?.trim().trim_end_matches(" kB").parse().ok()
}

impl Scrape {
    /// Prints what a person wants to see of a run: `cargo test --test hostile -- --nocapture`.
    #[expect(clippy::print_stdout, reason = "the harness shows it on demand, and when the test fails")]
    pub(crate) fn show(&self, resident_kib: &[u64]) {
        let (least, most) = (resident_kib.iter().min().unwrap(), resident_kib.iter().max().unwrap());
        let lag = self.number("vedette_loop_lag_seconds");
        println!("resident {least} to {most} KiB, loop lag {lag:.3} s");
        for line in self.0.lines().filter(|line| line.starts_with("vedette_probes_total{")) {
            println!("{line}");
        }
    }

    /// Probes of `probe` at the only endpoint of `cluster`, by outcome.
    pub(crate) fn outcomes(&self, cluster: &str, probe: &str, connection: &str) -> Vec<(String, u64)> {
        let wanted = [("cluster", cluster), ("probe", probe), ("connection", connection)];
        let of = |line: &str, key: &str| {
            let from = line.find(&format!("{key}=\""))? + key.len() + 2;
            line[from..].split('"').next().map(str::to_owned)
        };
        let lines = self.0.lines().filter(|line| line.starts_with("vedette_probes_total{"));
        let lines = lines.filter(|line| wanted.iter().all(|(key, value)| of(line, key).as_deref() == Some(value)));
        lines.map(|line| (of(line, "outcome").unwrap(), value(line).parse().unwrap())).collect()
    }

    /// The only sample of `name`, labels included.
    pub(crate) fn number(&self, name: &str) -> f64 {
        let line = self.0.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
        value(line.unwrap_or_else(|| panic!("no {name}"))).parse().unwrap()
    }

    /// Samples of `family` about `cluster`.
    pub(crate) fn series(&self, family: &str, cluster: &str) -> usize {
        let cluster = format!("cluster=\"{cluster}\"");
        self.0.lines().filter(|line| line.starts_with(&format!("{family}{{")) && line.contains(&cluster)).count()
    }
}

fn value(line: &str) -> &str {
    line.rsplit(' ').next().unwrap()
}
