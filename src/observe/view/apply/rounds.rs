//! How a round over the members of an etcd cluster changes what is known.

use std::sync::Arc;

use crate::model::etcd::{
    EtcdAlarm, MemberAnswer, MemberHealth, MemberListing, MemberMetrics, MemberStatus, Quota, QuotaSource, ReadAnswer,
};
use crate::model::observation::Observation;
use crate::model::subject::{Name, Subject};
use crate::model::time::Now;
use crate::model::verdict::Symptom;
use crate::observe::assessment::Assessment;
use crate::observe::elections::Led;
use crate::observe::latency;
use crate::observe::probe_runs::Effect;
use crate::observe::quorum::{self, Before, Count};

use super::{Aspect, Taken, View};

impl View {
    pub(super) fn take_status(
        &mut self,
        observation: &Observation,
        answers: &[MemberAnswer<MemberStatus>],
        now: Now,
        taken: &mut Taken,
    ) {
        if quorum::is_spread(answers, self.policy.round_spread) {
            taken.is_void = true;
            return;
        }
        let round = &observation.probe.subject;
        let known = |name: &Name| self.statuses.get(&round.member(name)?).map(|(_, status)| status);
        let before = Before {
            status: &known,
            list: self.membership(round),
            is_list_asked: self.lists_asked.contains_key(round),
        };
        let count = quorum::count_with(answers, |name| known(name).is_some_and(|status| status.is_learner), &before);
        for (subject, answer) in observation.by_member(answers) {
            self.apply_tls_mismatch(observation, &subject, answer);
            if let Ok(status) = &answer.answer {
                self.take_member(observation.scheduled, subject, status);
            }
        }
        self.take_count(observation, count, now, taken);
        self.choose(&observation.probe.subject);
    }

    /// What a member reports of itself, unless a later probe is known already.
    fn take_member(&mut self, scheduled: Now, subject: Subject, status: &MemberStatus) {
        let known = self.statuses.get(&subject);
        if known.is_some_and(|(at, _)| at.mono > scheduled.mono) {
            return;
        }
        let identity = |status: &MemberStatus| (status.cluster_id, status.member_id);
        if known.is_some_and(|(_, known)| identity(known) != identity(status)) {
            // Another member answers there: the growth and quota of the former one do not apply to it.
            self.sizes.remove(&subject);
            self.forget_quota(&subject, |_| true);
        }
        self.sizes.entry(subject.clone()).or_default().take(scheduled.mono, status.db_size_bytes);
        match status.db_quota_bytes {
            Some(bytes) => self.set_quota(&subject, Some(Quota { bytes, source: QuotaSource::Status })),
            // It reported one and does not any more, as after a downgrade.
            None => self.forget_quota(&subject, |source| source == QuotaSource::Status),
        }
        self.statuses.insert(subject, (scheduled, status.clone()));
    }

    fn apply_tls_mismatch<T>(&mut self, observation: &Observation, subject: &Subject, answer: &MemberAnswer<T>) {
        let is_late =
            self.counts.get(&observation.probe.subject).is_some_and(|(at, _)| at.mono > observation.scheduled.mono);
        if is_late {
            return;
        }
        match &answer.answer {
            Err(unseen) if unseen.cause.is_tls_mismatch() => self.tls_mismatch.insert(subject.clone(), *unseen),
            Ok(_) | Err(_) => self.tls_mismatch.remove(subject),
        };
    }

    /// The member lists that etcd's members report. An empty list does not count.
    pub(super) fn take_members(
        &mut self,
        observation: &Observation,
        answers: &[MemberAnswer<Vec<MemberListing>>],
        now: Now,
    ) {
        let scheduled = observation.scheduled;
        for (member, answer) in observation.by_member(answers) {
            let Ok(list) = &answer.answer else { continue };
            let is_latest = self.member_lists.get(&member).is_none_or(|(at, _)| at.mono <= scheduled.mono);
            if is_latest && !list.is_empty() {
                self.member_lists.insert(member, (scheduled, list.clone()));
            }
        }
        let subject = &observation.probe.subject;
        let asked = self.lists_asked.entry(subject.clone()).or_insert(scheduled.mono);
        *asked = (*asked).max(scheduled.mono);
        self.choose(subject);
        let assessment = match self.membership(subject).filter(|list| list.at == scheduled) {
            Some(list) if list.unstarted().is_empty() => Assessment::Good,
            Some(_) => Assessment::Bad(Symptom::Status(0)),
            None => Assessment::Unclear,
        };
        self.follow(subject, Aspect::Started, scheduled, assessment, now);
    }

    pub(super) fn take_health(
        &mut self,
        observation: &Observation,
        answers: &[MemberAnswer<MemberHealth>],
        now: Now,
        taken: &mut Taken,
    ) {
        if quorum::is_spread(answers, self.policy.round_spread) {
            taken.is_void = true;
            return;
        }
        for (member, answer) in observation.by_member(answers) {
            self.apply_tls_mismatch(observation, &member, answer);
        }
        let page = |name: &Name| self.metrics.get(&observation.probe.subject.member(name)?);
        let count =
            quorum::count_healths(answers, |name| page(name).is_some_and(|(_, page)| page.is_learner == Some(true)));
        self.take_count(observation, count, now, taken);
    }

