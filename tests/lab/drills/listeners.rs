//! etcd as it is set up less often: metrics listeners over TLS, nothing but those, and a member without a vote.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::clock::{self, wait_for, wait_until};
use crate::drill::Drill;
use crate::etcd::{self, MEMBERS, QUOTA_BYTES};
use crate::http::{self, Credentials};
use crate::net::{Place, output};
use crate::pki;
use crate::process::Server;
use crate::vedette::Options;
use crate::world::World;

use super::versions::{of_kind, probes, result};
use super::watch::{self, AFTER_HOLD, Fault, SETTLED, TOO_LATE};

const PATIENCE: Duration = Duration::from_secs(40);

/// The member without a vote. It shares the place of the third, and its certificates, on ports of its own.
const LEARNER: &str = "etcd-4";
const HOST: Place = Place::Etcd(3);

pub(crate) const DRILLS: &[Drill] = &[
    Drill::new("metrics_listeners_over_tls_are_read_with_a_client_certificate", over_tls).without_cluster(),
    Drill::new("a_killed_member_is_told_by_metrics_listeners_alone", by_listeners_alone).without_cluster(),
    Drill::new("three_etcds_of_one_member_are_paged_as_that_and_one_without_tls_is_named", apart).without_cluster(),
    Drill::new("a_learner_neither_votes_nor_is_called_down_while_it_lives", learner).without_cluster(),
];

fn over_tls(world: &mut World) -> Result<()> {
    start_members(world, true)?;
    let members = listeners("https");
    let with_certificate = write_config(world, "with", &credentials(world, true), &members)?;
    let without = write_config(world, "without", &credentials(world, false), &members)?;

    let seen = probes(world, &with_certificate)?;
    for kind in ["etcd_health", "etcd_metrics", "chain"] {
        for probe in of_members(&seen, kind)? {
            ensure!(probe["outcome"] == "ok", "{kind}: {probe}");
        }
    }
    let seen = probes(world, &without)?;
    for kind in ["etcd_health", "etcd_metrics"] {
        for probe in of_members(&seen, kind)? {
            ensure!(probe["outcome"] == "refused", "{kind} without a certificate: {probe}");
            ensure!(result(&probe).contains("certificate"), "no word of the certificate: {probe}");
        }
    }
    Ok(())
}

/// The probes of one kind, one for each member.
fn of_members(seen: &[Value], kind: &str) -> Result<Vec<Value>> {
    let probes = of_kind(seen, kind);
    ensure!(probes.len() == usize::from(MEMBERS), "{} looks of kind {kind} in {seen:?}", probes.len());
    Ok(probes)
}

fn by_listeners_alone(world: &mut World) -> Result<()> {
    start_members(world, true)?;
    let config = write_config(world, "vedette", &credentials(world, true), &listeners("https"))?;
    world.start_vedette(&config)?;
    watch::ready(world)?;

    let fault = member_down("one member killed, seen by metrics listeners alone", "member etcd-3 is down");
    watch::drill(world, &fault, |world| world.kill9("etcd-3"), |world| world.start("etcd-3"))?;
    Ok(())
}

/// As after a restore in which each member was given only itself.
fn apart(world: &mut World) -> Result<()> {
    let program = world.tools.path("etcd")?.to_owned();
    let logs = world.folder.join("logs");
    for n in 1..=MEMBERS {
        let place = Place::Etcd(n);
        let more = [format!("--initial-cluster={}=https://{}:2380", place.name(), place.ip())];
        world.add(etcd::member_with(n, &program, &world.pki, &world.volatile, &logs, QUOTA_BYTES, &more));
        world.start(&place.name())?;
    }
    etcd::wait_ready(&world.network, world.size, PATIENCE)?;
    let config = write_config(world, "vedette", &client(world, "        "), &at_client_ports())?;
    let at = clock::now();
    world.start_vedette(&config)?;
    let symptom = "etcd is not the cluster expected";
    let fault = Fault { what: "three etcds of one member each", symptom, level: "[CRITICAL", within: TOO_LATE };
    let mail = watch::told(world, &fault, at)?;
    ensure!(!mail.text.contains("lost quorum"), "each of them takes writes:\n{}", mail.text);

    let plain = format!("http://{}:32379", HOST.ip());
    let arguments = vec![
        "--name=plain".to_owned(),
        format!("--data-dir={}", world.volatile.join("plain").display()),
        format!("--listen-client-urls={plain}"),
        format!("--advertise-client-urls={plain}"),
        "--listen-peer-urls=http://127.0.0.1:32380".to_owned(),
        "--initial-advertise-peer-urls=http://127.0.0.1:32380".to_owned(),
        "--initial-cluster=plain=http://127.0.0.1:32380".to_owned(),
    ];
    world.add(Server::new("plain", HOST, &program, arguments, logs.join("plain.log")));
    world.start("plain")?;
    let place = format!("{{ name: plain, address: \"{}:32379\" }}", HOST.ip());
    let config = write_config(world, "plain", &client(world, "        "), &[place])?;
    wait_until("an etcd without TLS to be named", PATIENCE, || {
        probes(world, &config)
            .is_ok_and(|seen| of_kind(&seen, "etcd_status").iter().any(|probe| result(probe).contains("without TLS")))
    })
    .map(|_| ())
    .with_context(|| world.what_vedette_said())
}

