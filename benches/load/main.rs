//! What a probe costs: vedette on a farm of TLS servers, beside a bare rustls loop on the same farm in the same run.
//!
//! ```text
//! cargo bench --bench load                   the whole table, about six minutes
//! cargo bench --bench load -- 1000           only the rows of 1,000 targets; 1000x1: those with one target a cluster
//! VEDETTE=other/vedette cargo bench ...      another build of vedette on the same farm
//! ```
//!
//! Every probe is a full one: TCP, a TLS 1.3 handshake without resumption, the client certificate where the row says
//! so, `GET /readyz?verbose`, the answer read, the chain read and verified, the result judged and kept. CPU is what the
//! kernel books on the process divided by the probes that the farm served, so other load on the machine moves it
//! little; ratios are what counts. The farm is a process of its own and is not booked on anybody.
//!
//! The loop is measured twice: flat out, where caches stay warm and the processor never idles, and paced, one probe at
//! a time as often as vedette has to: what an idle machine adds to every wake-up is in the second figure and in
//! vedette's.
//!
//! Then `/metrics` is read as Prometheus would, plain and by gzip: its sizes, and the most memory that was in use
//! meanwhile.
#![expect(clippy::print_stdout, reason = "the table is for whoever started it")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock; it decides nothing")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for people, far from the ends of their types"
)]

mod bare;
#[path = "../../src/collect/tests/closed_port.rs"]
mod closed_port;
mod farm;
mod peak;
mod pki;
mod process;
mod watcher;

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::bare::Pace;
use crate::farm::{Farm, Ticks};
use crate::pki::Pki;

/// One row: how many targets, how many of them make a cluster, how often each is probed, whether a client certificate is
/// asked for.
struct Row {
    targets: u32,
    each: u32,
    interval: Duration,
    mutual: bool,
}

impl Row {
    /// Whether `text` means this row: `TARGETS`, or `TARGETSxEACH`.
    fn is_called(&self, text: &str) -> bool {
        text == self.targets.to_string() || text == format!("{}x{}", self.targets, self.each)
    }
}

/// The rest of a cluster's work (judging, its snapshot) is done once for all of its targets; the row of one target a
/// cluster has none to share it. Rare probes leave room for more targets below a cluster's ceiling of requests.
const ROWS: [Row; 7] = [
    Row { targets: 6, each: 3, interval: Duration::from_secs(1), mutual: true },
    Row { targets: 100, each: 5, interval: Duration::from_secs(1), mutual: true },
    Row { targets: 1_000, each: 5, interval: Duration::from_secs(5), mutual: true },
    Row { targets: 1_000, each: 1, interval: Duration::from_secs(5), mutual: true },
    Row { targets: 10_000, each: 20, interval: Duration::from_secs(50), mutual: true },
    Row { targets: 500, each: 5, interval: Duration::from_secs(1), mutual: true },
    Row { targets: 1_000, each: 5, interval: Duration::from_secs(1), mutual: false },
];

/// How long a row is measured, at least; two intervals where that is longer.
const WINDOW: Duration = Duration::from_secs(20);

/// How often the metrics are read before memory is measured again.
const SCRAPES: usize = 4;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let done = match arguments.first().map(String::as_str) {
        Some(farm::ROLE) => farm::serve(&arguments[1..]),
        Some(bare::ROLE) => bare::run(&arguments[1..]),
        only => table(only),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn table(only: Option<&str>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let pki = Pki::make(folder.path())?;
    println!(
        "{:>7} {:>4} {:>8} {:>6} | {:>8} {:>8} {:>6} {:>8} {:>6} | {:>9} {:>9} {:>9} {:>8} {:>8} | {:>8} {:>8} | {:>8} \
         {:>9} {:>9} {:>8}",
        "targets",
        "each",
        "interval",
        "mTLS",
        "vedette",
        "bare",
        "ratio",
        "paced",
        "ratio",
        "RSS",
        "peak",
        "scraped",
        "plain",
        "gzip",
        "probes/s",
        "asked/s",
        "missed",
        "late p50",
        "late p99",
        "late max"
    );
    let is_wanted = |row: &&Row| only.is_none_or(|only| row.is_called(only));
    for row in ROWS.iter().filter(is_wanted) {
        measure(row, &pki).with_context(|| format!("{} targets", row.targets))?;
    }
    println!(
        "\nEach: targets of a cluster. CPU in ms for a probe. Peak, scraped: RSS while its metrics were read, and after it;\n\
         plain, gzip: octets of a scrape for a target. Late: how far a probe of a target came from one interval after the\n\
         one before.\n\
         Goals: ratio at most 1.4 with client certificates, 1.5 where every cluster has one target; 40 MiB at 1,000 and\n\
         150 MiB at 10,000 targets, scrapes included; 13 kB a target, 2 kB by gzip; 1,000 probes/s without client\n\
         certificates with even ticks and none missed."
    );
    Ok(())
}

fn measure(row: &Row, pki: &Pki) -> Result<()> {
    let farm = Farm::start(pki, row.mutual)?;
    let floor = |pace| bare::measure(pki, farm.port(), row.targets, row.mutual, pace);
    let pace = Pace::Every(row.interval / row.targets);
    // Before and after, so that a machine that changes its speed meanwhile moves the ratio little.
    let (bare_before, paced_before) = (floor(Pace::Flat)?, floor(pace)?);

    let window = WINDOW.max(row.interval * 2);
    let mut watcher = watcher::Watcher::start(pki, farm.port(), row)?;
    watcher.wait_seen_everything(row.interval)?;
    farm.forget()?;
    let before = watcher.cpu()?;
    std::thread::sleep(window);
    let spent = watcher.cpu()?.saturating_sub(before);
    let Ticks { served, missed, late_p50, late_p99, late_max } = farm.ticks(row.interval, window)?;
    let rss = watcher.resident_bytes()?;
    let scrape = watcher.scrape(SCRAPES)?;
    let scraped = watcher.resident_bytes()?;
    let own = watcher.self_report()?;
    watcher.stop()?;
    let bare = f64::midpoint(bare_before, floor(Pace::Flat)?);
    let paced = f64::midpoint(paced_before, floor(pace)?);

    let mine = spent.as_secs_f64() * 1e3 / f64::from(served);
    println!(
        "{:>7} {:>4} {:>7.0}s {:>6} | {:>8.3} {:>8.3} {:>6.2} {:>8.3} {:>6.2} | {:>5.1} MiB {:>5.1} MiB {:>5.1} MiB \
         {:>8} {:>8} | {:>8.0} {:>8.0} | {:>8} {:>6.0} ms {:>6.0} ms {:>5.0} ms{}",
        row.targets,
        row.each,
        row.interval.as_secs_f64(),
        if row.mutual { "yes" } else { "no" },
        mine,
        bare,
        mine / bare,
        paced,
        mine / paced,
        mebibytes(rss),
        mebibytes(scrape.peak),
        mebibytes(scraped),
        scrape.plain / u64::from(row.targets),
        scrape.gzip / u64::from(row.targets),
        f64::from(served) / window.as_secs_f64(),
        f64::from(row.targets) / row.interval.as_secs_f64(),
        missed,
        late_p50.as_secs_f64() * 1e3,
        late_p99.as_secs_f64() * 1e3,
        late_max.as_secs_f64() * 1e3,
        own
    );
    Ok(())
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
