//! How the canaries change what is known.

use crate::model::observation::{Observation, Reading};
use crate::model::time::Now;
use crate::observe::aspect::Aspect;
use crate::observe::assessment::Assessment;
use crate::observe::canaries::Follow;

use super::{Taken, View};

impl View {
    /// What a canary saw, and whether its credential is good. It says nothing of whether the server lives.
    pub(super) fn take_canary(&mut self, observation: &Observation, now: Now, taken: &mut Taken) {
        let (instance, at) = (&observation.probe.subject, observation.scheduled);
        let Some(cluster) = instance.cluster().filter(|_| self.is_instance(instance)).cloned() else { return };
        match self.canaries.entry(cluster.clone()).or_default().take(observation, &self.policy) {
            Follow::Twice => taken.repeat.push((observation.probe.clone(), at)),
            Follow::Then(then) => taken.again.push((observation.probe.clone(), then)),
            Follow::Nothing => {}
        }
        let assessment = match &observation.outcome {
            Ok(_) => Assessment::Good,
            Err(unseen) if unseen.cause.is_refusal() => Assessment::Refused(*unseen),
            Err(_) => Assessment::Unclear,
        };
        self.note(instance.clone(), Aspect::Canary, at, assessment, now, taken);
        let seconds = match &observation.outcome {
            Ok(Reading::Canary(answer)) => answer.result.retry_after_secs(),
            Ok(_) | Err(_) => None,
        };
        if let Some(seconds) = seconds {
            let flow_control = self.flow_controls.entry(cluster).or_default();
            flow_control.leave_alone(instance, observation.probe.kind, at, seconds);
        }
    }
}
