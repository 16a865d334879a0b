//! What the scripted etcd members are to each other: who is cut off from the rest, in which term they are, and how
//! full.

use std::collections::BTreeSet;

use vedette::model::etcd::{EtcdAlarm, EtcdAlarmKind, MemberAnswer, MemberListing, MemberStatus, ReadAnswer};
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
    /// Members that are clusters of their own, as after a restore of each alone.
    pub(super) alone: BTreeSet<u8>,
    /// All addresses lead to the first member.
    pub(super) same: bool,
    /// A fourth member is in the list and has never started.
    pub(super) unstarted: bool,
    /// Alarms that stand, as every member tells them.
    pub(super) alarms: Vec<EtcdAlarmKind>,
    /// Alarms that only the list of alarms tells.
    pub(super) listed: Vec<EtcdAlarmKind>,
}

impl Default for Peers {
    fn default() -> Self {
        Self {
            apart: BTreeSet::new(),
            unheard: BTreeSet::new(),
            term: 3,
            db_size_bytes: 20 << 20,
            db_quota_bytes: Some(2 << 30),
            alone: BTreeSet::new(),
            same: false,
            unstarted: false,
            alarms: Vec::new(),
            listed: Vec::new(),
        }
    }
}

impl Peers {
    /// The cuts are over; terms stay what they are.
    pub(super) fn heal(&mut self) {
        self.apart.clear();
        self.unheard.clear();
        self.alone.clear();
        self.same = false;
        self.unstarted = false;
        self.alarms.clear();
        self.listed.clear();
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
    pub(super) fn told(&self, mut status: MemberStatus) -> MemberStatus {
        status.alarms.extend(self.alarms.iter().map(|kind| EtcdAlarm { member_id: 2, kind: *kind }));
        if self.same {
            status.member_id = 1;
            return status;
        }
        if u8::try_from(status.member_id).is_ok_and(|member| self.alone.contains(&member)) {
            let (cluster_id, leader) = (90 + status.member_id, Some(status.member_id));
            return MemberStatus { cluster_id, leader, errors: Vec::new(), ..status };
        }
        if !u8::try_from(status.member_id).is_ok_and(|member| self.is_apart(member)) {
            return status;
        }
        let errors = vec!["etcdserver: no leader".into()];
        MemberStatus { leader: None, raft_term: self.term - 1, errors, ..status }
    }

    /// The list of members as member `id` tells it.
    pub(super) fn list(&self, id: u64) -> Vec<MemberListing> {
        let started = |id: u64| MemberListing {
            id,
            name: format!("etcd-{id}"),
            is_learner: false,
            client_urls: vec![format!("https://10.0.0.2{id}:2379")],
        };
        let is_alone = |id: u64| u8::try_from(id).is_ok_and(|member| self.alone.contains(&member));
        if is_alone(id) {
            return vec![started(id)];
        }
        let unstarted = MemberListing { id: 4, name: String::new(), is_learner: false, client_urls: Vec::new() };
        let rest = (1..=3).filter(|id| !is_alone(*id)).map(started);
        rest.chain(self.unstarted.then_some(unstarted)).collect()
    }

    /// Alarms as the members' list has them.
    pub(super) fn alarm_list(&self) -> Vec<EtcdAlarm> {
        self.alarms.iter().chain(&self.listed).map(|kind| EtcdAlarm { member_id: 2, kind: *kind }).collect()
    }

    pub(super) fn read(&self, member: u8, answer: MemberAnswer<ReadAnswer>) -> MemberAnswer<ReadAnswer> {
        let is_cut = self.is_apart(member) || self.unheard.contains(&member);
        let stuck = Unseen { phase: Phase::FirstByte, cause: Cause::Timeout };
        MemberAnswer { answer: if is_cut { Err(stuck) } else { answer.answer }, ..answer }
    }
}
