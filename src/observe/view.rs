//! Everything believed, updated by one observation at a time.
//!
//! A belief is never deleted by a failed look: the last known reading stays, with its age.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::certificate::Served;
use crate::model::etcd::{
    MemberAnswer, MemberFacts, MemberHealth, MemberMetrics, MemberStatus, Quota, QuotaSource, ReadAnswer,
};
use crate::model::inventory::Inventory;
use crate::model::observation::{Cause, Observation, Phase, Reading, Unseen};
use crate::model::policy::Policy;
use crate::model::probe::{Probe, ProbeKind};
use crate::model::snapshot::ClusterPicture;
use crate::model::stored::FilesReading;
use crate::model::subject::{Name, Subject};
use crate::model::time::{Mono, Now, UnixTime};
use crate::model::verdict::Symptom;

use super::dates::Dates;
use super::elections::Elections;
use super::history;
use super::latency;
use super::path::Path;
use super::quorum::{self, Count};
use super::sign::Sign;
use super::sizes::Sizes;
use super::stored::Shelf;
use super::track::{Confirmation, Effect, Track};
use super::turnover::{Fate, Turnover};

/// Under which aspect a subject is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// Whether it answers the look that decides: exempt health, Status, a reference's handshake.
    Answer,
    /// Whether it answers ordinary traffic.
    Ordinary,
    /// Whether an etcd cluster agrees on a leader.
    Leader,
    /// Whether an etcd cluster is free of alarms.
    Alarm,
    /// Whether an etcd member follows the leader that the majority follows.
    Mind,
    /// Whether an etcd member serves linearizable reads.
    Read,
}

/// The chain an endpoint serves.
#[derive(Debug, Clone)]
pub struct ServedSeen {
    /// When it was last seen.
    pub at: Now,
    /// What was served.
    pub served: Arc<Served>,
    /// Handshakes in a row that served the same leaf.
    pub repeats: u32,
    /// When this leaf was first seen in this row.
    pub since: Now,
}

/// What one observation changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// The cluster whose beliefs changed.
    pub touched: Option<Name>,
    /// Subjects that showed their first bad sign, with its scheduled start.
    pub turned_bad: Vec<(Subject, Now)>,
    /// An endpoint that served an ended certificate for the first time: worth a second handshake.
    pub doubtful_chain: Option<Subject>,
    /// It came after a later scheduled look and changed nothing.
    pub is_late: bool,
    /// It was made while we could not see, and is not believed.
    pub is_void: bool,
}

/// Everything believed.
#[derive(Debug, Clone)]
pub struct View {
    inventory: Arc<Inventory>,
    policy: Arc<Policy>,
    tracks: BTreeMap<(Subject, Aspect), Track>,
    pictures: BTreeMap<Name, Arc<ClusterPicture>>,
    vantage: BTreeMap<Probe, Arc<Observation>>,
    served: BTreeMap<Subject, ServedSeen>,
    shelves: BTreeMap<Option<Name>, Shelf>,
    counts: BTreeMap<Subject, (Now, Count)>,
    statuses: BTreeMap<Subject, (Now, MemberStatus)>,
    elections: BTreeMap<Subject, Elections>,
    sizes: BTreeMap<Subject, Sizes>,
    metrics: BTreeMap<Subject, (Now, MemberMetrics)>,
    dates: Dates,
    path: Path,
    void_until: Option<Mono>,
    /// Asked with every judgement, and an answer of the whole inventory.
    has_remote_reference: bool,
    /// Looks at these that were scheduled before this went elsewhere.
    moved: BTreeMap<Subject, Mono>,
}

