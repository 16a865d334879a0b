//! Looks at apiservers and the shared address: `/readyz?verbose`, `/livez`, `/version`.
//!
//! HTTP/1.1 throughout: anonymous HTTP/2 requests are answered with a close since 1.29, which would make a kept
//! connection measure new ones without noticing. A bearer token goes only to a server that strict verification trusts;
//! to anybody else the same question goes anonymously, which the health paths answer as well.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::{CancellationToken, DropGuard};

use super::ask::{self, Answer, Question, Sender};
use super::handshake::Alpn;
use super::identity::Passport;
use super::journey::Journey;
use super::kit::{Kit, Sight, Wire};
use super::site::{Opened, Site};
use super::watched::{Ending, Watch};
use crate::model::certificate::Served;
use crate::model::health::{Health, Version};
use crate::model::observation::{Cause, Phase, Reading, Unseen};
use crate::model::probe::{Connection, ProbeKind};
use crate::parse;

/// Octets read of a body: a verbose readyz has about 3 KiB, a version 0.4 KiB.
const MAX_BODY: usize = 64 * 1024;

/// An apiserver instance, or the shared address.
pub(crate) struct Apiserver {
    pub(crate) site: Arc<Site>,
    /// The connection that is kept open; the lock is held while it is used, for HTTP/1.1 takes one question at a time.
    kept: tokio::sync::Mutex<Option<Kept>>,
}

/// A connection that is kept open.
struct Kept {
    sender: Sender,
    watch: Arc<Watch>,
    peer: IpAddr,
    is_trusted: bool,
    generation: u64,
    /// Whether it has answered once; before that its end belongs to the look that opened it.
    has_answered: Arc<AtomicBool>,
    _end: DropGuard,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    Readyz,
    Livez,
    Version,
}

impl Apiserver {
    pub(crate) fn new(site: Arc<Site>) -> Self {
        Self { site, kept: tokio::sync::Mutex::default() }
    }

    /// Looks; `None` for kinds that no apiserver is asked.
    pub(crate) async fn look(&self, kit: &Kit, kind: ProbeKind, connection: Connection) -> Option<Sight> {
        let page = match kind {
            ProbeKind::Readyz => Page::Readyz,
            ProbeKind::Livez => Page::Livez,
            ProbeKind::Version => Page::Version,
            ProbeKind::Chain => return Some(self.site.look_at_chain(kit).await),
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
            | ProbeKind::Files => return None,
        };
        let passport = self.site.identity.current().await;
        let journey = Journey::new(&kit.clock);
        let (served, answer) = match connection {
            Connection::New => self.ask_anew(kit, &passport, page, &journey).await,
            Connection::Reused => self.ask_kept(kit, &passport, page, &journey).await,
        };
        journey.end();
        let outcome = answer.and_then(|answer| page.reading(&answer)).map_err(|unseen| {
            if unseen.cause == Cause::CredentialRefused {
                self.site.identity.refused();
            }
            Unseen { cause: passport.blame(unseen.cause), ..unseen }
        });
        Some(Sight::of(&journey, served, outcome))
    }

    /// Closes the kept connection politely.
    pub(crate) fn close(&self) {
        // Whoever holds the lock is asking, and lets the connection go by itself when the process ends.
        if let Ok(mut kept) = self.kept.try_lock() {
            drop(kept.take());
        }
    }

    async fn ask_anew(
        &self,
        kit: &Kit,
        passport: &Passport,
        page: Page,
        journey: &Journey,
    ) -> (Option<Arc<Served>>, Result<Answer, Unseen>) {
        let opening = self.site.open(kit, passport, Alpn::Http1, journey).await;
        let opened = match opening.result {
            Ok(opened) => opened,
            Err(unseen) => return (opening.served, Err(unseen)),
        };
        let question = self.question(page, passport, opened.is_trusted, true);
        let asking = ask::once(kit, opened.stream, &question, journey);
        let answer = match tokio::time::timeout(kit.policy.answer_deadline, asking).await {
            Ok(answer) => answer.map_err(|cause| journey.unseen(cause)),
            Err(_) => Err(journey.unseen(Cause::Timeout)),
        };
        (opening.served, answer)
    }

