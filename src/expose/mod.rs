//! The door for those who look at us: the status page for people, `/metrics`, `/healthz` and `/readyz` for machines.
//!
//! Reads the latest [`Snapshot`] and nothing else: no request starts a look, names a destination or waits for the
//! engine, so that the pages still answer when mail, DNS and every target are dead. Everything a stranger can make us
//! hold is bounded: connections, header bytes, time; bodies are refused. No TLS and no login here: the configuration
//! keeps the listener on loopback unless told otherwise. Called by `daemon`.

mod control;
mod orders;
mod pages;
mod routes;
mod status;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::model::snapshot::Snapshot;

pub use control::{Control, ControlError};
pub use orders::{Desk, Request};
pub use pages::Pages;

/// The latest snapshot, replaced by the daemon and read by everybody else.
pub type Shared = Arc<ArcSwap<Snapshot>>;

/// A bound listener that does not answer yet.
#[derive(Debug)]
pub struct Expose {
    listener: TcpListener,
    limits: Limits,
}

/// The address could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("listening on {address}")]
pub struct BindError {
    address: SocketAddr,
    source: std::io::Error,
}

/// What a stranger can make us hold.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Connections at a time; one more is closed at once. A scraper or two and a person need three.
    connections: usize,
    /// Time for the request's head.
    head: Duration,
    /// Time for a connection as a whole, so that a reader who stops reading frees its place. Prometheus gives up a
    /// scrape after 10 s by default.
    whole: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 64, head: Duration::from_secs(5), whole: Duration::from_secs(15) }
    }
}

/// Bytes of a request's head that are read; hyper accepts no less.
const HEAD_BYTES: usize = 8192;
/// Pause after an accept that failed: out of file descriptors, most likely, which passes as connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

impl Expose {
    /// Binds `address`, so that the daemon can say READY only when the port is its own.
    ///
    /// # Errors
    ///
    /// When the address is taken, not ours, or not permitted.
    pub async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        match TcpListener::bind(address).await {
            Ok(listener) => Ok(Self { listener, limits: Limits::default() }),
            Err(source) => Err(BindError { address, source }),
        }
    }

    /// The address in use; tells the port when it was configured as 0.
    ///
    /// # Errors
    ///
    /// When the kernel no longer knows the socket.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `stop` is cancelled, then ends what is under way and returns.
    pub async fn serve(self, pages: Pages, stop: CancellationToken) {
        let refused = pages.refused();
        let router = routes::router(pages);
        answer(&Listener::Tcp(self.listener), &router, &refused, self.limits, stop).await;
    }
}

/// A door of either kind.
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection of either kind.
trait Line: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Line for T {}

impl Listener {
    /// The next connection, and at the Unix socket the user at its other end.
    async fn accept(&self) -> std::io::Result<(Box<dyn Line>, Option<u32>)> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, _)| (Box::new(stream) as Box<dyn Line>, None)),
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let user = stream.peer_cred().ok().map(|peer| peer.uid());
                Ok((Box::new(stream), user))
            }
        }
    }
}

/// Answers by `router` until `stop` is cancelled, then ends what is under way and returns.
async fn answer(listener: &Listener, router: &Router, refused: &AtomicU64, limits: Limits, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, user)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    let router = match listener {
                        Listener::Tcp(_) => router.clone(),
                        Listener::Unix(_) => router.clone().layer(control::spoken_by(user)),
                    };
                    open.spawn(converse(stream, router, limits, stop.clone(), place));
                }
                Err(_) => {
                    refused.fetch_add(1, Ordering::Relaxed);
                }
            },
            Err(error) => {
                tracing::warn!(%error, "accepting a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    open.close();
    open.wait().await;
}

/// One request, one answer, and the connection is over: nobody holds a place by staying.
async fn converse(
    stream: Box<dyn Line>,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
    place: OwnedSemaphorePermit,
) {
    let connection = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let talk = async {
        tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.as_mut().await
            }
        }
    };
    match tokio::time::timeout(limits.whole, talk).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection broke: {error}"),
        Err(_) => tracing::debug!("a connection took too long"),
    }
    drop(place);
}

#[cfg(test)]
mod tests;
