//! From alarms to messages: which incident an alarm belongs to, what is composed, what is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::alert::group::{Notification, settle};
use crate::alert::outbox::Settlement;
use crate::alert::relations::RuleScope;
use crate::judge::commands::guess;
use crate::judge::edges::explains;
use crate::model::exchange::{Action, Change};
use crate::model::host_access::Hosts;
use crate::model::incident::{Alarm, Incident, IncidentId};
use crate::model::inventory::Inventory;
use crate::model::message::{Caveat, Delivery, Message, MessageId, Receipt};
use crate::model::reason::MessageReason;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::{Name, Subject};
use crate::model::time::{Mono, Now, UnixTime};
use crate::model::verdict::{Evidence, Finding, FindingKey};
use crate::observe::evidence;

use super::relations::relations;
use super::replacements::replacements;
use super::{Engine, RestoreState, Scope};

/// A finding waits this long for a suspected cause to be confirmed or cleared: a burst ends within 8 s.
const CAUSE_WAIT: Duration = Duration::from_secs(10);

/// Notes in a message that the store did not confirm it in time.
pub(super) fn mark_unstored(message: &mut Message) {
    if !message.caveats.contains(&Caveat::NotStored) {
        message.caveats.push(Caveat::NotStored);
    }
}

/// What happens to an alarm that belongs to no incident yet.
enum Assignment {
    Fold(IncidentId),
    /// A cause may still be found; until then at the latest.
    Wait(Mono),
    Own,
}

/// Scopes whose alarms may be assigned to incidents.
#[derive(Debug, Clone, Default)]
pub(super) struct Assignments {
    /// Where something has changed.
    pub(super) changed: BTreeSet<Scope>,
    /// Where alarms wait for a cause or for others of their rule, and until when.
    waits: BTreeMap<Scope, Mono>,
}

impl Assignments {
    pub(super) fn next(&self) -> Option<Mono> {
        self.waits.values().min().copied()
    }

    fn take(&mut self, now: Mono) -> BTreeSet<Scope> {
        let mut places = std::mem::take(&mut self.changed);
        places.extend(self.waits.iter().filter(|(_, until)| **until <= now).map(|(place, _)| place.clone()));
        self.waits.retain(|place, _| !places.contains(place));
        places
    }
}

impl Engine {
    /// Assigns every firing alarm to an incident, and composes the mails that are due.
    pub(super) fn notify(&mut self, now: Now) {
        let is_isolated = self.view.path().is_isolated();
        // Everything is evaluated anew when the network is back.
        let places = self.assignments.take(now.mono).into_iter().filter(|place| !is_isolated || place.is_none());
        for place in places.collect::<Vec<_>>() {
            self.assign_all(&place, now);
        }
        let lifecycle = &self.lifecycle;
        let eases = |key: &FindingKey| lifecycle.alarm(key).is_some_and(Alarm::is_clearing);
        let due = self.incidents.due(self.view.policy(), now.mono, is_isolated, eases);
        for notification in due {
            self.say(Some(notification), now);
        }
        if !is_isolated {
            self.release_withheld(now);
            self.say_dropped(now);
        }
    }

    /// The incident that an alarm belongs to, and the alarm's finding.
    pub(super) fn assigned_incident(&self, key: &FindingKey) -> Option<(IncidentId, Finding)> {
        let alarm = self.lifecycle.alarm(key)?;
        Some((alarm.incident.clone()?, alarm.finding.clone()))
    }

    /// A finding is over in every incident it is part of.
    pub(super) fn recover_everywhere(&mut self, key: &FindingKey, at: UnixTime, withdrawn: bool, now: Now) {
        let policy = Arc::clone(self.view.policy());
        let concerned: Vec<IncidentId> = self.incidents.with_part(key).cloned().collect();
        for id in concerned {
            let is_over = self.incidents.recover(&id, key, at, withdrawn, &policy, now.mono);
            if is_over {
                self.release_alarms(&id);
            }
            if is_over && self.is_told(&id) {
                self.say(Some(Notification { incident: id.clone(), reason: MessageReason::Resolved }), now);
                self.collapse(&id, now);
            }
            self.note_incident(&id);
        }
    }

