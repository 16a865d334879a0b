//! What a rule evaluates: one cluster, or the vantage, at one time.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::etcd::MemberListing;
use crate::model::inventory::Cluster;
use crate::model::policy::Policy;
use crate::model::rule::RuleId;
use crate::model::subject::{Name, Subject};
use crate::model::time::{Mono, Now};
use crate::model::verdict::{Finding, Symptom, Verdict, Why};
use crate::observe::aspect::Aspect;
use crate::observe::membership::Membership;
use crate::observe::probe_runs::{BadRun, Confirmation, Run};
use crate::observe::view::View;

/// One cluster, or the vantage, at one time.
#[derive(Debug, Clone, Copy)]
pub struct RuleContext<'a> {
    /// Everything known.
    pub view: &'a View,
    /// The cluster; `None` for the vantage.
    pub cluster: Option<(&'a Name, &'a Cluster)>,
    /// The time of evaluation.
    pub now: Now,
    /// What was raised of it and has not ended, in the order of the keys, each as it was last evaluated as bad.
    pub raised: &'a [&'a Finding],
}

/// The voters of an etcd cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Voters {
    /// All of them.
    pub all: usize,
    /// Those that have started and are not watched: nothing is known of them, so they count as running.
    pub unwatched: usize,
}

/// The state of one subject under one aspect.
#[derive(Debug, Clone, Copy)]
pub enum SubjectState<'a> {
    /// Freshly good.
    Good(&'a Run),
    /// Confirmed bad.
    Bad {
        /// The bad probes.
        bad: &'a BadRun,
        /// Whether our own path could not be proven.
        path_unproven: bool,
    },
    /// Not known.
    Unknown(Why),
}

