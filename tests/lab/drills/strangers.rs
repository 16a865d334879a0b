//! Answers that are not those of a healthy cluster: etcd's own alarm, a chain of a stranger, a login page, a name that
//! leads nowhere by half, a proxy that fails. Each is named as what it is, once, and nothing is called down for it.

use std::fs;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use crate::clock;
use crate::dns;
use crate::drill::Drill;
use crate::http::{self, Credentials};
use crate::net::{Place, output};
use crate::pki::{self, Life};
use crate::process::Server;
use crate::rbac;
use crate::vedette::Options;
use crate::world::World;

use super::watch::{self, AFTER_HOLD, CRITICAL, Fault, TOO_LATE};

pub(crate) const DRILLS: &[Drill] = &[
    Drill::new("a_corrupt_etcd_is_paged_and_nobody_is_told_to_disarm_it", corrupt).tidy(),
    Drill::new("a_chain_of_an_unknown_authority_is_told_as_that", stranger).tidy(),
    Drill::new("a_login_page_before_ready_apiservers_is_told_as_that", login_page).tidy(),
    Drill::new("a_proxy_that_fails_is_one_page_and_no_cluster_is_called_down", dead_proxy).tidy(),
    Drill::new("one_dead_address_of_two_is_told_as_that", dead_address).when_full(),
];

/// An apiserver reads a replaced certificate within a minute.
const RELOAD: Duration = Duration::from_secs(90);
/// The interval at which all addresses of a name are tried, their hold, and half a minute on top.
const AFTER_ADDRESS_HOLD: Duration = Duration::from_secs(280);
/// The hold of isolation, and half a minute on top.
const AFTER_PROXY_HOLD: Duration = Duration::from_secs(90);
/// The port of the proxy in the mail place.
const PROXY_PORT: u16 = 8888;

fn corrupt(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    let fault =
        Fault { what: "etcd raised CORRUPT", symptom: "is corrupt (CORRUPT alarm)", level: CRITICAL, within: TOO_LATE };
    let mails = watch::drill(world, &fault, |world| alarm(world, "ACTIVATE"), |world| alarm(world, "DEACTIVATE"))?;
    for harm in ["alarm disarm", "defrag"] {
        ensure!(!mails[0].text.contains(harm), "'{harm}' destroys what is left:\n{}", mails[0].text);
    }
    Ok(())
}

/// Raises or ends the alarm by etcd's own API, which etcdctl does not offer.
fn alarm(world: &mut World, action: &str) -> Result<Instant> {
    let text = output(&mut world.etcdctl(&["member", "list", "--write-out=json"])?)?;
    let listed: Value = serde_json::from_str(&text)?;
    let id = listed["members"][0]["ID"].as_u64().ok_or_else(|| anyhow!("no member in {text}"))?;
    let credentials =
        Credentials { ca: world.pki.file("etcd/ca", "crt"), client: Some(world.pki.leaf("etcd/healthcheck-client")) };
    let url = format!("https://{}:2379/v3/maintenance/alarm", Place::Etcd(1).ip());
    let json = format!("{{\"action\":\"{action}\",\"memberID\":\"{id}\",\"alarm\":\"CORRUPT\"}}");
    let at = clock::now();
    let answer = world.network.inside(Place::Bastion, || http::post(&url, &credentials, &json))?;
    ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
    Ok(at)
}

fn stranger(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    let fault = Fault {
        what: "chain of an unknown CA served (30 s hold)",
        symptom: "TLS chain is of an unknown CA",
        level: "[WARNING",
        within: AFTER_HOLD,
    };
    let serve = |world: &mut World| {
        world.pki.serve_by_stranger(1)?;
        served(world, false)
    };
    let mend = |world: &mut World| {
        world.pki.serve(1, Life::Year)?;
        served(world, true)
    };
    let mails = watch::drill(world, &fault, serve, mend)?;
    ensure!(mails[0].text.contains("10.89.0.31:6443"), "the place is missing:\n{}", mails[0].text);
    Ok(())
}

/// Waits until apiserver 1 serves a certificate that a client of the cluster takes, or does not take.
fn served(world: &World, good: bool) -> Result<Instant> {
    let url = format!("https://{}:6443/livez", Place::Api(1).ip());
    let credentials = world.credentials("vedette");
    clock::wait_until("the replaced certificate to be served", RELOAD, || {
        world.network.inside(Place::Bastion, || http::get(&url, Some(&credentials))).is_ok() == good
    })
}