impl View {
    /// Nothing believed yet.
    #[must_use]
    pub fn new(inventory: Arc<Inventory>, policy: impl Into<Arc<Policy>>) -> Self {
        let pictures = inventory.clusters.keys().map(|name| (name.clone(), Arc::default())).collect();
        Self {
            has_remote_reference: inventory.has_remote_reference(),
            inventory,
            policy: policy.into(),
            tracks: BTreeMap::new(),
            pictures,
            vantage: BTreeMap::new(),
            served: BTreeMap::new(),
            shelves: BTreeMap::new(),
            counts: BTreeMap::new(),
            statuses: BTreeMap::new(),
            elections: BTreeMap::new(),
            sizes: BTreeMap::new(),
            metrics: BTreeMap::new(),
            dates: Dates::default(),
            path: Path::default(),
            void_until: None,
            moved: BTreeMap::new(),
        }
    }

    /// Watches something else from `now` on. Beliefs about what stays at its place stay; those about anything else are
    /// dropped, counts of what is watched excepted.
    pub fn replace(&mut self, inventory: Arc<Inventory>, policy: Arc<Policy>, now: Mono) {
        self.policy = policy;
        self.has_remote_reference = inventory.has_remote_reference();
        let before = std::mem::replace(&mut self.inventory, inventory);
        let turnover = Turnover::new(&before, &self.inventory);
        let stays = |subject: &Subject| turnover.fate(subject) == Fate::Stays;
        self.tracks.retain(|(subject, _), _| stays(subject));
        self.vantage.retain(|probe, _| stays(&probe.subject));
        self.served.retain(|subject, _| stays(subject));
        self.counts.retain(|subject, _| stays(subject));
        self.statuses.retain(|subject, _| stays(subject));
        self.sizes.retain(|subject, _| stays(subject));
        self.elections.retain(|subject, _| self.inventory.watches(subject));
        self.dates.retain(stays);
        let has_files = |scope: Option<&Name>| self.inventory.files(scope).is_some_and(|files| !files.is_empty());
        self.shelves.retain(|scope, _| has_files(scope.as_ref()));
        self.moved.retain(|subject, _| self.inventory.watches(subject));
        self.moved.extend(turnover.moved().map(|subject| (subject, now)));
        self.pictures.retain(|name, _| self.inventory.clusters.contains_key(name));
        for name in self.inventory.clusters.keys() {
            let picture = Arc::make_mut(self.pictures.entry(name.clone()).or_default());
            let is_watched = |subject: &Subject| self.inventory.watches(subject);
            if !has_files(Some(name)) {
                picture.stored = None;
            }
            picture.looks.retain(|probe, _| stays(&probe.subject));
            picture.served.retain(|subject, _| stays(subject));
            picture.tallies.retain(|subject, _| is_watched(subject));
        }
    }

    /// Whether an observation is about something that is watched, at the place where it is watched.
    #[must_use]
    pub fn concerns(&self, observation: &Observation) -> bool {
        let subject = &observation.probe.subject;
        let went_elsewhere = self.moved.get(subject).is_some_and(|since| observation.scheduled.mono < *since);
        self.inventory.watches(subject) && !went_elsewhere
    }

    /// Takes in one observation; `now` is when we learned of it.
    pub fn take(&mut self, observation: &Arc<Observation>, now: Now) -> Taken {
        let mut taken = Taken { touched: observation.probe.subject.cluster().cloned(), ..Taken::default() };
        if observation.proves_path {
            self.path.prove(observation.scheduled);
        }
        self.keep(observation, &mut taken);
        if self.is_void(observation) {
            taken.is_void = true;
            return taken;
        }
        match &observation.outcome {
            Ok(Reading::EtcdStatus(answers)) => self.take_status(observation, answers, now, &mut taken),
            Ok(Reading::EtcdRead(answers)) => self.take_reads(observation, answers, now, &mut taken),
            Ok(Reading::Files(reading)) => self.take_files(observation, reading),
            Ok(Reading::EtcdHealth(answers)) => self.take_health(observation, answers, now, &mut taken),
            Ok(Reading::EtcdMetrics(answers)) => self.take_metrics(observation, answers),
            _ => self.take_sign(observation, now, &mut taken),
        }
        self.take_served(observation, &mut taken);
        self.take_offset(observation);
        taken
    }

