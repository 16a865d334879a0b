//! The connection to one member: kept open between rounds, dialled in the background when it is missing.
//!
//! A round waits a second; a dial may need longer over a slow link. So the dial is a task of its own: a round that gives
//! up on it says where it hung, and the next round finds the connection open.

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

use super::super::fault;
use super::super::handshake::Alpn;
use super::super::identity::Passport;
use super::super::journey::Journey;
use super::super::kit::{Kit, Wire};
use super::super::site::Site;
use super::super::watched::{Ending, Watch};
use super::Attempt;
use super::answers::{self, Question};
use super::channel::Channel;
use super::login::{Entrance, Ticket};
use super::rpc::AuthenticateRequest;
use crate::config::settings::Login;
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::probe::Connection;

/// Octets granted for one answer: the message, its headers, and what frames and TLS records add.
const GRANT: usize = answers::MAX_ANSWER + 16 * 1024;
/// Octets of answers that may be on the way, HTTP/2's own default: what a member may make us keep unread.
const WINDOW: u32 = 65_535;

/// The way to one member.
pub(crate) struct Line {
    site: Arc<Site>,
    entrance: Option<Arc<Entrance>>,
    slot: Mutex<Slot>,
}

enum Slot {
    Empty,
    Dialling(Dialling),
    Open(Arc<Open>),
}

/// A dial under way; several rounds may wait for it.
#[derive(Clone)]
struct Dialling {
    journey: Arc<Journey>,
    done: watch::Receiver<Option<Result<Arc<Open>, Unseen>>>,
}

/// An open connection.
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

/// A question that failed.
struct Failed {
    unseen: Unseen,
    /// Whether the member had said goodbye before it could hear the question.
    was_announced: bool,
    /// Whether the member itself said so: the connection is fine.
    is_answer: bool,
    /// The member's own word for it.
    code: Option<Code>,
}

/// Holds until an answer came: whatever goes wrong with a connection, or hangs until the caller's deadline, the next
/// round shall not meet it again.
struct Suspicion<'a> {
    line: &'a Line,
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

impl Line {
    pub(crate) fn new(site: Arc<Site>, login: Option<Login>) -> Self {
        Self { site, entrance: login.map(|login| Arc::new(Entrance::new(login))), slot: Mutex::new(Slot::Empty) }
    }

    /// Whether it leads to `site`, as the user of `login`.
    pub(super) fn is_at(&self, site: &Arc<Site>, login: Option<&Login>) -> bool {
        Arc::ptr_eq(&self.site, site) && self.entrance.as_ref().map(|entrance| entrance.login()) == login
    }

    /// Notes that the member gave no good answer: its name may have moved.
    pub(super) fn doubt(&self, kit: &Kit) {
        self.site.doubt(kit);
    }

    /// Whether it logs in with a password.
    pub(super) const fn has_login(&self) -> bool {
        self.entrance.is_some()
    }

    /// Closes the kept connection politely.
    pub(super) fn close(&self) {
        *self.lock() = Slot::Empty;
    }

    /// Asks the member. The caller sets the deadline and reads from `attempt` how far it came.
    pub(super) async fn ask<Q: Question>(
        self: &Arc<Self>,
        kit: &Kit,
        passport: &Arc<Passport>,
        connection: Connection,
        attempt: &Arc<Attempt>,
    ) -> Result<Q::Answer, Unseen> {
        if connection == Connection::New {
            let open = Arc::new(open(&self.site, kit, passport, &attempt.journey).await?);
            return self.exchange::<Q>(kit, &open, attempt).await.map_err(|failed| failed.unseen);
        }
        // The one that may no longer be used is held until another is open.
        let (kept, _former) = self.kept(kit, passport);
        let was_open = kept.is_some();
        let first = match kept {
            Some(open) => open,
            None => self.dialled(kit, passport, attempt).await?,
        };
        let mut suspicion = Suspicion { line: self, open: first, is_cleared: false };
        let mut answer = self.exchange::<Q>(kit, &suspicion.open, attempt).await;
        if answer.as_ref().is_err_and(|failed| failed.was_announced && was_open) {
            self.forget(&suspicion.open);
            suspicion.open = self.dialled(kit, passport, attempt).await?;
            answer = self.exchange::<Q>(kit, &suspicion.open, attempt).await;
        }
        if answer.as_ref().map_or_else(|failed| failed.is_answer, |_| true) {
            suspicion.is_cleared = true;
        }
        answer.map_err(|failed| failed.unseen)
    }

