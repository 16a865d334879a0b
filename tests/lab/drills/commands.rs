//! What mails tell people to run, run under the faults it is for.
//!
//! `tests/commands.list` says which drill runs a command and what it must show: here on hosts as kubeadm leaves them,
//! in `bastion.rs` on a booted machine with vedette on it; `talos.rs` asks talosctl what it takes.

mod bastion;
mod findings;
mod list;
mod talos;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use vedette::model::certificate::Class;
use vedette::model::certificate_files::ItemKind;
use vedette::model::etcd::{EtcdAlarmKind, Mismatch};
use vedette::model::host_access::{self, Credential, Named};
use vedette::model::phase::Cause;
use vedette::model::rule::RuleId;
use vedette::model::verdict::Finding;

use self::findings::{
    addresses, alarm, all_down, apart, differing_flag, elections, expiry, failing_webhook, foreign,
    large_hellos_are_lost, lossy, member, mismatch, not_ready, own_expires, quorum_lost, refused, several_clusters,
    slow, stale, unread, untrusted, vip,
};
use self::list::List;
use crate::clock;
use crate::controllers;
use crate::drill::Drill;
use crate::host::Hosts;
use crate::http;
use crate::net::{Place, output};
use crate::process::Server;
use crate::rbac;
use crate::tools::Extra;
use crate::world::World;

pub(crate) const DRILLS: &[Drill] = &[
    Drill::new("every_command_in_mails_shows_what_it_promises_on_a_kubeadm_host", on_hosts)
        .with(&[Extra::Hosts, Extra::Controllers]),
    Drill::new("every_command_in_mails_shows_what_it_promises_on_the_host_of_vedette", bastion::on_the_bastion)
        .with(&[Extra::Hosts])
        .on_a_machine(),
    Drill::new("talosctl_takes_every_command_for_it", talos::by_talosctl)
        .with(&[Extra::Talos])
        .without_cluster()
        .when_full(),
];

/// Bound on every wait for a server.
const PATIENCE: Duration = Duration::from_secs(60);
/// What cert-manager adds to a cluster, as far as a list of its certificates needs it.
const CERT_MANAGER: &str = include_str!("../cert-manager.yaml");

/// The hosts of a world and what is left to run on them.
struct Run {
    list: List,
    hosts: Hosts,
}

fn on_hosts(world: &mut World) -> Result<()> {
    let hosts = Hosts::lay(world)?;
    let mut run = Run {
        list: List::of("hosts", host_access::Hosts { named: named(world), ..host_access::Hosts::default() })?,
        hosts,
    };
    let outcome = faults(world, &mut run);
    run.list.conclude(outcome)
}

fn faults(world: &mut World, run: &mut Run) -> Result<()> {
    listen_as_kubeadm_does(world)?;
    let pki = world.pki.leaf("api-1/apiserver").cert.display().to_string();

    // Of a cluster that works, as far as these commands see.
    for finding in [
        apart(),
        mismatch(Mismatch::NotListed(vec![member(3)])),
        elections(),
        alarm(RuleId::F10, EtcdAlarmKind::Corrupt),
        not_ready(RuleId::F50, "log"),
        foreign(),
        vip(),
        untrusted("unknown_authority"),
        untrusted("not_yet_valid"),
        slow(),
        unread(&pki),
        refused("prod/apiserver/api-1", Cause::CredentialRejected),
        refused("prod/apiserver/api-1", Cause::TokenWithheld),
        refused("prod/etcd/main/etcd-1", Cause::CredentialRejected),
        lossy(),
        differing_flag(),
        failing_webhook(),
    ] {
        run.check(world, &finding)?;
    }
    credentials(world, run)?;
    certificates(world, run)?;
    hellos(world, run)?;
    members(world, run)?;
    run.check(world, &stale(&pki))?;
    world.server("api-1")?.stop().ok();
    world.start("api-1")?;
    world.wait_ready(PATIENCE)?;

    world.fill_etcd()?;
    run.check(world, &alarm(RuleId::F09, EtcdAlarmKind::NoSpace))?;
    ensure!(world.etcd_alarms()?.is_empty(), "the alarm is still raised: {}", world.etcd_alarms()?);

    for name in ["etcd-2", "etcd-3"] {
        world.kill9(name)?;
    }
    run.check(world, &quorum_lost())?;
    ensure!(run.hosts.of(Place::Etcd(2)).join("root/etcd-before/member").is_dir(), "there is no copy of the data");

    let log = world.server("api-1")?.log.clone();
    clock::wait_until("an apiserver to miss etcd", PATIENCE, || {
        fs::read_to_string(&log).is_ok_and(|text| text.contains("etcd"))
    })?;
    run.check(world, &not_ready(RuleId::F25, "etcd"))?;

    for name in ["api-1", "api-2"] {
        world.kill9(name)?;
    }
    run.check(world, &all_down())
}

