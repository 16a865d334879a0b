//! How one observation changes what is known.

use std::sync::Arc;

use crate::model::certificate_files::FilesReading;
use crate::model::etcd::{
    EtcdAlarm, MemberAnswer, MemberHealth, MemberListing, MemberMetrics, MemberStatus, Quota, QuotaSource, ReadAnswer,
};
use crate::model::observation::{AddressAnswer, Observation, Reading};
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::probe::{Probe, ProbeKind};
use crate::model::subject::{Name, Subject};
use crate::model::time::{Now, UnixTime};
use crate::model::verdict::Symptom;
use crate::observe::assessment::Assessment;
use crate::observe::certificate_files::FilesView;
use crate::observe::client_hello;
use crate::observe::elections::Led;
use crate::observe::history;
use crate::observe::latency;
use crate::observe::probe_runs::Effect;
use crate::observe::quorum::{self, Before, Count};

use super::{Aspect, ServedSeen, View};

/// What one observation changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// The cluster about which something changed.
    pub touched: Option<Name>,
    /// Subjects that showed their first bad sign, with its scheduled start.
    pub turned_bad: Vec<(Subject, Now)>,
    /// An endpoint that served an expired certificate, or a chain that is refused, for the first time: a second
    /// handshake follows.
    pub doubtful_chain: Option<Subject>,
    /// One of its addresses did not answer in a probe scheduled then: two more follow.
    pub partly_dead: Option<(Subject, Now)>,
    /// Probes whose first bad sign only they can confirm: two more follow at once, the first scheduled here.
    pub repeat: Vec<(Probe, Now)>,
    /// Handshakes to make with an endpoint that may not get our large ClientHello.
    pub test: Option<(Subject, client_hello::Test)>,
    /// A proxy turned good or bad, or is bad.
    pub way: bool,
    /// Something in it is new, or not certain yet.
    pub is_news: bool,
    /// It came after a later scheduled probe and changed nothing.
    pub is_late: bool,
    /// It was made while our own side failed, and does not count.
    pub is_void: bool,
}

impl Taken {
    /// Whether it repeats the one before, so that no further probe is needed.
    #[must_use]
    pub const fn goes_on(&self) -> bool {
        !self.is_news && !self.way
    }
}

impl View {
    /// Processes one observation, which arrived at `now`.
    pub fn take(&mut self, observation: &Arc<Observation>, now: Now) -> Taken {
        let mut taken = Taken { touched: observation.probe.subject.cluster().cloned(), ..Taken::default() };
        if observation.proves_path {
            self.path.prove(observation.scheduled);
            self.references.hear(&observation.probe.subject, observation.scheduled, &self.policy);
        }
        taken.is_news = !is_frequent(observation.probe.kind);
        self.keep(observation, &mut taken);
        if self.is_void(observation) {
            taken.is_void = true;
            return taken;
        }
        if self.is_unanswered(observation) {
            self.references.miss(&observation.probe.subject, observation.scheduled);
        }
        self.take_way(observation, now, &mut taken);
        self.take_greeting(observation, &mut taken);
        match &observation.outcome {
            Ok(Reading::EtcdStatus(answers)) => self.take_status(observation, answers, now, &mut taken),
            Ok(Reading::EtcdRead(answers)) => self.take_reads(observation, answers, now, &mut taken),
            Ok(Reading::Files(reading)) => self.take_files(observation, reading),
            Ok(Reading::EtcdHealth(answers)) => self.take_health(observation, answers, now, &mut taken),
            Ok(Reading::EtcdMetrics(answers)) => self.take_metrics(observation, answers, now, &mut taken),
            Ok(Reading::Addresses(answers)) => self.take_addresses(observation, answers, now, &mut taken),
            Ok(Reading::EtcdAlarms(answers)) => self.take_alarms(observation, answers, now, &mut taken),
            Ok(Reading::EtcdMembers(answers)) => self.take_members(observation, answers, now),
            _ => self.apply_assessment(observation, now, &mut taken),
        }
        self.take_served(observation, &mut taken);
        self.take_offset(observation);
        taken
    }

