//! `vedette certs`: every certificate and credential in files, in kubeconfigs and at endpoints, and when it ends.
//!
//! Needs no daemon and no configuration, and changes nothing. Nothing is lost without a word: what promises a certificate
//! and cannot be read is listed with its reason.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use futures_util::StreamExt as _;
use secrecy::{SecretBox, SecretString};
use zeroize::Zeroizing;

use crate::collect::files::listing::{self, Request};
use crate::collect::served_certificates::ServedCertificates;
use crate::config::duration;
use crate::config::settings::Address;
use crate::daemon::clock;
use crate::model::certificate_files::FileFault;
use crate::model::certificate_list::{CertificateList, ListEvent, Unread};
use crate::model::time::{Clock, Mono};
use crate::render::certificate_calendar;
use crate::render::certificate_list::{self, Listing};

/// The exit code where something could not be read, or the result not be written.
const UNREAD: u8 = 3;
/// Endpoints that are asked at the same time.
const AT_ONCE: usize = 200;
/// Time between the first questions to two endpoints: 100 a second.
const BETWEEN: Duration = Duration::from_millis(10);
/// A file system that shows nothing for so long is called hung, and left behind. Listing a million entries takes less.
const HUNG: Duration = Duration::from_secs(60);
/// How long it must take before its progress is shown, and how often that is drawn.
const PROGRESS: Duration = Duration::from_secs(1);
const DRAWN: Duration = Duration::from_millis(200);
/// Octets of a file with a password.
const MAX_PASSWORD_FILE: usize = 64 * 1024;

/// List certificates in files, kubeconfigs and at endpoints, by what ends first
///
/// Reads PEM, DER, PKCS#7, PKCS#12, Java key stores, kubeconfigs, talosconfigs and the output of 'kubeadm certs
/// check-expiration -o json', and shakes hands with endpoints without showing a credential. Exits 0 when all is well, 1
/// when something ends within --warn, 2 when something has ended, is not yet valid or never is, and 3 when something
/// could not be read; the worst counts, in the order 2, 3, 1, 0.
#[derive(Debug, clap::Args)]
pub(super) struct Certs {
    /// Files, directories, patterns such as '/etc/pki/*.crt', or endpoints as HOST:PORT
    #[arg(required = true, value_name = "PATH|HOST:PORT")]
    targets: Vec<OsString>,

    /// What ends within this time is pointed out
    #[arg(long, value_name = "DURATION", default_value = "30d")]
    warn: Span,

    /// Print one JSON object a line instead of the table
    #[arg(long)]
    json: bool,

    /// Print a calendar (RFC 5545) with an event for each end, and a reminder --warn before it
    ///
    /// What could not be read, and what has no end that is known here, goes to standard error.
    #[arg(long, conflicts_with = "json")]
    ics: bool,

    /// List only what has TEXT in its place or subject, in any case; may be given several times
    #[arg(long, value_name = "TEXT")]
    name: Vec<String>,

    /// List only what has ended or ends within this time, is not yet valid or never is
    ///
    /// What could not be read is listed whatever the filters are; the exit code counts what is listed.
    #[arg(long, value_name = "DURATION")]
    within: Option<Span>,

    /// A file whose only line is a password for PKCS#12 files; may be given several times
    #[arg(long, value_name = "FILE")]
    password_file: Vec<PathBuf>,

    /// An environment variable that holds a password for PKCS#12 files; may be given several times
    #[arg(long, value_name = "NAME")]
    password_env: Vec<String>,

    /// Stop after this time; what was not reached is listed as not read
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    time_limit: Span,
}

/// A duration as it was written.
#[derive(Debug, Clone)]
struct Span {
    text: String,
    length: Duration,
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hint = "write whole numbers with units, such as 30d, 12h or 1d12h";
        let length = duration::parse(text).map_err(|what| format!("{what}; {hint}"))?;
        Ok(Self { text: text.to_owned(), length })
    }
}

/// What an argument means.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    Path(PathBuf),
    Endpoint(Address),
    /// Neither; shown with its reason.
    Neither(String),
}

