//! Messages owed to people: attempted until accepted, in the order of their incident, surviving restarts.
//!
//! A send is an attempt. What came and went while nothing could be sent becomes one message that says so. The outbox
//! is bounded; what it drops is counted.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::incident::IncidentId;
use crate::model::message::{Backlog, Delivery, DeliveryFailure, Message, MessageId, Receipt};
use crate::model::policy::Policy;
use crate::model::reason::MessageReason;
use crate::model::rule::Level;
use crate::model::time::{Mono, UnixTime};

/// Most messages owed at once. Ten per incident of a bad day; more is noise that nobody reads.
const MOST: usize = 500;

/// Delay after a permanent refusal: a human may mend the relay or the address, nothing else will.
const AFTER_REJECTION: Duration = Duration::from_secs(300);

/// Everything owed.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    owed: VecDeque<Entry>,
    last_failure: Option<DeliveryFailure>,
    hurried: Option<Mono>,
}

#[derive(Debug, Clone)]
struct Entry {
    delivery: Delivery,
    state: State,
    /// When it was taken in, for the age of critical mail.
    since: Mono,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits for its persist, at most until then.
    Unwritten { sequence: u64, until: Mono },
    /// Free to go from then on.
    Ready(Mono),
    /// An attempt is under way since then.
    InFlight(Mono),
}

/// What a receipt means for the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Accepted: done.
    Accepted(Box<Delivery>),
    /// It stays owed.
    Owed(Box<Delivery>),
    /// Nobody knows of it.
    Unknown,
}

impl Outbox {
    /// Owes a message; it goes once persist `sequence` has ended, or at `until`. Returns what had to be dropped.
    pub fn owe(&mut self, delivery: Delivery, sequence: u64, until: Mono, now: Mono) -> Option<Delivery> {
        self.owed.push_back(Entry { delivery, state: State::Unwritten { sequence, until }, since: now });
        self.shed()
    }

    /// Takes back what was owed before a restart; it is already durable.
    pub fn restore(&mut self, delivery: Delivery, now: Mono) {
        self.owed.push_back(Entry { delivery, state: State::Ready(now), since: now });
    }

    /// A persist ended: messages that waited for it may go. A failed persist holds nothing back.
    pub fn written(&mut self, sequence: u64, works: bool, now: Mono, mark: impl Fn(&mut Message)) {
        for entry in &mut self.owed {
            if matches!(entry.state, State::Unwritten { sequence: waited, .. } if waited <= sequence) {
                entry.state = State::Ready(now);
                if !works {
                    mark(&mut entry.delivery.message);
                }
            }
        }
    }

    /// Takes the next message that may go at `now`, if any. Messages of one incident go one after the other.
    pub fn pop(
        &mut self,
        now: Mono,
        may_go: impl Fn(&Message) -> bool,
        mark: impl Fn(&mut Message),
    ) -> Option<Delivery> {
        let position =
            (0..self.owed.len()).find(|at| self.is_next(*at, now) && may_go(&self.owed[*at].delivery.message))?;
        let entry = &mut self.owed[position];
        if matches!(entry.state, State::Unwritten { .. }) {
            mark(&mut entry.delivery.message);
        }
        entry.state = State::InFlight(now);
        Some(entry.delivery.clone())
    }

    /// An attempt ended.
    pub fn settle(&mut self, message: &MessageId, receipt: Receipt, policy: &Policy, now: Mono) -> Settlement {
        let Some(position) = self.owed.iter().position(|entry| entry.delivery.message.id == *message) else {
            return Settlement::Unknown;
        };
        let (failure, delay) = match receipt {
            Receipt::Accepted => {
                self.last_failure = None;
                let accepted = self.owed.remove(position).map(|entry| Box::new(entry.delivery));
                return accepted.map_or(Settlement::Unknown, Settlement::Accepted);
            }
            Receipt::Retry(failure) => (failure, backoff(self.owed[position].delivery.attempts, policy)),
            // Refused by what stood there before somebody mended it.
            Receipt::Rejected(failure) if self.was_hurried_since(position) => (failure, Duration::ZERO),
            Receipt::Rejected(failure) => (failure, AFTER_REJECTION),
        };
        let entry = &mut self.owed[position];
        entry.delivery.attempts = entry.delivery.attempts.saturating_add(1);
        entry.delivery.last_failure = Some(failure.clone());
        entry.state = State::Ready(now.plus(delay));
        self.last_failure = Some(failure);
        Settlement::Owed(Box::new(self.owed[position].delivery.clone()))
    }

