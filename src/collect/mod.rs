//! The collectors: probes in, observations out.
//!
//! Everything here does I/O and decides nothing: a failed probe is an observation like any other. Each probe ends in
//! bounded time by timeouts per phase, and exactly one observation comes back for it; kept connections that break are
//! reported without a probe. Called by the daemon and by `probe`.

mod addresses;
mod apiserver;
mod authority;
mod byte_stream;
mod canary;
mod clear_certificates;
mod client_hello_fallback;
mod connect;
mod connection_end;
mod context;
mod credentials;
mod dns;
mod error_cause;
mod etcd;
mod exec;
pub mod files;
mod goaway;
mod handshake;
mod happy_eyeballs;
mod http_client;
mod identity;
mod kept_connection;
mod last_chain;
mod names;
mod own_clock;
mod phase_timer;
mod proxy;
pub mod served_certificates;
mod session;
mod target_set;
mod tls_detection;
mod tls_endpoint;
mod user_agent;
mod verification;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use self::apiserver::Apiserver;
use self::context::{ProbeContext, ProbeResult};
use self::etcd::Etcd;
use self::identity::Identity;
use self::phase_timer::PhaseTimer;
use self::target_set::TargetSet;
use self::tls_endpoint::TlsEndpoint;
use crate::config::settings::{Address, Settings};
use crate::model::observation::{Observation, Reading};
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::probe::{ProbeKind, ProbeRequest};
use crate::model::subject::Subject;
use crate::model::time::Clock;

/// A shutdown waits for the exchange of close_notify at most this long: twice what one may take.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// Probes everything that the settings name.
#[derive(Clone)]
pub struct Collectors {
    context: ProbeContext,
    target_set: Arc<TargetSet>,
}

/// What can never work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The expected name is neither a DNS name nor an address.
    #[error("{0}: the expected server name is neither a DNS name nor an address")]
    ServerName(Subject),
}

/// What is behind a subject.
enum Target {
    Apiserver(Apiserver),
    Etcd(Etcd),
    Member(Arc<TlsEndpoint>),
    Reference(Address),
    Resolver(Address),
    Vantage,
}

impl Collectors {
    /// Prepares the probes. Nothing is connected to, read or resolved yet.
    ///
    /// # Errors
    ///
    /// Only for what can never work; a missing file or a server that is down is reported by the probes.
    pub fn new(settings: &Settings, clock: Clock, observed: mpsc::Sender<Observation>) -> Result<Self, SetupError> {
        let context = ProbeContext::new(clock, settings.policy.clone(), observed);
        let target_set = Arc::new(TargetSet::new(&context, settings, &TargetSet::default())?);
        Ok(Self { context, target_set })
    }

    /// The same for other settings. What has not changed is shared with these, connections that are open included; what
    /// has is closed politely once these are dropped and their probes have ended.
    ///
    /// # Errors
    ///
    /// As [`Collectors::new`]; these go on as they are.
    pub fn replaced(&self, settings: &Settings) -> Result<Self, SetupError> {
        let context = self.context.with_policy(settings.policy.clone());
        let target_set = Arc::new(TargetSet::new(&context, settings, &self.target_set)?);
        Ok(Self { context, target_set })
    }

    /// Starts a probe; exactly one observation comes back for it through the channel, in bounded time.
    ///
    /// Must be called inside a tokio runtime.
    pub fn start(&self, request: ProbeRequest) {
        let collectors = self.clone();
        self.context.tasks.spawn(async move {
            let observation = collectors.probe(request).await;
            collectors.context.report(observation).await;
        });
    }

    /// The same, awaited: the observation does not go through the channel.
    pub async fn probe(&self, request: ProbeRequest) -> Observation {
        let (subject, kind) = (&request.probe.subject, request.probe.kind);
        let result = match (self.target_set.targets.get(subject), self.target_set.files(subject)) {
            (_, Some(files)) if kind == ProbeKind::Files => Some(Box::pin(files.scan(&self.context)).await),
            _ if kind.canary().is_some() => match self.target_set.canaries.get(subject) {
                Some(target) => Box::pin(target.probe(&self.context, kind, request.hello)).await,
                None => None,
            },
            (Some(target), _) => target.probe(&self.context, &request).await,
            (None, _) => None,
        };
        let result = result.unwrap_or_else(|| {
            tracing::error!(probe = %request.probe, "internal error: no collector probes {}, please report", request.probe);
            ProbeResult::nothing()
        });
        let mut observation = self.context.dated(request, result);
        if observation.blames_us()
            && let Some(identity) = self.target_set.identity(&observation.probe)
        {
            observation.own_flaw = identity.current().await.diagnostic.clone();
        }
        tracing::debug!(probe = %observation.probe, outcome = ?observation.outcome.as_ref().map(drop), "probed");
        observation
    }

