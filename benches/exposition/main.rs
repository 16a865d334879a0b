//! What reading a page of `/metrics` costs: the reader with its filter of families beside `memchr` counting newlines,
//! on the same page in the same run, and that its memory does not grow with the page.
//!
//! ```text
//! cargo bench --bench exposition              a page of 64 MB, beside one of 1 MB for the memory
//! cargo bench --bench exposition -- 256       a page of as many MB as that
//! ```
//!
//! The page is as an apiserver writes it: nearly all of it the buckets of request durations, which nobody wants, and
//! between them the families of priority and fairness, of storage and of the process that are wanted. It comes in pieces
//! of an odd length, as a network brings it, so that most end within a line. One thread each; every reader is a process
//! of its own and is booked its CPU and its memory by the kernel. Readers take turns, so that a machine that changes its
//! speed moves all of them.
#![expect(clippy::print_stdout, reason = "the table is for whoever started it")]
#![expect(clippy::cast_precision_loss, reason = "figures for people, far from the ends of their types")]

#[path = "../load/process.rs"]
mod process;

use std::env;
use std::fmt::Write as _;
use std::hint::black_box;
use std::process::{Command, ExitCode, id};

use anyhow::{Context, Result, anyhow, ensure};
use vedette::parse::exposition::{Families, Reader};

/// Megabytes of the page when nobody says how many.
const MEGABYTES: u32 = 64;
const MEGABYTE: usize = 1_000_000;

/// Bytes of a piece: about what one read of a socket gives, and no multiple of anything in the page.
const PIECE: usize = 16_381;

/// How often a process reads the page: the kernel books in ticks of 10 ms.
const ROUNDS: u32 = 100;

/// How often the readers take turns.
const TURNS: u32 = 3;