fn learner(world: &mut World) -> Result<()> {
    start_members(world, false)?;
    let peer = format!("https://{}:12380", HOST.ip());
    // etcd lets nobody join before its members have known each other for five seconds.
    wait_for("the learner to be let in", PATIENCE, || {
        let peers = format!("--peer-urls={peer}");
        output(&mut world.etcdctl(&["member", "add", LEARNER, "--learner", &peers])?).map(Some)
    })?;
    let server = learner_of(world, &peer)?;
    world.add(server);
    world.start(LEARNER)?;
    let mut members = at_client_ports();
    members.push(format!("{{ name: {LEARNER}, address: \"{}:12379\" }}", HOST.ip()));
    let config = write_config(world, "vedette", &client(world, "        "), &members)?;
    world.start_vedette(&config)?;
    watch::ready(world)?;

    let learns =
        format!("vedette_etcd_is_learner{{cluster=\"lab\",component=\"etcd\",etcd=\"main\",instance=\"{LEARNER}\"}}");
    wait_until("the learner to be known as one", PATIENCE, || {
        world.page("/metrics").is_ok_and(|page| page.series(&learns) == Some(1.0))
    })
    .with_context(|| world.what_vedette_said())?;
    // Three reads, which a learner refuses, are ten seconds apart.
    world.quiet_for(Duration::from_secs(35)).with_context(|| world.what_vedette_said())?;
    let page = world.page("/metrics")?;
    ensure!(!watch::is_alarmed(&page), "an alarm stands while all is well:\n{}", page.body);
    let four_voters =
        page.body.lines().find(|line| line.starts_with("vedette_findings{") && line.contains("rule=\"F51\""));
    ensure!(four_voters.is_none(), "the learner counts as a voter: {four_voters:?}");

    // Two of four are gone, but two of three voters remain: a loss of redundancy and no outage.
    let fault = member_down("a learner and a voter killed", "is down");
    let kill = |world: &mut World| {
        let at = world.kill9(LEARNER)?;
        world.kill9("etcd-2")?;
        Ok(at)
    };
    let revive = |world: &mut World| {
        world.start(LEARNER)?;
        world.start("etcd-2")
    };
    watch::drill(world, &fault, kill, revive)?;
    world.quiet_for(SETTLED)
}

/// Three members, running, and a configuration that names nothing else.
pub(super) fn plain_members(world: &mut World) -> Result<PathBuf> {
    start_members(world, false)?;
    write_config(world, "vedette", &client(world, "        "), &at_client_ports())
}

fn at_client_ports() -> Vec<String> {
    let member = |place: Place| format!("{{ name: {}, address: \"{}:2379\" }}", place.name(), place.ip());
    (1..=MEMBERS).map(Place::Etcd).map(member).collect()
}

const fn member_down(what: &'static str, symptom: &'static str) -> Fault {
    Fault { what, symptom, level: "[WARNING", within: AFTER_HOLD }
}

