//! The flow control of one cluster's apiservers (API Priority and Fairness): which levels let requests wait, who holds
//! the seats, and whether an overload is suspected.
//!
//! Two kinds of signs. *Users are hurt* when ordinary requests are slow or turned away, or when a level waits on which
//! the cluster itself depends. A workload level that waits only shows that somebody is busy. Either opens a suspicion, in
//! which each instance is asked who sends the requests; while users are hurt nothing that is seen becomes usual.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::flow_control::{
    LoadFacts, NoDump, PriorityLevel, PriorityLevels, RequestLoad, Share, Suspect, Suspicion,
};
use crate::model::phase::Unseen;
use crate::model::policy::Policy;
use crate::model::probe::ProbeKind;
use crate::model::subject::Subject;
use crate::model::time::{Mono, Now};

use super::culprit::suspicion;
use super::probe_runs::Run;
use super::seat_shares::{UsualShares, shares};

/// A suspicion ends when no sign of it was seen for so long: six dumps of the levels and six ordinary probes.
const SUSPECTED_FOR: Duration = Duration::from_secs(60);

/// What was seen so long before the first sign that users are hurt is not usual: the OpenAI outage of 2024-12-11 took
/// minutes from the rollout to the first error.
const GROWS_FOR: Duration = Duration::from_secs(300);

/// Usual shares are noted at most this often; the plan asks once a minute, with jitter.
const NOTED_EVERY: Duration = Duration::from_secs(45);

/// While users are hurt the levels of an instance are asked for this rarely: the dump of its requests, which tells of
/// levels too, takes their place.
const LEVELS_WHILE_HURT: Duration = Duration::from_secs(28);

/// Longest time that a server is left alone because it asks for it (`Retry-After`). One with priority and fairness asks
/// for 32 s at most, and less often than every half minute nothing could be said of it.
const LEFT_ALONE: Duration = Duration::from_secs(30);

/// Dumps in a row that confirm what they show; until then the next one is not put off.
const CONFIRMED: u32 = 3;

/// Levels on which the cluster itself depends. Source: `apiserver/pkg/apis/flowcontrol/bootstrap/default.go`.
pub const PROTECTED: [&str; 3] = ["system", "leader-election", "node-high"];

/// The level that neither waits nor turns away.
const EXEMPT: &str = "exempt";

/// Rows of shares that are shown.
const SHOWN: usize = 5;

/// What is known of the flow control of one cluster.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct FlowControl {
    instances: BTreeMap<Subject, Instance>,
    usual: UsualShares,
    suspected: Option<Suspected>,
    /// When a sign was last seen that users are hurt.
    hurt: Option<Mono>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Suspected {
    since: Now,
    last: Mono,
}

/// What is known of one instance.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Instance {
    levels: Option<(Now, Arc<PriorityLevels>)>,
    /// Requests turned away between the last two dumps, by level.
    turned_away: BTreeMap<String, u64>,
    /// Dumps in a row in which a protected level waits or turns away, and in which none does.
    hurt: Option<Run>,
    calm: Option<Run>,
    /// The same for the other levels.
    queueing: Option<Run>,
    quiet: Option<Run>,
    /// How the latest question for the levels ended without them.
    no_levels: Option<NoAnswer>,
    requests: Option<(Now, Arc<RequestLoad>)>,
    /// How the latest question for the requests ended without them.
    no_requests: Option<(Now, NoAnswer)>,
    /// Until when the server wants to be left alone, by what was asked: of several questions one would always come first
    /// when the time is over, and put the others off for good.
    left_alone_until: BTreeMap<ProbeKind, Mono>,
}

/// Why there is no dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoAnswer {
    /// Something else came.
    Instead(NoDump),
    /// Nothing came.
    Unseen(Unseen),
}

/// What is known of who sends the requests.
#[derive(Debug, Clone, PartialEq)]
pub enum Senders {
    /// By the dumps of these instances.
    Known(Suspicion),
    /// They were asked and have not answered yet.
    Asked,
    /// The question was turned away, or had no answer in time: it waits like all others.
    Unanswered,
    /// The right to ask is missing.
    Forbidden,
    /// The servers have no such dump.
    Missing,
}

/// A level with requests that wait or were turned away, all instances together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusyLevel {
    /// Its name.
    pub name: String,
    /// Requests in its queues.
    pub waiting: u64,
    /// Requests turned away between the last two dumps.
    pub turned_away: u64,
}

impl BusyLevel {
    /// Whether the cluster itself depends on it.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        PROTECTED.contains(&self.name.as_str())
    }
}

