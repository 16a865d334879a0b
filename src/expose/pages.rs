//! What every page is made from, and the answers that any of them may give.

use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use tokio::sync::Semaphore;

use crate::model::recordings::Recordings;
use crate::model::snapshot::Snapshot;
use crate::model::time::{Clock, Now};
use crate::render::metrics::Format;

use super::Shared;
use super::counters::Counters;
use super::recorder::RecorderCounters;

const PLAIN: &str = "text/plain; charset=utf-8";

/// What the pages are made from.
#[derive(Debug, Clone)]
pub struct Pages {
    snapshot: Shared,
    clock: Clock,
    process: Arc<ProcessCollector>,
    drawing: Arc<Semaphore>,
    counters: Arc<Counters>,
    recorder: Option<Arc<RecorderCounters>>,
}

impl Pages {
    /// Pages about the latest of `snapshot`; freshness is judged by its policy and `clock`.
    #[must_use]
    pub fn new(snapshot: Shared, clock: Clock) -> Self {
        Self {
            snapshot,
            clock,
            process: Arc::new(ProcessCollector::for_self()),
            drawing: Arc::new(Semaphore::new(1)),
            counters: Arc::default(),
            recorder: None,
        }
    }

    /// The same, with what there is to tell of the recorder.
    #[must_use]
    pub fn with_recorder(self, recorder: Option<Arc<RecorderCounters>>) -> Self {
        Self { recorder, ..self }
    }

    pub(super) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// The latest snapshot, and the time.
    pub(super) fn read(&self) -> (Arc<Snapshot>, Now) {
        (self.snapshot.load_full(), self.clock.now())
    }

    /// A permit to render: one page, or piece of the metrics, at a time, so that many readers do not delay the probes.
    pub(super) fn drawing(&self) -> Arc<Semaphore> {
        Arc::clone(&self.drawing)
    }

    /// What is recorded; `None` when recording is off.
    pub(super) fn recordings(&self) -> Option<Recordings> {
        self.recorder.as_ref().map(|recorder| recorder.held())
    }

    /// Families about this process, which no snapshot has.
    pub(super) fn of_process(&self, format: Format) -> prometheus::Result<Vec<u8>> {
        let of_process = self.process.collect().into_iter().filter(is_known);
        let of_process = of_process.filter_map(|family| format.collected(&family));
        let mut drawn = Vec::new();
        let recorder = self.recorder.iter().flat_map(|recorder| recorder.families(format));
        for family in of_process.chain(self.counters.families(format)).chain(recorder) {
            drawn.extend(family.finish()?);
        }
        Ok(drawn)
    }
}

/// Plain text.
pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Response {
    (status, [(header::CONTENT_TYPE, PLAIN)], text.into()).into_response()
}

/// A page that could not be rendered; `why` is for the log alone.
pub(super) fn broken(why: &str) -> Response {
    tracing::error!(why, "rendering a page failed: {why}");
    text(StatusCode::INTERNAL_SERVER_ERROR, "the page could not be rendered\n")
}

/// The start time comes from the snapshot: the process collector reads it from `/proc/stat`, which the systemd unit
/// hides, and reports 0 then.
fn is_known(family: &MetricFamily) -> bool {
    family.name() != "process_start_time_seconds"
}
