//! What the engine costs alone: scheduling, observing, judging and the snapshot of every probe, without a socket.
//!
//! ```text
//! cargo bench --bench engine                  the whole table, under a minute
//! cargo bench --bench engine -- 1000x1        one shape: clusters x apiservers of each
//! ```
//!
//! Every apiserver is healthy and probed every five seconds on virtual time, as fast as the processor goes: what
//! vedette does in a quiet hour. The shapes have as many targets, so that a row shows what a cluster costs beyond its
//! endpoints. CPU is what the kernel books on the process. `benches/load` measures the same with sockets and TLS.
#![expect(clippy::print_stdout, reason = "the table is for whoever started it")]
#![expect(clippy::cast_precision_loss, reason = "figures for people, far from the ends of their types")]

#[path = "../load/process.rs"]
mod process;

use std::collections::{BTreeMap, VecDeque};
use std::env;
use std::process::{Command, ExitCode, id};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use vedette::engine::Engine;
use vedette::model::certificate::{Certificate, Class, Fingerprint, Served, Trust};
use vedette::model::exchange::{Action, Input, PersistedState};
use vedette::model::health::{Health, Version};
use vedette::model::inventory::{Cluster, Endpoint, Inventory};
use vedette::model::observation::{Observation, Reading};
use vedette::model::phase::Phases;
use vedette::model::policy::Policy;
use vedette::model::probe::{Greeting, ProbeKind, ProbeRequest};
use vedette::model::subject::Name;
use vedette::model::time::{Mono, Now, UnixTime};

/// Clusters, and apiservers of each.
const SHAPES: [(u32, u32); 3] = [(1_000, 1), (200, 5), (50, 20)];

/// How often each apiserver is probed.
const INTERVAL: Duration = Duration::from_secs(5);

/// Virtual time before the measurement: every probe was made, and nothing is new any more.
const WARM_UP: Duration = Duration::from_secs(60);

/// Virtual time of the measurement: seconds of CPU, so that the kernel's ticks of 10 ms do not show.
const WINDOW: Duration = Duration::from_secs(120);

