//! Everything that can be probed, by subject, made from settings.
//!
//! A target set is made beside the one before it: a target whose endpoint and identity are the same is the same target,
//! with its kept connection and its last chain. Nothing is connected to or read here. Called by `mod.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::apiserver::Apiserver;
use super::authority::authority;
use super::canary::{CanaryTarget, Writer};
use super::context::ProbeContext;
use super::etcd::{Etcd, Member, MemberConnection, MetricsListener};
use super::files::Files;
use super::identity::Identity;
use super::tls_detection::TlsDetection;
use super::tls_endpoint::TlsEndpoint;
use super::{SetupError, Target};
use crate::config::proxy::Proxy;
use crate::config::settings::{self, Cluster, Credentials, Endpoint, NamedAddress, Settings, WatchedFiles};
use crate::model::probe::Probe;
use crate::model::subject::{Name, Subject};

/// All targets, and the identities they are seen with.
#[derive(Default)]
pub(super) struct TargetSet {
    pub(super) targets: BTreeMap<Subject, Arc<Target>>,
    /// The canaries at each instance of the clusters that have any.
    pub(super) canaries: BTreeMap<Subject, Arc<CanaryTarget>>,
    /// By cluster: what its canaries share.
    writers: BTreeMap<Name, Arc<Writer>>,
    /// Whoever shows and trusts the same has one identity, read and checked once for all of them. By the credentials as
    /// logs show them, without secrets, which tells most of them apart.
    identities: BTreeMap<String, Vec<Arc<Identity>>>,
    /// By the cluster they belong to, or the vantage, with what they were made from.
    files: BTreeMap<Subject, (Vec<WatchedFiles>, Arc<Files>)>,
}

/// A target set in the making.
struct TargetSetBuilder<'a> {
    context: &'a ProbeContext,
    before: &'a TargetSet,
    vantage: &'a str,
    target_set: TargetSet,
}

/// The credentials and the proxy for a group of endpoints.
struct Access {
    identity: Arc<Identity>,
    proxy: Option<Arc<Proxy>>,
}

impl TargetSet {
    /// Everything that `settings` name; what is in `before` already is shared with it.
    pub(super) fn new(context: &ProbeContext, settings: &Settings, before: &Self) -> Result<Self, SetupError> {
        let mut builder =
            TargetSetBuilder { context, before, vantage: &settings.vantage.name, target_set: Self::default() };
        builder.add(Subject::Vantage, Target::Vantage);
        for NamedAddress { name, address } in settings.vantage.references.clone() {
            builder.add(Subject::Reference(name), Target::Reference(address));
        }
        for NamedAddress { name, address } in settings.vantage.resolvers.clone() {
            builder.add(Subject::Resolver(name), Target::Resolver(address));
        }
        builder.add_files(Subject::Vantage, settings.watched_files());
        for cluster in &settings.clusters {
            builder.add_cluster(cluster)?;
            builder.add_files(Subject::Cluster(cluster.name.clone()), cluster.watched_files());
        }
        Ok(builder.target_set)
    }

    /// Who we are in `probe`.
    pub(super) fn identity(&self, probe: &Probe) -> Option<&Identity> {
        if probe.kind.canary().is_some() {
            return self.canaries.get(&probe.subject).map(|target| target.identity());
        }
        self.targets.get(&probe.subject)?.identity()
    }

    /// The files that belong to `subject`, a cluster or the vantage.
    pub(super) fn files(&self, subject: &Subject) -> Option<&Files> {
        self.files.get(subject).map(|(_, files)| &**files)
    }
}

