//! The input edge: looks in, observations out.
//!
//! Everything here touches the world and decides nothing about it: a failed look is an observation like any other. Each
//! look ends in bounded time by deadlines per phase, and exactly one observation comes back for it; open connections
//! that break report by themselves. Called by the daemon and by `probe --once`.

mod addresses;
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
mod idle;
mod journey;
mod kit;
mod names;
mod own_clock;
mod proxy;
mod race;
mod roster;
mod session;
mod site;
mod smaller;
mod speech;
mod strict;
mod watched;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use self::apiserver::Apiserver;
use self::etcd::Etcd;
use self::identity::Identity;
use self::journey::Journey;
use self::kit::{Kit, Sight};
use self::roster::Roster;
use self::site::Site;
use crate::config::settings::{Address, Settings};
use crate::model::observation::{Observation, Reading};
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::probe::{Look, ProbeKind};
use crate::model::subject::Subject;
use crate::model::time::Clock;

/// Shutting down waits for goodbyes at most this long: twice what one goodbye may take.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// Looks at everything that the settings name.
#[derive(Clone)]
pub struct Collectors {
    kit: Kit,
    roster: Arc<Roster>,
}

/// What can never work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Hopeless {
    /// The expected name is neither a DNS name nor an address.
    #[error("{0}: the expected server name is neither a DNS name nor an address")]
    ServerName(Subject),
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
        let roster = Arc::new(Roster::new(&kit, settings, &Roster::default())?);
        Ok(Self { kit, roster })
    }

    /// The same for other settings. What has not changed is shared with these, connections that are open included; what
    /// has is closed politely once these are dropped and their looks have ended.
    ///
    /// # Errors
    ///
    /// As [`Collectors::new`]; these go on as they are.
    pub fn replaced(&self, settings: &Settings) -> Result<Self, Hopeless> {
        let kit = self.kit.with_policy(settings.policy.clone());
        let roster = Arc::new(Roster::new(&kit, settings, &self.roster)?);
        Ok(Self { kit, roster })
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
        let sight = match (self.roster.targets.get(subject), self.roster.files(subject)) {
            (_, Some(files)) if kind == ProbeKind::Files => Some(Box::pin(files.look(&self.kit)).await),
            (Some(target), _) => target.look(&self.kit, &look).await,
            (None, _) => None,
        };
        let sight = sight.unwrap_or_else(|| {
            tracing::error!(probe = %look.probe, "internal error: no collector probes {}, please report", look.probe);
            Sight::nothing()
        });
        let mut observation = self.kit.dated(look, sight);
        if observation.blames_us()
            && let Some(identity) = self.roster.targets.get(&observation.probe.subject).and_then(|it| it.identity())
        {
            observation.own_flaw = identity.current().await.flaw.clone();
        }
        tracing::debug!(probe = %observation.probe, outcome = ?observation.outcome.as_ref().map(drop), "probed");
        observation
    }

    /// Closes the open connections politely. Looks under way are not waited for.
    pub async fn shutdown(&self) {
        for target in self.roster.targets.values() {
            match &**target {
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
        f.debug_set().entries(self.roster.targets.keys().map(ToString::to_string)).finish()
    }
}

impl Target {
    /// Who we are to it.
    fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Apiserver(apiserver) => Some(apiserver.identity()),
            Self::Etcd(etcd) => Some(etcd.identity()),
            Self::Member(site) => Some(&site.identity),
            Self::Reference(_) | Self::Resolver(_) | Self::Vantage => None,
        }
    }

    /// `None` for a kind of look that this target is not asked.
    async fn look(&self, kit: &Kit, look: &Look) -> Option<Sight> {
        let Look { probe, hello, .. } = look;
        // Boxed, so that a look under way takes no more room than its own kind needs.
        match (self, probe.kind) {
            (Self::Apiserver(apiserver), kind) => Box::pin(apiserver.look(kit, kind, probe.connection, *hello)).await,
            (Self::Etcd(etcd), kind) => Box::pin(etcd.look(kit, kind, probe.connection)).await,
            (Self::Member(site), ProbeKind::Chain) => Some(Box::pin(site.look_at_chain(kit, site.hello(kit))).await),
            (Self::Member(site), ProbeKind::Addresses) => {
                Some(Box::pin(site.look_at_addresses(kit, site.hello(kit))).await)
            }
            (Self::Reference(address), ProbeKind::Reference) => Some(Box::pin(look_at_reference(kit, address)).await),
            (Self::Resolver(address), ProbeKind::Resolver) => Some(Box::pin(look_at_resolver(kit, address)).await),
            (Self::Vantage, ProbeKind::OwnClock) => Some(look_at_own_clock(kit)),
            (Self::Member(_) | Self::Reference(_) | Self::Resolver(_) | Self::Vantage, _) => None,
        }
    }
}

/// A reference point proves the path by accepting and by refusing alike.
async fn look_at_reference(kit: &Kit, address: &Address) -> Sight {
    let journey = Journey::new(&kit.clock);
    let limit = kit.policy.dial_deadline;
    let places = match kit.names.places(address, limit, &journey).await {
        Ok(places) => places,
        Err(unseen) => return Sight::of(&journey, None, Err(unseen)),
    };
    let outcome =
        match journey.step(Phase::Dial, limit, race::connect(&kit.names, address, places, limit, &journey)).await {
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
