//! Probes of apiservers and the API VIP: `/readyz?verbose`, `/livez`, `/version`, the dumps of priority and fairness
//! (`dumps.rs`), `/metrics` (`metrics_page.rs`), and the z-pages (`zpages.rs`).
//!
//! HTTP/1.1 throughout: anonymous HTTP/2 requests are answered with a close since 1.29, which would make a kept
//! connection measure new ones without noticing. A bearer token goes only to a server that strict verification trusts;
//! to others the request is sent without it, which the health paths answer as well.

mod dumps;
mod metrics_page;
mod zpages;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderValue};

use super::connection_end::Ending;
use super::context::{ProbeContext, ProbeResult};
use super::handshake::Alpn;
use super::http_client::{self, Limits, Request, Sink};
use super::identity::{Identity, ReadyCredentials};
use super::kept_connection::KeptConnection;
use super::phase_timer::PhaseTimer;
use super::tls_endpoint::{Opened, Secured, TlsEndpoint};
use crate::model::certificate::Served;
use crate::model::cost::body_limit;
use crate::model::health::{Health, Version};
use crate::model::observation::Reading;
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::probe::{Connection, Hello, ProbeKind};
use crate::parse;
use crate::parse::apiserver_page::ApiserverPageReader;
use crate::parse::flow_control::{LevelsReader, RequestsReader};

/// An apiserver instance, or the API VIP.
pub(crate) struct Apiserver {
    pub(crate) tls_endpoint: Arc<TlsEndpoint>,
    /// The connection that is kept open; the lock is held while it is used, because HTTP/1.1 takes one request at a
    /// time.
    kept: tokio::sync::Mutex<Option<Kept>>,
}

/// A connection that is kept open, between two requests.
struct Kept {
    resting: KeptConnection,
    peer: IpAddr,
    is_trusted: bool,
    generation: u64,
}

/// A connection that is about to be used for a request.
struct OpenConnection {
    stream: Secured,
    peer: IpAddr,
    is_trusted: bool,
    generation: u64,
    /// Whether it has answered before: until then its end belongs to the probe that opened it.
    has_answered: bool,
}

/// The head of an answer; its body went where the caller wanted it.
type Answer = http_client::Answer<()>;

/// The chain of a connection opened for the request, whether the connection used is trusted, and the answer.
type Asked = (Option<Arc<Served>>, bool, Result<Answer, Unseen>);

/// What a page of metrics may take: an apiserver with hundreds of custom resources gathers for seconds before the first
/// byte.
const WHOLE_PAGE: Duration = Duration::from_secs(15);

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    Readyz,
    Livez,
    Version,
    PriorityLevels,
    RequestDump,
    Metrics,
    Statusz,
    Flagz,
}

impl Apiserver {
    pub(crate) fn new(tls_endpoint: Arc<TlsEndpoint>) -> Self {
        Self { tls_endpoint, kept: tokio::sync::Mutex::default() }
    }

    /// Our credentials for it.
    pub(crate) fn identity(&self) -> &Identity {
        &self.tls_endpoint.identity
    }