    async fn ask_kept(
        &self,
        kit: &Kit,
        passport: &Passport,
        page: Page,
        journey: &Journey,
    ) -> (Option<Arc<Served>>, Result<Answer, Unseen>) {
        let Ok(mut kept) = tokio::time::timeout(kit.policy.answer_deadline, self.kept.lock()).await else {
            return (None, Err(Unseen { phase: Phase::FirstByte, cause: Cause::Timeout }));
        };
        // Held until another one is open: a rotated identity never leaves us without a connection.
        let _former = kept.take_if(|kept| !kept.is_usable(passport));
        let was_open = kept.is_some();
        let mut served = None;
        let mut answer = Err(Unseen { phase: Phase::FirstByte, cause: Cause::Closed });
        // The second turn is for a connection that said goodbye while the question was on its way.
        for is_last_turn in [!was_open, true] {
            let mut line = match kept.take() {
                Some(line) => line,
                None => {
                    let opening = self.site.open(kit, passport, Alpn::Http1, journey).await;
                    served = opening.served;
                    match self.keep(kit, passport, opening.result).await {
                        Ok(line) => line,
                        Err(unseen) => return (served, Err(unseen)),
                    }
                }
            };
            let question = self.question(page, passport, line.is_trusted, false);
            let asking = ask::over(&mut line.sender, &line.watch, &question, journey);
            let asked = tokio::time::timeout(kit.policy.answer_deadline, asking).await;
            answer = match asked {
                Ok(Ok(answer)) => {
                    journey.ended_with(line.peer, None);
                    line.has_answered.store(true, Ordering::Release);
                    if answer.closes {
                        line.watch.announce();
                    } else {
                        *kept = Some(line);
                    }
                    return (served, Ok(answer));
                }
                Ok(Err(failure)) => {
                    let cause = failure.cause(&line.watch);
                    journey.ended_with(line.peer, Some(cause));
                    let may_redial = line.watch.is_announced() && journey.phase() == Phase::FirstByte;
                    if may_redial && !is_last_turn {
                        continue;
                    }
                    Err(journey.unseen(cause))
                }
                Err(_) => Err(journey.unseen(Cause::Timeout)),
            };
            line.watch.leave();
            break;
        }
        (served, answer)
    }

    async fn keep(&self, kit: &Kit, passport: &Passport, opened: Result<Opened, Unseen>) -> Result<Kept, Unseen> {
        let opened = opened?;
        let watch = opened.stream.watch();
        let (sender, driver) = ask::begin(opened.stream)
            .await
            .map_err(|failure| Unseen { phase: Phase::FirstByte, cause: failure.cause(&watch) })?;
        let end = CancellationToken::new();
        let has_answered = Arc::new(AtomicBool::new(false));
        let kept = Kept {
            sender,
            watch: Arc::clone(&watch),
            peer: opened.peer,
            is_trusted: opened.is_trusted,
            generation: passport.generation,
            has_answered: Arc::clone(&has_answered),
            _end: end.clone().drop_guard(),
        };
        let wire = Wire { subject: self.site.subject.clone(), peer: opened.peer, watch, has_answered };
        kit.keep_alive(wire, driver, end);
        Ok(kept)
    }

    fn question<'a>(&'a self, page: Page, passport: &'a Passport, is_trusted: bool, is_last: bool) -> Question<'a> {
        Question {
            authority: &self.site.authority,
            target: page.target(),
            accept: page.accept(),
            token: passport.token.as_ref().filter(|_| is_trusted),
            is_last,
            max_body: MAX_BODY,
        }
    }
}

impl Kept {
    fn is_usable(&self, passport: &Passport) -> bool {
        let is_open = self.watch.ending() == Ending::Open && !self.watch.is_announced() && !self.sender.is_closed();
        if is_open && self.generation != passport.generation {
            self.watch.leave();
        }
        is_open && self.generation == passport.generation
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // What a peer does after we have let go of it is no sign; an end that came before stays written down.
        self.watch.leave();
    }
}

impl Page {
    /// The timeout asks an overloaded server to say so within a quarter of it, instead of letting us wait in its queue;
    /// the exempt paths have no queue.
    const fn target(self) -> &'static str {
        match self {
            Self::Readyz => "/readyz?verbose",
            Self::Livez => "/livez",
            Self::Version => "/version?timeout=4s",
        }
    }

    const fn accept(self) -> Option<&'static str> {
        match self {
            Self::Readyz | Self::Livez => None,
            Self::Version => Some("application/json"),
        }
    }

    fn reading(self, answer: &Answer) -> Result<Reading, Unseen> {
        let status = answer.status.as_u16();
        if matches!(status, 401 | 403) {
            return Err(Unseen { phase: Phase::FirstByte, cause: Cause::CredentialRefused });
        }
        Ok(match self {
            Self::Readyz | Self::Livez => {
                let checks = parse::health::checks(&answer.body);
                Reading::Health(Health {
                    status,
                    failing: checks.failing,
                    listed: checks.listed,
                    server_date: answer.date,
                    retry_after_secs: answer.retry_after_secs,
                })
            }
            Self::Version => Reading::Version(Version {
                status,
                git_version: parse::version::git_version(&answer.body),
                server_date: answer.date,
                retry_after_secs: answer.retry_after_secs,
            }),
        })
    }
}
