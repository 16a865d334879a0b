//! From alarms to messages: which incident speaks for an alarm, what is composed, what is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::alert::group::Utterance;
use crate::alert::ladder::Kin;
use crate::alert::outbox::Settlement;
use crate::judge::edges::{could_explain, explains};
use crate::judge::rule;
use crate::model::exchange::{Action, Change};
use crate::model::incident::{Alarm, Incident, IncidentId};
use crate::model::message::{Caveat, Delivery, Message, MessageId, Receipt};
use crate::model::reason::MessageReason;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::time::{Now, UnixTime};
use crate::model::verdict::{Finding, FindingKey};
use crate::observe::lines;

use super::{Engine, MemoryState};

/// A finding waits this long for a suspected cause to be confirmed or cleared: a burst ends within 8 s.
const CAUSE_WAIT: Duration = Duration::from_secs(10);

/// Notes in a message that the store did not confirm it in time.
pub(super) fn mark_unstored(message: &mut Message) {
    if !message.caveats.contains(&Caveat::NotStored) {
        message.caveats.push(Caveat::NotStored);
    }
}

/// What is to become of an alarm that nobody speaks for yet.
enum Voice {
    Fold(IncidentId),
    Wait,
    Own,
}

impl Engine {
    /// Gives every firing alarm an incident that speaks for it, and says what is due.
    pub(super) fn tell(&mut self, now: Now) {
        let is_blind = self.view.path().is_blind();
        let silent: Vec<FindingKey> = self
            .ladder
            .alarms()
            .filter(|alarm| alarm.is_firing() && alarm.incident.is_none() && is_told(&alarm.finding))
            .filter(|alarm| !is_blind || alarm.finding.subject.cluster().is_none())
            .map(Alarm::key)
            .collect();
        let awaited = if silent.is_empty() { BTreeSet::new() } else { self.ladder.expecting_company(now.mono) };
        for key in silent {
            self.give_voice(&key, &awaited, now);
        }
        let ladder = &self.ladder;
        let eases = |key: &FindingKey| ladder.alarm(key).is_some_and(Alarm::is_clearing);
        let due = self.incidents.due(self.view.policy(), now.mono, is_blind, eases);
        for utterance in due {
            self.say(Some(utterance), now);
        }
        if !is_blind {
            self.release_withheld(now);
        }
    }

    /// The incident that speaks for an alarm, and the alarm's finding.
    pub(super) fn spoken_for(&self, key: &FindingKey) -> Option<(IncidentId, Finding)> {
        let alarm = self.ladder.alarm(key)?;
        Some((alarm.incident.clone()?, alarm.finding.clone()))
    }

    pub(super) fn note_incident(&mut self, id: &IncidentId) {
        if let Some(incident) = self.incidents.incident(id) {
            self.changes.push(Change::Incident(Box::new(Incident::clone(incident))));
        }
    }

    /// A finding is over in every incident it is part of.
    pub(super) fn recover_everywhere(&mut self, key: &FindingKey, at: UnixTime, withdrawn: bool, now: Now) {
        let concerned: Vec<IncidentId> = self
            .incidents
            .open()
            .filter(|incident| incident.standing().any(|finding| finding.key() == *key))
            .map(|incident| incident.id.clone())
            .collect();
        for id in concerned {
            let is_over = self.incidents.recover(&id, key, at, withdrawn, now.mono);
            if is_over && self.is_told(&id) {
                self.say(Some(Utterance { incident: id.clone(), reason: MessageReason::Resolved }), now);
                self.collapse(&id, now);
            }
            self.note_incident(&id);
        }
    }

    /// Composes what is to be said and owes it.
    pub(super) fn say(&mut self, utterance: Option<Utterance>, now: Now) {
        let Some(Utterance { incident: id, reason }) = utterance else { return };
        if !self.view.inventory().mails {
            return;
        }
        let current: Vec<Finding> = self
            .ladder
            .alarms()
            .filter(|alarm| alarm.incident.as_ref() == Some(&id))
            .map(|alarm| alarm.finding.clone())
            .collect();
        for finding in &current {
            self.incidents.refresh(&id, finding);
        }
        if self.hushes(&id, reason) {
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
            self.changes.push(Change::Settled { message: dropped.message.id, accepted: false });
        }
        self.is_snapshot_stale = true;
    }

    /// Whether a message may be attempted now.
    pub(super) fn may_go(&self, message: &Message) -> bool {
        if self.view.inventory().relay_is_local {
            return true;
        }
        // The vantage's own blindness is told once, when it is over; nothing gets out before anyway.
        let of_open_vantage = message.incident.parts.iter().any(|part| part.finding.rule == RuleId::F04)
            && message.reason != MessageReason::Drill
            && self.incidents.incident(&message.incident.id).is_some_and(|incident| incident.over.is_none());
        !self.view.path().is_blind() && !of_open_vantage
    }

    pub(super) fn send_due(&mut self, now: Now) {
        loop {
            let mut outbox = std::mem::take(&mut self.outbox);
            let next = outbox.pop(now.mono, |message| self.may_go(message), mark_unstored);
            self.outbox = outbox;
            let Some(mut delivery) = next else { return };
            self.tell_of_refused(&mut delivery);
            self.actions.push_back(Action::Send(Box::new(delivery)));
        }
    }

