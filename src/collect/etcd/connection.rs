//! The connection to one member: kept open between rounds, dialled in the background when it is missing.
//!
//! A round waits a second; a connect may need longer over a slow link. So the connect is a task of its own: a round
//! that gives up on it reports the phase in which it hung, and the next round finds the connection open.

use std::error::Error;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderValue, Uri};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use secrecy::ExposeSecret as _;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tonic::{Code, Response};

use super::super::connection_end::{Ending, Watch};
use super::super::context::{KeptConnection, ProbeContext};
use super::super::error_cause;
use super::super::handshake::Alpn;
use super::super::identity::ReadyCredentials;
use super::super::phase_timer::PhaseTimer;
use super::super::tls_endpoint::TlsEndpoint;
use super::MemberProgress;
use super::answers::{self, Question};
use super::channel::Channel;
use super::login::{EtcdLogin, TokenState};
use super::rpc::AuthenticateRequest;
use crate::config::settings::Login;
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::probe::Connection;

/// Bytes granted for one answer: the message, its headers, and what frames and TLS records add.
const GRANT: usize = answers::MAX_ANSWER + 16 * 1024;
/// Bytes of answers that may be on the way, HTTP/2's own default: what a member may make us keep unread.
const WINDOW: u32 = 65_535;

/// The connection to one member.
pub(crate) struct MemberConnection {
    tls_endpoint: Arc<TlsEndpoint>,
    etcd_login: Option<Arc<EtcdLogin>>,
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
struct Open {
    sender: SendRequest<Body>,
    watch: Arc<Watch>,
    peer: IpAddr,
    generation: u64,
    is_trusted: bool,
    /// Whether it has answered once; before that its end belongs to the round that opened it.
    has_answered: Arc<AtomicBool>,
    _end: DropGuard,
}

/// A request that failed.
struct Failed {
    unseen: Unseen,
    /// Whether the member had announced its close before it could get the request.
    was_announced: bool,
    /// Whether the member itself answered so: the connection works.
    is_answer: bool,
    /// The member's own status for it.
    code: Option<Code>,
}

/// Set until an answer came, so that the next round does not use a connection that failed or hung until the caller's
/// deadline.
struct Suspicion<'a> {
    member_connection: &'a MemberConnection,
    open: Arc<Open>,
    is_cleared: bool,
}

/// Spawns hyper's own tasks where shutting down waits for them.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}

impl MemberConnection {
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

    /// Asks the member. The caller sets the deadline and reads from `attempt` how far it came.
    pub(super) async fn ask<Q: Question>(
        self: &Arc<Self>,
        context: &ProbeContext,
        ready_credentials: &Arc<ReadyCredentials>,
        connection: Connection,
        attempt: &Arc<MemberProgress>,
    ) -> Result<Q::Answer, Unseen> {
        if connection == Connection::New {
            let open = Arc::new(open(&self.tls_endpoint, context, ready_credentials, &attempt.timer).await?);
            return self.exchange::<Q>(context, &open, attempt).await.map_err(|failed| failed.unseen);
        }
        // The one that may no longer be used is held until another is open.
        let (kept, _former) = self.kept(context, ready_credentials);
        let was_open = kept.is_some();
        let first = match kept {
            Some(open) => open,
            None => self.connected(context, ready_credentials, attempt).await?,
        };
        let mut suspicion = Suspicion { member_connection: self, open: first, is_cleared: false };
        let mut answer = self.exchange::<Q>(context, &suspicion.open, attempt).await;
        if answer.as_ref().is_err_and(|failed| failed.was_announced && was_open) {
            self.forget(&suspicion.open);
            suspicion.open = self.connected(context, ready_credentials, attempt).await?;
            answer = self.exchange::<Q>(context, &suspicion.open, attempt).await;
        }
        if answer.as_ref().map_or_else(|failed| failed.is_answer, |_| true) {
            suspicion.is_cleared = true;
        }
        answer.map_err(|failed| failed.unseen)
    }