    /// Notes that a look at `subject` is under way for too long. Returns whether that is its first sign of trouble.
    pub fn take_overdue(&mut self, probe: &Probe, scheduled: Mono, now: Mono) -> bool {
        let is_first = |track: &mut Track| track.take_overdue(now);
        // Members of a round have a deadline of their own, and everything else decides nothing alone.
        let decides = matches!(probe.kind, ProbeKind::Readyz | ProbeKind::Reference);
        let is_void = self.void_until.is_some_and(|until| scheduled < until);
        decides && !is_void && is_first(self.tracks.entry((probe.subject.clone(), Aspect::Answer)).or_default())
    }

    /// The vantage became blind, or sees again: what was bad meanwhile is not believed.
    pub fn set_blind(&mut self, blind: bool, now: Mono) {
        self.path.set_blind(blind);
        if !blind {
            self.void_until = Some(now);
            self.tracks.values_mut().for_each(Track::forget_bad);
        }
    }

    /// Looks scheduled before `until` are void: our own side stood still.
    pub fn void_until(&mut self, until: Mono) {
        self.void_until = Some(until);
        self.tracks.values_mut().for_each(Track::forget_bad);
    }

    /// What should exist.
    #[must_use]
    pub const fn inventory(&self) -> &Arc<Inventory> {
        &self.inventory
    }

    /// The numbers that decide.
    #[must_use]
    pub const fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Proof of our own path.
    #[must_use]
    pub const fn path(&self) -> &Path {
        &self.path
    }

    /// One subject under one aspect; `None` before its first look.
    #[must_use]
    pub fn track(&self, subject: &Subject, aspect: Aspect) -> Option<&Track> {
        self.tracks.get(&(subject.clone(), aspect))
    }

    /// How the bad run of a subject stands.
    #[must_use]
    pub fn confirmation(&self, subject: &Subject, aspect: Aspect, now: Mono) -> Confirmation {
        self.track(subject, aspect)
            .map_or(Confirmation::None, |track| track.confirmation(&self.policy, self.has_remote_reference, now))
    }

    /// What a subject does while its latest looks are bad.
    #[must_use]
    pub fn symptom(&self, subject: &Subject) -> Option<&Symptom> {
        self.track(subject, Aspect::Answer)?.bad().map(|bad| &bad.symptom)
    }

    /// The chain an endpoint served last.
    #[must_use]
    pub fn served(&self, subject: &Subject) -> Option<&ServedSeen> {
        self.served.get(subject)
    }

    /// What is believed of the files of a cluster, or of the vantage; `None` before the first look at them.
    #[must_use]
    pub fn shelf(&self, cluster: Option<&Name>) -> Option<&Shelf> {
        self.shelves.get(&cluster.cloned())
    }

    /// Whether all files of a cluster, or of the vantage, are known as they are now, so that what is not among them is
    /// gone for good.
    #[must_use]
    pub fn knows_all_files(&self, cluster: Option<&Name>) -> bool {
        let has_none = self.inventory.files(cluster).is_none_or(BTreeMap::is_empty);
        has_none || self.shelf(cluster).is_some_and(|shelf| shelf.reading().is_complete())
    }

    /// The last Status round of an etcd cluster.
    #[must_use]
    pub fn count(&self, etcd: &Subject) -> Option<&(Now, Count)> {
        self.counts.get(etcd)
    }

    /// A member's last Status, however old.
    #[must_use]
    pub fn status(&self, member: &Subject) -> Option<&(Now, MemberStatus)> {
        self.statuses.get(member)
    }

    /// The leaders an etcd cluster has had.
    #[must_use]
    pub fn elections(&self, etcd: &Subject) -> Option<&Elections> {
        self.elections.get(etcd)
    }

    /// How an etcd member's database has grown.
    #[must_use]
    pub fn sizes(&self, member: &Subject) -> Option<&Sizes> {
        self.sizes.get(member)
    }

