//! Messages that are to be sent: attempted until accepted, the most severe first, kept over restarts.
//!
//! Every send is an attempt. The messages of one incident keep their order. An incident that opened and ended while
//! nothing could be sent becomes one message that says so. The outbox is bounded; what it drops is counted. No call
//! walks over all messages, except where something is changed for all of them, or is to be dropped.

mod incident_queue;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::incident::IncidentId;
use crate::model::message::{Backlog, Delivery, DeliveryFailure, Message, MessageId, Receipt};
use crate::model::policy::Policy;
use crate::model::reason::MessageReason;
use crate::model::time::{Mono, UnixTime};

use incident_queue::{Entry, EntryState, IncidentQueue, Place, Priority};

/// Most unsent messages at once. Ten per incident of a bad day; more would not be read.
const MOST: usize = 500;

/// Delay after a permanent refusal, which ends only when a person corrects the relay or the address.
const AFTER_REJECTION: Duration = Duration::from_secs(300);

/// All unsent messages.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Outbox {
    queues: BTreeMap<IncidentId, IncidentQueue>,
    /// Which incident a message is of.
    of: BTreeMap<MessageId, IncidentId>,
    /// Incidents of which a message may be sent, the most severe first.
    free: BTreeMap<Priority, IncidentId>,
    /// The others, by when a message of theirs may be sent.
    later: BTreeSet<(Mono, IncidentId)>,
    /// Messages that wait for a persist.
    unwritten: BTreeMap<u64, Vec<MessageId>>,
    under_way: BTreeSet<MessageId>,
    taken: u64,
    last_failure: Option<DeliveryFailure>,
    hurried: Option<Mono>,
}

/// What a receipt means for the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Accepted: done.
    Accepted {
        /// What was sent.
        delivery: Box<Delivery>,
        /// Earlier messages of the incident, refused before, which need not be sent any more.
        replaced: Vec<MessageId>,
    },
    /// It stays in the outbox.
    Owed(Box<Delivery>),
    /// No recipient was sent it.
    Unknown,
}

impl Outbox {
    /// Adds a message; it is sent once persist `sequence` has ended, or at `until`. Returns what had to be dropped.
    pub fn owe(&mut self, delivery: Delivery, sequence: u64, until: Mono, now: Mono) -> Option<Delivery> {
        self.unwritten.entry(sequence).or_default().push(delivery.message.id.clone());
        self.take_in(delivery, EntryState::Unwritten { sequence, until }, now);
        self.shed()
    }

    /// Restores a message from before a restart; it is already durable.
    pub fn restore(&mut self, delivery: Delivery, now: Mono) {
        self.take_in(delivery, EntryState::Ready(now), now);
    }

    /// A persist ended: messages that waited for it may be sent. A failed persist delays none.
    pub fn written(&mut self, sequence: u64, works: bool, now: Mono, mark: impl Fn(&mut Message)) {
        let later = self.unwritten.split_off(&(sequence + 1));
        for message in std::mem::replace(&mut self.unwritten, later).into_values().flatten() {
            self.change(&message, |entry| {
                if matches!(entry.state, EntryState::Unwritten { .. }) {
                    entry.state = EntryState::Ready(now);
                    if !works {
                        mark(&mut entry.delivery.message);
                    }
                }
            });
        }
    }

    /// Takes the next message that may be sent at `now`, if any: the most severe, as far as `policy` allows another
    /// attempt.
    ///
    /// One of the attempts that it allows at once is kept for what is critical: a relay that is slow with warnings must
    /// not hold it up.
    pub fn pop(
        &mut self,
        policy: &Policy,
        now: Mono,
        may_go: impl Fn(&Message) -> bool,
        mark: impl Fn(&mut Message),
    ) -> Option<Delivery> {
        while let Some((_, incident)) = self.later.first().filter(|(at, _)| *at <= now).cloned() {
            self.refile(&incident, Some(now));
        }
        let (incident, position) = self.first_free(policy, &may_go)?;
        let entry = self.queues.get_mut(&incident)?.entries.get_mut(position)?;
        if matches!(entry.state, EntryState::Unwritten { .. }) {
            mark(&mut entry.delivery.message);
        }
        entry.state = EntryState::InFlight(now);
        let delivery = entry.delivery.clone();
        self.under_way.insert(delivery.message.id.clone());
        self.refile(&incident, None);
        Some(delivery)
    }