    /// Whether a place outside was asked and no answer proves our own network. A probe that failed on our own side
    /// shows nothing about the place.
    fn is_unanswered(&self, observation: &Observation) -> bool {
        fn all_silent<T>(answers: &[MemberAnswer<T>]) -> bool {
            !answers.is_empty() && answers.iter().all(|answer| answer.answer.as_ref().is_err_and(is_silence))
        }
        const fn is_silence(unseen: &Unseen) -> bool {
            !unseen.cause.is_refusal() && !matches!(unseen.cause, Cause::OwnFault)
        }
        if observation.proves_path {
            return false;
        }
        match &observation.outcome {
            Err(unseen) => is_silence(unseen) && self.inventory.is_remote(&observation.probe.subject),
            Ok(Reading::EtcdStatus(answers)) => all_silent(answers),
            Ok(Reading::EtcdRead(answers)) => all_silent(answers),
            Ok(Reading::EtcdHealth(answers)) => all_silent(answers),
            Ok(Reading::Resolver(_)) => self.inventory.is_remote(&observation.probe.subject),
            Ok(_) => false,
        }
    }

    fn is_void(&self, observation: &Observation) -> bool {
        let saw_all = match &observation.outcome {
            Ok(Reading::EtcdStatus(answers)) => answers.iter().all(|answer| answer.answer.is_ok()),
            Ok(Reading::EtcdRead(answers)) => answers.iter().all(|answer| answer.answer.is_ok()),
            Ok(Reading::EtcdHealth(answers)) => answers.iter().all(|answer| answer.answer.is_ok()),
            Ok(Reading::EtcdAlarms(answers)) => answers.iter().all(|answer| answer.answer.is_ok()),
            outcome => outcome.is_ok(),
        };
        self.void_until.is_some_and(|until| observation.scheduled.mono < until) && !saw_all
    }

    fn keep(&mut self, observation: &Arc<Observation>, taken: &mut Taken) {
        let latest = match observation.probe.subject.cluster() {
            Some(cluster) => {
                let Some(cluster_snapshot) = self.pictures.get_mut(cluster) else { return };
                let cluster_snapshot = Arc::make_mut(cluster_snapshot);
                history::count(cluster_snapshot, observation);
                &mut cluster_snapshot.observations
            }
            None => &mut self.vantage,
        };
        let known = latest.get(&observation.probe);
        if known.is_some_and(|known| known.scheduled.mono > observation.scheduled.mono) {
            taken.is_late = true;
        } else {
            latest.insert(observation.probe.clone(), Arc::clone(observation));
        }
    }

    fn apply_assessment(&mut self, observation: &Observation, now: Now, taken: &mut Taken) {
        let aspect = match observation.probe.kind {
            ProbeKind::Readyz | ProbeKind::Tripwire | ProbeKind::Reference | ProbeKind::Resolver => Aspect::Answer,
            ProbeKind::Version => Aspect::Ordinary,
            // Rounds that were lost as a whole show nothing about their members; the rest decides nothing by itself.
            ProbeKind::Livez
            | ProbeKind::EtcdStatus
            | ProbeKind::EtcdRead
            | ProbeKind::EtcdAlarms
            | ProbeKind::EtcdMembers
            | ProbeKind::EtcdHealth
            | ProbeKind::EtcdMetrics
            | ProbeKind::Chain
            | ProbeKind::Addresses
            | ProbeKind::OwnClock
            | ProbeKind::Files => return,
        };
        let assessment = self.assessment_of(observation);
        // Ordinary requests that queue until their deadline are the slowest of all.
        let queued = aspect == Aspect::Ordinary
            && matches!(&observation.outcome, Err(unseen) if unseen.cause == Cause::Timeout && unseen.phase >= Phase::FirstByte);
        // And so are those that are turned away from a full queue.
        let queued = queued || (aspect == Aspect::Ordinary && assessment == Assessment::Shed);
        let slow = (assessment == Assessment::Good || queued)
            .then(|| queued || observation.phases.total() > self.policy.slow_after);
        self.note(observation.probe.subject.clone(), aspect, observation.scheduled, assessment, now, taken);
        if let Some(track) = self.tracks.get_mut(&(observation.probe.subject.clone(), aspect)) {
            match slow {
                Some(slow) => track.take_pace(observation.scheduled, slow),
                None => track.forget_pace(),
            }
        }
    }

    fn take_greeting(&mut self, observation: &Observation, taken: &mut Taken) {
        let subject = &observation.probe.subject;
        let Some(greeting) =
            observation.greeting.filter(|_| matches!(subject, Subject::Apiserver(..) | Subject::Vip(_)))
        else {
            return;
        };
        let hellos = self.hellos.entry(subject.clone()).or_default();
        taken.test = hellos.take(observation.scheduled, greeting, &self.policy).map(|test| (subject.clone(), test));
        taken.is_news |= taken.test.is_some();
    }

