//! How the time of one probe is spent, measured in the I/O path.
//!
//! Phases are disjoint: entering one ends the one before. Decides nothing and sets no deadline but the one it gets.
//! Shared between a probe and the connect that may outlive it, hence the lock.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::model::phase::{Cause, Phase, Phases, Unseen};
use crate::model::probe::Greeting;
use crate::model::time::{Clock, Mono};

/// The phases of one probe.
#[derive(Debug)]
pub(crate) struct PhaseTimer {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phases: Phases,
    phase: Phase,
    /// Start of `phase`; `None` between phases.
    since: Option<Mono>,
    proves_path: bool,
    greeting: Option<Greeting>,
}

impl PhaseTimer {
    /// Nothing begun.
    pub(crate) fn new(clock: &Clock) -> Self {
        let state =
            State { phases: Phases::default(), phase: Phase::Dial, since: None, proves_path: false, greeting: None };
        Self { clock: clock.clone(), state: Mutex::new(state) }
    }

    /// Another one by the same clock, for a part of the path whose answers prove nothing.
    pub(crate) fn blocking(&self) -> Self {
        Self::new(&self.clock)
    }

    /// Ends the phase under way and begins `phase`; a phase entered again adds to its time.
    pub(crate) fn enter(&self, phase: Phase) {
        let now = self.clock.now().mono;
        let mut state = self.lock();
        state.close(now);
        state.phase = phase;
        state.since = Some(now);
    }

    /// Ends the phase under way.
    pub(crate) fn end(&self) {
        let now = self.clock.now().mono;
        self.lock().close(now);
    }

    /// Runs `step` as `phase`, for at most `limit`.
    ///
    /// # Errors
    ///
    /// The step's own cause, or [`Cause::Timeout`].
    pub(crate) async fn step<T>(
        &self,
        phase: Phase,
        limit: Duration,
        step: impl Future<Output = Result<T, Cause>>,
    ) -> Result<T, Unseen> {
        self.enter(phase);
        let result = tokio::time::timeout(limit, step).await.unwrap_or(Err(Cause::Timeout));
        self.end();
        result.map_err(|cause| Unseen { phase, cause })
    }

    /// Notes that `peer` answered, if only by a refusal.
    pub(crate) fn heard_from(&self, peer: IpAddr) {
        self.lock().proves_path |= proves_path(peer);
    }

    /// Notes how a question over a kept connection to `peer` ended: an answer and the peer's own end of the
    /// connection came over the path, while `Some` of these causes may have come from our own kernel.
    pub(crate) fn ended_with(&self, peer: IpAddr, cause: Option<Cause>) {
        if !matches!(cause, Some(Cause::Timeout | Cause::Unreachable | Cause::OwnFault)) {
            self.heard_from(peer);
        }
    }

    /// Notes how the handshake began.
    pub(crate) fn greeted(&self, greeting: Greeting) {
        self.lock().greeting = Some(greeting);
    }

    /// How the last handshake began.
    pub(crate) fn greeting(&self) -> Option<Greeting> {
        self.lock().greeting
    }

    /// Whether anything came back from a peer that is not on this machine.
    pub(crate) fn proves_path(&self) -> bool {
        self.lock().proves_path
    }

    /// The phase under way, or the last one.
    pub(crate) fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// The failure when `cause` ended the phase under way, or the last one.
    pub(crate) fn unseen(&self, cause: Cause) -> Unseen {
        Unseen { phase: self.phase(), cause }
    }

    /// The times so far; a phase under way counts up to now.
    pub(crate) fn phases(&self) -> Phases {
        let now = self.clock.now().mono;
        let state = self.lock();
        state.since.map_or(state.phases, |since| state.with(now.since(since)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn close(&mut self, now: Mono) {
        if let Some(since) = self.since.take() {
            self.phases = self.with(now.since(since));
        }
    }

    fn with(&self, spent: Duration) -> Phases {
        let before = self.phases.reached().find(|(phase, _)| *phase == self.phase).map_or(Duration::ZERO, |(_, b)| b);
        let mut phases = self.phases;
        phases.record(self.phase, before + spent);
        phases
    }
}

/// Whether an answer from `peer` shows that the network of this machine works.
pub(crate) fn proves_path(peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    !peer.is_loopback() && !peer.is_unspecified()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::model::time::{Now, UnixTime};

    #[test]
    fn entering_a_phase_ends_the_one_before_and_nothing_is_counted_twice() {
        let (clock, millis) = hand_wound();
        let timer = PhaseTimer::new(&clock);

        millis.store(100, Ordering::Relaxed);
        timer.enter(Phase::Dial);
        millis.store(103, Ordering::Relaxed);
        timer.enter(Phase::Tls);
        millis.store(110, Ordering::Relaxed);
        timer.end();
        millis.store(500, Ordering::Relaxed);
        timer.enter(Phase::Dial);
        millis.store(502, Ordering::Relaxed);

        let phases = timer.phases();
        assert_eq!(phases.dial, Some(Duration::from_millis(5)));
        assert_eq!(phases.tls, Some(Duration::from_millis(7)));
        assert_eq!((phases.resolve, phases.first_byte, phases.body), (None, None, None));
        assert_eq!(phases.total(), Duration::from_millis(12));
        assert_eq!(timer.unseen(Cause::Reset), Unseen { phase: Phase::Dial, cause: Cause::Reset });
    }

    #[test]
    fn only_peers_elsewhere_prove_the_path() {
        for (peer, proves) in [
            ("127.0.0.1", false),
            ("127.9.9.9", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("0.0.0.0", false),
            ("10.0.0.1", true),
            ("fe80::1", true),
            ("::ffff:10.0.0.1", true),
        ] {
            let timer = PhaseTimer::new(&hand_wound().0);

            timer.heard_from(peer.parse().unwrap());

            assert_eq!(timer.proves_path(), proves, "{peer}");
        }
    }

    fn hand_wound() -> (Clock, Arc<AtomicU64>) {
        let millis = Arc::new(AtomicU64::new(0));
        let read = Arc::clone(&millis);
        let clock = Clock::new(move || Now {
            wall: UnixTime::from_millis(0),
            mono: Mono(Duration::from_millis(read.load(Ordering::Relaxed))),
        });
        (clock, millis)
    }
}
