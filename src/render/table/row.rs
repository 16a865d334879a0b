//! One row of the table, before it is laid out.

use crate::model::certificate::Trust;
use crate::model::etcd::MemberStatus;
use crate::model::observation::Observation;
use crate::model::phase::{Phases, Unseen};
use crate::model::probe::Probe;
use crate::model::subject::{Name, Subject, VANTAGE};
use crate::model::time::UnixTime;

use super::{Pass, printable};

/// One row, before it is laid out.
pub(in crate::render) struct Row {
    pub(in crate::render) subject: Subject,
    pub(in crate::render) address: String,
    pub(in crate::render) probe: Probe,
    pub(in crate::render) at: UnixTime,
    pub(in crate::render) saw: Saw,
    pub(in crate::render) result: String,
    pub(in crate::render) unseen: Option<Unseen>,
    pub(in crate::render) phases: Phases,
    pub(in crate::render) end: Option<End>,
    /// The complete status of an etcd member.
    pub(in crate::render) status: Option<MemberStatus>,
}

/// The end of the served chain.
pub(in crate::render) struct End {
    /// `None` for what has no end.
    pub(super) not_after: Option<UnixTime>,
    pub(super) days_left: Option<f64>,
    pub(super) trust: Trust,
    pub(super) holder: String,
    pub(super) fingerprint: String,
}

/// What a probe saw, in one word; not a verdict, which needs more than one probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saw {
    /// The answer that was hoped for.
    Ok,
    /// An answer that is not a success.
    NotReady,
    /// An answer of something else than was expected there.
    Foreign,
    /// A member that follows no leader.
    NoLeader,
    /// A member that reports an alarm.
    Alarm,
    /// It works, but sheds load.
    Shed,
    /// It works, but refuses our credential.
    Refused,
    /// No answer, and no sign of the cause.
    Unreachable,
    /// A refusal or a broken answer from the other side.
    Down,
    /// Our own side failed.
    Unknown,
}

impl Row {
    /// What was probed, as a person finds it: something in a file by where it lies, since a fingerprint leads nowhere.
    pub(super) fn target(&self) -> String {
        if self.subject.is_stored() {
            format!("{}/file", self.subject.cluster().map_or(VANTAGE, Name::as_str))
        } else {
            self.subject.to_string()
        }
    }

    /// The same in one sentence with other targets.
    pub(super) fn named(&self) -> String {
        if self.subject.is_stored() && !self.address.is_empty() {
            format!("{} {}", self.target(), self.address)
        } else {
            self.target()
        }
    }
}

impl Saw {
    /// Whether it is known to be bad, rather than unknown.
    #[must_use]
    pub const fn is_amiss(self) -> bool {
        match self {
            Self::Ok | Self::Unknown => false,
            Self::NotReady
            | Self::NoLeader
            | Self::Alarm
            | Self::Shed
            | Self::Refused
            | Self::Unreachable
            | Self::Foreign
            | Self::Down => true,
        }
    }

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotReady => "not ready",
            Self::Foreign => "something else",
            Self::NoLeader => "no leader",
            Self::Alarm => "alarm",
            Self::Shed => "shed",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }
}

/// A row about `observation` as a whole.
pub(super) fn row(pass: Pass<'_>, observation: &Observation, saw: Saw, result: &str) -> Row {
    Row {
        subject: observation.probe.subject.clone(),
        address: pass.inventory.address(&observation.probe.subject).to_owned(),
        probe: observation.probe.clone(),
        at: observation.scheduled.wall,
        saw,
        result: printable(result),
        unseen: None,
        phases: observation.phases,
        end: end(pass, observation),
        status: None,
    }
}

fn end(pass: Pass<'_>, observation: &Observation) -> Option<End> {
    let served = observation.served.as_ref()?;
    let first = served.earliest()?;
    Some(End {
        not_after: ending(first.not_after),
        days_left: days_left(pass, first.not_after),
        trust: served.trust,
        holder: printable(&first.subject),
        fingerprint: first.fingerprint.to_string(),
    })
}

/// `None` for what has no end.
pub(super) fn ending(not_after: UnixTime) -> Option<UnixTime> {
    Some(not_after).filter(|end| !end.is_endless())
}

/// The same in days from now, negative for what has ended.
pub(super) fn days_left(pass: Pass<'_>, not_after: UnixTime) -> Option<f64> {
    ending(not_after).map(|end| days(end.millis_since(pass.now.wall)))
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of the years 0 to 9999 stay below 2^53")]
pub(super) fn days(millis: i64) -> f64 {
    millis as f64 / 86_400_000.0
}