    /// Probes; `None` for kinds that apiservers have no answer to.
    pub(crate) async fn probe(
        &self,
        context: &ProbeContext,
        kind: ProbeKind,
        connection: Connection,
        hello: Hello,
    ) -> Option<ProbeResult> {
        let page = match kind {
            ProbeKind::Readyz => Page::Readyz,
            ProbeKind::Livez => Page::Livez,
            ProbeKind::Version => Page::Version,
            ProbeKind::Chain => return Some(self.tls_endpoint.probe_chain(context, hello).await),
            ProbeKind::Addresses => return Some(self.tls_endpoint.probe_addresses(context, hello).await),
            ProbeKind::PriorityLevels => {
                let reader = LevelsReader::default();
                let over = (connection, hello);
                return Some(self.probe_use(context, Page::PriorityLevels, over, reader, dumps::levels).await);
            }
            ProbeKind::RequestDump => {
                let reader = RequestsReader::default();
                let over = (connection, hello);
                return Some(self.probe_use(context, Page::RequestDump, over, reader, dumps::requests).await);
            }
            ProbeKind::ApiserverMetrics => {
                let reader = ApiserverPageReader::default();
                let over = (connection, hello);
                return Some(self.probe_use(context, Page::Metrics, over, reader, metrics_page::metrics).await);
            }
            ProbeKind::Statusz => {
                let timer = PhaseTimer::new(&context.clock);
                return Some(self.probe_statusz(context, (connection, hello), &timer).await);
            }
            ProbeKind::Flagz => {
                let timer = PhaseTimer::new(&context.clock);
                return Some(self.probe_flagz(context, (connection, hello), &timer).await);
            }
            ProbeKind::EtcdStatus
            | ProbeKind::EtcdRead
            | ProbeKind::EtcdAlarms
            | ProbeKind::EtcdMembers
            | ProbeKind::EtcdHealth
            | ProbeKind::EtcdMetrics
            | ProbeKind::Tripwire
            | ProbeKind::Reference
            | ProbeKind::Resolver
            | ProbeKind::OwnClock
            | ProbeKind::Files
            | ProbeKind::LeaseWrite
            | ProbeKind::LeaseRead
            | ProbeKind::CreateConfigMap
            | ProbeKind::CreatePod
            | ProbeKind::AccessReview
            | ProbeKind::SecretRead => return None,
        };
        let ready_credentials = self.tls_endpoint.identity.current().await;
        let timer = PhaseTimer::new(&context.clock);
        let mut body = Vec::new();
        let (served, is_trusted, answer) =
            self.ask(context, &ready_credentials, page, (connection, hello), &mut body, &timer).await;
        timer.end();
        let outcome = answer.and_then(|answer| page.reading(&answer, &body)).map_err(|unseen| {
            let cause = ready_credentials.blame_for_answer(unseen.cause, is_trusted);
            if matches!(cause, Cause::CredentialRejected | Cause::OwnCredential) {
                self.tls_endpoint.identity.refused();
            }
            Unseen { cause, ..unseen }
        });
        if !is_well(&outcome) {
            self.tls_endpoint.doubt(context);
        }
        Some(ProbeResult::of(&timer, served, outcome))
    }

    /// How the server is used, by `page`: `read` makes the reading of what `sink` got and of how the answer ended.
    async fn probe_use<S: Sink>(
        &self,
        context: &ProbeContext,
        page: Page,
        over: (Connection, Hello),
        mut sink: S,
        read: impl FnOnce(S, Result<Answer, Unseen>) -> Result<Reading, Unseen>,
    ) -> ProbeResult {
        let timer = PhaseTimer::new(&context.clock);
        let ready_credentials = self.tls_endpoint.identity.current().await;
        let (served, _, answer) = self.ask(context, &ready_credentials, page, over, &mut sink, &timer).await;
        timer.end();
        ProbeResult::of(&timer, served, read(sink, answer))
    }

    /// Closes the kept connection with close_notify.
    pub(crate) fn close(&self) {
        // The task that holds the lock is probing, and closes the connection itself when the process ends.
        if let Ok(mut kept) = self.kept.try_lock() {
            drop(kept.take().map(Kept::left));
        }
    }

    /// Asks for `page`; its body goes to `sink`.
    async fn ask(
        &self,
        context: &ProbeContext,
        ready_credentials: &ReadyCredentials,
        page: Page,
        (connection, hello): (Connection, Hello),
        sink: &mut impl Sink,
        timer: &PhaseTimer,
    ) -> Asked {
        match connection {
            Connection::New => self.ask_anew(context, ready_credentials, page, hello, sink, timer).await,
            Connection::Reused => self.ask_kept(context, ready_credentials, page, hello, sink, timer).await,
        }
    }

    async fn ask_anew(
        &self,
        context: &ProbeContext,
        ready_credentials: &ReadyCredentials,
        page: Page,
        hello: Hello,
        sink: &mut impl Sink,
        timer: &PhaseTimer,
    ) -> Asked {
        let opening = self.tls_endpoint.open(context, ready_credentials, (Alpn::Http1, hello), timer).await;
        let opened = match opening.result {
            Ok(opened) => opened,
            Err(unseen) => return (opening.served, false, Err(unseen)),
        };
        let request = self.request(context, page, ready_credentials, opened.is_trusted);
        let answer = http_client::once(context, opened.stream, &request, sink, timer).await;
        (opening.served, opened.is_trusted, answer.map(http_client::Answer::head))
    }