impl<'a> RuleContext<'a> {
    /// The numbers that decide.
    #[must_use]
    pub fn policy(&self) -> &'a Policy {
        self.view.policy()
    }

    /// What `rule` has raised and not ended, as it was last evaluated as bad.
    pub fn raised(&self, rule: RuleId) -> impl Iterator<Item = &'a Finding> + use<'a> {
        let raised: &'a [&'a Finding] = self.raised;
        let from = raised.partition_point(|finding| finding.rule < rule);
        raised[from..].iter().copied().take_while(move |finding| finding.rule == rule)
    }

    /// The finding of `rule` about `subject` that was raised and has not ended.
    #[must_use]
    pub fn raised_of(&self, rule: RuleId, subject: &Subject) -> Option<&'a Finding> {
        self.raised(rule).find(|finding| finding.subject == *subject)
    }

    /// How long `subject` has been bad that is so since `first`, by the probes of this process. Where it has seen no
    /// good one, what was `raised` of it before a restart has lasted since then: a restart makes no fault younger.
    #[must_use]
    pub fn bad_for(&self, subject: &Subject, aspect: Aspect, first: Now, raised: Option<&Finding>) -> Duration {
        let was_good = self.view.track(subject, aspect).is_some_and(|track| track.last_good().is_some());
        let before = raised.filter(|_| !was_good).map_or(Duration::ZERO, |raised| first.wall.since(raised.since));
        self.now.since(first).saturating_add(before)
    }

    /// Whether `place` has failed at all lately: a path of ours that loses packets fails everything in part, while a
    /// place that has been down for long shows nothing about it.
    #[must_use]
    pub fn has_failed(&self, place: &Subject) -> bool {
        let window = self.policy().partly_window;
        let track = self.view.track(place, Aspect::Answer);
        track.is_some_and(|track| track.failures(self.now.mono, window).next().is_some())
    }

    /// The instances of the cluster; its API VIP stands in for them where none is configured.
    #[must_use]
    pub fn instances(&self) -> Vec<Subject> {
        let Some((name, cluster)) = self.cluster else { return Vec::new() };
        cluster.instances(name)
    }

    /// Every endpoint of the cluster that serves a certificate: instances, the API VIP, etcd members.
    #[must_use]
    pub fn served_endpoints(&self) -> Vec<Subject> {
        let Some((name, cluster)) = self.cluster else { return Vec::new() };
        cluster.served_subjects(name).collect()
    }

    /// The etcd clusters.
    #[must_use]
    pub fn etcds(&self) -> Vec<Subject> {
        let Some((name, cluster)) = self.cluster else { return Vec::new() };
        cluster.etcds.keys().map(|etcd| Subject::Etcd(name.clone(), etcd.clone())).collect()
    }

    /// The members of one etcd cluster.
    #[must_use]
    pub fn members(&self, etcd: &Subject) -> Vec<Subject> {
        self.view.inventory().members(etcd).collect()
    }

    /// Whether an endpoint answered over a connection opened earlier, in a probe scheduled after `since`.
    #[must_use]
    pub fn reused_answers(&self, endpoint: &Subject, since: Now) -> bool {
        let good = self.view.track(endpoint, Aspect::Ordinary).and_then(|track| track.good().copied());
        good.is_some_and(|good| good.last.mono > since.mono)
    }

    /// Whether a member has a vote: by etcd's own list, else by what it reports, by its status or by the page of its
    /// metrics listener. A member that does not report it counts as a voter, so that a majority is not assumed too
    /// easily.
    #[must_use]
    pub fn is_voter(&self, member: &Subject) -> bool {
        let list = member.etcd().and_then(|etcd| self.view.membership(&etcd));
        if let (Some(list), Some((_, status))) = (list, self.view.status(member)) {
            return list.is_voter(status.member_id);
        }
        let told = self.view.status(member).map(|(_, status)| status.is_learner);
        let told = told.or_else(|| self.view.metrics(member).and_then(|(_, page)| page.is_learner));
        told != Some(true)
    }

    /// How many voters an etcd cluster has, and how many of them are running without being watched: by its own list,
    /// else those among the configured members, each once however many names lead to it.
    #[must_use]
    pub fn voters(&self, etcd: &Subject) -> Voters {
        let members = self.members(etcd);
        let id = |member: &Subject| self.view.status(member).map(|(_, status)| (status.cluster_id, status.member_id));
        let voters = || members.iter().filter(|member| self.is_voter(member));
        let ids: BTreeSet<(u64, u64)> = voters().filter_map(id).collect();
        let watched = ids.len() + voters().filter(|member| id(member).is_none()).count();
        let Some(list) = self.view.membership(etcd) else { return Voters { all: watched, unwatched: 0 } };
        let all = list.voters().len();
        Voters { all, unwatched: all.saturating_sub(watched + list.unstarted().len()) }
    }

    /// Members of etcd's own list that have started and are not watched, by name and address as etcd reports them.
    /// Empty while a configured member has never been seen that could be one of them.
    #[must_use]
    pub fn not_watched(&self, etcd: &Subject) -> Vec<String> {
        let Some(list) = self.view.membership(etcd) else { return Vec::new() };
        let members = self.members(etcd);
        let (rest, unseen) = self.unmatched(&members, &list);
        if !unseen.is_empty() {
            return Vec::new();
        }
        let told = |listed: &&MemberListing| match listed.client_urls.first() {
            Some(url) => format!("{} ({url})", listed.name),
            None => listed.name.clone(),
        };
        rest.iter().filter(|listed| !listed.name.is_empty()).map(told).collect()
    }

    /// Watched members that etcd's own list does not have, by a list that was asked for after they were last seen.
    #[must_use]
    pub fn not_listed(&self, etcd: &Subject) -> Vec<Subject> {
        let (Some(list), main) = (self.view.membership(etcd), self.view.main_cluster(etcd)) else { return Vec::new() };
        let members = self.members(etcd);
        let (rest, unseen) = self.unmatched(&members, &list);
        let is_stranger = |member: &&Subject| match self.view.status(member) {
            Some((_, status)) => {
                let answered =
                    self.view.track(member, Aspect::Answer).and_then(|track| track.good()).map(|run| run.first);
                let since = answered.or_else(|| self.view.track(member, Aspect::Answer)?.last_good());
                main == Some(status.cluster_id)
                    && list.entry(status.member_id).is_none()
                    && since.is_some_and(|since| list.at.mono > since.mono)
            }
            // Never seen, and all members in the list are known as others.
            None => {
                rest.is_empty() && unseen.contains(member) && self.subject_state(member, Aspect::Answer).bad().is_some()
            }
        };
        members.iter().filter(is_stranger).cloned().collect()
    }

    /// Entries of the list that no configured member is, and configured members that were never seen and are none of
    /// them by name or address.
    fn unmatched<'m>(
        &self,
        members: &'m [Subject],
        list: &Membership<'a>,
    ) -> (Vec<&'a MemberListing>, Vec<&'m Subject>) {
        let inventory = self.view.inventory();
        let is_at = |member: &Subject, listed: &MemberListing| {
            let address = inventory.address(member);
            let leads_there =
                |url: &String| url.split_once("://").is_some_and(|(_, rest)| rest.trim_end_matches('/') == address);
            listed.name == member.short() || listed.client_urls.iter().any(leads_there)
        };
        let is = |member: &Subject, listed: &MemberListing| match self.view.status(member) {
            Some((_, status)) => status.member_id == listed.id,
            None => is_at(member, listed),
        };
        let rest = list.members.iter().filter(|listed| !members.iter().any(|member| is(member, listed))).collect();
        let is_unseen = |member: &&Subject| {
            self.view.status(member).is_none() && !list.members.iter().any(|listed| is_at(member, listed))
        };
        (rest, members.iter().filter(is_unseen).collect())
    }

    /// The configured quota of an etcd cluster in bytes.
    #[must_use]
    pub fn quota(&self, etcd: &Subject) -> Option<u64> {
        self.view.inventory().etcd(etcd)?.quota_bytes
    }

    /// The configured name of the member with that id, or the id as etcdctl prints it.
    #[must_use]
    pub fn member_name(&self, etcd: &Subject, id: u64) -> String {
        let members = self.members(etcd);
        let named =
            members.iter().find(|member| self.view.status(member).is_some_and(|(_, status)| status.member_id == id));
        named.map_or_else(|| format!("member {id:x}"), |member| member.short().to_owned())
    }

    /// Reference targets and resolvers outside this machine.
    #[must_use]
    pub fn references(&self) -> Vec<Subject> {
        self.view.inventory().remote_points().collect()
    }

    /// The subject of statements about the whole cluster.
    #[must_use]
    pub fn whole(&self) -> Option<Subject> {
        self.cluster.map(|(name, _)| Subject::Cluster(name.clone()))
    }

    /// A good verdict from the configuration alone, without probes: it lasts as long as this process has the
    /// configuration.
    #[must_use]
    pub const fn as_configured(&self) -> Verdict {
        let since = Now { wall: self.now.wall, mono: Mono(Duration::ZERO) };
        Verdict::Good { since, until: self.now, probes: u32::MAX }
    }

    /// The state of `subject`.
    #[must_use]
    pub fn subject_state(&self, subject: &Subject, aspect: Aspect) -> SubjectState<'a> {
        let Some(track) = self.view.track(subject, aspect) else { return SubjectState::Unknown(Why::NeverSeen) };
        if track.is_out_of_reach() {
            return SubjectState::Unknown(Why::Vantage);
        }
        if let (Confirmation::Confirmed { path_unproven }, Some(bad)) =
            (self.view.confirmation(subject, aspect, self.now.mono), track.bad())
        {
            return SubjectState::Bad { bad, path_unproven };
        }
        let freshness = aspect.freshness(subject, self.policy());
        match track.good() {
            Some(run) if track.is_freshly_good(freshness, self.now.mono) => SubjectState::Good(run),
            _ => SubjectState::Unknown(track.why(self.now.mono, freshness)),
        }
    }
}