impl Instance {
    /// The latest levels.
    #[must_use]
    pub const fn levels(&self) -> Option<&(Now, Arc<PriorityLevels>)> {
        self.levels.as_ref()
    }

    /// Dumps in a row in which a protected level waits or turns away.
    #[must_use]
    pub const fn hurt(&self) -> Option<&Run> {
        self.hurt.as_ref()
    }

    /// Dumps in a row in which no protected level does.
    #[must_use]
    pub const fn calm(&self) -> Option<&Run> {
        self.calm.as_ref()
    }

    /// Dumps in a row in which another level waits or turns away.
    #[must_use]
    pub const fn queueing(&self) -> Option<&Run> {
        self.queueing.as_ref()
    }

    /// Dumps in a row in which none of these does.
    #[must_use]
    pub const fn quiet(&self) -> Option<&Run> {
        self.quiet.as_ref()
    }

    /// How the latest question for the levels ended without them; `None` while they come.
    #[must_use]
    pub const fn no_levels(&self) -> Option<NoAnswer> {
        self.no_levels
    }

    /// Whether the right to ask is missing.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        let answers = [self.no_levels, self.no_requests.map(|(_, instead)| instead)];
        answers.contains(&Some(NoAnswer::Instead(NoDump::Forbidden)))
    }

    /// Whether the server has no such dump.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.no_levels == Some(NoAnswer::Instead(NoDump::Missing))
    }

    /// Levels with requests that wait or were turned away.
    pub fn busy(&self) -> impl Iterator<Item = BusyLevel> {
        let levels = self.levels.iter().flat_map(|(_, dump)| &dump.levels);
        levels.filter(|(name, _)| *name != EXEMPT).filter_map(|(name, level)| {
            let turned_away = self.turned_away.get(name).copied().unwrap_or(0);
            let busy = BusyLevel { name: name.clone(), waiting: level.waiting.into(), turned_away };
            (busy.waiting + busy.turned_away > 0).then_some(busy)
        })
    }

    fn take_levels(&mut self, at: Now, levels: &Arc<PriorityLevels>) {
        self.turned_away.clear();
        if let Some((_, before)) = &self.levels {
            let turned_away = levels.levels.iter().filter_map(|(name, level)| {
                let before = before.levels.get(name)?;
                Some((name.clone(), turned_away(level).saturating_sub(turned_away_before(before, level))))
            });
            self.turned_away = turned_away.filter(|(_, count)| *count > 0).collect();
        }
        self.levels = Some((at, Arc::clone(levels)));
        self.no_levels = None;
        let (is_hurt, is_queueing) =
            (self.busy().any(|level| level.is_protected()), self.busy().any(|level| !level.is_protected()));
        (self.hurt, self.calm) = runs(is_hurt, self.hurt, self.calm, at);
        (self.queueing, self.quiet) = runs(is_queueing, self.queueing, self.quiet, at);
    }
}

/// Requests that were turned away at once, or after they had waited.
const fn turned_away(level: &PriorityLevel) -> u64 {
    level.rejected.saturating_add(level.timed_out)
}

/// The same at the dump before; none where the process has restarted since, as its counters began anew.
const fn turned_away_before(before: &PriorityLevel, now: &PriorityLevel) -> u64 {
    if before.dispatched > now.dispatched { 0 } else { turned_away(before) }
}

/// The run that goes on, and the other one ended.
fn runs(is_so: bool, so: Option<Run>, not_so: Option<Run>, at: Now) -> (Option<Run>, Option<Run>) {
    if is_so { (Some(Run::extended(so, at)), None) } else { (None, Some(Run::extended(not_so, at))) }
}

impl FlowControl {
    /// One instance; `None` before its first dump.
    #[must_use]
    pub fn instance(&self, instance: &Subject) -> Option<&Instance> {
        self.instances.get(instance)
    }

    /// Whether an overload is suspected.
    #[must_use]
    pub fn is_suspected(&self, now: Mono) -> bool {
        self.suspected.is_some_and(|suspected| now.since(suspected.last) <= SUSPECTED_FOR)
    }

    /// Whether a sign that users are hurt was seen lately.
    #[must_use]
    pub fn is_hurt(&self, now: Mono) -> bool {
        self.hurt.is_some_and(|last| now.since(last) <= SUSPECTED_FOR)
    }

    /// Until when `instance` does not want to be asked for `kind`.
    #[must_use]
    pub fn left_alone_until(&self, instance: &Subject, kind: ProbeKind) -> Option<Mono> {
        self.instances.get(instance)?.left_alone_until.get(&kind).copied()
    }

