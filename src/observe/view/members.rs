//! Which member list is used, of all that the members of one etcd cluster report.

use serde::{Deserialize, Serialize};

use crate::model::etcd::MemberStatus;
use crate::model::freshness;
use crate::model::probe::ProbeKind;
use crate::model::subject::Subject;
use crate::observe::membership::{self, Membership};

use super::{Aspect, View};

/// Which list is used, and to which etcd cluster most members belong: needed by every evaluation, and computed from all
/// statuses and lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chosen {
    source_member: Option<Subject>,
    main: Option<u64>,
}

impl View {
    /// The list that most members of the etcd cluster `etcd` report at present. A member that is missing in its own
    /// list reports that of another cluster, or of one that has removed it.
    #[must_use]
    pub fn membership(&self, etcd: &Subject) -> Option<Membership<'_>> {
        let (at, members) = self.member_list(self.chosen.get(etcd)?.source_member.as_ref()?)?;
        Some(Membership { at: *at, members })
    }

    /// The id of the etcd cluster to which most of the watched members belong: of those that answer, else of those that
    /// did.
    #[must_use]
    pub fn main_cluster(&self, etcd: &Subject) -> Option<u64> {
        self.chosen.get(etcd)?.main
    }

    /// Chooses anew, after new statuses or lists of `etcd`.
    pub(super) fn choose(&mut self, etcd: &Subject) {
        let main = self.most_common_cluster(etcd);
        let chosen = Chosen { source_member: self.source_member(etcd, main), main };
        self.chosen.insert(etcd.clone(), chosen);
    }

    fn source_member(&self, etcd: &Subject, main: Option<u64>) -> Option<Subject> {
        let told: Vec<(Subject, Membership<'_>)> = self
            .watched_members(etcd)
            .filter_map(|member| {
                let (at, members) = self.member_list(&member)?;
                let is_its_own = self.status(&member).is_none_or(|(_, status)| {
                    main.is_none_or(|main| main == status.cluster_id)
                        && members.iter().any(|listed| listed.id == status.member_id)
                });
                is_its_own.then_some((member, Membership { at: *at, members }))
            })
            .collect();
        let newest = told.iter().map(|(_, list)| list.at.mono).max()?;
        // An outdated list only counts while no member reports a newer one.
        let lasting = self.policy().interval(etcd, ProbeKind::EtcdMembers) * freshness::INTERVALS;
        let present = || told.iter().filter(|(_, list)| newest.since(list.at.mono) <= lasting);
        let tellers = |list: &Membership<'_>| present().filter(|(_, other)| membership::is_alike(other, list)).count();
        present().max_by_key(|(_, list)| (tellers(list), list.at.mono)).map(|(member, _)| member.clone())
    }

    fn most_common_cluster(&self, etcd: &Subject) -> Option<u64> {
        let statuses = |is_wanted: &dyn Fn(&Subject) -> bool| -> Vec<&MemberStatus> {
            let wanted = self.watched_members(etcd).filter(|member| is_wanted(member));
            wanted.filter_map(|member| self.status(&member).map(|(_, status)| status)).collect()
        };
        let answers = |member: &Subject| self.track(member, Aspect::Answer).is_some_and(|track| track.good().is_some());
        membership::main_cluster(&statuses(&answers)).or_else(|| membership::main_cluster(&statuses(&|_| true)))
    }

    /// The members of `etcd` that are watched.
    fn watched_members<'a>(&'a self, etcd: &'a Subject) -> impl Iterator<Item = Subject> + 'a {
        self.inventory().members(etcd)
    }
}