impl TargetSetBuilder<'_> {
    fn add(&mut self, subject: Subject, target: Target) {
        self.target_set.targets.insert(subject, Arc::new(target));
    }

    fn add_files(&mut self, of: Subject, watched: Vec<WatchedFiles>) {
        let known = self.before.files.get(&of).filter(|(known, _)| *known == watched);
        let files = known.map_or_else(|| Arc::new(Files::new(watched.clone())), |(_, files)| Arc::clone(files));
        self.target_set.files.insert(of, (watched, files));
    }

    fn add_cluster(&mut self, cluster: &Cluster) -> Result<(), SetupError> {
        let name = &cluster.name;
        let instances = cluster
            .apiservers
            .iter()
            .map(|(instance, endpoint)| (Subject::Apiserver(name.clone(), instance.clone()), endpoint));
        let vip = cluster.vip.iter().map(|vip| (Subject::Vip(name.clone()), vip));
        let endpoints: Vec<_> = vip.chain(instances).collect();
        let server = endpoints.first().map(|(_, endpoint)| *endpoint);
        let access = self.access(Subject::Cluster(name.clone()), &cluster.credentials, server);
        self.add_canaries(cluster, server)?;
        for (subject, endpoint) in endpoints {
            let target = match self.before.targets.get(&subject) {
                Some(known) if known.is_of(endpoint, &access.identity) => Arc::clone(known),
                Some(_) | None => {
                    Arc::new(Target::Apiserver(Apiserver::new(tls_endpoint(subject.clone(), endpoint, &access)?)))
                }
            };
            self.target_set.targets.insert(subject, target);
        }
        cluster.etcds.iter().try_for_each(|etcd| self.add_etcd(name, etcd))
    }

    /// The canaries go where users of the cluster are served: to the instances, or to the API VIP that stands in for them.
    fn add_canaries(&mut self, cluster: &Cluster, server: Option<&Endpoint>) -> Result<(), SetupError> {
        let (Some(credentials), Some(canaries)) = (&cluster.writer, &cluster.canaries) else { return Ok(()) };
        let name = &cluster.name;
        let access = self.access(Subject::Cluster(name.clone()), credentials, server);
        let known = self.before.writers.get(name).filter(|known| known.is_of(canaries, self.vantage));
        let new = || Arc::new(Writer::new(canaries.clone(), self.vantage.to_owned()));
        let writer = known.map_or_else(new, Arc::clone);
        self.target_set.writers.insert(name.clone(), Arc::clone(&writer));
        let instances = cluster.apiservers.iter();
        let instances =
            instances.map(|(instance, endpoint)| (Subject::Apiserver(name.clone(), instance.clone()), endpoint));
        let vip =
            cluster.vip.iter().filter(|_| cluster.apiservers.is_empty()).map(|vip| (Subject::Vip(name.clone()), vip));
        for (subject, endpoint) in instances.chain(vip) {
            let known = self.before.canaries.get(&subject).map(|known| known.tls_endpoint());
            let known = known.filter(|known| known.is_of(endpoint, &access.identity)).map(Arc::clone);
            let tls_endpoint = known.map_or_else(|| tls_endpoint(subject.clone(), endpoint, &access), Ok)?;
            let target = CanaryTarget::new(tls_endpoint, Arc::clone(&writer));
            self.target_set.canaries.insert(subject, Arc::new(target));
        }
        Ok(())
    }

    fn add_etcd(&mut self, cluster: &Name, etcd: &settings::Etcd) -> Result<(), SetupError> {
        let whole = Subject::Etcd(cluster.clone(), etcd.name.clone());
        let access = self.access(whole.clone(), &etcd.credentials, None);
        let before = match self.before.targets.get(&whole).map(|target| &**target) {
            Some(Target::Etcd(before)) => Some(before),
            _ => None,
        };
        let at_listeners = self.access_to_listeners(whole.clone(), etcd);
        let mut members = Vec::new();
        for (member, endpoint) in &etcd.members {
            let subject = Subject::EtcdMember(cluster.clone(), etcd.name.clone(), member.clone());
            let listener = etcd.listeners.iter().find(|(of, _)| of == member).map(|(_, listener)| listener);
            let listener = listener.map(|known| listen(subject.clone(), known, &at_listeners)).transpose()?;
            if etcd.is_metrics_only {
                if let Some(MetricsListener::Tls(tls_endpoint)) = &listener {
                    self.add(subject, Target::Member(Arc::clone(tls_endpoint)));
                }
                members.push(Member::new(member.clone(), None, listener));
                continue;
            }
            let tls_endpoint = match self.before.targets.get(&subject).map(|target| &**target) {
                Some(Target::Member(known)) if known.is_of(endpoint, &access.identity) => Arc::clone(known),
                _ => tls_endpoint(subject.clone(), endpoint, &access)?,
            };
            let known = before.and_then(|before| before.line_at(&tls_endpoint, etcd.login.as_ref()));
            let member_connection =
                known.unwrap_or_else(|| Arc::new(MemberConnection::new(Arc::clone(&tls_endpoint), etcd.login.clone())));
            members.push(Member::new(member.clone(), Some(member_connection), listener));
            self.add(subject, Target::Member(tls_endpoint));
        }
        self.add(whole, Target::Etcd(Etcd::new(access.identity, members)));
        Ok(())
    }

    /// The access in which the metrics listeners of `etcd` are asked, directly whatever proxy its client ports want.
    fn access_to_listeners(&mut self, of: Subject, etcd: &settings::Etcd) -> Access {
        Access { identity: self.identity(of, &etcd.at_listeners, String::new()), proxy: None }
    }

    /// The access of `of`; `server` is what an exec plugin gets.
    fn access(&mut self, of: Subject, credentials: &Credentials, server: Option<&Endpoint>) -> Access {
        let proxy = credentials.proxy.clone().map(Arc::new);
        let server = server.and_then(|endpoint| authority(&endpoint.address)).unwrap_or_default();
        let server = server.to_string().trim_end_matches('/').to_owned();
        Access { identity: self.identity(of, credentials, server), proxy }
    }

    fn identity(&mut self, of: Subject, credentials: &Credentials, server: String) -> Arc<Identity> {
        let shown = format!("{credentials:?}");
        let shared = self.target_set.identities.entry(shown.clone()).or_default();
        let is_same = |known: &&Arc<Identity>| known.is_of(credentials, &server);
        if let Some(known) = shared.iter().find(is_same) {
            return Arc::clone(known);
        }
        let before = self.before.identities.get(&shown).into_iter().flatten().find(is_same).cloned();
        let identity = before.unwrap_or_else(|| {
            let (tls, clock) = (self.context.tls.clone(), self.context.clock.clone());
            Arc::new(Identity::new(of, credentials.clone(), server, tls, clock))
        });
        shared.push(Arc::clone(&identity));
        identity
    }
}