impl SubjectState<'_> {
    /// The verdict that follows from this state alone, where it is not bad.
    #[must_use]
    pub const fn unless_bad(&self) -> Verdict {
        match self {
            Self::Good(run) => run.good(),
            Self::Bad { bad, .. } => Verdict::Unknown(Why::Suspected { since: bad.run.first }),
            Self::Unknown(why) => Verdict::Unknown(*why),
        }
    }

    /// The good run.
    #[must_use]
    pub const fn good(&self) -> Option<&Run> {
        match self {
            Self::Good(run) => Some(run),
            Self::Bad { .. } | Self::Unknown(_) => None,
        }
    }

    /// The confirmed bad run.
    #[must_use]
    pub const fn bad(&self) -> Option<&BadRun> {
        match self {
            Self::Bad { bad, .. } => Some(bad),
            Self::Good(_) | Self::Unknown(_) => None,
        }
    }

    /// Whether it was confirmed without proof of our path.
    #[must_use]
    pub const fn is_unproven(&self) -> bool {
        matches!(self, Self::Bad { path_unproven: true, .. })
    }
}

/// A good verdict from several runs that must all be good: it lasts since the youngest of them.
#[must_use]
pub fn all_good<'r>(runs: impl IntoIterator<Item = &'r Run>) -> Option<Verdict> {
    let merged = runs.into_iter().copied().reduce(|all, run| Run {
        first: if run.first.mono > all.first.mono { run.first } else { all.first },
        last: if run.last.mono < all.last.mono { run.last } else { all.last },
        probes: all.probes.min(run.probes),
    });
    merged.map(Run::good)
}

/// A good verdict from several runs of which one suffices: it lasts since the oldest of them.
#[must_use]
pub fn any_good<'r>(runs: impl IntoIterator<Item = &'r Run>) -> Option<Verdict> {
    let oldest = runs.into_iter().min_by_key(|run| run.first.mono)?;
    Some(Verdict::Good { since: oldest.first, until: oldest.last, probes: oldest.probes })
}

/// The most important of several reasons for an unknown verdict: a suspicion outranks everything, the oldest one first.
#[must_use]
pub fn gravest(reasons: impl IntoIterator<Item = Why>) -> Why {
    let rank = |why: &Why| match why {
        Why::Suspected { .. } => 0,
        Why::Vantage => 1,
        Why::Unclear => 2,
        Why::Stale => 3,
        Why::NeverSeen => 4,
    };
    reasons.into_iter().min_by_key(rank).unwrap_or(Why::NeverSeen)
}

/// Whether the instance gives no usable answer, as against one that names what it is not ready for.
#[must_use]
pub const fn is_down(symptom: &Symptom) -> bool {
    match symptom {
        Symptom::Silent(_) | Symptom::Status(_) | Symptom::Foreign { .. } => true,
        Symptom::NotReady(_) => false,
    }
}
