//! The latest rounds over the members of an etcd, and what each member answered in them.

use crate::model::etcd::{MemberHealth, MemberStatus};
use crate::model::observation::{Observation, Reading};
use crate::model::phase::Unseen;
use crate::model::probe::ProbeKind;
use crate::model::subject::Subject;

use super::drawing::Scope;
use super::fresh::is_fresh;

pub(super) fn fresh_rounds(scope: Scope<'_>, kind: ProbeKind) -> impl Iterator<Item = (&Subject, &Observation)> {
    scope
        .observations()
        .iter()
        .filter(move |(probe, observation)| probe.kind == kind && is_fresh(scope.page, observation))
        .map(|(probe, observation)| (&probe.subject, observation.as_ref()))
}

/// What each member of a round of statuses answered; nothing for other probes.
pub(super) fn statuses(observation: &Observation) -> Vec<(Subject, Result<&MemberStatus, &Unseen>)> {
    match &observation.outcome {
        Ok(Reading::EtcdStatus(answers)) => {
            observation.by_member(answers).map(|(member, answer)| (member, answer.answer.as_ref())).collect()
        }
        _ => Vec::new(),
    }
}

/// What each member of a round of `/health` answered; nothing for other probes.
pub(super) fn healths(observation: &Observation) -> Vec<(Subject, Result<&MemberHealth, &Unseen>)> {
    match &observation.outcome {
        Ok(Reading::EtcdHealth(answers)) => {
            observation.by_member(answers).map(|(member, answer)| (member, answer.answer.as_ref())).collect()
        }
        _ => Vec::new(),
    }
}
