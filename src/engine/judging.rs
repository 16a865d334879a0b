//! From observations to alarms: evaluates the clusters with news, records each change of an alarm and passes it on.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::alert::lifecycle::Step;
use crate::judge;
use crate::judge::context::RuleContext;
use crate::model::incident::Stage;
use crate::model::inventory::Cluster;
use crate::model::policy::Policy;
use crate::model::rule::RuleId;
use crate::model::subject::{Name, Subject};
use crate::model::time::Now;
use crate::model::verdict::{Finding, FindingKey, Verdict, Why};
use crate::observe::view::View;

use super::Engine;

impl Engine {
    pub(super) fn judge_touched(&mut self, now: Now) {
        let policy = self.view.policy().clone();
        while let Some((at, key)) = self.lifecycle.next().filter(|(at, _)| *at <= now.mono) {
            let scope = key.subject.cluster().cloned();
            // Evaluated already in this turn and still due: its verdict is unknown, so its hold does not go on.
            if !self.touched.insert(scope) || at > now.mono {
                break;
            }
        }
        // The vantage first, because without its network no fault of a cluster is believed.
        for scope in self.touched.take(now.mono) {
            self.judge_scope(scope.as_ref(), &policy, now);
        }
    }

    fn judge_scope(&mut self, scope: Option<&Name>, policy: &Policy, now: Now) {
        let inventory = Arc::clone(self.view.inventory());
        let cluster = scope.and_then(|name| inventory.clusters.get_key_value(name));
        if scope.is_some() && cluster.is_none() {
            return;
        }
        self.assignments.changed.insert(scope.cloned());
        let verdicts = self.verdicts(scope, cluster, now);
        for (key, verdict) in verdicts {
            if key == isolated_key() {
                self.set_isolated(&verdict, now);
            }
            let step = self.lifecycle.take(&key, verdict, policy, now);
            self.follow(&key, step, now);
            self.heed_reference(&key);
        }
    }

    fn verdicts(
        &self,
        scope: Option<&Name>,
        cluster: Option<(&Name, &Cluster)>,
        now: Now,
    ) -> Vec<(FindingKey, Verdict)> {
        let raised: Vec<&Finding> = self.lifecycle.of_scope(scope).map(|alarm| &alarm.finding).collect();
        let mut verdicts = judge::judge(&RuleContext { view: &self.view, cluster, now, raised: &raised });
        // A finding that a rule gives no verdict for goes on as before: a missing verdict does not show that it is
        // over.
        let judged: BTreeSet<&FindingKey> = verdicts.iter().map(|(key, _)| key).collect();
        let left_out: Vec<FindingKey> =
            raised.iter().map(|finding| finding.key()).filter(|key| !judged.contains(key)).collect();
        verdicts.extend(left_out.into_iter().map(|key| (key, Verdict::Unknown(Why::Unclear))));
        verdicts
    }

    /// Alarms that no rule could raise with the present configuration end without an all-clear. Nothing else withdraws
    /// an alarm.
    pub(super) fn withdraw_unconfigured(&mut self, now: Now) {
        let unseen = View::new(Arc::clone(self.view.inventory()), Arc::clone(self.view.policy()));
        let scopes: BTreeSet<Option<Name>> =
            self.lifecycle.alarms().map(|alarm| alarm.finding.subject.cluster().cloned()).collect();
        for scope in scopes {
            let raised: Vec<&Finding> = self.lifecycle.of_scope(scope.as_ref()).map(|alarm| &alarm.finding).collect();
            for key in judge::unconfigured(&unseen, scope.as_ref(), &raised, now) {
                self.lifecycle.withdraw(&key);
                self.note_alarm(&key);
                self.recover_everywhere(&key, now.wall, true, now);
                self.heed_reference(&key);
            }
        }
    }

    /// A reference target that was reported as silent proves nothing any more, until it answers. The alarm that says so
    /// is all that is known of it after a restart.
    pub(super) fn heed_reference(&mut self, key: &FindingKey) {
        if key.rule != RuleId::F55 {
            return;
        }
        let is_silent = self.lifecycle.alarm(key).is_some_and(|alarm| matches!(alarm.stage, Stage::Firing { .. }));
        if self.view.set_silent_reference(&key.subject, is_silent) {
            self.touched.insert(None);
            self.touched.extend(self.view.inventory().clusters.keys().cloned().map(Some));
        }
    }

    fn set_isolated(&mut self, verdict: &Verdict, now: Now) {
        let was_isolated = self.view.path().is_isolated();
        match verdict {
            Verdict::Bad(_) if !was_isolated => {
                self.view.set_isolated(true, now.mono);
                self.touched.extend(self.view.inventory().clusters.keys().cloned().map(Some));
            }
            Verdict::Good { .. } if was_isolated => {
                self.view.set_isolated(false, now.mono);
                self.outbox.hurry(now.mono);
                self.touched.extend(self.view.inventory().clusters.keys().cloned().map(Some));
            }
            Verdict::Good { .. } | Verdict::Bad(_) | Verdict::Unknown(_) => {}
        }
    }

    /// Records what a step means, and passes it on to the alarm's incident.
    fn follow(&mut self, key: &FindingKey, step: Step, now: Now) {
        match step {
            Step::None => return,
            Step::Raised | Step::Fired => self.note_alarm(key),
            Step::Changed => {
                self.note_alarm(key);
                let stands = self.lifecycle.alarm(key).is_some_and(|alarm| matches!(alarm.stage, Stage::Firing { .. }));
                match self.assigned_incident(key) {
                    Some((incident, finding)) if stands => self.incidents.relapse(&incident, &finding, now.mono),
                    Some((incident, finding)) => self.incidents.refresh(&incident, &finding),
                    None => {}
                }
            }
            Step::Worsened => {
                self.note_alarm(key);
                if let Some((incident, finding)) = self.assigned_incident(key) {
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

/// The alarm about the loss of the vantage's network.
pub(super) const fn isolated_key() -> FindingKey {
    FindingKey { rule: RuleId::F04, subject: Subject::Vantage }
}