/// vedette gets a new credential, which a real controller-manager signs.
fn credentials(world: &mut World, run: &mut Run) -> Result<()> {
    for controller in controllers::BOTH {
        controllers::start_one(world, controller, 1)?;
    }
    let kubeconfig = rbac::vedette(&world.folder).display().to_string();
    run.check(world, &own_expires(ItemKind::KubeconfigClient, &kubeconfig))?;
    let taken = run.line(&own_expires(ItemKind::KubeconfigClient, &kubeconfig), "base64 -d >vedette.crt")?;
    let shown = "openssl x509 -noout -subject -issuer -in vedette.crt".to_owned();
    clock::wait_for("a signed certificate", PATIENCE, || {
        let done = run.hosts.paste(world, &[taken.clone(), shown.clone()])?;
        Ok(done[1].said.contains("CN = vedette").then_some(()))
    })?;

    let token = world.folder.join("token");
    fs::write(&token, "a.token.of.nobody")?;
    run.check(world, &own_expires(ItemKind::Token, &token.display().to_string()))
}

/// An apiserver's certificate has expired: it is renewed by kubeadm, and what reads its own at the start is restarted.
fn certificates(world: &mut World, run: &mut Run) -> Result<()> {
    let served = run.hosts.of(Place::Api(1)).join("etc/kubernetes/pki/apiserver.crt");
    world.pki.expired(1, &served)?;
    run.check(world, &expiry(Class::Manual))?;
    let ends =
        output(std::process::Command::new("openssl").args(["x509", "-checkend", "0", "-noout", "-in"]).arg(&served))?;
    ensure!(ends.contains("will not expire"), "not renewed: {ends}");
    for name in controllers::BOTH.map(|controller| controller.server(1)) {
        ensure!(!world.server(&name)?.is_running(), "{name} was not stopped, so that its kubelet would start it anew");
    }

    let file = world.folder.join("cert-manager.yaml");
    fs::write(&file, CERT_MANAGER)?;
    output(world.kubectl()?.args(["apply", "-f"]).arg(&file))?;
    for kind in ["certificates", "certificaterequests"] {
        let resource = format!("crd/{kind}.cert-manager.io");
        output(world.kubectl()?.args(["wait", "--for=condition=Established", "--timeout=30s", &resource]))?;
    }
    let one = world.folder.join("certificate.yaml");
    fs::write(
        &one,
        "apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: { name: api, namespace: kube-system }\nspec: {}\n",
    )?;
    output(world.kubectl()?.args(["apply", "-f"]).arg(&one))?;
    run.check(world, &expiry(Class::Automatic))
}

/// A path on which only what fits one packet arrives.
fn hellos(world: &World, run: &mut Run) -> Result<()> {
    world.network.swallow_large_hellos(Place::Vip)?;
    let plain = run.hosts.paste(world, &["timeout 20 kubectl version".to_owned()])?;
    ensure!(plain[0].code != 0, "kubectl gets through as it is: {}", plain[0].said);
    run.check(world, &large_hellos_are_lost())?;
    world.network.pass_large_hellos(Place::Vip)
}

