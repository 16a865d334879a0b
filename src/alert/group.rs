//! Incidents: which alarms are told together, what names the thread, and when something is to be said.
//!
//! A finding whose cause is active is folded into the cause's incident and never told on its own; a deeper cause found
//! later is told in the same thread; several findings of one cluster inside the settle window are one incident.

mod withheld;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::model::digest::stable_hash;
use crate::model::incident::{Ending, Incident, IncidentId, Part, Told};
use crate::model::policy::Policy;
use crate::model::reason::MessageReason;
use crate::model::rule::Level;
use crate::model::time::{Mono, Now, UnixTime};
use crate::model::verdict::{Finding, FindingKey};

/// Whether the first finding explains the second.
pub type Explains = fn(&Finding, &Finding) -> bool;

/// Incidents that have ended and are kept for people to read.
const KEPT: usize = 50;

/// All incidents.
#[derive(Debug, Clone)]
pub struct Incidents {
    open: BTreeMap<IncidentId, Open>,
    ended: VecDeque<Arc<Incident>>,
    explains: Explains,
}

/// An open incident with its clocks.
#[derive(Debug, Clone)]
struct Open {
    incident: Arc<Incident>,
    /// Until when it may still be joined and is not yet told; `None` once told or not worth telling.
    settles: Option<Mono>,
    /// When it is to be said again.
    repeats: Option<Mono>,
    /// When its cause had ended while other parts still stood.
    outlived: Option<Mono>,
}

/// Something to be said of an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Utterance {
    /// Of which incident.
    pub incident: IncidentId,
    /// Why now.
    pub reason: MessageReason,
}

impl Incidents {
    /// No incidents; `explains` tells which finding follows from which.
    #[must_use]
    pub fn new(explains: Explains) -> Self {
        Self { open: BTreeMap::new(), ended: VecDeque::new(), explains }
    }

    /// Takes back an incident from before a restart.
    pub fn restore(&mut self, incident: Incident, policy: &Policy, now: Mono) {
        if incident.over.is_some() {
            self.keep_ended(Arc::new(incident));
            return;
        }
        let is_told = incident.told.messages > 0;
        let repeats = is_told.then(|| now.plus(policy.repeat_after));
        // What a silence held back waits for its end, not for company.
        let settles = (!is_told && withheld::of(&incident).is_none()).then(|| now.plus(policy.settle));
        let id = incident.id.clone();
        // The minute begins anew; when it ended before the restart, what remains was made the cause, and stands.
        let outlived = (is_told && has_outlived_its_cause(&incident)).then_some(now);
        self.open.insert(id, Open { incident: Arc::new(incident), settles, repeats, outlived });
    }

    /// An alarm's hold is over and no cause of it is active: it opens an incident, or joins one. Returns the incident
    /// that speaks for it, and what is to be said at once.
    pub fn join_or_open(&mut self, finding: &Finding, policy: &Policy, now: Now) -> (IncidentId, Option<Utterance>) {
        if let Some(id) = self.still_settling(finding) {
            self.add(&id, finding, now.mono);
            return (id, None);
        }
        if let Some(id) = self.explained_by(finding) {
            self.add(&id, finding, now.mono);
            let said = self.open.get_mut(&id).and_then(|open| open.deepen(finding));
            return (id, said);
        }
        (self.open_new(finding, policy, now), None)
    }

    /// Whether an incident of the cluster of `finding` may still be joined.
    #[must_use]
    pub fn is_joinable(&self, finding: &Finding) -> bool {
        self.still_settling(finding).is_some()
    }

    /// Folds a finding into the incident of its cause. Returns what is to be said because it is graver than the cause.
    pub fn fold(&mut self, incident: &IncidentId, finding: &Finding, now: Mono) -> Option<Utterance> {
        self.add(incident, finding, now);
        let open = self.open.get(incident)?;
        (finding.level > open.incident.told.level?).then(|| open.say(MessageReason::Escalated))
    }