    /// Closes the kept connections with close_notify. Probes under way are not waited for.
    pub async fn shutdown(&self) {
        for target in self.target_set.targets.values() {
            match &**target {
                Target::Apiserver(apiserver) => apiserver.close(),
                Target::Etcd(etcd) => etcd.close(),
                Target::Member(_) | Target::Reference(_) | Target::Resolver(_) | Target::Vantage => {}
            }
        }
        self.context.tasks.close();
        // A peer that is slower than this is not waited for.
        drop(tokio::time::timeout(SHUTDOWN, self.context.tasks.wait()).await);
    }
}

impl std::fmt::Debug for Collectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.target_set.targets.keys().map(ToString::to_string)).finish()
    }
}

impl Target {
    /// Who we are to it.
    fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Apiserver(apiserver) => Some(apiserver.identity()),
            Self::Etcd(etcd) => Some(etcd.identity()),
            Self::Member(tls_endpoint) => Some(&tls_endpoint.identity),
            Self::Reference(_) | Self::Resolver(_) | Self::Vantage => None,
        }
    }

    /// `None` for a kind of probe that this target is not asked.
    async fn probe(&self, context: &ProbeContext, request: &ProbeRequest) -> Option<ProbeResult> {
        let ProbeRequest { probe, hello, .. } = request;
        // Boxed, so that a probe under way takes no more room than its own kind needs.
        match (self, probe.kind) {
            (Self::Apiserver(apiserver), kind) => {
                Box::pin(apiserver.probe(context, kind, probe.connection, *hello)).await
            }
            (Self::Etcd(etcd), kind) => Box::pin(etcd.probe(context, kind, probe.connection)).await,
            (Self::Member(tls_endpoint), ProbeKind::Chain) => {
                Some(Box::pin(tls_endpoint.probe_chain(context, tls_endpoint.hello(context))).await)
            }
            (Self::Member(tls_endpoint), ProbeKind::Addresses) => {
                Some(Box::pin(tls_endpoint.probe_addresses(context, tls_endpoint.hello(context))).await)
            }
            (Self::Reference(address), ProbeKind::Reference) => Some(Box::pin(probe_reference(context, address)).await),
            (Self::Resolver(address), ProbeKind::Resolver) => Some(Box::pin(probe_resolver(context, address)).await),
            (Self::Vantage, ProbeKind::OwnClock) => Some(probe_own_clock(context)),
            (Self::Member(_) | Self::Reference(_) | Self::Resolver(_) | Self::Vantage, _) => None,
        }
    }
}

/// A reference target proves the path by accepting and by refusing alike.
async fn probe_reference(context: &ProbeContext, address: &Address) -> ProbeResult {
    let timer = PhaseTimer::new(&context.clock);
    let limit = context.policy.connect_timeout;
    let places = match context.names.places(address, limit, &timer).await {
        Ok(places) => places,
        Err(unseen) => return ProbeResult::of(&timer, None, Err(unseen)),
    };
    let outcome = match timer
        .step(Phase::Dial, limit, happy_eyeballs::connect(&context.names, address, places, limit, &timer))
        .await
    {
        Ok((stream, _)) => {
            context.close_gracefully(stream);
            Ok(Reading::Reference)
        }
        Err(Unseen { cause: Cause::Refused, .. }) => Ok(Reading::Reference),
        Err(unseen) => Err(unseen),
    };
    ProbeResult::of(&timer, None, outcome)
}

async fn probe_resolver(context: &ProbeContext, address: &Address) -> ProbeResult {
    let timer = PhaseTimer::new(&context.clock);
    let limit = context.policy.connect_timeout;
    let place: Option<SocketAddr> = match context.names.places(address, limit, &timer).await {
        Ok(places) => places.first().copied(),
        Err(unseen) => return ProbeResult::of(&timer, None, Err(unseen)),
    };
    let outcome = match place {
        Some(place) => dns::ask(place, limit, &timer).await.map(Reading::Resolver),
        None => Err(Unseen { phase: Phase::Resolve, cause: Cause::NoSuchName }),
    };
    ProbeResult::of(&timer, None, outcome)
}

fn probe_own_clock(context: &ProbeContext) -> ProbeResult {
    let timer = PhaseTimer::new(&context.clock);
    let outcome = own_clock::read().map(Reading::OwnClock).map_err(|cause| Unseen { phase: Phase::Idle, cause });
    ProbeResult::of(&timer, None, outcome)
}
