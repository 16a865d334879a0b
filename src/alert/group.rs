//! Incidents: which alarms are mailed together, which finding names the thread, and when a mail is due.
//!
//! A finding whose cause is active is folded into the cause's incident and gets no mail of its own; a root cause found
//! later is mailed in the same thread; several findings of one cluster inside the settle window are one incident.

mod lookup;
mod open;
mod timers;
mod withheld;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::digest::stable_hash;
use crate::model::incident::{Incident, IncidentId, Part, Said, Told};
use crate::model::policy::Policy;
use crate::model::reason::MessageReason;
use crate::model::recurrence::{Before, Past};
use crate::model::time::{Mono, Now, UnixTime};
use crate::model::verdict::{Finding, FindingKey};

use super::recurrence::Recurrences;
use super::relations::{Near, Relations};
use super::route::is_told;

use lookup::{Keys, Lookup};
use open::Open;
use timers::Timer;

/// Incidents that have ended and are kept for people to read.
const KEPT: usize = 50;

/// All incidents. What every input needs is indexed, because thousands may be open, and one may have thousands of
/// parts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Incidents {
    open: BTreeMap<IncidentId, Open>,
    ended: VecDeque<Arc<Incident>>,
    past: Recurrences,
    #[serde(skip)]
    relations: Relations,
    lookup: Lookup,
    /// Identities that were given to incidents which are lost.
    spent: BTreeSet<IncidentId>,
}

/// A mail that is due about an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Of which incident.
    pub incident: IncidentId,
    /// Why now.
    pub reason: MessageReason,
}

impl Incidents {
    /// No incidents; `relations` says which findings follow from which.
    #[must_use]
    pub fn new(relations: Relations) -> Self {
        let (open, ended, spent) = (BTreeMap::new(), VecDeque::new(), BTreeSet::new());
        Self { open, ended, past: Recurrences::default(), relations, lookup: Lookup::default(), spent }
    }

    /// Says which findings follow from which, to incidents that were read back: functions cannot be written down.
    pub fn relate(&mut self, relations: Relations) {
        self.relations = relations;
        self.open.values_mut().for_each(|open| open.relate(relations));
    }

    /// Restores an incident from before a restart.
    pub fn restore(&mut self, incident: Incident, policy: &Policy, now: Mono) {
        if incident.over.is_some() {
            self.keep_ended(Arc::new(incident));
            return;
        }
        self.insert(Open::restored(incident, self.relations, policy, now));
    }

    /// Restores the record of an incident that was resolved before a restart.
    pub fn remember(&mut self, past: Past) {
        self.past.add(past);
    }

    /// When incidents of the same kind as `incident` happened before it.
    #[must_use]
    pub fn before(&self, incident: &Incident) -> Option<Before> {
        self.past.before(incident)
    }

    /// Notes that an identity was given to an incident that is lost: no message may bear it again.
    pub fn spend(&mut self, id: IncidentId) {
        self.spent.insert(id);
    }

    /// An alarm's hold is over and no cause of it is active: it opens an incident, or joins one. Returns that incident,
    /// and the mail that is due at once.
    pub fn join_or_open(&mut self, finding: &Finding, policy: &Policy, now: Now) -> (IncidentId, Option<Notification>) {
        if let Some(id) = self.still_settling(finding) {
            self.add(&id, finding, now.mono);
            return (id, None);
        }
        if let Some(id) = self.explained_by(finding) {
            self.add(&id, finding, now.mono);
            let said = self.change(&id, |open| open.deepen(finding)).flatten();
            return (id, said);
        }
        (self.open_new(finding, policy, now), None)
    }

    /// Whether an incident of the cluster of `finding` may still be joined.
    #[must_use]
    pub fn is_joinable(&self, finding: &Finding) -> bool {
        self.still_settling(finding).is_some()
    }

    /// Folds a finding into the incident of its cause. Returns the mail that is due because it is more severe than the
    /// cause.
    pub fn fold(&mut self, incident: &IncidentId, finding: &Finding, now: Mono) -> Option<Notification> {
        self.add(incident, finding, now);
        self.change(incident, |open| {
            open.cover(&finding.key());
            (finding.level > open.incident.told.level?).then(|| open.say(MessageReason::Escalated))
        })?
    }

    /// The severity of a finding of an incident rose, or it passed a later threshold. If that is worse than what was
    /// mailed about it, a mail is due: at once if it exceeds every severity mailed, else with others that worsen within
    /// seconds.
    pub fn worsen(&mut self, incident: &IncidentId, finding: &Finding, policy: &Policy, now: Mono) {
        self.change(incident, |open| open.worsen(finding, policy, now));
    }

    /// Records newer evidence of a finding, without a mail.
    pub fn refresh(&mut self, incident: &IncidentId, finding: &Finding) {
        self.change(incident, |open| open.refresh(finding));
    }

    /// A finding that was recovering is bad again: a mail that was withheld because of that is due now.
    pub fn relapse(&mut self, incident: &IncidentId, finding: &Finding, now: Mono) {
        self.change(incident, |open| {
            open.refresh(finding);
            open.wake(now);
        });
    }