    /// A finding of an incident became louder, or its evidence changed. Returns what is to be said.
    ///
    /// Only what is worse than everything told before is said: a level that goes up and down is not news each time.
    pub fn worsen(&mut self, incident: &IncidentId, finding: &Finding, now: Mono) -> Option<Utterance> {
        let open = self.open.get_mut(incident)?;
        open.refresh(finding);
        open.wake(now);
        let told = open.incident.told;
        let is_worse = finding.level > told.level? || finding.band() > told.band;
        is_worse.then(|| open.say(MessageReason::Escalated))
    }

    /// Takes in newer evidence of a finding without saying anything.
    pub fn refresh(&mut self, incident: &IncidentId, finding: &Finding) {
        if let Some(open) = self.open.get_mut(incident) {
            open.refresh(finding);
        }
    }

    /// A finding that was recovering stands again: what was not told because of that is told now.
    pub fn relapse(&mut self, incident: &IncidentId, finding: &Finding, now: Mono) {
        self.refresh(incident, finding);
        if let Some(open) = self.open.get_mut(incident) {
            open.wake(now);
        }
    }

    /// The open incident that was told, whose cause has ended and explains `finding`, which began while the cause stood.
    /// What remains of such an incident is told within the policy's `remains_after`, so nothing is lost by adding to it.
    #[must_use]
    pub fn aftermath_of(&self, finding: &Finding) -> Option<IncidentId> {
        let is_cause = |part: &Part| {
            part.over.is_some_and(|over| finding.since <= over) && (self.explains)(&part.finding, finding)
        };
        let cluster = finding.subject.cluster();
        let mut winding_down = self.open.values().filter(|open| {
            open.outlived.is_some() && open.incident.told.messages > 0 && open.incident.cluster.as_ref() == cluster
        });
        winding_down.find(|open| open.incident.parts.iter().any(is_cause)).map(|open| open.incident.id.clone())
    }

    /// A finding has recovered, at the scheduled start of its first good look. Returns whether the incident is over.
    pub fn recover(
        &mut self,
        incident: &IncidentId,
        key: &FindingKey,
        at: UnixTime,
        withdrawn: bool,
        now: Mono,
    ) -> bool {
        let Some(open) = self.open.get_mut(incident) else { return false };
        let known = Arc::make_mut(&mut open.incident);
        for part in known.parts.iter_mut().filter(|part| part.finding.key() == *key && part.over.is_none()) {
            part.over = Some(at);
        }
        if known.standing().next().is_none() {
            let at = known.parts.iter().filter_map(|part| part.over).max().unwrap_or(at);
            known.over = Some(Ending { at, withdrawn });
            let ended = Arc::clone(&open.incident);
            self.open.remove(incident);
            self.keep_ended(ended);
            return true;
        }
        if has_outlived_its_cause(known) {
            open.outlived.get_or_insert(now);
        }
        false
    }

    /// What is to be said at `now` because of time alone. `is_mute` tells that nothing may be said of clusters now.
    ///
    /// A warning of which `eases` says that everything recovers as it is about to be told stays untold, unless it gets
    /// worse again: a hold may end in the same second as the fault. What is critical is told all the same.
    pub fn due(
        &mut self,
        policy: &Policy,
        now: Mono,
        is_mute: bool,
        eases: impl Fn(&FindingKey) -> bool,
    ) -> Vec<Utterance> {
        let mut said = Vec::new();
        for open in self.open.values_mut() {
            if is_mute && open.incident.cluster.is_some() {
                continue;
            }
            if open.settles.is_some_and(|at| at <= now) {
                open.settles = None;
                let is_easing = open.incident.level < Level::Critical
                    && open.incident.standing().all(|finding| eases(&finding.key()));
                if open.incident.level > Level::Info && !is_easing {
                    said.push(open.say(MessageReason::First));
                    open.repeats = Some(now.plus(policy.repeat_after));
                }
            }
            if open.outlived.is_some_and(|at| now.since(at) >= policy.remains_after) {
                open.outlived = None;
                open.promote_remaining();
                if open.incident.told.messages > 0 {
                    said.push(open.say(MessageReason::Remains));
                }
            }
            if open.repeats.is_some_and(|at| at <= now) {
                open.repeats = Some(now.plus(policy.repeat_after));
                if open.incident.level == Level::Critical {
                    said.push(open.say(MessageReason::Repeated));
                }
            }
        }
        said
    }

