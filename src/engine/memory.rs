//! Taking up what was known before a restart.

use crate::alert::group::Utterance;
use crate::model::exchange::{Change, Memory};
use crate::model::incident::{Alarm, Ending, Incident};
use crate::model::reason::MessageReason;
use crate::model::time::Now;
use crate::model::verdict::Finding;

use super::{Engine, MemoryState};

impl Engine {
    /// Takes up alarms, incidents and owed messages. The gap since they were written is not booked on any hold;
    /// what was pending or firing is looked at again at once.
    pub(super) fn restore(&mut self, memory: Result<Memory, String>, now: Now) {
        let was_awaited = matches!(self.memory, MemoryState::Awaited { .. });
        self.touched.extend(self.view.inventory().clusters.keys().cloned().map(Some));
        self.touched.insert(None);
        self.is_snapshot_stale = true;
        let Ok(mut memory) = memory else {
            self.memory = MemoryState::Empty;
            self.store_works = Some(false);
            return;
        };
        self.store_works = Some(true);
        for silence in std::mem::take(&mut memory.silences) {
            self.restore_silence(silence, now);
            self.is_snapshot_urgent = true;
        }
        for recipient in std::mem::take(&mut memory.refused) {
            self.refused.restore(recipient);
        }
        self.forget_recipients();
        for delivery in std::mem::take(&mut memory.owed) {
            if self.view.inventory().mails {
                self.outbox.restore(delivery, now.mono);
            } else {
                // Nobody is to be mailed any more.
                self.changes.push(Change::Settled { message: delivery.message.id, accepted: false });
            }
        }
        self.memory = MemoryState::Known;
        let policy = self.view.policy().clone();
        let memory = if was_awaited { memory } else { self.without_known(memory, now) };
        for incident in memory.ended.into_iter().rev().chain(memory.incidents) {
            self.incidents.restore(incident, &policy, now.mono);
        }
        for alarm in memory.alarms {
            self.restore_alarm(alarm, now);
        }
        self.settle_leftovers(now);
    }

    /// Judging has begun without this memory: what was raised since then speaks for itself, and the incident that
    /// spoke for it before is closed without a word.
    fn without_known(&mut self, mut memory: Memory, now: Now) -> Memory {
        let is_known = |finding: &Finding| self.ladder.alarm(&finding.key()).is_some();
        memory.alarms.retain(|alarm| !is_known(&alarm.finding));
        let (doubled, incidents) =
            memory.incidents.into_iter().partition(|incident: &Incident| incident.standing().any(is_known));
        for incident in doubled {
            let over = Some(Ending { at: now.wall, withdrawn: true });
            self.changes.push(Change::Incident(Box::new(Incident { over, ..incident })));
        }
        Memory { incidents, owed: Vec::new(), ..memory }
    }

    fn restore_alarm(&mut self, alarm: Alarm, now: Now) {
        let key = alarm.key();
        if self.view.inventory().watches(&key.subject) {
            self.burst(&key.subject, now, now);
            self.ladder.restore(alarm, now);
        } else {
            self.changes.push(Change::AlarmOver(key.clone()));
            self.recover_everywhere(&key, now.wall, true, now);
        }
    }

    /// Incidents whose last part ended in the very moment of the crash, and first messages that outlived their cause.
    fn settle_leftovers(&mut self, now: Now) {
        let known: Vec<_> = self.incidents.all().cloned().collect();
        for incident in known {
            let orphans: Vec<_> =
                incident.standing().map(Finding::key).filter(|key| self.ladder.alarm(key).is_none()).collect();
            for key in orphans {
                self.recover_everywhere(&key, now.wall, false, now);
            }
            self.collapse(&incident.id, now);
            let was_resolved_silently = incident.over.is_some_and(|ending| !ending.withdrawn)
                && incident.told.messages > 0
                && incident.told.last.zip(incident.over).is_some_and(|(last, over)| last < over.at)
                && !self.outbox.owes(&incident.id);
            if was_resolved_silently {
                let reason = MessageReason::Resolved;
                self.say(Some(Utterance { incident: incident.id.clone(), reason }), now);
            }
        }
    }
}
