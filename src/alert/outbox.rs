//! Messages that are to be sent: attempted until accepted, the most severe first, kept over restarts.
//!
//! What is owed is a delivery: a message through an outlet to a recipient. The recipients of one message in one outlet
//! are attempted together as far as their times allow, and each has its own result. The messages of one incident keep
//! their order within an outlet, and no outlet waits for another. An incident that opened and ended while nothing could
//! be sent becomes one message that says so. The outbox is bounded; what it drops is counted. No call walks over all
//! messages, except where something is changed for all of them, is to be dropped or to be shown.

mod incident_queue;
mod results;
mod retry;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::delivery::{Attempt, Backlog, DeliveryFailure, DeliveryResult, Unsent};
use crate::model::incident::IncidentId;
use crate::model::message::{Message, MessageId};
use crate::model::outlet::Outlet;
use crate::model::policy::Policy;
use crate::model::reason::MessageReason;
use crate::model::recipient::{DeferredRecipient, Rejection};
use crate::model::time::{Mono, UnixTime};

use incident_queue::{Entry, EntryState, IncidentQueue, Place, Priority, UnderWay};
use results::{deferral, no_result};

/// Most unsent messages at once. Ten per incident of a bad day; more would not be read.
const MOST: usize = 500;

/// The unsent messages of one incident in one outlet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct QueueKey {
    incident: IncidentId,
    outlet: Outlet,
}

/// One message in one outlet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UnsentKey {
    /// Which message.
    pub message: MessageId,
    /// In which outlet.
    pub outlet: Outlet,
}

/// All unsent messages.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Outbox {
    queues: BTreeMap<QueueKey, IncidentQueue>,
    /// Which incident a message is of.
    of: BTreeMap<UnsentKey, IncidentId>,
    /// Incidents of which a message may be sent, the most severe first.
    free: BTreeMap<Priority, QueueKey>,
    /// The others, by when a message of theirs may be sent.
    later: BTreeSet<(Mono, QueueKey)>,
    /// Messages that wait for a persist.
    unwritten: BTreeMap<u64, Vec<UnsentKey>>,
    under_way: BTreeSet<UnsentKey>,
    taken: u64,
    last_failure: Option<DeliveryFailure>,
    hurried: Option<Mono>,
}

/// What the end of an attempt means for the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Accepted: done.
    Accepted {
        /// What was sent.
        unsent: Box<Unsent>,
        /// Earlier messages of the incident, refused before, which need not be sent any more.
        replaced: Vec<UnsentKey>,
    },
    /// It stays in the outbox.
    Owed(Box<Unsent>),
    /// Nobody was sent it.
    Unknown,
}

/// What another routing did to the unsent messages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Readdressed {
    /// Addressed to others than before, and still owed.
    pub owed: Vec<Unsent>,
    /// No longer owed: who is left has got it, or nobody is left.
    pub done: Vec<Unsent>,
}

impl UnsentKey {
    /// The key of an unsent message.
    #[must_use]
    pub fn of(unsent: &Unsent) -> Self {
        Self { message: unsent.message.id.clone(), outlet: unsent.outlet.clone() }
    }
}

impl Outbox {
    /// Adds a message; it is sent once persist `sequence` has ended, or at `until`. Returns what had to be dropped.
    pub fn owe(&mut self, unsent: Unsent, sequence: u64, until: Mono, now: Mono) -> Option<Unsent> {
        self.unwritten.entry(sequence).or_default().push(UnsentKey::of(&unsent));
        self.take_in(unsent, EntryState::Unwritten { sequence, until }, now);
        self.shed()
    }

    /// Restores a message from before a restart; it is already durable.
    pub fn restore(&mut self, unsent: Unsent, now: Mono) {
        self.take_in(unsent, EntryState::Ready, now);
    }

