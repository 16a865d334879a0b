//! What is told of the flight recorder, which writes these numbers.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::model::recordings::Recordings;
use crate::model::time::UnixTime;
use crate::render::metrics::{Family, Format};

use super::counters::read;

/// Numbers of the recorder, counted since the start.
#[derive(Debug, Default)]
pub struct RecorderCounters {
    /// When the oldest record was made, in milliseconds; 0 while there is none.
    since: AtomicI64,
    bytes: AtomicU64,
    kept: AtomicU64,
    dropped: AtomicU64,
    failures: AtomicU64,
}

impl RecorderCounters {
    /// What is on disk now: since when, in how many bytes, and of how many incidents something is kept.
    pub fn hold(&self, since: Option<UnixTime>, bytes: u64, kept: usize) {
        self.since.store(since.map_or(0, UnixTime::as_millis), Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
        self.kept.store(u64::try_from(kept).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// An input was not recorded.
    pub fn drop_input(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Something could not be written.
    pub fn fail(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Inputs that were not recorded.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Incidents of which something is kept.
    #[must_use]
    pub fn kept(&self) -> u64 {
        self.kept.load(Ordering::Relaxed)
    }

    /// All of them.
    pub(super) fn held(&self) -> Recordings {
        let since = Some(self.since.load(Ordering::Relaxed)).filter(|since| *since > 0).map(UnixTime::from_millis);
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Recordings {
            since,
            bytes: read(&self.bytes),
            kept: read(&self.kept),
            dropped: read(&self.dropped),
            failures: read(&self.failures),
        }
    }

    pub(super) fn families(&self, format: Format) -> [Family; 5] {
        let since = Some(self.since.load(Ordering::Relaxed)).filter(|since| *since > 0);
        [
            format
                .gauge(
                    "vedette_recorder_oldest_timestamp_seconds",
                    "Time of the oldest record that 'vedette replay' can begin with. Absent when there is none.",
                )
                .alone(since.map(seconds)),
            format
                .gauge("vedette_recorder_bytes", "Size of the latest recordings on disk.")
                .alone(Some(read(&self.bytes))),
            format
                .gauge("vedette_recorder_kept_incidents", "Incidents whose beginning is kept as a recording.")
                .alone(Some(read(&self.kept))),
            format
                .counter(
                    "vedette_recorder_dropped_inputs_total",
                    "Inputs not recorded, because the disk was slower than they came, or failed.",
                )
                .alone(Some(read(&self.dropped))),
            format
                .counter("vedette_recorder_failures_total", "Recordings that could not be written or kept.")
                .alone(Some(read(&self.failures))),
        ]
    }
}

#[expect(clippy::cast_precision_loss, reason = "samples are f64")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}
