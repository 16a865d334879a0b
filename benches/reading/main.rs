//! What reading certificates from disk costs: vedette's reader beside Python's `cryptography`, `cat` and the bare
//! reading of the files, on the same files in the same run.
//!
//! ```text
//! cargo bench --bench reading                 20,000 files
//! cargo bench --bench reading -- 5000         as many files as that, 50,000 at most
//! PYTHON=venv/bin/python cargo bench ...      a Python that has `cryptography`
//! ```
//!
//! P-256 certificates with alternative names, usages and distinct ends, one a file, page cache warm, one thread each.
//! Every reader is a process of its own and is booked its CPU by the kernel; start-up is not in the figure. Readers
//! take turns, so that a machine that changes its speed moves all of them.
//!
//! Two floors, because neither alone is fair. `cat` of all files is what the goal is counted from; it also writes, and
//! makes room anew for each file. A loop that opens, reads and forgets does less than any reader of certificates must.
//! What is kept is counted with what vedette remembers of the files, by which it passes over unchanged ones.
#![expect(clippy::print_stdout, reason = "the table is for whoever started it")]
#![expect(clippy::cast_precision_loss, reason = "figures for people, far from the ends of their types")]

#[path = "../load/process.rs"]
mod process;

use std::path::Path;
use std::process::{Command, ExitCode, id};
use std::{env, fs};

use anyhow::{Context, Result, anyhow, ensure};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use vedette::collect::files::{self, Reader};
use vedette::config::settings::{FilePlace, WatchedFiles};
use vedette::daemon::clock;
use vedette::model::certificate::Class;

/// Files when nobody says how many.
const FILES: u32 = 20_000;

/// How often a process reads them all: the kernel books in ticks of 10 ms.
const ROUNDS: u32 = 5;

/// How often the readers take turns.
const TURNS: u32 = 3;

/// Writes every file to nowhere, and tells the CPU that took: the second line of `times` is that of the children.
const CAT: &str = r#"cd "$1"; n=$2; while [ $n -gt 0 ]; do cat * > /dev/null; n=$((n - 1)); done; times"#;

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
    let folder = folder.path().display().to_string();
    let this = env::current_exe()?;
    let python = env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let [mut bare, mut cats, mut own, mut unchanged] = [Figures::default(); 4];
    let mut script: Result<Figures> = Ok(Figures::default());
    for _ in 0..TURNS {
        bare = bare.and(measure(Command::new(&this).args(["floor", &folder]))?);
        cats = cats.and(cat(&folder)?);
        own = own.and(measure(Command::new(&this).args(["vedette", &folder]))?);
        unchanged = unchanged.and(measure(Command::new(&this).args(["again", &folder]))?);
        let turn = measure(Command::new(&python).args(["-c", SCRIPT, &folder, &ROUNDS.to_string()]));
        script = script.and_then(|sum| Ok(sum.and(turn?)));
    }
    ensure!(own.read == f64::from(files), "{files} certificates were written and {} read", own.read);

    println!("{:>26} {:>16} {:>14} {:>8}", "reader", "certs per CPU-s", "CPU-us a cert", "kept");
    let row = |name: &str, figures: Figures| {
        let each = figures.seconds / f64::from(TURNS * ROUNDS * files);
        println!("{name:>26} {:>16.0} {:>14.2} {:>6.0} B", 1.0 / each, each * 1e6, figures.kept);
    };
    row("the files alone", bare);
    row("cat", cats);
    row("vedette", own);
    row("vedette, nothing changed", unchanged);
    match script {
        Ok(script) => {
            row("Python cryptography", script);
            println!("\nvedette reads {:.2} x as fast as Python cryptography", script.seconds / own.seconds);
        }
        Err(error) => println!("\nno figure for Python cryptography: {error:#}"),
    }
    println!("vedette reads {:.2} x as fast as cat", cats.seconds / own.seconds);
    println!("vedette reads {:.2} x as fast as the files can be read alone", bare.seconds / own.seconds);
    println!("Goals: at least 1.0 x cryptography, at least 0.8 x cat, at most 400 octets kept for each.");
    Ok(())
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

/// The CPU of `cat`, start-up included: a millisecond for them all.
fn cat(folder: &str) -> Result<Figures> {
    let rounds = ROUNDS.to_string();
    let done = Command::new("sh").env("LC_ALL", "C").args(["-c", CAT, "sh", folder, &rounds]).output()?;
    let text = String::from_utf8_lossy(&done.stdout);
    let seconds = |word: &str| {
        let (minutes, seconds) = word.trim_end_matches('s').split_once('m')?;
        Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
    };
    let spent: Option<f64> = text.lines().nth(1).and_then(|line| line.split_whitespace().map(seconds).sum());
    Ok(Figures { seconds: spent.ok_or_else(|| anyhow!("cat: {text}"))?, ..Figures::default() })
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