impl Certs {
    /// Lists; returns 0, 1, 2 or 3, which is also the result when the list cannot be made or written.
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        self.list().or_else(|error| {
            if super::is_closed_pipe(&error) {
                return Err(error);
            }
            // When stderr is closed as well, the error cannot be shown.
            writeln!(io::stderr().lock(), "vedette: {error:#}").ok();
            Ok(ExitCode::from(UNREAD))
        })
    }

    fn list(&self) -> anyhow::Result<ExitCode> {
        let clock = clock::system();
        let passwords: Arc<[SecretString]> = self.passwords()?.into();
        let mut gathering = Gathering::new(clock.clone(), self.time_limit.length);
        let mut endpoints = Vec::new();
        for target in &self.targets {
            match Target::of(target) {
                Target::Path(path) => gathering.path(path, &passwords),
                Target::Endpoint(address) => endpoints.push(address),
                Target::Neither(reason) => {
                    let place = listing::shown(target);
                    gathering.take(ListEvent::Unread(Unread { place, entry: "".into(), reason: reason.into() }));
                }
            }
        }
        gathering.endpoints(endpoints)?;
        let mut list = gathering.finish();

        let now = clock.now().wall;
        for name in list.select(&self.name, self.within.as_ref().map(|within| within.length), now) {
            let place = listing::shown(OsStr::new(&name));
            let reason = "is in no place and no subject: nothing matches this --name".into();
            list.take(ListEvent::Unread(Unread { place, entry: "".into(), reason }));
        }
        let width = super::terminal_width();
        let shown = Listing { list: &list, now, warn: self.warn.length, warn_text: &self.warn.text, width };
        let mut stdout = BufWriter::new(io::stdout().lock());
        if self.json {
            for object in certificate_list::json(shown) {
                stdout.write_all(object.as_bytes())?;
            }
        } else if self.ics {
            for part in certificate_calendar::calendar(shown) {
                stdout.write_all(part.as_bytes())?;
            }
            // When stderr is closed, the exit code still says that something could not be read.
            io::stderr().lock().write_all(certificate_list::beside_calendar(shown).trim_start().as_bytes()).ok();
        } else {
            stdout.write_all(certificate_list::text(shown).as_bytes())?;
        }
        stdout.flush()?;
        Ok(ExitCode::from(list.exit_code(now, self.warn.length)))
    }

    fn passwords(&self) -> anyhow::Result<Vec<SecretString>> {
        let mut passwords = Vec::new();
        for path in &self.password_file {
            let bytes = listing::read_secret(path, MAX_PASSWORD_FILE)
                .map_err(|fault| anyhow::anyhow!("the password file {} {}", path.display(), fault.words()))?;
            let bytes = Zeroizing::new(bytes);
            let text = std::str::from_utf8(&bytes)
                .map_err(|_| anyhow::anyhow!("the password file {} is not UTF-8", path.display()))?;
            passwords.push(secret(text.trim_end_matches(['\r', '\n'])));
        }
        for name in &self.password_env {
            let text = std::env::var(name)
                .map_err(|_| anyhow::anyhow!("the environment variable {name} is not set, or is no text"))?;
            passwords.push(secret(&Zeroizing::new(text)));
        }
        Ok(passwords)
    }
}

fn secret(text: &str) -> SecretString {
    SecretBox::new(text.into())
}

impl Target {
    /// A file of that name is meant as one, whatever else the name could be.
    fn of(argument: &OsStr) -> Self {
        let path = PathBuf::from(argument);
        let Some(text) = argument.to_str().filter(|_| std::fs::symlink_metadata(&path).is_err()) else {
            return Self::Path(path);
        };
        let url = text.strip_prefix("https://").map(|rest| rest.split('/').next().unwrap_or_default());
        let (place, is_endpoint) = (url.unwrap_or(text), url.is_some());
        let is_place = !place.contains('/') && (is_endpoint || place.contains(':'));
        if !is_place {
            return Self::Path(path);
        }
        let with_port = format!("{place}:443");
        match place.parse::<Address>().or_else(|wrong| if is_endpoint { with_port.parse() } else { Err(wrong) }) {
            Ok(address) => Self::Endpoint(address),
            // A pattern may have a colon in it.
            Err(_) if text.contains(['*', '?']) => Self::Path(path),
            Err(wrong) => Self::Neither(format!("is neither a file nor an endpoint: {}; {}", wrong.what, wrong.hint)),
        }
    }
}

/// The list while it grows, and its progress on a terminal.
struct Gathering {
    list: CertificateList,
    clock: Clock,
    begun: Mono,
    until: Mono,
    progress: u64,
    drawn: Option<Mono>,
    is_watched: bool,
}

impl Gathering {
    fn new(clock: Clock, limit: Duration) -> Self {
        let begun = clock.now().mono;
        let is_watched = io::stderr().is_terminal();
        Self {
            list: CertificateList::default(),
            clock,
            begun,
            until: begun.plus(limit),
            progress: 0,
            drawn: None,
            is_watched,
        }
    }

    fn take(&mut self, event: ListEvent) {
        self.progress += u64::from(event == ListEvent::Progress);
        self.list.take(event);
    }

    /// Reads what `path` leads to, on a thread that is left behind when its file system hangs.
    fn path(&mut self, path: PathBuf, passwords: &Arc<[SecretString]>) {
        let (report, reports) = sync_channel(1024);
        let (clock, until, passwords) = (self.clock.clone(), self.until, Arc::clone(passwords));
        let place = listing::shown(path.as_os_str());
        std::thread::spawn(move || {
            let request = Request { passwords: &passwords, clock, until };
            // Nobody listens any more when the file system was called hung.
            listing::list(&path, &request, &mut |event| drop(report.send(event)));
        });
        if let Err(fault) = self.receive(&reports) {
            let reason = fault.words().into();
            self.take(ListEvent::Unread(Unread { place, entry: "".into(), reason }));
        }
    }

