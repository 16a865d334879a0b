//! The snapshot: rebuilt at most every quarter of a second, unchanged clusters shared with the one before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::alert::outbox::Outbox;
use crate::model::delivery::Backlog;
use crate::model::flat_map::FlatMap;
use crate::model::inventory::Inventory;
use crate::model::plan::PlannedProbe;
use crate::model::policy::Policy;
use crate::model::probe::ProbeKind;
use crate::model::reload::Configured;
use crate::model::snapshot::{Counters, HeartbeatState, Snapshot};
use crate::model::time::{Mono, Now, UnixTime};
use crate::model::verdict::FindingKey;

use super::Engine;
use super::deadlines::Deadline;
use super::judging::isolated_key;

/// The snapshot before anything is known.
pub(super) fn empty(inventory: Arc<Inventory>, policy: Arc<Policy>, now: Now) -> Snapshot {
    Snapshot {
        at: now,
        started: now,
        heartbeat: if inventory.heartbeat { HeartbeatState::Sending } else { HeartbeatState::Off },
        inventory,
        policy,
        clusters: BTreeMap::new(),
        vantage: FlatMap::default(),
        stored: None,
        isolated_since: None,
        alarms: Vec::new(),
        incidents: Vec::new(),
        silences: Vec::new(),
        configured: Configured::at_start(now.wall),
        backlog: Backlog::default(),
        refused: Vec::new(),
        deferred: Vec::new(),
        counters: Counters::default(),
        loop_lag: Duration::ZERO,
        clock_offset_millis: None,
        store_works: None,
        is_first_round_done: false,
    }
}

/// The place of a snapshot that is not made yet.
pub(super) fn none() -> Arc<Snapshot> {
    let now = Now { wall: UnixTime::from_millis(0), mono: Mono::ORIGIN };
    Arc::new(empty(Arc::default(), Arc::default(), now))
}

impl Engine {
    pub(super) fn renew_snapshot(&mut self, now: Now) {
        if !self.is_snapshot_urgent && !self.is_due(Deadline::Snapshot, now) {
            return;
        }
        self.is_snapshot_stale = false;
        self.is_snapshot_urgent = false;
        self.snapshot = Arc::new(self.picture(now, self.is_first_round_done()));
    }

    /// Everything that is known at `now`.
    pub(super) fn picture(&self, now: Now, is_first_round_done: bool) -> Snapshot {
        Snapshot {
            at: now,
            started: self.wakeups.started(),
            inventory: Arc::clone(self.view.inventory()),
            policy: Arc::clone(self.view.policy()),
            clusters: self.view.pictures().clone(),
            vantage: self.view.vantage().clone(),
            stored: self
                .view
                .files_view(None)
                .map(|files_view| (files_view.at().wall, Arc::clone(files_view.reading()))),
            isolated_since: self.isolated_since(),
            alarms: self.lifecycle.alarms().cloned().collect(),
            incidents: self.incidents.all().cloned().collect(),
            silences: self.silences.all().cloned().collect(),
            configured: self.configured.clone(),
            backlog: Outbox::backlog(&self.outbox, self.view.policy()),
            refused: self.refused.all().cloned().collect(),
            deferred: self.outbox.deferred(),
            heartbeat: self.heartbeat_state(now),
            counters: self.counters.clone(),
            loop_lag: self.wakeups.worst_lag(),
            clock_offset_millis: self.view.clock_offset_millis(now.mono),
            store_works: self.store_works,
            is_first_round_done,
        }
    }

    fn isolated_since(&self) -> Option<UnixTime> {
        let key: FindingKey = isolated_key();
        self.lifecycle.alarm(&key).filter(|_| self.view.path().is_isolated()).map(|alarm| alarm.finding.since)
    }

    /// Whether every scheduled probe has had a result since the start. The slowest are those of a minute, such as the
    /// TLS probes of etcd members; all others have one within their first interval. Dumps of requests, pages of
    /// metrics and canaries go round the instances for minutes, and flags are repeated every ten minutes.
    fn is_first_round_done(&self) -> bool {
        let is_rare = |kind: ProbeKind| {
            matches!(kind, ProbeKind::RequestDump | ProbeKind::ApiserverMetrics | ProbeKind::Flagz)
                || kind.canary().is_some()
        };
        let decides = |line: &&PlannedProbe| !is_rare(line.probe.kind);
        self.snapshot.is_first_round_done
            || self.schedule.plan().probes().iter().filter(decides).all(|line| match line.probe.subject.cluster() {
                Some(cluster) => self
                    .view
                    .cluster_snapshot(cluster)
                    .is_some_and(|cluster_snapshot| cluster_snapshot.observations.contains_key(&line.probe)),
                None => self.view.vantage().contains_key(&line.probe),
            })
    }
}
