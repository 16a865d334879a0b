//! The whole: a control plane, a bastion and a mail server, up and answering.
//!
//! One world is one network, one set of certificates and one set of servers; drills get a fresh one
//! each. It is taken down when dropped. Faults are in `faults.rs`, vedette on the bastion in `vedette.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::clock;
use crate::heartbeat::Heartbeat;
use crate::http::Credentials;
use crate::mail::Mail;
use crate::net::{Network, Place, Size};
use crate::pki::{Issuer, Pki};
use crate::postfix::Postfix;
use crate::process::Server;
use crate::smtp::SmtpServer;
use crate::table::Table;
use crate::tools::{OLDER_APISERVER, Tools};
use crate::{apiserver, audit, etcd, rbac, vip};

/// Bound on every wait while the world comes up. It takes about five seconds on two idle cores.
const PATIENCE: Duration = Duration::from_secs(150);

/// Bound on the wait for a control plane that was left in order.
const REFRESHED: Duration = Duration::from_secs(20);

/// How much of a world is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Everything.
    Whole,
    /// Everything, with many members and apiservers.
    Large,
    /// Everything, with kube-apiservers of the minor version before.
    Older,
    /// The network and what is in the mail place; the control plane's servers exist, stopped.
    MailOnly,
}

/// A running lab.
pub(crate) struct World {
    /// Kubeconfigs, certificates, logs and vedette's files.
    pub(crate) folder: PathBuf,
    /// Where databases go: a memory file system that ends with the world.
    pub(crate) volatile: PathBuf,
    /// How many members and apiservers there are.
    pub(crate) size: Size,
    /// Links between the places.
    pub(crate) network: Network,
    /// Certificates of this world.
    pub(crate) pki: Pki,
    /// The mail server that misbehaves.
    pub(crate) smtp: SmtpServer,
    /// The heartbeat receiver.
    pub(crate) heartbeat: Heartbeat,
    /// Why there is no Postfix, if there is none.
    pub(crate) no_postfix: Option<String>,
    /// Figures for the table at the end.
    pub(crate) table: Table,
    pub(crate) tools: Tools,
    postfix: Option<Postfix>,
    servers: BTreeMap<String, Server>,
    /// What was there when it was up, which is all that [`World::refresh`] keeps: names of servers, and of files.
    own: (BTreeSet<String>, BTreeSet<OsString>),
}

impl World {
    /// Brings everything up: files below `folder`, what may be large or foreign-owned below `volatile`.
    pub(crate) fn up(folder: &Path, volatile: &Path, tools: &Tools, extent: Extent) -> Result<Self> {
        let logs = folder.join("logs");
        fs::create_dir_all(&logs)?;
        let size = if extent == Extent::Large { Size::LARGE } else { Size::USUAL };
        let network = Network::lay(&volatile.join("netns"), size).context("making the network")?;
        let pki = Pki::make(&folder.join("pki"), size).context("issuing certificates")?;
        let smtp = SmtpServer::listen(&network, &pki.leaf("mail/server"))?;
        let heartbeat = Heartbeat::listen(&network)?;
        let mut world = Self {
            folder: folder.to_owned(),
            volatile: volatile.to_owned(),
            size,
            network,
            pki,
            smtp,
            heartbeat,
            no_postfix: None,
            table: Table::default(),
            tools: tools.clone(),
            postfix: None,
            servers: BTreeMap::new(),
            own: (BTreeSet::new(), BTreeSet::new()),
        };
        let apiserver = if extent == Extent::Older { OLDER_APISERVER } else { "kube-apiserver" };
        world.add_servers(apiserver, volatile, &logs)?;
        world.start_mail()?;
        if extent != Extent::MailOnly {
            world.start_cluster()?;
        }
        world.own = (world.servers.keys().cloned().collect(), files(&world.folder)?);
        Ok(world)
    }

    /// Makes a world, whose last drill mended what it broke, fit for the next: vedette and what else was added ends, what
    /// was received is forgotten, and the certificates are those it began with.
    ///
    /// # Errors
    /// When the control plane is not in order; then this world is of no more use.
    pub(crate) fn refresh(&mut self) -> Result<()> {
        let (servers, kept) = self.own.clone();
        for (name, server) in &mut self.servers {
            if !servers.contains(name) && server.is_running() {
                server.kill9()?;
            }
        }
        self.servers.retain(|name, _| servers.contains(name));
        self.network.heal()?;
        self.smtp.forget();
        self.heartbeat.forget();
        for name in files(&self.folder)?.difference(&kept) {
            let path = self.folder.join(name);
            if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
        // Drills read it from its beginning.
        fs::write(self.folder.join("logs/vedette.log"), "")?;
        for own in ["vedette", "etcd/vedette"] {
            self.pki.client(own, Issuer::Own)?;
        }
        rbac::kubeconfig(&rbac::vedette(&self.folder), &self.pki, "vedette")?;
        self.wait_ready(REFRESHED)
    }

    /// Adds a server, stopped.
    pub(crate) fn add(&mut self, server: Server) {
        self.servers.insert(server.name.clone(), server);
    }

    /// A server by its name: `etcd-1`, `api-2`, `vip`, `postfix`, `vedette`.
    pub(crate) fn server(&mut self, name: &str) -> Result<&mut Server> {
        self.servers.get_mut(name).ok_or_else(|| anyhow!("no server {name} in this world"))
    }

    /// Starts a server that does not run.
    pub(crate) fn start(&mut self, name: &str) -> Result<Instant> {
        let server = self.servers.get_mut(name).ok_or_else(|| anyhow!("no server {name} in this world"))?;
        server.start(&self.network)
    }

    /// Waits until all is in order: members, instances and VIP are ready.
    pub(crate) fn wait_ready(&self, limit: Duration) -> Result<()> {
        etcd::wait_ready(&self.network, self.size, limit)?;
        self.wait_answers("/readyz", limit)
    }

    fn wait_answers(&self, path: &str, limit: Duration) -> Result<()> {
        let credentials = self.credentials("vedette");
        for place in (1..=self.size.instances).map(Place::Api).chain([Place::Vip]) {
            apiserver::wait_answer(&self.network, place, path, &credentials, limit)?;
        }
        Ok(())
    }

    /// What a client needs that presents the cluster's leaf `user`.
    pub(crate) fn credentials(&self, user: &str) -> Credentials {
        Credentials { ca: self.pki.file("ca", "crt"), client: Some(self.pki.leaf(user)) }
    }

    /// Mails the programmable server acknowledged, in order of arrival.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.programmable(true)
    }

