//! How often each probe is due, and for how long its result is of use: said once for those who plan, judge and show.

use std::time::Duration;

use super::policy::Policy;
use super::probe::ProbeKind;
use super::subject::Subject;

/// Intervals after which a result is outdated: one probe may be missed, and the next be under way.
pub const INTERVALS: u32 = 3;

/// A canary goes from one instance to the next, and nobody who shows it knows their number: of ten instances each has one
/// in ten minutes.
const CANARY_SHOWN_FOR: Duration = Duration::from_secs(600);

impl Policy {
    /// How often a probe of this kind at `subject` is due; no time at all for what reports by itself.
    #[must_use]
    pub const fn interval(&self, subject: &Subject, kind: ProbeKind) -> Duration {
        match kind {
            ProbeKind::Readyz if subject.is_vip() => self.vip_interval,
            ProbeKind::Readyz => self.readyz_interval,
            ProbeKind::Livez | ProbeKind::Version => self.version_interval,
            ProbeKind::EtcdStatus | ProbeKind::EtcdHealth => self.etcd_status_interval,
            ProbeKind::EtcdRead => self.etcd_read_interval,
            ProbeKind::EtcdAlarms => self.etcd_alarms_interval,
            ProbeKind::EtcdMembers => self.etcd_members_interval,
            ProbeKind::EtcdMetrics => self.etcd_metrics_interval,
            ProbeKind::Chain | ProbeKind::Addresses => self.etcd_tls_interval,
            ProbeKind::Reference | ProbeKind::Resolver => self.reference_interval,
            ProbeKind::OwnClock => self.own_clock_interval,
            ProbeKind::Files => self.files_interval,
            ProbeKind::PriorityLevels => self.priority_levels_interval,
            ProbeKind::RequestDump => self.usual_shares_interval,
            ProbeKind::ApiserverMetrics => self.apiserver_metrics_interval,
            ProbeKind::LeaseWrite | ProbeKind::LeaseRead => self.lease_interval,
            ProbeKind::CreateConfigMap | ProbeKind::CreatePod | ProbeKind::AccessReview => self.create_interval,
            ProbeKind::SecretRead => self.secret_interval,
            ProbeKind::Statusz => self.statusz_interval,
            ProbeKind::Flagz => self.flagz_interval,
            ProbeKind::Tripwire => Duration::ZERO,
        }
    }

    /// How old the result of a probe with this interval may be to decide something. Never less than that of the
    /// reference targets, because probes that decide together should be of one age.
    #[must_use]
    pub fn decides_for(&self, interval: Duration) -> Duration {
        interval.max(self.reference_interval).saturating_mul(INTERVALS)
    }

    /// How old a result may be to be shown as the present state: the intervals and all timeouts of one probe.
    #[must_use]
    pub fn shown_for(&self, subject: &Subject, kind: ProbeKind) -> Duration {
        if kind.canary().is_some() {
            return CANARY_SHOWN_FOR;
        }
        self.interval(subject, kind).saturating_mul(INTERVALS).saturating_add(self.longest_probe())
    }
}
