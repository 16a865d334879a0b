//! What vedette asks of a cluster, as the cluster's own servers count it: in the steady state what was planned, in an
//! outage never more than the ceiling. And an outage of many servers is found as fast as one of few.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::audit::busiest_second;
use crate::clock;
use crate::drill::Drill;
use crate::http;
use crate::net::Place;
use crate::vedette::Options;
use crate::world::World;

use super::watch::{self, CRITICAL, Fault, TOO_LATE};

pub(crate) const DRILLS: &[Drill] = &[
    Drill::new("servers_count_no_more_requests_than_the_ceiling", counted_by_the_servers),
    Drill::new("ten_killed_apiservers_are_told_as_fast_as_two", ten_killed).when_full().on_a_large_cluster(),
    Drill::new("an_outage_of_ten_and_five_stays_below_the_ceiling", counted_by_the_servers)
        .when_full()
        .on_a_large_cluster(),
];

/// How long the steady state is counted: three of the rounds that come every ten seconds.
const STEADY: Duration = Duration::from_secs(30);
/// What one request more or less at both ends of a count, and a probe that was on its way, may add.
const EDGES: f64 = 3.0;

fn counted_by_the_servers(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    let page = world.page("/metrics")?;
    let series = |name: &str| {
        page.series(&format!("{name}{{cluster=\"lab\"}}")).with_context(|| format!("no {name} on the page"))
    };
    let planned = series("vedette_requests_planned_per_second")?;
    let ceiling = series("vedette_requests_limit_per_second")?;

    world.network.count_connections()?;
    let before = Counted::now(world)?;
    clock::pass(STEADY);
    let steady = Counted::now(world)?.since(&before);
    let rate = steady.requests / steady.seconds;
    println!("steady: {rate:.2} requests/s counted by the servers, {planned:.2} planned, {ceiling} at most");
    ensure!(rate <= planned * 1.1 + EDGES / steady.seconds, "{rate:.2}/s were counted, {planned:.2}/s planned");
    // Reads of etcd, handshakes for chains and pages of listeners are a sixth of the plan and not among the counted.
    ensure!(rate >= planned * 0.7, "only {rate:.2}/s were counted of {planned:.2}/s planned: something is not counted");

    // Apiservers and members that live are asked more than dead ones, and everything is suspected at once.
    let before = Counted::now(world)?;
    let at = freeze_majority(world)?;
    let what =
        if world.size.instances > 2 { "quorum of five frozen, ten apiservers" } else { "quorum frozen, counted" };
    let fault = Fault { what, symptom: "etcd has lost quorum", level: CRITICAL, within: TOO_LATE };
    watch::told(world, &fault, at)?;
    // A frozen member cannot be asked what it counted.
    thaw_majority(world)?;
    world.wait_ready(Duration::from_secs(60))?;
    let outage = Counted::now(world)?.since(&before);
    println!(
        "outage: {:.2} requests/s, {:.2} connections/s, {} in the busiest second of the apiservers",
        outage.requests / outage.seconds,
        outage.connections / outage.seconds,
        outage.busiest
    );
    for (what, count) in [("requests", outage.requests), ("connections", outage.connections)] {
        ensure!(
            count <= ceiling * outage.seconds + EDGES,
            "{count} {what} in {:.1} s, {ceiling}/s at most",
            outage.seconds
        );
    }
    // Two requests that were sent a second apart may be received a little closer to each other.
    ensure!(outage.busiest <= ceiling + 2.0, "{} requests in one second, {ceiling} at most", outage.busiest);
    Ok(())
}

fn ten_killed(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    let fault =
        Fault { what: "ten apiservers killed", symptom: "all apiservers are down", level: CRITICAL, within: TOO_LATE };
    let at = clock::now();
    for n in 1..=world.size.instances {
        world.kill9(&Place::Api(n).name())?;
    }
    watch::told(world, &fault, at)?;
    Ok(())
}

fn majority(world: &World) -> impl Iterator<Item = String> + use<> {
    (1..=world.size.members / 2 + 1).map(|n| Place::Etcd(n).name())
}

fn freeze_majority(world: &mut World) -> Result<Instant> {
    let at = clock::now();
    for name in majority(world) {
        world.freeze(&name)?;
    }
    Ok(at)
}

fn thaw_majority(world: &mut World) -> Result<()> {
    for name in majority(world) {
        world.thaw(&name)?;
    }
    Ok(())
}

/// What the servers have counted up to an instant.
struct Counted {
    at: Instant,
    audited: Vec<Duration>,
    /// gRPC calls that the members have begun.
    grpc: f64,
    opened: u64,
}

/// What they counted between two instants.
struct Between {
    seconds: f64,
    requests: f64,
    connections: f64,
    busiest: f64,
}

impl Counted {
    fn now(world: &World) -> Result<Self> {
        let mut grpc = 0.0;
        for n in 1..=world.size.members {
            grpc += calls(world, n)?;
        }
        Ok(Self {
            at: clock::now(),
            audited: world.audited()?,
            grpc,
            opened: world.network.opened().unwrap_or_default(),
        })
    }

    fn since(&self, before: &Self) -> Between {
        let new = &self.audited[before.audited.len().min(self.audited.len())..];
        let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        Between {
            seconds: self.at.saturating_duration_since(before.at).as_secs_f64(),
            requests: count(new.len()) + (self.grpc - before.grpc).max(0.0),
            connections: count(usize::try_from(self.opened.saturating_sub(before.opened)).unwrap_or(usize::MAX)),
            busiest: count(busiest_second(new)),
        }
    }
}

/// Calls of the kinds vedette makes that member `n` has begun. The apiservers make none of them but reads, which are
/// told apart by nothing here and are left out together with vedette's.
fn calls(world: &World, n: u8) -> Result<f64> {
    let url = format!("http://{}:2381/metrics", Place::Etcd(n).ip());
    let page = world.network.inside(Place::Bastion, || http::get(&url, None))?;
    let ours = |line: &&str| {
        line.starts_with("grpc_server_started_total{")
            && ["\"Status\"", "\"Alarm\"", "\"MemberList\""].iter().any(|method| line.contains(method))
    };
    Ok(page.body.lines().filter(ours).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}