    /// An attempt ended.
    pub fn settle(&mut self, message: &MessageId, receipt: Receipt, policy: &Policy, now: Mono) -> Settlement {
        self.under_way.remove(message);
        let Some(incident) = self.of.get(message).cloned() else { return Settlement::Unknown };
        let hurried = self.hurried;
        let (failure, rejected) = match receipt {
            Receipt::Accepted => {
                self.last_failure = None;
                return self.accept(&incident, message);
            }
            Receipt::Retry(failure) => (failure, false),
            Receipt::Rejected(failure) => (failure, true),
        };
        self.last_failure = Some(failure.clone());
        let settled = self.change(message, |entry| {
            let begun = if let EntryState::InFlight(begun) = entry.state { Some(begun) } else { None };
            let was_hurried = begun.zip(hurried).is_some_and(|(begun, hurried)| hurried >= begun);
            let delay = match rejected {
                // Refused by the relay as it was before it was corrected.
                true if was_hurried => Duration::ZERO,
                true => AFTER_REJECTION,
                false => backoff(entry.delivery.attempts, policy),
            };
            entry.delivery.attempts = entry.delivery.attempts.saturating_add(1);
            entry.delivery.last_failure = Some(failure);
            entry.state = EntryState::Ready(now.plus(delay));
            Box::new(entry.delivery.clone())
        });
        settled.map_or(Settlement::Unknown, Settlement::Owed)
    }

    /// Changes a message that is still unsent.
    pub fn amend(&mut self, message: &MessageId, change: impl FnOnce(&mut Delivery)) {
        self.change(message, |entry| change(&mut entry.delivery));
    }

    /// Whether the first message of an incident is unsent, no recipient has got it, and no attempt at any of its
    /// messages is under way, so that they can be replaced by one.
    #[must_use]
    pub fn is_untold(&self, incident: &IncidentId) -> bool {
        let Some(queue) = self.queues.get(incident) else { return false };
        let first = queue.entries.front().is_some_and(|entry| entry.message().reason == MessageReason::First);
        let is_untold =
            |entry: &Entry| !matches!(entry.state, EntryState::InFlight(_)) && entry.delivery.served.is_empty();
        first && queue.entries.iter().all(is_untold)
    }

    /// Drops all unsent messages of an incident. Returns what was dropped.
    pub fn withdraw(&mut self, incident: &IncidentId) -> Vec<MessageId> {
        let Some(queue) = self.queues.remove(incident) else { return Vec::new() };
        self.unfile(incident, queue.place);
        let dropped: Vec<MessageId> = queue.entries.into_iter().map(|entry| entry.delivery.message.id).collect();
        for message in &dropped {
            self.of.remove(message);
        }
        dropped
    }

    /// Drops all unsent messages, because mail is no longer configured. Returns what was dropped.
    pub fn clear(&mut self) -> Vec<MessageId> {
        let dropped = self.owed().into_iter().map(|delivery| delivery.message.id).collect();
        *self = Self { hurried: self.hurried, taken: self.taken, ..Self::default() };
        dropped
    }

    /// Unsent messages of an incident.
    #[must_use]
    pub fn owes(&self, incident: &IncidentId) -> usize {
        self.queues.get(incident).map_or(0, |queue| queue.entries.len())
    }

