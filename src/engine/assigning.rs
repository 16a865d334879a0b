//! Which incident each firing alarm belongs to, and when it leaves it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::alert::group::Notification;
use crate::alert::relations::RuleScope;
use crate::alert::route::is_told;
use crate::judge::edges::explains;
use crate::model::incident::{Alarm, IncidentId};
use crate::model::reason::MessageReason;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Name;
use crate::model::time::{Mono, Now, UnixTime};
use crate::model::verdict::{Finding, FindingKey};

use super::relations::relations;
use super::{Engine, Scope};

/// A finding waits this long for a suspected cause to be confirmed or cleared: a burst ends within 8 s.
const CAUSE_WAIT: Duration = Duration::from_secs(10);

/// What happens to an alarm that belongs to no incident yet.
enum Assignment {
    Fold(IncidentId),
    /// A cause may still be found; until then at the latest.
    Wait(Mono),
    Own,
}

/// Scopes whose alarms may be assigned to incidents.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
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
    /// Assigns the firing alarms of every scope in which something has changed. Without a network only those of the
    /// vantage: everything is evaluated anew when it is back.
    pub(super) fn assign_changed(&mut self, now: Now) {
        let is_isolated = self.view.path().is_isolated();
        let places = self.assignments.take(now.mono).into_iter().filter(|place| !is_isolated || place.is_none());
        for place in places.collect::<Vec<_>>() {
            self.assign_all(&place, now);
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
        if is_told(finding.level) && now.mono < until && is_doubtful() {
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
}
