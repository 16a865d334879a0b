//! The lab checks itself: each control of the cluster does what it says. No vedette is needed.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::clock::{self, wait_until};
use crate::drill::Drill;
use crate::http::{self, Answer};
use crate::net::{Place, output};
use crate::pki::Life;
use crate::vedette::{Options, Relay};
use crate::world::World;

/// Bound on every wait for an effect. Effects come in seconds; a busy machine may need longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The family.
pub(crate) const DRILLS: &[Drill] = &[
    Drill::new("selftest_vedette_may_read_health_and_nothing_else", rights).tidy(),
    Drill::new("selftest_servers_die_freeze_and_come_back", processes).tidy(),
    Drill::new("selftest_links_are_cut_and_healed", links).tidy(),
    Drill::new("selftest_etcd_fills_up_and_is_freed", space).tidy(),
    Drill::new("selftest_an_expired_certificate_is_served", certificate).tidy(),
    Drill::new("selftest_any_member_of_etcd_may_die", members).when_full(),
];

fn rights(world: &mut World) -> Result<()> {
    for place in [Place::Api(1), Place::Api(2), Place::Vip] {
        for (path, status) in [
            ("/livez", 200),
            ("/readyz?verbose", 200),
            ("/readyz/etcd", 200),
            ("/version", 200),
            ("/metrics", 200),
            ("/metrics/slis", 200),
            ("/api/v1/secrets", 403),
            ("/api/v1/namespaces/kube-system", 403),
            ("/debug/pprof/", 403),
        ] {
            let answer = ask(world, place, path)?;
            ensure!(answer.status == status, "{} {path}: {} instead of {status}", place.name(), answer.status);
        }
    }
    let version = ask(world, Place::Vip, "/version")?.body;
    ensure!(version.contains("\"gitVersion\": \"v1."), "no version in {version}");
    let members = output(&mut world.etcdctl(&["member", "list"])?)?;
    ensure!(members.lines().filter(|line| line.contains("started")).count() == 3, "members: {members}");
    let url = format!("http://{}:2381/metrics", Place::Etcd(1).ip());
    let page = world.network.inside(Place::Bastion, || http::get(&url, None))?;
    ensure!(page.series("etcd_server_has_leader") == Some(1.0), "etcd-1 shows no leader on its metrics listener");
    let config = world.write_vedette_config(&Options { relay: Relay::Postfix, ..Options::default() })?;
    ensure!(std::fs::read_to_string(config)?.contains("10.89.0.23:2379"), "the configuration lacks a member");
    Ok(())
}

fn processes(world: &mut World) -> Result<()> {
    let killed = world.kill9("api-1")?;
    ensure!(ask(world, Place::Api(1), "/livez").is_err(), "a killed apiserver answers");
    wait_until("the VIP to use the other instance", PATIENCE, || is_ready(world, Place::Vip))?;
    world.start("api-1")?;
    let back = wait_until("api-1 to be ready again", PATIENCE, || is_ready(world, Place::Api(1)))?;
    world.table.note("selftest: apiserver killed to ready again", killed, back);

    world.freeze("api-2")?;
    world.network.inside(Place::Bastion, || Ok(TcpStream::connect((Place::Api(2).ip(), 6443))?))?;
    ensure!(ask(world, Place::Api(2), "/livez").is_err(), "a frozen apiserver answers");
    world.thaw("api-2")?;
    wait_until("api-2 to answer again", PATIENCE, || is_ready(world, Place::Api(2)))?;

    world.stop("vip")?;
    ensure!(ask(world, Place::Vip, "/livez").is_err(), "a stopped VIP answers");
    ensure!(is_ready(world, Place::Api(1)), "an instance suffers from the VIP's end");
    world.start("vip")?;

    let frozen = world.freeze("etcd-1")?.max(world.freeze("etcd-2")?);
    let felt = wait_until("readyz to name etcd", PATIENCE, || names_etcd(world))?;
    world.table.note("selftest: etcd quorum frozen to readyz saying so", frozen, felt);
    ensure!(ask(world, Place::Api(1), "/version")?.status == 200, "/version needs etcd");
    let thawed = world.thaw("etcd-1")?.max(world.thaw("etcd-2")?);
    let back = wait_until("readyz to recover", PATIENCE, || is_ready(world, Place::Api(1)))?;
    world.table.note("selftest: etcd quorum back to readyz saying so", thawed, back);

    let restarted = world.restart("api-1")?;
    let back = wait_until("a restarted apiserver", PATIENCE, || is_ready(world, Place::Api(1)))?;
    world.table.note("selftest: apiserver told to restart to ready again", restarted, back);
    world.wait_ready(PATIENCE)
}

