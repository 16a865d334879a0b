//! How one observation changes what is known.

mod canaries;
mod certificates;
mod flow_control;
mod rounds;
mod zpages;

use std::sync::Arc;

use crate::model::etcd::MemberAnswer;
use crate::model::observation::{AddressAnswer, Observation, Reading};
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::probe::{Probe, ProbeKind};
use crate::model::subject::{Name, Subject};
use crate::model::time::{Mono, Now, UnixTime};
use crate::model::verdict::Symptom;
use crate::observe::assessment::Assessment;
use crate::observe::client_hello;
use crate::observe::clock_error::{RIGHT, WRONG, is_apart};
use crate::observe::connection_losses;
use crate::observe::history;
use crate::observe::probe_runs::Effect;

use super::{Aspect, View};

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
    /// Probes that are sent once more out of turn, each with the time.
    pub again: Vec<(Probe, Mono)>,
    /// Handshakes to make with an endpoint that may not get our large ClientHello.
    pub test: Option<(Subject, client_hello::Test)>,
    /// An API VIP of which new connections are lost, or no longer: samples of them follow.
    pub sample: Option<Subject>,
    /// Instances that are to be asked for their requests, because an overload is suspected, each with the time before
    /// which it wants to be left alone.
    pub suspected: Vec<(Subject, Option<Mono>)>,
    /// An instance whose flags are to be asked for, because its process is another one than that which told them.
    pub other_process: Option<Subject>,
    /// An instance that answers again: it is asked whether its process is another one.
    pub came_back: Option<Subject>,
    /// A proxy turned good or bad, or is bad.
    pub way: bool,
    /// It is good, and as fast as it should be.
    pub is_well: bool,
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
        // A dump or a page of metrics says how a server is used, and nothing of whether it lives.
        if observation.probe.kind == ProbeKind::ApiserverMetrics {
            self.take_metrics_page(observation);
            return taken;
        }
        if observation.probe.kind.shows_use() {
            self.take_dump(observation, now, &mut taken);
            return taken;
        }
        if observation.probe.kind.canary().is_some() {
            self.take_canary(observation, now, &mut taken);
            return taken;
        }
        if observation.probe.kind.is_zpage() {
            self.take_zpage(observation, &mut taken);
            return taken;
        }
        if self.is_unanswered(observation) {
            self.references.miss(&observation.probe.subject, observation.scheduled);
        }
        self.take_way(observation, now, &mut taken);
        self.take_loss(observation, &mut taken);
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
        self.take_offset(observation, now);
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
            | ProbeKind::Files
            | ProbeKind::PriorityLevels
            | ProbeKind::RequestDump
            | ProbeKind::ApiserverMetrics
            | ProbeKind::LeaseWrite
            | ProbeKind::LeaseRead
            | ProbeKind::CreateConfigMap
            | ProbeKind::CreatePod
            | ProbeKind::AccessReview
            | ProbeKind::SecretRead
            | ProbeKind::Statusz
            | ProbeKind::Flagz => return,
        };
        let assessment = self.assessment_of(observation);
        // Ordinary requests that queue until their deadline are the slowest of all.
        let queued = aspect == Aspect::Ordinary
            && matches!(&observation.outcome, Err(unseen) if unseen.cause == Cause::Timeout && unseen.phase >= Phase::FirstByte);
        // And so are those that are turned away from a full queue.
        let queued = queued || (aspect == Aspect::Ordinary && assessment == Assessment::Shed);
        let slow = (assessment == Assessment::Good || queued)
            .then(|| queued || observation.phases.total() > self.policy.slow_after);
        taken.is_well = slow == Some(false);
        self.note(observation.probe.subject.clone(), aspect, observation.scheduled, assessment, now, taken);
        if aspect == Aspect::Ordinary {
            self.take_ordinary(observation, slow == Some(true), now, taken);
        }
        if let Some(track) = self.tracks.get_mut(&observation.probe.subject, aspect) {
            match slow {
                Some(slow) => track.take_pace(observation.scheduled, slow),
                None => track.forget_pace(),
            }
        }
    }

    fn take_loss(&mut self, observation: &Observation, taken: &mut Taken) {
        let Some(lost) = connection_losses::loss(observation) else { return };
        let vip = &observation.probe.subject;
        let losses = self.losses.entry(vip.clone()).or_default();
        let was_lossy = losses.lossy_since().is_some();
        taken.sample = losses.take(observation.scheduled, lost).then(|| vip.clone());
        taken.is_news |= was_lossy != losses.lossy_since().is_some();
    }

    fn take_greeting(&mut self, observation: &Observation, taken: &mut Taken) {
        let subject = &observation.probe.subject;
        let Some(greeting) = observation.greeting.filter(|_| subject.is_api()) else {
            return;
        };
        let hellos = self.hellos.entry(subject.clone()).or_default();
        taken.test = hellos.take(observation.scheduled, greeting, &self.policy).map(|test| (subject.clone(), test));
        taken.is_news |= taken.test.is_some();
    }

    fn follow(
        &mut self,
        subject: &Subject,
        aspect: Aspect,
        scheduled: Now,
        assessment: Assessment,
        now: Now,
    ) -> Effect {
        let track = self.tracks.or_default(subject, aspect);
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
            Effect::TurnedGood => taken.came_back = Some(subject).filter(|subject| self.tells_of_itself(subject)),
            Effect::Same => {}
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
        let track = self.tracks.or_default(&subject, Aspect::Addresses);
        match track.take(observation.scheduled, assessment, &self.path, now.mono) {
            Effect::TurnedBad => taken.partly_dead = Some((subject, observation.scheduled)),
            Effect::Late => taken.is_late = true,
            Effect::TurnedGood | Effect::Same => {}
        }
    }

    fn take_offset(&mut self, observation: &Observation, now: Now) {
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
        let (subject, scheduled) = (&observation.probe.subject, observation.scheduled);
        self.dates.take(subject, scheduled, offset);
        let deviation = self.dates.deviation_millis(subject, scheduled.mono).filter(|_| subject.is_apiserver());
        if let Some(deviation) = deviation {
            let assessment = if is_apart(deviation, WRONG) {
                Assessment::Bad(Symptom::Status(0))
            } else if is_apart(deviation, RIGHT) {
                Assessment::Unclear
            } else {
                Assessment::Good
            };
            self.follow(subject, Aspect::Clock, scheduled, assessment, now);
        }
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
        | ProbeKind::Resolver
        | ProbeKind::PriorityLevels => true,
        ProbeKind::EtcdAlarms
        | ProbeKind::EtcdMembers
        | ProbeKind::EtcdMetrics
        | ProbeKind::Chain
        | ProbeKind::Addresses
        | ProbeKind::OwnClock
        | ProbeKind::Files
        | ProbeKind::RequestDump
        | ProbeKind::ApiserverMetrics
        | ProbeKind::LeaseWrite
        | ProbeKind::LeaseRead
        | ProbeKind::CreateConfigMap
        | ProbeKind::CreatePod
        | ProbeKind::AccessReview
        | ProbeKind::SecretRead
        | ProbeKind::Statusz
        | ProbeKind::Flagz => false,
    }
}