    /// Whether an ordinary probe of `kind` at `instance` that is due at `now` is left out: because the server asked for
    /// that, or because an overload is suspected and others take its place.
    #[must_use]
    pub fn leaves_out(&self, instance: &Subject, kind: ProbeKind, now: Mono) -> bool {
        let is_left_alone = self.left_alone_until(instance, kind).is_some_and(|until| now < until);
        if kind.canary().is_some() {
            return is_left_alone || self.puts_off_canary(kind, now);
        }
        // What is not needed to see the overload goes first.
        if kind.is_zpage() {
            return self.is_suspected(now);
        }
        if kind != ProbeKind::Version && !kind.shows_use() {
            return false;
        }
        // The page of metrics is the dearest, and the first to be done without.
        let is_shed = kind == ProbeKind::ApiserverMetrics && self.is_suspected(now);
        // The rounds of the suspicion ask every instance.
        let is_replaced = kind == ProbeKind::RequestDump && self.is_suspected(now);
        is_left_alone
            || is_shed
            || is_replaced
            || kind == ProbeKind::PriorityLevels && self.puts_off_levels(instance, now)
    }

    /// Canaries are the first to go while users are hurt. One is still sent then, unless requests are seen to wait: the
    /// access review, which tells a slow authorization webhook from an overload.
    fn puts_off_canary(&self, kind: ProbeKind, now: Mono) -> bool {
        let waits = || self.instances.values().any(|instance| instance.busy().next().is_some());
        self.is_hurt(now) && (kind != ProbeKind::AccessReview || waits())
    }

    /// Whether the levels of an instance were seen so lately that they can wait, while users are hurt. What is still to
    /// be confirmed cannot.
    fn puts_off_levels(&self, instance: &Subject, now: Mono) -> bool {
        let Some(known) = self.instances.get(instance).filter(|_| self.is_hurt(now)) else { return false };
        let is_recent = known.levels.as_ref().is_some_and(|(at, _)| now.since(at.mono) < LEVELS_WHILE_HURT);
        is_recent && known.hurt.is_none_or(|run| run.probes >= CONFIRMED)
    }

    /// Levels with requests that wait or were turned away, in the latest dumps of `instances`.
    #[must_use]
    pub fn busy_levels(&self, instances: &[Subject]) -> Vec<BusyLevel> {
        let mut sums: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for level in instances.iter().filter_map(|instance| self.instances.get(instance)).flat_map(Instance::busy) {
            let (waiting, turned_away) = sums.entry(level.name).or_default();
            *waiting += level.waiting;
            *turned_away += level.turned_away;
        }
        let level = |(name, (waiting, turned_away))| BusyLevel { name, waiting, turned_away };
        let mut levels: Vec<BusyLevel> = sums.into_iter().map(level).collect();
        levels.sort_by_key(|level| (!level.is_protected(), std::cmp::Reverse(level.waiting + level.turned_away)));
        levels
    }

    /// Who sends the requests of `instances`, by what they told since the suspicion began.
    #[must_use]
    pub fn senders(&self, instances: &[Subject], policy: &Policy, now: Mono) -> Senders {
        let since = self.suspected.map_or(now, |suspected| suspected.since.mono);
        let known = || instances.iter().filter_map(|instance| self.instances.get(instance));
        let dumps = self.fresh_dumps(instances, policy, now).filter(|(at, _)| at.mono >= since);
        let dumps: Vec<&RequestLoad> = dumps.map(|(_, load)| &**load).collect();
        if !dumps.is_empty() {
            return Senders::Known(suspicion(&shares(dumps), &self.usual, now));
        }
        if !instances.is_empty()
            && instances.iter().all(|one| self.instances.get(one).is_some_and(Instance::is_forbidden))
        {
            return Senders::Forbidden;
        }
        if known().any(Instance::is_missing) {
            return Senders::Missing;
        }
        let in_vain = known().filter_map(|known| known.no_requests.as_ref()).any(|(at, _)| at.mono >= since);
        if in_vain { Senders::Unanswered } else { Senders::Asked }
    }

    /// The user that we are, by our own question, which is among the requests of its answer.
    #[must_use]
    pub fn own_user(&self, instances: &[Subject]) -> Option<&str> {
        let dumps = instances.iter().filter_map(|instance| self.instances.get(instance)?.requests.as_ref());
        let mut keys = dumps.flat_map(|(_, load)| load.groups.keys());
        keys.find(|key| key.what.starts_with(OWN_QUESTION)).map(|key| key.user.as_str()).filter(|user| !user.is_empty())
    }

