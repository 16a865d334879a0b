//! The vantage's own troubles: cut off, a stalled relay, kill -9. Nothing lost, nothing doubled, no false page.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::clock;
use crate::drill::Drill;
use crate::net::Place;
use crate::smtp::{Fault as Mischief, Step};
use crate::vedette::{NAME, Options, Relay};
use crate::world::World;

use super::watch::{self, AFTER_HOLD, CRITICAL, Fault, SETTLED, TOO_LATE, kill_apiservers, start_apiservers};

pub(crate) const DRILLS: &[Drill] = &[
    Drill::new("cut_off_from_everything_is_told_once_after_return", cut_off).tidy(),
    Drill::new("a_stalled_relay_delays_no_tick_and_loses_no_outage", stalled_relay).tidy(),
    Drill::new("kill_9_during_a_hold_is_one_page", killed_in_hold).tidy(),
    Drill::new("kill_9_between_persist_and_send_is_one_page", killed_before_send).tidy(),
    Drill::new("kill_9_during_the_outage_is_one_page", killed_in_outage).tidy(),
    Drill::new("postfix_takes_the_test_mail_and_a_page", through_postfix),
];

const DOWN: Fault = Fault {
    what: "all apiservers killed (again)",
    symptom: "all apiservers are down",
    level: CRITICAL,
    within: TOO_LATE,
};

fn cut_off(world: &mut World) -> Result<()> {
    let often = ("etcd_metrics_interval".to_owned(), "1s".to_owned());
    watch::start(world, &Options { timing: vec![often], ..Options::default() })?;
    clock::wait_until("a heartbeat", Duration::from_secs(15), || !world.heartbeat.beats().is_empty())?;
    // Looks that have met the member when the path breaks end seconds later: they are no sign of a return.
    world.freeze("etcd-1")?;
    clock::pass(Duration::from_millis(1500));
    let cut = world.network.cut(Place::Bastion)?;
    world.thaw("etcd-1")?;
    world.quiet_for(Duration::from_secs(30))?;
    // Nor is a stall of our own, which voids what was seen before it.
    world.freeze(NAME)?;
    clock::pass(Duration::from_secs(2));
    world.thaw(NAME)?;
    world.quiet_for(Duration::from_secs(43))?;
    // A hold of 60 s; each stall costs it what time passes until the reference target is asked again, 10 s at most.
    let fires =
        "vedette_incidents{component=\"vantage\",instance=\"\",rule=\"F04\",severity=\"critical\",state=\"firing\"}";
    let is_told = |world: &World| world.page("/metrics").is_ok_and(|page| page.series(fires) == Some(1.0));
    clock::wait_until("the isolation to be an incident", TOO_LATE, || is_told(world))
        .with_context(|| world.what_vedette_said())?;
    let journal = fs::read_to_string(world.folder.join("logs/vedette.log"))?;
    ensure!(!journal.contains("F04 vantage resolved"), "it saw again while it was cut off:\n{journal}");
    let back = world.network.reconnect(Place::Bastion)?;

    let mails = watch::said(world, 1, Duration::from_secs(60))?;
    world.table.note("cut off 75 s: return to mail", back, mails[0].arrived);
    ensure!(mails[0].subject.contains("vedette has lost its network"), "the mail is '{}'", mails[0].subject);
    world.quiet_for(Duration::from_secs(20)).with_context(|| world.what_vedette_said())?;
    let gap = world.heartbeat.longest_gap(cut.checked_sub(Duration::from_secs(6)).unwrap_or(cut));
    ensure!(gap >= Duration::from_secs(70), "the receiver saw a gap of {gap:?} only");
    let resumed = world.heartbeat.beats().iter().any(|beat| *beat > back);
    ensure!(resumed, "no heartbeat after the return");
    Ok(())
}

