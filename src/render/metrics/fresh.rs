//! When a probe is too old to show the present state.

use std::time::Duration;

use crate::model::observation::Observation;
use crate::model::policy::Policy;
use crate::model::probe::{Probe, ProbeKind};

use super::Page;

/// Ticks that may be missed before a value disappears.
const TICKS: u32 = 3;

/// Whether `observation` still shows the state at the time of the scrape: at most three intervals and all timeouts of
/// one probe have passed since it was due.
pub(in crate::render) fn is_fresh(page: Page<'_>, observation: &Observation) -> bool {
    let policy = &page.snapshot.policy;
    page.now.since(observation.scheduled) <= interval(&observation.probe, policy) * TICKS + policy.longest_probe()
}

fn interval(probe: &Probe, policy: &Policy) -> Duration {
    match probe.kind {
        ProbeKind::Readyz if probe.subject.is_vip() => policy.vip_interval,
        ProbeKind::Readyz => policy.readyz_interval,
        ProbeKind::Livez | ProbeKind::Version => policy.version_interval,
        ProbeKind::EtcdStatus | ProbeKind::EtcdHealth => policy.etcd_status_interval,
        ProbeKind::EtcdRead => policy.etcd_read_interval,
        ProbeKind::EtcdAlarms => policy.etcd_alarms_interval,
        ProbeKind::EtcdMembers => policy.etcd_members_interval,
        ProbeKind::EtcdMetrics => policy.etcd_metrics_interval,
        ProbeKind::Chain | ProbeKind::Addresses => policy.etcd_tls_interval,
        ProbeKind::Reference | ProbeKind::Resolver => policy.reference_interval,
        ProbeKind::OwnClock => policy.own_clock_interval,
        ProbeKind::Files => policy.files_interval,
        ProbeKind::Tripwire => Duration::ZERO,
    }
}