    /// Asks over `open`, with a token where one is wanted. A token that has become void is bought anew, once.
    async fn exchange<Q: Question>(
        self: &Arc<Self>,
        kit: &Kit,
        open: &Arc<Open>,
        attempt: &Arc<Attempt>,
    ) -> Result<Q::Answer, Failed> {
        // A password and its token go to nobody whose certificate was not verified.
        let Some(entrance) = self.entrance.as_ref().filter(|_| open.is_trusted) else {
            let answer = self.question::<Q>(kit, open, attempt, None).await;
            return answer.map_err(|failed| if self.has_login() { failed.unasked() } else { failed });
        };
        let (token, was_held) = match entrance.ticket(kit.clock.now().mono) {
            Ticket::Token(token) => (Some(token), true),
            Ticket::Needless => (None, true),
            Ticket::Refused(_) => return Err(Failed::by_server(&attempt.journey, Cause::CredentialRefused)),
            Ticket::None | Ticket::Buying(_) => (self.enter(kit, open, attempt, entrance).await?, false),
        };
        let answer = self.question::<Q>(kit, open, attempt, token).await;
        let is_void = |failed: &Failed| matches!(failed.code, Some(Code::Unauthenticated | Code::InvalidArgument));
        if !was_held || !answer.as_ref().is_err_and(is_void) {
            return answer;
        }
        entrance.hold(Ticket::None);
        let token = self.enter(kit, open, attempt, entrance).await?;
        self.question::<Q>(kit, open, attempt, token).await
    }

