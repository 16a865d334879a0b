//! Probes: which are due, which go out, and what comes back of them.

use std::sync::Arc;

use crate::model::cost::Cost;
use crate::model::exchange::Action;
use crate::model::observation::Observation;
use crate::model::probe::{Probe, ProbeId, ProbeKind, ProbeRequest};
use crate::model::rule::RuleId;
use crate::model::subject::Subject;
use crate::model::time::{Mono, Now};
use crate::model::verdict::FindingKey;
use crate::observe::budget::{REFILL, Taken, Wanted};
use crate::observe::in_flight::Attention;
use crate::observe::urgency::Urgency;

use super::judging::isolated_key;
use super::{Engine, Scope};

impl Engine {
    pub(super) fn observe(&mut self, observation: Observation, now: Now) {
        if let Some(id) = observation.request {
            self.in_flight.land(id);
            self.budget.free(&observation.probe.subject, now.mono);
        }
        if !self.view.concerns(&observation) {
            return;
        }
        let observation = Arc::new(observation);
        let taken = self.view.take(&observation, now);
        self.counters.voided += u64::from(taken.is_void);
        self.counters.late += u64::from(taken.is_late);
        self.is_snapshot_stale = true;
        let (goes_on, is_well) = (taken.goes_on(), taken.is_well);
        for (subject, first) in &taken.turned_bad {
            self.burst(subject, *first, now);
            self.sample_behind(subject, *first, now);
        }
        if let Some(vip) = &taken.sample {
            self.sample_connections(vip, now);
        }
        if let Some(subject) = &taken.doubtful_chain {
            self.bursts.second_handshake(subject, now.mono);
            // What is wrong with one member's chain is mostly wrong with all, and one mail says it better than three.
            let before = observation.scheduled.mono.minus(self.view.policy().confirm_span);
            for sibling in self.view.siblings_unseen_since(subject, before) {
                self.bursts.second_handshake(&sibling, now.mono);
            }
        }
        if let Some((subject, first)) = &taken.partly_dead {
            self.bursts.probe_addresses(subject, *first, self.view.policy(), now.mono);
        }
        for (probe, first) in taken.repeat {
            self.bursts.repeat(&probe, first, self.view.policy(), now.mono);
        }
        for (probe, at) in taken.again {
            self.bursts.probe_at(probe, at);
        }
        if let Some((subject, test)) = &taken.test {
            self.bursts.test_hello(subject, test, now.mono);
        }
        for (instance, until) in taken.suspected {
            self.dump_rounds.open(instance, until, now.mono);
        }
        let zpages = [(taken.other_process, ProbeKind::Flagz), (taken.came_back, ProbeKind::Statusz)];
        for (instance, kind) in zpages.into_iter().filter_map(|(instance, kind)| Some((instance?, kind))) {
            let probe = Probe::reused(instance, kind);
            if !self.view.leaves_out(&probe, now.mono) {
                self.want(probe, now.mono, Urgency::Scheduled, now);
            }
        }
        if let Some(cluster) = taken.touched {
            let is_well = is_well && self.lifecycle.is_quiet(Some(&cluster));
            self.touch(Some(cluster), goes_on, is_well, now);
        }
        let proxy = self.view.inventory().proxy_before(&observation.probe.subject);
        let alarm = proxy.map(|known| FindingKey { rule: RuleId::F60, subject: Subject::Proxy(known.name.clone()) });
        let speaks_of_way = taken.way || alarm.is_some_and(|key| self.lifecycle.alarm(&key).is_some());
        let is_of_vantage = observation.probe.subject.cluster().is_none();
        if is_of_vantage
            || speaks_of_way
            || !observation.proves_path
            || self.view.path().is_isolated()
            || self.lifecycle.alarm(&isolated_key()).is_some()
        {
            self.touch(None, goes_on, false, now);
        }
    }

    /// Probes whose answers have not come.
    #[must_use]
    pub fn requests_under_way(&self) -> Vec<ProbeRequest> {
        self.in_flight.requests().collect()
    }

    /// The answer to a request will never come, and that says nothing about its subject: a replay has none.
    pub fn forget_request(&mut self, id: ProbeId, now: Now) {
        if let Some(subject) = self.in_flight.subject(id).cloned() {
            self.in_flight.land(id);
            self.budget.free(&subject, now.mono);
        }
    }

    fn touch(&mut self, scope: Scope, goes_on: bool, is_well: bool, now: Now) {
        if goes_on {
            self.touched.go_on(scope, is_well, now.mono);
        } else {
            self.touched.turn(scope, now.mono);
        }
    }

    pub(super) fn burst(&mut self, subject: &Subject, first: Now, now: Now) {
        // One more connection lost by an address that is known to lose some needs no confirmation.
        if self.view.loses_connections_since(subject).is_some() {
            return;
        }
        let inventory = Arc::clone(self.view.inventory());
        self.bursts.start(subject, first, &inventory, self.view.policy(), now.mono);
    }

