//! What reading certificates from disk costs: vedette's readers beside Python's `cryptography`, OpenSSL, `cat` and the
//! bare reading of the files, on the same files in the same run; and the same of one bundle of as many certificates.
//!
//! ```text
//! cargo bench --bench reading                 20,000 certificates
//! cargo bench --bench reading -- 100000       as many as that; beyond 50,000 the daemon's reader is left out
//! PYTHON=venv/bin/python cargo bench ...      a Python that has `cryptography`
//! ```
//!
//! P-256 certificates with alternative names, usages and distinct ends, one a file, page cache warm, one thread each.
//! Every reader is a process of its own and is booked its CPU by the kernel; start-up is not in the figure. Readers
//! take turns, so that a machine that changes its speed moves all of them.
//!
//! Two floors, because neither alone is fair. `cat` of all files is what the goal is counted from; it also writes, and
//! makes room anew for each file. A loop that opens, reads and forgets does less than any reader of certificates must.
//! What is kept is counted with what vedette remembers of the files, by which it passes over unchanged ones. The floor
//! of the bundle is a loop that finds END lines and does base64 and SHA-256 with the crates that vedette uses.
#![expect(clippy::print_stdout, reason = "the table is for whoever started it")]
#![expect(clippy::cast_precision_loss, reason = "figures for people, far from the ends of their types")]

#[path = "../load/process.rs"]
mod process;

use std::path::Path;
use std::process::{Command, ExitCode, id};
use std::{env, fs};

use anyhow::{Context, Result, anyhow, ensure};
use base64::Engine as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use vedette::collect::files::listing::{self, Request};
use vedette::collect::files::{self, Reader};
use vedette::config::settings::{FilePlace, WatchedFiles};
use vedette::daemon::clock;
use vedette::model::certificate::Class;
use vedette::model::certificate_list::CertificateList;

/// Files when nobody says how many.
const FILES: u32 = 20_000;

/// How often a process reads them all: the kernel books in ticks of 10 ms.
const ROUNDS: u32 = 5;

/// How often the readers take turns.
const TURNS: u32 = 3;

/// Writes every file to nowhere, and tells the CPU that took: the second line of `times` is that of the children.
const CAT: &str = r#"cd "$1"; n=$2; while [ $n -gt 0 ]; do cat * > /dev/null; n=$((n - 1)); done; times"#;

/// Files of one source that the daemon reads.
const MOST_WATCHED: u32 = 50_000;

/// Loads every certificate of a directory or a bundle, and tells the CPU that took as [`CAT`] does. Its own start and
/// what it prints are in it; it prints one line a certificate.
const OPENSSL: &str = r#"n=$2; while [ $n -gt 0 ]; do openssl storeutl -r -noout -certs "$1" > /dev/null || exit 1; n=$((n - 1)); done; times"#;

/// Reads a bundle as a script would.
const BUNDLE_SCRIPT: &str = "
import os, sys
from cryptography import x509
path, rounds = sys.argv[1], int(sys.argv[2])
def read():
    with open(path, 'rb') as file:
        certificates = x509.load_pem_x509_certificates(file.read())
    return [(c.not_valid_after_utc, c.subject.rfc4514_string()) for c in certificates]
read()
before = os.times()
for _ in range(rounds):
    ends = read()
after = os.times()
print(after.user + after.system - before.user - before.system, len(ends), 0)
";

/// Reads every file's expiry as a script would, and prints the CPU it took and what it read.
const SCRIPT: &str = "
import os, sys
from cryptography import x509
folder, rounds = sys.argv[1], int(sys.argv[2])
def read():
    ends = {}
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), 'rb') as file:
            certificate = x509.load_pem_x509_certificate(file.read())
        ends[name] = (certificate.not_valid_after_utc, certificate.subject.rfc4514_string())
    return ends
read()
before = os.times()
for _ in range(rounds):
    ends = read()
