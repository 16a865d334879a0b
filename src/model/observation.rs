//! The result of one probe: what was seen, or why nothing was, and how the time was spent.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::apiserver_metrics::{ApiserverMetrics, NoPage};
use super::canary::CanaryAnswer;
use super::certificate::Served;
use super::certificate_files::FilesReading;
use super::etcd::{EtcdAlarm, MemberAnswer, MemberHealth, MemberListing, MemberMetrics, MemberStatus, ReadAnswer};
use super::flow_control::{NoDump, PriorityLevels, RequestLoad};
use super::health::{Health, Version};
use super::phase::{Cause, Phases, Unseen};
use super::probe::{Greeting, Probe, ProbeId};
use super::subject::Subject;
use super::time::Now;
use super::vantage::{OwnClock, ResolverAnswer};
use super::zpages::{Flagz, NoZpage, Statusz};

/// One probe, finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The probe this answers; `None` for what reports by itself (tripwires).
    pub request: Option<ProbeId>,
    /// What was probed.
    pub probe: Probe,
    /// When the probe was due. Everything is dated from here.
    pub scheduled: Now,
    /// When it ended.
    pub finished: Now,
    /// Where the time went; empty for rounds, whose members carry their own.
    pub phases: Phases,
    /// The chain the peer served on a connection opened for this probe, also when the probe failed later.
    pub served: Option<Arc<Served>>,
    /// How the handshake of a connection opened for this probe began; `None` where none was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub greeting: Option<Greeting>,
    /// Whether bytes or a refusal came back from a peer that is not on this machine.
    pub proves_path: bool,
    /// What was seen, or why nothing was.
    pub outcome: Result<Reading, Unseen>,
    /// Why our own credential cannot be used, where the outcome puts a refusal down to it. Holds no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_flaw: Option<Arc<str>>,
}

impl Observation {
    /// The answers of a round, each with the member of the probed etcd cluster that gave it.
    pub fn by_member<'a, T>(
        &'a self,
        answers: &'a [MemberAnswer<T>],
    ) -> impl Iterator<Item = (Subject, &'a MemberAnswer<T>)> {
        answers.iter().filter_map(|answer| Some((self.probe.subject.member(&answer.member)?, answer)))
    }

    /// Whether a part of it was refused for a credential of ours that cannot be used.
    #[must_use]
    pub fn blames_us(&self) -> bool {
        fn of<T>(answers: &[MemberAnswer<T>]) -> bool {
            answers.iter().any(|member| member.answer.as_ref().is_err_and(is_ours))
        }
        const fn is_ours(unseen: &Unseen) -> bool {
            matches!(unseen.cause, Cause::OwnCredential)
        }
        match &self.outcome {
            Err(unseen) => is_ours(unseen),
            Ok(Reading::EtcdStatus(answers)) => of(answers),
            Ok(Reading::EtcdRead(answers)) => of(answers),
            Ok(Reading::EtcdAlarms(answers)) => of(answers),
            Ok(Reading::EtcdMembers(answers)) => of(answers),
            Ok(Reading::EtcdHealth(answers)) => of(answers),
            Ok(Reading::EtcdMetrics(answers)) => of(answers),
            Ok(
                Reading::Health(_)
                | Reading::Version(_)
                | Reading::Chain
                | Reading::Addresses(_)
                | Reading::Reference
                | Reading::Resolver(_)
                | Reading::OwnClock(_)
                | Reading::Files(_)
                | Reading::PriorityLevels(_)
                | Reading::RequestDump(_)
                | Reading::ApiserverMetrics(_)
                | Reading::Canary(_)
                | Reading::Statusz(_)
                | Reading::Flagz(_),
            ) => false,
        }
    }
}

/// What one address of a name did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressAnswer {
    /// The address.
    pub address: IpAddr,
    /// Whether a handshake could be made there, or why not.
    pub answer: Result<(), Unseen>,
}

impl AddressAnswer {
    /// How many addresses answer, and what the others do.
    #[must_use]
    pub fn summary(answers: &[Self]) -> String {
        let dead = answers.iter().filter_map(|told| Some(format!("{} {}", told.address, told.answer.err()?)));
        let dead: Vec<String> = dead.collect();
        match (answers.len(), dead.as_slice()) {
            (0, _) => "no second address".to_owned(),
            (all, []) => format!("all {all} addresses respond"),
            (all, dead) => format!("{} of {all} addresses respond; {}", all - dead.len(), dead.join(", ")),
        }
    }
}

/// What a probe can read. Closed: a new kind of fact is a new variant, and the compiler lists who must decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// `/livez` or `/readyz`.
    Health(Health),
    /// `/version`.
    Version(Version),
    /// Maintenance.Status of all members.
    EtcdStatus(Vec<MemberAnswer<MemberStatus>>),
    /// A linearizable read on all members.
    EtcdRead(Vec<MemberAnswer<ReadAnswer>>),
    /// Alarms as all members list them.
    EtcdAlarms(Vec<MemberAnswer<Vec<EtcdAlarm>>>),
    /// The member list as all members report it.
    EtcdMembers(Vec<MemberAnswer<Vec<MemberListing>>>),
    /// `/health` of all metrics listeners.
    EtcdHealth(Vec<MemberAnswer<MemberHealth>>),
    /// `/metrics` of all metrics listeners.
    EtcdMetrics(Vec<MemberAnswer<MemberMetrics>>),
    /// A handshake was made; the chain is in [`Observation::served`].
    Chain,
    /// Each address of the name; none where there is but one, which every other probe dials.
    Addresses(Vec<AddressAnswer>),
    /// A reference target accepted a connection, or refused it, which proves the path as well.
    Reference,
    /// A resolver answered.
    Resolver(ResolverAnswer),
    /// The state of the kernel's clock.
    OwnClock(OwnClock),
    /// The certificates and tokens in files.
    Files(Arc<FilesReading>),
    /// The priority levels of an apiserver, or what came instead.
    PriorityLevels(Result<Arc<PriorityLevels>, NoDump>),
    /// The requests under way at an apiserver, or what came instead.
    RequestDump(Result<Arc<RequestLoad>, NoDump>),
    /// What was wanted of `/metrics`, or what came instead.
    ApiserverMetrics(Result<Arc<ApiserverMetrics>, NoPage>),
    /// What came of a canary.
    Canary(CanaryAnswer),
    /// What an apiserver tells of its process, or what came instead.
    Statusz(Result<Arc<Statusz>, NoZpage>),
    /// The flags that an apiserver runs with, or what came instead.
    Flagz(Result<Arc<Flagz>, NoZpage>),
}
