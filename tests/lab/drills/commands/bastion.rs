//! On a Debian that systemd boots: the host of vedette, installed there, and with a kubelet, containerd, a balancer and
//! an ssh server also the host of a control plane and of a proxy, which people log in to.
//!
//! Every program is the real one: ssh, sudo, kubelet, containerd and crictl too.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use vedette::judge::commands::{Command, any_host};
use vedette::model::addresses::Addresses;
use vedette::model::etcd::EtcdAlarmKind;
use vedette::model::host_access::Hosts;
use vedette::model::rule::RuleId;
use vedette::model::verdict::Finding;

use super::PATIENCE;
use super::findings::{
    alarm, all_down, dead_address, dead_proxy, isolated, lossy, not_ready, silent_reference, stale, subject,
    without_address,
};
use super::list::List;
use crate::clock;
use crate::dns;
use crate::host::{Done, outcomes, script};
use crate::machine::{Machine, SOURCE};
use crate::net::{Place, run};
use crate::pki;
use crate::vedette::{BINARY, Options};
use crate::world::World;

/// An address at which nobody is.
const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 89, 0, 148);
/// A name that the resolver does not know.
const GONE: &str = "gone.test";
/// The folder of vedette's configuration.
const ETC: &str = "/etc/vedette";

/// A booted machine, the folder it sees as [`SOURCE`], and what is left to run on it.
struct Run {
    list: List,
    machine: Machine,
    source: PathBuf,
    pasted: u32,
}

pub(super) fn on_the_bastion(world: &mut World) -> Result<()> {
    dns::start(world)?;
    dns::lead_also(world, Place::Vip, NOBODY)?;
    let source = pack(world)?;
    let machine = Machine::boot(world, &source)?;
    let mut run = Run { list: List::of("bastion", Hosts::default())?, machine, source, pasted: 0 };
    let outcome = faults(world, &mut run);
    run.list.conclude(outcome)?;
    run.machine.power_off(world)
}

fn faults(world: &mut World, run: &mut Run) -> Result<()> {
    run.install()?;
    run.serve()?;
    let here = Place::Bastion.ip().to_string();

    run.check(&dead_address(IpAddr::V4(NOBODY)), &at(&[("prod/vip", "vip:6443")]))?;
    run.check(&without_address("prod/apiserver/api-2"), &at(&[("prod/apiserver/api-2", &format!("{GONE}:6443"))]))?;
    let instance = at(&[("prod/apiserver/api-1", &format!("{here}:6443"))]);
    run.check(&all_down(), &instance)?;
    for finding in [all_down(), not_ready(RuleId::F25, "etcd"), stale("/etc/kubernetes/pki/apiserver.crt")] {
        run.is_understood(&finding, &instance)?;
    }
    run.is_understood(
        &alarm(RuleId::F10, EtcdAlarmKind::Corrupt),
        &at(&[("prod/etcd/main/etcd-1", &format!("{here}:2379"))]),
    )?;
    let vip = format!("{}:6443", Place::Vip.ip());
    run.check(&lossy(), &at(&[("prod/vip", &vip), ("prod/apiserver/api-1", &format!("{here}:6443"))]))?;
    let api = format!("{}:6443", Place::Api(1).ip());
    run.check(&dead_proxy(&format!("http://{here}:3128")), &at(&[("prod/apiserver/api-1", &api)]))?;

    world.kill9(dns::NAME)?;
    let resolver = format!("vantage/resolver/{}", dns::address());
    run.check(&silent_reference(&resolver), &at(&[(&resolver, &dns::address())]))?;
    // Nothing listens there.
    let relay = format!("{}:26", Place::Mail.ip());
    run.check(&silent_reference("vantage/reference/relay"), &at(&[("vantage/reference/relay", &relay)]))?;

    lose_the_network(world)?;
    run.check(&isolated(), &at(&[("prod/apiserver/api-1", &api)]))?;
    let hosts = [1, 2].map(|n| Place::Api(n).ip().to_string());
    let tls_endpoint = [any_host(&hosts.each_ref().map(String::as_str), "bastion-1")];
    let done = run.paste(&tls_endpoint)?;
    run.list.judge(&isolated(), &tls_endpoint, &done);
    Ok(())
}

/// What is brought to the machine: programs, and vedette's configuration with all that it names.
fn pack(world: &World) -> Result<PathBuf> {
    let source = world.folder.join("source");
    let bin = source.join("bin");
    fs::create_dir_all(&bin)?;
    let mut programs = vec![("vedette", Path::new(BINARY))];
    for name in ["kubelet", "crictl"] {
        programs.push((name, world.tools.path(name)?));
    }
    for (name, from) in programs {
        fs::hard_link(from, bin.join(name)).or_else(|_| fs::copy(from, bin.join(name)).map(drop))?;
    }
    let options = Options { resolvers: vec![dns::address()], ..Options::default() };
    let config = fs::read_to_string(world.write_vedette_config(&options)?)?;
    let here = world.folder.display().to_string();
    let api = format!("{}:6443", Place::Api(2).ip());
    let config = config.replace(&here, ETC).replace(&api, &format!("{GONE}:6443"));
    pki::write(&source.join("etc/vedette.yaml"), &config, 0o640)?;
    for name in ["pki", "vedette.kubeconfig", "mail-password"] {
        run(std::process::Command::new("cp").arg("-a").arg(world.folder.join(name)).arg(source.join("etc")))?;
    }
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/systemd");
    fs::copy(units.join("vedette.sysusers"), source.join("vedette.sysusers"))?;
    Ok(source)
}