    /// Alarms do not stay assigned to an incident that has ended.
    fn release_alarms(&mut self, id: &IncidentId) {
        let keys: Vec<FindingKey> = self.lifecycle.spoken_by(id).map(Alarm::key).collect();
        for key in keys {
            self.lifecycle.set_incident(&key, None);
            self.assignments.changed.insert(key.subject.cluster().cloned());
            self.note_alarm(&key);
        }
    }

    /// Composes a mail and puts it into the outbox.
    pub(super) fn say(&mut self, notification: Option<Notification>, now: Now) {
        let Some(Notification { incident: id, reason }) = notification else { return };
        if !self.view.inventory().mails {
            return;
        }
        let current: Vec<Finding> = self.lifecycle.spoken_by(&id).map(|alarm| alarm.finding.clone()).collect();
        for finding in &current {
            self.incidents.refresh(&id, finding);
        }
        if self.withholds(&id, reason) {
            return;
        }
        let Some(number) = self.incidents.note_told(&id, reason, now.wall) else { return };
        let Some(incident) = self.incidents.incident(&id).map(Arc::clone) else { return };
        let message = self.compose(&incident, number, reason, now);
        self.note_incident(&id);
        let delivery = Delivery::new(message);
        self.changes.push(Change::Owed(Box::new(delivery.clone())));
        let until = now.mono.plus(self.view.policy().persist_wait);
        if let Some(dropped) = self.outbox.owe(delivery, self.sequence + 1, until, now.mono) {
            self.counters.outbox_dropped += 1;
            self.dropped.insert(dropped.message.incident.id.clone());
            self.changes.push(Change::Settled { message: dropped.message.id, accepted: false });
        }
        self.is_snapshot_stale = true;
    }

    /// Whether a message may be attempted now.
    pub(super) fn may_go(&self, message: &Message) -> bool {
        if self.view.inventory().relay_is_local {
            return true;
        }
        // The loss of the vantage's network is mailed once, when it is over, because no mail can be sent before.
        let of_open_vantage = message.incident.parts.iter().any(|part| part.finding.rule == RuleId::F04)
            && message.reason != MessageReason::Drill
            && self.incidents.incident(&message.incident.id).is_some_and(|incident| incident.over.is_none());
        !self.view.path().is_isolated() && !of_open_vantage
    }

    pub(super) fn send_due(&mut self, now: Now) {
        let policy = self.view.policy().clone();
        loop {
            let mut outbox = std::mem::take(&mut self.outbox);
            let next = outbox.pop(&policy, now.mono, |message| self.may_go(message), mark_unstored);
            self.outbox = outbox;
            let Some(mut delivery) = next else { return };
            self.notify_refused(&mut delivery);
            self.actions.push_back(Action::Send(Box::new(delivery)));
        }
    }

    pub(super) fn delivered(&mut self, message: &MessageId, receipt: Receipt, now: Now) {
        if let Receipt::Retry(failure) | Receipt::Rejected(failure) = &receipt {
            *self.counters.delivery_failures.entry(failure.class).or_default() += 1;
        }
        let policy = self.view.policy().clone();
        match self.outbox.settle(message, receipt, &policy, now.mono) {
            Settlement::Accepted { delivery, replaced } => {
                self.counters.accepted += 1;
                self.note_settled(&delivery.message.incident);
                self.changes.push(Change::Settled { message: message.clone(), accepted: true });
                let replaced = replaced.into_iter().map(|message| Change::Settled { message, accepted: false });
                self.changes.extend(replaced);
            }
            Settlement::Owed(delivery) => {
                let incident = delivery.message.incident.id.clone();
                self.changes.push(Change::Owed(delivery));
                self.collapse(&incident, now);
            }
            Settlement::Unknown => {}
        }
        self.is_snapshot_stale = true;
    }

    /// An incident that began and ended before a mail could be sent becomes one message that says so.
    pub(super) fn collapse(&mut self, id: &IncidentId, now: Now) {
        let is_over = self.incidents.incident(id).is_some_and(|incident| incident.over.is_some());
        if !is_over || !self.outbox.is_untold(id) {
            return;
        }
        for message in self.outbox.withdraw(id) {
            self.changes.push(Change::Settled { message, accepted: false });
        }
        // No relay accepted them, so they are not settled: if this one is lost, it is composed again as what it is.
        self.say(Some(Notification { incident: id.clone(), reason: MessageReason::HappenedWhileMute }), now);
    }