fn stalled_relay(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    world.smtp.misbehave(Step::Greeting, Mischief::Stall);
    let ticks = |world: &World| world.page("/metrics").map(|page| page.series("vedette_probes_skipped_total"));
    let before = ticks(world)?;
    let at = kill_apiservers(world)?;
    clock::wait_until("an attempt to send", TOO_LATE, || world.smtp.reached(Step::Greeting) > 0)
        .with_context(|| world.what_vedette_said())?;
    world.quiet_for(Duration::from_secs(25))?;
    let regular = probes(world)?;
    let span = clock::now();
    world.quiet_for(Duration::from_secs(10))?;
    let made = probes(world)? - regular;
    let seconds = clock::since(span).as_secs_f64();
    // Two instances every 3 s and the VIP every 2 s: 7 looks in 6 s; bursts may add to them.
    let due = seconds * (2.0 / 3.0 + 0.5);
    ensure!(made >= due - 4.0, "{made} looks in {seconds:.1} s, {due:.1} were due");
    ensure!(ticks(world)? == before, "ticks were skipped");
    start_apiservers(world)?;
    clock::wait_until("the incident to be over", watch::CLEARED, || {
        world.page("/metrics").is_ok_and(|page| !watch::is_alarmed(&page))
    })
    .with_context(|| world.what_vedette_said())?;
    // An attempt that is under way could still succeed with what was true when it began; its deadline is 20 s.
    world.quiet_for(Duration::from_secs(22))?;
    let back = world.smtp.behave();

    let mails = watch::said(world, 1, Duration::from_secs(60))?;
    world.table.note("relay back to the one mail", back, mails[0].arrived);
    ensure!(mails[0].subject.contains("late notice"), "the mail is '{}'", mails[0].subject);
    ensure!(mails[0].subject.contains(DOWN.symptom), "the mail is '{}'", mails[0].subject);
    ensure!(at < back);
    world.quiet_for(SETTLED)?;
    Ok(())
}

/// Exempt probes made so far.
fn probes(world: &World) -> Result<f64> {
    let page = world.page("/metrics")?;
    let counts = page.body.lines().filter(|line| {
        line.starts_with("vedette_probes_total")
            && line.contains("probe=\"readyz\"")
            && line.contains("connection=\"new\"")
    });
    Ok(counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}

fn killed_in_hold(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    let at = world.kill9("api-2")?;
    world.quiet_for(Duration::from_secs(15))?;
    world.kill9(NAME)?;
    world.start(NAME)?;

    let fault = Fault {
        what: "one apiserver dead, vedette killed in its hold",
        symptom: "apiserver api-2",
        level: "[WARNING",
        within: AFTER_HOLD,
    };
    watch::told(world, &fault, at)?;
    let mended = world.start("api-2")?;
    watch::cleared(world, &fault, mended)?;
    Ok(())
}

fn killed_before_send(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    world.smtp.misbehave(Step::Greeting, Mischief::Stall);
    let at = kill_apiservers(world)?;
    // The talk has begun, so the message is durable; it has not been taken.
    clock::wait_until("an attempt to send", TOO_LATE, || world.smtp.reached(Step::Greeting) > 0)
        .with_context(|| world.what_vedette_said())?;
    world.kill9(NAME)?;
    world.smtp.behave();
    world.start(NAME)?;

    watch::told(world, &Fault { what: "killed before send, restarted", ..DOWN }, at)?;
    let mended = start_apiservers(world)?;
    watch::cleared(world, &Fault { what: "killed before send", ..DOWN }, mended)?;
    Ok(())
}

fn killed_in_outage(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    let at = kill_apiservers(world)?;
    watch::told(world, &DOWN, at)?;
    world.kill9(NAME)?;
    world.start(NAME)?;
    world.quiet_for(SETTLED)?;
    let mended = start_apiservers(world)?;
    watch::cleared(world, &Fault { what: "killed in the outage", ..DOWN }, mended)?;
    Ok(())
}

fn through_postfix(world: &mut World) -> Result<()> {
    if let Some(why) = world.no_postfix.clone() {
        return Err(crate::drill::Skipped(why).into());
    }
    watch::start(world, &Options { relay: Relay::Postfix, ..Options::default() })?;
    let config = world.folder.join("vedette.yaml");
    let mut drill = world.network.command(Place::Bastion, crate::vedette::BINARY);
    drill.args(["drill", "mail"]).arg(&config).args(["--to", &format!("oncall@{}", crate::postfix::DOMAIN)]);
    let answer = crate::net::output(&mut drill)?;
    ensure!(answer.contains("accepted by"), "vedette drill mail said: {answer}");
    let arrived =
        |count: usize| move |world: &World| world.postfix_mails().map(|mails| (mails.len() >= count).then_some(mails));
    let test = clock::wait_for("the test mail", Duration::from_secs(15), || arrived(1)(world))?;
    ensure!(test[0].subject.starts_with("[DRILL]"), "the test mail is '{}'", test[0].subject);

    let at = kill_apiservers(world)?;
    let mails =
        clock::wait_for("the page", TOO_LATE, || arrived(2)(world)).with_context(|| world.what_vedette_said())?;
    world.table.note_page("all apiservers killed, to Postfix's mailbox", at, mails[1].arrived);
    ensure!(mails[1].subject.contains(DOWN.symptom), "the page is '{}'", mails[1].subject);
    Ok(())
}
