//! The numbers that more than one rule or part uses, or that the configuration sets, each with its reason. A number
//! that one rule alone uses is beside that rule.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rule::Level;

/// How full an etcd database must be, or how soon full, for a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaTier {
    /// The level.
    pub level: Level,
    /// Thousandths of the quota.
    pub permille: u64,
    /// Or full within this time at the present rate.
    pub full_within: Option<Duration>,
}

impl QuotaTier {
    /// Its share of the quota in percent: `65`, `82.5`.
    #[must_use]
    pub fn percent(&self) -> String {
        let (whole, tenths) = (self.permille / 10, self.permille % 10);
        if tenths == 0 { whole.to_string() } else { format!("{whole}.{tenths}") }
    }
}

/// Intervals, deadlines, holds. The intervals are short enough to confirm a fault within seconds, and the requests they
/// add up to are less than one a second for each endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Exempt probe at each instance over a new connection. The etcd check behind it is cached for 1 s by the server.
    pub readyz_interval: Duration,
    /// Exempt probe at the API VIP over a new connection.
    pub vip_interval: Duration,
    /// `/livez` and `/version` over the kept connection.
    pub version_interval: Duration,
    /// Priority levels of each apiserver over the kept connection: some 1 KB, and the lock of priority and fairness for
    /// microseconds. Source: knowledge of the handler, which wants 10 s between dumps.
    pub priority_levels_interval: Duration,
    /// Requests under way at one apiserver of a cluster after the other, while nothing is wrong: everybody's usual share
    /// comes from them, and sixty an hour tell a rise from a habit.
    pub usual_shares_interval: Duration,
    /// `/metrics` of one apiserver of a cluster after the other.
    pub apiserver_metrics_interval: Duration,
    /// Dumps of the requests of each apiserver while an overload is suspected.
    pub request_dump_interval: Duration,
    /// The canaries' Lease is written through one instance after the other this often, and read from the cache of each. A
    /// write costs what a kubelet's heartbeat costs.
    pub lease_interval: Duration,
    /// So long after a write the Lease is read: what is not seen by then is late. A cache is
    /// fresh within milliseconds, and F38 calls five seconds stale.
    pub lease_read_after: Duration,
    /// Dry runs and access reviews at one instance after the other: each calls every webhook that matches.
    pub create_interval: Duration,
    /// The canaries' Secret, read through one instance after the other.
    pub secret_interval: Duration,
    /// `/statusz` of each apiserver over the kept connection: some 0.6 KB. Asked as well when an instance comes back, so
    /// that the interval only bounds how late a restart is seen that no probe noticed.
    pub statusz_interval: Duration,
    /// `/flagz` of each apiserver over the kept connection: some 8 KB. Flags do not change while a process lives, and it is
    /// asked as well after each start, so that this only repeats what was lost.
    pub flagz_interval: Duration,
    /// Maintenance.Status round.
    pub etcd_status_interval: Duration,
    /// Linearizable read.
    pub etcd_read_interval: Duration,
    /// Alarm list; the Status round carries alarms as well, this is the second source.
    pub etcd_alarms_interval: Duration,
    /// Member list.
    pub etcd_members_interval: Duration,
    /// Page of each etcd member's metrics listener: some 150 KB and 7 ms of the member.
    pub etcd_metrics_interval: Duration,
    /// Redial of etcd members for their chain, and of each address of a name that has several. For these it is the
    /// usual life of an answer of the DNS, and that of a pin: a faster change cannot be noticed by it.
    pub etcd_tls_interval: Duration,
    /// Reference targets and resolvers, outside bursts.
    pub reference_interval: Duration,
    /// The kernel's clock state.
    pub own_clock_interval: Duration,
    /// Files with certificates and tokens. Source: what is written there changes by hand or by a timer, and a minute is
    /// a tenth of the guard of F54.
    pub files_interval: Duration,
    /// Heartbeat.
    pub heartbeat_interval: Duration,

    /// Deadline for name and TCP.
    pub connect_timeout: Duration,
    /// Deadline for the handshake.
    pub tls_timeout: Duration,
    /// Deadline for the answer: a real apiserver without etcd names its failing parts only after 2 or 4 s.
    pub response_timeout: Duration,
    /// A probe that lasts longer is a first bad sign, and a slow one if it ends well.
    pub slow_after: Duration,
    /// An etcd member that stays silent for this long counts as silent in its round.
    pub etcd_member_timeout: Duration,
    /// A probe at files ends after this, whatever the file system does; a hundred thousand certificates are read in
    /// less.
    pub files_deadline: Duration,
    /// A round whose own sends spread wider is thrown away.
    pub round_spread: Duration,

    /// Bad probes in a row that confirm a fault.
    pub confirm_probes: u32,
    /// Time their scheduled starts must span.
    pub confirm_span: Duration,
    /// Without any remote reference a fault is confirmed after this, as "path unproven".
    pub unproven_after: Duration,
    /// A reference target that stays silent for so long while something else answers is taken for gone (moved, or
    /// filtered since), and counts as if it were not configured until it answers: its silence does not show that our
    /// own network is lost.
    pub reference_silent_after: Duration,
    /// A subject gets at most one burst in this time.
    pub burst_pause: Duration,
    /// Pairs of handshakes, a large ClientHello and a small one, that decide whether the path drops large ones: by
    /// chance a balancer with one failed backend of two shows that once in 64 times, and the hold of the finding, in
    /// which small ones are watched, does the rest.
    pub hello_pairs: usize,
    /// The pairs begin within this: three large ones that are swallowed end after 4.1 s, and no apiserver restarts
    /// three times in it.
    pub hello_window: Duration,
    /// A large ClientHello is tried again this often while the path drops them, because only its success ends the
    /// finding.
    pub hello_retest: Duration,

    /// Findings of one cluster inside this window are one incident.
    pub settle: Duration,
    /// Hold of a lost redundancy.
    pub redundancy_loss_for: Duration,
    /// Hold of one unreachable address beside others that work: two lifetimes of a usual DNS answer, and the time of
    /// the third probe. Whoever takes an address out of service removes it from the DNS, where caches keep it for one
    /// lifetime.
    pub address_hold: Duration,
    /// Without tolerance for a further loss for this long, a lost redundancy is critical.
    pub redundancy_loss_critical_after: Duration,
    /// Hold where there is only one instance or member, or an address that fails over.
    pub single_instance_for: Duration,
    /// A leader must be missing for this long; an election takes 1 to 2 s.
    pub no_leader_for: Duration,
    /// Failures of an endpoint that works in between are counted over this time: 30 probes at an API VIP.
    pub partly_window: Duration,
    /// So many of them make a finding: a restart is one failure, a restart that fails once is two.
    pub partly_failures: usize,
    /// Elections are counted over this time, the window of the etcd mixin's alert about leader changes.
    pub flap_window: Duration,
    /// So many elections in that time are a warning: one is a failover, two are a failover and back.
    pub flap_warning: usize,
    /// So many are critical: with six in 15 min, a leader lasts 2.5 min on average.
    pub flap_critical: usize,
    /// Tiers of the database quota: the shares are those of OpenShift's alerts; the forecasts leave a day, or four
    /// hours, for compaction and defragmentation.
    pub quota_tiers: [QuotaTier; 3],
    /// A tier must be held this long, because a defragmentation under way or one odd answer is no reason to mail.
    pub quota_hold: Duration,
    /// Good probes must span this time before a finding ends.
    pub keep_firing_for: Duration,
    /// And there must be this many of them.
    pub recovery_probes: u32,
    /// What a cause explained and what remains bad for this long after the cause has ended is reported, because most
    /// consequences end within a minute of their cause.
    pub ongoing_after: Duration,
    /// What became worse in an incident, but not of higher severity than what was mailed about it, waits this long for
    /// more of the same: certificates that one command made end within seconds of each other (kubeadm: nine within 6
    /// s).
    pub part_wait: Duration,
    /// An older certificate must be served for this long beside a newer one on disk, because servers take a while to
    /// reload.
    pub not_loaded_after: Duration,
    /// Probes in a row that must find a watched file missing or unreadable, because a file that is being replaced can
    /// be missing in one.
    pub unread_probes: u32,
    /// A lost network of the vantage is mailed after this.
    pub isolated_for: Duration,
    /// A mail about an open critical incident is repeated after this.
    pub repeat_interval: Duration,

    /// A wake-up later than this voids the probes it covered.
    pub loop_lag: Duration,
    /// A gap between the clocks wider than this does as well.
    pub clock_gap: Duration,
    /// Servers' `Date` farther off than this suspends expiry verdicts.
    pub expiry_clock_error: Duration,

    /// A send waits for its persist at most this long.
    pub persist_wait: Duration,
    /// First delay after a failed delivery; doubles.
    pub retry_first: Duration,
    /// Longest delay between deliveries: a relay that returns gets its mail inside a minute.
    pub retry_most: Duration,
    /// Deadline of one delivery attempt as a whole.
    pub delivery_deadline: Duration,
    /// Attempts to deliver a mail that are under way at once: many incidents at once must not look like an attack to
    /// the relay, and a critical mail must not wait behind a hundred others.
    pub mails_at_once: usize,
    /// A critical mail unaccepted for this long withholds the heartbeat.
    pub withhold_heartbeat_after: Duration,
    /// Holds are stored this often.
    pub hold_renewal: Duration,
    /// The snapshot is rebuilt at most this often.
    pub snapshot_pause: Duration,

    /// Requests that may be sent to a cluster in any second, however few are planned: enough for a burst in a small
    /// cluster, and little work for its servers.
    pub ceiling_least: u32,
    /// So many times the plan may be sent to a cluster in any second, where that is more: each endpoint is asked twice
    /// within the second that confirms a fault, which the schedule does in two intervals.
    pub ceiling_factor: u32,
    /// And so many requests beyond that.
    pub ceiling_margin: u32,
    /// Probes under way at one endpoint, bursts not counted.
    pub in_flight: usize,
    /// Probes of bursts under way at one endpoint.
    pub burst_in_flight: usize,
    /// Samples of new connections under way at one endpoint: five a second, each for at most a connect and a handshake.
    pub samples_in_flight: usize,
    /// With so many probes under way in all, a cluster starts no more than its share of them, bursts excepted: this is
    /// what the busiest vantage planned for starts in a second. Each holds some 20 KiB.
    pub in_flight_at_all: usize,
}

