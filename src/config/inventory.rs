//! Settings to the engine's view of the world: what should exist, without credentials.

use super::settings::{Cluster, Settings};
use crate::model::inventory::{self, Inventory};

impl Settings {
    /// What the engine may know of this.
    #[must_use]
    pub fn inventory(&self) -> Inventory {
        Inventory {
            vantage: self.vantage.name.clone(),
            clusters: self.clusters.iter().map(|cluster| (cluster.name.clone(), listed(cluster))).collect(),
            references: self.vantage.references.iter().map(|reference| reference.listed()).collect(),
            resolvers: self.vantage.resolvers.iter().map(|resolver| resolver.listed()).collect(),
            levels: self.levels.clone(),
            mails: self.mail.is_some(),
            relay_is_local: self.mail.as_ref().is_some_and(|mail| mail.relay.host.is_loopback()),
            heartbeat: self.heartbeat.is_some(),
        }
    }
}

fn listed(cluster: &Cluster) -> inventory::Cluster {
    inventory::Cluster {
        vip: cluster.vip.as_ref().map(|vip| vip.listed()),
        vip_fails_over: cluster.vip_fails_over,
        apiservers: cluster.apiservers.iter().map(|(name, endpoint)| (name.clone(), endpoint.listed())).collect(),
        etcds: cluster
            .etcds
            .iter()
            .map(|etcd| {
                let members = etcd.members.iter().map(|(name, endpoint)| (name.clone(), endpoint.listed())).collect();
                (etcd.name.clone(), inventory::Etcd { members, quota_bytes: etcd.quota_bytes })
            })
            .collect(),
        levels: cluster.levels.clone(),
    }
}
