//! Whether the proxy in front of a cluster works, by the same probes that ask its apiservers.

use crate::model::inventory::Proxy;
use crate::model::observation::Observation;
use crate::model::phase::{Cause, Unseen};
use crate::model::subject::{Name, Subject};
use crate::model::time::Mono;
use crate::model::verdict::Symptom;
use crate::observe::assessment::Assessment;
use crate::observe::probe_runs::{BadRun, Confirmation, Effect, ProbeRuns};

use super::apply::Taken;
use super::{Aspect, View};
use crate::model::time::Now;

impl View {
    /// The path through its proxy to a cluster, when it is confirmed to fail, and whether that is unproven.
    ///
    /// An error answer of the proxy needs no other proof of our network, because the proxy was reached.
    #[must_use]
    pub fn lost_way(&self, cluster: &Name, now: Mono) -> Option<(&BadRun, bool)> {
        let subject = Subject::Cluster(cluster.clone());
        let bad = self.track(&subject, Aspect::Way)?.bad()?;
        let is_its_word = matches!(&bad.symptom, Symptom::Silent(unseen) if unseen.cause != Cause::ProxyUnreachable);
        let is_long_enough = bad.is_long_enough(&self.policy) && !bad.is_doubtful;
        if is_its_word && is_long_enough {
            return Some((bad, false));
        }
        match self.confirmation(&subject, Aspect::Way, now) {
            Confirmation::Confirmed { path_unproven } => Some((bad, path_unproven)),
            Confirmation::Suspected | Confirmation::None => None,
        }
    }

    /// The sign of one probe. A proxy that does not answer for one cluster and meanwhile leads to another works, so the
    /// target does not answer.
    pub(super) fn assessment_of(&self, observation: &Observation) -> Assessment {
        let assessment = Assessment::of(observation);
        if let Assessment::NoWay(unseen) = assessment
            && self.is_target_mute(observation, unseen)
        {
            return Assessment::Bad(Symptom::Silent(unseen));
        }
        assessment
    }

    fn is_target_mute(&self, observation: &Observation, unseen: Unseen) -> bool {
        let subject = &observation.probe.subject;
        let Some(proxy) = self.inventory.proxy_before(subject).filter(|_| unseen.cause == Cause::ProxySilent) else {
            return false;
        };
        let leads_on = |track: &ProbeRuns| track.good().is_some_and(|run| run.last.mono >= observation.scheduled.mono);
        let is_behind = |other: Option<&Proxy>| other == Some(proxy);
        let mut others = self
            .inventory
            .clusters
            .iter()
            .filter(|(name, other)| Some(*name) != subject.cluster() && is_behind(other.proxy.as_ref()));
        others.any(|(name, _)| self.track(&Subject::Cluster(name.clone()), Aspect::Way).is_some_and(leads_on))
    }

    pub(super) fn take_way(&mut self, observation: &Observation, now: Now, taken: &mut Taken) {
        let endpoint = &observation.probe.subject;
        let Some(cluster) = endpoint.cluster().filter(|_| self.inventory.proxy_before(endpoint).is_some()).cloned()
        else {
            return;
        };
        let way = match (&observation.outcome, self.assessment_of(observation)) {
            (Err(unseen), Assessment::NoWay(_)) => Assessment::Bad(Symptom::Silent(*unseen)),
            (Err(unseen), _) if unseen.cause == Cause::OwnFault => return,
            // Over a connection that was open already the proxy is not asked.
            _ if observation.phases.dial.is_none() => return,
            _ => Assessment::Good,
        };
        let is_bad = way != Assessment::Good;
        let track = self.tracks.or_default(&Subject::Cluster(cluster.clone()), Aspect::Way);
        let was_lost = track.bad().is_some_and(|bad| bad.is_long_enough(&self.policy));
        let effect = track.take(observation.scheduled, way, &self.path, now.mono);
        taken.way = is_bad || effect != Effect::Same;
        if effect == Effect::TurnedBad {
            taken.turned_bad.push((endpoint.clone(), observation.scheduled));
        }
        if effect == Effect::TurnedGood && was_lost {
            // Behind the proxy everything is confirmed anew, as after a time without network.
            let behind = |subject: &Subject| self.inventory.proxy_before(subject).is_some();
            let tracks = self.tracks.iter_mut();
            tracks
                .filter(|(subject, _)| subject.cluster() == Some(&cluster) && behind(subject))
                .for_each(|(_, track)| track.forget_bad());
        }
    }
}
