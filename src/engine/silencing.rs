//! Silences: orders of people on the machine, and which mails they withhold. They do not affect probes, evaluation,
//! incidents and the heartbeat.

use std::sync::Arc;

use crate::alert::group::Notification;
use crate::alert::route::{Recipients, Route, Routing, breaks, route};
use crate::judge::outage::is_outage;
use crate::model::exchange::Change;
use crate::model::incident::{Incident, IncidentId};
use crate::model::reason::MessageReason;
use crate::model::silence::{Order, Silence};
use crate::model::subject::Name;
use crate::model::time::Now;
use crate::model::verdict::Finding;

use super::Engine;

impl Engine {
    /// Carries out a person's order. One that names no watched cluster, or no future time, is ignored: the part that
    /// receives the order reports that.
    pub(super) fn order(&mut self, order: Order, now: Now) {
        match order {
            Order::Silence(silence) => {
                if self.view.inventory().clusters.contains_key(&silence.cluster) && silence.until > now.wall {
                    self.begin_silence(silence, now);
                }
            }
            Order::EndSilence(cluster) => self.end_silence(&cluster, now),
        }
        self.is_snapshot_urgent = true;
    }

    /// Restores a silence from before a restart, unless a newer one was set since.
    pub(super) fn restore_silence(&mut self, silence: Silence, now: Now) {
        if self.silences.of(&silence.cluster).is_none() {
            self.silences.begin(silence, now);
        }
    }

    /// Ends silences whose time has come, and those of clusters that are no longer watched.
    pub(super) fn end_silences(&mut self, now: Now) {
        let inventory = self.view.inventory();
        let unwatched = self.silences.all().map(|silence| &silence.cluster);
        let unwatched = unwatched.filter(|cluster| !inventory.clusters.contains_key(*cluster)).cloned();
        let ended: Vec<Name> = self.silences.over(now).into_iter().chain(unwatched).collect();
        for cluster in ended {
            self.end_silence(&cluster, now);
        }
    }

    /// Who hears of an incident now; `None` for nobody. What a silence withholds is kept for later.
    pub(super) fn recipients_of(
        &mut self,
        id: &IncidentId,
        reason: MessageReason,
        routing: &Routing,
        now: Now,
    ) -> Option<Recipients> {
        let incident = self.incidents.incident(id)?;
        let silence = self.silence_of(incident).cloned();
        match (route(incident, reason, silence.as_ref(), is_outage, routing, now.wall), silence) {
            (Route::Listed, _) => None,
            (Route::Withheld, silence) => {
                if let Some(silence) = silence {
                    self.incidents.withhold(id, reason, &silence);
                }
                self.note_incident(id);
                self.is_snapshot_stale = true;
                None
            }
            (Route::To(recipients), silence) => {
                if let Some(silence) = silence {
                    self.incidents.said_in_spite(id, &silence);
                }
                Some(recipients)
            }
        }
    }

    /// Mails what a silence no longer withholds: the silence is over, or the whole cluster is down.
    pub(super) fn release_withheld(&mut self, now: Now) {
        let stirred = std::mem::take(&mut self.stirred);
        let is_free =
            |incident: &&Incident| self.silence_of(incident).is_none_or(|silence| breaks(incident, silence, is_outage));
        let withheld = stirred.iter().flat_map(|cluster| self.incidents.withheld(cluster));
        let free: Vec<IncidentId> = withheld.filter(is_free).map(|incident| incident.id.clone()).collect();
        let policy = Arc::clone(self.view.policy());
        for id in free {
            let said: Option<Notification> = self.incidents.release(&id, &policy, now.mono);
            self.note_incident(&id);
            self.say(said, now);
        }
    }

    /// Checks again what the silence of a cluster withholds, because `finding` may not be covered by it.
    pub(super) fn stir(&mut self, finding: &Finding) {
        if is_outage(finding) {
            self.stirred.extend(finding.subject.cluster().cloned());
        }
    }

    /// Checks again everything that silences withhold.
    pub(super) fn stir_all(&mut self) {
        self.stirred.extend(self.incidents.withheld_places().cloned());
    }

    fn begin_silence(&mut self, silence: Silence, now: Now) {
        let amend = |known: &mut Silence| *known = Silence { since: known.since.min(silence.since), ..silence.clone() };
        self.amend_silence(&silence.cluster, amend);
        self.stirred.insert(silence.cluster.clone());
        self.silences.begin(silence.clone(), now);
        self.changes.push(Change::Silence(silence));
    }

    fn end_silence(&mut self, cluster: &Name, now: Now) {
        if self.silences.end(cluster).is_none() {
            return;
        }
        self.amend_silence(cluster, |known| known.until = known.until.min(now.wall));
        self.stirred.insert(cluster.clone());
        self.changes.push(Change::SilenceOver(cluster.clone()));
        self.is_snapshot_stale = true;
    }

    fn amend_silence(&mut self, cluster: &Name, amend: impl Fn(&mut Silence)) {
        for id in self.incidents.amend_silence(cluster, amend) {
            self.note_incident(&id);
        }
    }

    fn silence_of(&self, incident: &Incident) -> Option<&Silence> {
        incident.cluster.as_ref().and_then(|cluster| self.silences.of(cluster))
    }
}
