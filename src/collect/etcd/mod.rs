//! Rounds over an etcd cluster: every member gets the same request at the same moment.
//!
//! gRPC over our own HTTP/2 connections, because chains, phases and unannounced ends must be seen. One start for all:
//! asking one after the other would invent lag between members. Draws no conclusion from the answers.

mod answers;
mod asking;
mod authenticating;
mod channel;
mod connection;
mod login;
mod metrics_listener;
#[rustfmt::skip]
#[expect(unreachable_pub, unused_qualifications, clippy::allow_attributes_without_reason, reason = "generated from rpc.proto, kept as it comes")]
mod rpc;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;

use self::answers::{Alarms, Members, Question, Read, Status};
pub(crate) use self::connection::MemberConnection;
pub(crate) use self::metrics_listener::MetricsListener;
use super::context::{ProbeContext, ProbeResult};
use super::identity::{Identity, ReadyCredentials};
use super::phase_timer::PhaseTimer;
use super::tls_endpoint::TlsEndpoint;
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
    member_connection: Option<Arc<MemberConnection>>,
    listener: Option<MetricsListener>,
}

impl Member {
    /// `member_connection` leads to its client port, `listener` to its metrics.
    pub(crate) const fn new(
        name: Name,
        member_connection: Option<Arc<MemberConnection>>,
        listener: Option<MetricsListener>,
    ) -> Self {
        Self { name, member_connection, listener }
    }
}

impl Etcd {
    pub(crate) const fn new(identity: Arc<Identity>, members: Vec<Member>) -> Self {
        Self { identity, members }
    }

    /// The line through `tls_endpoint` as the user of `login`, with the connection that is open.
    pub(crate) fn line_at(
        &self,
        tls_endpoint: &Arc<TlsEndpoint>,
        login: Option<&Login>,
    ) -> Option<Arc<MemberConnection>> {
        let mut lines = self.members.iter().filter_map(|member| member.member_connection.as_ref());
        lines.find(|member_connection| member_connection.is_at(tls_endpoint, login)).map(Arc::clone)
    }

    /// Who we are to its members.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Asks all members; `None` for kinds that no etcd is asked.
    pub(crate) async fn probe(
        &self,
        context: &ProbeContext,
        kind: ProbeKind,
        connection: Connection,
    ) -> Option<ProbeResult> {
        Some(match kind {
            ProbeKind::EtcdStatus => self.round::<Status>(context, connection, Reading::EtcdStatus).await,
            ProbeKind::EtcdRead => self.round::<Read>(context, connection, Reading::EtcdRead).await,
            ProbeKind::EtcdAlarms => self.round::<Alarms>(context, connection, Reading::EtcdAlarms).await,
            ProbeKind::EtcdMembers => self.round::<Members>(context, connection, Reading::EtcdMembers).await,
            ProbeKind::EtcdHealth => self.healths(context).await,
            ProbeKind::EtcdMetrics => self.pages(context).await,
            ProbeKind::Readyz
            | ProbeKind::Livez
            | ProbeKind::Version
            | ProbeKind::Chain
            | ProbeKind::Addresses
            | ProbeKind::Tripwire
            | ProbeKind::Reference
            | ProbeKind::Resolver
            | ProbeKind::OwnClock
            | ProbeKind::Files
            | ProbeKind::PriorityLevels
            | ProbeKind::RequestDump
            | ProbeKind::ApiserverMetrics
            | ProbeKind::LeaseWrite
            | ProbeKind::LeaseRead
            | ProbeKind::CreateConfigMap
            | ProbeKind::CreatePod
            | ProbeKind::AccessReview
            | ProbeKind::SecretRead
            | ProbeKind::Statusz
            | ProbeKind::Flagz => return None,
        })
    }

    /// Closes the kept connections with close_notify.
    pub(crate) fn close(&self) {
        self.members
            .iter()
            .filter_map(|member| member.member_connection.as_ref())
            .for_each(|member_connection| member_connection.close());
    }

    async fn round<Q: Question>(
        &self,
        context: &ProbeContext,
        connection: Connection,
        reading: impl FnOnce(Vec<MemberAnswer<Q::Answer>>) -> Reading,
    ) -> ProbeResult {
        let ready_credentials = self.identity.current().await;
        let start = context.clock.now().mono;
        let asked = self.members.iter().filter_map(|member| {
            let member_connection = member.member_connection.as_ref()?;
            Some(member.answer::<Q>(member_connection, context, &ready_credentials, connection, start))
        });
        let (answers, proofs): (Vec<_>, Vec<bool>) = join_all(asked).await.into_iter().unzip();
        if answers.iter().any(|answer| matches!(answer.answer, Err(Unseen { cause: Cause::CredentialRejected, .. }))) {
            self.identity.refused();
        }
        result(&proofs, reading(answers))
    }