    /// A member's last metrics, however old.
    #[must_use]
    pub fn metrics(&self, member: &Subject) -> Option<&(Now, MemberMetrics)> {
        self.metrics.get(member)
    }

    /// What was concluded about a member.
    #[must_use]
    pub fn facts(&self, member: &Subject) -> MemberFacts {
        let picture = member.cluster().and_then(|cluster| self.pictures.get(cluster));
        picture.and_then(|picture| picture.members.get(member)).copied().unwrap_or_default()
    }

    /// Why a member was not seen in the last round.
    #[must_use]
    pub fn member_unseen(&self, member: &Subject) -> Option<Unseen> {
        match self.symptom(member)? {
            Symptom::Silent(unseen) => Some(*unseen),
            Symptom::Status(_) | Symptom::NotReady(_) => None,
        }
    }

    /// The latest look of each probe of a cluster.
    #[must_use]
    pub fn picture(&self, cluster: &Name) -> Option<&Arc<ClusterPicture>> {
        self.pictures.get(cluster)
    }

    /// All clusters' pictures.
    #[must_use]
    pub const fn pictures(&self) -> &BTreeMap<Name, Arc<ClusterPicture>> {
        &self.pictures
    }

    /// The latest look at each reference point, resolver and the own clock.
    #[must_use]
    pub const fn vantage(&self) -> &BTreeMap<Probe, Arc<Observation>> {
        &self.vantage
    }

    /// Every subject followed under the aspect `Answer`, with its track.
    pub fn answering(&self) -> impl Iterator<Item = (&Subject, &Track)> {
        self.tracks
            .iter()
            .filter(|((_, aspect), _)| *aspect == Aspect::Answer)
            .map(|((subject, _), track)| (subject, track))
    }

    /// Whether any configured place outside the machine could prove our path besides the clusters themselves.
    #[must_use]
    pub const fn has_remote_reference(&self) -> bool {
        self.has_remote_reference
    }

    /// Median of (server date − own wall clock) in milliseconds over answers of the last minute.
    ///
    /// `Date` has a resolution of one second, so the value is good to half a second at best.
    #[must_use]
    pub fn clock_offset_millis(&self, now: Mono) -> Option<i64> {
        self.dates.median_millis(now)
    }

    /// Whether expiry may be judged by the wall clock: servers' dates agree with it, or there are none to ask.
    #[must_use]
    pub fn is_wall_clock_trusted(&self, now: Mono) -> bool {
        self.dates.confirm_clock(self.policy.expiry_clock_error, now)
    }

    /// The wall clock was set: what was known of its error is void.
    pub fn set_clock(&mut self, now: Mono) {
        self.dates.set_clock(now);
    }

    /// Sets the planned request rate of a cluster, for the snapshot.
    pub fn set_planned(&mut self, cluster: &Name, per_second: f64) {
        if let Some(picture) = self.pictures.get_mut(cluster) {
            Arc::make_mut(picture).planned_per_second = per_second;
        }
    }

    fn is_void(&self, observation: &Observation) -> bool {
        let saw_all = match &observation.outcome {
            Ok(Reading::EtcdStatus(answers)) => answers.iter().all(|answer| answer.answer.is_ok()),
            Ok(Reading::EtcdRead(answers)) => answers.iter().all(|answer| answer.answer.is_ok()),
            Ok(Reading::EtcdHealth(answers)) => answers.iter().all(|answer| answer.answer.is_ok()),
            outcome => outcome.is_ok(),
        };
        self.void_until.is_some_and(|until| observation.scheduled.mono < until) && !saw_all
    }