    /// The open incident that was mailed, whose cause has ended and explains `finding`, which began while the cause was
    /// ongoing. What remains of such an incident is mailed within the policy's `ongoing_after`, so the finding can join
    /// it and is still mailed.
    #[must_use]
    pub fn aftermath_of(&self, finding: &Finding) -> Option<IncidentId> {
        let winding_down = self.lookup.remaining(finding).filter_map(|id| self.open.get(id));
        let mut told = winding_down.filter(|open| open.is_told());
        told.find(|open| open.is_aftermath(finding)).map(|open| open.incident.id.clone())
    }

    /// A finding has recovered, at the scheduled start of its first good probe. Returns whether the incident is over.
    pub fn recover(
        &mut self,
        incident: &IncidentId,
        key: &FindingKey,
        at: UnixTime,
        withdrawn: bool,
        policy: &Policy,
        now: Mono,
    ) -> bool {
        let is_over = self.change(incident, |open| open.recover(key, at, withdrawn, policy, now)) == Some(true);
        self.lookup.fell(key, incident);
        if is_over && let Some(open) = self.open.remove(incident) {
            self.lookup.forget(incident, &open);
            self.keep_ended(open.incident);
        }
        is_over
    }

    /// Mails that are due at `now` because of time alone. With `is_mute` none about clusters may be sent now.
    ///
    /// A warning whose findings are all recovering, by `eases`, when its mail is due is not mailed unless it gets worse
    /// again, because a hold may end in the same second as the fault. A critical incident is mailed nevertheless.
    pub fn due(
        &mut self,
        policy: &Policy,
        now: Mono,
        is_mute: bool,
        eases: impl Fn(&FindingKey) -> bool,
    ) -> Vec<Notification> {
        let due = self.lookup.due(now, is_mute);
        due.into_iter().filter_map(|id| self.change(&id, |open| open.due(policy, now, &eases))).flatten().collect()
    }

    /// Mails about open incidents that were not composed while no mail was configured.
    pub fn untold(&mut self, policy: &Policy, now: Mono) -> Vec<Notification> {
        let is_untold =
            |open: &&Open| !open.timers.runs(Timer::Settle) && !open.is_told() && is_told(open.incident.level);
        let ids: Vec<IncidentId> = self.open.values().filter(is_untold).map(|open| open.incident.id.clone()).collect();
        let say = |open: &mut Open| {
            open.entitle();
            open.timers.set(Timer::Repeat, now.plus(policy.repeat_interval));
            open.say(MessageReason::First)
        };
        ids.iter().filter_map(|id| self.change(id, say)).collect()
    }

    /// A message of an incident is lost: the store lost it, or the outbox had no room for it. `owed` others still wait.
    /// Returns the mail that is due in its place; an incident without a mail yet settles first.
    pub fn retract(&mut self, id: &IncidentId, owed: usize, policy: &Policy, now: Mono) -> Option<Notification> {
        let known = self.incident(id)?;
        let nobody_knows = known.told.settled == Some(0) && owed == 0;
        let said = |reason| Some(Notification { incident: id.clone(), reason });
        if known.over.is_some() {
            return said(if nobody_knows { MessageReason::HappenedWhileMute } else { MessageReason::Resolved });
        }
        if !nobody_knows {
            return said(MessageReason::Repeated);
        }
        self.change(id, |open| {
            let incident = Arc::make_mut(&mut open.incident);
            incident.told = Told { level: None, band: None, ..incident.told };
            incident.parts.iter_mut().for_each(|part| part.said = Said::default());
            open.timers.stop(Timer::Repeat);
            open.timers.set(Timer::Settle, now.plus(policy.settle));
        });
        None
    }

    /// When the next mail is due because of time alone.
    #[must_use]
    pub fn next(&self, is_mute: bool) -> Option<Mono> {
        self.lookup.next(is_mute)
    }

    /// Notes that a message was composed, and returns its number within the incident, from 0.
    pub fn note_told(&mut self, id: &IncidentId, reason: MessageReason, now: UnixTime) -> Option<u32> {
        self.change_any(id, |incident| notify(incident, reason, now))
    }