const WANTED: Families = Families::new(&[
    "apiserver_current_inflight_requests",
    "apiserver_flowcontrol_current_inqueue_requests",
    "apiserver_flowcontrol_current_limit_seats",
    "apiserver_flowcontrol_rejected_requests_total",
    "apiserver_flowcontrol_request_wait_duration_seconds",
    "apiserver_storage_list_fetched_objects_total",
    "apiserver_storage_list_total",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
]);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["read", megabytes] => number(megabytes).and_then(read),
        ["newlines", megabytes] => number(megabytes).and_then(newlines),
        [] => table(MEGABYTES),
        [megabytes] => number(megabytes).and_then(table),
        _ => Err(anyhow!("exposition [MEGABYTES]")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("exposition: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn number(word: &str) -> Result<u32> {
    word.parse().with_context(|| word.to_owned())
}

/// One reader's figures: seconds of CPU for all rounds, what it counted in one, its peak of memory, and what of that came
/// while it read.
#[derive(Debug, Clone, Copy, Default)]
struct Figures {
    seconds: f64,
    counted: f64,
    peak_bytes: f64,
    grown_bytes: f64,
}

fn table(megabytes: u32) -> Result<()> {
    let [mut alone, mut own] = [Figures::default(); 2];
    for _ in 0..TURNS {
        alone = alone.and(measure("newlines", megabytes)?);
        own = own.and(measure("read", megabytes)?);
    }
    let small = measure("read", 1)?;
    ensure!(own.counted > 0.0 && own.counted < alone.counted, "{} samples in {} lines", own.counted, alone.counted);

    println!("{:>26} {:>10} {:>12} {:>12} {:>10}", "reader", "page", "MB per CPU-s", "found", "peak");
    let row = |name: &str, megabytes: u32, turns: u32, figures: Figures| {
        let speed = f64::from(megabytes * ROUNDS * turns) / figures.seconds.max(0.01);
        let peak = figures.peak_bytes / 1024.0 / 1024.0;
        println!("{name:>26} {megabytes:>7} MB {speed:>12.0} {:>12} {peak:>6.1} MiB", figures.counted);
    };
    row("memchr, lines counted", megabytes, TURNS, alone);
    row("vedette, samples taken", megabytes, TURNS, own);
    row("vedette, samples taken", 1, 1, small);
    println!("\nvedette takes {:.2} x the CPU of memchr alone", own.seconds / alone.seconds);
    let [large, small] = [own, small].map(|figures| figures.grown_bytes / 1024.0);
    println!("and {large:.0} KiB of memory for {megabytes} MB, {small:.0} KiB for 1 MB");
    Ok(())
}

impl Figures {
    /// The sum of the times and the higher peak; what is counted is the same each turn.
    fn and(self, other: Self) -> Self {
        Self {
            seconds: self.seconds + other.seconds,
            counted: other.counted,
            peak_bytes: self.peak_bytes.max(other.peak_bytes),
            grown_bytes: self.grown_bytes.max(other.grown_bytes),
        }
    }
}

fn measure(reader: &str, megabytes: u32) -> Result<Figures> {
    let done = Command::new(env::current_exe()?).args([reader, &megabytes.to_string()]).output()?;
    let text = String::from_utf8_lossy(&done.stdout);
    let figures: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [seconds, counted, peak_bytes, grown_bytes] = figures.as_slice() else {
        return Err(anyhow!("{}", text.trim()));
    };
    Ok(Figures { seconds: *seconds, counted: *counted, peak_bytes: *peak_bytes, grown_bytes: *grown_bytes })
}

fn newlines(megabytes: u32) -> Result<()> {
    run(megabytes, |pieces| Ok(pieces.map(|piece| memchr::memchr_iter(b'\n', piece).count()).sum()))
}

fn read(megabytes: u32) -> Result<()> {
    run(megabytes, |pieces| {
        let (mut samples, mut sum) = (0, 0.0);
        let mut reader = Reader::new(WANTED, usize::MAX);
        for piece in pieces {
            let pushed = reader.push(piece, |sample| {
                samples += 1;
                sum += sample.value;
            });
            pushed.map_err(|flaw| anyhow!("{flaw:?}"))?;
        }
        reader.finish().map_err(|flaw| anyhow!("{flaw:?}"))?;
        black_box(sum);
        Ok(samples)
    })
}

/// Reads a page of so many megabytes again and again, and prints what that took. The page is one megabyte of lines over
/// and over, cut without regard to where it begins again, so that the page itself takes the same memory however long.
fn run(megabytes: u32, read: impl Fn(&mut dyn Iterator<Item = &'static [u8]>) -> Result<usize>) -> Result<()> {
    let lines: &'static [u8] = Vec::leak(lines());
    let mut counted = 0;
    let (before, resident) = (process::cpu(id())?, process::resident_bytes(id())?);
    for _ in 0..ROUNDS {
        counted = read(&mut pieces(lines, megabytes))?;
    }
    let seconds = process::cpu(id())?.saturating_sub(before).as_secs_f64();
    let peak = process::status_bytes(id(), "VmHWM:")?;
    println!("{seconds} {counted} {peak} {}", peak.saturating_sub(resident));
    Ok(())
}

/// `lines` so many times, in pieces of [`PIECE`] bytes, shorter ones where the lines begin again.
fn pieces(lines: &'static [u8], times: u32) -> impl Iterator<Item = &'static [u8]> {
    (0..times).flat_map(move |time| {
        let first = lines.len().min(1 + (time as usize * 7919) % PIECE);
        let (head, rest) = lines.split_at(first);
        std::iter::once(head).chain(rest.chunks(PIECE))
    })
}

/// A megabyte of whole lines.
fn lines() -> Vec<u8> {
    let mut page = String::with_capacity(MEGABYTE + 4096);
    let mut n = 0_u32;
    while page.len() < MEGABYTE {
        n += 1;
        let (verb, resource) = (["GET", "LIST", "WATCH", "PUT"][n as usize % 4], format!("resource-{}s", n % 97));
        let labels = format!(
            "component=\"apiserver\",dry_run=\"\",group=\"apps\",resource=\"{resource}\",scope=\"cluster\",\
             subresource=\"\",verb=\"{verb}\",version=\"v1\""
        );
        for bound in ["0.005", "0.025", "0.05", "0.1", "0.2", "0.4", "0.6", "0.8", "1", "2", "5", "10", "30", "+Inf"] {
            writeln!(page, "apiserver_request_duration_seconds_bucket{{{labels},le=\"{bound}\"}} {n}")
                .unwrap_or_default();
        }
        writeln!(page, "apiserver_request_duration_seconds_sum{{{labels}}} {}.25", n * 3).unwrap_or_default();
        writeln!(page, "apiserver_request_duration_seconds_count{{{labels}}} {n}").unwrap_or_default();
        if n.is_multiple_of(10) {
            let level = format!("flow_schema=\"service-accounts\",priority_level=\"workload-{}\"", n % 7);
            writeln!(page, "apiserver_flowcontrol_current_inqueue_requests{{{level}}} {}", n % 5).unwrap_or_default();
            writeln!(page, "apiserver_storage_list_total{{resource=\"{resource}\"}} {n}").unwrap_or_default();
            writeln!(page, "go_goroutines {n}\nprocess_start_time_seconds 1.79e+09").unwrap_or_default();
        }
    }
    page.into_bytes()
}
