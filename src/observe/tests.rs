//! What is believed and what is looked at next, one part at a time.

mod bursts;
mod clock;
mod flight;
mod listeners;
mod path;
mod quorum;
mod schedule;
mod track;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::certificate::Class;
use crate::model::inventory::{Cluster, Endpoint, Etcd, Inventory, Reference};
use crate::model::subject::{Name, Subject};
use crate::model::time::{Mono, Now, UnixTime};

fn at(millis: u64) -> Now {
    let start = Now { wall: UnixTime::from_secs(1_790_000_000), mono: Mono(Duration::from_secs(1_000)) };
    start.plus(Duration::from_millis(millis))
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn of(subject: &str) -> Subject {
    subject.parse().unwrap()
}

/// Cluster `prod` with an address in front and etcd `main`, and the reference point `relay`.
fn inventory(apiservers: u8, members: u8) -> Inventory {
    let certificates = Class::Manual;
    let endpoint =
        || Endpoint { address: "10.0.0.1:1".into(), server_name: "server".into(), is_loopback: false, certificates };
    let named = |kind: &str, count: u8| (1..=count).map(|n| (name(&format!("{kind}-{n}")), endpoint())).collect();
    let members: BTreeMap<Name, Endpoint> = named("etcd", members);
    let etcds =
        (!members.is_empty()).then(|| (name("main"), Etcd { members, ..Etcd::default() })).into_iter().collect();
    let cluster = Cluster { vip: Some(endpoint()), apiservers: named("api", apiservers), etcds, ..Cluster::default() };
    Inventory {
        vantage: "bastion-1".into(),
        clusters: BTreeMap::from([(name("prod"), cluster)]),
        references: vec![Reference { name: name("relay"), address: "10.0.9.9:25".into(), is_loopback: false }],
        ..Inventory::default()
    }
}