    /// Whether another message can be added without dropping one.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.of.len() < MOST
    }

    /// All unsent messages, oldest first.
    #[must_use]
    pub fn owed(&self) -> Vec<Delivery> {
        let mut entries: Vec<&Entry> = self.entries().collect();
        entries.sort_by_key(|entry| entry.number);
        entries.into_iter().map(|entry| entry.delivery.clone()).collect()
    }

    /// Everything may be tried at once: the network is back, or the configuration was reloaded.
    pub fn hurry(&mut self, now: Mono) {
        self.hurried = Some(now);
        let incidents: Vec<IncidentId> = self.queues.keys().cloned().collect();
        for incident in incidents {
            for entry in self.queues.get_mut(&incident).into_iter().flat_map(|queue| &mut queue.entries) {
                if let EntryState::Ready(at) = &mut entry.state {
                    *at = (*at).min(now);
                }
            }
            self.refile(&incident, None);
        }
    }

    /// When the next message may be sent.
    #[must_use]
    pub fn next(&self, policy: &Policy, may_go: impl Fn(&Message) -> bool) -> Option<Mono> {
        let free = self.first_free(policy, &may_go);
        let free = free.and_then(|(incident, _)| Some(self.queues.get(&incident)?.next()?.1));
        // With all attempts under way the end of one of them comes first.
        let later = self.later.first().map(|(at, _)| *at).filter(|_| self.under_way.len() < policy.mails_at_once);
        free.into_iter().chain(later).min()
    }

    /// Since when the oldest critical message has been unsent.
    #[must_use]
    pub fn oldest_critical(&self) -> Option<Mono> {
        self.entries().filter(|entry| entry.is_critical()).map(|entry| entry.since).min()
    }

    /// What waits, for the snapshot.
    #[must_use]
    pub fn backlog(&self, policy: &Policy) -> Backlog {
        let oldest: Option<UnixTime> = self.entries().map(|entry| entry.message().composed).min();
        Backlog {
            waiting: self.of.len(),
            oldest,
            next_attempt: self.next(policy, |_| true),
            last_failure: self.last_failure.clone(),
        }
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.queues.values().flat_map(|queue| &queue.entries)
    }

    /// The most severe incident of which a message may be sent, and that message's position.
    fn first_free(&self, policy: &Policy, may_go: impl Fn(&Message) -> bool) -> Option<(IncidentId, usize)> {
        let places = policy.mails_at_once.saturating_sub(self.under_way.len());
        let kept = usize::from(policy.mails_at_once > 1);
        for (gravity, incident) in &self.free {
            let is_critical = gravity.0 == 0;
            if places == 0 || !is_critical && places <= kept {
                return None;
            }
            let Some(queue) = self.queues.get(incident) else { continue };
            if let Some((position, _)) = queue.next()
                && may_go(queue.entries[position].message())
            {
                return Some((incident.clone(), position));
            }
        }
        None
    }

    fn accept(&mut self, incident: &IncidentId, message: &MessageId) -> Settlement {
        let Some(queue) = self.queues.get_mut(incident) else { return Settlement::Unknown };
        let Some(position) = queue.position(message) else { return Settlement::Unknown };
        let mut done: Vec<Entry> = queue.entries.drain(..=position).collect();
        for entry in &done {
            self.of.remove(&entry.delivery.message.id);
        }
        self.refile(incident, None);
        let Some(accepted) = done.pop() else { return Settlement::Unknown };
        let replaced = done.into_iter().map(|entry| entry.delivery.message.id).collect();
        Settlement::Accepted { delivery: Box::new(accepted.delivery), replaced }
    }

    fn take_in(&mut self, delivery: Delivery, state: EntryState, now: Mono) {
        self.taken += 1;
        let incident = delivery.message.incident.id.clone();
        self.of.insert(delivery.message.id.clone(), incident.clone());
        let entry = Entry { delivery, state, since: now, number: self.taken };
        self.queues.entry(incident.clone()).or_default().entries.push_back(entry);
        self.refile(&incident, None);
    }

    fn change<R>(&mut self, message: &MessageId, change: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        let incident = self.of.get(message)?.clone();
        let queue = self.queues.get_mut(&incident)?;
        let position = queue.position(message)?;
        let result = queue.entries.get_mut(position).map(change);
        self.refile(&incident, None);
        result
    }

    /// Updates the place of an incident after a change of its messages, or because `now` has come.
    fn refile(&mut self, incident: &IncidentId, now: Option<Mono>) {
        let Some(queue) = self.queues.get(incident) else { return };
        let place = match queue.next() {
            None => Place::Nowhere,
            Some((_, at)) if now.is_some_and(|now| at <= now) => Place::Free(queue.gravity()),
            Some((_, at)) => Place::Later(at),
        };
        let (before, is_empty) = (queue.place, queue.entries.is_empty());
        self.unfile(incident, before);
        if is_empty {
            self.queues.remove(incident);
            return;
        }
        match place {
            Place::Nowhere => {}
            Place::Later(at) => drop(self.later.insert((at, incident.clone()))),
            Place::Free(gravity) => drop(self.free.insert(gravity, incident.clone())),
        }
        if let Some(queue) = self.queues.get_mut(incident) {
            queue.place = place;
        }
    }

    fn unfile(&mut self, incident: &IncidentId, place: Place) {
        match place {
            Place::Nowhere => {}
            Place::Later(at) => drop(self.later.remove(&(at, incident.clone()))),
            Place::Free(gravity) => drop(self.free.remove(&gravity)),
        }
    }

    /// Drops the least severe message, of those a repeat, of those the oldest.
    fn shed(&mut self) -> Option<Delivery> {
        if self.of.len() <= MOST {
            return None;
        }
        let waiting = self.entries().filter(|entry| !matches!(entry.state, EntryState::InFlight(_)));
        let weight = |entry: &&Entry| {
            let message = entry.message();
            (message.level, message.reason != MessageReason::Repeated, entry.number)
        };
        let message = waiting.min_by_key(weight)?.delivery.message.id.clone();
        let incident = self.of.remove(&message)?;
        let queue = self.queues.get_mut(&incident)?;
        let dropped = queue.position(&message).and_then(|position| queue.entries.remove(position));
        self.refile(&incident, None);
        dropped.map(|entry| entry.delivery)
    }
}

fn backoff(attempts: u32, policy: &Policy) -> Duration {
    policy.retry_first.saturating_mul(2_u32.saturating_pow(attempts.min(16))).min(policy.retry_most)
}
