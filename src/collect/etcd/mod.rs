//! Rounds over an etcd cluster: every member asked the same thing at the same moment.
//!
//! gRPC over our own HTTP/2 connections, because chains, phases and unannounced ends must be seen. One start for all:
//! asking one after the other would invent lag between members. Draws no conclusion from the answers.

mod answers;
mod channel;
mod line;
#[rustfmt::skip]
#[expect(unreachable_pub, unused_qualifications, clippy::allow_attributes_without_reason, reason = "generated from rpc.proto, kept as it comes")]
mod rpc;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;

use self::answers::{Alarms, Members, Question, Read, Status};
use self::line::Line;
use super::identity::{Identity, Passport};
use super::journey::Journey;
use super::kit::{Kit, Sight};
use super::site::Site;
use crate::model::etcd::MemberAnswer;
use crate::model::observation::{Cause, Phases, Reading, Unseen};
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
    line: Arc<Line>,
}

impl Member {
    pub(crate) fn new(name: Name, site: Arc<Site>) -> Self {
        Self { name, line: Arc::new(Line::new(site)) }
    }
}

impl Etcd {
    pub(crate) const fn new(identity: Arc<Identity>, members: Vec<Member>) -> Self {
        Self { identity, members }
    }

    /// Asks all members; `None` for kinds that no etcd is asked.
    pub(crate) async fn look(&self, kit: &Kit, kind: ProbeKind, connection: Connection) -> Option<Sight> {
        Some(match kind {
            ProbeKind::EtcdStatus => self.round::<Status>(kit, connection, Reading::EtcdStatus).await,
            ProbeKind::EtcdRead => self.round::<Read>(kit, connection, Reading::EtcdRead).await,
            ProbeKind::EtcdAlarms => self.round::<Alarms>(kit, connection, Reading::EtcdAlarms).await,
            ProbeKind::EtcdMembers => self.round::<Members>(kit, connection, Reading::EtcdMembers).await,
            ProbeKind::Readyz
            | ProbeKind::Livez
            | ProbeKind::Version
            | ProbeKind::Chain
            | ProbeKind::Tripwire
            | ProbeKind::Reference
            | ProbeKind::Resolver
            | ProbeKind::OwnClock
            | ProbeKind::Files => return None,
        })
    }

    /// Closes the kept connections politely.
    pub(crate) fn close(&self) {
        self.members.iter().for_each(|member| member.line.close());
    }

    async fn round<Q: Question>(
        &self,
        kit: &Kit,
        connection: Connection,
        reading: impl FnOnce(Vec<MemberAnswer<Q::Answer>>) -> Reading,
    ) -> Sight {
        let passport = self.identity.current().await;
        let start = kit.clock.now().mono;
        let asked = self.members.iter().map(|member| member.answer::<Q>(kit, &passport, connection, start));
        let (answers, proofs): (Vec<_>, Vec<bool>) = join_all(asked).await.into_iter().unzip();
        if answers.iter().any(|answer| matches!(answer.answer, Err(Unseen { cause: Cause::CredentialRefused, .. }))) {
            self.identity.refused();
        }
        Sight {
            phases: Phases::default(),
            served: None,
            proves_path: proofs.contains(&true),
            outcome: Ok(reading(answers)),
        }
    }
}

impl Member {
    /// One member's part, dialling and TLS included in its second. Whether it proves the path comes beside it.
    async fn answer<Q: Question>(
        &self,
        kit: &Kit,
        passport: &Arc<Passport>,
        connection: Connection,
        start: Mono,
    ) -> (MemberAnswer<Q::Answer>, bool) {
        let attempt = Arc::new(Attempt::new(kit));
        let asking = self.line.ask::<Q>(kit, passport, connection, &attempt);
        let answer = match tokio::time::timeout(kit.policy.member_deadline, asking).await {
            Ok(answer) => answer,
            Err(_) => Err(attempt.journey.unseen(Cause::Timeout)),
        };
        let answer = MemberAnswer {
            member: self.name.clone(),
            sent_after: attempt.began().since(start),
            phases: attempt.journey.phases(),
            answer: answer.map_err(|unseen| Unseen { cause: passport.blame(unseen.cause), ..unseen }),
        };
        (answer, attempt.journey.proves_path())
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

    fn began(&self) -> Mono {
        *self.began.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request goes out now.
    fn sends(&self, now: Mono) {
        *self.began.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}