    /// Changes what is owed, if it still is.
    pub fn amend(&mut self, message: &MessageId, change: impl FnOnce(&mut Delivery)) {
        if let Some(entry) = self.owed.iter_mut().find(|entry| entry.delivery.message.id == *message) {
            change(&mut entry.delivery);
        }
    }

    /// Whether the first message of an incident is still owed and no attempt at any of its messages is under way, so
    /// that they can be replaced by one.
    #[must_use]
    pub fn is_untold(&self, incident: &IncidentId) -> bool {
        let mut of_incident =
            self.owed.iter().filter(|entry| entry.delivery.message.incident.id == *incident).peekable();
        let first =
            of_incident.peek().is_some_and(|entry| matches!(entry.delivery.message.reason, MessageReason::First));
        first && of_incident.all(|entry| !matches!(entry.state, State::InFlight(_)))
    }

    /// Drops everything owed of an incident. Returns what was dropped.
    pub fn withdraw(&mut self, incident: &IncidentId) -> Vec<MessageId> {
        let mut dropped = Vec::new();
        self.owed.retain(|entry| {
            let stays = entry.delivery.message.incident.id != *incident;
            if !stays {
                dropped.push(entry.delivery.message.id.clone());
            }
            stays
        });
        dropped
    }

    /// Drops everything owed: nobody is to be told any more. Returns what was dropped.
    pub fn clear(&mut self) -> Vec<MessageId> {
        self.last_failure = None;
        self.owed.drain(..).map(|entry| entry.delivery.message.id).collect()
    }

    /// Whether anything is owed of an incident.
    #[must_use]
    pub fn owes(&self, incident: &IncidentId) -> bool {
        self.owed.iter().any(|entry| entry.delivery.message.incident.id == *incident)
    }

    /// Everything owed, oldest first.
    #[must_use]
    pub fn owed(&self) -> Vec<Delivery> {
        self.owed.iter().map(|entry| entry.delivery.clone()).collect()
    }

    /// Everything may be tried at once: the path is back, or a person mended something.
    pub fn hurry(&mut self, now: Mono) {
        self.hurried = Some(now);
        for entry in &mut self.owed {
            if let State::Ready(at) = &mut entry.state {
                *at = (*at).min(now);
            }
        }
    }

    /// When the next message may go.
    #[must_use]
    pub fn next(&self, may_go: impl Fn(&Message) -> bool) -> Option<Mono> {
        (0..self.owed.len())
            .filter(|at| self.is_first_of_incident(*at) && may_go(&self.owed[*at].delivery.message))
            .filter_map(|at| match self.owed[at].state {
                State::Unwritten { until, .. } => Some(until),
                State::Ready(from) => Some(from),
                State::InFlight(_) => None,
            })
            .min()
    }

    /// Since when the oldest critical message has been owed.
    #[must_use]
    pub fn oldest_critical(&self) -> Option<Mono> {
        let critical = self.owed.iter().filter(|entry| entry.delivery.message.level == Level::Critical);
        critical.map(|entry| entry.since).min()
    }

    /// What waits, for the snapshot.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        let composed = |entry: &Entry| entry.delivery.message.composed;
        let oldest: Option<UnixTime> = self.owed.iter().map(composed).min();
        Backlog {
            waiting: self.owed.len(),
            oldest,
            next_attempt: self.next(|_| true),
            last_failure: self.last_failure.clone(),
        }
    }

    fn was_hurried_since(&self, attempt: usize) -> bool {
        let State::InFlight(begun) = self.owed[attempt].state else { return false };
        self.hurried.is_some_and(|hurried| hurried >= begun)
    }

    fn is_next(&self, at: usize, now: Mono) -> bool {
        let is_free = match self.owed[at].state {
            State::Unwritten { until, .. } => until <= now,
            State::Ready(from) => from <= now,
            State::InFlight(_) => false,
        };
        is_free && self.is_first_of_incident(at)
    }

    fn is_first_of_incident(&self, at: usize) -> bool {
        let incident = &self.owed[at].delivery.message.incident.id;
        self.owed.iter().take(at).all(|entry| entry.delivery.message.incident.id != *incident)
    }

    /// The least grave of the oldest goes first.
    fn shed(&mut self) -> Option<Delivery> {
        if self.owed.len() <= MOST {
            return None;
        }
        let waiting = self.owed.iter().enumerate().filter(|(_, entry)| !matches!(entry.state, State::InFlight(_)));
        let (position, _) = waiting.min_by_key(|(at, entry)| (entry.delivery.message.level, *at))?;
        self.owed.remove(position).map(|entry| entry.delivery)
    }
}

fn backoff(attempts: u32, policy: &Policy) -> Duration {
    policy.retry_first.saturating_mul(2_u32.saturating_pow(attempts.min(16))).min(policy.retry_most)
}
