//! The connection to one member: kept open between rounds, dialled in the background when it is missing.
//!
//! A round waits a second; a connect may need longer over a slow link. So the connect is a task of its own: a round
//! that gives up on it reports the phase in which it hung, and the next round finds the connection open. What is asked
//! over it is in `asking.rs`.

use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::body::Body;

use super::super::connection_end::{Ending, Watch};
use super::super::context::{KeptConnection, ProbeContext};
use super::super::error_cause;
use super::super::handshake::Alpn;
use super::super::identity::ReadyCredentials;
use super::super::phase_timer::PhaseTimer;
use super::super::tls_endpoint::TlsEndpoint;
use super::MemberProgress;
use super::login::EtcdLogin;
use crate::config::settings::Login;
use crate::model::phase::{Cause, Phase, Unseen};

/// Bytes of answers that may be on the way, HTTP/2's own default: what a member may make us keep unread.
const WINDOW: u32 = 65_535;

/// The connection to one member.
pub(crate) struct MemberConnection {
    pub(super) tls_endpoint: Arc<TlsEndpoint>,
    pub(super) etcd_login: Option<Arc<EtcdLogin>>,
    slot: Mutex<Slot>,
}

enum Slot {
    Empty,
    Connecting(Connecting),
    Open(Arc<Open>),
}

/// A connect under way; several rounds may wait for it.
#[derive(Clone)]
struct Connecting {
    timer: Arc<PhaseTimer>,
    done: watch::Receiver<Option<Result<Arc<Open>, Unseen>>>,
}

/// A kept connection.
pub(super) struct Open {
    pub(super) sender: SendRequest<Body>,
    pub(super) watch: Arc<Watch>,
    pub(super) peer: IpAddr,
    generation: u64,
    pub(super) is_trusted: bool,
    /// Whether it has answered once; before that its end belongs to the round that opened it.
    pub(super) has_answered: Arc<AtomicBool>,
    _end: DropGuard,
}

impl MemberConnection {
    /// To the member at `tls_endpoint`, as the user of `login`; nothing is connected yet.
    pub(crate) fn new(tls_endpoint: Arc<TlsEndpoint>, login: Option<Login>) -> Self {
        Self {
            tls_endpoint,
            etcd_login: login.map(|login| Arc::new(EtcdLogin::new(login))),
            slot: Mutex::new(Slot::Empty),
        }
    }

    /// Whether it leads to `tls_endpoint`, as the user of `login`.
    pub(super) fn is_at(&self, tls_endpoint: &Arc<TlsEndpoint>, login: Option<&Login>) -> bool {
        Arc::ptr_eq(&self.tls_endpoint, tls_endpoint)
            && self.etcd_login.as_ref().map(|etcd_login| etcd_login.login()) == login
    }

    /// Notes that the member gave no good answer: its name may have moved.
    pub(super) fn doubt(&self, context: &ProbeContext) {
        self.tls_endpoint.doubt(context);
    }

    /// Whether it logs in with a password.
    pub(super) const fn has_login(&self) -> bool {
        self.etcd_login.is_some()
    }

    /// Closes the kept connection with close_notify.
    pub(super) fn close(&self) {
        *self.lock() = Slot::Empty;
    }

    /// The kept connection, first if it may be used, second if it may not any more.
    pub(super) fn kept(
        &self,
        context: &ProbeContext,
        ready_credentials: &ReadyCredentials,
    ) -> (Option<Arc<Open>>, Option<Arc<Open>>) {
        let mut slot = self.lock();
        let Slot::Open(open) = &*slot else { return (None, None) };
        let open = Arc::clone(open);
        if open.is_usable(ready_credentials) && self.tls_endpoint.leads_to(context, open.peer) {
            return (Some(open), None);
        }
        *slot = Slot::Empty;
        (None, Some(open))
    }