    /// What to show of it.
    #[must_use]
    pub fn facts(&self, instances: &[Subject], policy: &Policy, now: Mono) -> LoadFacts {
        let dumps: Vec<_> = self.fresh_dumps(instances, policy, now).collect();
        let at = dumps.iter().map(|(at, _)| *at).min_by_key(|at| at.mono);
        let suspect = |share: Share| Suspect { usual: self.usual.usual(&share.sender, now), share };
        LoadFacts {
            suspected_since: self.suspected.filter(|_| self.is_suspected(now)).map(|suspected| suspected.since),
            at,
            senders: shares(dumps.iter().map(|(_, load)| &**load)).into_iter().take(SHOWN).map(suspect).collect(),
            is_usual_known: self.usual.are_known(now),
        }
    }

    /// A sign that users are hurt: an ordinary request was slow or turned away, or a level waits on which the cluster
    /// depends.
    pub fn take_slow(&mut self, at: Now) {
        self.hurt = self.hurt.max(Some(at.mono));
        self.usual.retract(at.mono.minus(GROWS_FOR));
        self.suspect(at);
    }

    /// `instance`, asked for `kind` at `at`, wants to be left alone for so many seconds.
    pub fn leave_alone(&mut self, instance: &Subject, kind: ProbeKind, at: Now, seconds: u32) {
        let until = at.mono.plus(Duration::from_secs(seconds.into()).min(LEFT_ALONE));
        self.instances.entry(instance.clone()).or_default().left_alone_until.insert(kind, until);
    }

    /// What came of a question for the levels of `instance`.
    pub fn take_levels(&mut self, instance: &Subject, at: Now, came: Result<&Arc<PriorityLevels>, NoAnswer>) {
        let known = self.instances.entry(instance.clone()).or_default();
        if known.levels.as_ref().is_some_and(|(latest, _)| latest.mono > at.mono) {
            return;
        }
        match came {
            Ok(levels) => {
                known.take_levels(at, levels);
                let (is_hurt, is_queueing) = (known.hurt.is_some(), known.queueing.is_some());
                if is_hurt {
                    self.take_slow(at);
                } else if is_queueing {
                    self.suspect(at);
                }
            }
            Err(instead) => known.no_levels = Some(instead),
        }
        self.heed(instance, ProbeKind::PriorityLevels, at, came.err());
    }

    /// What came of a question for the requests of `instance`.
    pub fn take_requests(&mut self, instance: &Subject, at: Now, came: Result<&Arc<RequestLoad>, NoAnswer>) {
        let known = self.instances.entry(instance.clone()).or_default();
        match came {
            Ok(load) => {
                if known.requests.as_ref().is_none_or(|(latest, _)| latest.mono <= at.mono) {
                    known.requests = Some((at, Arc::clone(load)));
                    known.no_requests = None;
                }
                let is_time = self.usual.latest().is_none_or(|latest| at.mono.since(latest) >= NOTED_EVERY);
                if is_time && !self.is_hurt(at.mono) {
                    self.usual.note(&shares([&**load]), at.mono);
                }
            }
            Err(instead) => known.no_requests = Some((at, instead)),
        }
        self.heed(instance, ProbeKind::RequestDump, at, came.err());
    }

    /// Forgets the instances of which `is_known` does not say so.
    pub fn retain(&mut self, is_known: impl Fn(&Subject) -> bool) {
        self.instances.retain(|instance, _| is_known(instance));
    }

    fn heed(&mut self, instance: &Subject, kind: ProbeKind, at: Now, instead: Option<NoAnswer>) {
        if let Some(NoAnswer::Instead(instead @ NoDump::Shed { .. })) = instead {
            self.suspect(at);
            if let Some(seconds) = instead.retry_after_secs() {
                self.leave_alone(instance, kind, at, seconds);
            }
        }
    }

    fn suspect(&mut self, at: Now) {
        let goes_on = self.suspected.filter(|_| self.is_suspected(at.mono));
        self.suspected = Some(Suspected {
            since: goes_on.map_or(at, |suspected| suspected.since),
            last: goes_on.map_or(at.mono, |suspected| suspected.last.max(at.mono)),
        });
    }

    /// Dumps that are not older than two rounds of a suspicion.
    fn fresh_dumps<'a>(
        &'a self,
        instances: &'a [Subject],
        policy: &Policy,
        now: Mono,
    ) -> impl Iterator<Item = &'a (Now, Arc<RequestLoad>)> {
        let lasting = policy.request_dump_interval * 2 + policy.longest_probe();
        let dumps = instances.iter().filter_map(|instance| self.instances.get(instance)?.requests.as_ref());
        dumps.filter(move |(at, _)| now.since(at.mono) <= lasting)
    }
}

/// The path by which vedette asks.
const OWN_QUESTION: &str = "/debug/api_priority_and_fairness/dump_requests";