    /// Waits for a token; the purchase goes on when the round gives up on it, so that the next one finds it made.
    async fn enter(
        self: &Arc<Self>,
        kit: &Kit,
        open: &Arc<Open>,
        attempt: &Arc<Attempt>,
        entrance: &Arc<Entrance>,
    ) -> Result<Option<HeaderValue>, Failed> {
        attempt.journey.enter(Phase::FirstByte);
        let (tell, mut purchase) = entrance.join();
        if let Some(tell) = tell {
            let (line, kit, open, entrance) = (Arc::clone(self), kit.clone(), Arc::clone(open), Arc::clone(entrance));
            kit.tasks.clone().spawn(async move {
                let errand = Arc::new(Attempt::new(&kit));
                let buying = line.buy(&kit, &open, &errand, &entrance);
                let bought = match tokio::time::timeout(kit.policy.answer_deadline, buying).await {
                    Ok(bought) => bought,
                    Err(_) => Err(Unseen { phase: Phase::FirstByte, cause: Cause::Timeout }),
                };
                let refused = Ticket::Refused(kit.clock.now().mono);
                entrance.hold(match &bought {
                    Ok(ticket) => ticket.clone(),
                    Err(Unseen { cause: Cause::CredentialRefused, .. }) => refused,
                    Err(_) => Ticket::None,
                });
                tell.send_replace(Some(bought));
            });
        }
        let bought = match purchase.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(bought)) => bought.clone(),
            // The task that went to buy has died.
            Ok(None) | Err(_) => Err(Unseen { phase: Phase::FirstByte, cause: Cause::OwnFault }),
        };
        match bought {
            Ok(Ticket::Token(token)) => Ok(Some(token)),
            Ok(Ticket::None | Ticket::Buying(_) | Ticket::Needless | Ticket::Refused(_)) => Ok(None),
            Err(unseen) => Err(Failed { unseen, was_announced: false, is_answer: true, code: None }),
        }
    }

    async fn buy(&self, kit: &Kit, open: &Open, errand: &Arc<Attempt>, entrance: &Entrance) -> Result<Ticket, Unseen> {
        let unread = Unseen { phase: Phase::FirstByte, cause: Cause::OwnCredential };
        let password = entrance.password().await.ok_or(unread)?;
        let request =
            AuthenticateRequest { name: entrance.user().to_owned(), password: password.expose_secret().to_owned() };
        let asked =
            self.put(kit, open, errand, None, |channel, origin| answers::authenticate(channel, origin, request)).await;
        match asked {
            Ok(wire) => Ticket::of(&wire.token).ok_or(Unseen { phase: Phase::FirstByte, cause: Cause::ProtocolBroken }),
            Err(Failed { code: Some(Code::FailedPrecondition), .. }) => Ok(Ticket::Needless),
            Err(failed) => Err(failed.unseen),
        }
    }

    async fn question<Q: Question>(
        &self,
        kit: &Kit,
        open: &Open,
        attempt: &Arc<Attempt>,
        token: Option<HeaderValue>,
    ) -> Result<Q::Answer, Failed> {
        match self.put(kit, open, attempt, token, Q::ask).await {
            Ok(wire) => Q::read(wire).ok_or_else(|| Failed::by_server(&attempt.journey, Cause::ProtocolBroken)),
            Err(failed) if failed.code == Some(Code::PermissionDenied) => Q::denied().ok_or(failed),
            Err(failed) => Err(failed),
        }
    }

    /// Puts one question to the member and waits for its answer, or for a refusal in its own words.
    async fn put<W, F>(
        &self,
        kit: &Kit,
        open: &Open,
        attempt: &Arc<Attempt>,
        token: Option<HeaderValue>,
        ask: impl FnOnce(Channel, Uri) -> F + Send,
    ) -> Result<W, Failed>
    where
        W: Send,
        F: Future<Output = Result<Response<W>, tonic::Status>> + Send,
    {
        let journey = &attempt.journey;
        journey.enter(Phase::FirstByte);
        let (failed, told) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let channel = Channel {
            sender: open.sender.clone(),
            clock: kit.clock.clone(),
            attempt: Arc::clone(attempt),
            failed: Arc::clone(&failed),
            told: Arc::clone(&told),
            token,
        };
        open.watch.expect_answer(GRANT);
        let asked = ask(channel, self.site.authority.clone()).await;
        journey.end();
        let answer = match asked {
            Ok(wire) => Ok(wire.into_inner()),
            Err(status) => {
                // What our own side made up: a call that could not be made, an answer that cannot be read.
                let is_ours = failed.load(Ordering::Acquire) || !told.load(Ordering::Acquire);
                Err(if is_ours {
                    let cause = open.broken_by(&status);
                    let was_announced = open.watch.is_announced() && journey.phase() == Phase::FirstByte;
                    Failed { unseen: journey.unseen(cause), was_announced, is_answer: false, code: None }
                } else {
                    let failed = Failed::by_server(journey, answers::cause_of(status.code()));
                    Failed { code: Some(status.code()), ..failed }
                })
            }
        };
        let silent = answer.as_ref().err().filter(|failed| !failed.is_answer);
        journey.ended_with(open.peer, silent.map(|failed| failed.unseen.cause));
        if answer.as_ref().map_or_else(|failed| failed.is_answer, |_| true) {
            open.has_answered.store(true, Ordering::Release);
        }
        answer
    }

    /// The open connection, first if it may be used, second if it may not any more.
    fn kept(&self, kit: &Kit, passport: &Passport) -> (Option<Arc<Open>>, Option<Arc<Open>>) {
        let mut slot = self.lock();
        let Slot::Open(open) = &*slot else { return (None, None) };
        let open = Arc::clone(open);
        if open.is_usable(passport) && self.site.leads_to(kit, open.peer) {
            return (Some(open), None);
        }
        *slot = Slot::Empty;
        (None, Some(open))
    }

    /// Dials, or waits for the dial that is under way.
    async fn dialled(
        self: &Arc<Self>,
        kit: &Kit,
        passport: &Arc<Passport>,
        attempt: &Attempt,
    ) -> Result<Arc<Open>, Unseen> {
        let mut dialling = self.join_dial(kit, passport, attempt);
        match dialling.done.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(result)) => result.clone(),
            // The task that dialled has died.
            Ok(None) | Err(_) => Err(Unseen { phase: Phase::Dial, cause: Cause::OwnFault }),
        }
    }

    fn join_dial(self: &Arc<Self>, kit: &Kit, passport: &Arc<Passport>, attempt: &Attempt) -> Dialling {
        let mut slot = self.lock();
        // Without a sender, the task that dialled has died, and nobody would ever answer.
        if let Slot::Dialling(dialling) = &*slot
            && (dialling.done.borrow().is_some() || dialling.done.has_changed().is_ok())
        {
            // Somebody else's way; ours is the waiting, in the phase in which it was met.
            attempt.journey.enter(dialling.journey.phase());
            return dialling.clone();
        }
        let (tell, done) = watch::channel(None);
        let dialling = Dialling { journey: Arc::clone(&attempt.journey), done };
        *slot = Slot::Dialling(dialling.clone());
        let (line, kit, passport) = (Arc::clone(self), kit.clone(), Arc::clone(passport));
        let journey = Arc::clone(&dialling.journey);
        kit.tasks.clone().spawn(async move {
            let result = open(&line.site, &kit, &passport, &journey).await.map(Arc::new);
            {
                let mut slot = line.lock();
                // After `close` nothing is kept any more.
                if matches!(&*slot, Slot::Dialling(_)) {
                    *slot = match &result {
                        Ok(open) => Slot::Open(Arc::clone(open)),
                        Err(_) => Slot::Empty,
                    };
                }
            }
            tell.send_replace(Some(result));
        });
        dialling
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
            self.line.forget(&self.open);
        }
    }
}

