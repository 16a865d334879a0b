//! From beliefs to alarms: what was touched is judged, and what each verdict means is written down and handed on.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::alert::ladder::Step;
use crate::judge;
use crate::judge::scene::Scene;
use crate::model::incident::{Alarm, Stage};
use crate::model::policy::Policy;
use crate::model::rule::RuleId;
use crate::model::subject::{Name, Subject};
use crate::model::time::Now;
use crate::model::verdict::{FindingKey, Verdict};

use super::Engine;

impl Engine {
    pub(super) fn judge_touched(&mut self, now: Now) {
        let policy = self.view.policy().clone();
        while let Some((at, key)) = self.ladder.next().filter(|(at, _)| *at <= now.mono) {
            let scope = key.subject.cluster().cloned();
            // Judged already in this turn and still due: its verdict cannot tell, so its clock stands still.
            if !self.touched.insert(scope) || at > now.mono {
                break;
            }
        }
        // The vantage first: what it says decides what is believed of all others.
        for scope in std::mem::take(&mut self.touched) {
            self.judge_scope(scope.as_ref(), &policy, now);
        }
    }

    fn judge_scope(&mut self, scope: Option<&Name>, policy: &Policy, now: Now) {
        let inventory = Arc::clone(self.view.inventory());
        let cluster = scope.and_then(|name| inventory.clusters.get_key_value(name));
        if scope.is_some() && cluster.is_none() {
            return;
        }
        self.voices.changed.insert(scope.cloned());
        let verdicts = judge::judge(&Scene { view: &self.view, cluster, now });
        self.withdraw_unjudged(scope, &verdicts, now);
        for (key, verdict) in verdicts {
            if key == blind_key() {
                self.set_blind(&verdict, now);
            }
            let step = self.ladder.take(&key, verdict, policy, now);
            self.follow(&key, step, now);
        }
    }

    /// What no rule speaks of any more, because the configuration changed, would stay open for ever.
    fn withdraw_unjudged(&mut self, scope: Option<&Name>, verdicts: &[(FindingKey, Verdict)], now: Now) {
        let of_scope = self.ladder.alarms().filter(|alarm| alarm.finding.subject.cluster() == scope);
        let judged: BTreeSet<&FindingKey> = verdicts.iter().map(|(judged, _)| judged).collect();
        let is_judged = |key: &FindingKey| judged.contains(key);
        let unjudged: Vec<FindingKey> = of_scope.map(Alarm::key).filter(|key| !is_judged(key)).collect();
        for key in unjudged {
            let is_stored = matches!(key.subject, Subject::Stored(..));
            // Not yet looked at, or not readable now: it may still be there.
            if is_stored && !self.view.knows_all_files(scope) {
                continue;
            }
            self.ladder.withdraw(&key);
            self.note_alarm(&key);
            // What is in no file any more was replaced or taken away, and that is the end of it.
            self.recover_everywhere(&key, now.wall, !is_stored, now);
        }
    }

    fn set_blind(&mut self, verdict: &Verdict, now: Now) {
        let was_blind = self.view.path().is_blind();
        match verdict {
            Verdict::Bad(_) if !was_blind => {
                self.view.set_blind(true, now.mono);
                self.touched.extend(self.view.inventory().clusters.keys().cloned().map(Some));
            }
            Verdict::Good { .. } if was_blind => {
                self.view.set_blind(false, now.mono);
                self.outbox.hurry(now.mono);
                self.touched.extend(self.view.inventory().clusters.keys().cloned().map(Some));
            }
            Verdict::Good { .. } | Verdict::Bad(_) | Verdict::Unknown(_) => {}
        }
    }

    /// Writes down what a step means, and hands it on to the incident that speaks for the alarm.
    fn follow(&mut self, key: &FindingKey, step: Step, now: Now) {
        match step {
            Step::None => return,
            Step::Raised | Step::Fired => self.note_alarm(key),
            Step::Changed => {
                self.note_alarm(key);
                let stands = self.ladder.alarm(key).is_some_and(|alarm| matches!(alarm.stage, Stage::Firing { .. }));
                match self.spoken_for(key) {
                    Some((incident, finding)) if stands => self.incidents.relapse(&incident, &finding, now.mono),
                    Some((incident, finding)) => self.incidents.refresh(&incident, &finding),
                    None => {}
                }
            }
            Step::Worsened => {
                self.note_alarm(key);
                if let Some((incident, finding)) = self.spoken_for(key) {
                    let policy = Arc::clone(self.view.policy());
                    self.incidents.worsen(&incident, &finding, &policy, now.mono);
                    self.note_incident(&incident);
                    self.stir(&finding);
                }
            }
            Step::Recovered(at) => {
                self.note_alarm(key);
                self.recover_everywhere(key, at, false, now);
            }
            Step::Dropped => self.note_alarm(key),
        }
        self.is_snapshot_stale = true;
    }
}

/// The alarm that tells of the vantage's own blindness.
pub(super) const fn blind_key() -> FindingKey {
    FindingKey { rule: RuleId::F04, subject: Subject::Vantage }
}
