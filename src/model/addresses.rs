//! The addresses of what is watched, for those who are told of it.

use std::collections::BTreeMap;

use super::inventory::{Cluster, Inventory};
use super::subject::{Name, Subject};

/// The address of each of these subjects, as the configuration has it.
pub type Addresses = BTreeMap<Subject, String>;

impl Inventory {
    /// The addresses of everything in `cluster`, its proxy included; of everything that belongs to the vantage without
    /// one, or when it is not known.
    #[must_use]
    pub fn addresses(&self, cluster: Option<&Name>) -> Addresses {
        let subjects = match cluster.and_then(|name| self.clusters.get_key_value(name)) {
            Some((name, known)) => of_cluster(name, known),
            None => self.of_vantage(),
        };
        self.with_addresses(subjects)
    }

    /// The addresses of everything in all clusters.
    #[must_use]
    pub fn addresses_of_clusters(&self) -> Addresses {
        self.with_addresses(self.clusters.iter().flat_map(|(name, cluster)| of_cluster(name, cluster)).collect())
    }

    fn of_vantage(&self) -> Vec<Subject> {
        let references = self.references.iter().map(|known| Subject::Reference(known.name.clone()));
        let resolvers = self.resolvers.iter().map(|known| Subject::Resolver(known.name.clone()));
        let proxies = self.proxies().into_keys().map(|known| Subject::Proxy(known.name.clone()));
        references.chain(resolvers).chain(proxies).collect()
    }

    fn with_addresses(&self, subjects: Vec<Subject>) -> Addresses {
        let address = |subject: Subject| {
            let address = self.address(&subject).to_owned();
            (subject, address)
        };
        subjects.into_iter().map(address).collect()
    }
}

fn of_cluster(name: &Name, cluster: &Cluster) -> Vec<Subject> {
    let vip = cluster.vip.iter().map(|_| Subject::Vip(name.clone()));
    let members = cluster.etcds.iter().flat_map(|(etcd, known)| known.member_subjects(name, etcd));
    let proxy = cluster.proxy.iter().map(|proxy| Subject::Proxy(proxy.name.clone()));
    cluster.apiserver_subjects(name).chain(vip).chain(members).chain(proxy).collect()
}