    /// Notes that all messages of an incident but the last `owed` have left the outbox.
    pub fn note_settled(&mut self, id: &IncidentId, owed: usize) {
        self.change_any(id, |incident| settle(incident, owed));
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

    /// Whether an incident is open.
    #[must_use]
    pub fn is_open(&self, id: &IncidentId) -> bool {
        self.open.contains_key(id)
    }

    /// Open incidents in which a finding is ongoing.
    pub fn with_part(&self, key: &FindingKey) -> impl Iterator<Item = &IncidentId> {
        self.lookup.with_part(key)
    }

    fn still_settling(&self, finding: &Finding) -> Option<IncidentId> {
        self.lookup.settling(finding).next().cloned()
    }

    fn explained_by(&self, cause: &Finding) -> Option<IncidentId> {
        if !(self.relations.is_cause)(cause) {
            return None;
        }
        let explains = |id: &&IncidentId| {
            self.open.get(*id).is_some_and(|open| (self.relations.explains)(cause, open.incident.root()))
        };
        let near = (self.relations.effects)(&cause.key());
        near.iter().find_map(|near| match near {
            Near::At(key) => self.lookup.rooted_at(key).find(explains).cloned(),
            Near::In(scope) => self.lookup.rooted_in(scope).find(explains).cloned(),
        })
    }

    fn add(&mut self, id: &IncidentId, finding: &Finding, now: Mono) {
        self.change(id, |open| open.add(finding, now));
        if self.open.contains_key(id) {
            self.lookup.stood(&finding.key(), id);
        }
    }

    fn open_new(&mut self, finding: &Finding, policy: &Policy, now: Now) -> IncidentId {
        let is_known = |id: &IncidentId| self.incident(id).is_some() || self.spent.contains(id);
        let id = (0..).map(|again| identity(finding, again)).find(|id| !is_known(id));
        let id = id.unwrap_or_else(|| identity(finding, 0));
        let incident = Incident {
            id: id.clone(),
            cluster: finding.subject.cluster().cloned(),
            opened: finding.since,
            headline: finding.clone(),
            cause: None,
            parts: vec![Part::of(finding.clone())],
            level: finding.level,
            told: Told { settled: Some(0), ..Told::default() },
            silenced: None,
            over: None,
        };
        let mut open = Open::new(incident, self.relations);
        open.timers.set(Timer::Settle, now.mono.plus(policy.settle));
        self.insert(open);
        id
    }

    fn insert(&mut self, open: Open) {
        let id = open.incident.id.clone();
        for finding in open.incident.ongoing() {
            self.lookup.stood(&finding.key(), &id);
        }
        self.open.insert(id.clone(), open);
        self.change(&id, |_| ());
    }

    /// Changes an open incident, and updates the index.
    fn change<R>(&mut self, id: &IncidentId, change: impl FnOnce(&mut Open) -> R) -> Option<R> {
        let open = self.open.get_mut(id)?;
        let result = change(open);
        self.lookup.file(id, open);
        Some(result)
    }

    /// Changes an incident, open or ended.
    fn change_any<R>(&mut self, id: &IncidentId, change: impl FnOnce(&mut Incident) -> R) -> Option<R> {
        if self.open.contains_key(id) {
            return self.change(id, |open| change(Arc::make_mut(&mut open.incident)));
        }
        self.ended.iter_mut().find(|ended| ended.id == *id).map(|ended| change(Arc::make_mut(ended)))
    }

    fn keep_ended(&mut self, incident: Arc<Incident>) {
        if let Some(past) = Past::of(&incident) {
            self.past.add(past);
        }
        self.ended.push_front(incident);
        self.ended.truncate(KEPT);
    }
}

/// Notes in an incident that all its messages but the last `owed` have left the outbox.
pub fn settle(incident: &mut Incident, owed: usize) {
    incident.told.settled = Some(incident.told.messages.saturating_sub(u32::try_from(owed).unwrap_or(u32::MAX)));
}

fn notify(incident: &mut Incident, reason: MessageReason, now: UnixTime) -> u32 {
    let number = incident.told.messages;
    // The mail "remains" said that the worst is over, so what becomes worse after it is reported again.
    let starts_anew = reason == MessageReason::Remains;
    let stands = incident.ongoing().filter_map(Finding::band).max();
    let (level, band) = if starts_anew {
        (incident.ongoing().map(|finding| finding.level).max(), stands)
    } else {
        (Some(incident.level).max(incident.told.level), stands.max(incident.told.band))
    };
    for part in incident.parts.iter_mut().filter(|part| part.over.is_none()) {
        let names_culprit = part.finding.evidence.names_culprit();
        let now = Said { level: Some(part.finding.level), band: part.finding.band(), names_culprit };
        let before = if starts_anew { Said::default() } else { part.said };
        part.said = Said {
            level: now.level.max(before.level),
            band: now.band.max(before.band),
            names_culprit: now.names_culprit || before.names_culprit,
        };
    }
    incident.told =
        Told { messages: number.saturating_add(1), last: Some(now), level, band, settled: incident.told.settled };
    withheld::settle(incident);
    number
}

/// Hash of cluster, rule, subject and first bad probe: the same after a restart, different for the next time. `again`
/// distinguishes an incident that is opened anew because the first of that identity is over or lost.
fn identity(finding: &Finding, again: u32) -> IncidentId {
    let subject = finding.subject.to_string();
    let since = finding.since.as_millis().to_string();
    let again = if again == 0 { String::new() } else { again.to_string() };
    let mut parts = vec![finding.rule.as_str(), &subject, &since];
    parts.extend((!again.is_empty()).then_some(again.as_str()));
    IncidentId(format!("{:016x}", stable_hash(&parts)))
}
