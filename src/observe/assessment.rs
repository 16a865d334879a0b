//! One observation, read as a sign: good, bad, or unable to tell.

use serde::{Deserialize, Serialize};

use crate::model::health::{Health, Version};
use crate::model::observation::{Observation, Reading};
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::verdict::Symptom;

/// What one probe says of its subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Assessment {
    /// All is well, as far as this probe can see.
    Good,
    /// Not well.
    Bad(Symptom),
    /// It works, but refuses our credential.
    Refused(Unseen),
    /// It works, but sheds load (429).
    Shed,
    /// It works, and nothing more is known: this ends a bad run and starts no good one.
    Alive,
    /// Never asked: our own DNS knows no address for its name.
    Unresolved(Unseen),
    /// The proxy on our way there failed: says nothing of what is behind it.
    NoWay(Unseen),
    /// Our own side failed: says nothing.
    Unclear,
}

impl Assessment {
    /// The sign of a probe that asks one endpoint. Rounds are read member by member in `quorum`.
    #[must_use]
    pub fn of(observation: &Observation) -> Self {
        match &observation.outcome {
            Err(unseen) => Self::of_unseen(*unseen),
            Ok(Reading::Health(health)) => Self::of_health(health),
            Ok(Reading::Version(version)) => Self::of_version(version),
            Ok(Reading::Resolver(answer)) if answer.rcode == SERVFAIL => Self::Bad(Symptom::Status(answer.rcode)),
            Ok(
                Reading::Resolver(_)
                | Reading::Chain
                | Reading::Addresses(_)
                | Reading::Reference
                | Reading::OwnClock(_)
                | Reading::EtcdStatus(_)
                | Reading::EtcdRead(_)
                | Reading::EtcdAlarms(_)
                | Reading::EtcdMembers(_)
                | Reading::Files(_)
                | Reading::PriorityLevels(_)
                | Reading::RequestDump(_)
                | Reading::ApiserverMetrics(_)
                | Reading::Canary(_)
                | Reading::Statusz(_)
                | Reading::Flagz(_)
                | Reading::EtcdHealth(_)
                | Reading::EtcdMetrics(_),
            ) => Self::Good,
        }
    }

    /// The sign of a probe that saw nothing.
    #[must_use]
    pub const fn of_unseen(unseen: Unseen) -> Self {
        if unseen.cause.is_of_proxy() {
            return Self::NoWay(unseen);
        }
        if unseen.is_unresolved() {
            return Self::Unresolved(unseen);
        }
        if unseen.cause.is_refusal() {
            return Self::Refused(unseen);
        }
        if matches!(unseen.cause, Cause::OwnFault) { Self::Unclear } else { Self::Bad(Symptom::Silent(unseen)) }
    }

    fn of_health(health: &Health) -> Self {
        match (health.status, health.foreign) {
            (status, Some(page)) => Self::Bad(Symptom::Foreign { status, page }),
            (200, None) => Self::Good,
            (401 | 403, None) => Self::Refused(REFUSED),
            (429, None) => Self::Shed,
            // A health verdict lists its checks; a balancer's or proxy's error page does not.
            _ if !health.failing.is_empty() => Self::Bad(Symptom::NotReady(health.failing.clone())),
            (status, None) => Self::Bad(Symptom::Status(status)),
        }
    }

    fn of_version(version: &Version) -> Self {
        match (version.status, version.foreign) {
            (status, Some(page)) => Self::Bad(Symptom::Foreign { status, page }),
            (200, None) => Self::Good,
            (401 | 403, None) => Self::Refused(REFUSED),
            (429, None) => Self::Shed,
            (status, None) => Self::Bad(Symptom::Status(status)),
        }
    }
}

/// DNS response code of a resolver that cannot answer (RFC 1035 section 4.1.1).
const SERVFAIL: u16 = 2;

const REFUSED: Unseen = Unseen { phase: Phase::FirstByte, cause: Cause::CredentialRejected };