fn links(world: &mut World) -> Result<()> {
    let member = Place::Etcd(1);
    world.network.drop_one_way(Place::Bastion, member)?;
    ensure!(!reaches(world, Place::Bastion, member), "a dropped direction lets a connection through");
    ensure!(reaches(world, Place::Api(1), member), "another link suffers");
    world.network.heal()?;
    ensure!(reaches(world, Place::Bastion, member), "a healed link is still cut");

    world.network.cut(Place::Bastion)?;
    for place in [Place::Api(1), Place::Vip, Place::Mail] {
        ensure!(ask(world, place, "/livez").is_err(), "the bastion reaches {} while cut off", place.name());
    }
    ensure!(reaches(world, Place::Api(1), member), "the cluster suffers from the bastion's cut");
    world.network.reconnect(Place::Bastion)?;
    wait_until("the bastion to see the VIP again", PATIENCE, || is_ready(world, Place::Vip))?;

    let (_, length) = world.packet_burst(Duration::from_secs(1))?;
    ensure!(length < Duration::from_millis(1500), "a burst of 1 s lasted {length:?}");
    wait_until("everything to recover from a burst", PATIENCE, || {
        [Place::Api(1), Place::Api(2), Place::Vip].into_iter().all(|place| is_ready(world, place))
    })
    .map(drop)
}

fn space(world: &mut World) -> Result<()> {
    ensure!(world.etcd_alarms()?.is_empty(), "a fresh etcd has an alarm");
    let start = clock::now();
    let full = world.fill_etcd()?;
    world.table.note("selftest: filling etcd to the alarm", start, full);
    ensure!(world.etcd_alarms()?.contains("NOSPACE"), "no alarm");
    ensure!(is_ready(world, Place::Api(1)), "readyz is expected to stay good without space");
    ensure!(create_namespace(world, "while-full").is_err(), "a write succeeds without space");
    world.free_etcd()?;
    ensure!(world.etcd_alarms()?.is_empty(), "the alarm stays");
    wait_until("a write to succeed again", PATIENCE, || create_namespace(world, "freed").is_ok()).map(drop)
}

fn members(world: &mut World) -> Result<()> {
    for place in (1..=crate::etcd::MEMBERS).map(Place::Etcd) {
        world.kill9(&place.name())?;
        wait_until("writes to go on with two members", PATIENCE, || create_namespace(world, &place.name()).is_ok())?;
        world.start(&place.name())?;
        world.wait_ready(PATIENCE)?;
    }
    Ok(())
}

fn certificate(world: &mut World) -> Result<()> {
    ensure!(!world.serves_expired(1)?, "a fresh certificate is expired");
    let start = clock::now();
    let expired = world.replace_certificate(1, Life::Expired)?;
    world.table.note("selftest: certificate file replaced to served", start, expired);
    ensure!(!world.serves_expired(2)?, "the other instance is expired as well");
    world.replace_certificate(1, Life::Year)?;
    ensure!(is_ready(world, Place::Api(1)), "not ready with the good certificate again");
    Ok(())
}

fn ask(world: &World, place: Place, path: &str) -> Result<Answer> {
    let url = format!("https://{}:6443{path}", place.ip());
    let credentials = world.credentials("vedette");
    world.network.inside(Place::Bastion, || http::get(&url, Some(&credentials)))
}

fn is_ready(world: &World, place: Place) -> bool {
    ask(world, place, "/readyz").is_ok_and(|answer| answer.status == 200)
}

fn names_etcd(world: &World) -> bool {
    ask(world, Place::Api(1), "/readyz?verbose").is_ok_and(|answer| answer.body.contains("[-]etcd"))
}

fn reaches(world: &World, from: Place, to: Place) -> bool {
    let address = SocketAddr::from((to.ip(), 2379));
    world.network.inside(from, || Ok(TcpStream::connect_timeout(&address, Duration::from_secs(2))?)).is_ok()
}

fn create_namespace(world: &World, name: &str) -> Result<()> {
    let mut kubectl = world.kubectl()?;
    output(kubectl.args(["create", "namespace", name])).map(drop)
}
