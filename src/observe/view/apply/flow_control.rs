//! How dumps of priority and fairness, and ordinary requests that are slow or turned away, change what is known of who
//! uses the apiservers.

use std::sync::Arc;

use crate::model::canary::Canary;
use crate::model::observation::{Observation, Reading};
use crate::model::probe::{Probe, ProbeKind};
use crate::model::subject::Subject;
use crate::model::time::Now;
use crate::observe::canaries::Sign;
use crate::observe::flow_control::NoAnswer;
use crate::observe::metrics_pages::Missing;

use super::{Taken, View};

impl View {
    /// A dump, or what came instead.
    pub(super) fn take_dump(&mut self, observation: &Observation, now: Now, taken: &mut Taken) {
        let (instance, at) = (&observation.probe.subject, observation.scheduled);
        let Some(cluster) = instance.cluster().filter(|_| self.is_instance(instance)).cloned() else { return };
        let flow_control = self.flow_controls.entry(cluster).or_default();
        match &observation.outcome {
            Ok(Reading::PriorityLevels(came)) => {
                flow_control.take_levels(instance, at, came.as_ref().map_err(|instead| NoAnswer::Instead(*instead)));
            }
            Ok(Reading::RequestDump(came)) => {
                flow_control.take_requests(instance, at, came.as_ref().map_err(|instead| NoAnswer::Instead(*instead)));
            }
            Err(unseen) if observation.probe.kind == ProbeKind::RequestDump => {
                flow_control.take_requests(instance, at, Err(NoAnswer::Unseen(*unseen)));
            }
            Err(unseen) => flow_control.take_levels(instance, at, Err(NoAnswer::Unseen(*unseen))),
            Ok(_) => return,
        }
        self.follow_suspicion(instance, now, taken);
    }

    /// A page of metrics, or what came instead.
    pub(super) fn take_metrics_page(&mut self, observation: &Observation) {
        let (instance, at) = (&observation.probe.subject, observation.scheduled);
        let Some(cluster) = instance.cluster().filter(|_| self.is_instance(instance)).cloned() else { return };
        let came = match &observation.outcome {
            Ok(Reading::ApiserverMetrics(came)) => came.as_ref().map_err(|instead| Missing::Instead(*instead)),
            Ok(_) => return,
            Err(unseen) => Err(Missing::Unseen(*unseen)),
        };
        self.metrics_pages.entry(cluster).or_default().take(instance, at, observation.phases.total(), came);
    }

    /// An ordinary request: whether it was slow or turned away, and whether the server wants to be left alone.
    pub(super) fn take_ordinary(&mut self, observation: &Observation, is_slow: bool, now: Now, taken: &mut Taken) {
        let (instance, at) = (&observation.probe.subject, observation.scheduled);
        let Some(cluster) = instance.cluster().filter(|_| self.is_instance(instance)).cloned() else { return };
        let seconds = match &observation.outcome {
            Ok(Reading::Version(version)) if version.status == 429 => version.retry_after_secs,
            Ok(_) | Err(_) => None,
        };
        if !is_slow && seconds.is_none() {
            return;
        }
        let flow_control = self.flow_controls.entry(cluster).or_default();
        if let Some(seconds) = seconds {
            flow_control.leave_alone(instance, observation.probe.kind, at, seconds);
        }
        flow_control.take_slow(at);
        // A slow authorization webhook looks like an overload, except to an access review.
        let review = Probe::anew(instance.clone(), ProbeKind::AccessReview);
        if self.inventory.has_canary(instance, Canary::Authorization)
            && self.canary_sign(&review).is_none_or(|sign| sign == Sign::Good)
        {
            taken.repeat.push((review, at));
        }
        self.follow_suspicion(instance, now, taken);
    }

    /// What the latest canary of that kind said there.
    fn canary_sign(&self, probe: &Probe) -> Option<Sign> {
        let known = probe.subject.cluster().and_then(|name| self.canaries.get(name))?;
        known.track(&probe.subject, probe.kind)?.sign()
    }

    /// Shows what is known now, and asks for the requests where an overload is suspected.
    fn follow_suspicion(&mut self, instance: &Subject, now: Now, taken: &mut Taken) {
        let Some((name, cluster)) = instance.cluster().and_then(|name| self.inventory.clusters.get_key_value(name))
        else {
            return;
        };
        let Some(flow_control) = self.flow_controls.get(name) else { return };
        let instances = cluster.instances(name);
        if cluster.flow_control && flow_control.is_suspected(now.mono) {
            let left_alone =
                |instance: Subject| (flow_control.left_alone_until(&instance, ProbeKind::RequestDump), instance);
            taken.suspected =
                instances.iter().cloned().map(left_alone).map(|(until, instance)| (instance, until)).collect();
        }
        let facts = flow_control.facts(&instances, &self.policy, now.mono);
        if let Some(cluster_snapshot) = self.pictures.get_mut(name).filter(|known| known.load != facts) {
            Arc::make_mut(cluster_snapshot).load = facts;
        }
    }

    /// Whether users of the cluster are served there, and not by a balancer before it.
    pub(super) fn is_instance(&self, subject: &Subject) -> bool {
        let cluster = subject.cluster().and_then(|name| self.inventory.clusters.get_key_value(name));
        cluster.is_some_and(|(name, cluster)| cluster.instances(name).contains(subject))
    }
}
