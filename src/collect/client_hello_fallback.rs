//! Which ClientHello an etcd member is sent, where something on the path drops large ones.
//!
//! A ClientHello with a post-quantum key share takes two packets, and some middleboxes drop what does not fit one. For
//! apiservers `observe` decides, since people's clients fail there too (F56). etcd is connected to by nobody but the
//! apiservers, on a path of their own: here the small one is used without a finding, so that no working member is
//! reported as down. Kept by `tls_endpoint.rs`; knows nothing of probes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::model::probe::{Greeting, Hello};
use crate::model::time::Mono;

/// What the latest handshakes with one member have shown.
#[derive(Debug, Default)]
pub(super) struct ClientHelloFallback(Mutex<Known>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Known {
    /// Large ones get a response, as far as is known.
    #[default]
    Large,
    /// The last large one got none: a small one is tried.
    Suspected,
    /// A small one got a response at this time after a large one had got none.
    Small(Mono),
}

impl ClientHelloFallback {
    /// The ClientHello to send at `now`. While small ones are needed, a large one is tried again every `retest`.
    pub(super) fn next(&self, now: Mono, retest: Duration) -> Hello {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Known::Large => Hello::Large,
            Known::Suspected => Hello::Small,
            Known::Small(since) => {
                if now.since(since) < retest {
                    Hello::Small
                } else {
                    Hello::Large
                }
            }
        }
    }

    /// A handshake that begins with `hello` now. Until [`Begun::ended`] is called it may be given up: whoever gets
    /// nothing before a deadline drops it.
    pub(super) const fn begun(&self, hello: Hello) -> Begun<'_> {
        Begun { fallback: self, hello, has_ended: false }
    }

    /// Records how a handshake began. Returns whether this one showed that only small ones pass.
    pub(super) fn take(&self, greeting: Greeting, now: Mono) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = match (greeting.hello, greeting.is_heard, *known) {
            (Hello::Large, true, _) | (Hello::Small, false, _) => Known::Large,
            (Hello::Large, false, _) => Known::Suspected,
            (Hello::Small, true, Known::Suspected) => Known::Small(now),
            (Hello::Small, true, before) => before,
        };
        let is_news = matches!(next, Known::Small(_)) && *known == Known::Suspected;
        *known = next;
        is_news
    }
}

/// A handshake under way.
pub(super) struct Begun<'a> {
    fallback: &'a ClientHelloFallback,
    hello: Hello,
    has_ended: bool,
}

impl Begun<'_> {
    /// Whether a response `is_heard`; `None` where its end shows nothing about the path. Returns what
    /// [`ClientHelloFallback::take`] does.
    pub(super) fn ended(mut self, is_heard: Option<bool>, now: Mono) -> bool {
        self.has_ended = true;
        is_heard.is_some_and(|is_heard| self.fallback.take(Greeting { hello: self.hello, is_heard }, now))
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            // Only a small one that is heard is dated.
            self.fallback.take(Greeting { hello: self.hello, is_heard: false }, Mono::ORIGIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_one_follows_a_large_one_without_a_response_and_lasts_until_the_retest() {
        let retest = Duration::from_secs(20);
        let at = |seconds| Mono::ORIGIN.plus(Duration::from_secs(seconds));
        let told = |hello, is_heard| Greeting { hello, is_heard };
        let fallback = ClientHelloFallback::default();

        assert_eq!(fallback.next(at(0), retest), Hello::Large);
        assert!(!fallback.take(told(Hello::Large, false), at(0)));
        assert_eq!(fallback.next(at(1), retest), Hello::Small);
        assert!(fallback.take(told(Hello::Small, true), at(1)));
        assert!(!fallback.take(told(Hello::Small, true), at(2)));
        assert_eq!((fallback.next(at(20), retest), fallback.next(at(21), retest)), (Hello::Small, Hello::Large));

        // The middlebox takes large ones again.
        assert!(!fallback.take(told(Hello::Large, true), at(21)));
        assert_eq!(fallback.next(at(22), retest), Hello::Large);

        // One that is given up got nothing.
        drop(fallback.begun(Hello::Large));
        assert_eq!(fallback.next(at(23), retest), Hello::Small);
        assert!(fallback.begun(Hello::Small).ended(Some(true), at(23)));
        assert!(!fallback.begun(Hello::Large).ended(None, at(24)));
        assert_eq!(fallback.next(at(24), retest), Hello::Small);

        // A member that is down gets both in turn.
        fallback.take(told(Hello::Large, false), at(30));
        fallback.take(told(Hello::Small, false), at(31));
        assert_eq!(fallback.next(at(32), retest), Hello::Large);
    }
}
