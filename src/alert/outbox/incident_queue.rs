//! The unsent messages of one incident: which of them may be sent, and how severe the incident is.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::model::message::{Delivery, FailureClass, Message, MessageId};
use crate::model::reason::MessageReason;
use crate::model::rule::Level;
use crate::model::time::Mono;

/// Attempts after which a message that the relay defers again and again no longer holds back the rest of its incident:
/// some five minutes of the delays of `backoff`, longer than any greylisting (RFC 6647, section 5: 1 to 5 min).
const DEFERRED: u32 = 12;

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
    pub(super) delivery: Delivery,
    pub(super) state: EntryState,
    /// When it was taken in, for the age of critical mail.
    pub(super) since: Mono,
    /// Order of arrival.
    pub(super) number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum EntryState {
    /// Waits for its persist, at most until then.
    Unwritten { sequence: u64, until: Mono },
    /// May be sent from then on.
    Ready(Mono),
    /// An attempt is under way since then.
    InFlight(Mono),
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
    /// Messages are sent in their order. After one that the relay refuses for its content the next one may be sent,
    /// because each message shows the whole incident as it is then.
    pub(super) fn next(&self) -> Option<(usize, Mono)> {
        if self.entries.iter().any(|entry| matches!(entry.state, EntryState::InFlight(_))) {
            return None;
        }
        let mut earliest: Option<(usize, Mono)> = None;
        for (position, entry) in self.entries.iter().enumerate() {
            let at = match entry.state {
                EntryState::Unwritten { until, .. } => until,
                EntryState::Ready(from) => from,
                EntryState::InFlight(_) => return None,
            };
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
        self.entries.iter().position(|entry| entry.delivery.message.id == *message)
    }
}

impl Entry {
    pub(super) fn message(&self) -> &Message {
        &self.delivery.message
    }

    pub(super) const fn is_critical(&self) -> bool {
        matches!(self.delivery.message.level, Level::Critical)
    }

    fn gravity(&self) -> Priority {
        let level = match self.delivery.message.level {
            Level::Critical => 0,
            Level::Warning => 1,
            Level::Info => 2,
        };
        let news = match self.delivery.message.reason {
            MessageReason::First | MessageReason::Drill => 0,
            MessageReason::Escalated | MessageReason::CauseFound | MessageReason::Remains => 1,
            MessageReason::Resolved | MessageReason::HappenedWhileMute => 2,
            MessageReason::Repeated => 3,
        };
        (level, news, self.number)
    }

    /// Whether it is refused for its content, rather than because no message can be sent: with a refused login or a
    /// relay that is down the next one would fail as well. A message that some recipients have got, and others are
    /// deferred for, must not delay the next one for the first; a later message that all of them get replaces it.
    fn lets_pass(&self) -> bool {
        if !self.delivery.served.is_empty() {
            return true;
        }
        self.delivery.last_failure.as_ref().is_some_and(|failure| match failure.class {
            FailureClass::Permanent => true,
            FailureClass::Temporary => self.delivery.attempts >= DEFERRED,
            FailureClass::Connect
            | FailureClass::Tls
            | FailureClass::Auth
            | FailureClass::Timeout
            | FailureClass::Other => false,
        })
    }
}