    /// Asks over `open`, with a token where one is wanted. After a token was refused, one more login is made.
    async fn exchange<Q: Question>(
        self: &Arc<Self>,
        context: &ProbeContext,
        open: &Arc<Open>,
        attempt: &Arc<MemberProgress>,
    ) -> Result<Q::Answer, Failed> {
        // A password and its token are sent only to a member whose certificate was verified.
        let Some(etcd_login) = self.etcd_login.as_ref().filter(|_| open.is_trusted) else {
            let answer = self.question::<Q>(context, open, attempt, None).await;
            return answer.map_err(|failed| if self.has_login() { failed.unasked() } else { failed });
        };
        let (token, was_held) = match etcd_login.token_state(context.clock.now().mono) {
            TokenState::Token(token) => (Some(token), true),
            TokenState::Needless => (None, true),
            TokenState::Refused(_) => return Err(Failed::by_server(&attempt.timer, Cause::CredentialRejected)),
            TokenState::None | TokenState::Buying(_) => (self.enter(context, open, attempt, etcd_login).await?, false),
        };
        let answer = self.question::<Q>(context, open, attempt, token).await;
        let is_void = |failed: &Failed| matches!(failed.code, Some(Code::Unauthenticated | Code::InvalidArgument));
        if !was_held || !answer.as_ref().is_err_and(is_void) {
            return answer;
        }
        etcd_login.hold(TokenState::None);
        let token = self.enter(context, open, attempt, etcd_login).await?;
        self.question::<Q>(context, open, attempt, token).await
    }