/// Members that are not what they should be.
fn members(world: &mut World, run: &mut Run) -> Result<()> {
    let added = output(&mut world.etcdctl(&["member", "add", "ghost", "--peer-urls=https://10.89.0.99:2380"])?)?;
    let id = added.split_whitespace().nth(1).context("etcdctl names no id")?.to_owned();
    run.check(world, &mismatch(Mismatch::NotStarted { ids: vec![id.clone()], voters: 4 }))?;
    let left = output(&mut world.etcdctl(&["member", "list"])?)?;
    ensure!(!left.contains(&id), "it is still a member: {left}");

    run.check(world, &several_clusters())?;
    let host = run.hosts.of(Place::Etcd(1));
    ensure!(host.join("root/kube-apiserver.yaml").is_file(), "the kubelet would still start a writer");

    world.stop("etcd-3")?;
    let ip = Place::Etcd(3).ip();
    let mut arguments = vec![format!("--data-dir={}", world.volatile.join("plain").display())];
    arguments.extend(["listen", "advertise"].map(|verb| format!("--{verb}-client-urls=http://{ip}:2379")));
    let log = world.folder.join("logs/plain.log");
    world.add(Server::new("plain", Place::Etcd(3), world.tools.path("etcd")?.to_owned(), arguments, log));
    world.start("plain")?;
    clock::wait_until("an etcd without TLS", PATIENCE, || {
        world.network.inside(Place::Bastion, || http::get(&format!("http://{ip}:2379/version"), None)).is_ok()
    })?;
    run.check(world, &mismatch(Mismatch::WithoutTls(vec![member(3)])))?;
    world.kill9("plain")?;
    world.start("etcd-3")?;
    world.wait_ready(PATIENCE)
}

/// kubeadm's etcd serves its metrics on the loopback address.
fn listen_as_kubeadm_does(world: &mut World) -> Result<()> {
    for n in 1..=world.size.members {
        let place = Place::Etcd(n);
        let urls = format!("--listen-metrics-urls=http://{}:2381,http://127.0.0.1:2381", place.ip());
        world.server(&place.name())?.add_argument(urls);
        world.restart(&place.name())?;
        world.wait_ready(PATIENCE)?;
    }
    Ok(())
}

impl Run {
    /// Runs what a mail about `finding` says, in its order, as far as it is this drill's.
    fn check(&mut self, world: &World, finding: &Finding) -> Result<()> {
        let next = self.list.commands(finding, &addresses());
        let lines: Vec<String> = next.iter().map(|command| command.line.clone()).collect();
        let done = self.hosts.paste(world, &lines)?;
        self.list.judge(finding, &next, &done);
        Ok(())
    }

    /// The one line of a mail about `finding` that has `part` in it.
    fn line(&self, finding: &Finding, part: &str) -> Result<String> {
        let next = self.list.commands(finding, &addresses());
        let found = next.iter().find(|command| command.line.contains(part));
        Ok(found.with_context(|| format!("no command has {part}"))?.line.clone())
    }
}

/// What the configuration of a vedette in this world names.
fn named(world: &World) -> Named {
    let shown = |path: PathBuf| Some(path.display().to_string());
    let of = |ca: &str, own: &str, kubeconfig: Option<PathBuf>| {
        let own = world.pki.leaf(own);
        Credential {
            ca: shown(world.pki.file(ca, "crt")),
            certificate: shown(own.cert),
            key: shown(own.key),
            kubeconfig: kubeconfig.and_then(shown),
        }
    };
    Named {
        apiservers: of("ca", "vedette", Some(rbac::vedette(&world.folder))),
        etcds: [("main".parse().expect("a name"), of("etcd/ca", "etcd/vedette", None))].into(),
        ..Named::default()
    }
}