/// The host's own firewall drops everything that leaves it.
fn lose_the_network(world: &World) -> Result<()> {
    let rules = "table inet own {\nchain out {\ntype filter hook output priority 0;\noifname eth0 drop\n}\n}\n";
    let place = Place::Bastion;
    let gateway = Place::Vip.ip().to_string();
    run(world.network.command(place, "ip").args(["route", "add", "default", "via", &gateway]))?;
    run(world.network.command(place, "nft").arg(rules))
}

fn at(known: &[(&str, &str)]) -> Addresses {
    known.iter().map(|(about, address)| (subject(about), (*address).to_owned())).collect::<BTreeMap<_, _>>()
}

impl Run {
    fn install(&self) -> Result<()> {
        let resolver = Place::Mail.ip();
        self.machine.run(&format!(
            "ln -s {SOURCE}/bin/* /usr/local/bin/; cp {SOURCE}/vedette.sysusers /usr/lib/sysusers.d/vedette.conf\n\
             systemd-sysusers\n\
             cp -a {SOURCE}/etc {ETC}; chown -R vedette: {ETC}; chmod 750 {ETC}\n\
             mkdir -p /etc/systemd/resolved.conf.d\n\
             printf '[Resolve]\\nDNS={resolver}\\nFallbackDNS=\\n' >/etc/systemd/resolved.conf.d/lab.conf\n\
             rm -f /etc/resolv.conf; echo nameserver {resolver} >/etc/resolv.conf\n\
             systemctl start systemd-resolved"
        ))?;
        Ok(())
    }

    /// Whoever is on the host of a control plane, or of a proxy: some of it is down, and says why.
    fn serve(&self) -> Result<()> {
        self.machine.run(
            "ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519 </dev/null || exit 1\n\
             cp /root/.ssh/id_ed25519.pub /root/.ssh/authorized_keys\n\
             printf 'StrictHostKeyChecking accept-new\\nLogLevel ERROR\\n' >/root/.ssh/config\n\
             printf 'runtime-endpoint: unix:///run/containerd/containerd.sock\\n' >/etc/crictl.yaml\n\
             rm -f /etc/containerd/config.toml\n\
             systemctl start ssh containerd\n\
             echo nonsense >>/etc/haproxy/haproxy.cfg; ! systemctl start haproxy\n\
             printf '[Service]\\nExecStart=/usr/local/bin/kubelet --kubeconfig=/etc/kubernetes/kubelet.conf\\n' \
             >/etc/systemd/system/kubelet.service\n\
             systemctl daemon-reload; systemctl start kubelet",
        )?;
        clock::wait_for("the kubelet to give up", PATIENCE, || {
            Ok((self.machine.property("kubelet", "ActiveState")? == "failed").then_some(()))
        })?;
        clock::wait_for("containerd", PATIENCE, || Ok(self.machine.run("crictl ps -a 2>&1").is_ok().then_some(())))
            .map(drop)
    }

    /// Runs what a mail about `finding` says, in its order, as far as it is this drill's.
    fn check(&mut self, finding: &Finding, addresses: &Addresses) -> Result<()> {
        let next = self.list.commands(finding, addresses);
        ensure!(!next.is_empty(), "{} tells nothing to run here", finding.rule);
        let done = self.paste(&next).with_context(|| finding.rule.to_string())?;
        self.list.judge(finding, &next, &done);
        Ok(())
    }

    /// The drill on hosts has no containers, so there crictl is a stand-in. This one is real: it must take every call
    /// of it, although there is no container to be found.
    fn is_understood(&mut self, finding: &Finding, addresses: &Addresses) -> Result<()> {
        let mut calls = self.list.everything(finding, addresses);
        calls.retain(|command| command.line.contains("crictl") || command.line.starts_with("etcdctl "));
        ensure!(!calls.is_empty(), "{} tells nothing of crictl", finding.rule);
        for (command, done) in calls.iter().zip(self.paste(&calls)?) {
            let is_refused = ["flag provided but not defined", "Incorrect Usage", "No help topic", "invalid value"]
                .iter()
                .any(|words| done.said.contains(words));
            ensure!(!is_refused, "crictl refuses {}:\n{}", command.line, done.said);
        }
        Ok(())
    }

    fn paste(&mut self, commands: &[Command]) -> Result<Vec<Done>> {
        let lines: Vec<String> = commands.iter().map(|command| command.line.clone()).collect();
        let name = format!("paste-{}", self.pasted);
        self.pasted += 1;
        fs::write(self.source.join(&name), script(&lines))?;
        outcomes(&self.machine.run(&format!("bash {SOURCE}/{name}"))?, lines.len())
    }
}
