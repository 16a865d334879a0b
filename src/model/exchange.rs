//! The engine's whole interface: everything that can change its state, everything it may ask for.
//!
//! A recorded list of `(Input, Now)` replays an incident exactly; a list of [`Action`]s is what tests assert.

use serde::{Deserialize, Serialize};

use super::delivery::{Attempt, Receipt, Unsent};
use super::incident::{Alarm, Incident};
use super::message::MessageId;
use super::observation::Observation;
use super::outlet::Outlet;
use super::probe::ProbeRequest;
use super::recipient::RefusedRecipient;
use super::recurrence::Past;
use super::reload::Reload;
use super::silence::{Order, Silence};
use super::subject::Name;
use super::verdict::FindingKey;

/// Everything that can change the engine's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// What the store held at start, or why nothing could be read.
    Restored(Result<PersistedState, String>),
    /// A probe ended, or a standing one reported.
    Observed(Box<Observation>),
    /// A persist ended.
    Persisted {
        /// Which.
        sequence: u64,
        /// How; the text is for people.
        result: Result<(), String>,
    },
    /// An attempt to send ended: what became of each of its deliveries.
    Delivered(Vec<Receipt>),
    /// A person on the machine asks for something.
    Ordered(Order),
    /// A heartbeat was sent, or failed to be.
    Beaten {
        /// Whether the receiver accepted it.
        accepted: bool,
    },
    /// Somebody wants another configuration, or the one at the start was not the file's.
    Reconfigured(Reload),
    /// Nothing happened until the engine's own deadline.
    Elapsed,
    /// The daemon is about to stop: nothing new is started, what must be kept is persisted.
    Stopping,
}

/// Everything the engine may ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Send a probe.
    Probe(ProbeRequest),
    /// Make these changes durable, all or none.
    Persist {
        /// Identity, echoed in [`Input::Persisted`]; rises by one.
        sequence: u64,
        /// The changes, in order.
        changes: Vec<Change>,
    },
    /// Try once to deliver this message.
    Send(Box<Attempt>),
    /// Send a heartbeat.
    Beat,
}

/// One durable change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Replace all alarms, open incidents, silences and unsent messages by these; ended incidents are added.
    Everything(Box<PersistedState>),
    /// Insert or replace an alarm.
    Alarm(Box<Alarm>),
    /// An alarm has ended.
    AlarmOver(FindingKey),
    /// Insert or replace an incident.
    Incident(Box<Incident>),
    /// Insert or replace a message that is unsent through an outlet, with its deliveries.
    Owed(Box<Unsent>),
    /// A message is settled in an outlet: accepted, or replaced by a later one.
    Settled {
        /// Which message.
        message: MessageId,
        /// In which outlet.
        outlet: Outlet,
        /// Whether a server accepted it.
        accepted: bool,
    },
    /// Insert or replace the silence of a cluster.
    Silence(Silence),
    /// The silence of this cluster has ended.
    SilenceOver(Name),
    /// Insert or replace a recipient who is refused for good.
    Refused(RefusedRecipient),
    /// This recipient is accepted again, or is no longer configured.
    RefusedOver {
        /// Of which outlet.
        outlet: Outlet,
        /// As the outlet addresses people.
        recipient: String,
    },
}

/// What the store held at start.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PersistedState {
    /// Alarms that had not ended.
    pub alarms: Vec<Alarm>,
    /// Incidents that were not over, or that have an unsent message.
    pub incidents: Vec<Incident>,
    /// Unsent messages, oldest first.
    pub owed: Vec<Unsent>,
    /// Recently ended incidents, newest first, for the status page.
    pub ended: Vec<Incident>,
    /// Silences that had not been ended.
    #[serde(default)]
    pub silences: Vec<Silence>,
    /// Recipients who are refused for good.
    #[serde(default)]
    pub refused: Vec<RefusedRecipient>,
    /// Resolved incidents, in no order, for what a mail says of earlier incidents of the same kind. Written with the
    /// incidents themselves.
    #[serde(default)]
    pub past: Vec<Past>,
}
