//! Whether the path to an endpoint takes a large ClientHello.
//!
//! With a post-quantum key share (X25519MLKEM768) the hello spans two packets, and some middleboxes cut or swallow what
//! they did not expect; kubectl since 1.33 and everything built with Go since 1.24 then fail, while the server is well.
//! A large hello that is followed by a reset or by silence, and a small one (X25519 alone) that gets an answer right
//! after it, raise the doubt; three pairs within five seconds decide. Every large one must fail and every small one get
//! its answer: a server that restarts in the middle fails some of the small ones or answers some of the large ones. The
//! pairs are in changing order, so that a balancer that alternates between a failed and a working backend shows both.
//! Knows no clock and sends nothing: what is to be sent comes out as a [`Test`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::policy::Policy;
use crate::model::probe::{Greeting, Hello, ProbeKind};
use crate::model::time::{Mono, Now};

use super::probe_runs::Run;

/// What is to be sent to know more, in order: how long after now, and with which hello.
pub type Test = &'static [(Duration, Hello)];

/// Three pairs, far enough apart that the handshake timeout ends the first large ClientHello before the third is sent;
/// that one ends 4.1 s after the first began.
pub const PAIRS: Test = &[
    (Duration::ZERO, Hello::Large),
    (Duration::from_millis(300), Hello::Small),
    (Duration::from_millis(900), Hello::Small),
    (Duration::from_millis(1200), Hello::Large),
    (Duration::from_millis(2100), Hello::Large),
    (Duration::from_millis(2400), Hello::Small),
];

/// One more probe whether the large one still fails.
const AGAIN: Test = &[(Duration::ZERO, Hello::Large)];

/// The probe that is sent with such a hello: a large one is sent for the handshake alone and decides nothing about the
/// server, a small one probes its health.
#[must_use]
pub const fn probe(hello: Hello) -> ProbeKind {
    match hello {
        Hello::Large => ProbeKind::Chain,
        Hello::Small => ProbeKind::Readyz,
    }
}

/// Handshakes of one endpoint by the size of their hello.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ClientHellos {
    /// Large ones in a row that got an answer.
    good: Option<Run>,
    /// The last large one that got none, since when no large one got one.
    unheard: Option<Now>,
    /// The last small one that got an answer.
    heard: Option<Now>,
    /// A probe is under way for too long, perhaps for its large hello.
    is_waiting: bool,
    doubt: Option<Box<Doubt>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Doubt {
    /// The first large hello without an answer.
    since: Now,
    /// When the pairs were asked for.
    began: Mono,
    large: usize,
    small: usize,
    is_decided: bool,
    last_test: Mono,
}

/// What is known of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// Nothing yet.
    Unknown,
    /// Large hellos get their answers.
    Free(Run),
    /// Being tried, since the first without an answer.
    Doubtful(Now),
    /// Large ones are dropped, since that one.
    Narrow(Now),
}

impl ClientHellos {
    /// Records how a handshake scheduled at `scheduled` began. Returns what is to be sent.
    pub fn take(&mut self, scheduled: Now, greeting: Greeting, policy: &Policy) -> Option<Test> {
        if self.doubt.as_ref().is_some_and(|doubt| doubt.has_lapsed(scheduled.mono, policy)) {
            self.doubt = None;
        }
        match (greeting.hello, greeting.is_heard) {
            (Hello::Large, true) => {
                self.good = Some(Run::extended(self.good, scheduled));
                self.unheard = None;
                self.doubt = None;
                self.is_waiting = false;
                None
            }
            (Hello::Large, false) => {
                self.good = None;
                match &mut self.doubt {
                    Some(doubt) => doubt.count(scheduled.mono, Hello::Large, policy),
                    None => {
                        self.unheard = Some(scheduled);
                        return self.doubt_since_answer(policy);
                    }
                }
                None
            }
            (Hello::Small, true) => self.small_one_passed(scheduled, policy),
            (Hello::Small, false) => {
                self.is_waiting = false;
                self.heard = None;
                self.doubt = None;
                self.unheard = None;
                None
            }
        }
    }

    fn small_one_passed(&mut self, scheduled: Now, policy: &Policy) -> Option<Test> {
        if let Some(doubt) = &mut self.doubt {
            doubt.count(scheduled.mono, Hello::Small, policy);
            if doubt.is_decided && scheduled.mono.since(doubt.last_test) >= policy.hello_retest {
                doubt.last_test = scheduled.mono;
                return Some(AGAIN);
            }
            return None;
        }
        self.is_waiting = false;
        self.heard = Some(scheduled);
        self.doubt_since_answer(policy)
    }

    /// The result of a large one that was given up may arrive after that of the small one sent meanwhile.
    fn doubt_since_answer(&mut self, policy: &Policy) -> Option<Test> {
        let (unheard, heard) = (self.unheard?, self.heard?);
        if heard.mono <= unheard.mono {
            return None;
        }
        self.unheard = None;
        // An answer long after it does not count.
        if heard.mono.since(unheard.mono) > policy.burst_pause {
            return None;
        }
        let (began, last_test) = (heard.mono, heard.mono);
        self.doubt = Some(Box::new(Doubt { since: unheard, began, large: 0, small: 0, is_decided: false, last_test }));
        Some(PAIRS)
    }

    /// Notes that a probe is under way for too long.
    pub const fn take_overdue(&mut self) {
        self.is_waiting = true;
    }

    /// The hello of the next probe. After a large one without an answer it is the turn of a small one, so that no three
    /// probes in a row fail for the size of their hello alone.
    #[must_use]
    pub const fn next(&self) -> Hello {
        if self.doubt.is_some() || self.unheard.is_some() || self.is_waiting { Hello::Small } else { Hello::Large }
    }

    /// What is known of the path.
    #[must_use]
    pub fn passage(&self) -> Passage {
        match (&self.doubt, self.good) {
            (Some(doubt), _) if doubt.is_decided => Passage::Narrow(doubt.since),
            (Some(doubt), _) => Passage::Doubtful(doubt.since),
            (None, Some(run)) => Passage::Free(run),
            (None, None) => Passage::Unknown,
        }
    }
}

impl Doubt {
    /// Only what began within the time of the pairs decides.
    fn count(&mut self, scheduled: Mono, hello: Hello, policy: &Policy) {
        if self.is_decided || scheduled < self.began || scheduled.since(self.began) > policy.hello_window {
            return;
        }
        match hello {
            Hello::Large => self.large += 1,
            Hello::Small => self.small += 1,
        }
        self.is_decided = self.large >= policy.hello_pairs && self.small >= policy.hello_pairs;
    }

    /// The pairs were not all made: shed, or lost.
    fn has_lapsed(&self, now: Mono, policy: &Policy) -> bool {
        !self.is_decided && now.since(self.began) > policy.hello_window.saturating_mul(2)
    }
}
