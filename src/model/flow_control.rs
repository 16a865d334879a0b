//! API Priority and Fairness as an apiserver dumps it: its priority levels, and who holds or waits for their seats.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::time::{Now, UnixTime};

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

/// What came instead of a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoDump {
    /// 401 or 403: the right is missing.
    Forbidden,
    /// 404: the server has no priority and fairness, or does not show it.
    Missing,
    /// 429: the request itself was turned away.
    Shed {
        /// Seconds that the server asks to stay away.
        retry_after_secs: Option<u32>,
    },
    /// Another status.
    Status(u16),
    /// 200, and no dump.
    Foreign,
}

/// Who sends what, summed over namespaces, levels and instances.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sender {
    /// User name as the apiserver authenticated it.
    pub user: String,
    /// Verb, in small letters.
    pub verb: String,
    /// The resource, or the path of what is none.
    pub what: String,
}

/// What one sender asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Who.
    pub sender: Sender,
    /// Seats and requests.
    pub uses: SeatUse,
    /// Part of all seats held and wanted, 0 to 1.
    pub share: f64,
    /// Its FlowSchema and priority level, those of most of its seats.
    pub flow_schema: (String, String),
    /// The namespace of most of its seats; empty for all of them.
    pub namespace: String,
}

/// A sender with its usual share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suspect {
    /// Who, with what it holds.
    pub share: Share,
    /// Its largest share in an hour when nothing was wrong; `None` while that is not known.
    pub usual: Option<f64>,
}

/// What dumps say of the cause of an overload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suspicion {
    /// These ask for far more than usual, the largest first.
    Culprits(Vec<Suspect>),
    /// Many ask, none of them for unusually much; the largest of them.
    Everybody(Vec<Suspect>),
    /// Nobody holds seats or waits for them: what loads the server has no user in the dumps, such as open watches.
    NotVisible,
}

/// What is shown of who uses the apiservers of a cluster.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LoadFacts {
    /// Since when an overload is suspected; `None` while none is.
    pub suspected_since: Option<Now>,
    /// When the oldest of the dumps was asked for that the senders are from; `None` without one that is fresh.
    pub at: Option<Now>,
    /// The largest senders, the largest first.
    pub senders: Vec<Suspect>,
    /// Whether an hour of usual shares is known.
    pub is_usual_known: bool,
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

    /// Requests that execute or wait.
    #[must_use]
    pub fn requests(&self) -> u64 {
        let of = |uses: &SeatUse| u64::from(uses.executing) + u64::from(uses.waiting);
        self.groups.values().chain([&self.others]).map(of).sum()
    }

    /// Books `of` on `key`.
    pub fn add(&mut self, key: RequestKey, of: SeatUse) {
        let has_room = self.groups.len() < Self::MAX || self.groups.contains_key(&key);
        if has_room { self.groups.entry(key).or_default().add(of) } else { self.others.add(of) }
    }
}

impl NoDump {
    /// Seconds after which the server wants to be asked again.
    #[must_use]
    pub const fn retry_after_secs(self) -> Option<u32> {
        match self {
            Self::Shed { retry_after_secs } => retry_after_secs,
            Self::Forbidden | Self::Missing | Self::Status(_) | Self::Foreign => None,
        }
    }
}

/// Why there is no dump, in a few words.
impl fmt::Display for NoDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden => f.write_str("not allowed for vedette's user"),
            Self::Missing => f.write_str("HTTP 404, no priority and fairness there"),
            Self::Shed { .. } => f.write_str("HTTP 429, the server is overloaded"),
            Self::Status(status) => write!(f, "HTTP {status}"),
            Self::Foreign => f.write_str("HTTP 200 with something else"),
        }
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