    fn receive(&mut self, reports: &Receiver<ListEvent>) -> Result<(), FileFault> {
        let mut heard = self.clock.now().mono;
        loop {
            match reports.recv_timeout(DRAWN) {
                Ok(event) => {
                    self.take(event);
                    // Reading the clock for each of many events would cost more than they do.
                    if self.progress.is_multiple_of(256) {
                        heard = self.draw();
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {
                    let now = self.draw();
                    if now.since(heard) >= HUNG || now >= self.until.plus(HUNG) {
                        return Err(FileFault::Timeout);
                    }
                }
            }
        }
    }

    fn endpoints(&mut self, endpoints: Vec<Address>) -> anyhow::Result<()> {
        if endpoints.is_empty() {
            return Ok(());
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(self.ask(endpoints));
        // A resolver that does not answer is not waited for.
        runtime.shutdown_background();
        Ok(())
    }

    async fn ask(&mut self, endpoints: Vec<Address>) {
        let served = Arc::new(ServedCertificates::default());
        let all: Vec<Address> = endpoints.clone();
        let mut is_done = vec![false; all.len()];
        let mut ticks = tokio::time::interval(BETWEEN);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let ticks = futures_util::stream::unfold(ticks, |mut ticks| async {
            ticks.tick().await;
            Some(((), ticks))
        });
        let begun =
            futures_util::stream::iter(endpoints.into_iter().enumerate()).zip(ticks).map(|((at, address), ())| {
                let served = Arc::clone(&served);
                async move { (at, served.list(&address).await) }
            });
        let mut answers = Box::pin(begun.buffer_unordered(AT_ONCE));
        let end = tokio::time::sleep_until(clock::instant_of(&self.clock, self.until));
        let mut end = std::pin::pin!(end);
        let mut draw = tokio::time::interval(DRAWN);
        loop {
            tokio::select! {
                answer = answers.next() => match answer {
                    Some((at, events)) => {
                        is_done[at] = true;
                        events.into_iter().for_each(|event| self.take(event));
                    }
                    None => break,
                },
                () = &mut end => break,
                _ = draw.tick() => { self.draw(); }
            }
        }
        for (address, _) in all.iter().zip(&is_done).filter(|(_, is_done)| !**is_done) {
            let place = address.to_string().into();
            self.take(ListEvent::Unread(Unread {
                place,
                entry: "".into(),
                reason: "the time was over before it answered".into(),
            }));
        }
    }

    /// Draws the progress where a person waits for it; gives the time.
    fn draw(&mut self) -> Mono {
        let now = self.clock.now().mono;
        let is_due = self.drawn.is_none_or(|drawn| now.since(drawn) >= DRAWN);
        if self.is_watched && now.since(self.begun) >= PROGRESS && is_due {
            self.drawn = Some(now);
            let found = self.list.entries.len();
            // Progress that cannot be shown is no failure.
            write!(io::stderr().lock(), "\r\x1b[K{} read, {found} certificates and credentials", self.progress).ok();
        }
        now
    }

    fn finish(mut self) -> CertificateList {
        if self.drawn.is_some() {
            write!(io::stderr().lock(), "\r\x1b[K").ok();
        }
        self.list.sort();
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_a_file_if_there_is_one_and_else_an_endpoint_if_it_reads_as_one() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("host:443");
        std::fs::write(&file, "").unwrap();
        let endpoint = |text: &str| Target::Endpoint(text.parse().unwrap());
        for (argument, target) in [
            (file.to_str().unwrap(), Target::Path(file.clone())),
            ("api.example.com:6443", endpoint("api.example.com:6443")),
            ("[2001:db8::1]:6443", endpoint("[2001:db8::1]:6443")),
            ("10.0.0.1:2379", endpoint("10.0.0.1:2379")),
            ("https://api.example.com:6443/readyz", endpoint("api.example.com:6443")),
            ("https://api.example.com", endpoint("api.example.com:443")),
            ("/nowhere/a:443", Target::Path("/nowhere/a:443".into())),
            ("nothing.crt", Target::Path("nothing.crt".into())),
            ("/etc/pki/*.crt", Target::Path("/etc/pki/*.crt".into())),
            ("a:*.crt", Target::Path("a:*.crt".into())),
        ] {
            assert_eq!(Target::of(OsStr::new(argument)), target, "{argument}");
        }
        for argument in ["api:99999", "api:", "2001:db8::1", "http://api:80"] {
            let target = Target::of(OsStr::new(argument));
            let is_path = argument.contains("//");
            assert_eq!(matches!(target, Target::Neither(_)), !is_path, "{target:?}");
        }
    }

    #[test]
    fn a_warning_time_has_a_unit() {
        assert_eq!("30d".parse::<Span>().unwrap().length, Duration::from_secs(30 * 86_400));
        assert!("30".parse::<Span>().unwrap_err().contains("has no unit"));
    }
}
