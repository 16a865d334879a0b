//! The input edge: looks in, observations out.
//!
//! Everything here touches the world and decides nothing about it: a failed look is an observation like any other. Each
//! look ends in bounded time by deadlines per phase, and exactly one observation comes back for it; open connections
//! that break report by themselves. Called by the daemon and by `probe --once`.

mod apiserver;
mod ask;
mod chain;
mod credentials;
mod dial;
mod dns;
mod etcd;
mod exec;
mod fault;
pub mod files;
mod frames;
mod handshake;
mod identity;
mod journey;
mod kit;
mod metered;
mod names;
mod own_clock;
mod site;
mod watched;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use self::apiserver::Apiserver;
pub use self::dial::BadProxy;
use self::dial::Proxy;
use self::etcd::{Etcd, Listener, Member};
use self::files::Files;
use self::identity::Identity;
use self::journey::Journey;
use self::kit::{Kit, Sight};
use self::site::Site;
use crate::config::settings::{self, Address, Cluster, Credentials, Endpoint, NamedAddress, Settings};
use crate::model::observation::{Cause, Observation, Phase, Reading, Unseen};
use crate::model::probe::{Look, Probe, ProbeKind};
use crate::model::subject::Subject;
use crate::model::time::Clock;

/// Shutting down waits for goodbyes at most this long: twice what one goodbye may take.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// Looks at everything that the settings name.
#[derive(Clone)]
pub struct Collectors {
    kit: Kit,
    targets: Arc<BTreeMap<Subject, Target>>,
    /// Files, by the cluster they belong to, or the vantage.
    files: Arc<BTreeMap<Subject, Files>>,
}

/// What can never work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Hopeless {
    /// The expected name is neither a DNS name nor an address.
    #[error("{0}: the expected server name is neither a DNS name nor an address")]
    ServerName(Subject),
    /// The proxy cannot be used.
    #[error("{0}")]
    Proxy(Subject, #[source] BadProxy),
}

/// What is behind a subject.
enum Target {
    Apiserver(Apiserver),
    Etcd(Etcd),
    Member(Arc<Site>),
    Reference(Address),
    Resolver(Address),
    Vantage,
}

impl Collectors {
    /// Prepares to look. Nothing is dialled, read or resolved yet.
    ///
    /// # Errors
    ///
    /// Only for what can never work; a missing file or a dead server is for the looks to tell.
    pub fn new(settings: &Settings, clock: Clock, observed: mpsc::Sender<Observation>) -> Result<Self, Hopeless> {
        let kit = Kit::new(clock, settings.policy.clone(), observed);
        let mut targets = BTreeMap::from([(Subject::Vantage, Target::Vantage)]);
        for NamedAddress { name, address } in settings.vantage.references.clone() {
            targets.insert(Subject::Reference(name), Target::Reference(address));
        }
        for NamedAddress { name, address } in settings.vantage.resolvers.clone() {
            targets.insert(Subject::Resolver(name), Target::Resolver(address));
        }
        let mut files = BTreeMap::from([(Subject::Vantage, Files::new(settings.watched_files()))]);
        for cluster in &settings.clusters {
            add_cluster(&kit, cluster, &mut targets)?;
            files.insert(Subject::Cluster(cluster.name.clone()), Files::new(cluster.watched_files()));
        }
        Ok(Self { kit, targets: Arc::new(targets), files: Arc::new(files) })
    }

    /// Starts a look; exactly one observation comes back for it through the channel, in bounded time.
    ///
    /// Must be called inside a tokio runtime.
    pub fn start(&self, look: Look) {
        let collectors = self.clone();
        self.kit.tasks.spawn(async move {
            let observation = collectors.look(look).await;
            collectors.kit.report(observation).await;
        });
    }

