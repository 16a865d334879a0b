//! A message from an incident and the latest probes: complete, so that it can be rendered at any time later.

use std::collections::BTreeMap;

use crate::judge::commands::guess;
use crate::model::host_access::Hosts;
use crate::model::incident::Incident;
use crate::model::inventory::Inventory;
use crate::model::message::{Caveat, Message, MessageId};
use crate::model::reason::MessageReason;
use crate::model::subject::Subject;
use crate::model::time::Now;
use crate::observe::evidence;

use super::replacements::replacements;
use super::{Engine, RestoreState};

impl Engine {
    /// Message `number` of an incident, as everything is now.
    pub(super) fn compose(&self, incident: &Incident, number: u32, reason: MessageReason, now: Now) -> Message {
        let inventory = self.view.inventory();
        let mut caveats = Vec::new();
        if self.persisted == RestoreState::Empty {
            caveats.push(Caveat::StartedEmpty);
        }
        let mut probes = evidence::lines(&self.view, incident.cluster.as_ref());
        if incident.parts.iter().any(|part| part.finding.evidence.is_about_files()) {
            probes.extend(evidence::stored(&self.view, incident.cluster.as_ref()));
        }
        Message {
            id: MessageId(format!("{}.{number}", incident.id)),
            thread: MessageId(format!("{}.0", incident.id)),
            reason,
            level: incident.ongoing().map(|finding| finding.level).max().unwrap_or(incident.level),
            composed: now.wall,
            addresses: addresses(&self.view, incident),
            hosts: hosts(&self.view, incident),
            links: inventory.links.filled(incident.cluster.as_ref(), incident.root().rule, &incident.id.0),
            time_zone: inventory.time_zone.clone(),
            probes,
            before: self.incidents.before(incident),
            replacements: replacements(&self.view, incident),
            vantage: inventory.vantage.clone(),
            caveats,
            incident: incident.clone(),
        }
    }
}

/// How the hosts of the incident's cluster are reached, as far as it is known now.
fn hosts(view: &crate::observe::view::View, incident: &Incident) -> Hosts {
    let cluster = incident.cluster.as_ref();
    let cluster_snapshot = cluster.and_then(|name| view.cluster_snapshot(name));
    guess::all(view.inventory(), cluster, cluster_snapshot.map(|cluster_snapshot| &**cluster_snapshot))
}

/// Addresses of everything in the incident's cluster: the reader of the mail needs more than those that are down.
fn addresses(view: &crate::observe::view::View, incident: &Incident) -> BTreeMap<Subject, String> {
    let mut told = view.inventory().addresses(incident.cluster.as_ref());
    if incident.cluster.is_none() {
        told.extend(behind_proxies(view.inventory(), incident));
    }
    told
}

/// One address behind each proxy that an incident is about, for a command that tests the path.
fn behind_proxies(inventory: &Inventory, incident: &Incident) -> Vec<(Subject, String)> {
    let lost = incident.parts.iter().flat_map(|part| part.finding.evidence.lost_clusters());
    let one = lost.filter_map(|(name, _)| {
        let cluster = inventory.clusters.get(name)?;
        let vip = cluster.vip.iter().map(|_| Subject::Vip(name.clone()));
        let subject = cluster.apiserver_subjects(name).chain(vip).next()?;
        Some((subject.clone(), inventory.address(&subject).to_owned()))
    });
    one.take(BEHIND).collect()
}

/// Addresses behind proxies in a mail: one is tried by hand.
const BEHIND: usize = 8;