    /// What would have been said of open incidents if there had been anybody to tell.
    pub fn untold(&mut self, policy: &Policy, now: Mono) -> Vec<Utterance> {
        let is_untold = |open: &&mut Open| {
            open.settles.is_none() && open.incident.told.messages == 0 && open.incident.level > Level::Info
        };
        let mut said = Vec::new();
        for open in self.open.values_mut().filter(is_untold) {
            open.repeats = Some(now.plus(policy.repeat_after));
            said.push(open.say(MessageReason::First));
        }
        said
    }

    /// When something is next to be said because of time alone.
    #[must_use]
    pub fn next(&self, policy: &Policy, is_mute: bool) -> Option<Mono> {
        let is_heard = |open: &&Open| !is_mute || open.incident.cluster.is_none();
        let times = |open: &Open| {
            [open.settles, open.repeats, open.outlived.map(|at| at.plus(policy.remains_after))]
                .into_iter()
                .flatten()
                .min()
        };
        self.open.values().filter(is_heard).filter_map(times).min()
    }

    /// Notes that a message was composed, and returns its number within the incident, from 0.
    pub fn note_told(&mut self, id: &IncidentId, reason: MessageReason, now: UnixTime) -> Option<u32> {
        let tell = |incident: &mut Incident| {
            let number = incident.told.messages;
            let stands = incident.standing().filter_map(Finding::band).max();
            let (level, band) = if reason == MessageReason::Remains {
                // People know now that the worst is over: what grows from here is news again.
                (incident.standing().map(|finding| finding.level).max(), stands)
            } else {
                (Some(incident.level).max(incident.told.level), stands.max(incident.told.band))
            };
            incident.told = Told { messages: number.saturating_add(1), last: Some(now), level, band };
            withheld::settle(incident);
            number
        };
        self.incident_mut(id).map(tell)
    }

    /// One incident, open or ended.
    #[must_use]
    pub fn incident(&self, id: &IncidentId) -> Option<&Arc<Incident>> {
        self.open.get(id).map(|open| &open.incident).or_else(|| self.ended.iter().find(|ended| ended.id == *id))
    }

    /// Open incidents, then ended ones, newest first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Incident>> {
        self.open.values().map(|open| &open.incident).chain(&self.ended)
    }

    /// Open incidents.
    pub fn open(&self) -> impl Iterator<Item = &Arc<Incident>> {
        self.open.values().map(|open| &open.incident)
    }

    fn incident_mut(&mut self, id: &IncidentId) -> Option<&mut Incident> {
        let open = self.open.get_mut(id).map(|open| &mut open.incident);
        let known = open.or_else(|| self.ended.iter_mut().find(|ended| ended.id == *id))?;
        Some(Arc::make_mut(known))
    }

    fn still_settling(&self, finding: &Finding) -> Option<IncidentId> {
        let cluster = finding.subject.cluster();
        let mut settling = self.open.values().filter(|open| open.settles.is_some());
        settling.find(|open| open.incident.cluster.as_ref() == cluster).map(|open| open.incident.id.clone())
    }

    fn explained_by(&self, cause: &Finding) -> Option<IncidentId> {
        let cluster = cause.subject.cluster();
        let is_effect =
            |open: &&Open| open.incident.cluster.as_ref() == cluster && (self.explains)(cause, open.incident.root());
        self.open.values().find(is_effect).map(|open| open.incident.id.clone())
    }

    fn add(&mut self, id: &IncidentId, finding: &Finding, now: Mono) {
        let explains = self.explains;
        if let Some(open) = self.open.get_mut(id) {
            let incident = Arc::make_mut(&mut open.incident);
            incident.parts.retain(|part| part.finding.key() != finding.key());
            incident.parts.push(Part { finding: finding.clone(), over: None });
            incident.level = incident.level.max(finding.level);
            incident.opened = incident.opened.min(finding.since);
            // Not told yet: the thread is named after the cause rather than after what came first.
            let is_untold = open.settles.is_some() || withheld::of(incident) == Some(MessageReason::First);
            if is_untold && explains(finding, &incident.headline) {
                incident.headline = finding.clone();
            }
            open.wake(now);
        }
    }

    fn open_new(&mut self, finding: &Finding, policy: &Policy, now: Now) -> IncidentId {
        let id = identity(finding);
        let incident = Incident {
            id: id.clone(),
            cluster: finding.subject.cluster().cloned(),
            opened: finding.since,
            headline: finding.clone(),
            cause: None,
            parts: vec![Part { finding: finding.clone(), over: None }],
            level: finding.level,
            told: Told::default(),
            silenced: None,
            over: None,
        };
        let settles = Some(now.mono.plus(policy.settle));
        self.open.insert(id.clone(), Open { incident: Arc::new(incident), settles, repeats: None, outlived: None });
        id
    }

    fn keep_ended(&mut self, incident: Arc<Incident>) {
        self.ended.push_front(incident);
        self.ended.truncate(KEPT);
    }
}

