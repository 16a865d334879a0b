//! Adverse circumstances: a wrong clock, a dead resolver, a refused credential, everything at once, and kill -9 at
//! any moment. What is said stays little and true.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::chance::Chance;
use crate::clock;
use crate::dns;
use crate::drill::{Drill, Skipped};
use crate::mail::Mail;
use crate::net::Place;
use crate::pki::Issuer;
use crate::smtp::{Fault as Mischief, Step};
use crate::vedette::{NAME, Options};
use crate::world::World;

use super::watch::{self, AFTER_HOLD, CRITICAL, Fault, SETTLED, TOO_LATE, kill_apiservers, start_apiservers};

pub(crate) const DRILLS: &[Drill] = &[
    Drill::new("a_stepped_clock_ends_no_certificate_and_delays_no_page", stepped_clock).tidy(),
    Drill::new("a_resolver_that_dies_isolates_nobody_whose_name_is_known", dead_resolver),
    Drill::new("names_that_move_under_vedette_mail_nothing", moved_names),
    Drill::new("a_refused_credential_is_a_warning_about_ourselves", refused_credential).tidy(),
    Drill::new("ten_faults_at_once_are_two_mails_at_most", ten_faults).tidy(),
    Drill::new("kill_9_at_twenty_moments_of_an_outage_is_one_page", |world| killed_again_and_again(world, 1)).tidy(),
    Drill::new("kill_9_at_two_hundred_moments_is_one_page_each", |world| killed_again_and_again(world, 10)).when_full(),
];

const DOWN: Fault =
    Fault { what: "all apiservers killed", symptom: "all apiservers are down", level: CRITICAL, within: TOO_LATE };

