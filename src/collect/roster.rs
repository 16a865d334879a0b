//! Everything that can be looked at, by subject, made from settings.
//!
//! A roster is made beside the one before it: a target whose endpoint and identity are the same is the same target, with
//! its open connection and its memory. Nothing is dialled or read here. Called by `mod.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::apiserver::Apiserver;
use super::dial;
use super::etcd::{Etcd, Line, Listener, Member};
use super::files::Files;
use super::identity::Identity;
use super::kit::Kit;
use super::site::Site;
use super::speech::Speech;
use super::{Hopeless, Target};
use crate::config::proxy::Proxy;
use crate::config::settings::{self, Cluster, Credentials, Endpoint, NamedAddress, Settings, WatchedFiles};
use crate::model::subject::{Name, Subject};

/// All targets, and the identities they are seen with by the cluster or etcd cluster they are for.
#[derive(Default)]
pub(super) struct Roster {
    pub(super) targets: BTreeMap<Subject, Arc<Target>>,
    identities: BTreeMap<Subject, Arc<Identity>>,
    /// By the cluster they belong to, or the vantage, with what they were made from.
    files: BTreeMap<Subject, (Vec<WatchedFiles>, Arc<Files>)>,
}

/// A roster in the making.
struct Making<'a> {
    kit: &'a Kit,
    before: &'a Roster,
    roster: Roster,
}

/// Whom a group of endpoints is seen as, and through what.
struct Guise {
    identity: Arc<Identity>,
    proxy: Option<Arc<Proxy>>,
}

impl Roster {
    /// Everything that `settings` name; what is in `before` already is shared with it.
    pub(super) fn new(kit: &Kit, settings: &Settings, before: &Self) -> Result<Self, Hopeless> {
        let mut making = Making { kit, before, roster: Self::default() };
        making.add(Subject::Vantage, Target::Vantage);
        for NamedAddress { name, address } in settings.vantage.references.clone() {
            making.add(Subject::Reference(name), Target::Reference(address));
        }
        for NamedAddress { name, address } in settings.vantage.resolvers.clone() {
            making.add(Subject::Resolver(name), Target::Resolver(address));
        }
        making.add_files(Subject::Vantage, settings.watched_files());
        for cluster in &settings.clusters {
            making.add_cluster(cluster)?;
            making.add_files(Subject::Cluster(cluster.name.clone()), cluster.watched_files());
        }
        Ok(making.roster)
    }

    /// The files that belong to `subject`, a cluster or the vantage.
    pub(super) fn files(&self, subject: &Subject) -> Option<&Files> {
        self.files.get(subject).map(|(_, files)| &**files)
    }
}