    fn take_status(
        &mut self,
        observation: &Observation,
        answers: &[MemberAnswer<MemberStatus>],
        now: Now,
        taken: &mut Taken,
    ) {
        let Subject::Etcd(cluster, etcd) = observation.probe.subject.clone() else { return };
        if quorum::is_spread(answers, self.policy.round_spread) {
            taken.is_void = true;
            return;
        }
        let member = |name: &Name| Subject::EtcdMember(cluster.clone(), etcd.clone(), name.clone());
        let known = |name: &Name| self.statuses.get(&member(name)).map(|(_, status)| status);
        let before = Before {
            status: &known,
            list: self.membership(&observation.probe.subject),
            is_list_asked: self.lists_asked.contains_key(&observation.probe.subject),
        };
        let count = quorum::count_with(answers, |name| known(name).is_some_and(|status| status.is_learner), &before);
        for answer in answers {
            let subject = member(&answer.member);
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
            Some(bytes) => self.set_quota(subject.clone(), Some(Quota { bytes, source: QuotaSource::Status })),
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
    fn take_members(&mut self, observation: &Observation, answers: &[MemberAnswer<Vec<MemberListing>>], now: Now) {
        let Subject::Etcd(cluster, etcd) = observation.probe.subject.clone() else { return };
        let scheduled = observation.scheduled;
        for answer in answers {
            let Ok(list) = &answer.answer else { continue };
            let member = Subject::EtcdMember(cluster.clone(), etcd.clone(), answer.member.clone());
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

    fn take_health(
        &mut self,
        observation: &Observation,
        answers: &[MemberAnswer<MemberHealth>],
        now: Now,
        taken: &mut Taken,
    ) {
        let Subject::Etcd(cluster, etcd) = observation.probe.subject.clone() else { return };
        if quorum::is_spread(answers, self.policy.round_spread) {
            taken.is_void = true;
            return;
        }
        for answer in answers {
            let member = Subject::EtcdMember(cluster.clone(), etcd.clone(), answer.member.clone());
            self.apply_tls_mismatch(observation, &member, answer);
        }
        let count = quorum::count_healths(answers, |name| {
            let member = Subject::EtcdMember(cluster.clone(), etcd.clone(), name.clone());
            self.metrics.get(&member).is_some_and(|(_, page)| page.is_learner == Some(true))
        });
        self.take_count(observation, count, now, taken);
    }

    fn take_metrics(
        &mut self,
        observation: &Observation,
        answers: &[MemberAnswer<MemberMetrics>],
        now: Now,
        taken: &mut Taken,
    ) {
        let Subject::Etcd(cluster, etcd) = &observation.probe.subject else { return };
        // Where there are client ports, the statuses report the same, and more often.
        if self.inventory.etcd(&observation.probe.subject).is_some_and(|known| known.is_metrics_only) {
            let (subject, assessment) = (&observation.probe.subject, quorum::pages_as_configured(answers));
            let effect = self.follow(subject, Aspect::ConfiguredPages, observation.scheduled, assessment, now);
            if effect == Effect::TurnedBad {
                taken.repeat.push((observation.probe.clone(), observation.scheduled));
            }
        }
        for answer in answers {
            let Ok(page) = &answer.answer else { continue };
            let member = Subject::EtcdMember(cluster.clone(), etcd.clone(), answer.member.clone());
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
            if let Some(cluster_snapshot) = self.pictures.get_mut(cluster) {
                Arc::make_mut(cluster_snapshot).members.entry(member.clone()).or_default().slowest = slowest;
            }
            let is_only_source = !self.statuses.contains_key(&member);
            if let Some(bytes) = page.db_size_bytes.filter(|_| is_only_source) {
                self.sizes.entry(member.clone()).or_default().take(observation.scheduled.mono, bytes);
            }
            let tells_itself = self.statuses.get(&member).is_some_and(|(_, status)| status.db_quota_bytes.is_some());
            if !tells_itself {
                match told {
                    Some(_) => self.set_quota(member, told),
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
            Arc::make_mut(cluster_snapshot).members.entry(member.clone()).or_default().quota = None;
        }
    }

    /// A quota that is not reported leaves the known one as it is.
    fn set_quota(&mut self, member: Subject, quota: Option<Quota>) {
        let cluster_snapshot = member.cluster().and_then(|cluster| self.pictures.get_mut(cluster));
        if let (Some(cluster_snapshot), Some(_)) = (cluster_snapshot, quota)
            && cluster_snapshot.members.get(&member).and_then(|facts| facts.quota) != quota
        {
            Arc::make_mut(cluster_snapshot).members.entry(member).or_default().quota = quota;
        }
    }

    fn take_count(&mut self, observation: &Observation, count: Count, now: Now, taken: &mut Taken) {
        let Subject::Etcd(cluster, etcd) = observation.probe.subject.clone() else { return };
        let member = |name: &Name| Subject::EtcdMember(cluster.clone(), etcd.clone(), name.clone());
        for (name, assessment) in &count.members {
            self.note(member(name), Aspect::Answer, observation.scheduled, assessment.clone(), now, taken);
        }
        for (name, assessment) in &count.minds {
            self.note(member(name), Aspect::Mind, observation.scheduled, assessment.clone(), now, taken);
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

    fn take_reads(
        &mut self,
        observation: &Observation,
        answers: &[MemberAnswer<ReadAnswer>],
        now: Now,
        taken: &mut Taken,
    ) {
        let Subject::Etcd(cluster, etcd) = observation.probe.subject.clone() else { return };
        let member = |name: &Name| Subject::EtcdMember(cluster.clone(), etcd.clone(), name.clone());
        let signs = quorum::reads(answers, |name| {
            self.statuses.get(&member(name)).is_some_and(|(_, status)| status.is_learner)
        });
        for (name, assessment) in signs {
            self.note(member(&name), Aspect::Read, observation.scheduled, assessment, now, taken);
        }
    }

    fn take_alarms(
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

    fn follow(
        &mut self,
        subject: &Subject,
        aspect: Aspect,
        scheduled: Now,
        assessment: Assessment,
        now: Now,
    ) -> Effect {
        let track = self.tracks.entry((subject.clone(), aspect)).or_default();
        track.take(scheduled, assessment, &self.path, now.mono)
    }

    /// Whether what is known of it needs no further probe to be believed.
    fn is_settled(&self, subject: &Subject, aspect: Aspect) -> bool {
        self.track(subject, aspect).is_some_and(|track| track.is_settled(&self.policy))
    }

    fn note(
        &mut self,
        subject: Subject,
        aspect: Aspect,
        scheduled: Now,
        assessment: Assessment,
        now: Now,
        taken: &mut Taken,
    ) {
        let was_settled = self.is_settled(&subject, aspect);
        let effect = self.follow(&subject, aspect, scheduled, assessment, now);
        taken.is_news |= effect != Effect::Same || !was_settled || !self.is_settled(&subject, aspect);
        match effect {
            Effect::TurnedBad => taken.turned_bad.push((subject, scheduled)),
            Effect::Late => taken.is_late = true,
            Effect::TurnedGood | Effect::Same => {}
        }
    }

    /// Where no address answers, the endpoint's own probes report it; where there is only one, there is none to compare
    /// it with.
    fn take_addresses(&mut self, observation: &Observation, answers: &[AddressAnswer], now: Now, taken: &mut Taken) {
        let first_dead = answers.iter().find_map(|told| told.answer.err());
        let assessment = match first_dead {
            None => Assessment::Good,
            Some(unseen) if answers.iter().any(|told| told.answer.is_ok()) => Assessment::Bad(Symptom::Silent(unseen)),
            Some(_) => Assessment::Unclear,
        };
        let subject = observation.probe.subject.clone();
        let track = self.tracks.entry((subject.clone(), Aspect::Addresses)).or_default();
        match track.take(observation.scheduled, assessment, &self.path, now.mono) {
            Effect::TurnedBad => taken.partly_dead = Some((subject, observation.scheduled)),
            Effect::Late => taken.is_late = true,
            Effect::TurnedGood | Effect::Same => {}
        }
    }

    fn take_files(&mut self, observation: &Observation, reading: &Arc<FilesReading>) {
        let scope = observation.probe.subject.cluster().cloned();
        let before = self.shelves.get(&scope);
        if before.is_some_and(|before| before.at().mono > observation.scheduled.mono) {
            return;
        }
        let Some(watches) = self.inventory.files(scope.as_ref()) else { return };
        let cluster = scope.as_ref().and_then(|name| self.inventory.clusters.get_key_value(name));
        // A balancer serves what its instances serve, so a certificate is for it only where there are no instances or a
        // source says so.
        let is_meant = |subject: &Subject, has_instances: bool| {
            let is_said = watches.values().any(|watch| watch.serves.as_ref() == Some(subject));
            is_said || !has_instances || !matches!(subject, Subject::Vip(_))
        };
        let endpoints = cluster.into_iter().flat_map(|(name, cluster)| {
            let has_instances = !cluster.apiservers.is_empty();
            cluster.served_subjects(name).filter(move |subject| is_meant(subject, has_instances))
        });
        let served: Vec<_> = endpoints
            .filter_map(|subject| {
                let leaf = self.served.get(&subject)?.served.leaf().map(Arc::clone)?;
                Some((subject, leaf))
            })
            .collect();
        let files_view = FilesView::after(before, reading, observation.scheduled, watches, &served);
        if let Some(cluster_snapshot) = scope.as_ref().and_then(|cluster| self.pictures.get_mut(cluster)) {
            Arc::make_mut(cluster_snapshot).stored = Some((observation.scheduled.wall, Arc::clone(reading)));
        }
        self.shelves.insert(scope, files_view);
    }

    fn take_served(&mut self, observation: &Observation, taken: &mut Taken) {
        let Some(served) = &observation.served else { return };
        let subject = &observation.probe.subject;
        let known = self.served.get(subject);
        if known.is_some_and(|known| known.at.mono > observation.scheduled.mono) {
            return;
        }
        if let Some(cluster_snapshot) = subject.cluster().and_then(|cluster| self.pictures.get_mut(cluster)) {
            Arc::make_mut(cluster_snapshot)
                .served
                .insert(subject.clone(), (observation.scheduled.wall, Arc::clone(served)));
        }
        // A chain of which nothing can be read is shown, but not evaluated.
        let Some(leaf) = served.leaf() else { return };
        let same = known.filter(|known| known.served.leaf().map(|leaf| leaf.fingerprint) == Some(leaf.fingerprint));
        let (repeats, since) =
            same.map_or((1, observation.scheduled), |same| (same.repeats.saturating_add(1), same.since));
        let has_ended = served.earliest().is_some_and(|first| first.not_after < observation.scheduled.wall);
        let mut trusting = known.map(|known| known.trusting.clone()).unwrap_or_default();
        let is_refused_anew = trusting.take(served.trust, observation.scheduled, &self.policy);
        taken.is_news |= repeats == 1 || is_refused_anew;
        if has_ended && repeats == 1 || is_refused_anew {
            taken.doubtful_chain = Some(subject.clone());
        }
        let seen = ServedSeen { at: observation.scheduled, served: Arc::clone(served), repeats, since, trusting };
        self.served.insert(subject.clone(), seen);
    }

    fn take_offset(&mut self, observation: &Observation) {
        let date: Option<UnixTime> = match &observation.outcome {
            Ok(Reading::Health(health)) => health.server_date,
            Ok(Reading::Version(version)) => version.server_date,
            _ => None,
        };
        let Some(date) = date else { return };
        let spent = observation.finished.mono.since(observation.scheduled.mono);
        // An apiserver without etcd dates its answer when that is ready, up to 4 s after it was asked: such a date
        // could be off by half of that, and an outage would raise a finding about the clock.
        if spent > self.policy.slow_after {
            return;
        }
        let half = spent / 2;
        // The server cut its fraction off: on average half a second.
        let offset = date.millis_since(observation.scheduled.wall.plus(half)).saturating_add(500);
        self.dates.take(&observation.probe.subject, observation.scheduled.mono, offset);
    }
}

/// Probes that are sent every few seconds. All others are so rare that each of their results causes an evaluation.
const fn is_frequent(kind: ProbeKind) -> bool {
    match kind {
        ProbeKind::Readyz
        | ProbeKind::Livez
        | ProbeKind::Version
        | ProbeKind::Tripwire
        | ProbeKind::EtcdStatus
        | ProbeKind::EtcdRead
        | ProbeKind::EtcdHealth
        | ProbeKind::Reference
        | ProbeKind::Resolver => true,
        ProbeKind::EtcdAlarms
        | ProbeKind::EtcdMembers
        | ProbeKind::EtcdMetrics
        | ProbeKind::Chain
        | ProbeKind::Addresses
        | ProbeKind::OwnClock
        | ProbeKind::Files => false,
    }
}