    /// A relay has accepted a message of an incident: those before it have left the outbox.
    fn note_settled(&mut self, told: &Incident) {
        let owed = self.outbox.owes(&told.id);
        self.incidents.note_settled(&told.id, owed);
        if self.incidents.incident(&told.id).is_some() {
            self.note_incident(&told.id);
        } else {
            // Over for so long that only the store has it: as it was when the message was composed.
            let mut told = told.clone();
            settle(&mut told, owed);
            self.changes.push(Change::Incident(Box::new(told)));
        }
    }

    /// Composes again, now that there is room, the mails that the outbox had no room for.
    fn say_dropped(&mut self, now: Now) {
        let policy = Arc::clone(self.view.policy());
        while self.outbox.has_room()
            && let Some(id) = self.dropped.pop_first()
        {
            let said = self.incidents.retract(&id, self.outbox.owes(&id), &policy, now.mono);
            self.note_incident(&id);
            self.say(said, now);
        }
    }

    fn is_told(&self, id: &IncidentId) -> bool {
        self.incidents.incident(id).is_some_and(|incident| incident.is_told())
    }

    fn assign_all(&mut self, place: &Scope, now: Now) {
        let silent: Vec<FindingKey> = self.lifecycle.unassigned(place).cloned().collect();
        if silent.is_empty() {
            return;
        }
        let awaited = self.lifecycle.expecting_company(place, now.mono);
        for key in silent {
            if let Some(until) = self.assign(&key, &awaited, now) {
                let wait = self.assignments.waits.entry(place.clone()).or_insert(until);
                *wait = until.min(*wait);
            }
        }
    }

    /// Returns until when the alarm waits without one.
    fn assign(&mut self, key: &FindingKey, awaited: &BTreeMap<RuleScope, Mono>, now: Now) -> Option<Mono> {
        let finding = self.lifecycle.alarm(key).map(|alarm| alarm.finding.clone())?;
        let policy = Arc::clone(self.view.policy());
        // The hold of the warning is over; some seconds more are better than a second mail about the same event. Once
        // the first of them is mailed, the others join its incident.
        let company = awaited.get(&RuleScope::of(key)).filter(|_| finding.level == Level::Warning);
        if let Some(until) = company
            && !self.incidents.is_joinable(&finding)
        {
            return Some(*until);
        }
        let (incident, said) = match self.assignment(&finding, now) {
            Assignment::Wait(until) => return Some(until),
            Assignment::Fold(incident) => {
                let said = self.incidents.fold(&incident, &finding, now.mono);
                (incident, said)
            }
            Assignment::Own => self.incidents.join_or_open(&finding, &policy, now),
        };
        self.lifecycle.set_incident(key, Some(incident.clone()));
        self.note_alarm(key);
        self.note_incident(&incident);
        self.stir(&finding);
        self.say(said, now);
        None
    }

    /// A finding waits for no cause longer than [`Engine::cause_wait`], and, where it is a warning, out the hold of one
    /// that is confirmed already: its consequence is mailed in the end, even if the cause is not confirmed.
    fn assignment(&self, finding: &Finding, now: Now) -> Assignment {
        let key = finding.key();
        let fired = self.lifecycle.fired(&key).unwrap_or(now.mono);
        let wait = self.cause_wait(finding.subject.cluster());
        let near = (relations().causes)(&key);
        // Once the vantage has its network again, what it sees is not a consequence of the loss.
        let is_past = |alarm: &Alarm| alarm.finding.rule == RuleId::F04 && !self.view.path().is_isolated();
        let causes = near.iter().flat_map(|near| self.lifecycle.causes(near));
        let mut patience = None;
        for cause in causes.filter(|alarm| explains(&alarm.finding, finding) && !is_past(alarm)) {
            if let Some(open) = cause.incident.as_ref().filter(|id| self.incidents.is_open(id)) {
                return Assignment::Fold(open.clone());
            }
            let is_patient = !cause.is_firing() && finding.level < Level::Critical;
            let hold = if is_patient { cause.finding.hold } else { Duration::ZERO };
            patience = patience.max(Some(wait.saturating_add(hold)));
        }
        if let Some(patience) = patience {
            let until = fired.plus(patience);
            return if now.mono < until { Assignment::Wait(until) } else { Assignment::Own };
        }
        if let Some(incident) = self.incidents.aftermath_of(finding) {
            return Assignment::Fold(incident);
        }
        let until = fired.plus(wait);
        let is_doubtful = || near.iter().any(|near| self.lifecycle.is_suspected(near, now.mono, wait));
        if finding.level > Level::Info && now.mono < until && is_doubtful() {
            Assignment::Wait(until)
        } else {
            Assignment::Own
        }
    }

