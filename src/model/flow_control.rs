//! API Priority and Fairness as an apiserver dumps it: its priority levels, and who holds or waits for their seats.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::time::UnixTime;

/// One priority level of one instance. Counters begin at the start of its process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PriorityLevel {
    /// Requests in its queues.
    pub waiting: u32,
    /// Requests under way.
    pub executing: u32,
    /// Requests that were let through.
    pub dispatched: u64,
    /// Requests that were refused at once.
    pub rejected: u64,
    /// Requests that waited too long.
    pub timed_out: u64,
    /// Requests whose client left while they waited.
    pub cancelled: u64,
    /// Whether it is about to vanish.
    pub is_quiescing: bool,
}

/// All priority levels of one instance at one time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PriorityLevels {
    /// By name, at most [`PriorityLevels::MAX`].
    pub levels: BTreeMap<String, PriorityLevel>,
    /// What of the dump is missing here.
    pub lacks: Lacks,
}

/// What the requests of one instance hold at one time, summed by who sends what.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RequestLoad {
    /// At most [`RequestLoad::MAX`] of them; what comes after those is in `others`.
    pub groups: BTreeMap<RequestKey, SeatUse>,
    /// The rest together.
    pub others: SeatUse,
    /// What of the dump is missing here.
    pub lacks: Lacks,
}

/// Who sends what. Texts are escaped and shortened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestKey {
    /// Priority level.
    pub level: String,
    /// FlowSchema.
    pub flow_schema: String,
    /// User name as the apiserver authenticated it; empty where the dump does not say.
    pub user: String,
    /// Verb, in small letters: `list`, `watch`, `create`.
    pub verb: String,
    /// `configmaps`, `deployments.apps/scale`, or the path of what is no resource.
    pub what: String,
    /// Namespace; empty for all of them and for what is in none.
    pub namespace: String,
}

/// Seats and requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SeatUse {
    /// Requests under way.
    pub executing: u32,
    /// Seats that they hold.
    pub seats: u64,
    /// Requests that wait.
    pub waiting: u32,
    /// Seats that these will hold.
    pub seats_wanted: u64,
    /// When the oldest of all these arrived, by the server's clock.
    pub oldest: Option<UnixTime>,
}

/// What of a dump could not be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lacks {
    /// Rows that could not be read.
    pub rows: u32,
    /// Whether it ended in the middle, or was longer than is read.
    pub is_cut: bool,
}

impl PriorityLevels {
    /// Bound on levels kept; a stock apiserver has 8.
    pub const MAX: usize = 64;
}

impl RequestLoad {
    /// Bound on groups kept: a storm has many requests of few groups.
    pub const MAX: usize = 1024;

    /// Books `of` on `key`.
    pub fn add(&mut self, key: RequestKey, of: SeatUse) {
        let has_room = self.groups.len() < Self::MAX || self.groups.contains_key(&key);
        if has_room { self.groups.entry(key).or_default().add(of) } else { self.others.add(of) }
    }
}

impl SeatUse {
    /// Adds what others hold.
    pub fn add(&mut self, of: Self) {
        self.executing = self.executing.saturating_add(of.executing);
        self.seats = self.seats.saturating_add(of.seats);
        self.waiting = self.waiting.saturating_add(of.waiting);
        self.seats_wanted = self.seats_wanted.saturating_add(of.seats_wanted);
        self.oldest = [self.oldest, of.oldest].into_iter().flatten().min();
    }
}