    pub(super) fn take_metrics(
        &mut self,
        observation: &Observation,
        answers: &[MemberAnswer<MemberMetrics>],
        now: Now,
        taken: &mut Taken,
    ) {
        // Where there are client ports, the statuses report the same, and more often.
        if self.inventory.etcd(&observation.probe.subject).is_some_and(|known| known.is_metrics_only) {
            let (subject, assessment) = (&observation.probe.subject, quorum::pages_as_configured(answers));
            let effect = self.follow(subject, Aspect::ConfiguredPages, observation.scheduled, assessment, now);
            if effect == Effect::TurnedBad {
                taken.repeat.push((observation.probe.clone(), observation.scheduled));
            }
        }
        for (member, answer) in observation.by_member(answers) {
            let Ok(page) = &answer.answer else { continue };
            let known = self.metrics.get(&member);
            if known.is_some_and(|(at, _)| at.mono >= observation.scheduled.mono) {
                continue;
            }
            let same = known.filter(|(_, known)| known.started == page.started);
            let slowest = same.map(|(at, known)| {
                let over = observation.scheduled.mono.since(at.mono);
                latency::slowest(known, page, over)
            });
            let told = page.db_quota_bytes.map(|bytes| Quota { bytes, source: QuotaSource::Metrics });
            self.metrics.insert(member.clone(), (observation.scheduled, page.clone()));
            if let Some(cluster_snapshot) = member.cluster().and_then(|cluster| self.pictures.get_mut(cluster)) {
                Arc::make_mut(cluster_snapshot).members.or_default(&member).slowest = slowest;
            }
            let is_only_source = !self.statuses.contains_key(&member);
            if let Some(bytes) = page.db_size_bytes.filter(|_| is_only_source) {
                self.sizes.entry(member.clone()).or_default().take(observation.scheduled.mono, bytes);
            }
            let tells_itself = self.statuses.get(&member).is_some_and(|(_, status)| status.db_quota_bytes.is_some());
            if !tells_itself {
                match told {
                    Some(_) => self.set_quota(&member, told),
                    None => self.forget_quota(&member, |source| source == QuotaSource::Metrics),
                }
            }
        }
    }

    /// Forgets a quota of that source.
    fn forget_quota(&mut self, member: &Subject, is_void: impl Fn(QuotaSource) -> bool) {
        let cluster_snapshot = member.cluster().and_then(|cluster| self.pictures.get_mut(cluster));
        let Some(cluster_snapshot) = cluster_snapshot else { return };
        let quota = cluster_snapshot.members.get(member).and_then(|facts| facts.quota);
        if quota.is_some_and(|quota| is_void(quota.source)) {
            Arc::make_mut(cluster_snapshot).members.or_default(member).quota = None;
        }
    }

    /// A quota that is not reported leaves the known one as it is.
    fn set_quota(&mut self, member: &Subject, quota: Option<Quota>) {
        let cluster_snapshot = member.cluster().and_then(|cluster| self.pictures.get_mut(cluster));
        if let (Some(cluster_snapshot), Some(_)) = (cluster_snapshot, quota)
            && cluster_snapshot.members.get(member).and_then(|facts| facts.quota) != quota
        {
            Arc::make_mut(cluster_snapshot).members.or_default(member).quota = quota;
        }
    }

    fn take_count(&mut self, observation: &Observation, count: Count, now: Now, taken: &mut Taken) {
        let by_member = [(Aspect::Answer, &count.members), (Aspect::Mind, &count.minds)];
        for (aspect, (name, assessment)) in
            by_member.iter().flat_map(|(aspect, all)| all.iter().map(|one| (*aspect, one)))
        {
            let Some(member) = observation.probe.subject.member(name) else { continue };
            self.note(member, aspect, observation.scheduled, assessment.clone(), now, taken);
        }
        let subject = observation.probe.subject.clone();
        self.note(subject.clone(), Aspect::Leader, observation.scheduled, count.leader.clone(), now, taken);
        let configured = count.as_configured.clone();
        self.note(subject.clone(), Aspect::Configured, observation.scheduled, configured, now, taken);
        for (kind, assessment) in &count.raised {
            self.note(subject.clone(), Aspect::Alarm(*kind), observation.scheduled, assessment.clone(), now, taken);
        }
        let is_latest = self.counts.get(&subject).is_none_or(|(at, _)| at.mono <= observation.scheduled.mono);
        if is_latest {
            if let (Some(leader), Some(term)) = (count.agreed, count.term) {
                let window = self.policy.flap_window;
                let led = Led { cluster: count.cluster, term, leader };
                self.elections.entry(subject.clone()).or_default().take(observation.scheduled, led, window);
            }
            self.counts.insert(subject, (observation.scheduled, count));
        }
    }

    pub(super) fn take_reads(
        &mut self,
        observation: &Observation,
        answers: &[MemberAnswer<ReadAnswer>],
        now: Now,
        taken: &mut Taken,
    ) {
        let member = |name: &Name| observation.probe.subject.member(name);
        let status = |name: &Name| self.statuses.get(&member(name)?);
        let signs = quorum::reads(answers, |name| status(name).is_some_and(|(_, status)| status.is_learner));
        for (name, assessment) in signs {
            let Some(member) = member(&name) else { continue };
            self.note(member, Aspect::Read, observation.scheduled, assessment, now, taken);
        }
    }

    pub(super) fn take_alarms(
        &mut self,
        observation: &Observation,
        answers: &[MemberAnswer<Vec<EtcdAlarm>>],
        now: Now,
        taken: &mut Taken,
    ) {
        let subject = &observation.probe.subject;
        let (alarms, signs) = quorum::listed_alarms(answers);
        for (kind, assessment) in signs {
            if self.follow(subject, Aspect::ListedAlarm(kind), observation.scheduled, assessment, now)
                == Effect::TurnedBad
            {
                taken.repeat.push((observation.probe.clone(), observation.scheduled));
            }
        }
        let is_seen = answers.iter().any(|answer| answer.answer.is_ok());
        let is_latest = self.alarm_lists.get(subject).is_none_or(|(at, _)| at.mono <= observation.scheduled.mono);
        if is_seen && is_latest {
            self.alarm_lists.insert(subject.clone(), (observation.scheduled, alarms));
        }
    }
}
