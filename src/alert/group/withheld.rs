//! The mails about an incident that a silence withholds: stored with the incident, so that they outlive a restart, and
//! sent as one when no silence withholds them any more. Which incidents are silenced is decided by the engine.

use std::sync::Arc;

use crate::model::incident::{Incident, IncidentId};
use crate::model::policy::Policy;
use crate::model::reason::MessageReason;
use crate::model::silence::{Silence, SilenceEffect};
use crate::model::subject::Name;
use crate::model::time::Mono;
use crate::model::verdict::Finding;

use super::timers::Timer;
use super::{Incidents, Notification};

impl Incidents {
    /// A mail about an incident was due, and `silence` withholds it.
    pub fn withhold(&mut self, id: &IncidentId, reason: MessageReason, silence: &Silence) {
        self.change_any(id, |incident| {
            let withheld = of(incident).filter(|known| rank(*known) > rank(reason)).or(Some(reason));
            incident.silenced = Some(SilenceEffect { silence: silence.clone(), withheld });
        });
    }

    /// A mail about an incident is sent in spite of `silence`.
    pub fn said_in_spite(&mut self, id: &IncidentId, silence: &Silence) {
        self.change_any(id, |incident| {
            incident.silenced = Some(SilenceEffect { silence: silence.clone(), withheld: of(incident) });
        });
    }

    /// Open incidents of a cluster with a withheld mail.
    pub fn withheld(&self, cluster: &Name) -> impl Iterator<Item = &Incident> {
        let open = self.lookup.withheld(cluster).filter_map(|id| self.open.get(id));
        open.map(|open| open.incident.as_ref())
    }

    /// Clusters with a withheld mail.
    pub fn withheld_places(&self) -> impl Iterator<Item = &Name> {
        self.lookup.withheld_places()
    }

    /// No silence withholds mail about an incident any more. Returns the mail that is due at once; an incident without
    /// a mail yet settles first.
    pub fn release(&mut self, id: &IncidentId, policy: &Policy, now: Mono) -> Option<Notification> {
        self.change(id, |open| {
            let reason = of(&open.incident)?;
            settle(Arc::make_mut(&mut open.incident));
            let stands = |cause: &Finding| open.part(&cause.key()).is_some();
            match reason {
                MessageReason::First => {
                    open.timers.set(Timer::Settle, now.plus(policy.settle));
                    None
                }
                MessageReason::CauseFound if open.incident.cause.as_ref().is_some_and(stands) => Some(open.say(reason)),
                // What became worse and better again is not worth a mail afterwards.
                MessageReason::CauseFound | MessageReason::CulpritFound | MessageReason::Escalated => {
                    let is_worse = open.incident.ongoing().any(|finding| open.is_worse(&finding.key()));
                    is_worse.then(|| open.say(MessageReason::Escalated))
                }
                MessageReason::Remains | MessageReason::Repeated => Some(open.say(reason)),
                MessageReason::Resolved | MessageReason::HappenedWhileMute | MessageReason::Drill => None,
            }
        })?
    }

    /// Changes the silence that is recorded in open incidents of `cluster`. Returns those incidents.
    pub fn amend_silence(&mut self, cluster: &Name, amend: impl Fn(&mut Silence)) -> Vec<IncidentId> {
        let mut amended = Vec::new();
        let ids: Vec<IncidentId> = self.withheld(cluster).map(|incident| incident.id.clone()).collect();
        for id in ids {
            let is_amended =
                self.change_any(&id, |incident| incident.silenced.as_mut().map(|known| amend(&mut known.silence)));
            amended.extend(is_amended.flatten().map(|()| id));
        }
        amended
    }
}

/// The withheld mail about an incident.
pub(super) fn of(incident: &Incident) -> Option<MessageReason> {
    incident.silenced.as_ref().and_then(|silence_effect| silence_effect.withheld)
}

/// What was withheld is part of the mail that is composed now.
pub(super) fn settle(incident: &mut Incident) {
    if let Some(silence_effect) = &mut incident.silenced {
        silence_effect.withheld = None;
    }
}

/// Of several withheld mails only the most severe is sent: it shows the whole incident as it is then.
const fn rank(reason: MessageReason) -> u8 {
    match reason {
        MessageReason::Drill | MessageReason::Resolved | MessageReason::HappenedWhileMute => 0,
        MessageReason::Repeated => 1,
        MessageReason::Remains => 2,
        MessageReason::CulpritFound => 3,
        MessageReason::Escalated => 4,
        MessageReason::CauseFound => 5,
        MessageReason::First => 6,
    }
}
