//! How many new connections to an API VIP are lost while others get through: the balancer sends some of them to a
//! backend that does not serve, or something on the way loses them.
//!
//! A sequential test (Page's CUSUM): each lost connection adds to a score, each that is answered takes a little away. Over
//! the scheduled probes alone it would take minutes, so each loss asks for more samples in quick succession. The numbers
//! come from a simulation of both cases: where one in ten is lost this is found in 23 s as a rule; where one in a hundred
//! is lost all the time, about once in a month.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::observation::Observation;
use crate::model::phase::{Cause, Unseen};
use crate::model::probe::{Connection, ProbeKind};
use crate::model::time::{Mono, Now};

/// Connections over which the share is counted.
const WINDOW: usize = 100;

/// A loss adds this, an answer takes 1: the ratio that tells one in ten from one in a hundred with the fewest samples.
const LOSS: u32 = 24;

/// The score at which losses are too many.
const TOO_MANY: u32 = 104;

/// So many losses in the window, which are 5 % of it, make a finding.
const LOSSES: usize = 5;

/// In so many separate runs: an address that moves to another host loses all connections for a while, once.
const RUNS: usize = 3;

/// Over so long: checks at usual settings (every 2 s, three failures) have taken a dead backend out by then.
const SPAN: Duration = Duration::from_secs(6);

/// Losses in the window with which the balancer counts as mended.
const MENDED: usize = 1;

/// Answers in a row after which a balancer that lost connections may have been mended, and again after each [`STEP`] more.
const CALM: usize = 10;

/// See [`CALM`]: as many as are asked for then.
const STEP: usize = SAMPLES as usize;

/// Samples that follow a loss, beside the scheduled probes.
pub const SAMPLES: u32 = 40;

/// Between two samples: five a second beside what confirms a fault meanwhile, which takes the place of some, and seldom
/// at the time of a scheduled probe, which would.
pub const SAMPLE_PACE: Duration = Duration::from_millis(170);

/// At most so many samples in [`EPISODE`]: what loses connections for hours is not asked five times a second for hours.
const MOST: u32 = 300;

/// See [`MOST`].
const EPISODE: Duration = Duration::from_secs(180);

/// New connections to one address, and which of them were lost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionLosses {
    /// By scheduled start.
    window: VecDeque<(Now, bool)>,
    score: u32,
    /// The first loss since the score was zero.
    suspected: Option<Now>,
    /// The first loss of those that were too many, until the balancer is mended.
    lossy: Option<Now>,
    /// How the last of them was lost.
    last: Option<Unseen>,
    /// When samples were first asked for in the current episode, and how many since.
    episode: Option<(Mono, u32)>,
}

/// Whether the connection of a probe was lost, and how; `None` when the probe does not show it.
#[must_use]
pub fn loss(observation: &Observation) -> Option<Option<Unseen>> {
    let probe = &observation.probe;
    if !probe.subject.is_vip() || probe.connection != Connection::New || probe.kind != ProbeKind::Readyz {
        return None;
    }
    let Err(unseen) = &observation.outcome else { return Some(None) };
    match unseen.cause {
        Cause::Timeout
        | Cause::Refused
        | Cause::Reset
        | Cause::Closed
        | Cause::Unreachable
        | Cause::TlsBroken
        | Cause::TlsAlert
        | Cause::ProtocolBroken => Some(Some(*unseen)),
        // Answered, by the server or something in front of it.
        Cause::ServerError
        | Cause::Unavailable
        | Cause::TooLarge
        | Cause::Foreign
        | Cause::CredentialRejected
        | Cause::ClientCertificateRejected
        | Cause::TokenWithheld
        | Cause::NoCredential
        | Cause::WithoutTls
        | Cause::WithTls => Some(None),
        Cause::NoSuchName
        | Cause::ResolverFailed
        | Cause::OwnCredential
        | Cause::OwnFault
        | Cause::ProxyTarget
        | Cause::ProxyDenied
        | Cause::ProxyLogin
        | Cause::ProxyDown
        | Cause::ProxyUnreachable
        | Cause::ProxySilent => None,
    }
}