/// Something stands where the balancer stood, answers health checks itself, and wants a login for all else.
fn login_page(world: &mut World) -> Result<()> {
    watch::start(world, &Options::default())?;
    let leaf = world.pki.leaf("api-1/apiserver");
    let pem = world.folder.join("portal.pem");
    pki::write(&pem, &format!("{}{}", fs::read_to_string(&leaf.cert)?, fs::read_to_string(&leaf.key)?), 0o600)?;
    let config = world.folder.join("portal.cfg");
    let text = format!(
        "global\n  log stderr format raw local0 notice\ndefaults\n  mode http\n  timeout connect 4s\n  timeout client 1m\n  \
         timeout server 1m\nfrontend portal\n  bind {}:6443 ssl crt {} alpn h2,http/1.1\n  \
         http-request return status 200 content-type text/plain string ok if {{ path /readyz /livez }}\n  \
         http-request return status 200 content-type text/html string \"<html>Please log in</html>\"\n",
        Place::Vip.ip(),
        pem.display()
    );
    pki::write(&config, &text, 0o644)?;
    let arguments = vec!["-db".to_owned(), "-f".to_owned(), config.display().to_string()];
    let log = world.folder.join("logs/portal.log");
    world.add(Server::new("portal", Place::Vip, "haproxy", arguments, log));

    let fault = Fault {
        what: "a login page before ready apiservers (30 s hold)",
        symptom: "/version is not answered by an apiserver",
        level: "[",
        within: AFTER_HOLD,
    };
    let captive = |world: &mut World| {
        world.kill9("vip")?;
        world.start("portal")
    };
    let mend = |world: &mut World| {
        world.kill9("portal")?;
        world.start("vip")
    };
    let mails = watch::drill(world, &fault, captive, mend)?;
    ensure!(mails[0].text.contains("10.89.0.48:6443"), "the place is missing:\n{}", mails[0].text);
    Ok(())
}

fn dead_proxy(world: &mut World) -> Result<()> {
    let config = world.folder.join("tinyproxy.conf");
    let text = format!(
        "Port {PROXY_PORT}\nListen {ip}\nTimeout 600\nMaxClients 100\nAllow 10.89.0.0/24\nConnectPort 6443\n",
        ip = Place::Mail.ip()
    );
    pki::write(&config, &text, 0o644)?;
    let arguments = vec!["-d".to_owned(), "-c".to_owned(), config.display().to_string()];
    let log = world.folder.join("logs/proxy.log");
    world.add(Server::new("proxy", Place::Mail, "tinyproxy", arguments, log));
    world.start("proxy")?;
    let file = rbac::vedette(&world.folder);
    let direct = fs::read_to_string(&file)?;
    let proxy = format!("  cluster:\n    proxy-url: http://{}:{PROXY_PORT}", Place::Mail.ip());
    pki::write(&file, &direct.replace("  cluster:", &proxy), 0o600)?;
    watch::start(world, &Options::default()).context("through the proxy")?;

    let fault = Fault {
        what: "proxy before the apiservers killed (60 s hold)",
        symptom: "proxy 10.89.0.50:8888 fails",
        level: CRITICAL,
        within: AFTER_PROXY_HOLD,
    };
    let at = world.kill9("proxy")?;
    let mail = watch::said(world, 1, fault.within)?.remove(0);
    world.table.note(fault.what, at, mail.arrived);
    ensure!(mail.subject.contains(fault.symptom) && mail.subject.contains(fault.level), "{}", mail.subject);
    world.quiet_for(watch::SETTLED).with_context(|| world.what_vedette_said())?;
    let mended = world.start("proxy")?;
    watch::cleared(world, &fault, mended)?;
    Ok(())
}

fn dead_address(world: &mut World) -> Result<()> {
    let second = Ipv4Addr::new(10, 89, 0, 148);
    dns::start(world)?;
    world.network.give_address(Place::Vip, second)?;
    dns::lead_also(world, Place::Vip, second)?;
    watch::start(world, &Options { resolvers: vec![dns::address()], by_name: true, ..Options::default() })?;

    let fault = Fault {
        what: "one of two addresses dead (tried every 60 s, 130 s hold)",
        symptom: "one address of the API name is down",
        level: "[WARNING",
        within: AFTER_ADDRESS_HOLD,
    };
    world.network.abandon_address(Place::Vip)?;
    let mail = watch::told(world, &fault, clock::now())?;
    ensure!(mail.text.contains(&Place::Vip.ip().to_string()), "the address is missing:\n{}", mail.text);
    Ok(())
}
