//! The log of incidents: one line for each step of an alarm, and none for other changes of the store.

use std::collections::{BTreeMap, VecDeque};

use crate::model::delivery::{DeliveryResult, FailureClass, Receipt};
use crate::model::exchange::{Change, Input, PersistedState};
use crate::model::incident::{Alarm, IncidentId, Stage};
use crate::model::rule::Level;
use crate::model::silence::Silence;
use crate::model::verdict::FindingKey;

/// Remembers what was logged, so that a hold stored every 5 s is one line.
#[derive(Debug, Default)]
pub(super) struct AlarmLog {
    stages: BTreeMap<FindingKey, &'static str>,
    /// The latest incidents that were logged as resolved: they are written once more when their last mail is accepted.
    over: VecDeque<IncidentId>,
}

/// Incidents that are over and remembered.
const OVER: usize = 64;

impl AlarmLog {
    /// Logs what was restored from before the start.
    pub(super) fn note_restored(memory: &Result<PersistedState, String>) {
        match memory {
            Ok(memory) => tracing::info!(
                alarms = memory.alarms.len(),
                incidents = memory.incidents.len(),
                owed = memory.owed.len(),
                "restored from the database: {} findings, {} open incidents, {} unsent mails",
                memory.alarms.len(),
                memory.incidents.len(),
                memory.owed.len()
            ),
            Err(error) => tracing::error!("database not readable, started empty: {error}"),
        }
    }

    /// Logs the result of a delivery.
    pub(super) fn note_input(&self, input: &Input) {
        let Input::Delivered(receipts) = input else { return };
        let refusals: Option<Vec<&str>> = receipts.iter().map(refusal).collect();
        if let (Some(refusal), Some(receipt)) = (refusals.and_then(|all| all.first().copied()), receipts.first()) {
            let message = &receipt.delivery.message;
            tracing::error!(%message, "the relay rejects message {message} permanently: {refusal}");
        }
    }

    /// Logs what the changes mean.
    pub(super) fn note_changes(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Alarm(alarm) => self.note_alarm(alarm),
                Change::AlarmOver(key) => {
                    self.stages.remove(key);
                    tracing::info!(rule = %key.rule, subject = %key.subject, "{} {} resolved", key.rule, key.subject);
                }
                Change::Incident(incident) if incident.over.is_some() => self.note_over(&incident.id),
                Change::Owed(unsent) if unsent.attempts == 0 => {
                    let message = &unsent.message;
                    let reason = message.reason.as_str();
                    tracing::info!(message = %message.id, reason, "mail {} queued ({reason})", message.id);
                }
                Change::Silence(silence) => {
                    let Silence { cluster, until, comment, author, include_outages, .. } = silence;
                    let dead = if *include_outages { ", full outages included" } else { "" };
                    tracing::info!(%cluster, %until, author, comment,
                                   "{cluster} is silenced until {until}{dead} by {author}: {comment}");
                }
                Change::SilenceOver(cluster) => tracing::info!(%cluster, "the silence of {cluster} has ended"),
                Change::RefusedOver { recipient, .. } => {
                    tracing::info!(recipient, "{recipient} is no longer rejected, or no longer a recipient");
                }
                Change::Everything(_) => tracing::info!("the database works again: everything is written anew"),
                Change::Incident(_) | Change::Owed(_) | Change::Settled { .. } | Change::Refused(_) => {}
            }
        }
    }

    fn note_over(&mut self, id: &IncidentId) {
        if !self.over.contains(id) {
            tracing::info!(incident = %id, "incident {id} resolved");
            self.over.push_front(id.clone());
            self.over.truncate(OVER);
        }
    }

    fn note_alarm(&mut self, alarm: &Alarm) {
        let state = match alarm.stage {
            Stage::Pending { .. } => "pending",
            Stage::Firing { .. } => "firing",
            Stage::Clearing { .. } => "clearing",
        };
        let key = alarm.key();
        if self.stages.get(&key) == Some(&state) {
            return;
        }
        let finding = &alarm.finding;
        let headline = finding.headline();
        let incident = alarm.incident.as_ref().map_or("", |incident| incident.0.as_str());
        let (rule, subject, severity) = (finding.rule, &finding.subject, finding.level);
        // `journalctl -p warning` shows what fires, and only that.
        match (&alarm.stage, severity) {
            (Stage::Firing { .. }, Level::Critical) => {
                tracing::error!(%rule, %subject, %severity, incident, state, "{rule} {subject} {state}: {headline}");
            }
            (Stage::Firing { .. }, Level::Warning) => {
                tracing::warn!(%rule, %subject, %severity, incident, state, "{rule} {subject} {state}: {headline}");
            }
            (Stage::Firing { .. }, Level::Info) | (Stage::Pending { .. } | Stage::Clearing { .. }, _) => {
                tracing::info!(%rule, %subject, %severity, incident, state, "{rule} {subject} {state}: {headline}");
            }
        }
        self.stages.insert(key, state);
    }
}

/// Why a recipient will not get a message, if that is for good.
fn refusal(receipt: &Receipt) -> Option<&str> {
    match &receipt.result {
        DeliveryResult::Rejected(text) => Some(text),
        DeliveryResult::Failed(failure) if failure.class == FailureClass::Refused => Some(&failure.text),
        DeliveryResult::Accepted | DeliveryResult::Failed(_) => None,
    }
}