impl Failed {
    fn by_server(journey: &Journey, cause: Cause) -> Self {
        Self { unseen: journey.unseen(cause), was_announced: false, is_answer: true, code: None }
    }

    /// What a refusal is when our password stayed at home.
    fn unasked(mut self) -> Self {
        if self.unseen.cause == Cause::CredentialRefused {
            self.unseen.cause = Cause::TokenWithheld;
        }
        self
    }
}

impl Open {
    /// Why there is no answer that can be read: the connection's own memory knows best.
    fn broken_by(&self, status: &tonic::Status) -> Cause {
        let source = status.source();
        let said = self.watch.cause().or_else(|| source.and_then(fault::in_sources));
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

    fn is_usable(&self, passport: &Passport) -> bool {
        self.watch.ending() == Ending::Open
            && !self.watch.is_announced()
            && !self.sender.is_closed()
            && self.generation == passport.generation
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // What a member does after we have let go of it is no sign; an end that came before stays written down.
        self.watch.leave();
    }
}

/// Opens a connection and lets it live in tasks of its own until the last share of it is gone.
async fn open(site: &Site, kit: &Kit, passport: &Passport, journey: &Journey) -> Result<Open, Unseen> {
    let opened = site.open(kit, passport, (Alpn::Http2, site.hello(kit)), journey).await.result?;
    let watch = opened.stream.watch();
    let (sender, driver) = Builder::new(Tracked(kit.tasks.clone()))
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
        generation: passport.generation,
        is_trusted: opened.is_trusted,
        has_answered: Arc::clone(&has_answered),
        _end: end.clone().drop_guard(),
    };
    let spoken = {
        let watch = Arc::clone(&watch);
        async move {
            if let Err(error) = driver.await {
                watch.broke(fault::of_http(&error));
            }
        }
    };
    let wire = Wire { subject: site.subject.clone(), peer: opened.peer, watch, has_answered };
    kit.keep_alive(wire, spoken, end);
    Ok(open)
}
