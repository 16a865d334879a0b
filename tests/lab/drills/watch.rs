//! What the drills with vedette have in common: start it, break something, read the mails.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::clock;
use crate::http::Answer;
use crate::mail::Mail;
use crate::vedette::{NAME, Options};
use crate::world::World;

/// What the subject of a hard fault begins with.
pub(crate) const CRITICAL: &str = "[CRITICAL";
/// Drills fail above this; below it they print their figure (design.md section 6).
pub(crate) const TOO_LATE: Duration = Duration::from_secs(30);
/// The hold of a lost redundancy, and half of [`TOO_LATE`] on top.
pub(crate) const AFTER_HOLD: Duration = Duration::from_secs(45);
/// An all-clear needs 15 s of good probes, and the servers some time to be good.
pub(crate) const CLEARED: Duration = Duration::from_secs(75);
/// Long enough for whatever else would be said to be said: three of the fast intervals.
pub(crate) const SETTLED: Duration = Duration::from_secs(9);

/// One fault from beginning to end.
pub(crate) struct Fault {
    /// For the table of figures.
    pub(crate) what: &'static str,
    /// What the subject must say outside its brackets.
    pub(crate) symptom: &'static str,
    /// What it must say inside them.
    pub(crate) level: &'static str,
    /// Longest time to the mail.
    pub(crate) within: Duration,
}

/// Starts vedette and waits until it has seen everything once.
pub(crate) fn start(world: &mut World, options: &Options) -> Result<()> {
    prepare(world, options)?;
    world.start(NAME)?;
    ready(world)
}

/// Writes vedette's configuration and adds it to the servers, stopped.
pub(crate) fn prepare(world: &mut World, options: &Options) -> Result<()> {
    let config = world.write_vedette_config(options)?;
    world.add_vedette(&config);
    Ok(())
}

/// Waits until vedette has seen everything once.
pub(crate) fn ready(world: &mut World) -> Result<()> {
    let ready = clock::wait_until("vedette to be ready", Duration::from_secs(20), || {
        world.page("/readyz").is_ok_and(|answer| answer.status == 200)
    });
    ready.map(|_| ()).with_context(|| world.what_vedette_said())
}

/// Breaks something, expects one thread with the right cause, mends it, expects one all-clear and nothing else.
pub(crate) fn drill(
    world: &mut World,
    fault: &Fault,
    break_it: fn(&mut World) -> Result<Instant>,
    mend: fn(&mut World) -> Result<Instant>,
) -> Result<Vec<Mail>> {
    let at = break_it(world)?;
    told(world, fault, at)?;
    let mended = mend(world)?;
    cleared(world, fault, mended)
}

/// Expects the first mail of `fault`, and no second.
pub(crate) fn told(world: &mut World, fault: &Fault, at: Instant) -> Result<Mail> {
    let said = said(world, 1, fault.within)?;
    let first = said[0].clone();
    if fault.level == CRITICAL {
        world.table.note_page(fault.what, at, first.arrived);
    } else {
        world.table.note(fault.what, at, first.arrived);
    }
    for wanted in [fault.symptom, fault.level] {
        ensure!(first.subject.contains(wanted), "'{wanted}' is not in '{}'\n{}", first.subject, first.text);
    }
    let late = first.arrived.saturating_duration_since(at);
    ensure!(late <= fault.within, "mailed only after {late:?}");
    world.quiet_for(SETTLED).with_context(|| world.what_vedette_said())?;
    Ok(first)
}

/// Expects the all-clear of `fault` in its thread, and nothing after it.
pub(crate) fn cleared(world: &mut World, fault: &Fault, mended: Instant) -> Result<Vec<Mail>> {
    let mails = said(world, 2, CLEARED)?;
    let (first, clear) = (&mails[0], &mails[1]);
    ensure!(clear.subject.starts_with("[RESOLVED"), "the second mail is '{}'", clear.subject);
    ensure!(base(&clear.subject) == base(&first.subject), "'{}' and '{}'", first.subject, clear.subject);
    ensure!(clear.thread_root() == first.thread_root(), "two threads");
    world.table.note(format!("{}: mended to all-clear", fault.what), mended, clear.arrived);
    world.quiet_for(SETTLED).with_context(|| world.what_vedette_said())?;
    Ok(world.mails())
}

/// Waits for mail number `count`; what vedette logged is in the error.
pub(crate) fn said(world: &mut World, count: usize, limit: Duration) -> Result<Vec<Mail>> {
    let mails = world.await_mails(count, limit);
    let subjects: Vec<String> = world.mails().into_iter().map(|mail| mail.subject).collect();
    mails.with_context(|| format!("mails so far: {subjects:?}\n{}", world.what_vedette_said()))
}

/// Subject outside its brackets.
pub(crate) fn base(subject: &str) -> &str {
    subject.split_once("] ").map_or(subject, |(_, base)| base)
}

/// Kills every apiserver.
pub(crate) fn kill_apiservers(world: &mut World) -> Result<Instant> {
    let at = world.kill9("api-1")?;
    world.kill9("api-2")?;
    Ok(at)
}

/// Starts every apiserver and waits until all are ready.
pub(crate) fn start_apiservers(world: &mut World) -> Result<Instant> {
    let at = world.start("api-1")?;
    world.start("api-2")?;
    world.wait_ready(Duration::from_secs(60))?;
    Ok(at)
}

/// Whether an alarm stands that is more than information. A reference target or resolver that the drill itself has
/// silenced waits ten minutes for its warning (F55) and counts for nothing before.
pub(crate) fn is_alarmed(page: &Answer) -> bool {
    let is_silenced_place = |line: &str| line.contains("rule=\"F55\"") && line.contains("state=\"pending\"");
    let is_loud = |line: &str| !line.contains("severity=\"info\"") && !is_silenced_place(line);
    page.body.lines().any(|line| line.starts_with("vedette_findings{") && is_loud(line))
}