    /// A persist ended: messages that waited for it may be sent. A failed persist delays none.
    pub fn written(&mut self, sequence: u64, works: bool, now: Mono, mark: impl Fn(&mut Message)) {
        let later = self.unwritten.split_off(&(sequence + 1));
        for key in std::mem::replace(&mut self.unwritten, later).into_values().flatten() {
            self.change(&key, |entry| {
                if matches!(entry.state, EntryState::Unwritten { .. }) {
                    entry.state = EntryState::Ready;
                    entry.due.values_mut().for_each(|due| *due = now);
                    if !works {
                        mark(&mut entry.unsent.message);
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
        may_go: impl Fn(&Outlet, &Message) -> bool,
        mark: impl Fn(&mut Message),
    ) -> Option<Attempt> {
        while let Some((_, key)) = self.later.first().filter(|(at, _)| *at <= now).cloned() {
            self.refile(&key, Some(now));
        }
        let (key, position) = self.first_free(policy, &may_go)?;
        let entry = self.queues.get_mut(&key)?.entries.get_mut(position)?;
        if matches!(entry.state, EntryState::Unwritten { .. }) {
            mark(&mut entry.unsent.message);
        }
        let asked = entry.asked(now);
        let attempt = entry.unsent.attempt(asked.clone(), Vec::new());
        entry.state = EntryState::InFlight(UnderWay { begun: now, asked, reported: Vec::new() });
        self.under_way.insert(UnsentKey::of(&entry.unsent));
        self.refile(&key, None);
        Some(attempt)
    }

    /// Notes what the attempt under way at a message reports of other recipients.
    pub fn note_reported(&mut self, key: &UnsentKey, rejections: &[Rejection]) {
        self.change(key, |entry| {
            if let EntryState::InFlight(under_way) = &mut entry.state {
                under_way.reported = rejections.to_vec();
            }
        });
    }

    /// What the attempt under way at a message reports of other recipients.
    #[must_use]
    pub fn reported(&self, key: &UnsentKey) -> Vec<Rejection> {
        match self.entry(key).map(|entry| &entry.state) {
            Some(EntryState::InFlight(under_way)) => under_way.reported.clone(),
            Some(EntryState::Unwritten { .. } | EntryState::Ready) | None => Vec::new(),
        }
    }

    /// An attempt ended so for each of its recipients. One without a result failed.
    pub fn settle(
        &mut self,
        key: &UnsentKey,
        mut results: BTreeMap<String, DeliveryResult>,
        policy: &Policy,
        now: Mono,
    ) -> Settlement {
        self.under_way.remove(key);
        let hurried = self.hurried;
        let settled = self.change(key, |entry| {
            let begun = match std::mem::replace(&mut entry.state, EntryState::Ready) {
                EntryState::InFlight(UnderWay { begun, asked, .. }) => {
                    for who in asked {
                        results.entry(who).or_insert_with(no_result);
                    }
                    Some(begun)
                }
                EntryState::Unwritten { .. } | EntryState::Ready => None,
            };
            let was_hurried = begun.zip(hurried).is_some_and(|(begun, hurried)| hurried >= begun);
            entry.note(&results, was_hurried, policy, now);
            entry.unsent.clone()
        });
        let Some(unsent) = settled else { return Settlement::Unknown };
        if unsent.is_done() {
            self.last_failure = None;
            return self.accept(key);
        }
        self.last_failure.clone_from(&unsent.last_failure);
        Settlement::Owed(Box::new(unsent))
    }

    /// Addresses every unsent message anew: `recipients` says to whom a message of an outlet goes now.
    pub fn readdress(&mut self, recipients: impl Fn(&Outlet, &Message) -> BTreeSet<String>, now: Mono) -> Readdressed {
        let mut readdressed = Readdressed::default();
        for key in self.of.keys().cloned().collect::<Vec<_>>() {
            let changed = self.change(&key, |entry| {
                let before: Vec<String> = entry.unsent.deliveries.keys().cloned().collect();
                let to = recipients(&entry.unsent.outlet, &entry.unsent.message);
                entry.unsent.readdress(&to);
                entry.schedule(now);
                let is_changed = !before.iter().eq(entry.unsent.deliveries.keys());
                // The end of an attempt under way settles it.
                let is_done = entry.unsent.is_done() && !entry.is_in_flight();
                (is_changed || is_done).then(|| (entry.unsent.clone(), is_done))
            });
            match changed.flatten() {
                Some((unsent, true)) => {
                    self.remove(&key);
                    readdressed.done.push(unsent);
                }
                Some((unsent, false)) => readdressed.owed.push(unsent),
                None => {}
            }
        }
        readdressed
    }

    /// Whether the first message of an incident is unsent, nobody has got it or may have got it, and no attempt at any
    /// of its messages is under way, so that they can be replaced by one.
    #[must_use]
    pub fn is_untold(&self, incident: &IncidentId) -> bool {
        let mut entries = self.of_incident(incident).flat_map(|queue| &queue.entries).peekable();
        let is_first = |queue: &IncidentQueue| {
            queue.entries.front().is_some_and(|entry| entry.message().reason == MessageReason::First)
        };
        entries.peek().is_some()
            && entries.all(|entry| !entry.is_in_flight() && !entry.may_be_known())
            && self.of_incident(incident).all(is_first)
    }

    /// Drops all unsent messages of an incident. Returns what was dropped.
    pub fn withdraw(&mut self, incident: &IncidentId) -> Vec<UnsentKey> {
        let mut dropped = Vec::new();
        for key in queue_keys(incident) {
            let Some(queue) = self.queues.remove(&key) else { continue };
            self.unfile(&key, queue.place);
            dropped.extend(queue.entries.iter().map(|entry| UnsentKey::of(&entry.unsent)));
        }
        for key in &dropped {
            self.of.remove(key);
        }
        dropped
    }

    /// Drops all unsent messages, because no outlet is configured any more. Returns what was dropped.
    pub fn clear(&mut self) -> Vec<UnsentKey> {
        let dropped = self.owed().iter().map(UnsentKey::of).collect();
        *self = Self { hurried: self.hurried, taken: self.taken, ..Self::default() };
        dropped
    }

    /// Unsent messages of an incident.
    #[must_use]
    pub fn owes(&self, incident: &IncidentId) -> usize {
        // One that several outlets owe is one message.
        let entries = self.of_incident(incident).flat_map(|queue| &queue.entries);
        entries.map(|entry| &entry.message().id).collect::<BTreeSet<_>>().len()
    }

    /// Whether another message can be added without dropping one.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.of.len() < MOST
    }

    /// All unsent messages, oldest first.
    #[must_use]
    pub fn owed(&self) -> Vec<Unsent> {
        let mut entries: Vec<&Entry> = self.entries().collect();
        entries.sort_by_key(|entry| entry.number);
        entries.into_iter().map(|entry| entry.unsent.clone()).collect()
    }

    /// Everything may be tried at once: the network is back, or the configuration was reloaded.
    pub fn hurry(&mut self, now: Mono) {
        self.hurried = Some(now);
        let keys: Vec<QueueKey> = self.queues.keys().cloned().collect();
        for key in keys {
            for entry in self.queues.get_mut(&key).into_iter().flat_map(|queue| &mut queue.entries) {
                entry.due.values_mut().for_each(|due| *due = (*due).min(now));
            }
            self.refile(&key, None);
        }
    }

    /// When the next message may be sent.
    #[must_use]
    pub fn next(&self, policy: &Policy, may_go: impl Fn(&Outlet, &Message) -> bool) -> Option<Mono> {
        let free = self.first_free(policy, &may_go);
        let free = free.and_then(|(key, _)| Some(self.queues.get(&key)?.next()?.1));
        // With all attempts of an outlet under way the end of one of them comes first.
        let full: Vec<Outlet> = Outlet::ALL.into_iter().filter(|outlet| self.places(outlet, policy) == 0).collect();
        let later = if full.len() == Outlet::ALL.len() {
            None
        } else {
            self.later.iter().find(|(_, key)| !full.contains(&key.outlet)).map(|(at, _)| *at)
        };
        free.into_iter().chain(later).min()
    }

    /// Since when the oldest critical message has been unsent that nobody has got.
    #[must_use]
    pub fn oldest_critical(&self) -> Option<Mono> {
        let is_unknown = |entry: &&Entry| entry.is_critical() && !entry.unsent.is_known_to_somebody();
        self.entries().filter(is_unknown).map(|entry| entry.since).min()
    }

    /// What waits, for the snapshot.
    #[must_use]
    pub fn backlog(&self, policy: &Policy) -> Backlog {
        let is_unknown = |entry: &&Entry| !entry.unsent.is_known_to_somebody();
        let oldest: Option<UnixTime> = self.entries().filter(is_unknown).map(|entry| entry.message().composed).min();
        Backlog {
            waiting: self.of.len(),
            oldest,
            next_attempt: self.next(policy, |_, _| true),
            last_failure: self.last_failure.clone(),
        }
    }

    /// Recipients who are put off while others have got the message, in the order of outlets and recipients.
    #[must_use]
    pub fn deferred(&self) -> Vec<DeferredRecipient> {
        let mut deferred: BTreeMap<(&Outlet, &String), DeferredRecipient> = BTreeMap::new();
        for entry in self.entries().filter(|entry| entry.unsent.is_known_to_somebody()) {
            let Unsent { message, outlet, deliveries, .. } = &entry.unsent;
            for (recipient, failure) in deliveries.iter().filter_map(|(who, known)| Some((who, deferral(known)?))) {
                let known = deferred.entry((outlet, recipient)).or_insert_with(|| DeferredRecipient {
                    outlet: outlet.clone(),
                    recipient: recipient.clone(),
                    text: failure.text.clone(),
                    since: message.composed,
                    waiting: 0,
                });
                known.waiting += 1;
                known.since = known.since.min(message.composed);
            }
        }
        deferred.into_values().collect()
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.queues.values().flat_map(|queue| &queue.entries)
    }

    fn entry(&self, key: &UnsentKey) -> Option<&Entry> {
        let queue = self.queues.get(&self.queue_key(key)?)?;
        queue.entries.get(queue.position(&key.message)?)
    }

    fn queue_key(&self, key: &UnsentKey) -> Option<QueueKey> {
        let incident = self.of.get(key)?.clone();
        Some(QueueKey { incident, outlet: key.outlet.clone() })
    }

    /// The queues of an incident, one for each outlet that owes something.
    fn of_incident(&self, incident: &IncidentId) -> impl Iterator<Item = &IncidentQueue> {
        queue_keys(incident).into_iter().filter_map(|key| self.queues.get(&key))
    }

    /// How many more attempts an outlet may make at once.
    fn places(&self, outlet: &Outlet, policy: &Policy) -> usize {
        let busy = self.under_way.iter().filter(|key| key.outlet == *outlet).count();
        policy.mails_at_once.saturating_sub(busy)
    }

    /// The most severe incident of which a message may be sent, and that message's position.
    fn first_free(&self, policy: &Policy, may_go: impl Fn(&Outlet, &Message) -> bool) -> Option<(QueueKey, usize)> {
        let kept = usize::from(policy.mails_at_once > 1);
        let places: BTreeMap<Outlet, usize> =
            Outlet::ALL.map(|outlet| (outlet.clone(), self.places(&outlet, policy))).into();
        let mut full: BTreeSet<&Outlet> = BTreeSet::new();
        for (gravity, key) in &self.free {
            let is_critical = gravity.0 == 0;
            let places = places.get(&key.outlet).copied().unwrap_or(0);
            if places == 0 || !is_critical && places <= kept {
                full.insert(&key.outlet);
                if full.len() == Outlet::ALL.len() {
                    return None;
                }
                continue;
            }
            let Some(queue) = self.queues.get(key) else { continue };
            if let Some((position, _)) = queue.next()
                && may_go(&key.outlet, queue.entries[position].message())
            {
                return Some((key.clone(), position));
            }
        }
        None
    }

    fn accept(&mut self, key: &UnsentKey) -> Settlement {
        let Some(at) = self.queue_key(key) else { return Settlement::Unknown };
        let Some(queue) = self.queues.get_mut(&at) else { return Settlement::Unknown };
        let Some(position) = queue.position(&key.message) else { return Settlement::Unknown };
        let mut done: Vec<Entry> = queue.entries.drain(..=position).collect();
        for entry in &done {
            self.of.remove(&UnsentKey::of(&entry.unsent));
        }
        self.refile(&at, None);
        let Some(accepted) = done.pop() else { return Settlement::Unknown };
        let replaced = done.iter().map(|entry| UnsentKey::of(&entry.unsent)).collect();
        Settlement::Accepted { unsent: Box::new(accepted.unsent), replaced }
    }

    fn take_in(&mut self, unsent: Unsent, state: EntryState, now: Mono) {
        self.taken += 1;
        let incident = unsent.message.incident.id.clone();
        self.of.insert(UnsentKey::of(&unsent), incident.clone());
        let key = QueueKey { incident, outlet: unsent.outlet.clone() };
        let entry = Entry::new(unsent, state, now, self.taken);
        self.queues.entry(key.clone()).or_default().entries.push_back(entry);
        self.refile(&key, None);
    }

    fn change<R>(&mut self, key: &UnsentKey, change: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        let at = self.queue_key(key)?;
        let queue = self.queues.get_mut(&at)?;
        let position = queue.position(&key.message)?;
        let result = queue.entries.get_mut(position).map(change);
        self.refile(&at, None);
        result
    }

    fn remove(&mut self, key: &UnsentKey) -> Option<Entry> {
        let at = self.queue_key(key)?;
        self.of.remove(key);
        let queue = self.queues.get_mut(&at)?;
        let removed = queue.position(&key.message).and_then(|position| queue.entries.remove(position));
        self.refile(&at, None);
        removed
    }

    /// Updates the place of an incident after a change of its messages, or because `now` has come.
    fn refile(&mut self, key: &QueueKey, now: Option<Mono>) {
        let Some(queue) = self.queues.get(key) else { return };
        let place = match queue.next() {
            None => Place::Nowhere,
            Some((_, at)) if now.is_some_and(|now| at <= now) => Place::Free(queue.gravity()),
            Some((_, at)) => Place::Later(at),
        };
        let (before, is_empty) = (queue.place, queue.entries.is_empty());
        self.unfile(key, before);
        if is_empty {
            self.queues.remove(key);
            return;
        }
        match place {
            Place::Nowhere => {}
            Place::Later(at) => drop(self.later.insert((at, key.clone()))),
            Place::Free(gravity) => drop(self.free.insert(gravity, key.clone())),
        }
        if let Some(queue) = self.queues.get_mut(key) {
            queue.place = place;
        }
    }

    fn unfile(&mut self, key: &QueueKey, place: Place) {
        match place {
            Place::Nowhere => {}
            Place::Later(at) => drop(self.later.remove(&(at, key.clone()))),
            Place::Free(gravity) => drop(self.free.remove(&gravity)),
        }
    }

    /// Drops the least severe message, of those a repeat, of those the oldest.
    fn shed(&mut self) -> Option<Unsent> {
        if self.of.len() <= MOST {
            return None;
        }
        let weight = |entry: &&Entry| {
            let message = entry.message();
            (message.level, message.reason != MessageReason::Repeated, entry.number)
        };
        let waiting = self.entries().filter(|entry| !entry.is_in_flight());
        let key = UnsentKey::of(&waiting.min_by_key(weight)?.unsent);
        self.remove(&key).map(|entry| entry.unsent)
    }
}

fn queue_keys(incident: &IncidentId) -> [QueueKey; Outlet::ALL.len()] {
    Outlet::ALL.map(|outlet| QueueKey { incident: incident.clone(), outlet })
}