    pub(super) fn delivered(&mut self, message: &MessageId, receipt: Receipt, now: Now) {
        if let Receipt::Retry(failure) | Receipt::Rejected(failure) = &receipt {
            *self.counters.delivery_failures.entry(failure.class).or_default() += 1;
        }
        let policy = self.view.policy().clone();
        match self.outbox.settle(message, receipt, &policy, now.mono) {
            Settlement::Accepted(_) => {
                self.counters.accepted += 1;
                self.changes.push(Change::Settled { message: message.clone(), accepted: true });
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

    /// What began and ended before anything of it could be told becomes one message that says so.
    pub(super) fn collapse(&mut self, id: &IncidentId, now: Now) {
        let is_over = self.incidents.incident(id).is_some_and(|incident| incident.over.is_some());
        if !is_over || !self.outbox.is_untold(id) {
            return;
        }
        for message in self.outbox.withdraw(id) {
            self.changes.push(Change::Settled { message, accepted: false });
        }
        self.say(Some(Utterance { incident: id.clone(), reason: MessageReason::HappenedWhileMute }), now);
    }

    fn is_told(&self, id: &IncidentId) -> bool {
        self.incidents.incident(id).is_some_and(|incident| incident.told.messages > 0)
    }

    fn give_voice(&mut self, key: &FindingKey, awaited: &BTreeSet<Kin>, now: Now) {
        let Some(finding) = self.ladder.alarm(key).map(|alarm| alarm.finding.clone()) else { return };
        let policy = self.view.policy().clone();
        // A warning has waited out its hold; some seconds more cost less than a second mail of the same event. With the
        // first of them told, the others join it.
        let has_time = finding.level == Level::Warning && awaited.contains(&Kin::of(key));
        if has_time && !self.incidents.is_joinable(&finding) {
            return;
        }
        let (incident, said) = match self.voice(&finding, now) {
            Voice::Wait => return,
            Voice::Fold(incident) => {
                let said = self.incidents.fold(&incident, &finding, now.mono);
                (incident, said)
            }
            Voice::Own => self.incidents.join_or_open(&finding, &policy, now),
        };
        self.ladder.set_incident(key, Some(incident.clone()));
        self.note_alarm(key);
        self.note_incident(&incident);
        self.say(said, now);
    }

    fn voice(&self, finding: &Finding, now: Now) -> Voice {
        // Once the vantage sees again, what it sees is no consequence of its blindness.
        let is_past = |alarm: &Alarm| alarm.finding.rule == RuleId::F04 && !self.view.path().is_blind();
        let mut causes =
            self.ladder.alarms().filter(|alarm| explains(&alarm.finding, finding) && !is_past(alarm)).peekable();
        if causes.peek().is_some() {
            let told = causes.find_map(|cause| {
                cause
                    .incident
                    .clone()
                    .filter(|id| self.incidents.incident(id).is_some_and(|known| known.over.is_none()))
            });
            return told.map_or(Voice::Wait, Voice::Fold);
        }
        if let Some(incident) = self.incidents.aftermath_of(finding) {
            return Voice::Fold(incident);
        }
        let is_doubtful = self
            .ladder
            .suspected(now.mono, self.cause_wait())
            .any(|suspect| could_explain(suspect.rule, &suspect.subject, finding));
        if is_doubtful && finding.level > Level::Info { Voice::Wait } else { Voice::Own }
    }

    /// Without a reference point even a plain fault stays a suspicion for as long as that takes.
    fn cause_wait(&self) -> Duration {
        if self.view.has_remote_reference() {
            CAUSE_WAIT
        } else {
            self.view.policy().unproven_after.saturating_add(CAUSE_WAIT)
        }
    }

    fn compose(&self, incident: &Incident, number: u32, reason: MessageReason, now: Now) -> Message {
        let inventory = self.view.inventory();
        let mut caveats = Vec::new();
        if self.memory == MemoryState::Empty {
            caveats.push(Caveat::StartedEmpty);
        }
        let mut looks = lines::lines(&self.view, incident.cluster.as_ref());
        if incident.parts.iter().any(|part| matches!(part.finding.rule, RuleId::F26 | RuleId::F28 | RuleId::F54)) {
            looks.extend(lines::stored(&self.view, incident.cluster.as_ref()));
        }
        Message {
            id: MessageId(format!("{}.{number}", incident.id)),
            thread: MessageId(format!("{}.0", incident.id)),
            reason,
            level: incident.standing().map(|finding| finding.level).max().unwrap_or(incident.level),
            composed: now.wall,
            addresses: addresses(&self.view, incident),
            looks,
            vantage: inventory.vantage.clone(),
            caveats,
            incident: incident.clone(),
        }
    }
}

/// Whether a finding is ever worth an incident: what tells of the set-up is so only where the configuration made it loud.
fn is_told(finding: &Finding) -> bool {
    finding.level > Level::Info || !rule(finding.rule).is_listed_only()
}

/// Addresses of everything in the incident's cluster: whoever reads the mail needs to reach more than the dead.
fn addresses(view: &crate::observe::view::View, incident: &Incident) -> BTreeMap<Subject, String> {
    let inventory = view.inventory();
    let Some((name, cluster)) = incident.cluster.as_ref().and_then(|name| inventory.clusters.get_key_value(name))
    else {
        let references =
            inventory.references.iter().map(|known| (Subject::Reference(known.name.clone()), &known.address));
        let resolvers = inventory.resolvers.iter().map(|known| (Subject::Resolver(known.name.clone()), &known.address));
        return references.chain(resolvers).map(|(subject, address)| (subject, address.clone())).collect();
    };
    let vip = cluster.vip.iter().map(|_| Subject::Vip(name.clone()));
    let members = cluster.etcds.iter().flat_map(|(etcd, known)| known.member_subjects(name, etcd));
    cluster
        .apiserver_subjects(name)
        .chain(vip)
        .chain(members)
        .map(|subject| (subject.clone(), inventory.address(&subject).to_owned()))
        .collect()
}
