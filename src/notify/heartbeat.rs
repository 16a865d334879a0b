//! A sign of life to a machine elsewhere that raises the alarm when it stops.
//!
//! Whether to send is decided by the engine, which withholds it while vedette itself cannot do its work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use secrecy::ExposeSecret;
use tokio::runtime::Runtime;

use crate::config::blocking::BlockingPool;
use crate::config::settings::{self, Address, Host};
use crate::model::delivery::{DeliveryFailure, FailureClass};
use crate::render::harmless;

use super::last_read::{LastRead, Unread};
use super::log_once::LogOnce;
use super::pinned_name::PinnedName;
use super::trust;
use crate::model::error_chain::innermost;

/// Deadline of one heartbeat as a whole: the receivers in use expect one a minute.
const OVERALL: Duration = Duration::from_secs(10);

/// Work that one answer may make. A handshake and a short answer make a few milliseconds of it; only what floods makes
/// more.
const WORK: Duration = Duration::from_secs(1);

/// How often the work of the thread is measured.
const GLANCE: Duration = Duration::from_millis(100);

/// Redirects followed, on the same host only.
const REDIRECTS: usize = 3;

/// Sends heartbeats.
pub struct Heartbeat {
    url: Url,
    ca: Option<settings::Source>,
    names: Names,
    files: BlockingPool,
    last_authority: LastRead<Vec<u8>>,
    overall: Duration,
    lane: Lane,
    /// The client in use and the CA it was made with: made anew when the file has changed.
    client: Mutex<Option<(Vec<u8>, Client)>>,
    log_once: Mutex<LogOnce>,
}

impl Heartbeat {
    /// A sender for these settings.
    #[must_use]
    pub fn new(heartbeat: &settings::Heartbeat) -> Self {
        super::install_provider();
        Self {
            url: heartbeat.url.clone(),
            ca: heartbeat.ca.clone(),
            names: Names::default(),
            files: BlockingPool::new(1),
            last_authority: LastRead::default(),
            overall: OVERALL,
            lane: Lane::new(),
            client: Mutex::default(),
            log_once: Mutex::default(),
        }
    }

    /// Sends one; good only when the receiver answers 2xx within 10 s.
    ///
    /// # Errors
    /// How it failed. The text names no URL, since its path is often the receiver's secret.
    pub async fn beat(&self) -> Result<(), DeliveryFailure> {
        let result = self.attempt().await;
        self.notify(result.as_ref().err());
        result
    }

    /// Logs what changed, so that the log shows why no heartbeat arrives.
    fn notify(&self, failure: Option<&DeliveryFailure>) {
        let is_news = self.log_once.lock().unwrap_or_else(PoisonError::into_inner).is_news(failure);
        match failure {
            Some(failure) if is_news => {
                tracing::warn!(class = failure.class.as_str(), "sending the heartbeat failed: {}", failure.text);
            }
            None if is_news => tracing::info!("sending the heartbeat works again"),
            Some(_) | None => {}
        }
    }

    async fn attempt(&self) -> Result<(), DeliveryFailure> {
        let client = self.client(self.ca_pem().await?)?;
        let asking = tokio::time::timeout(self.overall, client.get(self.url.clone()).send());
        let answer = match self.lane.run(asking).await {
            Ok(Ok(Ok(answer))) => answer,
            Ok(Ok(Err(error))) => return Err(classify(error)),
            Ok(Err(_)) => {
                return Err(failure(FailureClass::TimedOut, &format!("no answer within {:?}", self.overall)));
            }
            Err(Stray::Died) => return Err(failure(FailureClass::Broken, "the attempt died")),
            Err(Stray::Flooded) => {
                return Err(failure(FailureClass::Broken, "the receiver sends more than any answer needs"));
            }
        };
        let status = answer.status();
        let class = match status.as_u16() {
            200..=299 => return Ok(()),
            401 | 403 => FailureClass::CredentialRefused,
            408 | 429 | 500..=599 => FailureClass::Deferred,
            _ => FailureClass::Refused,
        };
        Err(failure(class, &format!("the receiver answers {status}")))
    }

    /// What the receiver is verified by, anew each time; empty for the system's CAs.
    async fn ca_pem(&self) -> Result<Vec<u8>, DeliveryFailure> {
        let Some(source) = self.ca.clone() else { return Ok(Vec::new()) };
        let place = format!("{source:?}");
        let unread = |why: Unread| format!("reading the CA from {place}: {why}");
        let read = move || source.read().map(|pem| pem.expose_secret().to_vec()).map_err(|error| error.to_string());
        let ca_pem = self.last_authority.read_or_last(&self.files, self.overall, read, unread).await;
        ca_pem.map_err(|text| failure(FailureClass::Untrusted, &text))
    }