    async fn ask_kept(
        &self,
        context: &ProbeContext,
        ready_credentials: &ReadyCredentials,
        page: Page,
        hello: Hello,
        sink: &mut impl Sink,
        timer: &PhaseTimer,
    ) -> Asked {
        let Ok(mut kept) = tokio::time::timeout(context.policy.response_timeout, self.kept.lock()).await else {
            return (None, false, Err(Unseen { phase: Phase::FirstByte, cause: Cause::Timeout }));
        };
        // Held until another one is open, so that there is always a connection when credentials are rotated.
        let _former = kept
            .take_if(|kept| !kept.is_usable(ready_credentials) || !self.tls_endpoint.leads_to(context, kept.peer))
            .map(Kept::left);
        // The second attempt is for a connection that the server closed with announcement while the request was in
        // transit.
        if let Some(Kept { resting, peer, is_trusted, generation }) = kept.take() {
            let watch = Arc::clone(resting.watch());
            let answer = match resting.wake().await {
                Some(stream) => {
                    let line = OpenConnection { stream, peer, is_trusted, generation, has_answered: true };
                    self.ask_over(context, ready_credentials, page, (sink, timer), line, &mut kept).await
                }
                None => {
                    timer.enter(Phase::FirstByte);
                    Err(watch.cause().unwrap_or(Cause::Closed))
                }
            };
            let may_redial = answer.is_err() && watch.is_announced() && timer.phase() == Phase::FirstByte;
            if !may_redial {
                return (None, is_trusted, answer.map_err(|cause| timer.unseen(cause)));
            }
        }
        let opening = self.tls_endpoint.open(context, ready_credentials, (Alpn::Http1, hello), timer).await;
        let served = opening.served;
        let line = match opening.result {
            Ok(Opened { stream, peer, is_trusted }) => OpenConnection {
                stream,
                peer,
                is_trusted,
                generation: ready_credentials.generation,
                has_answered: false,
            },
            Err(unseen) => return (served, false, Err(unseen)),
        };
        let is_trusted = line.is_trusted;
        let answer = self.ask_over(context, ready_credentials, page, (sink, timer), line, &mut kept).await;
        (served, is_trusted, answer.map_err(|cause| timer.unseen(cause)))
    }

    /// Asks over `line` and keeps it when it may be asked again.
    async fn ask_over(
        &self,
        context: &ProbeContext,
        ready_credentials: &ReadyCredentials,
        page: Page,
        (sink, timer): (&mut impl Sink, &PhaseTimer),
        line: OpenConnection,
        kept: &mut Option<Kept>,
    ) -> Result<Answer, Cause> {
        let OpenConnection { stream, peer, is_trusted, generation, has_answered } = line;
        let watch = stream.watch();
        let request = Request { is_last: false, ..self.request(context, page, ready_credentials, is_trusted) };
        let exchange = http_client::exchange(stream, &request, sink, timer).await;
        if exchange.answer.as_ref().is_ok_and(|answer| answer.closes) {
            watch.announce();
        }
        timer.ended_with(peer, exchange.answer.as_ref().err().copied());
        if let Ending::Broken(cause) = watch.ending()
            && (has_answered || exchange.answer.is_ok())
        {
            context.trip(self.tls_endpoint.subject.clone(), peer, cause).await;
        }
        let may_stay = exchange.answer.is_ok() && !watch.is_announced() && watch.ending() == Ending::Open;
        match exchange.stream {
            Some(stream) if may_stay => {
                let resting = KeptConnection::rest(context, self.tls_endpoint.subject.clone(), peer, stream);
                *kept = Some(Kept { resting, peer, is_trusted, generation });
            }
            Some(stream) => context.close_gracefully(stream),
            None => {}
        }
        exchange.answer.map(http_client::Answer::head)
    }