impl Making<'_> {
    fn add(&mut self, subject: Subject, target: Target) {
        self.roster.targets.insert(subject, Arc::new(target));
    }

    fn add_files(&mut self, of: Subject, watched: Vec<WatchedFiles>) {
        let known = self.before.files.get(&of).filter(|(known, _)| *known == watched);
        let files = known.map_or_else(|| Arc::new(Files::new(watched.clone())), |(_, files)| Arc::clone(files));
        self.roster.files.insert(of, (watched, files));
    }

    fn add_cluster(&mut self, cluster: &Cluster) -> Result<(), Hopeless> {
        let name = &cluster.name;
        let instances = cluster
            .apiservers
            .iter()
            .map(|(instance, endpoint)| (Subject::Apiserver(name.clone(), instance.clone()), endpoint));
        let vip = cluster.vip.iter().map(|vip| (Subject::Vip(name.clone()), vip));
        let endpoints: Vec<_> = vip.chain(instances).collect();
        let server = endpoints.first().map(|(_, endpoint)| *endpoint);
        let guise = self.guise(Subject::Cluster(name.clone()), &cluster.credentials, server);
        for (subject, endpoint) in endpoints {
            let target = match self.before.targets.get(&subject) {
                Some(known) if known.is_of(endpoint, &guise.identity) => Arc::clone(known),
                Some(_) | None => Arc::new(Target::Apiserver(Apiserver::new(site(subject.clone(), endpoint, &guise)?))),
            };
            self.roster.targets.insert(subject, target);
        }
        cluster.etcds.iter().try_for_each(|etcd| self.add_etcd(name, etcd))
    }

    fn add_etcd(&mut self, cluster: &Name, etcd: &settings::Etcd) -> Result<(), Hopeless> {
        let whole = Subject::Etcd(cluster.clone(), etcd.name.clone());
        let guise = self.guise(whole.clone(), &etcd.credentials, None);
        let before = match self.before.targets.get(&whole).map(|target| &**target) {
            Some(Target::Etcd(before)) => Some(before),
            _ => None,
        };
        let at_listeners = self.guise_at_listeners(whole.clone(), etcd);
        let mut members = Vec::new();
        for (member, endpoint) in &etcd.members {
            let subject = Subject::EtcdMember(cluster.clone(), etcd.name.clone(), member.clone());
            let listener = etcd.listeners.iter().find(|(of, _)| of == member).map(|(_, listener)| listener);
            let listener = listener.map(|known| listen(subject.clone(), known, &at_listeners)).transpose()?;
            if etcd.is_metrics_only {
                if let Some(Listener::Tls(site)) = &listener {
                    self.add(subject, Target::Member(Arc::clone(site)));
                }
                members.push(Member::new(member.clone(), None, listener));
                continue;
            }
            let site = match self.before.targets.get(&subject).map(|target| &**target) {
                Some(Target::Member(known)) if known.is_of(endpoint, &guise.identity) => Arc::clone(known),
                _ => site(subject.clone(), endpoint, &guise)?,
            };
            let known = before.and_then(|before| before.line_at(&site, etcd.login.as_ref()));
            let line = known.unwrap_or_else(|| Arc::new(Line::new(Arc::clone(&site), etcd.login.clone())));
            members.push(Member::new(member.clone(), Some(line), listener));
            self.add(subject, Target::Member(site));
        }
        self.add(whole, Target::Etcd(Etcd::new(guise.identity, members)));
        Ok(())
    }

    /// The guise in which the metrics listeners of `etcd` are asked, directly whatever proxy its client ports want.
    fn guise_at_listeners(&self, of: Subject, etcd: &settings::Etcd) -> Guise {
        Guise { identity: self.identity(of, etcd.at_listeners.clone(), String::new()), proxy: None }
    }

    /// The guise of `of`; `server` is what an exec plugin is told.
    fn guise(&mut self, of: Subject, credentials: &Credentials, server: Option<&Endpoint>) -> Guise {
        let proxy = credentials.proxy.clone().map(Arc::new);
        let server = server.and_then(|endpoint| dial::authority(&endpoint.address)).unwrap_or_default();
        let server = server.to_string().trim_end_matches('/').to_owned();
        let identity = match self.before.identities.get(&of) {
            Some(known) if known.is_of(credentials, &server) => Arc::clone(known),
            Some(_) | None => self.identity(of.clone(), credentials.clone(), server),
        };
        self.roster.identities.insert(of, Arc::clone(&identity));
        Guise { identity, proxy }
    }

    fn identity(&self, of: Subject, credentials: Credentials, server: String) -> Arc<Identity> {
        Arc::new(Identity::new(of, credentials, server, self.kit.tls.clone(), self.kit.clock.clone()))
    }
}

impl Target {
    /// Whether this is an apiserver at `endpoint`, seen with `identity`.
    fn is_of(&self, endpoint: &Endpoint, identity: &Arc<Identity>) -> bool {
        match self {
            Self::Apiserver(known) => known.site.is_of(endpoint, identity),
            Self::Etcd(_) | Self::Member(_) | Self::Reference(_) | Self::Resolver(_) | Self::Vantage => false,
        }
    }
}

fn listen(subject: Subject, listener: &settings::Listener, guise: &Guise) -> Result<Listener, Hopeless> {
    if listener.is_tls {
        return Ok(Listener::Tls(site(subject, &listener.endpoint, guise)?));
    }
    let address = &listener.endpoint.address;
    let authority = dial::authority(address).ok_or(Hopeless::ServerName(subject))?;
    Ok(Listener::Plain(address.clone(), authority, Speech::default()))
}

fn site(subject: Subject, endpoint: &Endpoint, guise: &Guise) -> Result<Arc<Site>, Hopeless> {
    Site::new(subject.clone(), endpoint, Arc::clone(&guise.identity), guise.proxy.clone())
        .map(Arc::new)
        .map_err(|_| Hopeless::ServerName(subject))
}
