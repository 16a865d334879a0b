//! `vedette run` on the farm, as a user would start it: its configuration, its process, its own figures.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::Row;
use crate::closed_port::Reserved;
use crate::farm;
use crate::pki::{Pki, SERVER};
use crate::{peak, process};

/// What is asked beside the probes that are counted, in the order in which it came into being, and is turned off.
const UNASKED: [&str; 3] = ["flow_control", "apiserver_metrics", "zpages"];

/// What a scrape takes.
#[derive(Debug, Default)]
pub(crate) struct Scrape {
    /// Octets of the body as it is.
    pub(crate) plain: u64,
    /// Octets of the body by gzip.
    pub(crate) gzip: u64,
    /// The most memory resident while it was read, in bytes.
    pub(crate) peak: u64,
}

/// The running daemon.
pub(crate) struct Watcher {
    child: Child,
    listens_at: Reserved,
}

impl Watcher {
    /// Starts it on the targets of `row`.
    pub(crate) fn start(pki: &Pki, port: u16, row: &Row) -> Result<Self> {
        let listens_at = Reserved::new()?;
        let store = tempfile::Builder::new().prefix("load-").tempdir_in(pki.folder())?.keep();
        let config = store.join("vedette.yaml");
        let program = std::env::var_os("VEDETTE").unwrap_or_else(|| env!("CARGO_BIN_EXE_vedette").into());
        let (listen, place) = (listens_at.address.to_string(), store.display().to_string());
        // A build of before one of these probes does not know its key, and has nothing to turn off.
        for known in (0..=UNASKED.len()).rev() {
            fs::write(&config, configuration(pki, port, row, &listen, &place, &UNASKED[..known])?)?;
            let checked = Command::new(&program).args(["check", "--offline"]).arg(&config).output()?;
            if checked.status.success() {
                break;
            }
        }
        let log = fs::File::create(store.join("log"))?;
        let child = Command::new(&program)
            .arg("run")
            .arg(&config)
            // As its service does.
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting vedette")?;
        Ok(Self { child, listens_at })
    }

    /// Waits until every probe was made once.
    pub(crate) fn wait_seen_everything(&mut self, interval: Duration) -> Result<()> {
        let (start, limit) = (Instant::now(), interval * 3 + Duration::from_secs(30));
        while start.elapsed() < limit {
            if let Some(status) = self.child.try_wait()? {
                bail!("vedette ended: {status}");
            }
            if self.page("/readyz").is_ok_and(|page| page.starts_with("HTTP/1.0 200")) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        bail!("vedette was not ready after {limit:?}")
    }

    /// CPU booked on it so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        process::cpu(self.child.id())
    }

    /// Its resident memory.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        process::resident_bytes(self.child.id())
    }

    /// Reads its metrics as often as that, as a Prometheus would, plain and by gzip in turns.
    pub(crate) fn scrape(&self, times: usize) -> Result<Scrape> {
        peak::forget(self.child.id())?;
        let mut scrape = Scrape::default();
        for _ in 0..times {
            scrape.plain = body_octets(&self.ask("/metrics", "")?)?;
            scrape.gzip = body_octets(&self.ask("/metrics", "Accept-Encoding: gzip\r\n")?)?;
        }
        scrape.peak = peak::bytes(self.child.id())?;
        Ok(scrape)
    }

    /// What it says of itself when something is not as it should be; empty else.
    pub(crate) fn self_report(&self) -> Result<String> {
        let page = self.page("/metrics")?;
        let value = |name: &str| {
            page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok()).unwrap_or_default()
        };
        let mut text = String::new();
        for name in ["vedette_probes_skipped_total ", "vedette_probes_lost_total ", "vedette_probes_discarded_total "] {
            if value(name) > 0.0 {
                write!(text, "  {name}{}", value(name))?;
            }
        }
        // What is only listed (one instance, no etcd to see) is so by the farm's making.
        let is_fault = |line: &&str| line.starts_with("vedette_findings{") && !line.contains("severity=\"info\"");
        let bad = page.lines().filter(is_fault).count();
        if bad > 0 {
            write!(text, "  {bad} alarms")?;
        }
        Ok(text)
    }

    /// Ends it as systemd would.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.ok_or_else(|| anyhow!("no pid"))?, rustix::process::Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }

    fn page(&self, path: &str) -> Result<String> {
        Ok(String::from_utf8(self.ask(path, "")?)?)
    }

    fn ask(&self, path: &str, header: &str) -> Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.listens_at.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: load\r\n{header}\r\n")?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Octets behind the head of an answer.
fn body_octets(answer: &[u8]) -> Result<u64> {
    let head =
        answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(|| anyhow!("an answer without end"))?;
    Ok(u64::try_from(answer.len() - head - 4)?)
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn configuration(pki: &Pki, port: u16, row: &Row, listen: &str, store: &str, unasked: &[&str]) -> Result<String> {
    let unasked: String = unasked.iter().map(|key| format!("    {key}: false\n")).collect();
    let file = |name: &str| format!("{{ file: {} }}", pki.file(name).display());
    let mut text = format!(
        "vantage: {{ name: bench, listen: \"{listen}\", store: {store}/vedette.db, resolvers: [] }}\n\
         timing: {{ readyz_interval: {}ms, version_interval: 1h }}\nclusters:\n",
        row.interval.as_millis()
    );
    for cluster in 0..row.targets.div_ceil(row.each) {
        write!(text, "  - name: c{cluster}\n{unasked}")?;
        write!(text, "    credentials: {{ ca: {}", file("ca.crt"))?;
        if row.mutual {
            write!(text, ", client_certificate: {}, client_key: {}", file("client.crt"), file("client.key"))?;
        }
        text.push_str(" }\n    apiservers:\n");
        for n in (cluster * row.each..(cluster + 1) * row.each).take_while(|n| *n < row.targets) {
            writeln!(
                text,
                "      - {{ name: t{n}, address: \"{}:{port}\", server_name: {SERVER} }}",
                farm::address(n)
            )?;
        }
    }
    Ok(text)
}