after = os.times()
print(after.user + after.system - before.user - before.system, len(ends), 0)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["floor", folder] => floor(Path::new(folder)),
        ["vedette", folder] => own(Path::new(folder)),
        ["again", folder] => again(Path::new(folder)),
        ["certs", place] => certs(Path::new(place)),
        ["decoding", bundle] => decoding(Path::new(bundle)),
        [] => table(FILES),
        [files] => files.parse().map_err(anyhow::Error::from).and_then(table),
        _ => Err(anyhow!("reading [FILES]")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("reading: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// One reader's figures: seconds of CPU for all rounds, certificates of one round, bytes kept for each.
#[derive(Debug, Clone, Copy, Default)]
struct Figures {
    seconds: f64,
    read: f64,
    kept: f64,
}

fn table(files: u32) -> Result<()> {
    let folder = tempfile::tempdir()?;
    issue(folder.path(), files)?;
    let bundle = tempfile::tempdir()?;
    let bundle = bundle.path().join("bundle.pem");
    bind(folder.path(), &bundle, files)?;
    println!("{files} files of one certificate each\n");
    of_files(files, &folder.path().display().to_string())?;
    println!("\none bundle of {files} certificates\n");
    of_bundle(files, &bundle.display().to_string())
}

fn of_files(files: u32, folder: &str) -> Result<()> {
    let this = env::current_exe()?;
    let python = python();
    let is_watched = files <= MOST_WATCHED;
    let [mut bare, mut cats, mut own, mut unchanged, mut listed, mut openssl] = [Figures::default(); 6];
    let mut script: Result<Figures> = Ok(Figures::default());
    for _ in 0..TURNS {
        bare = bare.and(measure(Command::new(&this).args(["floor", folder]))?);
        cats = cats.and(times(CAT, folder)?);
        listed = listed.and(measure(Command::new(&this).args(["certs", folder]))?);
        if is_watched {
            own = own.and(measure(Command::new(&this).args(["vedette", folder]))?);
            unchanged = unchanged.and(measure(Command::new(&this).args(["again", folder]))?);
        }
        openssl = openssl.and(times(OPENSSL, folder)?);
        let turn = measure(Command::new(&python).args(["-c", SCRIPT, folder, &ROUNDS.to_string()]));
        script = script.and_then(|sum| Ok(sum.and(turn?)));
    }
    ensure!(listed.read == f64::from(files), "{files} certificates were written and {} listed", listed.read);
    ensure!(!is_watched || own.read == f64::from(files), "{files} certificates were written and {} read", own.read);

    header();
    row("the files alone", bare, files);
    row("cat", cats, files);
    row("vedette certs", listed, files);
    if is_watched {
        row("vedette's daemon", own, files);
        row("the same, nothing changed", unchanged, files);
    }
    row("OpenSSL", openssl, files);
    println!();
    let daemon = is_watched.then_some(("vedette's daemon", own));
    for (name, mine) in std::iter::once(("vedette certs", listed)).chain(daemon) {
        compare(name, mine, &script, openssl);
        println!("{name} reads {:.2} x as fast as cat", cats.seconds / mine.seconds);
        println!("{name} reads {:.2} x as fast as the files can be read alone", bare.seconds / mine.seconds);
    }
    println!("Goals: at least 1.0 x cryptography, at least 0.8 x cat, at most 400 octets kept for each.");
    Ok(())
}

fn of_bundle(certificates: u32, bundle: &str) -> Result<()> {
    let this = env::current_exe()?;
    let python = python();
    let [mut floor, mut own, mut openssl] = [Figures::default(); 3];
    let mut script: Result<Figures> = Ok(Figures::default());
    for _ in 0..TURNS {
        floor = floor.and(measure(Command::new(&this).args(["decoding", bundle]))?);
        own = own.and(measure(Command::new(&this).args(["certs", bundle]))?);
        openssl = openssl.and(times(OPENSSL, bundle)?);
        let turn = measure(Command::new(&python).args(["-c", BUNDLE_SCRIPT, bundle, &ROUNDS.to_string()]));
        script = script.and_then(|sum| Ok(sum.and(turn?)));
    }
    ensure!(own.read == f64::from(certificates), "{certificates} certificates were bound and {} listed", own.read);

    header();
    row("base64 and SHA-256 alone", floor, certificates);
    row("vedette certs", own, certificates);
    row("OpenSSL", openssl, certificates);
    println!();
    compare("vedette certs", own, &script, openssl);
    println!("vedette certs reads {:.2} x as fast as base64 and SHA-256 alone", floor.seconds / own.seconds);
    println!("Goals: at least 1.0 x cryptography, at least 0.5 x base64 and SHA-256 alone.");
    Ok(())
}

fn python() -> String {
    env::var("PYTHON").unwrap_or_else(|_| "python3".into())
}

fn header() {
    println!("{:>26} {:>16} {:>14} {:>8}", "reader", "certs per CPU-s", "CPU-us a cert", "kept");
}

fn row(name: &str, figures: Figures, files: u32) {
    let each = figures.seconds / f64::from(TURNS * ROUNDS * files);
    println!("{name:>26} {:>16.0} {:>14.2} {:>6.0} B", 1.0 / each, each * 1e6, figures.kept);
}

fn compare(name: &str, mine: Figures, script: &Result<Figures>, openssl: Figures) {
    match script {
        Ok(script) => println!("{name} reads {:.2} x as fast as Python cryptography", script.seconds / mine.seconds),
        Err(error) => println!("no figure for Python cryptography: {error:#}"),
    }
    println!("{name} reads {:.2} x as fast as OpenSSL", openssl.seconds / mine.seconds);
}

impl Figures {
    /// The sum of the times; the rest is the same each turn.
    fn and(self, other: Self) -> Self {
        Self { seconds: self.seconds + other.seconds, ..other }
    }
}

fn measure(command: &mut Command) -> Result<Figures> {
    let done = command.output().with_context(|| format!("{:?}", command.get_program()))?;
    let text = String::from_utf8_lossy(&done.stdout);
    let figures: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [seconds, read, kept] = figures.as_slice() else {
        let said = String::from_utf8_lossy(&done.stderr);
        return Err(anyhow!("{text}{}", said.trim().lines().last().unwrap_or_default()));
    };
    Ok(Figures { seconds: *seconds, read: *read, kept: *kept })
}

/// The CPU of what `script` runs on `place`, start-up included: for `cat`, a millisecond for them all.
fn times(script: &str, place: &str) -> Result<Figures> {
    let rounds = ROUNDS.to_string();
    let done = Command::new("sh").env("LC_ALL", "C").args(["-c", script, "sh", place, &rounds]).output()?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8_lossy(&done.stdout);
    let seconds = |word: &str| {
        let (minutes, seconds) = word.trim_end_matches('s').split_once('m')?;
        Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
    };
    let spent: Option<f64> = text.lines().nth(1).and_then(|line| line.split_whitespace().map(seconds).sum());
    Ok(Figures { seconds: spent.ok_or_else(|| anyhow!("times: {text}"))?, ..Figures::default() })
}

fn floor(folder: &Path) -> Result<()> {
    let read = || -> Result<usize> {
        let mut bytes = 0;
        for entry in fs::read_dir(folder)? {
            bytes += fs::read(entry?.path())?.len();
        }
        Ok(bytes)
    };
    read()?;
    let before = cpu_seconds()?;
    for _ in 0..ROUNDS {
        read()?;
    }
    println!("{} 0 0", cpu_seconds()? - before);
    Ok(())
}

fn own(folder: &Path) -> Result<()> {
    let clock = clock::system();
    // One file first, because code and tables that are touched for the first time are not kept for a certificate.
    drop(files::read_once(&[watch(&folder.join("0.crt"))?], &clock));
    let watches = [watch(folder)?];
    let resident = process::resident_bytes(id())?;
    let mut reader = Reader::new(watches.to_vec());
    let kept = reader.scan(&clock);
    let kept_bytes = process::resident_bytes(id())?.saturating_sub(resident);
    let before = cpu_seconds()?;
    for _ in 0..ROUNDS {
        drop(files::read_once(&watches, &clock));
    }
    let seconds = cpu_seconds()? - before;
    println!("{seconds} {} {}", kept.len(), kept_bytes as f64 / kept.len() as f64);
    drop(reader);
    Ok(())
}

/// Looks again and again at what did not change.
fn again(folder: &Path) -> Result<()> {
    let clock = clock::system();
    let mut reader = Reader::new(vec![watch(folder)?]);
    reader.scan(&clock);
    let before = cpu_seconds()?;
    for _ in 0..ROUNDS {
        reader.scan(&clock);
    }
    println!("{} 0 0", cpu_seconds()? - before);
    Ok(())
}

/// Lists as `vedette certs` does.
fn certs(place: &Path) -> Result<()> {
    let read = |place: &Path| {
        let mut list = CertificateList::default();
        let clock = clock::system();
        let until = clock.now().mono.plus(std::time::Duration::from_secs(600));
        listing::list(place, &Request { passwords: &[], clock, until }, &mut |event| list.take(event));
        list
    };
    // Code and tables that are touched for the first time are not kept for a certificate.
    drop(read(Path::new("/dev/null")));
    let resident = process::resident_bytes(id())?;
    let list = read(place);
    let kept = process::resident_bytes(id())?.saturating_sub(resident);
    ensure!(list.unread.is_empty(), "not read: {:?}", list.unread.first());
    let before = cpu_seconds()?;
    for _ in 0..ROUNDS {
        drop(read(place));
    }
    let seconds = cpu_seconds()? - before;
    println!("{seconds} {} {}", list.entries.len(), kept as f64 / list.entries.len() as f64);
    Ok(())
}

/// What no reader of a bundle can leave out.
fn decoding(bundle: &Path) -> Result<()> {
    let read = || -> Result<u64> {
        let bytes = fs::read(bundle)?;
        let text = std::str::from_utf8(&bytes)?;
        let mut sum = 0;
        for block in text.split("-----END CERTIFICATE-----").filter(|block| block.len() > 100) {
            let (_, body) = block.split_once("-----BEGIN CERTIFICATE-----").context("no BEGIN")?;
            let compact: String = body.lines().collect();
            let der = base64::engine::general_purpose::STANDARD.decode(compact)?;
            sum += u64::from(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der).as_ref()[0]);
        }
        Ok(sum)
    };
    read()?;
    let before = cpu_seconds()?;
    for _ in 0..ROUNDS {
        std::hint::black_box(read()?);
    }
    println!("{} 0 0", cpu_seconds()? - before);
    Ok(())
}

/// All `files` of `folder` one behind the other.
fn bind(folder: &Path, bundle: &Path, files: u32) -> Result<()> {
    let mut all = Vec::new();
    for n in 0..files {
        all.extend(fs::read(folder.join(format!("{n}.crt")))?);
    }
    Ok(fs::write(bundle, all)?)
}

fn watch(place: &Path) -> Result<WatchedFiles> {
    Ok(WatchedFiles {
        name: "all".parse()?,
        position: None,
        place: FilePlace::Pattern(place.to_owned()),
        certificates: Class::default(),
        renewed_at_permille: None,
        serves: None,
        own: None,
    })
}

fn cpu_seconds() -> Result<f64> {
    Ok(process::cpu(id())?.as_secs_f64())
}

/// Writes `files` certificates, as a CA of a larger site would have issued them.
fn issue(folder: &Path, files: u32) -> Result<()> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "reading-ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    for n in 0..files {
        let mut params = CertificateParams::new(vec![format!("node-{n}.site.test"), "site.test".to_owned()])?;
        params.distinguished_name.push(DnType::OrganizationName, "system:nodes");
        params.distinguished_name.push(DnType::CommonName, format!("system:node:node-{n}"));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params.not_after = rcgen::date_time_ymd(2040, 1, 1) + time::Duration::seconds(i64::from(n));
        fs::write(folder.join(format!("{n}.crt")), params.signed_by(&key, &authority)?.pem())?;
    }
    Ok(())
}
