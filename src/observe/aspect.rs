//! What of a subject is followed: whether it answers, whether it serves ordinary traffic, and so on. Each has runs of
//! probes of its own, and a time for which one of them shows the present state.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::etcd::EtcdAlarmKind;
use crate::model::policy::Policy;
use crate::model::probe::ProbeKind;
use crate::model::subject::{Role, Subject};

/// Under which aspect a subject is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Aspect {
    /// Whether it answers the probe that decides: exempt health, Status, a reference's handshake.
    Answer,
    /// Whether it answers ordinary traffic.
    Ordinary,
    /// Whether an etcd cluster agrees on a leader.
    Leader,
    /// Whether an etcd cluster is free of alarms of a kind, as its members report.
    Alarm(EtcdAlarmKind),
    /// The same, by its list of alarms.
    ListedAlarm(EtcdAlarmKind),
    /// Whether an etcd member follows the leader that the majority follows.
    Mind,
    /// Whether an etcd member serves linearizable reads.
    Read,
    /// Whether the members of an etcd cluster are what they are configured as, by what they report.
    Configured,
    /// The same, by the pages of their metrics listeners.
    ConfiguredPages,
    /// Whether every voter of etcd's own list has started.
    Started,
    /// Whether every address of its name answers, where one of them does.
    Addresses,
    /// Whether it takes the credential of the canaries.
    Canary,
    /// Whether the proxy in front of a cluster works.
    Way,
    /// Whether the clock of an apiserver agrees with those of the others and ours.
    Clock,
}

impl Aspect {
    /// How old a probe of `subject` may be to show the present state.
    #[must_use]
    pub fn freshness(self, subject: &Subject, policy: &Policy) -> Duration {
        let kind = match self {
            Self::Answer => match subject.role() {
                Role::Cluster | Role::Api | Role::Item => ProbeKind::Readyz,
                Role::Etcd => ProbeKind::EtcdStatus,
                Role::OwnSide | Role::Outside => ProbeKind::Reference,
            },
            Self::Ordinary | Self::Clock => ProbeKind::Version,
            Self::Leader | Self::Alarm(_) | Self::Mind | Self::Configured => ProbeKind::EtcdStatus,
            Self::Read => ProbeKind::EtcdRead,
            Self::Addresses => ProbeKind::Addresses,
            Self::ListedAlarm(_) => ProbeKind::EtcdAlarms,
            Self::ConfiguredPages => ProbeKind::EtcdMetrics,
            Self::Started => ProbeKind::EtcdMembers,
            // The canaries go round the instances.
            Self::Canary => return CANARY_COUNTS,
            // Whatever is reached through the proxy shows it.
            Self::Way => return policy.decides_for(policy.readyz_interval.max(policy.vip_interval)),
        };
        policy.decides_for(policy.interval(subject, kind))
    }
}

/// Whether the credential of the canaries is taken is known for so long: of twenty instances each has one a minute.
const CANARY_COUNTS: Duration = Duration::from_secs(180);
