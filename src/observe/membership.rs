//! etcd's own list of its members, as the watched members report it: who has a vote, who has never started, who of them
//! is watched here.
//!
//! Each member reports the list from its own memory, without asking the others, so one that is cut off may report an
//! old one: what most of them tell at present counts. Read by the counting of votes and by the rules.

use std::collections::BTreeSet;

use crate::model::etcd::{MemberListing, MemberStatus};
use crate::model::time::Now;

/// One etcd cluster by its own list.
#[derive(Debug, Clone, Copy)]
pub struct Membership<'a> {
    /// Scheduled start of the round that reported it.
    pub at: Now,
    /// The members.
    pub members: &'a [MemberListing],
}

impl Membership<'_> {
    /// Ids of all members with a vote, those that have never started among them.
    #[must_use]
    pub fn voters(&self) -> BTreeSet<u64> {
        self.members.iter().filter(|member| !member.is_learner).map(|member| member.id).collect()
    }

    /// Members with a vote that have never started: etcd learns their names when they do.
    #[must_use]
    pub fn unstarted(&self) -> Vec<u64> {
        let unstarted = self.members.iter().filter(|member| !member.is_learner && member.name.is_empty());
        unstarted.map(|member| member.id).collect()
    }

    /// Whether a member has a vote.
    #[must_use]
    pub fn is_voter(&self, id: u64) -> bool {
        self.entry(id).is_some_and(|member| !member.is_learner)
    }

    /// The entry of a member.
    #[must_use]
    pub fn entry(&self, id: u64) -> Option<&MemberListing> {
        self.members.iter().find(|member| member.id == id)
    }
}

/// The cluster id that most members report: by distinct members first, by one that leads second.
#[must_use]
pub fn main_cluster(statuses: &[&MemberStatus]) -> Option<u64> {
    let ids: BTreeSet<u64> = statuses.iter().map(|status| status.cluster_id).collect();
    let weight = |id: u64| {
        let of_it = || statuses.iter().filter(move |status| status.cluster_id == id);
        let members: BTreeSet<u64> = of_it().map(|status| status.member_id).collect();
        (members.len(), of_it().any(|status| status.leader.is_some()))
    };
    // The lowest id of equals, so that the choice does not wander.
    ids.into_iter().rev().max_by_key(|id| weight(*id))
}

/// Whether two lists name the same members in the same state.
pub(super) fn is_alike(one: &Membership<'_>, other: &Membership<'_>) -> bool {
    let signature = |list: &Membership<'_>| -> BTreeSet<(u64, bool, bool)> {
        list.members.iter().map(|member| (member.id, member.is_learner, member.name.is_empty())).collect()
    };
    signature(one) == signature(other)
}