    /// Dials, or waits for the connect that is under way.
    pub(super) async fn connected(
        self: &Arc<Self>,
        context: &ProbeContext,
        ready_credentials: &Arc<ReadyCredentials>,
        attempt: &MemberProgress,
    ) -> Result<Arc<Open>, Unseen> {
        let mut connecting = self.join_connect(context, ready_credentials, attempt);
        match connecting.done.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(result)) => result.clone(),
            // The connecting task has panicked.
            Ok(None) | Err(_) => Err(Unseen { phase: Phase::Dial, cause: Cause::OwnFault }),
        }
    }

    fn join_connect(
        self: &Arc<Self>,
        context: &ProbeContext,
        ready_credentials: &Arc<ReadyCredentials>,
        attempt: &MemberProgress,
    ) -> Connecting {
        let mut slot = self.lock();
        // Without a sender, the connecting task has panicked, and no result would ever come.
        if let Slot::Connecting(connecting) = &*slot
            && (connecting.done.borrow().is_some() || connecting.done.has_changed().is_ok())
        {
            // The connect is another round's; this one only waited, in the phase in which it found it.
            attempt.timer.enter(connecting.timer.phase());
            return connecting.clone();
        }
        let (notify, done) = watch::channel(None);
        let connecting = Connecting { timer: Arc::clone(&attempt.timer), done };
        *slot = Slot::Connecting(connecting.clone());
        let (member_connection, context, ready_credentials) =
            (Arc::clone(self), context.clone(), Arc::clone(ready_credentials));
        let timer = Arc::clone(&connecting.timer);
        context.tasks.clone().spawn(async move {
            let result =
                open(&member_connection.tls_endpoint, &context, &ready_credentials, &timer).await.map(Arc::new);
            {
                let mut slot = member_connection.lock();
                // After `close` nothing is kept any more.
                if matches!(&*slot, Slot::Connecting(_)) {
                    *slot = match &result {
                        Ok(open) => Slot::Open(Arc::clone(open)),
                        Err(_) => Slot::Empty,
                    };
                }
            }
            notify.send_replace(Some(result));
        });
        connecting
    }

    pub(super) fn forget(&self, suspect: &Arc<Open>) {
        let mut slot = self.lock();
        if matches!(&*slot, Slot::Open(open) if Arc::ptr_eq(open, suspect)) {
            *slot = Slot::Empty;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn is_usable(&self, ready_credentials: &ReadyCredentials) -> bool {
        self.watch.ending() == Ending::Open
            && !self.watch.is_announced()
            && !self.sender.is_closed()
            && self.generation == ready_credentials.generation
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // An end after we have dropped the connection is not a bad sign; one that came before stays recorded.
        self.watch.leave();
    }
}

/// Opens a connection and lets it live in tasks of its own until the last share of it is gone.
pub(super) async fn open(
    tls_endpoint: &TlsEndpoint,
    context: &ProbeContext,
    ready_credentials: &ReadyCredentials,
    timer: &PhaseTimer,
) -> Result<Open, Unseen> {
    let opened =
        tls_endpoint.open(context, ready_credentials, (Alpn::Http2, tls_endpoint.hello(context)), timer).await.result?;
    let watch = opened.stream.watch();
    let (sender, driver) = Builder::new(context.executor())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .handshake(TokioIo::new(opened.stream))
        .await
        .map_err(|_| Unseen { phase: Phase::FirstByte, cause: watch.cause().unwrap_or(Cause::ProtocolBroken) })?;
    let end = CancellationToken::new();
    let has_answered = Arc::new(AtomicBool::new(false));
    let open = Open {
        sender,
        watch: Arc::clone(&watch),
        peer: opened.peer,
        generation: ready_credentials.generation,
        is_trusted: opened.is_trusted,
        has_answered: Arc::clone(&has_answered),
        _end: end.clone().drop_guard(),
    };
    let spoken = {
        let watch = Arc::clone(&watch);
        async move {
            if let Err(error) = driver.await {
                watch.broke(error_cause::of_http(&error));
            }
        }
    };
    let kept = KeptConnection { subject: tls_endpoint.subject.clone(), peer: opened.peer, watch, has_answered };
    context.keep_alive(kept, spoken, end);
    Ok(open)
}
