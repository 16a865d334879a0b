//! What one run of a probe costs the servers it goes to, and what that is a second.

use std::ops::AddAssign;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::inventory::{Etcd, Inventory};
use super::probe::{Connection, Probe, ProbeKind};

/// Addresses that the name of an apiserver or of the API VIP is planned to have: managed control planes and cloud
/// balancers have one in each of two or three zones. The name of an etcd member is planned to have one, which is probed
/// without further handshakes.
const PLANNED_ADDRESSES: u32 = 3;

/// Cost of one run of a probe at servers that are well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cost {
    /// Requests as the servers count them: a round asks every member, or every metrics listener. None for what is read
    /// on this machine.
    pub requests: u32,
    /// Connections that are opened.
    pub connections: u32,
    /// Bytes of all answers' bodies that are read at most.
    pub bytes: u64,
}

/// Costs a second.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Rate {
    /// Requests.
    pub requests: f64,
    /// New connections.
    pub connections: f64,
    /// Bytes of bodies at most.
    pub bytes: f64,
}

impl Cost {
    /// What one run of `probe` costs; nothing for what the inventory does not have.
    #[must_use]
    pub fn of(inventory: &Inventory, probe: &Probe) -> Self {
        Self::at(inventory.etcd(&probe.subject), probe)
    }

    /// The same with the etcd cluster that the probe asks, if it asks one.
    pub(super) fn at(etcd: Option<&Etcd>, probe: &Probe) -> Self {
        let requests = requests(etcd, probe);
        let opens = probe.connection == Connection::New && probe.kind != ProbeKind::Resolver;
        Self {
            requests,
            connections: if opens { requests } else { 0 },
            bytes: u64::from(requests) * planned_bytes(probe.kind),
        }
    }
}

fn requests(etcd: Option<&Etcd>, probe: &Probe) -> u32 {
    if matches!(probe.kind, ProbeKind::Files | ProbeKind::OwnClock) {
        return 0;
    }
    if probe.kind == ProbeKind::Addresses {
        return if probe.subject.is_etcd_member() { 0 } else { PLANNED_ADDRESSES };
    }
    if !probe.subject.is_etcd() {
        return 1;
    }
    let Some(etcd) = etcd else { return 0 };
    let asked = if probe.kind == ProbeKind::EtcdMetrics { etcd.listeners.len() } else { etcd.members.len() };
    u32::try_from(asked).unwrap_or(u32::MAX)
}

/// Bytes that the body of one answer is planned to have: as many as are read at most, but for pages of metrics, of which
/// a larger one is asked for so much less often (`observe/metrics_pages.rs`).
fn planned_bytes(kind: ProbeKind) -> u64 {
    let most = if kind == ProbeKind::ApiserverMetrics { PLANNED_PAGE } else { body_limit(kind) };
    u64::try_from(most).unwrap_or(u64::MAX)
}

/// Bytes of pages of an apiserver's metrics that are read in a minute: a larger page is asked for less often. 150 KB/s.
pub const PLANNED_PAGE: usize = 9_000_000;

/// Bytes read of the body of one answer to a probe of this kind; a longer one is an error.
#[must_use]
pub const fn body_limit(kind: ProbeKind) -> usize {
    match kind {
        // An object of ours has 1 KiB, and so has a Status, unless a webhook says much.
        ProbeKind::LeaseWrite
        | ProbeKind::LeaseRead
        | ProbeKind::CreateConfigMap
        | ProbeKind::CreatePod
        | ProbeKind::AccessReview
        | ProbeKind::SecretRead => 64 * 1024,
        // A verbose readyz has about 3 KiB, a version 0.4 KiB; an answer of etcd with twenty members some 4 KiB.
        ProbeKind::Readyz
        | ProbeKind::Livez
        | ProbeKind::Version
        | ProbeKind::EtcdStatus
        | ProbeKind::EtcdRead
        | ProbeKind::EtcdAlarms
        | ProbeKind::EtcdMembers => 64 * 1024,
        // Some 130 bytes a level.
        ProbeKind::PriorityLevels => 64 * 1024,
        // Some 400 bytes a request that executes or waits: 2,600 of them, and a stock server has 600 seats. What comes
        // behind is left unread.
        ProbeKind::RequestDump => 1024 * 1024,
        // Some 3 MB, and 32 MB with hundreds of custom resources (cozystack#4343).
        ProbeKind::ApiserverMetrics => 64 * 1024 * 1024,
        // Some 0.6 KB.
        ProbeKind::Statusz => 64 * 1024,
        // Some 180 flags of 40 bytes each; lists of gates and of etcd members make it twice that.
        ProbeKind::Flagz => 256 * 1024,
        // Some 50 bytes.
        ProbeKind::EtcdHealth => 4 * 1024,
        // Some 150 KB, with gRPC histograms switched on a few times that.
        ProbeKind::EtcdMetrics => 4 * 1024 * 1024,
        ProbeKind::Chain
        | ProbeKind::Addresses
        | ProbeKind::Tripwire
        | ProbeKind::Reference
        | ProbeKind::Resolver
        | ProbeKind::OwnClock
        | ProbeKind::Files => 0,
    }
}

impl Rate {
    /// `cost` once in `interval`.
    #[must_use]
    pub fn new(cost: Cost, interval: Duration) -> Self {
        let seconds = interval.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "megabytes, far from 2^53")]
        let bytes = cost.bytes as f64;
        Self {
            requests: f64::from(cost.requests) / seconds,
            connections: f64::from(cost.connections) / seconds,
            bytes: bytes / seconds,
        }
    }
}

impl AddAssign for Rate {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.connections += other.connections;
        self.bytes += other.bytes;
    }
}

impl std::iter::Sum for Rate {
    fn sum<I: Iterator<Item = Self>>(rates: I) -> Self {
        let mut sum = Self::default();
        rates.for_each(|rate| sum += rate);
        sum
    }
}
