//! One connection: a handshake where there is TLS, one request and its response. Then it is closed, so that no client
//! occupies a slot for long.
//!
//! Over HTTP/2, requests that are in transit when the first one arrives are answered too; two GOAWAY frames make the
//! peer send the next over a new connection without losing any (RFC 9113 section 6.8).

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::metered::{Meter, Metered};

use super::counters::{Counters, add};
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

/// Answers a request over `stream`, behind a handshake by `acceptor` where there is one.
pub(super) async fn converse(
    stream: Box<dyn Stream>,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
    counters: Arc<Counters>,
) {
    let Some(acceptor) = acceptor else {
        return within(limits.whole, http1(stream, router, limits, stop)).await;
    };
    let meter = Meter::of(HANDSHAKE_BYTES);
    let metered = Metered::new(stream, Arc::clone(&meter));
    let handshake = tokio::select! {
        handshake = tokio::time::timeout(limits.handshake, acceptor.accept(metered)) => handshake,
        () = stop.cancelled() => return,
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
    if is_h2 {
        within(limits.whole, h2(stream, router, limits, stop)).await;
    } else {
        within(limits.whole, http1(stream, router, limits, stop)).await;
    }
}

async fn within(limit: Duration, exchange: impl Future<Output = hyper::Result<()>>) {
    match tokio::time::timeout(limit, exchange).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection broke: {error}"),
        Err(_) => tracing::debug!("a connection took too long"),
    }
}

async fn http1(stream: Box<dyn Stream>, router: Router, limits: Limits, stop: CancellationToken) -> hyper::Result<()> {
    let connection = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    }
}

async fn h2(stream: Box<dyn Stream>, router: Router, limits: Limits, stop: CancellationToken) -> hyper::Result<()> {
    let asked = Arc::new(Notify::new());
    let is_asked = Arc::clone(&asked);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
        is_asked.notify_one();
        router.call(request)
    });
    let connection = http2::Builder::new(Streams::default())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
        .max_send_buf_size(SENT_AHEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = asked.notified() => None,
        () = stop.cancelled() => None,
        () = tokio::time::sleep(limits.head) => None,
    };
    if let Some(ended) = ended {
        return ended;
    }
    connection.as_mut().graceful_shutdown();
    connection.as_mut().await
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
