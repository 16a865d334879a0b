//! Notifications to the service manager: ready, a line of status, stopping, and that the engine makes progress.
//!
//! Without `NOTIFY_SOCKET` every call does nothing. The watchdog is pinged by the loop when the engine has made
//! progress, never by a timer of its own, because that would go on while the loop hangs.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::model::time::{Mono, Now};

/// Reports that all sockets are bound and probes have started, with a line for `systemctl status`.
pub fn ready(text: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(&one_line(text))]);
}

/// Reports that the configuration is being reloaded; [`ready`] ends it, whether or not it succeeded.
///
/// With the monotonic time, without which `systemctl reload` of a `Type=notify-reload` unit hangs.
pub fn reloading() {
    let now = NotifyState::monotonic_usec_now();
    match now {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "sd_notify of a reload failed: {error}"),
    }
}

/// Sets the line that `systemctl status` shows.
pub fn status(text: &str) {
    notify(&[NotifyState::Status(&one_line(text))]);
}

/// Reports that the process is stopping.
pub fn stopping(text: &str) {
    notify(&[NotifyState::Stopping, NotifyState::Status(&one_line(text))]);
}

/// The service manager's watchdog, as the process that pings it has it.
#[derive(Debug)]
pub struct Watchdog {
    pause: Duration,
    last: Option<(Mono, u64)>,
}

/// The engine's progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Inputs handled since the start ([`Counters::inputs`](crate::model::snapshot::Counters::inputs)).
    pub inputs: u64,
    /// Whether anything was due since the last call: if nothing was, no input is not a stall.
    pub was_due: bool,
}

impl Watchdog {
    /// The watchdog of this service; `None` when the unit sets none or it is meant for another process.
    #[must_use]
    pub fn of_service() -> Option<Self> {
        sd_notify::watchdog_enabled().map(Self::with_limit)
    }

    /// A watchdog that ends the process after `limit` without a ping. It is pinged at half of that, as
    /// sd_watchdog_enabled(3) recommends.
    #[must_use]
    pub fn with_limit(limit: Duration) -> Self {
        Self { pause: limit / 2, last: None }
    }

    /// When [`Watchdog::feed`] is to be called next; calling it earlier does no harm.
    #[must_use]
    pub fn next_ping(&self) -> Mono {
        self.last.map_or(Mono::ORIGIN, |(fed, _)| fed.plus(self.pause))
    }

    /// Pings the watchdog if a ping is due and the engine has moved, and says whether it did.
    pub fn feed(&mut self, progress: Progress, now: Now) -> bool {
        let deserves = self.deserves(progress, now.mono);
        if deserves {
            self.last = Some((now.mono, progress.inputs));
            notify(&[NotifyState::Watchdog]);
        }
        deserves
    }

    fn deserves(&self, progress: Progress, mono: Mono) -> bool {
        match self.last {
            None => true,
            Some((fed, inputs)) => mono.since(fed) >= self.pause && (progress.inputs > inputs || !progress.was_due),
        }
    }
}

/// A service manager that cannot be reached is logged, and monitoring goes on.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "sd_notify failed: {error}");
    }
}

/// A line break would start a new assignment in the protocol.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::daemon::child_process_test;
    use crate::model::time::UnixTime;

    const MOVED: fn(u64) -> Progress = |inputs| Progress { inputs, was_due: true };

    #[test]
    fn the_watchdog_is_fed_at_half_its_limit_and_only_after_progress() {
        let mut watchdog = Watchdog::with_limit(Duration::from_secs(30));

        assert!(watchdog.feed(MOVED(10), at(100)));
        assert_eq!(watchdog.next_ping(), at(115).mono);
        assert!(!watchdog.feed(MOVED(11), at(114)));
        assert!(watchdog.feed(MOVED(12), at(115)));
        assert!(!watchdog.feed(MOVED(12), at(130)));
        assert!(!watchdog.feed(MOVED(12), at(145)));
        assert!(watchdog.feed(MOVED(13), at(146)));
    }

    #[test]
    fn an_engine_with_nothing_due_is_alive() {
        let mut watchdog = Watchdog::with_limit(Duration::from_secs(30));
        assert!(watchdog.feed(MOVED(10), at(100)));

        assert!(watchdog.feed(Progress { inputs: 10, was_due: false }, at(115)));
    }

    /// The socket's address comes from the environment of a whole process, so the one that talks is a second run of
    /// this test.
    #[test]
    fn the_service_manager_hears_every_word() {
        if child_process_test::is_child() {
            let mut watchdog = Watchdog::of_service().unwrap();
            ready("2 clusters,\nall quiet");
            watchdog.feed(MOVED(1), at(0));
            status("1 incident");
            return stopping("draining");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();

        let mut command = child_process_test::command("daemon::systemd::tests::the_service_manager_hears_every_word");
        let child = command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "30000000").env_remove("WATCHDOG_PID");
        assert!(child.output().unwrap().status.success());

        socket.set_nonblocking(true).unwrap();
        let heard: Vec<String> = std::iter::from_fn(|| {
            let mut datagram = [0; 256];
            let length = socket.recv(&mut datagram).ok()?;
            Some(String::from_utf8_lossy(&datagram[..length]).into_owned())
        })
        .collect();
        assert_eq!(
            heard,
            [
                "READY=1\nSTATUS=2 clusters, all quiet\n",
                "WATCHDOG=1\n",
                "STATUS=1 incident\n",
                "STOPPING=1\nSTATUS=draining\n",
            ]
        );
    }

    #[test]
    fn a_service_manager_that_is_gone_stops_nobody() {
        if child_process_test::is_child() {
            return ready("alone");
        }
        let mut command =
            child_process_test::command("daemon::systemd::tests::a_service_manager_that_is_gone_stops_nobody");

        assert!(command.env("NOTIFY_SOCKET", "/nonexistent/notify").output().unwrap().status.success());
    }

    fn at(seconds: u64) -> Now {
        Now { wall: UnixTime::from_secs(0), mono: Mono(Duration::from_secs(seconds)) }
    }
}
