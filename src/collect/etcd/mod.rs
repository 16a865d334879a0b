//! Rounds over an etcd cluster: every member asked the same thing at the same moment.
//!
//! gRPC over our own HTTP/2 connections, because chains, phases and unannounced ends must be seen. One start for all:
//! asking one after the other would invent lag between members. Draws no conclusion from the answers.

mod answers;
mod channel;
mod line;
mod listener;
mod login;
#[rustfmt::skip]
#[expect(unreachable_pub, unused_qualifications, clippy::allow_attributes_without_reason, reason = "generated from rpc.proto, kept as it comes")]
mod rpc;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;

use self::answers::{Alarms, Members, Question, Read, Status};
pub(crate) use self::line::Line;
pub(crate) use self::listener::Listener;
use super::identity::{Identity, Passport};
use super::journey::Journey;
use super::kit::{Kit, Sight};
use super::site::Site;
use crate::config::settings::Login;
use crate::model::etcd::MemberAnswer;
use crate::model::observation::Reading;
use crate::model::phase::{Cause, Phases, Unseen};
use crate::model::probe::{Connection, ProbeKind};
use crate::model::subject::Name;
use crate::model::time::Mono;

/// An etcd cluster.
pub(crate) struct Etcd {
    identity: Arc<Identity>,
    members: Vec<Member>,
}

/// One of its members.
pub(crate) struct Member {
    name: Name,
    /// `None` when its client port is not ours to use.
    line: Option<Arc<Line>>,
    listener: Option<Listener>,
}

impl Member {
    /// `line` leads to its client port, `listener` to its metrics.
    pub(crate) const fn new(name: Name, line: Option<Arc<Line>>, listener: Option<Listener>) -> Self {
        Self { name, line, listener }
    }
}

impl Etcd {
    pub(crate) const fn new(identity: Arc<Identity>, members: Vec<Member>) -> Self {
        Self { identity, members }
    }

    /// The line through `site` as the user of `login`, with the connection that is open.
    pub(crate) fn line_at(&self, site: &Arc<Site>, login: Option<&Login>) -> Option<Arc<Line>> {
        let mut lines = self.members.iter().filter_map(|member| member.line.as_ref());
        lines.find(|line| line.is_at(site, login)).map(Arc::clone)
    }

    /// Who we are to its members.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Asks all members; `None` for kinds that no etcd is asked.
    pub(crate) async fn look(&self, kit: &Kit, kind: ProbeKind, connection: Connection) -> Option<Sight> {
        Some(match kind {
            ProbeKind::EtcdStatus => self.round::<Status>(kit, connection, Reading::EtcdStatus).await,
            ProbeKind::EtcdRead => self.round::<Read>(kit, connection, Reading::EtcdRead).await,
            ProbeKind::EtcdAlarms => self.round::<Alarms>(kit, connection, Reading::EtcdAlarms).await,
            ProbeKind::EtcdMembers => self.round::<Members>(kit, connection, Reading::EtcdMembers).await,
            ProbeKind::EtcdHealth => self.healths(kit).await,
            ProbeKind::EtcdMetrics => self.pages(kit).await,
            ProbeKind::Readyz
            | ProbeKind::Livez
            | ProbeKind::Version
            | ProbeKind::Chain
            | ProbeKind::Addresses
            | ProbeKind::Tripwire
            | ProbeKind::Reference
            | ProbeKind::Resolver
            | ProbeKind::OwnClock
            | ProbeKind::Files => return None,
        })
    }

    /// Closes the kept connections politely.
    pub(crate) fn close(&self) {
        self.members.iter().filter_map(|member| member.line.as_ref()).for_each(|line| line.close());
    }

    async fn round<Q: Question>(
        &self,
        kit: &Kit,
        connection: Connection,
        reading: impl FnOnce(Vec<MemberAnswer<Q::Answer>>) -> Reading,
    ) -> Sight {
        let passport = self.identity.current().await;
        let start = kit.clock.now().mono;
        let asked = self.members.iter().filter_map(|member| {
            let line = member.line.as_ref()?;
            Some(member.answer::<Q>(line, kit, &passport, connection, start))
        });
        let (answers, proofs): (Vec<_>, Vec<bool>) = join_all(asked).await.into_iter().unzip();
        if answers.iter().any(|answer| matches!(answer.answer, Err(Unseen { cause: Cause::CredentialRefused, .. }))) {
            self.identity.refused();
        }
        sight(&proofs, reading(answers))
    }

