//! One question to a member over its connection: what is sent, and what its answer or the lack of one means.
//!
//! Over the kept connection a question is repeated once, on another one, when the member had announced its close before
//! it could get it. Called by the rounds in `mod.rs`.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderValue, Uri};
use tonic::{Code, Response};

use super::super::context::ProbeContext;
use super::super::error_cause;
use super::super::identity::ReadyCredentials;
use super::super::phase_timer::PhaseTimer;
use super::MemberProgress;
use super::answers::{self, Question};
use super::channel::Channel;
use super::connection::{MemberConnection, Open, open};
use super::login::TokenState;
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::probe::Connection;

/// Bytes granted for one answer: the message, its headers, and what frames and TLS records add.
const GRANT: usize = answers::MAX_ANSWER + 16 * 1024;

/// A request that failed.
pub(super) struct Failed {
    pub(super) unseen: Unseen,
    /// Whether the member had announced its close before it could get the request.
    pub(super) was_announced: bool,
    /// Whether the member itself answered so: the connection works.
    pub(super) is_answer: bool,
    /// The member's own status for it.
    pub(super) code: Option<Code>,
}

/// Set until an answer came, so that the next round does not use a connection that failed or hung until the caller's
/// deadline.
struct Suspicion<'a> {
    member_connection: &'a MemberConnection,
    open: Arc<Open>,
    is_cleared: bool,
}

impl MemberConnection {
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
    pub(super) async fn put<W, F>(
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
}
