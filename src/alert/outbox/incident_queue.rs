//! The unsent messages of one incident through one outlet: which of them may be sent, and how severe the incident is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::model::delivery::{Delivery, FailureClass, Progress, Unsent};
use crate::model::message::{Message, MessageId};
use crate::model::reason::MessageReason;
use crate::model::recipient::Rejection;
use crate::model::rule::Level;
use crate::model::time::Mono;

use super::retry::GREYLISTED;

/// What is sent first: critical messages, and of those the first of an incident. The last number is the order of
/// arrival.
pub(super) type Priority = (u8, u8, u64);

/// The messages of one incident, oldest first; never empty.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct IncidentQueue {
    pub(super) entries: VecDeque<Entry>,
    /// Its place in the outbox.
    pub(super) place: Place,
}

/// One unsent message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) unsent: Unsent,
    pub(super) state: EntryState,
    /// From when on each of its deliveries may be attempted.
    pub(super) due: BTreeMap<String, Mono>,
    /// When it was taken in, for the age of critical mail.
    pub(super) since: Mono,
    /// Order of arrival.
    pub(super) number: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum EntryState {
    /// Waits for its persist, at most until then.
    Unwritten { sequence: u64, until: Mono },
    /// May be sent as soon as one of its deliveries is due.
    Ready,
    /// An attempt is under way.
    InFlight(UnderWay),
}

/// An attempt that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UnderWay {
    pub(super) begun: Mono,
    pub(super) asked: BTreeSet<String>,
    /// Recipients refused for good whom it reports.
    pub(super) reported: Vec<Rejection>,
}

/// The place of a queue in the outbox: by the time from which its next message may be sent, by its severity once that
/// time has come, or none while an attempt is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) enum Place {
    #[default]
    Nowhere,
    Later(Mono),
    Free(Priority),
}

impl IncidentQueue {
    /// The position of the next message, and from when on it may be sent; `None` while an attempt is under way.
    ///
    /// Messages are sent in their order. After one that is refused for its content the next one may be sent, because
    /// each message shows the whole incident as it is then.
    pub(super) fn next(&self) -> Option<(usize, Mono)> {
        if self.entries.iter().any(Entry::is_in_flight) {
            return None;
        }
        let mut earliest: Option<(usize, Mono)> = None;
        for (position, entry) in self.entries.iter().enumerate() {
            let at = entry.next()?;
            if earliest.is_none_or(|(_, known)| at < known) {
                earliest = Some((position, at));
            }
            if !entry.lets_pass() {
                break;
            }
        }
        earliest
    }

    /// The priority of the incident: that of its most severe message, since those before it must be sent first.
    pub(super) fn gravity(&self) -> Priority {
        self.entries.iter().map(Entry::gravity).min().unwrap_or((u8::MAX, u8::MAX, u64::MAX))
    }

    pub(super) fn position(&self, message: &MessageId) -> Option<usize> {
        self.entries.iter().position(|entry| entry.message().id == *message)
    }
}

impl Entry {
    pub(super) fn new(unsent: Unsent, state: EntryState, now: Mono, number: u64) -> Self {
        let mut entry = Self { unsent, state, due: BTreeMap::new(), since: now, number };
        entry.schedule(now);
        entry
    }

    pub(super) const fn message(&self) -> &Message {
        &self.unsent.message
    }

    pub(super) const fn is_critical(&self) -> bool {
        matches!(self.unsent.message.level, Level::Critical)
    }

    pub(super) const fn is_in_flight(&self) -> bool {
        matches!(self.state, EntryState::InFlight(_))
    }

    /// Deliveries without a time may be attempted from `now` on; those that are gone have none.
    pub(super) fn schedule(&mut self, now: Mono) {
        let deliveries = &self.unsent.deliveries;
        self.due.retain(|recipient, _| deliveries.get(recipient).is_some_and(|delivery| !delivery.is_accepted()));
        for (recipient, _) in deliveries.iter().filter(|(_, delivery)| !delivery.is_accepted()) {
            self.due.entry(recipient.clone()).or_insert(now);
        }
    }

    /// From when on it may be sent; `None` while an attempt is under way.
    fn next(&self) -> Option<Mono> {
        match &self.state {
            EntryState::Unwritten { until, .. } => Some(*until),
            EntryState::InFlight(_) => None,
            EntryState::Ready => {
                let waiting = self.of(Progress::Waiting).filter_map(|who| self.due.get(who)).min();
                // Nobody else is left: they are asked together.
                let rejected = || self.of(Progress::Rejected).filter_map(|who| self.due.get(who)).max();
                waiting.or_else(rejected).copied()
            }
        }
    }

    /// Whom an attempt that begins at `now` is for.
    pub(super) fn asked(&self, now: Mono) -> BTreeSet<String> {
        let is_due = |who: &&String| self.due.get(*who).is_none_or(|at| *at <= now);
        let waiting = || self.of(Progress::Waiting).cloned();
        let due: BTreeSet<String> = self.of(Progress::Waiting).filter(is_due).cloned().collect();
        if !due.is_empty() {
            due
        } else if waiting().next().is_some() {
            waiting().collect()
        } else {
            self.of(Progress::Rejected).cloned().collect()
        }
    }

    fn of(&self, progress: Progress) -> impl Iterator<Item = &String> {
        let deliveries = self.unsent.deliveries.iter();
        deliveries.filter(move |(_, delivery)| delivery.progress == progress).map(|(recipient, _)| recipient)
    }

    fn gravity(&self) -> Priority {
        let level = match self.message().level {
            Level::Critical => 0,
            Level::Warning => 1,
            Level::Info => 2,
        };
        let news = match self.message().reason {
            MessageReason::First | MessageReason::Drill => 0,
            MessageReason::Escalated
            | MessageReason::CauseFound
            | MessageReason::CulpritFound
            | MessageReason::Remains => 1,
            MessageReason::Resolved | MessageReason::HappenedWhileMute => 2,
            MessageReason::Repeated => 3,
        };
        (level, news, self.number)
    }

    /// Whether it is refused for its content, rather than because no message can be sent: with a refused login or a
    /// relay that is down the next one would fail as well. A message that some recipients have got, and others are
    /// deferred for, must not delay the next one for the first; a later message that all of them get replaces it.
    fn lets_pass(&self) -> bool {
        self.unsent.is_known_to_somebody() || self.unsent.deliveries.values().all(lets_pass)
    }
}

fn lets_pass(delivery: &Delivery) -> bool {
    let is_passed = |class| match class {
        FailureClass::Refused => true,
        FailureClass::Deferred => delivery.attempts >= GREYLISTED,
        FailureClass::Unreachable
        | FailureClass::Untrusted
        | FailureClass::CredentialRefused
        | FailureClass::TimedOut
        | FailureClass::Uncertain
        | FailureClass::Broken => false,
    };
    match delivery.progress {
        Progress::Accepted | Progress::Rejected => true,
        Progress::Waiting => delivery.last_failure.as_ref().is_some_and(|failure| is_passed(failure.class)),
    }
}
