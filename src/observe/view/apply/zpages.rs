//! How z-pages change what is known of the apiservers that gave them.

use std::sync::Arc;

use crate::model::observation::{Observation, Reading};
use crate::model::probe::ProbeKind;
use crate::model::subject::{Name, Subject};
use crate::observe::zpages::NoAnswer;

use super::{Taken, View};

impl View {
    /// A page, or what came instead.
    pub(super) fn take_zpage(&mut self, observation: &Observation, taken: &mut Taken) {
        let (instance, at) = (&observation.probe.subject, observation.scheduled);
        let Some(cluster) = instance.cluster().filter(|_| self.tells_of_itself(instance)).cloned() else { return };
        let zpages = self.zpages.entry(cluster.clone()).or_default();
        match &observation.outcome {
            Ok(Reading::Statusz(came)) => {
                let came = came.as_ref().map_err(|instead| NoAnswer::Instead(*instead));
                let is_other = zpages.take_status(instance, at, came);
                taken.other_process = is_other.then(|| instance.clone());
            }
            Ok(Reading::Flagz(came)) => {
                zpages.take_flags(instance, at, came.as_ref().map_err(|instead| NoAnswer::Instead(*instead)));
            }
            Err(unseen) if observation.probe.kind == ProbeKind::Flagz => {
                zpages.take_flags(instance, at, Err(NoAnswer::Unseen(*unseen)));
            }
            Err(unseen) => {
                zpages.take_status(instance, at, Err(NoAnswer::Unseen(*unseen)));
            }
            Ok(_) => return,
        }
        self.show_zpages(&cluster);
    }

    /// Puts into the snapshot in what the apiservers of `cluster` differ.
    pub(in crate::observe::view) fn show_zpages(&mut self, cluster: &Name) {
        let Some((name, known)) = self.inventory.clusters.get_key_value(cluster) else { return };
        let instances: Vec<Subject> = known.apiserver_subjects(name).collect();
        let facts = self.zpages.get(name).map(|zpages| zpages.facts(&instances)).unwrap_or_default();
        if let Some(cluster_snapshot) = self.pictures.get_mut(name).filter(|known| known.zpages != facts) {
            Arc::make_mut(cluster_snapshot).zpages = facts;
        }
    }

    /// Whether `subject` is an instance that is asked for its z-pages.
    pub(super) fn tells_of_itself(&self, subject: &Subject) -> bool {
        let cluster = subject.cluster().and_then(|name| self.inventory.clusters.get(name));
        subject.is_apiserver() && cluster.is_some_and(|cluster| cluster.zpages)
    }
}