impl Target {
    /// Whether this is an apiserver at `endpoint`, seen with `identity`.
    fn is_of(&self, endpoint: &Endpoint, identity: &Arc<Identity>) -> bool {
        match self {
            Self::Apiserver(known) => known.tls_endpoint.is_of(endpoint, identity),
            Self::Etcd(_) | Self::Member(_) | Self::Reference(_) | Self::Resolver(_) | Self::Vantage => false,
        }
    }
}

fn listen(
    subject: Subject,
    listener: &settings::MetricsListener,
    access: &Access,
) -> Result<MetricsListener, SetupError> {
    if listener.is_tls {
        return Ok(MetricsListener::Tls(tls_endpoint(subject, &listener.endpoint, access)?));
    }
    let address = &listener.endpoint.address;
    let authority = authority(address).ok_or(SetupError::ServerName(subject))?;
    Ok(MetricsListener::Plain(address.clone(), authority, TlsDetection::default()))
}

fn tls_endpoint(subject: Subject, endpoint: &Endpoint, access: &Access) -> Result<Arc<TlsEndpoint>, SetupError> {
    TlsEndpoint::new(subject.clone(), endpoint, Arc::clone(&access.identity), access.proxy.clone())
        .map(Arc::new)
        .map_err(|_| SetupError::ServerName(subject))
}
