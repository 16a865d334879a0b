//! Behaviour under hostile targets: the real daemon among servers that do all they can to hurt it.
//!
//! All at once, on loopback, beside two healthy targets in the same configuration. Memory stays flat, the healthy ones
//! keep their ticks, and each hostile one is called by its cause, in the metrics, in the mail and by `probe`. A
//! binary of its own, because it measures, and other tests beside it would be measured too.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers as well")]

#[path = "../../src/collect/tests/closed_port.rs"]
mod closed_port;
mod farm;
mod http1;
mod http2;
mod neighbours;
mod table;
#[path = "../../src/collect/tests/tcp_udp_port.rs"]
mod tcp_udp_port;
mod tls;
mod watcher;

use std::fs;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mail_parser::MessageParser;
use vedette::daemon::clock;

use self::farm::{Act, TestCa};
use self::neighbours::Post;
use self::table::{APISERVERS, FLOODS_WHEN_IDLE, Hostile, MEMBERS};
use self::watcher::{Ground, Scrape, Watcher, command, status_kib};

/// How long memory and ticks are watched.
const WATCHED: Duration = Duration::from_secs(12);
/// Longest wait for what must come: every target looked at once, every mail.
const PATIENCE: Duration = Duration::from_secs(60);
/// Growth that is none: an allocator's, and that of aggregates that see their first of something.
const SLACK_KIB: u64 = 6 * 1024;
/// A debug build maps some 60 MiB of itself.
const MOST_KIB: u64 = 192 * 1024;
/// Lateness of the loop, in seconds. A debug build takes ten times as long for every byte of a flood.
const LAG: f64 = if cfg!(debug_assertions) { 3.0 } else { 0.3 };

/// Both tests measure.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn hostile_targets_are_called_by_their_cause_and_hurt_nobody() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (ground, post) = runtime.block_on(settle());
    let watcher = Watcher::start(&ground);
    let before = wait("a look at everybody", || watcher.scrape().filter(has_seen_everybody));
    let (clock, mut samples) = (clock::system(), Vec::new());
    let began = clock.now().mono;

    while clock.now().mono.since(began) < WATCHED {
        samples.push(watcher.resident_kib());
        pause();
    }

    let after = watcher.scrape().unwrap();
    let elapsed = clock.now().mono.since(began);
    after.show(&samples);
    memory_is_flat(&samples);
    for (cluster, probe, connection, every) in [
        ("healthy-apiserver", "readyz", "new", 3),
        ("healthy-apiserver", "version", "reused", 10),
        ("healthy-etcd", "etcd_status", "reused", 3),
        ("healthy-etcd", "etcd_read", "reused", 10),
    ] {
        let ticks = |scrape: &Scrape| only(&scrape.outcomes(cluster, probe, connection), "ok");
        let due = elapsed.as_secs() / every;
        let made = ticks(&after) - ticks(&before);
        assert!(made + 1 >= due && made <= due + 1, "{cluster} {probe}: {made} ticks in {elapsed:?}");
    }
    assert!(after.number("vedette_probes_lost_total") == 0.0);
    assert!(after.number("vedette_loop_lag_seconds") < LAG, "lag {}", after.number("vedette_loop_lag_seconds"));
    everybody_is_called_by_cause(&after);
    chains_are_bounded(&after);
    everybody_is_mailed(&post);
    drop(watcher);

    let table = command(&["probe", "--once"], &ground.folder.path().join("vedette.yaml")).output().unwrap();
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    for hostile in bad() {
        let name = hostile.name;
        let mut rows = table.lines().filter(|line| line.starts_with(&format!("{name}/")));
        assert!(rows.any(|row| hostile.words().any(|words| row.contains(words))), "no word of {name} in\n{table}");
    }
}

/// Relays that do not answer as relays do, each with what a person is told.
const RELAYS: [(Act, &str); 3] = [
    (Act::Raw(neighbours::greeting_without_end), "the peer sends more than any answer needs"),
    (Act::Raw(neighbours::endless_greeting), "the peer sends more than any answer needs"),
    (Act::Raw(neighbours::dripping_greeting), "no answer within"),
];

#[test]
fn a_hostile_relay_costs_no_memory_and_is_named() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ca = TestCa::new();
    let drills = RELAYS.map(|(act, says)| {
        let relay = runtime.block_on(ca.start(act));
        let ground = Ground::of_relay(relay);
        fs::write(ground.folder.path().join("ca.pem"), ca.pem()).unwrap();
        let file = ground.configuration(([127, 0, 0, 1], 1).into());
        let drill = command(&["drill", "mail"], &file).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        (drill, says, ground)
    });

    for (mut drill, says, _ground) in drills {
        let mut most = 0;
        while drill.try_wait().unwrap().is_none() {
            most = status_kib(drill.id(), "VmHWM:").unwrap_or(most);
            pause();
        }

        let output = drill.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(says), "{text}");
        assert!(most < MOST_KIB, "{most} KiB");
    }
}