    /// The same, awaited: the observation does not go through the channel.
    pub async fn look(&self, look: Look) -> Observation {
        let (subject, kind) = (&look.probe.subject, look.probe.kind);
        let sight = match (self.targets.get(subject), self.files.get(subject)) {
            (_, Some(files)) if kind == ProbeKind::Files => Some(files.look(&self.kit).await),
            (Some(target), _) => target.look(&self.kit, &look.probe).await,
            (None, _) => None,
        };
        let sight = sight.unwrap_or_else(|| {
            tracing::error!(probe = %look.probe, "asked to look at {}, which cannot be done", look.probe);
            Sight::nothing()
        });
        let observation = self.kit.dated(look, sight);
        tracing::debug!(probe = %observation.probe, outcome = ?observation.outcome.as_ref().map(drop), "looked");
        observation
    }

    /// Closes the open connections politely. Looks under way are not waited for.
    pub async fn shutdown(&self) {
        for target in self.targets.values() {
            match target {
                Target::Apiserver(apiserver) => apiserver.close(),
                Target::Etcd(etcd) => etcd.close(),
                Target::Member(_) | Target::Reference(_) | Target::Resolver(_) | Target::Vantage => {}
            }
        }
        self.kit.tasks.close();
        // Whoever is slower than this is not waited for.
        drop(tokio::time::timeout(SHUTDOWN, self.kit.tasks.wait()).await);
    }
}

impl std::fmt::Debug for Collectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.targets.keys().map(ToString::to_string)).finish()
    }
}

impl Target {
    /// `None` for a kind of look that this target is not asked.
    async fn look(&self, kit: &Kit, probe: &Probe) -> Option<Sight> {
        match (self, probe.kind) {
            (Self::Apiserver(apiserver), kind) => Box::pin(apiserver.look(kit, kind, probe.connection)).await,
            (Self::Etcd(etcd), kind) => Box::pin(etcd.look(kit, kind, probe.connection)).await,
            (Self::Member(site), ProbeKind::Chain) => Some(Box::pin(site.look_at_chain(kit)).await),
            (Self::Reference(address), ProbeKind::Reference) => Some(look_at_reference(kit, address).await),
            (Self::Resolver(address), ProbeKind::Resolver) => Some(look_at_resolver(kit, address).await),
            (Self::Vantage, ProbeKind::OwnClock) => Some(look_at_own_clock(kit)),
            (Self::Member(_) | Self::Reference(_) | Self::Resolver(_) | Self::Vantage, _) => None,
        }
    }
}

fn add_cluster(kit: &Kit, cluster: &Cluster, targets: &mut BTreeMap<Subject, Target>) -> Result<(), Hopeless> {
    let name = &cluster.name;
    let instances = cluster
        .apiservers
        .iter()
        .map(|(instance, endpoint)| (Subject::Apiserver(name.clone(), instance.clone()), endpoint));
    let endpoints: Vec<_> = cluster.vip.iter().map(|vip| (Subject::Vip(name.clone()), vip)).chain(instances).collect();
    let proxy = proxy(&Subject::Cluster(name.clone()), &cluster.credentials)?;
    let identity = identity(kit, &cluster.credentials, endpoints.first().map(|(_, endpoint)| *endpoint));
    for (subject, endpoint) in endpoints {
        let site = site(subject.clone(), endpoint, &identity, proxy.as_ref())?;
        targets.insert(subject, Target::Apiserver(Apiserver::new(site)));
    }
    for etcd in &cluster.etcds {
        let whole = Subject::Etcd(name.clone(), etcd.name.clone());
        let proxy = self::proxy(&whole, &etcd.credentials)?;
        let identity = self::identity(kit, &etcd.credentials, None);
        let at_listeners = self::identity(kit, &etcd.at_listeners, None);
        let mut members = Vec::new();
        for (member, endpoint) in &etcd.members {
            let subject = Subject::EtcdMember(name.clone(), etcd.name.clone(), member.clone());
            let listener = etcd.listeners.iter().find(|(of, _)| of == member).map(|(_, listener)| listener);
            let listener = listener.map(|known| listen(subject.clone(), known, &at_listeners)).transpose()?;
            if etcd.is_metrics_only {
                if let Some(Listener::Tls(site)) = &listener {
                    targets.insert(subject, Target::Member(Arc::clone(site)));
                }
                members.push(Member::new(member.clone(), None, listener));
            } else {
                let site = site(subject.clone(), endpoint, &identity, proxy.as_ref())?;
                let client = (Arc::clone(&site), etcd.login.clone());
                members.push(Member::new(member.clone(), Some(client), listener));
                targets.insert(subject, Target::Member(site));
            }
        }
        targets.insert(whole, Target::Etcd(Etcd::new(identity, members)));
    }
    Ok(())
}