    /// Waits for a token; the login goes on when the round gives up on it, so that the next one has the token.
    async fn enter(
        self: &Arc<Self>,
        context: &ProbeContext,
        open: &Arc<Open>,
        attempt: &Arc<MemberProgress>,
        etcd_login: &Arc<EtcdLogin>,
    ) -> Result<Option<HeaderValue>, Failed> {
        attempt.timer.enter(Phase::FirstByte);
        let (notify, mut authentication) = etcd_login.join();
        if let Some(notify) = notify {
            let (member_connection, context, open, etcd_login) =
                (Arc::clone(self), context.clone(), Arc::clone(open), Arc::clone(etcd_login));
            context.tasks.clone().spawn(async move {
                let job = Arc::new(MemberProgress::new(&context));
                let buying = member_connection.buy(&context, &open, &job, &etcd_login);
                let bought = match tokio::time::timeout(context.policy.response_timeout, buying).await {
                    Ok(bought) => bought,
                    Err(_) => Err(Unseen { phase: Phase::FirstByte, cause: Cause::Timeout }),
                };
                let refused = TokenState::Refused(context.clock.now().mono);
                etcd_login.hold(match &bought {
                    Ok(token_state) => token_state.clone(),
                    Err(Unseen { cause: Cause::CredentialRejected, .. }) => refused,
                    Err(_) => TokenState::None,
                });
                notify.send_replace(Some(bought));
            });
        }
        let bought = match authentication.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(bought)) => bought.clone(),
            // The login task has panicked.
            Ok(None) | Err(_) => Err(Unseen { phase: Phase::FirstByte, cause: Cause::OwnFault }),
        };
        match bought {
            Ok(TokenState::Token(token)) => Ok(Some(token)),
            Ok(TokenState::None | TokenState::Buying(_) | TokenState::Needless | TokenState::Refused(_)) => Ok(None),
            Err(unseen) => Err(Failed { unseen, was_announced: false, is_answer: true, code: None }),
        }
    }

    async fn buy(
        &self,
        context: &ProbeContext,
        open: &Open,
        job: &Arc<MemberProgress>,
        etcd_login: &EtcdLogin,
    ) -> Result<TokenState, Unseen> {
        let unread = Unseen { phase: Phase::FirstByte, cause: Cause::OwnCredential };
        let password = etcd_login.password().await.ok_or(unread)?;
        let request =
            AuthenticateRequest { name: etcd_login.user().to_owned(), password: password.expose_secret().to_owned() };
        let asked =
            self.put(context, open, job, None, |channel, origin| answers::authenticate(channel, origin, request)).await;
        match asked {
            Ok(wire) => {
                TokenState::of(&wire.token).ok_or(Unseen { phase: Phase::FirstByte, cause: Cause::ProtocolBroken })
            }
            Err(Failed { code: Some(Code::FailedPrecondition), .. }) => Ok(TokenState::Needless),
            Err(failed) => Err(failed.unseen),
        }
    }

    async fn question<Q: Question>(
        &self,
        context: &ProbeContext,
        open: &Open,
        attempt: &Arc<MemberProgress>,
        token: Option<HeaderValue>,
    ) -> Result<Q::Answer, Failed> {
        match self.put(context, open, attempt, token, Q::ask).await {
            Ok(wire) => Q::read(wire).ok_or_else(|| Failed::by_server(&attempt.timer, Cause::ProtocolBroken)),
            Err(failed) if failed.code == Some(Code::PermissionDenied) => Q::denied().ok_or(failed),
            Err(failed) => Err(failed),
        }
    }

    /// Sends one request to the member and waits for its answer or its refusal.
    async fn put<W, F>(
        &self,
        context: &ProbeContext,
        open: &Open,
        attempt: &Arc<MemberProgress>,
        token: Option<HeaderValue>,
        ask: impl FnOnce(Channel, Uri) -> F + Send,
    ) -> Result<W, Failed>
    where
        W: Send,
        F: Future<Output = Result<Response<W>, tonic::Status>> + Send,
    {
        let timer = &attempt.timer;
        timer.enter(Phase::FirstByte);
        let (failed, told) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let channel = Channel {
            sender: open.sender.clone(),
            clock: context.clock.clone(),
            attempt: Arc::clone(attempt),
            failed: Arc::clone(&failed),
            told: Arc::clone(&told),
            token,
        };
        open.watch.expect_answer(GRANT);
        let asked = ask(channel, self.tls_endpoint.authority.clone()).await;
        timer.end();
        let answer = match asked {
            Ok(wire) => Ok(wire.into_inner()),
            Err(status) => {
                // A status from our own side: a call that could not be made, an answer that cannot be read.
                let is_ours = failed.load(Ordering::Acquire) || !told.load(Ordering::Acquire);
                Err(if is_ours {
                    let cause = open.broken_by(&status);
                    let was_announced = open.watch.is_announced() && timer.phase() == Phase::FirstByte;
                    Failed { unseen: timer.unseen(cause), was_announced, is_answer: false, code: None }
                } else {
                    let failed = Failed::by_server(timer, answers::cause_of(status.code()));
                    Failed { code: Some(status.code()), ..failed }
                })
            }
        };
        let silent = answer.as_ref().err().filter(|failed| !failed.is_answer);
        timer.ended_with(open.peer, silent.map(|failed| failed.unseen.cause));
        if answer.as_ref().map_or_else(|failed| failed.is_answer, |_| true) {
            open.has_answered.store(true, Ordering::Release);
        }
        answer
    }

    /// The kept connection, first if it may be used, second if it may not any more.
    fn kept(
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
    async fn connected(
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

    fn forget(&self, suspect: &Arc<Open>) {
        let mut slot = self.lock();
        if matches!(&*slot, Slot::Open(open) if Arc::ptr_eq(open, suspect)) {
            *slot = Slot::Empty;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Suspicion<'_> {
    fn drop(&mut self) {
        if !self.is_cleared {
            self.member_connection.forget(&self.open);
        }
    }
}

impl Failed {
    fn by_server(timer: &PhaseTimer, cause: Cause) -> Self {
        Self { unseen: timer.unseen(cause), was_announced: false, is_answer: true, code: None }
    }

    /// The cause of a refusal when our password was not sent.
    fn unasked(mut self) -> Self {
        if self.unseen.cause == Cause::CredentialRejected {
            self.unseen.cause = Cause::TokenWithheld;
        }
        self
    }
}

impl Open {
    /// Why there is no answer that can be read: the connection's own record is the most precise.
    fn broken_by(&self, status: &tonic::Status) -> Cause {
        let source = status.source();
        let said = self.watch.cause().or_else(|| source.and_then(error_cause::in_sources));
        said.unwrap_or_else(|| {
            if status.code() == Code::OutOfRange {
                // A message beyond its bound, by the length it claims.
                Cause::TooLarge
            } else if self.watch.is_announced() || (source.is_none() && self.sender.is_closed()) {
                Cause::Closed
            } else {
                Cause::ProtocolBroken
            }
        })
    }

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
async fn open(
    tls_endpoint: &TlsEndpoint,
    context: &ProbeContext,
    ready_credentials: &ReadyCredentials,
    timer: &PhaseTimer,
) -> Result<Open, Unseen> {
    let opened =
        tls_endpoint.open(context, ready_credentials, (Alpn::Http2, tls_endpoint.hello(context)), timer).await.result?;
    let watch = opened.stream.watch();
    let (sender, driver) = Builder::new(Tracked(context.tasks.clone()))
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
