//! A small cluster and instants, for tests of observations and verdicts.

use std::collections::BTreeMap;
use std::time::Duration;

use super::certificate::Class;
use super::flat_map::FlatMap;
use super::inventory::{Cluster, Endpoint, Etcd, Inventory, Reference};
use super::subject::{Name, Subject};
use super::time::{Mono, Now, UnixTime};

pub(crate) fn at(millis: u64) -> Now {
    let start = Now { wall: UnixTime::from_secs(1_790_000_000), mono: Mono(Duration::from_secs(1_000)) };
    start.plus(Duration::from_millis(millis))
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn of(subject: &str) -> Subject {
    subject.parse().unwrap()
}

/// Cluster `prod` with an address in front and etcd `main`, and the reference target `relay`.
pub(crate) fn inventory(apiservers: u8, members: u8) -> Inventory {
    let certificates = Class::Manual;
    let endpoint =
        || Endpoint { address: "10.0.0.1:1".into(), server_name: "server".into(), is_loopback: false, certificates };
    let named = |kind: &str, count: u8| {
        (1..=count).map(|n| (name(&format!("{kind}-{n}")), endpoint())).collect::<FlatMap<_, _>>()
    };
    let members: FlatMap<Name, Endpoint> = named("etcd", members);
    let etcds = (!members.is_empty())
        .then(|| (name("main"), Etcd { members, is_verified: true, ..Etcd::default() }))
        .into_iter()
        .collect();
    let cluster = Cluster {
        vip: Some(endpoint()),
        apiservers: named("api", apiservers),
        etcds,
        is_verified: true,
        ..Cluster::default()
    };
    Inventory {
        vantage: "bastion-1".into(),
        clusters: BTreeMap::from([(name("prod"), cluster)]),
        references: vec![Reference { name: name("relay"), address: "10.0.9.9:25".into(), is_loopback: false }],
        ..Inventory::default()
    }
}