async fn settle() -> (Ground, Post) {
    let ca = TestCa::new();
    let (relay, post) = neighbours::relay().await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
    let mut ground = Ground {
        folder,
        relay,
        receiver: ca.start(Act::Raw(neighbours::receiver)).await,
        resolvers: Vec::new(),
        apiservers: vec![("healthy-apiserver", ca.start(Act::Secured(http1::healthy)).await)],
        members: vec![
            ("healthy-etcd", ca.start(Act::Secured(http2::healthy)).await),
            (FLOODS_WHEN_IDLE, ca.start(Act::Secured(http2::answer_and_ping_flood)).await),
        ],
    };
    for answer in [neighbours::wrong_id, neighbours::gibberish, neighbours::truncated] {
        ground.resolvers.push(neighbours::resolver(answer).await);
    }
    for hostile in APISERVERS {
        ground.apiservers.push((hostile.name, ca.start(hostile.act).await));
    }
    for hostile in MEMBERS {
        ground.members.push((hostile.name, ca.start(hostile.act).await));
    }
    (ground, post)
}

/// Everybody whose probes fail.
fn bad() -> impl Iterator<Item = &'static Hostile> {
    APISERVERS.iter().chain(MEMBERS).filter(|hostile| !hostile.outcomes.contains(&"ok"))
}

fn probes(scrape: &Scrape, hostile: &Hostile) -> Vec<(String, u64)> {
    let asked = scrape.outcomes(hostile.name, "readyz", "new");
    if asked.is_empty() { scrape.outcomes(hostile.name, "etcd_status", "reused") } else { asked }
}

fn has_seen_everybody(scrape: &Scrape) -> bool {
    APISERVERS.iter().chain(MEMBERS).all(|hostile| !probes(scrape, hostile).is_empty())
}

fn memory_is_flat(samples: &[u64]) {
    let (first, second) = samples.split_at(samples.len() / 2);
    let (first, second) = (first.iter().max().unwrap(), second.iter().max().unwrap());
    assert!(*second <= first + SLACK_KIB, "{first} KiB grew to {second} KiB");
    assert!(*second <= MOST_KIB, "{second} KiB");
}

fn everybody_is_called_by_cause(scrape: &Scrape) {
    let called: Vec<_> = APISERVERS.iter().chain(MEMBERS).map(|hostile| (hostile, probes(scrape, hostile))).collect();
    let wrong: Vec<String> = called
        .iter()
        .filter(|(hostile, outcomes)| !hostile.is_called_so(outcomes))
        .map(|(hostile, outcomes)| format!("{} is {:?}, not {outcomes:?}", hostile.name, hostile.outcomes))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// 16 certificates are kept of a chain (`Served::MAX_CHAIN`), the end of one that is broken elsewhere is known all the
/// same, and what cannot be read is counted.
fn chains_are_bounded(scrape: &Scrape) {
    for (name, kept) in [("two-hundred-certificates", 16), ("fifty-times-the-same", 16), ("bad-asn1", 1)] {
        assert_eq!(scrape.series("vedette_certificate_not_after_timestamp_seconds", name), kept, "{name}");
    }
    let labels = "{cluster=\"bad-asn1\",component=\"apiserver\",instance=\"a\"}";
    assert!(scrape.number(&format!("vedette_certificate_unreadable{labels}")) == 1.0);
}

fn everybody_is_mailed(post: &Post) {
    let mut untold = Vec::new();
    let all = poll(|| {
        let mails: Vec<String> = post.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|m| read(m)).collect();
        let is_told = |hostile: &Hostile| {
            let about = |mail: &&String| mail.contains(hostile.name);
            mails.iter().filter(about).any(|mail| hostile.words().any(|words| mail.contains(words)))
        };
        untold = bad().filter(|hostile| !is_told(hostile)).map(|hostile| hostile.name).collect();
        untold.is_empty().then_some(())
    });
    let mails = post.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(all.is_some(), "nobody is told about {untold:?} in {} mails", mails.len());
}

/// Subject and text of a mail.
fn read(mail: &str) -> String {
    let mail = MessageParser::default().parse(mail).unwrap();
    format!("{}\n{}", mail.subject().unwrap_or_default(), mail.body_text(0).unwrap_or_default())
}

/// The number of probes that ended by `outcome`, which no other may have.
fn only(outcomes: &[(String, u64)], outcome: &str) -> u64 {
    assert!(outcomes.iter().all(|(other, _)| other == outcome), "{outcomes:?}");
    outcomes.iter().map(|(_, probes)| probes).sum()
}

fn wait<T>(what: &str, level: impl FnMut() -> Option<T>) -> T {
    poll(level).unwrap_or_else(|| panic!("no {what} after {PATIENCE:?}"))
}

/// What `level` becomes in time.
fn poll<T>(mut level: impl FnMut() -> Option<T>) -> Option<T> {
    let clock = clock::system();
    let start = clock.now().mono;
    loop {
        let value = level();
        if value.is_some() || clock.now().mono.since(start) >= PATIENCE {
            return value;
        }
        pause();
    }
}

/// Between two probes at a level.
fn pause() {
    std::thread::park_timeout(Duration::from_millis(100));
}
