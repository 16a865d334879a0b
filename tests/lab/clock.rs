//! The lab's one clock and its one pause. Everything else waits for a level through this file.
//!
//! Drills compare instants taken here with instants the mail server recorded, so both use the
//! monotonic clock of this process. Called by every other file of the lab; vedette has its own clock.

use std::fs;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, bail};

/// How often a level is looked at. Fine enough for figures in tenths of a second; each look may be a handshake of a
/// debug build.
const PACE: Duration = Duration::from_millis(50);

/// The monotonic time now.
#[expect(clippy::disallowed_methods, reason = "the lab's only monotonic clock read")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The wall time now, for comparing with the time stamps of files.
#[expect(clippy::disallowed_methods, reason = "the lab's only wall clock read")]
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}

/// The time since an instant.
pub(crate) fn since(start: Instant) -> Duration {
    now().saturating_duration_since(start)
}

/// Seconds of CPU used by every process of this lab up to now, ended ones included.
pub(crate) fn cpu_seconds() -> f64 {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = processes.filter_map(|process| fs::read_to_string(process.path().join("stat")).ok());
    // Behind the name, which stands in parentheses: utime, stime, cutime and cstime are fields 14 to 17 of the line, in
    // hundredths of a second everywhere.
    let used = |text: String| -> f64 {
        let fields = text.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(4);
        fields.filter_map(|field| field.parse::<f64>().ok()).sum()
    };
    stats.map(used).sum::<f64>() / 100.0
}

/// Lets exactly this much time pass, for faults that have a length.
pub(crate) fn pass(time: Duration) {
    thread::sleep(time);
}

/// Waits until `check` finds something and returns it; `what` names it in the error.
///
/// # Errors
/// When nothing was found within `limit`, with the last error of `check` if it had one.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut check: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = now();
    loop {
        let seen = check();
        if let Ok(Some(found)) = seen {
            return Ok(found);
        }
        if since(start) >= limit {
            let secs = limit.as_secs_f64();
            match seen {
                Err(why) => return Err(why.context(format!("waited {secs:.1} s for {what}"))),
                Ok(_) => bail!("waited {secs:.1} s in vain for {what}"),
            }
        }
        pass(PACE);
    }
}

/// Waits until `holds`, and returns the instant at which it was first seen to hold.
///
/// # Errors
/// When it did not hold within `limit`.
pub(crate) fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) -> Result<Instant> {
    wait_for(what, limit, || Ok(holds().then(now)))
}

/// Watches that `holds` stays true for the whole `span`.
///
/// # Errors
/// As soon as it does not.
pub(crate) fn stays(what: &str, span: Duration, mut holds: impl FnMut() -> bool) -> Result<()> {
    let start = now();
    while since(start) < span {
        if !holds() {
            bail!("{what}: no longer true after {:.1} s", since(start).as_secs_f64());
        }
        pass(PACE);
    }
    Ok(())
}
