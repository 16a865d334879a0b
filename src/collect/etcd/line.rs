//! The connection to one member: kept open between rounds, dialled in the background when it is missing.
//!
//! A round waits a second; a dial may need longer over a slow link. So the dial is a task of its own: a round that gives
//! up on it says where it hung, and the next round finds the connection open.

use std::error::Error;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tonic::Code;
use tonic::body::Body;

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
use crate::model::observation::{Cause, Phase, Unseen};
use crate::model::probe::Connection;

/// Octets granted for one answer: the message, its headers, and what frames and TLS records add.
const GRANT: usize = answers::MAX_ANSWER + 16 * 1024;
/// Octets of answers that may be on the way, HTTP/2's own default: what a member may make us keep unread.
const WINDOW: u32 = 65_535;

/// The way to one member.
pub(super) struct Line {
    site: Arc<Site>,
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
    pub(super) const fn new(site: Arc<Site>) -> Self {
        Self { site, slot: Mutex::new(Slot::Empty) }
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
            let open = open(&self.site, kit, passport, &attempt.journey).await?;
            return self.exchange::<Q>(kit, &open, attempt).await.map_err(|failed| failed.unseen);
        }
        let kept = self.kept(passport);
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

    async fn exchange<Q: Question>(&self, kit: &Kit, open: &Open, attempt: &Arc<Attempt>) -> Result<Q::Answer, Failed> {
        let journey = &attempt.journey;
        journey.enter(Phase::FirstByte);
        let (failed, told) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let channel = Channel {
            sender: open.sender.clone(),
            clock: kit.clock.clone(),
            attempt: Arc::clone(attempt),
            failed: Arc::clone(&failed),
            told: Arc::clone(&told),
        };
        open.watch.expect_answer(GRANT);
        let asked = Q::ask(channel, self.site.authority.clone()).await;
        journey.end();
        let answer = match asked {
            Ok(wire) => Q::read(wire.into_inner()).ok_or_else(|| Failed::by_server(journey, Cause::ProtocolBroken)),
            Err(status) => {
                // What our own side made up: a call that could not be made, an answer that cannot be read.
                let is_ours = failed.load(Ordering::Acquire) || !told.load(Ordering::Acquire);
                Err(if is_ours {
                    let cause = open.broken_by(&status);
                    let was_announced = open.watch.is_announced() && journey.phase() == Phase::FirstByte;
                    Failed { unseen: journey.unseen(cause), was_announced, is_answer: false }
                } else {
                    Failed::by_server(journey, answers::cause_of(status.code()))
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

    /// The open connection, if it may be used.
    fn kept(&self, passport: &Passport) -> Option<Arc<Open>> {
        let mut slot = self.lock();
        let Slot::Open(open) = &*slot else { return None };
        if open.is_usable(passport) {
            return Some(Arc::clone(open));
        }
        *slot = Slot::Empty;
        None
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
        Self { unseen: journey.unseen(cause), was_announced: false, is_answer: true }
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
    let opened = site.open(kit, passport, Alpn::Http2, journey).await.result?;
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
