//! The HTTP listener: the status page for people, `/metrics`, `/healthz` and `/readyz` for machines.
//!
//! Reads the latest [`Snapshot`] and nothing else: no request starts a probe, names a destination or waits for the
//! engine, so that the pages still answer when mail, DNS and every target fail. Everything that a client can make
//! vedette hold is bounded: connections, those of one peer, handshakes and logins, header bytes, time; bodies are
//! refused. With a web configuration there are TLS, clients' certificates and logins before every page; without one the
//! listener is on loopback unless configured otherwise. Called by `daemon`.

mod clients;
mod connection;
mod control;
mod counters;
mod crowd;
mod guard;
mod login;
mod negotiation;
mod orders;
mod pages;
mod peers;
mod rate;
mod recorder;
mod routes;
mod status;
mod tls;
mod web;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::Extension;
use axum::middleware;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::model::snapshot::Snapshot;

use connection::Stream;
use counters::{Counters, add};
use crowd::Crowd;
use guard::{Caller, Guard};
use peers::Peers;

pub use control::{Control, ControlError};
pub use orders::{OrderIntake, Request};
pub use pages::Pages;
pub use recorder::RecorderCounters;
pub use web::{Web, WebError};

/// The latest snapshot, replaced by the daemon and read by everybody else.
pub type Shared = Arc<ArcSwap<Snapshot>>;

/// A bound listener that does not answer yet.
#[derive(Debug)]
pub struct Expose {
    listener: TcpListener,
    limits: Limits,
    web: Option<Arc<Web>>,
}

/// The address could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("listening on {address}")]
pub struct BindError {
    address: SocketAddr,
    source: std::io::Error,
}

/// The bounds of what clients can make vedette hold.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Connections at a time; one more is closed at once, unless an idle one leaves its place. A scraper or two and a
    /// person need three.
    connections: usize,
    /// Those of one peer: a client that opens many and sends nothing leaves half of them to others.
    of_one_peer: usize,
    /// Time for a TLS handshake.
    handshake: Duration,
    /// Time for the head of the first request.
    head: Duration,
    /// Time for a request and its response, so that a reader who stops reading frees its place. Prometheus gives up a
    /// scrape after 10 s by default.
    whole: Duration,
    /// Time between requests: more than Prometheus' default interval of a minute.
    idle: Duration,
    /// Time from the start after which a connection ends between requests, so that a client whose certificate is no
    /// longer accepted is not served for ever.
    age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            of_one_peer: 32,
            handshake: Duration::from_secs(5),
            head: Duration::from_secs(5),
            whole: Duration::from_secs(15),
            idle: Duration::from_secs(90),
            age: Duration::from_secs(600),
        }
    }
}

/// Bytes of a request's head that are read; hyper accepts no less.
const HEAD_BYTES: usize = 8192;
/// Pause after an accept that failed: out of file descriptors, most likely, which passes as connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How long a newcomer waits for an idle connection to leave its place.
const PLACE_WAIT: Duration = Duration::from_millis(50);

impl Expose {
    /// Binds `address`, so that the daemon can say READY only when the port is its own.
    ///
    /// # Errors
    ///
    /// When the address is taken, not ours, or not permitted.
    pub async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        match TcpListener::bind(address).await {
            Ok(listener) => Ok(Self { listener, limits: Limits::default(), web: None }),
            Err(source) => Err(BindError { address, source }),
        }
    }

    /// The address in use, with the real port when it was configured as 0.
    ///
    /// # Errors
    ///
    /// When the kernel no longer knows the socket.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The same, with `web` before every page.
    #[must_use]
    pub fn guarded_by(self, web: Web) -> Self {
        Self { web: Some(Arc::new(web)), ..self }
    }

    /// Answers until `stop` is cancelled, then ends what is under way and returns. Need not run in the runtime that
    /// bound the address.
    pub async fn serve(self, pages: Pages, stop: CancellationToken) {
        // A listener belongs to the runtime in which it was made.
        let listener = match self.listener.into_std().and_then(TcpListener::from_std) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "no status page and no metrics: {error}"),
        };
        let counters = pages.counters();
        let clock = pages.clock();
        let router = routes::router(pages);
        let Some(web) = self.web else {
            return answer(&BoundListener::Tcp(listener), &router, &counters, self.limits, None, stop).await;
        };
        web.count_in(Arc::clone(&counters));
        let guard = Guard { web: Arc::clone(&web), clock };
        let router = router.layer(middleware::from_fn_with_state(guard, guard::guard));
        let listener = BoundListener::Tcp(listener);
        let renewing = web.renew(stop.clone());
        let answering = answer(&listener, &router, &counters, self.limits, Some(&web), stop);
        tokio::join!(renewing, answering);
    }
}

/// A listener of either kind.
enum BoundListener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The peer of a connection.
#[derive(Debug, Clone, Copy)]
enum Peer {
    At(IpAddr),
    /// A user of this machine, as far as the kernel says.
    User(Option<u32>),
}

impl BoundListener {
    /// The next connection, and its peer.
    async fn accept(&self) -> std::io::Result<(Box<dyn Stream>, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Box::new(stream), Peer::At(peer.ip())))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let user = stream.peer_cred().ok().map(|peer| peer.uid());
                Ok((Box::new(stream), Peer::User(user)))
            }
        }
    }
}

/// Answers by `router` until `stop` is cancelled, then ends what is under way and returns.
async fn answer(
    listener: &BoundListener,
    router: &Router,
    counters: &Arc<Counters>,
    limits: Limits,
    web: Option<&Arc<Web>>,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let peers = Arc::new(Peers::default());
    let crowd = Arc::new(Crowd::default());
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accepting a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let own = match peer {
            Peer::At(address) => peers.enter(address, limits.of_one_peer).map(Some),
            Peer::User(_) => Some(None),
        };
        let (Some(own), Some(place)) = (own, place(&places, &crowd).await) else {
            add(&counters.refused);
            continue;
        };
        let router = match peer {
            Peer::At(address) => router.clone().layer(Extension(Caller(Some(address)))),
            Peer::User(user) => router.clone().layer(control::spoken_by(user)),
        };
        let acceptor = web.and_then(|web| web.access().tls.clone());
        let exchange = connection::converse(
            stream,
            acceptor,
            router,
            limits,
            stop.clone(),
            Arc::clone(counters),
            Arc::clone(&crowd),
        );
        open.spawn(async move {
            exchange.await;
            drop((own, place));
        });
    }
    open.close();
    open.wait().await;
}

/// A place for one more connection. When all are taken, those that are idle are asked to leave; while none is, there is
/// nothing to wait for.
async fn place(places: &Arc<Semaphore>, crowd: &Crowd) -> Option<OwnedSemaphorePermit> {
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        return Some(place);
    }
    if !crowd.call() {
        return None;
    }
    tokio::time::timeout(PLACE_WAIT, Arc::clone(places).acquire_owned()).await.ok()?.ok()
}

#[cfg(test)]
mod tests;