    fn keep(&mut self, observation: &Arc<Observation>, taken: &mut Taken) {
        let latest = match observation.probe.subject.cluster() {
            Some(cluster) => {
                let Some(picture) = self.pictures.get_mut(cluster) else { return };
                let picture = Arc::make_mut(picture);
                history::count(picture, observation);
                &mut picture.looks
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

    fn take_sign(&mut self, observation: &Observation, now: Now, taken: &mut Taken) {
        let aspect = match observation.probe.kind {
            ProbeKind::Readyz | ProbeKind::Tripwire | ProbeKind::Reference | ProbeKind::Resolver => Aspect::Answer,
            ProbeKind::Version => Aspect::Ordinary,
            // Rounds that were lost as a whole say nothing of their members; the rest decides nothing by itself.
            ProbeKind::Livez
            | ProbeKind::EtcdStatus
            | ProbeKind::EtcdRead
            | ProbeKind::EtcdAlarms
            | ProbeKind::EtcdMembers
            | ProbeKind::EtcdHealth
            | ProbeKind::EtcdMetrics
            | ProbeKind::Chain
            | ProbeKind::OwnClock
            | ProbeKind::Files => return,
        };
        let sign = Sign::of(observation);
        // Ordinary requests that queue until their deadline are the slowest of all.
        let queued = aspect == Aspect::Ordinary
            && matches!(&observation.outcome, Err(unseen) if unseen.cause == Cause::Timeout && unseen.phase >= Phase::FirstByte);
        // And so are those that are turned away from a full queue.
        let queued = queued || (aspect == Aspect::Ordinary && sign == Sign::Shed);
        let slow =
            (sign == Sign::Good || queued).then(|| queued || observation.phases.total() > self.policy.slow_after);
        self.note(observation.probe.subject.clone(), aspect, observation.scheduled, sign, now, taken);
        if let Some(track) = self.tracks.get_mut(&(observation.probe.subject.clone(), aspect)) {
            match slow {
                Some(slow) => track.take_pace(observation.scheduled, slow),
                None => track.forget_pace(),
            }
        }
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
        let count = quorum::count(answers, |name| {
            self.statuses.get(&member(name)).is_some_and(|(_, status)| status.is_learner)
        });
        for answer in answers {
            if let Ok(status) = &answer.answer {
                let sizes = self.sizes.entry(member(&answer.member)).or_default();
                sizes.take(observation.scheduled.mono, status.db_size_bytes);
                let quota = |bytes| Quota { bytes, source: QuotaSource::Status };
                self.set_quota(member(&answer.member), status.db_quota_bytes.map(quota));
                self.statuses.insert(member(&answer.member), (observation.scheduled, status.clone()));
            }
        }
        self.take_count(observation, count, now, taken);
    }

    fn take_health(
        &mut self,
        observation: &Observation,
        answers: &[MemberAnswer<MemberHealth>],
        now: Now,
        taken: &mut Taken,
    ) {
        let Subject::Etcd(cluster, etcd) = &observation.probe.subject else { return };
        if quorum::is_spread(answers, self.policy.round_spread) {
            taken.is_void = true;
            return;
        }
        let count = quorum::count_healths(answers, |name| {
            let member = Subject::EtcdMember(cluster.clone(), etcd.clone(), name.clone());
            self.metrics.get(&member).is_some_and(|(_, page)| page.is_learner == Some(true))
        });
        self.take_count(observation, count, now, taken);
    }

    fn take_metrics(&mut self, observation: &Observation, answers: &[MemberAnswer<MemberMetrics>]) {
        let Subject::Etcd(cluster, etcd) = &observation.probe.subject else { return };
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
            if let Some(picture) = self.pictures.get_mut(cluster) {
                Arc::make_mut(picture).members.entry(member.clone()).or_default().slowest = slowest;
            }
            let tells_itself = self.statuses.get(&member).is_some_and(|(_, status)| status.db_quota_bytes.is_some());
            if !tells_itself {
                self.set_quota(member, told);
            }
        }
    }

    /// A quota that nobody tells leaves the known one as it is.
    fn set_quota(&mut self, member: Subject, quota: Option<Quota>) {
        let picture = member.cluster().and_then(|cluster| self.pictures.get_mut(cluster));
        if let (Some(picture), Some(_)) = (picture, quota)
            && picture.members.get(&member).and_then(|facts| facts.quota) != quota
        {
            Arc::make_mut(picture).members.entry(member).or_default().quota = quota;
        }
    }

    fn take_count(&mut self, observation: &Observation, count: Count, now: Now, taken: &mut Taken) {
        let Subject::Etcd(cluster, etcd) = observation.probe.subject.clone() else { return };
        let member = |name: &Name| Subject::EtcdMember(cluster.clone(), etcd.clone(), name.clone());
        for (name, sign) in &count.members {
            self.note(member(name), Aspect::Answer, observation.scheduled, sign.clone(), now, taken);
        }
        for (name, sign) in &count.minds {
            self.note(member(name), Aspect::Mind, observation.scheduled, sign.clone(), now, taken);
        }
        let subject = observation.probe.subject.clone();
        self.note(subject.clone(), Aspect::Leader, observation.scheduled, count.leader.clone(), now, taken);
        self.note(subject.clone(), Aspect::Alarm, observation.scheduled, count.alarm.clone(), now, taken);
        let is_latest = self.counts.get(&subject).is_none_or(|(at, _)| at.mono <= observation.scheduled.mono);
        if is_latest {
            if let (Some(leader), Some(term)) = (count.agreed, count.term) {
                let window = self.policy.flap_window;
                self.elections.entry(subject.clone()).or_default().take(observation.scheduled, term, leader, window);
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
        for (name, sign) in signs {
            self.note(member(&name), Aspect::Read, observation.scheduled, sign, now, taken);
        }
    }

    fn note(&mut self, subject: Subject, aspect: Aspect, scheduled: Now, sign: Sign, now: Now, taken: &mut Taken) {
        let track = self.tracks.entry((subject.clone(), aspect)).or_default();
        match track.take(scheduled, sign, &self.path, now.mono) {
            Effect::TurnedBad => taken.turned_bad.push((subject, scheduled)),
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
        // A balancer serves what its instances serve; it is meant only where it stands alone or a source says so.
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
        let shelf = Shelf::after(before, reading, observation.scheduled, watches, &served);
        if let Some(picture) = scope.as_ref().and_then(|cluster| self.pictures.get_mut(cluster)) {
            Arc::make_mut(picture).stored = Some((observation.scheduled.wall, Arc::clone(reading)));
        }
        self.shelves.insert(scope, shelf);
    }

    fn take_served(&mut self, observation: &Observation, taken: &mut Taken) {
        let Some(served) = &observation.served else { return };
        let subject = &observation.probe.subject;
        let known = self.served.get(subject);
        if known.is_some_and(|known| known.at.mono > observation.scheduled.mono) {
            return;
        }
        if let Some(picture) = subject.cluster().and_then(|cluster| self.pictures.get_mut(cluster)) {
            Arc::make_mut(picture).served.insert(subject.clone(), (observation.scheduled.wall, Arc::clone(served)));
        }
        // A chain of which nothing can be read is shown, and leaves nothing to judge.
        let Some(leaf) = served.leaf() else { return };
        let same = known.filter(|known| known.served.leaf().map(|leaf| leaf.fingerprint) == Some(leaf.fingerprint));
        let (repeats, since) =
            same.map_or((1, observation.scheduled), |same| (same.repeats.saturating_add(1), same.since));
        let has_ended = served.earliest().is_some_and(|first| first.not_after < observation.scheduled.wall);
        if has_ended && repeats == 1 {
            taken.doubtful_chain = Some(subject.clone());
        }
        let seen = ServedSeen { at: observation.scheduled, served: Arc::clone(served), repeats, since };
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
        // An apiserver without etcd dates its answer when that is ready, up to 4 s after it was asked: such a date could
        // be off by half of that, and a clock would be blamed in the middle of an outage.
        if spent > self.policy.slow_after {
            return;
        }
        let half = spent / 2;
        // The server cut its fraction off: on average half a second.
        let offset = date.millis_since(observation.scheduled.wall.plus(half)).saturating_add(500);
        self.dates.take(&observation.probe.subject, observation.scheduled.mono, offset);
    }
}
