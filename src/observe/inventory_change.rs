//! From one inventory to the next: what stays, what moved to another place, what is gone.
//!
//! A subject is its name; where it is connected to and whom we expect there is its place. What was seen at one place
//! shows nothing about another, so what is known of a moved subject is dropped, while alarms about it go on until it is
//! probed again. Called by the view and by the engine.

use crate::model::inventory::{Inventory, Reference};
use crate::model::subject::{Role, Subject};

/// A change of the inventory.
#[derive(Debug, Clone, Copy)]
pub struct InventoryChange<'a> {
    old: &'a Inventory,
    new: &'a Inventory,
}

/// What a change means for one subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Watched as before, at the same place.
    Stays,
    /// Watched, but not before or not there: nothing that was seen applies.
    Moved,
    /// Watched no longer.
    Gone,
}

impl<'a> InventoryChange<'a> {
    /// The change from `old` to `new`.
    #[must_use]
    pub const fn new(old: &'a Inventory, new: &'a Inventory) -> Self {
        Self { old, new }
    }

    /// What the change means for `subject`.
    #[must_use]
    pub fn fate(self, subject: &Subject) -> Fate {
        if !self.new.watches(subject) {
            Fate::Gone
        } else if self.old.watches(subject) && self.is_same_place(subject) {
            Fate::Stays
        } else {
            Fate::Moved
        }
    }

    /// Whether the metrics listener of an etcd member, or those of all members of an etcd cluster, are where they were.
    /// Anything else has none.
    #[must_use]
    pub fn listens_as_before(self, subject: &Subject) -> bool {
        let Some(etcd) = subject.etcd() else { return true };
        let known = |inventory: &'a Inventory| inventory.etcd(&etcd).map(|known| &known.listeners);
        if let Subject::EtcdMember(_, _, member) = subject {
            let own = |inventory| known(inventory).and_then(|listeners| listeners.get(member));
            own(self.old) == own(self.new)
        } else {
            known(self.old) == known(self.new)
        }
    }

    /// Everything watched from now on that moved.
    pub fn moved(self) -> impl Iterator<Item = Subject> {
        subjects(self.new).filter(move |subject| self.fate(subject) == Fate::Moved)
    }

    fn is_same_place(self, subject: &Subject) -> bool {
        match subject.role() {
            // The path through a cluster's proxy is tracked under the cluster's name.
            Role::Cluster => {
                let known = |inventory: &'a Inventory| inventory.clusters.get(subject.cluster()?);
                let way = |inventory| known(inventory).map(|cluster| &cluster.proxy);
                way(self.old) == way(self.new)
            }
            Role::OwnSide | Role::Item => true,
            Role::Outside => self.old.address(subject) == self.new.address(subject),
            // A round asks all members, and a vote counts them.
            Role::Etcd if subject.is_etcd() => {
                self.old.members(subject).eq(self.new.members(subject))
                    && self.new.members(subject).all(|member| self.is_same_place(&member))
            }
            Role::Api | Role::Etcd => {
                let place = |inventory: &'a Inventory| {
                    let proxy = inventory.proxy_before(subject);
                    inventory.endpoint(subject).map(|endpoint| (&endpoint.address, &endpoint.server_name, proxy))
                };
                place(self.old) == place(self.new)
            }
        }
    }
}

fn subjects(inventory: &Inventory) -> impl Iterator<Item = Subject> {
    let clusters = inventory.clusters.iter().flat_map(|(name, cluster)| {
        let vip = cluster.vip.iter().map(|_| Subject::Vip(name.clone()));
        let etcds = cluster.etcds.iter().flat_map(|(etcd, known)| {
            known.member_subjects(name, etcd).chain([Subject::Etcd(name.clone(), etcd.clone())])
        });
        cluster.apiserver_subjects(name).chain(vip).chain(etcds).collect::<Vec<_>>()
    });
    let named = |known: &Reference| known.name.clone();
    let references = inventory.references.iter().map(move |known| Subject::Reference(named(known)));
    let resolvers = inventory.resolvers.iter().map(move |known| Subject::Resolver(named(known)));
    clusters.chain(references).chain(resolvers)
}
