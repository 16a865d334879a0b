//! What happened at the listener itself: connections, handshakes, logins, readings of its configuration.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::render::metrics::{Family, Format, Labels};

/// Counted since the start.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Connections closed at once, because too many were open.
    pub(super) refused: AtomicU64,
    /// Whether there is a web configuration; the rest does not apply without one.
    pub(super) has_web: AtomicBool,
    /// Whether it is in use as its file has it.
    pub(super) is_current: AtomicBool,
    pub(super) reloads: AtomicU64,
    pub(super) reloads_failed: AtomicU64,
    pub(super) handshakes_failed: AtomicU64,
    pub(super) logins_accepted: AtomicU64,
    pub(super) logins_wrong: AtomicU64,
    pub(super) logins_busy: AtomicU64,
    pub(super) logins_abandoned: AtomicU64,
    pub(super) limited: AtomicU64,
}

/// One more.
pub(super) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    pub(super) fn families(&self, format: Format) -> Vec<Family> {
        let refused = format.counter(
            "vedette_listener_refused_connections_total",
            "Connections closed at once because too many were open.",
        );
        let mut all = vec![refused.alone(Some(read(&self.refused)))];
        if self.has_web.load(Ordering::Relaxed) {
            all.extend(self.of_web(format));
        }
        all
    }

    fn of_web(&self, format: Format) -> [Family; 5] {
        let result = |result: &'static str| Labels::default().with("result", result);
        let mut reloads = format.counter(
            "vedette_web_config_reloads_total",
            "Readings of the web configuration after it or a file it names had changed, by result.",
        );
        reloads.sample(&result("accepted"), read(&self.reloads));
        reloads.sample(&result("rejected"), read(&self.reloads_failed));
        let mut logins = format.counter(
            "vedette_listener_logins_total",
            "Requests with a user and password, by result; busy: rejected unseen, because too many were being checked; \
             abandoned: the client left before it was known.",
        );
        logins.sample(&result("accepted"), read(&self.logins_accepted));
        logins.sample(&result("wrong"), read(&self.logins_wrong));
        logins.sample(&result("busy"), read(&self.logins_busy));
        logins.sample(&result("abandoned"), read(&self.logins_abandoned));
        let is_current = self.is_current.load(Ordering::Relaxed);
        [
            format
                .gauge(
                    "vedette_web_config_last_reload_successful",
                    "Whether the web configuration and the certificates in use are what its files say.",
                )
                .alone(Some(f64::from(u8::from(is_current)))),
            reloads,
            format
                .counter(
                    "vedette_listener_failed_handshakes_total",
                    "TLS handshakes with this listener that failed or took too long.",
                )
                .alone(Some(read(&self.handshakes_failed))),
            logins,
            format
                .counter(
                    "vedette_listener_limited_requests_total",
                    "Requests rejected for the rate limit of the web configuration.",
                )
                .alone(Some(read(&self.limited))),
        ]
    }
}

#[expect(clippy::cast_precision_loss, reason = "samples are f64")]
pub(super) fn read(counter: &AtomicU64) -> f64 {
    counter.load(Ordering::Relaxed) as f64
}