/// What a probe takes.
const ANSWERED_AFTER: Duration = Duration::from_millis(5);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let done = match arguments.first().map(String::as_str) {
        Some("measure") => {
            arguments.get(1).ok_or_else(|| anyhow!("measure CLUSTERSxEACH")).and_then(|shape| run(shape))
        }
        only => table(only),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("engine: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// One process a shape, so that none inherits the memory of another.
fn table(only: Option<&str>) -> Result<()> {
    println!("{:>10} | {:>12} {:>14}", "shape", "us a probe", "KiB a target");
    for (clusters, each) in SHAPES {
        let shape = format!("{clusters}x{each}");
        if only.is_none_or(|only| only == shape) {
            let done = Command::new(env::current_exe()?).args(["measure", &shape]).output()?;
            print!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        }
    }
    Ok(())
}

fn run(shape: &str) -> Result<()> {
    let (clusters, each) = shape.split_once('x').context("CLUSTERSxEACH")?;
    let (clusters, each): (u32, u32) = (clusters.parse()?, each.parse()?);
    let empty = process::resident_bytes(id())?;
    let mut farm = Farm::new(clusters, each);
    farm.go_on(WARM_UP);
    let (before, probes) = (process::cpu(id())?, farm.probes);
    farm.go_on(WINDOW);
    let spent = process::cpu(id())?.saturating_sub(before);
    let probes = farm.probes - probes;
    let resident = process::resident_bytes(id())?.saturating_sub(empty);
    let micros = spent.as_secs_f64() * 1e6 / probes as f64;
    let kib = resident as f64 / 1024.0 / f64::from(clusters * each);
    println!("{shape:>10} | {micros:>12.1} {kib:>14.1}");
    Ok(())
}

/// The engine, and healthy servers that answer it on virtual time.
struct Farm {
    engine: Engine,
    now: Now,
    /// Answers under way, in the order of their times.
    answers: VecDeque<(Mono, Input)>,
    served: BTreeMap<Name, Arc<Served>>,
    probes: u64,
}

impl Farm {
    fn new(clusters: u32, each: u32) -> Self {
        let now = Now { wall: UnixTime::from_secs(1_796_000_000), mono: Mono::ORIGIN };
        let inventory = Arc::new(Inventory {
            vantage: "bench".into(),
            clusters: (0..clusters).map(|n| (name(&format!("c{n}")), cluster(n, each))).collect(),
            ..Inventory::default()
        });
        let served = inventory.clusters.values().flat_map(|cluster| cluster.apiservers.keys());
        let served = served.enumerate().map(|(n, name)| (name.clone(), chain(n, now.wall))).collect();
        let policy =
            Policy { readyz_interval: INTERVAL, version_interval: Duration::from_secs(3600), ..Policy::default() };
        let mut engine = Engine::new(inventory, policy, now);
        engine.handle(Input::Restored(Ok(PersistedState::default())), now);
        let mut farm = Self { engine, now, answers: VecDeque::new(), served, probes: 0 };
        farm.act();
        farm
    }

    fn go_on(&mut self, time: Duration) {
        let end = self.now.mono.plus(time);
        loop {
            let answered = self.answers.front().map(|(at, _)| *at);
            let due = [answered, self.engine.next_deadline()].into_iter().flatten().min();
            let Some(at) = due.filter(|at| *at <= end) else { break };
            self.now = self.now.plus(at.since(self.now.mono));
            let input = match self.answers.pop_front() {
                Some((answered, input)) if answered <= self.now.mono => input,
                later => {
                    self.answers.extend(later);
                    self.answers.rotate_right(usize::from(!self.answers.is_empty()));
                    Input::Elapsed
                }
            };
            self.engine.handle(input, self.now);
            self.act();
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.engine.next_action() {
            let at = self.now.mono.plus(ANSWERED_AFTER);
            match action {
                Action::Probe(request) => {
                    self.probes += 1;
                    let observation = self.answer(request);
                    self.answers.push_back((at, Input::Observed(Box::new(observation))));
                }
                Action::Persist { sequence, .. } => {
                    self.answers.push_back((at, Input::Persisted { sequence, result: Ok(()) }));
                }
                Action::Send(_) | Action::Beat => {}
            }
        }
    }

    fn answer(&self, request: ProbeRequest) -> Observation {
        let server_date = Some(UnixTime::from_secs(self.now.wall.as_secs()));
        let reading = if request.probe.kind == ProbeKind::Version {
            Reading::Version(Version {
                status: 200,
                git_version: Some("v1.37.0".into()),
                server_date,
                retry_after_secs: None,
                foreign: None,
            })
        } else {
            Reading::Health(Health {
                status: 200,
                failing: Vec::new(),
                listed: 40,
                server_date,
                retry_after_secs: None,
                foreign: None,
            })
        };
        let short = request.probe.subject.short().parse().ok();
        Observation {
            request: Some(request.id),
            scheduled: request.scheduled,
            finished: request.scheduled.plus(ANSWERED_AFTER),
            phases: Phases {
                dial: Some(Duration::from_micros(300)),
                tls: Some(Duration::from_micros(2_700)),
                first_byte: Some(Duration::from_micros(1_900)),
                body: Some(Duration::from_micros(100)),
                ..Phases::default()
            },
            served: short.and_then(|name: Name| self.served.get(&name).cloned()),
            greeting: Some(Greeting { hello: request.hello, is_heard: true }),
            proves_path: true,
            outcome: Ok(reading),
            own_flaw: None,
            probe: request.probe,
        }
    }
}

#[expect(clippy::unwrap_used, reason = "the names are written above")]
fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn cluster(n: u32, each: u32) -> Cluster {
    let endpoint = |k: u32| Endpoint {
        address: format!("10.{}.{}.{k}:6443", n / 250, n % 250),
        server_name: "kube-apiserver".into(),
        is_loopback: false,
        certificates: Class::Manual,
    };
    Cluster {
        apiservers: (0..each).map(|k| (name(&format!("t{}", n * each + k)), endpoint(k))).collect(),
        is_verified: true,
        ..Cluster::default()
    }
}

fn chain(n: usize, now: UnixTime) -> Arc<Served> {
    let day = Duration::from_secs(86_400);
    let mut fingerprint = [0; 32];
    fingerprint[..8].copy_from_slice(&n.to_be_bytes());
    let leaf = Certificate {
        fingerprint: Fingerprint(fingerprint),
        subject: "CN=kube-apiserver".into(),
        issuer: "CN=kubernetes".into(),
        serial: format!("{n:x}"),
        not_before: now.minus(day * 100),
        not_after: now.plus(day * 265),
        names: vec!["kubernetes".into(), "kubernetes.default.svc".into(), "10.96.0.1".into()],
        is_ca: false,
        is_self_issued: false,
        key: None,
    };
    Arc::new(Served {
        chain: vec![Arc::new(leaf)],
        unreadable: 0,
        trust: Trust::Trusted,
        client_authorities: 1,
        path: None,
        trusted: Vec::new(),
    })
}