    /// Mails the programmable server has, although their senders cannot know it.
    pub(crate) fn unacknowledged_mails(&self) -> Vec<Mail> {
        self.programmable(false)
    }

    /// Mails in the mailbox Postfix delivers to, in order of arrival; none without Postfix.
    pub(crate) fn postfix_mails(&self) -> Result<Vec<Mail>> {
        self.postfix.as_ref().map_or_else(|| Ok(Vec::new()), Postfix::mails)
    }

    /// Waits until the programmable server has acknowledged at least `count` mails, and returns all.
    pub(crate) fn await_mails(&self, count: usize, limit: Duration) -> Result<Vec<Mail>> {
        let what = format!("mail number {count}");
        clock::wait_for(&what, limit, || Ok((self.smtp.acknowledged() >= count).then(|| self.mails())))
    }

    /// Watches that no further mail comes for `span`.
    ///
    /// # Errors
    /// As soon as one comes; its subject is in the error.
    pub(crate) fn quiet_for(&self, span: Duration) -> Result<()> {
        let before = self.smtp.acknowledged();
        let quiet = clock::stays("no further mail", span, || self.smtp.acknowledged() == before);
        quiet.with_context(|| self.mails().last().map(|mail| mail.subject.clone()).unwrap_or_default())
    }

    /// A `kubectl` on the bastion with the administrator's rights, through the VIP.
    pub(crate) fn kubectl(&self) -> Result<Command> {
        let mut command = self.network.command(Place::Bastion, self.tools.path("kubectl")?);
        command.arg(format!("--kubeconfig={}", rbac::admin(&self.folder).display()));
        // It caches what it discovers below HOME; the lab leaves nothing there.
        command.env("KUBECACHEDIR", self.folder.join("kubectl-cache"));
        Ok(command)
    }

    fn programmable(&self, acknowledged: bool) -> Vec<Mail> {
        let received = self.smtp.received().into_iter().filter(|mail| mail.acknowledged == acknowledged);
        received
            .map(|mail| Mail {
                from: mail.from,
                to: mail.to,
                encrypted: Some(mail.encrypted),
                account: mail.account,
                ..Mail::parse(&mail.bytes, mail.arrived)
            })
            .collect()
    }

    fn add_servers(&mut self, apiserver: &str, volatile: &Path, logs: &Path) -> Result<()> {
        for n in 1..=self.size.members {
            self.add(etcd::member(n, self.size, self.tools.path("etcd")?, &self.pki, volatile, logs));
        }
        audit::write_policy(logs)?;
        for n in 1..=self.size.instances {
            self.add(apiserver::instance(n, self.size, self.tools.path(apiserver)?, &self.pki, logs));
        }
        self.add(vip::balancer(self.size, &self.folder, logs)?);
        match Postfix::prepare(&volatile.join("postfix"), &self.pki, logs) {
            Ok((postfix, server)) => {
                self.add(server);
                self.postfix = Some(postfix);
            }
            Err(why) => self.no_postfix = Some(format!("{why:#}")),
        }
        Ok(())
    }

    fn start_mail(&mut self) -> Result<()> {
        if self.postfix.is_none() {
            return Ok(());
        }
        self.start("postfix")?;
        let ready = self.postfix.as_ref().map_or(Ok(()), |postfix| postfix.wait_ready(&self.network, PATIENCE));
        self.explain(ready)
    }

    fn start_cluster(&mut self) -> Result<()> {
        let names: Vec<String> = self.servers.keys().filter(|name| *name != "postfix").cloned().collect();
        for name in &names {
            self.start(name)?;
        }
        let ready = self.wait_ready(PATIENCE);
        self.explain(ready)?;
        let admin = rbac::admin(&self.folder);
        rbac::kubeconfig(&admin, &self.pki, "admin")?;
        rbac::kubeconfig(&rbac::vedette(&self.folder), &self.pki, "vedette")?;
        rbac::grant(&mut self.kubectl()?).context("granting vedette its rights")?;
        // Each instance learns of the grant on its own.
        self.wait_answers("/metrics/slis", PATIENCE)
    }

    /// Adds the last words of every server that has ended by itself.
    fn explain(&mut self, outcome: Result<()>) -> Result<()> {
        let Err(error) = outcome else { return Ok(()) };
        let mut dead = String::new();
        for server in self.servers.values_mut() {
            if !server.is_running() {
                dead.push_str(&format!("\n{} has ended; its log says:\n{}", server.name, server.last_words()));
            }
        }
        Err(error.context(format!("bringing the lab up{dead}")))
    }
}

/// Names of what lies in a folder.
fn files(folder: &Path) -> Result<BTreeSet<OsString>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
}

impl Drop for World {
    fn drop(&mut self) {
        // Errors cannot be mended here, and the namespaces' end takes along whatever is left.
        for server in self.servers.values_mut() {
            let ended = if server.name == "postfix" { server.stop() } else { server.kill9() };
            drop(ended);
        }
        drop(self.network.remove());
    }
}