    /// All metrics listeners' `/health`, each within a member's second.
    async fn healths(&self, context: &ProbeContext) -> ProbeResult {
        let start = context.clock.now().mono;
        let asked = self.members.iter().filter_map(|member| Some((member, member.listener.as_ref()?)));
        let asked = asked.map(|(member, listener)| async move {
            let attempt = MemberProgress::new(context);
            let asking = listener.health(context, &attempt.timer);
            let answer = match tokio::time::timeout(context.policy.etcd_member_timeout, asking).await {
                Ok(answer) => answer,
                Err(_) => Err(attempt.timer.unseen(Cause::Timeout)),
            };
            attempt.timer.end();
            attempt.told(member, start, answer)
        });
        let (answers, proofs): (Vec<_>, Vec<bool>) = join_all(asked).await.into_iter().unzip();
        result(&proofs, Reading::EtcdHealth(answers))
    }

    /// All metrics listeners' `/metrics`. The page may take the time of any other answer: it decides nothing.
    async fn pages(&self, context: &ProbeContext) -> ProbeResult {
        let start = context.clock.now().mono;
        let asked = self.members.iter().filter_map(|member| Some((member, member.listener.as_ref()?)));
        let asked = asked.map(|(member, listener)| async move {
            let attempt = MemberProgress::new(context);
            let answer = listener.metrics(context, &attempt.timer).await;
            attempt.timer.end();
            attempt.told(member, start, answer)
        });
        let (answers, proofs): (Vec<_>, Vec<bool>) = join_all(asked).await.into_iter().unzip();
        result(&proofs, Reading::EtcdMetrics(answers))
    }
}

fn result(proofs: &[bool], reading: Reading) -> ProbeResult {
    ProbeResult {
        phases: Phases::default(),
        served: None,
        greeting: None,
        proves_path: proofs.contains(&true),
        outcome: Ok(reading),
    }
}

impl Member {
    /// One member's part, connecting and TLS included in its second. Whether it proves the path comes beside it.
    async fn answer<Q: Question>(
        &self,
        member_connection: &Arc<MemberConnection>,
        context: &ProbeContext,
        ready_credentials: &Arc<ReadyCredentials>,
        connection: Connection,
        start: Mono,
    ) -> (MemberAnswer<Q::Answer>, bool) {
        let attempt = Arc::new(MemberProgress::new(context));
        let asking = member_connection.ask::<Q>(context, ready_credentials, connection, &attempt);
        let answer = match tokio::time::timeout(context.policy.etcd_member_timeout, asking).await {
            Ok(answer) => answer,
            Err(_) => Err(attempt.timer.unseen(Cause::Timeout)),
        };
        let answer = answer.map_err(|unseen| {
            // A password is a credential that the ready credentials do not know of.
            let cause = ready_credentials.blame(unseen.cause);
            let has_none = ready_credentials.client.is_none() && !member_connection.has_login();
            if cause == Cause::CredentialRejected && has_none {
                Unseen { cause: Cause::NoCredential, ..unseen }
            } else if cause == Cause::NoCredential && member_connection.has_login() {
                Unseen { cause: Cause::ClientCertificateRejected, ..unseen }
            } else {
                Unseen { cause, ..unseen }
            }
        });
        if answer.as_ref().is_err_and(|unseen| !unseen.cause.is_refusal()) {
            member_connection.doubt(context);
        }
        attempt.told(self, start, answer)
    }
}

/// How far a member's part came, reported also when its timeout of a second ends it.
#[derive(Debug)]
struct MemberProgress {
    /// Shared with the connect, which goes on.
    timer: Arc<PhaseTimer>,
    /// When the request was sent; when none was, the moment the attempt began, for then the silence is not ours.
    began: Mutex<Mono>,
}

impl MemberProgress {
    fn new(context: &ProbeContext) -> Self {
        Self { timer: Arc::new(PhaseTimer::new(&context.clock)), began: Mutex::new(context.clock.now().mono) }
    }

    /// Its result, and whether it proves the path.
    fn told<T>(&self, member: &Member, start: Mono, answer: Result<T, Unseen>) -> (MemberAnswer<T>, bool) {
        let told = MemberAnswer {
            member: member.name.clone(),
            sent_after: self.began().since(start),
            phases: self.timer.phases(),
            answer,
        };
        (told, self.timer.proves_path())
    }

    fn began(&self) -> Mono {
        *self.began.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request goes out now.
    fn sends(&self, now: Mono) {
        *self.began.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}