/// libfaketime moves the wall clock that vedette reads and leaves the monotonic one alone, as a step by hand does.
fn stepped_clock(world: &mut World) -> Result<()> {
    let library = faketime()?;
    let step = world.folder.join("step");
    fs::write(&step, "+0")?;
    watch::prepare(world, &Options::default())?;
    let server = world.server(NAME)?;
    server.set_variable("LD_PRELOAD", library.display().to_string());
    server.set_variable("FAKETIME_TIMESTAMP_FILE", step.display().to_string());
    server.set_variable("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    server.set_variable("FAKETIME_NO_CACHE", "1");
    world.start(NAME)?;
    watch::ready(world)?;

    // Past the end of every certificate of the lab but its CAs.
    let probes = made(world)?;
    fs::write(&step, "+400d")?;
    world.quiet_for(Duration::from_secs(20)).with_context(|| world.what_vedette_said())?;
    ensure!(made(world)? > probes + 10.0, "looks stopped with the step");
    fs::write(&step, "+0")?;
    world.quiet_for(SETTLED).with_context(|| world.what_vedette_said())?;

    // Back, but not before the certificates of the lab began.
    fs::write(&step, "-120")?;
    let fault = Fault { what: "all apiservers killed, clock 2 min slow", ..DOWN };
    watch::drill(world, &fault, kill_apiservers, start_apiservers)?;
    Ok(())
}

fn faketime() -> Result<PathBuf> {
    let folders = fs::read_dir("/usr/lib")?.flatten().map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    folders
        .into_iter()
        .find(|path| path.exists())
        .ok_or_else(|| Skipped("no libfaketime (Debian: faketime)".into()).into())
}

/// Looks made so far, of every kind.
fn made(world: &World) -> Result<f64> {
    let page = world.page("/metrics")?;
    let counts = page.body.lines().filter(|line| line.starts_with("vedette_probes_total"));
    Ok(counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}

/// Everything is connected to by name, the names come from one resolver, and it dies.
fn dead_resolver(world: &mut World) -> Result<()> {
    dns::start(world)?;
    let resolvers = vec![dns::address()];
    watch::start(world, &Options { resolvers, by_name: true, ..Options::default() })?;

    world.kill9(dns::NAME)?;
    // Pins are refreshed every half minute: a failed refresh keeps the pin.
    world.quiet_for(Duration::from_secs(35)).with_context(|| world.what_vedette_said())?;
    let page = world.page("/metrics")?;
    ensure!(!watch::is_alarmed(&page), "an alarm stands for want of a resolver");

    let fault = Fault { what: "all apiservers killed, resolver died before", ..DOWN };
    watch::drill(world, &fault, kill_apiservers, start_apiservers)?;
    Ok(())
}

/// The DNS lists new addresses for the balancer and an apiserver, and 2 s later the old ones are dead, as managed
/// control planes do it. No etcd member moves: its peers know it by its old address, and would lose it in earnest.
fn moved_names(world: &mut World) -> Result<()> {
    dns::start(world)?;
    let resolvers = vec![dns::address()];
    watch::start(world, &Options { resolvers, by_name: true, ..Options::default() })?;
    let ports = [(Place::Vip, 6443), (Place::Api(1), 6443)];
    // .40 becomes .140, and so on.
    let moved = ports.map(|(place, _)| (place, Ipv4Addr::from(u32::from(place.ip()) + 100)));
    for (place, ip) in moved {
        world.network.give_address(place, ip)?;
    }

    dns::lead(world, &moved)?;
    world.quiet_for(Duration::from_secs(2))?;
    for (place, _) in moved {
        world.network.abandon_address(place)?;
    }

    // Three probes at anything, and the hold of a lost redundancy would begin to end.
    world.quiet_for(Duration::from_secs(20)).with_context(|| world.what_vedette_said())?;
    let page = world.page("/metrics")?;
    let alarms: Vec<&str> = page.body.lines().filter(|line| line.starts_with("vedette_findings{")).collect();
    ensure!(!watch::is_alarmed(&page), "an alarm stands for what has moved: {alarms:?}");
    for (place, port) in ports {
        let old = SocketAddr::from((place.ip(), port));
        let reached = world
            .network
            .inside(Place::Bastion, || Ok(TcpStream::connect_timeout(&old, Duration::from_millis(300)).is_ok()))?;
        ensure!(!reached, "{old} still answers, so nothing had to move");
    }
    Ok(())
}

/// Certificates of a CA that neither apiserver nor etcd trusts: both are alive, and both refuse us.
fn refused_credential(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    let fault = Fault {
        what: "vedette's client certificates refused",
        symptom: "vedette is not authorized",
        level: "[WARNING",
        within: AFTER_HOLD,
    };
    let present = |world: &mut World, issuer: Issuer| -> Result<Instant> {
        world.pki.client("vedette", issuer)?;
        world.pki.client("etcd/vedette", issuer)?;
        crate::rbac::kubeconfig(&crate::rbac::vedette(&world.folder), &world.pki, "vedette")?;
        Ok(clock::now())
    };
    let at = present(world, Issuer::Stranger)?;
    let mail = watch::told(world, &fault, at)?;
    ensure!(!mail.text.contains("is down"), "the servers are alive:\n{}", mail.text);
    let mended = present(world, Issuer::Own)?;
    watch::cleared(world, &fault, mended)?;
    Ok(())
}

fn ten_faults(world: &mut World) -> Result<()> {
    let resolvers = vec!["10.89.0.99:53".to_owned()]; // 1: nobody is there
    watch::start(world, &Options { resolvers, ..Options::default() })?;
    world.smtp.misbehave(Step::Rcpt, Mischief::Refuse(450)); // 2
    let at = world.kill9("api-1")?; // 3
    world.freeze("api-2")?; // 4
    world.pki.client("etcd/vedette", Issuer::Stranger)?; // 5
    world.kill9("vip")?; // 6
    world.kill9("etcd-1")?; // 7
    world.freeze("etcd-2")?; // 8
    world.network.drop_one_way(Place::Etcd(3), Place::Bastion)?; // 9
    world.network.drop_one_way(Place::Bastion, Place::Api(2))?; // 10
    clock::wait_until("a refused attempt", TOO_LATE, || world.smtp.reached(Step::Rcpt) > 0)
        .with_context(|| world.what_vedette_said())?;
    world.smtp.behave();

    let names_the_root =
        |mail: &Mail| ["lost quorum", "all apiservers are down"].iter().any(|root| mail.subject.contains(root));
    let told = clock::wait_for("a mail that names the root", Duration::from_secs(60), || {
        Ok(world.mails().into_iter().find(names_the_root))
    })
    .with_context(|| format!("{:?}\n{}", subjects(&world.mails()), world.what_vedette_said()))?;
    world.table.note("ten faults at once, mail greylisted", at, told.arrived);
    ensure!(told.subject.contains(CRITICAL), "the mail is '{}'", told.subject);
    // Longer than the hold of every lost redundancy.
    clock::pass(Duration::from_secs(40));
    let mails = world.mails();
    let told = subjects(&mails);
    ensure!(told.len() <= 2, "{} mails: {told:?}\n{}", told.len(), world.what_vedette_said());

    world.network.heal()?;
    world.pki.client("etcd/vedette", Issuer::Own)?;
    world.thaw("etcd-2")?;
    world.start("etcd-1")?;
    world.thaw("api-2")?;
    world.start("api-1")?;
    let mended = world.start("vip")?;
    world.wait_ready(Duration::from_secs(60))?;
    let threads = threads(&world.mails()).len();
    let is_over = |world: &World| threads_open(&world.mails()).is_empty();
    clock::wait_until("every thread to be over", Duration::from_secs(120), || is_over(world))
        .with_context(|| format!("{:?}\n{}", subjects(&world.mails()), world.what_vedette_said()))?;
    let last = world.mails().last().map_or(mended, |mail| mail.arrived);
    world.table.note("ten faults at once: mended to the last all-clear", mended, last);
    world.quiet_for(SETTLED)?;
    let mails = world.mails();
    let told = subjects(&mails);
    ensure!(told.len() <= threads * 2 + 1, "{told:?}");
    Ok(())
}

/// Outages during which vedette is killed twenty times each, at moments that a seed chooses.
fn killed_again_and_again(world: &mut World, outages: u32) -> Result<()> {
    let seed = Chance::seed();
    killed_with(world, outages, seed).with_context(|| format!("the seed was {seed}; {} sets it", Chance::VARIABLE))
}

fn killed_with(world: &mut World, outages: u32, seed: u64) -> Result<()> {
    const KILLS: u32 = 20;
    watch::start(world, &Options::default())?;
    let mut chance = Chance::new(seed);
    for outage in 1..=outages {
        let before = world.smtp.received().len();
        let threads_before = threads(&world.mails()).len();
        let at = kill_apiservers(world)?;
        let mut mended = None;
        for kill in 0..KILLS {
            if kill == KILLS / 2 {
                mended = Some(start_apiservers(world)?);
            }
            // Between at once and some time after everything that a start does.
            clock::pass(Duration::from_millis(chance.below(2500)));
            world.kill9(NAME)?;
            world.start(NAME)?;
        }
        let mended = mended.unwrap_or(at);
        clock::wait_until("the all-clear", watch::CLEARED, || {
            let mails = world.mails();
            threads(&mails).len() > threads_before && threads_open(&mails).is_empty()
        })
        .with_context(|| format!("{:?}\n{}", subjects(&world.mails()), world.what_vedette_said()))?;
        world.quiet_for(SETTLED)?;

        let mails: Vec<Mail> = world.mails().into_iter().skip(before).collect();
        let different: BTreeMap<&str, usize> = mails
            .iter()
            .map(|mail| (mail.message_id.as_str(), mails.iter().filter(|m| m.message_id == mail.message_id).count()))
            .collect();
        ensure!(different.len() == 2, "outage {outage}: {:?}", subjects(&mails));
        ensure!(threads(&world.mails()).len() == threads_before + 1, "outage {outage}: more than one thread");
        let repeats: usize = different.values().map(|count| count - 1).sum();
        // A repeat is right only where the acceptance was not yet recorded: at most once for a kill.
        ensure!(repeats <= 2, "outage {outage}: {repeats} repeats of {:?}", subjects(&mails));
        if let (Some(first), Some(last)) = (mails.first(), mails.last()) {
            world.table.note(
                format!("outage with {KILLS} x kill -9: fault to mail ({repeats} repeats)"),
                at,
                first.arrived,
            );
            world.table.note(format!("outage with {KILLS} x kill -9: mended to all-clear"), mended, last.arrived);
        }
    }
    Ok(())
}

fn subjects(mails: &[Mail]) -> Vec<&str> {
    mails.iter().map(|mail| mail.subject.as_str()).collect()
}

/// The last subject of each thread, by its root.
fn threads(mails: &[Mail]) -> BTreeMap<&str, &str> {
    mails.iter().map(|mail| (mail.thread_root(), mail.subject.as_str())).collect()
}

/// Threads that have not been called over.
fn threads_open(mails: &[Mail]) -> Vec<&str> {
    let is_over = |subject: &str| subject.starts_with("[RESOLVED");
    threads(mails).into_values().filter(|subject| !is_over(subject)).collect()
}