    fn request(
        &self,
        context: &ProbeContext,
        page: Page,
        ready_credentials: &ReadyCredentials,
        is_trusted: bool,
    ) -> Request {
        let limit = if page == Page::Metrics { WHOLE_PAGE } else { context.policy.response_timeout };
        let limits = Limits { bytes: body_limit(page.kind()), head: limit, whole: limit };
        let mut request = Request::get(&self.tls_endpoint.authority, page.target(), limits);
        if let Some(accept) = page.accept() {
            request = request.with(header::ACCEPT, HeaderValue::from_static(accept));
        }
        match ready_credentials.token.as_ref().filter(|_| is_trusted) {
            Some(token) => request.with(header::AUTHORIZATION, token.clone()),
            None => request,
        }
    }
}

/// Whether it came from an apiserver that serves: 4xx is an answer.
fn is_well(outcome: &Result<Reading, Unseen>) -> bool {
    match outcome {
        Ok(Reading::Health(health)) => health.status < 500,
        Ok(Reading::Version(version)) => version.status < 500,
        Ok(_) => true,
        Err(unseen) => unseen.cause.is_refusal(),
    }
}

impl Kept {
    fn is_usable(&self, ready_credentials: &ReadyCredentials) -> bool {
        self.resting.is_open() && self.generation == ready_credentials.generation
    }

    /// An end from here on is not a bad sign; one that came before stays recorded.
    fn left(self) -> Self {
        self.resting.watch().leave();
        self
    }
}

impl Page {
    const fn kind(self) -> ProbeKind {
        match self {
            Self::Readyz => ProbeKind::Readyz,
            Self::Livez => ProbeKind::Livez,
            Self::Version => ProbeKind::Version,
            Self::PriorityLevels => ProbeKind::PriorityLevels,
            Self::RequestDump => ProbeKind::RequestDump,
            Self::Metrics => ProbeKind::ApiserverMetrics,
            Self::Statusz => ProbeKind::Statusz,
            Self::Flagz => ProbeKind::Flagz,
        }
    }

    /// The timeout makes an overloaded server reject the request within a quarter of it, instead of keeping it in its
    /// queue; the exempt paths have no queue.
    const fn target(self) -> &'static str {
        match self {
            Self::Readyz => "/readyz?verbose",
            Self::Livez => "/livez",
            Self::Version => "/version?timeout=4s",
            Self::PriorityLevels => "/debug/api_priority_and_fairness/dump_priority_levels?timeout=4s",
            Self::RequestDump => "/debug/api_priority_and_fairness/dump_requests?includeRequestDetails=1&timeout=4s",
            Self::Metrics => "/metrics",
            Self::Statusz => "/statusz?timeout=4s",
            Self::Flagz => "/flagz?timeout=4s",
        }
    }

    const fn accept(self) -> Option<&'static str> {
        match self {
            Self::Readyz | Self::Livez | Self::PriorityLevels | Self::RequestDump => None,
            // A server with native histograms would otherwise be free to send protobuf.
            Self::Metrics => Some("text/plain;version=0.0.4"),
            Self::Version => Some("application/json"),
            Self::Statusz => Some(zpages::STATUSZ),
            Self::Flagz => Some(zpages::FLAGZ),
        }
    }

    fn reading(self, answer: &Answer, body: &[u8]) -> Result<Reading, Unseen> {
        let status = answer.status.as_u16();
        if matches!(status, 401 | 403) {
            return Err(Unseen { phase: Phase::FirstByte, cause: Cause::CredentialRejected });
        }
        Ok(match self {
            Self::Readyz
            | Self::Livez
            | Self::PriorityLevels
            | Self::RequestDump
            | Self::Metrics
            | Self::Statusz
            | Self::Flagz => {
                let checks = parse::health::checks(body);
                Reading::Health(Health {
                    status,
                    foreign: parse::answer_origin::in_place_of_health(status, body, &checks),
                    failing: checks.failing,
                    listed: checks.listed,
                    server_date: answer.date,
                    retry_after_secs: answer.retry_after_secs,
                })
            }
            Self::Version => {
                let git_version = parse::version::git_version(body);
                Reading::Version(Version {
                    status,
                    foreign: parse::answer_origin::in_place_of_version(status, body, git_version.as_deref()),
                    git_version,
                    server_date: answer.date,
                    retry_after_secs: answer.retry_after_secs,
                })
            }
        })
    }
}
