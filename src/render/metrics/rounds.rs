//! The latest rounds over the members of an etcd, and what each member said in them.

use crate::model::etcd::{MemberAnswer, MemberHealth, MemberStatus};
use crate::model::observation::{Observation, Reading};
use crate::model::phase::Unseen;
use crate::model::probe::ProbeKind;
use crate::model::subject::Subject;

use super::Page;
use super::fresh::is_fresh;

pub(super) fn fresh_rounds(page: Page<'_>, kind: ProbeKind) -> impl Iterator<Item = (&Subject, &Observation)> {
    let looks = page.snapshot.clusters.values().flat_map(|picture| &picture.looks);
    looks
        .filter(move |(probe, look)| probe.kind == kind && is_fresh(page, look))
        .map(|(probe, look)| (&probe.subject, look.as_ref()))
}

/// What each member of a round of statuses said; nothing for other looks.
pub(super) fn statuses(look: &Observation) -> Vec<(Subject, Result<&MemberStatus, &Unseen>)> {
    match &look.outcome {
        Ok(Reading::EtcdStatus(answers)) => {
            answers.iter().filter_map(|answer| Some((member(look, answer)?, answer.answer.as_ref()))).collect()
        }
        _ => Vec::new(),
    }
}

/// What each member of a round of `/health` said; nothing for other looks.
pub(super) fn healths(look: &Observation) -> Vec<(Subject, Result<&MemberHealth, &Unseen>)> {
    match &look.outcome {
        Ok(Reading::EtcdHealth(answers)) => {
            answers.iter().filter_map(|answer| Some((member(look, answer)?, answer.answer.as_ref()))).collect()
        }
        _ => Vec::new(),
    }
}

pub(super) fn member<T>(look: &Observation, answer: &MemberAnswer<T>) -> Option<Subject> {
    let Subject::Etcd(cluster, etcd) = &look.probe.subject else { return None };
    Some(Subject::EtcdMember(cluster.clone(), etcd.clone(), answer.member.clone()))
}
