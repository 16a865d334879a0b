//! An index of open incidents: which may be joined, which are ending, which have a mail due, and which findings are
//! ongoing in which.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::alert::index::Index;
use crate::alert::relations::RuleScope;
use crate::model::incident::IncidentId;
use crate::model::subject::Name;
use crate::model::time::Mono;
use crate::model::verdict::{Finding, FindingKey};

use super::open::Open;
use super::timers::Timer;
use super::withheld;

/// The index.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Lookup {
    settling: Index<Option<Name>, IncidentId>,
    remaining: Index<Option<Name>, IncidentId>,
    roots: Index<FindingKey, IncidentId>,
    root_scope: Index<RuleScope, IncidentId>,
    parts: Index<FindingKey, IncidentId>,
    withheld: Index<Option<Name>, IncidentId>,
    /// By when a mail is due: of clusters, and apart from them of the vantage, whose mails are sent while those about
    /// clusters are not.
    due: BTreeSet<(Mono, IncidentId)>,
    due_of_vantage: BTreeSet<(Mono, IncidentId)>,
}

/// The keys of one incident in the index.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Keys {
    settles: bool,
    remains: bool,
    is_withheld: bool,
    due: Option<Mono>,
    root: Option<FindingKey>,
}

impl Lookup {
    pub(super) fn settling(&self, beside: &Finding) -> impl Iterator<Item = &IncidentId> {
        self.settling.of(&beside.subject.cluster().cloned())
    }

    pub(super) fn remaining(&self, beside: &Finding) -> impl Iterator<Item = &IncidentId> {
        self.remaining.of(&beside.subject.cluster().cloned())
    }

    pub(super) fn rooted_at(&self, key: &FindingKey) -> impl Iterator<Item = &IncidentId> {
        self.roots.of(key)
    }

    pub(super) fn rooted_in(&self, scope: &RuleScope) -> impl Iterator<Item = &IncidentId> {
        self.root_scope.of(scope)
    }

    pub(super) fn with_part(&self, key: &FindingKey) -> impl Iterator<Item = &IncidentId> {
        self.parts.of(key)
    }

    pub(super) fn withheld(&self, cluster: &Name) -> impl Iterator<Item = &IncidentId> {
        self.withheld.of(&Some(cluster.clone()))
    }

    /// Clusters of which something is withheld.
    pub(super) fn withheld_places(&self) -> impl Iterator<Item = &Name> {
        self.withheld.keys().filter_map(Option::as_ref)
    }

    /// Incidents that have a mail due at `now`, in the order of their identities.
    pub(super) fn due(&self, now: Mono, is_mute: bool) -> BTreeSet<IncidentId> {
        let of_clusters = self.due.iter().filter(|_| !is_mute).take_while(|(at, _)| *at <= now);
        let of_vantage = self.due_of_vantage.iter().take_while(|(at, _)| *at <= now);
        of_clusters.chain(of_vantage).map(|(_, id)| id.clone()).collect()
    }

    pub(super) fn next(&self, is_mute: bool) -> Option<Mono> {
        let first = |due: &BTreeSet<(Mono, IncidentId)>| due.first().map(|(at, _)| *at);
        let of_clusters = first(&self.due).filter(|_| !is_mute);
        [of_clusters, first(&self.due_of_vantage)].into_iter().flatten().min()
    }

    /// A finding is ongoing in an incident.
    pub(super) fn stood(&mut self, key: &FindingKey, id: &IncidentId) {
        self.parts.insert(key, id);
    }

    /// It has ended there.
    pub(super) fn fell(&mut self, key: &FindingKey, id: &IncidentId) {
        self.parts.remove(key, id);
    }

    /// Updates the index after a change of an incident.
    pub(super) fn file(&mut self, id: &IncidentId, open: &mut Open) {
        let filed = Keys {
            settles: open.timers.runs(Timer::Settle),
            remains: open.timers.runs(Timer::Remains),
            is_withheld: withheld::of(&open.incident).is_some(),
            due: open.next(),
            root: Some(open.incident.root().key()),
        };
        if filed != open.filed {
            let before = std::mem::replace(&mut open.filed, filed.clone());
            self.refile(id, open.incident.cluster.as_ref(), &before, &filed);
        }
    }

    /// Removes an incident that is over from the index.
    pub(super) fn forget(&mut self, id: &IncidentId, open: &Open) {
        self.refile(id, open.incident.cluster.as_ref(), &open.filed, &Keys::default());
    }

    fn refile(&mut self, id: &IncidentId, cluster: Option<&Name>, before: &Keys, after: &Keys) {
        let place = cluster.cloned();
        move_to(&mut self.settling, &place, id, before.settles, after.settles);
        move_to(&mut self.remaining, &place, id, before.remains, after.remains);
        move_to(&mut self.withheld, &place, id, before.is_withheld, after.is_withheld);
        if before.root != after.root {
            if let Some(root) = &before.root {
                self.roots.remove(root, id);
                self.root_scope.remove(&RuleScope::of(root), id);
            }
            if let Some(root) = &after.root {
                self.roots.insert(root, id);
                self.root_scope.insert(&RuleScope::of(root), id);
            }
        }
        let due = if cluster.is_some() { &mut self.due } else { &mut self.due_of_vantage };
        if let Some(at) = before.due {
            due.remove(&(at, id.clone()));
        }
        if let Some(at) = after.due {
            due.insert((at, id.clone()));
        }
    }
}

fn move_to(index: &mut Index<Option<Name>, IncidentId>, place: &Option<Name>, id: &IncidentId, from: bool, to: bool) {
    match (from, to) {
        (true, false) => index.remove(place, id),
        (false, true) => index.insert(place, id),
        (true, true) | (false, false) => {}
    }
}