impl Open {
    fn say(&self, reason: MessageReason) -> Utterance {
        Utterance { incident: self.incident.id.clone(), reason }
    }

    /// What was only listed so far has become worth a mail.
    fn wake(&mut self, now: Mono) {
        let is_quiet = self.settles.is_none() && withheld::of(&self.incident).is_none();
        if self.incident.told.messages == 0 && is_quiet && self.incident.level > Level::Info {
            self.settles = Some(now);
            let incident = Arc::make_mut(&mut self.incident);
            if !stands(incident, &incident.headline) {
                incident.headline = loudest(incident).unwrap_or_else(|| incident.headline.clone());
            }
        }
    }

    /// A deeper cause of what was told.
    fn deepen(&mut self, cause: &Finding) -> Option<Utterance> {
        let incident = Arc::make_mut(&mut self.incident);
        incident.cause = Some(cause.clone());
        self.outlived = None;
        (self.incident.told.messages > 0).then(|| self.say(MessageReason::CauseFound))
    }

    fn refresh(&mut self, finding: &Finding) {
        let incident = Arc::make_mut(&mut self.incident);
        for part in incident.parts.iter_mut().filter(|part| part.finding.key() == finding.key()) {
            part.finding = finding.clone();
        }
        if incident.headline.key() == finding.key() {
            incident.headline = finding.clone();
        }
        if incident.cause.as_ref().is_some_and(|cause| cause.key() == finding.key()) {
            incident.cause = Some(finding.clone());
        }
        incident.level = incident.level.max(finding.level);
    }

    /// The cause is over and something still stands: it is now the cause.
    fn promote_remaining(&mut self) {
        let incident = Arc::make_mut(&mut self.incident);
        incident.cause = loudest(incident).or_else(|| incident.cause.clone());
    }
}

fn stands(incident: &Incident, wanted: &Finding) -> bool {
    incident.standing().any(|finding| finding.key() == wanted.key())
}

fn has_outlived_its_cause(incident: &Incident) -> bool {
    incident.standing().next().is_some() && !stands(incident, incident.root()) && !stands(incident, &incident.headline)
}

fn loudest(incident: &Incident) -> Option<Finding> {
    incident.standing().max_by_key(|finding| finding.level).cloned()
}

/// Hash of cluster, rule, subject and first bad look: the same after a restart, different for the next time.
fn identity(finding: &Finding) -> IncidentId {
    let subject = finding.subject.to_string();
    let since = finding.since.as_millis().to_string();
    IncidentId(format!("{:016x}", stable_hash(&[finding.rule.as_str(), &subject, &since])))
}