fn listen(subject: Subject, listener: &settings::Listener, identity: &Arc<Identity>) -> Result<Listener, Hopeless> {
    if listener.is_tls {
        return Ok(Listener::Tls(site(subject, &listener.endpoint, identity, None)?));
    }
    let address = &listener.endpoint.address;
    let authority = dial::authority(address).ok_or(Hopeless::ServerName(subject))?;
    Ok(Listener::Plain(address.clone(), authority))
}

fn proxy(subject: &Subject, credentials: &Credentials) -> Result<Option<Arc<Proxy>>, Hopeless> {
    let proxy = credentials.proxy.as_ref().map(Proxy::new).transpose();
    proxy.map(|proxy| proxy.map(Arc::new)).map_err(|bad| Hopeless::Proxy(subject.clone(), bad))
}

fn identity(kit: &Kit, credentials: &Credentials, server: Option<&Endpoint>) -> Arc<Identity> {
    let server = server.and_then(|endpoint| dial::authority(&endpoint.address)).unwrap_or_default();
    let server = server.to_string().trim_end_matches('/').to_owned();
    Arc::new(Identity::new(credentials.clone(), server, kit.tls.clone(), kit.clock.clone()))
}

fn site(
    subject: Subject,
    endpoint: &Endpoint,
    identity: &Arc<Identity>,
    proxy: Option<&Arc<Proxy>>,
) -> Result<Arc<Site>, Hopeless> {
    Site::new(subject.clone(), endpoint, Arc::clone(identity), proxy.cloned())
        .map(Arc::new)
        .map_err(|_| Hopeless::ServerName(subject))
}

/// A reference point proves the path by accepting and by refusing alike.
async fn look_at_reference(kit: &Kit, address: &Address) -> Sight {
    let journey = Journey::new(&kit.clock);
    let limit = kit.policy.dial_deadline;
    let places = match kit.names.places(address, limit, &journey).await {
        Ok(places) => places,
        Err(unseen) => return Sight::of(&journey, None, Err(unseen)),
    };
    let outcome = match journey.step(Phase::Dial, limit, dial::connect(&places, limit, &journey)).await {
        Ok((stream, _)) => {
            kit.farewell(stream);
            Ok(Reading::Reference)
        }
        Err(Unseen { cause: Cause::Refused, .. }) => Ok(Reading::Reference),
        Err(unseen) => Err(unseen),
    };
    Sight::of(&journey, None, outcome)
}

async fn look_at_resolver(kit: &Kit, address: &Address) -> Sight {
    let journey = Journey::new(&kit.clock);
    let limit = kit.policy.dial_deadline;
    let place: Option<SocketAddr> = match kit.names.places(address, limit, &journey).await {
        Ok(places) => places.first().copied(),
        Err(unseen) => return Sight::of(&journey, None, Err(unseen)),
    };
    let outcome = match place {
        Some(place) => dns::ask(place, limit, &journey).await.map(Reading::Resolver),
        None => Err(Unseen { phase: Phase::Resolve, cause: Cause::NoSuchName }),
    };
    Sight::of(&journey, None, outcome)
}

fn look_at_own_clock(kit: &Kit) -> Sight {
    let journey = Journey::new(&kit.clock);
    let outcome = own_clock::read().map(Reading::OwnClock).map_err(|cause| Unseen { phase: Phase::Idle, cause });
    Sight::of(&journey, None, outcome)
}
