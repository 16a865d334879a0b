//! How a served chain, or a reading of files, changes what is known.

use std::sync::Arc;

use crate::model::certificate_files::FilesReading;
use crate::model::observation::Observation;
use crate::model::subject::Subject;
use crate::observe::certificate_files::FilesView;

use super::super::ServedSeen;
use super::{Taken, View};

impl View {
    pub(super) fn take_files(&mut self, observation: &Observation, reading: &Arc<FilesReading>) {
        let scope = observation.probe.subject.cluster().cloned();
        let before = self.shelves.get(&scope);
        if before.is_some_and(|before| before.at().mono > observation.scheduled.mono) {
            return;
        }
        let Some(watches) = self.inventory.files(scope.as_ref()) else { return };
        let cluster = scope.as_ref().and_then(|name| self.inventory.clusters.get_key_value(name));
        // A balancer serves what its instances serve, so a certificate is for it only where there are no instances or a
        // source says so.
        let is_meant = |subject: &Subject, has_instances: bool| {
            let is_said = watches.values().any(|watch| watch.serves.as_ref() == Some(subject));
            is_said || !has_instances || !subject.is_vip()
        };
        let endpoints = cluster.into_iter().flat_map(|(name, cluster)| {
            let has_instances = !cluster.apiservers.is_empty();
            cluster.served_subjects(name).filter(move |subject| is_meant(subject, has_instances))
        });
        let served: Vec<_> = endpoints
            .filter_map(|subject| {
                let leaf = self.served.get(&subject)?.served.leaf().map(Arc::clone)?;
                Some((subject, leaf))
            })
            .collect();
        let files_view = FilesView::after(before, reading, observation.scheduled, watches, &served);
        if let Some(cluster_snapshot) = scope.as_ref().and_then(|cluster| self.pictures.get_mut(cluster)) {
            Arc::make_mut(cluster_snapshot).stored = Some((observation.scheduled.wall, Arc::clone(reading)));
        }
        self.shelves.insert(scope, files_view);
    }

    pub(super) fn take_served(&mut self, observation: &Observation, taken: &mut Taken) {
        let Some(served) = &observation.served else { return };
        let subject = &observation.probe.subject;
        let known = self.served.get(subject);
        if known.is_some_and(|known| known.at.mono > observation.scheduled.mono) {
            return;
        }
        if let Some(cluster_snapshot) = subject.cluster().and_then(|cluster| self.pictures.get_mut(cluster)) {
            Arc::make_mut(cluster_snapshot)
                .served
                .insert(subject.clone(), (observation.scheduled.wall, Arc::clone(served)));
        }
        // A chain of which nothing can be read is shown, but not evaluated.
        let Some(leaf) = served.leaf() else { return };
        let same = known.filter(|known| known.served.leaf().map(|leaf| leaf.fingerprint) == Some(leaf.fingerprint));
        let (repeats, since) =
            same.map_or((1, observation.scheduled), |same| (same.repeats.saturating_add(1), same.since));
        let has_ended = served.earliest().is_some_and(|first| first.not_after < observation.scheduled.wall);
        let mut trusting = known.map(|known| known.trusting.clone()).unwrap_or_default();
        let is_refused_anew = trusting.take(served.trust, observation.scheduled, &self.policy);
        taken.is_news |= repeats == 1 || is_refused_anew;
        if has_ended && repeats == 1 || is_refused_anew {
            taken.doubtful_chain = Some(subject.clone());
        }
        let seen = ServedSeen { at: observation.scheduled, served: Arc::clone(served), repeats, since, trusting };
        self.served.insert(subject.clone(), seen);
    }
}
