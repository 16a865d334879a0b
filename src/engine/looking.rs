//! Looks: which are due, which go out, and what comes back of them.

use std::sync::Arc;

use crate::model::exchange::Action;
use crate::model::observation::Observation;
use crate::model::probe::Probe;
use crate::model::subject::Subject;
use crate::model::time::{Mono, Now};
use crate::observe::flight::Attention;

use super::Engine;
use super::judging::blind_key;

impl Engine {
    pub(super) fn observe(&mut self, observation: Observation, now: Now) {
        if let Some(id) = observation.look {
            self.flight.land(id);
        }
        if !self.view.concerns(&observation) {
            return;
        }
        let observation = Arc::new(observation);
        let taken = self.view.take(&observation, now);
        self.counters.voided += u64::from(taken.is_void);
        self.counters.late += u64::from(taken.is_late);
        self.is_snapshot_stale = true;
        for (subject, first) in &taken.turned_bad {
            self.burst(subject, *first, now);
        }
        if let Some(subject) = &taken.doubtful_chain {
            self.bursts.second_handshake(subject, now.mono);
        }
        if let Some(cluster) = taken.touched {
            self.touched.insert(Some(cluster));
        }
        if !observation.proves_path || self.view.path().is_blind() || self.ladder.alarm(&blind_key()).is_some() {
            self.touched.insert(None);
        }
    }

    pub(super) fn burst(&mut self, subject: &Subject, first: Now, now: Now) {
        let inventory = Arc::clone(self.view.inventory());
        self.bursts.start(subject, first, &inventory, self.view.policy(), now.mono);
    }

    pub(super) fn notice_overdue(&mut self, now: Now) {
        let policy = self.view.policy().clone();
        while let Some(attention) = self.flight.pop(&policy, now.mono) {
            match attention {
                Attention::Overdue(probe, scheduled) => {
                    if self.view.take_overdue(&probe, scheduled.mono, now.mono) {
                        self.burst(&probe.subject, scheduled, now);
                    }
                }
                Attention::GivenUp(_) => self.counters.lost += 1,
            }
        }
    }

    pub(super) fn look_due(&mut self, now: Now) {
        while let Some((probe, due, missed)) = self.schedule.pop(now.mono) {
            self.counters.skipped += missed;
            self.look(probe, due, false, now);
        }
        let policy = self.view.policy().clone();
        while let Some((probe, due)) = self.bursts.pop(&policy, now.mono) {
            self.look(probe, due, true, now);
        }
        self.counters.bursts_shed = self.bursts.shed();
    }

    fn look(&mut self, probe: Probe, due: Mono, in_burst: bool, now: Now) {
        let scheduled = now.minus(now.mono.since(due));
        let clusters = self.view.inventory().clusters.len();
        match self.flight.start(probe, scheduled, in_burst, self.view.policy(), clusters) {
            Some(look) => {
                self.counters.looks += 1;
                self.counters.burst_looks += u64::from(in_burst);
                self.actions.push_back(Action::Look(look));
            }
            None => self.counters.skipped += 1,
        }
    }
}
