//! One connection: a handshake where there is TLS, then requests and their responses, one after the other over HTTP/1.1
//! and several at a time over HTTP/2.
//!
//! Between requests it is kept, as scrapers want it, until it has been idle or in use for too long, or until somebody
//! else needs its place.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::http::Response;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::metered::{Meter, Metered};

use super::counters::{Counters, add};
use super::crowd::Crowd;
use super::{HEAD_BYTES, Limits, tls};

/// Bytes that a peer may send for a handshake: a chain of certificates may be long, and none comes near this.
const HANDSHAKE_BYTES: usize = 128 * 1024;
/// Bytes that a peer may send afterwards: one request, and for every 4 KiB of a page of 50 MB a window update, in a
/// record of its own.
const EXCHANGE_BYTES: usize = 4 * 1024 * 1024;
/// Requests at a time over HTTP/2.
const STREAMS: u32 = 8;
/// Bytes of a page that wait for a slow reader.
const SENT_AHEAD: usize = 64 * 1024;

/// A connection of any kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Answers the requests over `stream`, behind a handshake by `acceptor` where there is one. `crowd` calls when all places
/// are taken.
pub(super) async fn converse(
    stream: Box<dyn Stream>,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
    counters: Arc<Counters>,
    crowd: Arc<Crowd>,
) {
    let meter = Meter::of(HANDSHAKE_BYTES);
    let usage = Usage::new(Arc::clone(&meter));
    let supervisor = Supervisor { limits, stop, crowd, usage: usage.0.subscribe() };
    let Some(acceptor) = acceptor else {
        return report(http1(stream, router, usage, supervisor).await);
    };
    let metered = Metered::new(stream, Arc::clone(&meter));
    let handshake = tokio::select! {
        handshake = tokio::time::timeout(limits.handshake, acceptor.accept(metered)) => handshake,
        () = supervisor.stop.cancelled() => return,
    };
    let stream = match handshake {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            add(&counters.handshakes_failed);
            return tracing::debug!(%error, "a TLS handshake failed: {error}");
        }
        Err(_) => {
            add(&counters.handshakes_failed);
            return tracing::debug!("a TLS handshake took too long");
        }
    };
    meter.grant(EXCHANGE_BYTES);
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(tls::H2);
    let stream: Box<dyn Stream> = Box::new(stream);
    report(if is_h2 {
        h2(stream, router, usage, supervisor).await
    } else {
        http1(stream, router, usage, supervisor).await
    });
}

fn report(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke: {error}");
    }
}

async fn http1(stream: Box<dyn Stream>, router: Router, usage: Usage, supervisor: Supervisor) -> hyper::Result<()> {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // The supervisor knows a head that is slow from a connection that rests.
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service_fn(counted(router, usage)));
    supervisor.lead(std::pin::pin!(connection), |connection| connection.graceful_shutdown()).await
}

async fn h2(stream: Box<dyn Stream>, router: Router, usage: Usage, supervisor: Supervisor) -> hyper::Result<()> {
    let connection = http2::Builder::new(Streams::default())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
        .max_send_buf_size(SENT_AHEAD)
        .serve_connection(TokioIo::new(stream), service_fn(counted(router, usage)));
    supervisor.lead(std::pin::pin!(connection), |connection| connection.graceful_shutdown()).await
}

/// What `router` answers, with each response counted as under way until its last byte is handed over.
fn counted(router: Router, usage: Usage) -> impl Fn(hyper::Request<Incoming>) -> Answering {
    let router = TowerToHyperService::new(router);
    move |request| {
        let under_way = usage.begin();
        let answer = router.call(request);
        Box::pin(async move { Ok(answer.await?.map(|body| Counted { body, _under_way: under_way })) })
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Counted>, std::convert::Infallible>> + Send>>;

/// How much a connection is used: sends [`Use`] whenever that changes.
#[derive(Debug, Clone)]
struct Usage(watch::Sender<Use>, Arc<Meter>);

/// Requests under way, and whether there was any yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Use {
    under_way: usize,
    is_used: bool,
}

/// One request, from its head to the end of its response.
#[derive(Debug)]
struct UnderWay(watch::Sender<Use>);

impl Usage {
    fn new(meter: Arc<Meter>) -> Self {
        Self(watch::Sender::new(Use::default()), meter)
    }

    fn begin(&self) -> UnderWay {
        // The peer may send a request and what belongs to it, each time.
        self.1.grant(EXCHANGE_BYTES);
        self.0.send_modify(|usage| *usage = Use { under_way: usage.under_way + 1, is_used: true });
        UnderWay(self.0.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|usage| usage.under_way -= 1);
    }
}

/// The body of a response that is under way.
struct Counted {
    body: Body,
    _under_way: UnderWay,
}

impl hyper::body::Body for Counted {
    type Data = <Body as hyper::body::Body>::Data;
    type Error = <Body as hyper::body::Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Ends a connection that takes too long, or that is in the way.
struct Supervisor {
    limits: Limits,
    stop: CancellationToken,
    crowd: Arc<Crowd>,
    usage: watch::Receiver<Use>,
}

impl Supervisor {
    /// Drives `connection` to its end. `shut` lets it end what is under way, and nothing more.
    async fn lead<C>(mut self, mut connection: Pin<&mut C>, shut: impl Fn(Pin<&mut C>)) -> hyper::Result<()>
    where
        C: Future<Output = hyper::Result<()>>,
    {
        let mut age = std::pin::pin!(tokio::time::sleep(self.limits.age));
        let mut is_leaving = false;
        let mut idle = None;
        loop {
            let used = *self.usage.borrow_and_update();
            let is_idle = used.is_used && used.under_way == 0;
            // One that is leaving counts as well: its place is about to be free.
            idle = is_idle.then(|| idle.unwrap_or_else(|| self.crowd.rest()));
            let limit = match used {
                Use { is_used: false, .. } => self.limits.head,
                Use { under_way: 0, .. } if !is_leaving => self.limits.idle,
                Use { .. } => self.limits.whole,
            };
            let shuts = tokio::select! {
                ended = connection.as_mut() => return ended,
                Ok(()) = self.usage.changed() => false,
                () = self.stop.cancelled(), if !is_leaving => true,
                () = self.crowd.called(), if is_idle && !is_leaving => true,
                () = age.as_mut(), if !is_leaving => true,
                () = tokio::time::sleep(limit) => {
                    if is_leaving || !is_idle {
                        tracing::debug!("a connection took too long");
                        return Ok(());
                    }
                    true
                }
            };
            if shuts {
                is_leaving = true;
                shut(connection.as_mut());
            }
        }
    }
}

/// The responses under way over one connection, which end with it, because there is no reader any more.
#[derive(Debug, Clone, Default)]
struct Streams(Arc<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, work: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(work);
    }
}
