//! Whether the engine wakes on time: probes from while it was stalled, or while a clock was set, are discarded.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::time::{Mono, Now};

use super::Engine;

/// Lateness is remembered for this long.
const LAG_WINDOW: Duration = Duration::from_secs(60);

/// How regularly the engine is woken.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SchedulingDelay {
    started: Now,
    last: Now,
    promised: Option<Mono>,
    stalled_at: Option<Mono>,
    lags: VecDeque<(Mono, Duration)>,
}

impl SchedulingDelay {
    pub(super) const fn new(now: Now) -> Self {
        Self { started: now, last: now, promised: None, stalled_at: None, lags: VecDeque::new() }
    }

    pub(super) const fn started(&self) -> Now {
        self.started
    }

    /// The last time that a wake-up was much too late, or that a clock was set.
    pub(super) const fn stalled_at(&self) -> Option<Mono> {
        self.stalled_at
    }

    /// The worst lateness of the last minute.
    pub(super) fn worst_lag(&self) -> Duration {
        self.lags.iter().map(|(_, lag)| *lag).max().unwrap_or_default()
    }

    /// When the next input comes at the latest. What is overdue already is due now: its lateness was noted when it
    /// came about, and must not count for the next input as well.
    pub(super) fn promise(&mut self, at: Option<Mono>, now: Mono) {
        self.promised = at.map(|at| at.max(now));
    }

    fn lag(&self, now: Mono) -> Duration {
        self.promised.map_or(Duration::ZERO, |promised| now.since(promised))
    }

    /// How far the two clocks went apart since the last input.
    fn gap(&self, now: Now) -> Duration {
        let monotonic = i64::try_from(now.mono.since(self.last.mono).as_millis()).unwrap_or(i64::MAX);
        Duration::from_millis(now.wall.millis_since(self.last.wall).saturating_sub(monotonic).unsigned_abs())
    }

    /// A minute is kept as the worst of each second.
    fn note(&mut self, lag: Duration, now: Now) {
        let lags = &mut self.lags;
        if lags.back().is_none_or(|(at, known)| lag > *known || now.mono.since(*at) >= Duration::from_secs(1)) {
            lags.push_back((now.mono, lag));
        }
        while lags.front().is_some_and(|(at, _)| now.mono.since(*at) > LAG_WINDOW) || lags.len() > 256 {
            lags.pop_front();
        }
        self.last = now;
    }
}

impl Engine {
    /// A wake-up much later than promised, or clocks that went apart, void the probes they covered; after a long gap,
    /// or by another clock, everything bad is confirmed anew.
    pub(super) fn check_wakeups(&mut self, now: Now) {
        let policy = self.view.policy();
        let lag = self.wakeups.lag(now.mono);
        let is_clock_set = self.wakeups.gap(now) > policy.clock_gap;
        let is_stalled = lag > policy.loop_lag || is_clock_set;
        // Longer than any probe, so what began before it would count it in its hold.
        let is_long = is_clock_set || lag > policy.longest_probe();
        if is_clock_set {
            self.view.set_clock(now.mono);
        }
        if is_stalled {
            self.wakeups.stalled_at = Some(now.mono);
            if is_long {
                self.view.forget_until(now.mono);
            } else {
                for subject in self.view.void_until(now.mono) {
                    self.bursts.probe_again(&subject, self.view.inventory(), now.mono);
                }
            }
            // Evaluated at once, so that no hold counts the time in which nothing was seen.
            self.touched.insert(None);
            self.touched.extend(self.view.inventory().clusters.keys().cloned().map(Some));
        }
        self.wakeups.note(lag, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::UnixTime;

    #[test]
    fn a_wake_up_is_late_by_what_passed_after_the_promise_and_after_the_time_of_promising() {
        let second = |n| Mono::ORIGIN.plus(Duration::from_secs(n));
        let mut wakeups = SchedulingDelay::new(Now { wall: UnixTime::from_millis(0), mono: second(10) });
        for (promised, at, late) in
            [(None, 40, 0), (Some(20), 15, 0), (Some(20), 20, 0), (Some(20), 23, 3), (Some(4), 12, 2)]
        {
            wakeups.promise(promised.map(second), second(10));

            assert_eq!(wakeups.lag(second(at)), Duration::from_secs(late), "{promised:?} {at}");
        }
    }
}