impl ConnectionLosses {
    /// Takes the result of a connection begun at `at`, in whatever order they arrive. Returns whether samples should
    /// follow: after a loss that is news, and where the balancer may have been mended.
    pub fn take(&mut self, at: Now, lost: Option<Unseen>) -> bool {
        let place = self.window.partition_point(|(known, _)| known.mono <= at.mono);
        self.window.insert(place, (at, lost.is_some()));
        if self.window.len() > WINDOW {
            self.window.pop_front();
        }
        if let Some(unseen) = lost {
            self.score = self.score.saturating_add(LOSS);
            self.begin(at);
            self.last = Some(unseen);
            let is_known = self.lossy.is_some();
            if !is_known && self.is_too_lossy() {
                self.lossy = self.suspected;
            }
            return !is_known;
        }
        self.score = self.score.saturating_sub(1);
        if self.score == 0 {
            self.suspected = None;
        }
        if self.is_calm() {
            self.lossy = None;
        }
        self.lossy.is_some() && self.answered_since_loss() % STEP == CALM
    }

    /// An instance behind the balancer stopped answering at `first`: as suspicious as one loss, and from then on the
    /// balancer has its time to take it out.
    pub fn suspect(&mut self, first: Now) {
        if self.lossy.is_none() {
            self.score = self.score.max(LOSS);
            self.begin(first);
        }
    }

    fn begin(&mut self, at: Now) {
        let first = self.suspected.get_or_insert(at);
        if at.mono < first.mono {
            *first = at;
        }
    }

    /// Forgets everything, because our own network was lost meanwhile.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// How many samples may be asked for at `now`.
    #[must_use]
    pub fn allowance(&self, now: Mono) -> u32 {
        match self.episode {
            Some((began, asked)) if now.since(began) < EPISODE => MOST.saturating_sub(asked).min(SAMPLES),
            Some(_) | None => SAMPLES,
        }
    }

    /// So many were asked for at `now`.
    pub fn charge(&mut self, samples: u32, now: Mono) {
        match &mut self.episode {
            Some((began, asked)) if now.since(*began) < EPISODE => *asked = asked.saturating_add(samples),
            episode => *episode = Some((now, samples)),
        }
    }

    /// Since when too many connections are lost.
    #[must_use]
    pub const fn lossy_since(&self) -> Option<Now> {
        self.lossy
    }

    /// How the last one was lost.
    #[must_use]
    pub const fn last(&self) -> Option<Unseen> {
        self.last
    }

    /// Connections since the first loss, as far as they are in the window: how many were lost, and of how many.
    #[must_use]
    pub fn lost(&self) -> (usize, usize) {
        let since = self.lossy.or(self.suspected).map_or(Mono::ORIGIN, |first| first.mono);
        let counted = || self.window.iter().filter(|(at, _)| at.mono >= since);
        (counted().filter(|(_, lost)| *lost).count(), counted().count())
    }

    /// Whether the latest connections, a whole window of them, were answered but for a stray one.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.window.len() == WINDOW && self.losses().count() <= MENDED
    }

    fn losses(&self) -> impl DoubleEndedIterator<Item = &Now> {
        self.window.iter().filter(|(_, lost)| *lost).map(|(at, _)| at)
    }

    fn is_too_lossy(&self) -> bool {
        let (Some(first), Some(last)) = (self.suspected, self.losses().next_back()) else { return false };
        let lost = self.losses().count();
        self.score >= TOO_MANY
            && lost >= LOSSES
            && self.runs() >= RUNS
            && last.since(first) >= SPAN
            && self.goes_on(lost)
    }

    /// Losses in a row are one run.
    fn runs(&self) -> usize {
        let before = std::iter::once(false).chain(self.window.iter().map(|(_, lost)| *lost));
        before.zip(self.window.iter()).filter(|(before, (_, lost))| *lost && !before).count()
    }

    /// Whether the answers since the last loss are no more than such a share leaves room for, so that the backend has not
    /// been taken out meanwhile: three times the usual distance of two losses.
    fn goes_on(&self, lost: usize) -> bool {
        let (_, of) = self.lost();
        self.answered_since_loss() * lost <= 3 * of
    }

    fn answered_since_loss(&self) -> usize {
        self.window.iter().rev().take_while(|(_, lost)| !lost).count()
    }
}
