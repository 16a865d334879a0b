use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};

use super::super::tests::test_clock;
use super::threads::{HALF, cause_of};
use super::*;
use crate::model::time::{Now, UnixTime};

/// A lookup that takes longer is slow here, so that no test lasts.
const SLOW_AFTER: Duration = Duration::from_millis(20);

#[tokio::test]
async fn a_literal_address_is_not_resolved() {
    let names = Names::new(test_clock());
    let timer = PhaseTimer::new(&test_clock());
    let literal = Address { host: "::1".parse().unwrap(), port: 6443 };

    let places = names_of(names).places(&literal, Duration::ZERO, &timer).await.unwrap();

    assert_eq!(places, ["[::1]:6443".parse().unwrap()]);
    assert_eq!(timer.phases().resolve, None);
}

#[tokio::test]
async fn only_the_first_probe_waits_for_a_name() {
    let names = names_of(Names::new(test_clock()));
    let (first, second) = (PhaseTimer::new(&test_clock()), PhaseTimer::new(&test_clock()));

    let places = names.places(&address("localhost"), Duration::from_secs(5), &first).await.unwrap();
    let again = names.places(&address("localhost"), Duration::ZERO, &second).await.unwrap();

    assert!(places[0].ip().is_loopback());
    assert_eq!(places, again);
    assert!(first.phases().resolve.is_some());
    assert_eq!(second.phases().resolve, None);
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_fails_in_its_phase() {
    let world = Dns::new();

    let unseen = world.places("nowhere.test").await.unwrap_err();

    assert_eq!(unseen, Unseen { phase: Phase::Resolve, cause: Cause::NoSuchName });
}

#[tokio::test]
async fn an_answer_after_the_deadline_serves_the_next_probe() {
    let world = Dns::new();
    let release = world.hang("api.test");
    let timer = PhaseTimer::new(&test_clock());

    let late = world.names.places(&address("api.test"), Duration::from_millis(1), &timer).await.unwrap_err();
    world.set("api.test", &["10.0.0.1"]);
    drop(release);
    world.settled("api.test").await;

    assert_eq!(late.cause, Cause::Timeout);
    assert_eq!(world.places("api.test").await.unwrap(), places(&["10.0.0.1"]));
    assert_eq!(world.asked("api.test"), 1);
}

#[tokio::test]
async fn a_name_that_moved_is_asked_for_again_at_once_and_then_not_for_two_seconds() {
    let world = Dns::new();
    world.set("api.test", &["10.0.0.1"]);
    let old = world.places("api.test").await.unwrap();
    world.set("api.test", &["10.0.0.2", "10.0.0.1"]);

    let moved = world.names.beyond(&address("api.test"), &old).await;
    let known = world.names.beyond(&address("api.test"), &old).await;
    let all = world.names.beyond(&address("api.test"), &places(&["10.0.0.1", "10.0.0.2"])).await;
    let asked_at_once = world.asked("api.test");
    world.wait(Duration::from_secs(2));
    world.names.beyond(&address("api.test"), &places(&["10.0.0.1", "10.0.0.2"])).await;

    assert_eq!(moved, places(&["10.0.0.2"]));
    assert_eq!(known, moved);
    assert_eq!(all, []);
    assert_eq!((asked_at_once, world.asked("api.test")), (2, 3));
}

#[tokio::test]
async fn a_probe_that_failed_otherwise_moves_the_next_one() {
    let world = Dns::new();
    world.set("api.test", &["10.0.0.1"]);
    world.places("api.test").await.unwrap();
    world.set("api.test", &["10.0.0.2"]);
    let (old, new) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
    let before = world.names.leads_to(&address("api.test"), old);

    world.names.doubt(&address("api.test"));
    world.settled("api.test").await;

    assert_eq!(world.places("api.test").await.unwrap(), places(&["10.0.0.2"]));
    assert!(before && !world.names.leads_to(&address("api.test"), old));
    assert!(world.names.leads_to(&address("api.test"), new));
}

#[tokio::test]
async fn a_failed_lookup_keeps_what_was_known() {
    let world = Dns::new();
    world.set("api.test", &["10.0.0.1"]);
    let old = world.places("api.test").await.unwrap();
    world.set("api.test", &[]);

    let beyond = world.names.beyond(&address("api.test"), &old).await;

    assert_eq!(beyond, []);
    assert_eq!(world.places("api.test").await.unwrap(), old);
}

#[tokio::test]
async fn a_name_whose_lookup_hangs_holds_one_thread() {
    let world = Dns::new();
    let _release = world.hang("api.test");

    for _ in 0..5 {
        world.places("api.test").await.unwrap_err();
        world.names.doubt(&address("api.test"));
    }

    assert_eq!(world.asked("api.test"), 1);
}

#[tokio::test]
async fn a_name_in_the_hosts_file_resolves_while_every_thread_hangs() {
    let world = Dns::new();
    let hung: Vec<String> = (0..2 * HALF).map(|n| format!("hung-{n}.test")).collect();
    let _release: Vec<_> = hung.iter().map(|name| world.hang(name)).collect();
    let _hang = world.hang("listed.test");
    for name in &hung {
        world.names.doubt(&address(name));
    }

    let found = world.places("listed.test").await;
    let dotted = world.places("listed.test.").await;

    assert_eq!(found.unwrap(), places(&["10.9.9.9"]));
    assert_eq!(dotted.unwrap(), places(&["10.9.9.9"]));
}

#[tokio::test]
async fn names_that_hang_leave_half_of_the_threads_to_those_that_do_not() {
    let world = Dns::new();
    let hung: Vec<String> = (0..2 * HALF).map(|n| format!("hung-{n}.test")).collect();
    let release: Vec<_> = hung.iter().map(|name| world.hang(name)).collect();
    // They hang once, in all threads, and are known for it from then on.
    for name in &hung {
        world.names.doubt(&address(name));
    }
    tokio::time::sleep(SLOW_AFTER * 4).await;
    drop(release);
    for name in &hung {
        world.settled(name).await;
    }
    let _release: Vec<_> = hung.iter().map(|name| world.hang(name)).collect();
    world.wait(Duration::from_secs(60));
    for name in &hung {
        world.names.doubt(&address(name));
    }
    tokio::time::sleep(SLOW_AFTER * 4).await;

    let hanging = hung.iter().filter(|name| world.asked(name) == 2).count();
    world.set("quick.test", &["10.0.0.1"]);

    assert!(hanging <= HALF, "{hanging} threads hang");
    assert_eq!(world.places("quick.test").await.unwrap(), places(&["10.0.0.1"]));
}

#[test]
fn hosts_are_read_as_the_resolver_library_does() {
    let text =
        "127.0.0.1 localhost\n10.0.0.1\tAPI.test api # one\n#10.0.0.9 api\n::1 api\nnonsense api\n10.0.0.2 apis\n";
    let of = |name| hosts::of(text, name).map(|ip| ip.to_string()).collect::<Vec<_>>();

    assert_eq!(of("api"), ["10.0.0.1", "::1"]);
    assert_eq!(of("api.test."), ["10.0.0.1"]);
    assert_eq!(of("one"), [""; 0]);
}

#[test]
fn the_words_of_both_libraries_are_understood() {
    for (text, cause) in [
        ("failed to lookup address information: Name or service not known", Cause::NoSuchName),
        ("failed to lookup address information: Name does not resolve", Cause::NoSuchName),
        ("failed to lookup address information: Temporary failure in name resolution", Cause::ResolverFailed),
        ("failed to lookup address information: Try again", Cause::ResolverFailed),
    ] {
        assert_eq!(cause_of(&io::Error::other(text)), cause, "{text}");
    }
}

/// A resolver that says what it is told to, and a clock that stands until it is moved.
pub(crate) struct Dns {
    pub(crate) names: Arc<Names>,
    script: Arc<Mutex<Script>>,
    millis: Arc<std::sync::atomic::AtomicU64>,
    _folder: tempfile::TempDir,
}

#[derive(Default)]
struct Script {
    answers: BTreeMap<String, Vec<IpAddr>>,
    hanging: BTreeMap<String, Receiver<()>>,
    asked: BTreeMap<String, usize>,
}

impl Dns {
    pub(crate) fn new() -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let millis = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let read = Arc::clone(&millis);
        let clock = Clock::new(move || Now {
            wall: UnixTime::from_millis(0),
            mono: Mono(Duration::from_millis(read.load(Ordering::Relaxed))),
        });
        let folder = tempfile::tempdir().unwrap();
        let hosts = folder.path().join("hosts");
        std::fs::write(&hosts, "10.9.9.9 listed.test\n").unwrap();
        let answering = Arc::clone(&script);
        let ask = move |name: &str| {
            let hanging = {
                let mut script = answering.lock().unwrap();
                *script.asked.entry(name.to_owned()).or_default() += 1;
                script.hanging.remove(name)
            };
            // Until the other end is dropped.
            if let Some(hanging) = hanging {
                hanging.recv().ok();
            }
            let found = answering.lock().unwrap().answers.get(name).cloned().unwrap_or_default();
            if found.is_empty() { Err(io::Error::other("Name or service not known")) } else { Ok(found) }
        };
        let names = Arc::new(Names::by(clock, Threads::new(Arc::new(ask), SLOW_AFTER), hosts));
        Self { names, script, millis, _folder: folder }
    }

    pub(crate) fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
        self.script.lock().unwrap().answers.insert(name.to_owned(), addresses);
    }

    /// The next lookup of `name` hangs until what comes back is dropped.
    fn hang(&self, name: &str) -> std::sync::mpsc::Sender<()> {
        let (release, hanging) = channel();
        self.script.lock().unwrap().hanging.insert(name.to_owned(), hanging);
        release
    }

    /// Lookups of `name` that have begun.
    pub(crate) fn asked(&self, name: &str) -> usize {
        self.script.lock().unwrap().asked.get(name).copied().unwrap_or_default()
    }

    fn wait(&self, time: Duration) {
        self.millis.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }

    async fn places(&self, name: &str) -> Result<Vec<SocketAddr>, Unseen> {
        self.names.places(&address(name), Duration::from_secs(1), &PhaseTimer::new(&test_clock())).await
    }

    /// Waits until no lookup of `name` is under way.
    pub(crate) async fn settled(&self, name: &str) {
        let pin = self.names.pin(name);
        while pin.name.is_asking() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // What was found is told right after.
        tokio::task::yield_now().await;
    }
}

fn names_of(names: Names) -> Arc<Names> {
    Arc::new(names)
}

fn address(name: &str) -> Address {
    Address { host: Host::Name(name.to_owned()), port: 6443 }
}

fn places(addresses: &[&str]) -> Vec<SocketAddr> {
    addresses.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 6443)).collect()
}