    /// Without a reference target that answers, even a plain fault is confirmed only after this.
    fn cause_wait(&self, cluster: Option<&Name>) -> Duration {
        if self.view.references().any_beside(cluster) {
            CAUSE_WAIT
        } else {
            self.view.policy().unproven_after.saturating_add(CAUSE_WAIT)
        }
    }

    fn compose(&self, incident: &Incident, number: u32, reason: MessageReason, now: Now) -> Message {
        let inventory = self.view.inventory();
        let mut caveats = Vec::new();
        if self.persisted == RestoreState::Empty {
            caveats.push(Caveat::StartedEmpty);
        }
        let mut probes = evidence::lines(&self.view, incident.cluster.as_ref());
        if incident.parts.iter().any(|part| matches!(part.finding.rule, RuleId::F26 | RuleId::F28 | RuleId::F54)) {
            probes.extend(evidence::stored(&self.view, incident.cluster.as_ref()));
        }
        Message {
            id: MessageId(format!("{}.{number}", incident.id)),
            thread: MessageId(format!("{}.0", incident.id)),
            reason,
            level: incident.ongoing().map(|finding| finding.level).max().unwrap_or(incident.level),
            composed: now.wall,
            addresses: addresses(&self.view, incident),
            hosts: hosts(&self.view, incident),
            links: inventory.links.filled(incident.cluster.as_ref(), incident.root().rule, &incident.id.0),
            time_zone: inventory.time_zone.clone(),
            probes,
            before: self.incidents.before(incident),
            replacements: replacements(&self.view, incident),
            vantage: inventory.vantage.clone(),
            caveats,
            incident: incident.clone(),
        }
    }
}

/// How the hosts of the incident's cluster are reached, as far as it is known now.
fn hosts(view: &crate::observe::view::View, incident: &Incident) -> Hosts {
    let cluster = incident.cluster.as_ref();
    let cluster_snapshot = cluster.and_then(|name| view.cluster_snapshot(name));
    guess::all(view.inventory(), cluster, cluster_snapshot.map(|cluster_snapshot| &**cluster_snapshot))
}

/// Addresses of everything in the incident's cluster: the reader of the mail needs more than those that are down.
fn addresses(view: &crate::observe::view::View, incident: &Incident) -> BTreeMap<Subject, String> {
    let mut told = view.inventory().addresses(incident.cluster.as_ref());
    if incident.cluster.is_none() {
        told.extend(behind_proxies(view.inventory(), incident));
    }
    told
}

/// One address behind each proxy that an incident is about, for a command that tests the path.
fn behind_proxies(inventory: &Inventory, incident: &Incident) -> Vec<(Subject, String)> {
    let lost = incident
        .parts
        .iter()
        .flat_map(|part| if let Evidence::Proxy { lost, .. } = &part.finding.evidence { lost.as_slice() } else { &[] });
    let one = lost.filter_map(|(name, _)| {
        let cluster = inventory.clusters.get(name)?;
        let vip = cluster.vip.iter().map(|_| Subject::Vip(name.clone()));
        let subject = cluster.apiserver_subjects(name).chain(vip).next()?;
        Some((subject.clone(), inventory.address(&subject).to_owned()))
    });
    one.take(BEHIND).collect()
}

/// Addresses behind proxies in a mail: one is tried by hand.
const BEHIND: usize = 8;