    /// All metrics listeners' `/health`, each within a member's second.
    async fn healths(&self, kit: &Kit) -> Sight {
        let start = kit.clock.now().mono;
        let asked = self.members.iter().filter_map(|member| Some((member, member.listener.as_ref()?)));
        let asked = asked.map(|(member, listener)| async move {
            let attempt = Attempt::new(kit);
            let asking = listener.health(kit, &attempt.journey);
            let answer = match tokio::time::timeout(kit.policy.member_deadline, asking).await {
                Ok(answer) => answer,
                Err(_) => Err(attempt.journey.unseen(Cause::Timeout)),
            };
            attempt.journey.end();
            attempt.told(member, start, answer)
        });
        let (answers, proofs): (Vec<_>, Vec<bool>) = join_all(asked).await.into_iter().unzip();
        sight(&proofs, Reading::EtcdHealth(answers))
    }

    /// All metrics listeners' `/metrics`. The page may take the time of any other answer: it decides nothing.
    async fn pages(&self, kit: &Kit) -> Sight {
        let start = kit.clock.now().mono;
        let asked = self.members.iter().filter_map(|member| Some((member, member.listener.as_ref()?)));
        let asked = asked.map(|(member, listener)| async move {
            let attempt = Attempt::new(kit);
            let answer = listener.metrics(kit, &attempt.journey).await;
            attempt.journey.end();
            attempt.told(member, start, answer)
        });
        let (answers, proofs): (Vec<_>, Vec<bool>) = join_all(asked).await.into_iter().unzip();
        sight(&proofs, Reading::EtcdMetrics(answers))
    }
}

fn sight(proofs: &[bool], reading: Reading) -> Sight {
    Sight {
        phases: Phases::default(),
        served: None,
        greeting: None,
        proves_path: proofs.contains(&true),
        outcome: Ok(reading),
    }
}

impl Member {
    /// One member's part, dialling and TLS included in its second. Whether it proves the path comes beside it.
    async fn answer<Q: Question>(
        &self,
        line: &Arc<Line>,
        kit: &Kit,
        passport: &Arc<Passport>,
        connection: Connection,
        start: Mono,
    ) -> (MemberAnswer<Q::Answer>, bool) {
        let attempt = Arc::new(Attempt::new(kit));
        let asking = line.ask::<Q>(kit, passport, connection, &attempt);
        let answer = match tokio::time::timeout(kit.policy.member_deadline, asking).await {
            Ok(answer) => answer,
            Err(_) => Err(attempt.journey.unseen(Cause::Timeout)),
        };
        let answer = answer.map_err(|unseen| {
            // A password is a credential that the passport does not know of.
            let cause = passport.blame(unseen.cause);
            let has_none = passport.client.is_none() && !line.has_login();
            if cause == Cause::CredentialRefused && has_none {
                Unseen { cause: Cause::NoCredential, ..unseen }
            } else if cause == Cause::NoCredential && line.has_login() {
                Unseen { cause: Cause::ClientCertificateRefused, ..unseen }
            } else {
                Unseen { cause, ..unseen }
            }
        });
        if answer.as_ref().is_err_and(|unseen| !unseen.cause.is_refusal()) {
            line.doubt(kit);
        }
        attempt.told(self, start, answer)
    }
}

/// How far a member's part came, told also when its second is over before it ends.
#[derive(Debug)]
struct Attempt {
    /// Shared with the dial, which goes on.
    journey: Arc<Journey>,
    /// When the request was sent; when none was, the moment the attempt began, for then the silence is not ours.
    began: Mutex<Mono>,
}

impl Attempt {
    fn new(kit: &Kit) -> Self {
        Self { journey: Arc::new(Journey::new(&kit.clock)), began: Mutex::new(kit.clock.now().mono) }
    }

    /// What came of it, and whether it proves the path.
    fn told<T>(&self, member: &Member, start: Mono, answer: Result<T, Unseen>) -> (MemberAnswer<T>, bool) {
        let told = MemberAnswer {
            member: member.name.clone(),
            sent_after: self.began().since(start),
            phases: self.journey.phases(),
            answer,
        };
        (told, self.journey.proves_path())
    }

    fn began(&self) -> Mono {
        *self.began.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request goes out now.
    fn sends(&self, now: Mono) {
        *self.began.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}