    /// An instance may have gone bad at `first`: does the balancer still send connections there?
    fn sample_behind(&mut self, instance: &Subject, first: Now, now: Now) {
        if let Some(cluster) = instance.cluster().filter(|_| instance.is_apiserver()) {
            let vip = Subject::Vip(cluster.clone());
            self.view.suspect_losses(&vip, first);
            self.sample_connections(&vip, now);
        }
    }

    fn sample_connections(&mut self, vip: &Subject, now: Now) {
        let allowed = self.view.samples_allowed(vip, now.mono);
        let planned = self.bursts.sample(vip, allowed, now.mono);
        self.view.charge_samples(vip, planned, now.mono);
    }

    pub(super) fn notice_overdue(&mut self, now: Now) {
        let policy = self.view.policy().clone();
        while let Some(attention) = self.in_flight.pop(&policy, now.mono) {
            match attention {
                Attention::Overdue(probe, scheduled) => {
                    if self.view.take_overdue(&probe, scheduled.mono, now.mono) {
                        self.burst(&probe.subject, scheduled, now);
                    }
                }
                Attention::GivenUp(probe) => {
                    self.counters.lost += 1;
                    self.budget.free(&probe.subject, now.mono);
                }
            }
        }
    }

    /// Sends what is due, as far as the budget of each cluster goes. What confirms a fault goes before the schedule.
    pub(super) fn probe_due(&mut self, now: Now) {
        while let Some((probe, due, missed)) = self.schedule.pop(now.mono) {
            self.counters.skipped += missed;
            if self.view.leaves_out(&probe, now.mono) {
                self.counters.left_out += 1;
                continue;
            }
            let urgency = self.bursts.serve(&probe, due);
            let taken = self.want(probe, due, urgency, now);
            self.counters.skipped += u64::from(taken == Taken::Missed);
        }
        while let Some((probe, due, urgency)) = self.bursts.pop(now.mono) {
            self.want(probe, due, urgency, now);
        }
        self.ask_suspected(now);
        let inventory = Arc::clone(self.view.inventory());
        let until = now.mono.plus(REFILL);
        loop {
            let planned = |scope: &Scope| self.bursts.confirmations(scope, &inventory, until);
            let Some(wanted) = self.budget.pop(planned, now.mono) else { break };
            self.send_probe(wanted, now);
        }
        self.counters.deferred = self.budget.deferred();
    }

    /// Asks the instances of which an overload is suspected for their requests.
    fn ask_suspected(&mut self, now: Now) {
        let policy = Arc::clone(self.view.policy());
        let view = &self.view;
        let is_suspected = |instance: &Subject| view.is_overload_suspected(instance, now.mono);
        let mut due = Vec::new();
        while let Some(round) = self.dump_rounds.pop(is_suspected, &policy, now.mono) {
            due.push(round);
        }
        for (instance, due) in due {
            self.want(Probe::anew(instance, ProbeKind::RequestDump), due, Urgency::Confirmation, now);
        }
    }

    fn want(&mut self, probe: Probe, due: Mono, urgency: Urgency, now: Now) -> Taken {
        let requests = Cost::of(self.view.inventory(), &probe).requests;
        let taken = self.budget.want(probe.clone(), requests, due, urgency, now.mono);
        if taken == Taken::Again {
            self.bursts.postpone(probe, now.mono);
        }
        taken
    }

    fn send_probe(&mut self, wanted: Wanted, now: Now) {
        let Probe { subject, kind, .. } = &wanted.probe;
        // One that was asked for out of turn, before the configuration switched it off.
        if kind.canary().is_some_and(|canary| !self.view.inventory().has_canary(subject, canary)) {
            return;
        }
        // A probe that waited for our own budget is dated from its start, because it was not sent before.
        let scheduled = if wanted.was_deferred { now } else { now.minus(now.mono.since(wanted.due)) };
        let in_burst = wanted.urgency != Urgency::Scheduled;
        let clusters = self.view.inventory().clusters.len();
        match self.in_flight.start(wanted.probe.clone(), scheduled, wanted.urgency, self.view.policy(), clusters) {
            Ok(mut request) => {
                request.hello = self.view.hello(&request.probe);
                self.budget.charge(&wanted, now.mono);
                if request.probe.kind == ProbeKind::RequestDump {
                    self.dump_rounds.note_asked(&request.probe.subject, now.mono);
                }
                self.counters.probes += 1;
                self.counters.burst_probes += u64::from(in_burst);
                self.actions.push_back(Action::Probe(request));
            }
            Err(full) => self.budget.hold(wanted, full),
        }
    }
}