    fn client(&self, ca_pem: Vec<u8>) -> Result<Client, DeliveryFailure> {
        let mut kept = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made_with, client)) = kept.as_ref()
            && *made_with == ca_pem
        {
            return Ok(client.clone());
        }
        let tls = |why: &str| failure(FailureClass::Untrusted, why);
        let mut builder = Client::builder()
            .user_agent(concat!("vedette/", env!("CARGO_PKG_VERSION")))
            .redirect(same_host())
            // A connection that was kept open proves less than a new one.
            .pool_max_idle_per_host(0)
            .dns_resolver(self.names.clone());
        if let Some(source) = &self.ca {
            let unread = |why: String| tls(&format!("reading the authority from {source:?}: {why}"));
            builder = builder.tls_backend_preconfigured(trust::client(&ca_pem).map_err(unread)?);
        }
        let client = builder.build().map_err(|error| tls(&innermost(&error)))?;
        *kept = Some((ca_pem, client.clone()));
        Ok(client)
    }

    /// A shorter deadline, for tests against receivers that stall.
    #[cfg(test)]
    pub(super) const fn with_overall(mut self, overall: Duration) -> Self {
        self.overall = overall;
        self
    }
}

/// A thread of its own for whatever the receiver sends. reqwest bounds the time of an answer and what it keeps of it,
/// but a flood of interim answers keeps the thread busy that reads it: probes must not wait for that, nor must it use a
/// processor for as long as an answer may take. reqwest exposes neither its stream nor hyper's count of interim
/// answers, so the bound is on the processor time of the thread.
struct Lane(Option<Runtime>);

/// Why a heartbeat on that thread failed.
enum Stray {
    /// It panicked.
    Died,
    /// It kept the thread busy for longer than [`WORK`].
    Flooded,
}

impl Lane {
    fn new() -> Self {
        let mut lane = tokio::runtime::Builder::new_multi_thread();
        // The runtime publishes its busy time once per interval, and one poll of a connection that is flooded lasts
        // long.
        lane.worker_threads(1).event_interval(1).thread_name("heartbeat").enable_all();
        // Where the thread cannot be started, the heartbeat is sent from the caller's.
        Self(lane.build().ok())
    }

    /// Runs `work` there.
    async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T, Stray> {
        let Some(lane) = &self.0 else { return Ok(work.await) };
        let worker = lane.metrics();
        let before = worker.worker_total_busy_duration(0);
        let mut under_way = lane.spawn(work);
        loop {
            if let Ok(done) = tokio::time::timeout(GLANCE, &mut under_way).await {
                return done.map_err(|_| Stray::Died);
            }
            if worker.worker_total_busy_duration(0).saturating_sub(before) > WORK {
                under_way.abort();
                return Err(Stray::Flooded);
            }
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // Waiting for it is not allowed inside a runtime, and there is nothing to wait for.
        if let Some(lane) = self.0.take() {
            lane.shutdown_background();
        }
    }
}

/// Follows redirects to the same host and scheme: `http` may not become the way out of `https`.
fn same_host() -> Policy {
    Policy::custom(|attempt| {
        let from = attempt.previous().first();
        let is_home =
            from.is_some_and(|from| from.host() == attempt.url().host() && from.scheme() == attempt.url().scheme());
        if is_home && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
    })
}

fn classify(error: reqwest::Error) -> DeliveryFailure {
    let error = error.without_url();
    let class = if super::is_tls(&error) {
        FailureClass::Untrusted
    } else if error.is_timeout() {
        FailureClass::TimedOut
    } else if error.is_connect() {
        FailureClass::Unreachable
    } else {
        FailureClass::Broken
    };
    failure(class, &innermost(&error))
}

fn failure(class: FailureClass, why: &str) -> DeliveryFailure {
    DeliveryFailure { class, text: format!("sending the heartbeat: {}", harmless::line(why, 240)) }
}

/// Resolves through pins: the receiver's name, and that of a proxy where one is set.
#[derive(Clone, Default)]
struct Names {
    pins: Arc<Mutex<BTreeMap<String, PinnedName>>>,
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let pin = self
            .pins
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(name.clone())
            .or_insert_with(|| PinnedName::new(&Address { host: Host::Name(name), port: 0 }))
            .clone();
        Box::pin(async move {
            let addresses = pin.addresses().await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
