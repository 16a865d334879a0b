//! Another configuration under the running engine.
//!
//! What is still watched at its place keeps beliefs, phase, alarms, holds and incidents. What is gone is withdrawn, and
//! its probes under way are given up without a word. What moved keeps its alarms and incidents, because the name is
//! what people know it by, but must be seen anew before anything is said of it.

use std::sync::Arc;

use crate::model::incident::IncidentId;
use crate::model::plan::Plan;
use crate::model::reload::{Reload, Replacement};
use crate::model::subject::Subject;
use crate::model::time::Now;
use crate::observe::inventory_change::{Fate, InventoryChange};

use super::Engine;

impl Engine {
    /// Processes an attempt to replace the configuration.
    pub(super) fn reconfigure(&mut self, reload: Reload, now: Now) {
        self.is_snapshot_stale = true;
        match reload {
            Reload::Taken(replacement) => {
                let Replacement { at, remarks, .. } = &*replacement;
                self.configured.replace(*at, remarks.clone());
                self.replace(*replacement, now);
            }
            Reload::Refused(refusal) => self.configured.refuse(refusal),
            Reload::StoodIn { of, refusal } => {
                self.configured.refuse(refusal);
                self.configured.at = of;
                self.configured.is_copy = true;
            }
        }
    }

    fn replace(&mut self, Replacement { inventory, policy, .. }: Replacement, now: Now) {
        let before = Arc::clone(self.view.inventory());
        let inventory_change = InventoryChange::new(&before, &inventory);
        let has_left = |subject: &Subject| inventory_change.fate(subject) != Fate::Stays;
        self.schedule.replace(Plan::new(&inventory, &policy), &inventory.vantage, now.mono);
        self.in_flight.give_up(has_left);
        self.bursts.drop_probes(has_left);
        self.dump_rounds.drop_probes(has_left);
        self.budget.drop_probes(has_left);
        self.lifecycle.forget_suspicions(has_left);
        self.view.replace(Arc::clone(&inventory), policy, now.mono);
        self.view.set_planned(self.schedule.plan());
        self.budget.set_plan(self.schedule.plan(), self.view.policy());
        self.heartbeat.hurry(now.mono.plus(self.view.policy().heartbeat_interval));

        self.withdraw_unconfigured(now);
        let ongoing: Vec<Subject> = self.lifecycle.alarms().map(|alarm| alarm.finding.subject.clone()).collect();
        for subject in ongoing.iter().filter(|subject| inventory_change.fate(subject) == Fate::Moved) {
            self.burst(subject, now, now);
        }
        self.forget_recipients();
        match (before.mails, inventory.mails) {
            (false, true) => self.notify_unsent(now),
            (true, false) => {
                for key in self.outbox.clear() {
                    self.note_unsent_over(key, false);
                }
                self.dropped.clear();
                let known: Vec<IncidentId> = self.incidents.all().map(|incident| incident.id.clone()).collect();
                for id in known {
                    self.incidents.note_settled(&id, 0);
                    self.note_incident(&id);
                }
            }
            // After a reload, mail is tried again at once: the reload often corrects what made the relay refuse it.
            (true, true) => {
                self.readdress(now);
                self.outbox.hurry(now.mono);
            }
            (false, false) => {}
        }
        self.touched.insert(None);
        self.touched.extend(inventory.clusters.keys().cloned().map(Some));
    }

    fn notify_unsent(&mut self, now: Now) {
        let policy = Arc::clone(self.view.policy());
        for notification in self.incidents.untold(&policy, now.mono) {
            self.say(Some(notification), now);
        }
    }
}
