//! What the scripted etcd members are to each other: who is cut off from the rest, in which term they are, and how full.

use std::collections::BTreeSet;

use vedette::model::etcd::{MemberAnswer, MemberStatus, ReadAnswer};
use vedette::model::phase::{Cause, Phase, Unseen};

/// The peer network of `prod/etcd/main`.
#[derive(Debug)]
pub(super) struct Peers {
    /// Members that hear none of the others.
    pub(super) apart: BTreeSet<u8>,
    /// Members that hear the others and are not heard.
    pub(super) unheard: BTreeSet<u8>,
    /// The term of those that hold together.
    pub(super) term: u64,
    /// Size of every member's database in bytes.
    pub(super) db_size_bytes: u64,
    /// The quota as the members tell it.
    pub(super) db_quota_bytes: Option<u64>,
}

impl Default for Peers {
    fn default() -> Self {
        Self {
            apart: BTreeSet::new(),
            unheard: BTreeSet::new(),
            term: 3,
            db_size_bytes: 20 << 20,
            db_quota_bytes: Some(2 << 30),
        }
    }
}

impl Peers {
    /// The cuts are over; terms stay what they are.
    pub(super) fn heal(&mut self) {
        self.apart.clear();
        self.unheard.clear();
    }

    /// A member is cut off. The rest elects anew, since the one that is cut may have led.
    pub(super) fn cut(&mut self, member: u8) {
        self.apart.insert(member);
        self.elect();
    }

    pub(super) fn elect(&mut self) {
        self.term += 1;
    }

    pub(super) fn is_apart(&self, member: u8) -> bool {
        self.apart.contains(&member)
    }

    /// With pre-vote a member that is cut off stays in its term and knows no leader.
    pub(super) fn told(&self, status: MemberStatus) -> MemberStatus {
        if !u8::try_from(status.member_id).is_ok_and(|member| self.is_apart(member)) {
            return status;
        }
        let errors = vec!["etcdserver: no leader".into()];
        MemberStatus { leader: None, raft_term: self.term - 1, errors, ..status }
    }

    pub(super) fn read(&self, member: u8, answer: MemberAnswer<ReadAnswer>) -> MemberAnswer<ReadAnswer> {
        let is_cut = self.is_apart(member) || self.unheard.contains(&member);
        let stuck = Unseen { phase: Phase::FirstByte, cause: Cause::Timeout };
        MemberAnswer { answer: if is_cut { Err(stuck) } else { answer.answer }, ..answer }
    }
}