impl Policy {
    /// Requests that may be sent in any second to a cluster for which `planned` a second are planned.
    #[must_use]
    pub fn ceiling(&self, planned: f64) -> u32 {
        // Cut to whole requests by counting up, which needs no cast: plans are of tens of requests.
        let wanted = planned * f64::from(self.ceiling_factor) + f64::from(self.ceiling_margin);
        let mut ceiling = self.ceiling_least;
        while f64::from(ceiling.saturating_add(1)) <= wanted + ROUNDING && ceiling < MOST_CEILING {
            ceiling += 1;
        }
        ceiling
    }

    /// The longest that a probe over a new connection takes: all its deadlines, one after the other.
    #[must_use]
    pub fn longest_probe(&self) -> Duration {
        self.connect_timeout + self.tls_timeout + self.response_timeout
    }
}

/// Slack for sums of fractions.
const ROUNDING: f64 = 1e-9;

/// No plan that the configuration check lets pass comes near.
const MOST_CEILING: u32 = 100_000;

impl Default for Policy {
    fn default() -> Self {
        const fn seconds(n: u64) -> Duration {
            Duration::from_secs(n)
        }
        Self {
            readyz_interval: seconds(3),
            vip_interval: seconds(1),
            version_interval: seconds(10),
            priority_levels_interval: seconds(10),
            usual_shares_interval: seconds(60),
            apiserver_metrics_interval: seconds(60),
            request_dump_interval: seconds(30),
            lease_interval: seconds(15),
            lease_read_after: seconds(6),
            create_interval: seconds(30),
            secret_interval: seconds(60),
            statusz_interval: seconds(60),
            flagz_interval: seconds(600),
            etcd_status_interval: seconds(3),
            etcd_read_interval: seconds(10),
            etcd_alarms_interval: seconds(30),
            etcd_members_interval: seconds(60),
            etcd_metrics_interval: seconds(30),
            etcd_tls_interval: seconds(60),
            reference_interval: seconds(10),
            own_clock_interval: seconds(10),
            files_interval: seconds(60),
            heartbeat_interval: seconds(30),
            connect_timeout: seconds(1),
            tls_timeout: seconds(2),
            response_timeout: seconds(5),
            slow_after: seconds(1),
            etcd_member_timeout: seconds(1),
            files_deadline: seconds(20),
            round_spread: seconds(1),
            confirm_probes: 3,
            confirm_span: seconds(1),
            unproven_after: seconds(30),
            reference_silent_after: seconds(600),
            burst_pause: seconds(10),
            hello_pairs: 3,
            hello_window: seconds(5),
            hello_retest: seconds(20),
            settle: Duration::from_millis(500),
            redundancy_loss_for: seconds(30),
            address_hold: seconds(130),
            redundancy_loss_critical_after: seconds(600),
            single_instance_for: seconds(10),
            no_leader_for: seconds(3),
            partly_window: seconds(60),
            partly_failures: 3,
            flap_window: seconds(15 * 60),
            flap_warning: 3,
            flap_critical: 6,
            quota_tiers: [
                QuotaTier { level: Level::Info, permille: 650, full_within: None },
                QuotaTier { level: Level::Warning, permille: 750, full_within: Some(seconds(24 * 3600)) },
                QuotaTier { level: Level::Critical, permille: 850, full_within: Some(seconds(4 * 3600)) },
            ],
            quota_hold: seconds(30),
            keep_firing_for: seconds(15),
            recovery_probes: 3,
            ongoing_after: seconds(60),
            part_wait: seconds(10),
            not_loaded_after: seconds(600),
            unread_probes: 3,
            isolated_for: seconds(60),
            repeat_interval: seconds(4 * 3600),
            loop_lag: seconds(1),
            clock_gap: seconds(2),
            expiry_clock_error: seconds(10),
            persist_wait: seconds(2),
            retry_first: seconds(2),
            retry_most: seconds(30),
            delivery_deadline: seconds(20),
            mails_at_once: 4,
            withhold_heartbeat_after: seconds(60),
            hold_renewal: seconds(5),
            snapshot_pause: Duration::from_millis(250),
            ceiling_least: 10,
            ceiling_factor: 2,
            ceiling_margin: 5,
            in_flight: 4,
            burst_in_flight: 3,
            samples_in_flight: 15,
            in_flight_at_all: 1_000,
        }
    }
}