/// Starts three members, whose metrics listeners want a client certificate if they are `secured`.
fn start_members(world: &mut World, secured: bool) -> Result<()> {
    let program = world.tools.path("etcd")?.to_owned();
    let logs = world.folder.join("logs");
    for place in (1..=MEMBERS).map(Place::Etcd) {
        let Place::Etcd(n) = place else { continue };
        // A member secures this listener as it secures its client port; given twice, a flag counts the second time.
        let more = secured.then(|| format!("--listen-metrics-urls=https://{}:2381", place.ip()));
        let more: Vec<String> = more.into_iter().collect();
        world.add(etcd::member_with(n, &program, &world.pki, &world.volatile, &logs, QUOTA_BYTES, &more));
        world.start(&place.name())?;
    }
    let scheme = if secured { "https" } else { "http" };
    let credentials =
        Credentials { ca: world.pki.file("etcd/ca", "crt"), client: Some(world.pki.leaf("etcd/vedette")) };
    for place in (1..=MEMBERS).map(Place::Etcd) {
        let url = format!("{scheme}://{}:2381/health", place.ip());
        wait_for("a member to be healthy", PATIENCE, || {
            let answer = world.network.inside(Place::Bastion, || http::get(&url, Some(&credentials)))?;
            ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
            Ok(Some(()))
        })?;
    }
    Ok(())
}

/// The member without a vote, not started.
fn learner_of(world: &World, peer: &str) -> Result<Server> {
    let voters = (1..=MEMBERS).map(Place::Etcd);
    let mut cluster: Vec<String> =
        voters.map(|place| format!("{}=https://{}:2380", place.name(), place.ip())).collect();
    cluster.push(format!("{LEARNER}={peer}"));
    let (served, peers) = (world.pki.leaf("etcd-3/server"), world.pki.leaf("etcd-3/peer"));
    let ca = world.pki.file("etcd/ca", "crt");
    let clients = format!("https://{}:12379", HOST.ip());
    let arguments = vec![
        format!("--name={LEARNER}"),
        format!("--data-dir={}", world.volatile.join(LEARNER).display()),
        format!("--initial-cluster={}", cluster.join(",")),
        "--initial-cluster-state=existing".to_owned(),
        format!("--listen-client-urls={clients}"),
        format!("--advertise-client-urls={clients}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        "--client-cert-auth=true".to_owned(),
        format!("--trusted-ca-file={}", ca.display()),
        format!("--cert-file={}", served.cert.display()),
        format!("--key-file={}", served.key.display()),
        "--peer-client-cert-auth=true".to_owned(),
        format!("--peer-trusted-ca-file={}", ca.display()),
        format!("--peer-cert-file={}", peers.cert.display()),
        format!("--peer-key-file={}", peers.key.display()),
    ];
    let log = world.folder.join("logs").join(format!("{LEARNER}.log"));
    Ok(Server::new(LEARNER, HOST, world.tools.path("etcd")?, arguments, log))
}

/// Members that have nothing but a metrics listener.
fn listeners(scheme: &str) -> Vec<String> {
    let member = |place: Place| format!("{{ name: {}, metrics: \"{scheme}://{}:2381\" }}", place.name(), place.ip());
    (1..=MEMBERS).map(Place::Etcd).map(member).collect()
}

/// What is shown to metrics listeners.
fn credentials(world: &World, with_certificate: bool) -> String {
    let ca = format!("          ca: {{ file: {} }}\n", world.pki.file("etcd/ca", "crt").display());
    let shown = if with_certificate { client(world, "          ") } else { ca };
    format!("        metrics:\n{shown}")
}

fn client(world: &World, indent: &str) -> String {
    let leaf = world.pki.leaf("etcd/vedette");
    let parts = [("ca", world.pki.file("etcd/ca", "crt")), ("client_certificate", leaf.cert), ("client_key", leaf.key)];
    parts.map(|(key, path)| format!("{indent}{key}: {{ file: {} }}\n", path.display())).concat()
}

/// A configuration that names nothing but etcd, and who is told.
fn write_config(world: &World, name: &str, credentials: &str, members: &[String]) -> Result<PathBuf> {
    let mut text = world.vantage_and_outlets(&Options::default())?;
    write!(text, "clusters:\n  - name: lab\n    etcd:\n      - name: main\n{credentials}        members:\n")?;
    for member in members {
        writeln!(text, "          - {member}")?;
    }
    let file = world.folder.join(format!("{name}.yaml"));
    pki::write(&file, &text, 0o600)?;
    Ok(file)
}
