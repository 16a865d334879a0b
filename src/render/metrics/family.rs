//! One metric family under construction.
//!
//! Samples become bytes of the page's format a few at a time: as such they take a fraction of the room, and a page can
//! have a hundred thousand.

use prometheus::proto::{MetricFamily, MetricType};

use crate::model::histogram::Histogram;
use crate::model::tally::Sum;
use crate::model::time::UnixTime;

use super::format::Format;
use super::sample::{Head, Kind, Labels, Sample, Value};

/// Samples that become bytes together; one of a histogram has ten lines.
const TOGETHER: usize = 16;

/// Bytes from which a family is handed out in pieces. An allocator keeps less of what is freed in small ones.
const PIECE: usize = 32 << 10;

/// A metric family that collects its samples.
#[derive(Debug)]
pub struct Family {
    head: Head,
    format: Format,
    is_begun: bool,
    samples: Vec<Sample>,
    drawn: Vec<u8>,
    fault: Option<prometheus::Error>,
}

impl Format {
    /// A value that goes up and down.
    #[must_use]
    pub fn gauge(self, name: &str, help: &str) -> Family {
        Family::new(self, name, help, Kind::Gauge)
    }

    /// A value that only rises while the process lives.
    #[must_use]
    pub fn counter(self, name: &str, help: &str) -> Family {
        Family::new(self, name, help, Kind::Counter)
    }

    /// Counts and sums of durations.
    #[must_use]
    pub fn summary(self, name: &str, help: &str) -> Family {
        Family::new(self, name, help, Kind::Summary)
    }

    /// Distributions of durations: over [`Histogram::BOUNDS`], and as native histograms where the format has them.
    #[must_use]
    pub fn histogram(self, name: &str, help: &str) -> Family {
        Family::new(self, name, help, Kind::Histogram)
    }

    /// A family that another collector has made; `None` unless it is one of gauges or counters.
    #[must_use]
    pub fn collected(self, family: &MetricFamily) -> Option<Family> {
        let mut own = match family.get_field_type() {
            MetricType::COUNTER => self.counter(family.name(), family.help()),
            MetricType::GAUGE => self.gauge(family.name(), family.help()),
            MetricType::SUMMARY | MetricType::UNTYPED | MetricType::HISTOGRAM => return None,
        };
        for metric in family.get_metric() {
            let is_counter = own.head.kind == Kind::Counter;
            let value = if is_counter { metric.get_counter().get_value() } else { metric.get_gauge().get_value() };
            own.sample(&Labels::default(), value);
        }
        Some(own)
    }
}

impl Family {
    fn new(format: Format, name: &str, help: &str, kind: Kind) -> Self {
        let head = Head { name: name.to_owned(), help: help.to_owned(), kind };
        Self { head, format, is_begun: false, samples: Vec::new(), drawn: Vec::new(), fault: None }
    }

    pub(super) fn name(&self) -> &str {
        &self.head.name
    }

    /// Whether there is enough of it to be handed out.
    pub(super) const fn fills_piece(&self) -> bool {
        self.drawn.len() >= PIECE
    }

    /// Adds one sample of a gauge or counter.
    pub fn sample(&mut self, labels: &Labels, value: f64) {
        self.add(labels, Value::Number(value));
    }

    /// Adds one sample if its value is known.
    pub fn known(&mut self, labels: &Labels, value: Option<f64>) {
        if let Some(value) = value {
            self.sample(labels, value);
        }
    }

    /// Adds one sample for each state: 1 for `current`, 0 for the others.
    pub fn states(&mut self, labels: &Labels, label: &'static str, all: &[&'static str], current: &str) {
        for state in all {
            self.sample(&labels.clone().with(label, *state), flag(*state == current));
        }
    }

    /// Adds one sum of a summary.
    pub fn sum(&mut self, labels: &Labels, sum: Sum) {
        self.add(labels, Value::Sum(sum));
    }

    /// Adds one distribution of a histogram.
    pub fn distribution(&mut self, labels: &Labels, histogram: &Histogram) {
        self.add(labels, Value::Distribution(histogram.clone()));
    }

    /// This family with one sample that has no labels.
    #[must_use]
    pub fn alone(mut self, value: Option<f64>) -> Self {
        self.known(&Labels::default(), value);
        self
    }

    /// Its bytes in the page's format; none without a sample.
    ///
    /// # Errors
    /// When it has no name.
    pub fn finish(mut self) -> prometheus::Result<Vec<u8>> {
        self.take()
    }

    /// The bytes of the samples that were added since the last call.
    ///
    /// # Errors
    /// When it has no name.
    pub(super) fn take(&mut self) -> prometheus::Result<Vec<u8>> {
        self.write();
        self.fault.take().map_or_else(|| Ok(std::mem::take(&mut self.drawn)), Err)
    }

    fn add(&mut self, labels: &Labels, value: Value) {
        self.samples.push(Sample { labels: labels.clone(), value });
        if self.samples.len() >= TOGETHER {
            self.write();
        }
    }

    fn write(&mut self) {
        if self.samples.is_empty() {
            return;
        }
        let samples = std::mem::take(&mut self.samples);
        match self.format.draw(&self.head, samples, self.is_begun) {
            Ok(bytes) => self.drawn.extend_from_slice(&bytes),
            Err(fault) => self.fault = Some(fault),
        }
        self.is_begun = true;
    }
}

/// 1 for true, 0 for false.
pub(super) const fn flag(fact: bool) -> f64 {
    if fact { 1.0 } else { 0.0 }
}

/// A count as a sample.
#[expect(
    clippy::cast_precision_loss,
    reason = "samples are f64; a count beyond 2^53 loses its last digits there anyway"
)]
pub(super) const fn count(value: u64) -> f64 {
    value as f64
}

/// A length as a sample.
pub(super) fn len(value: usize) -> f64 {
    count(u64::try_from(value).unwrap_or(u64::MAX))
}

/// An instant in seconds since 1970, with its milliseconds.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of the years 0 to 9999 stay below 2^53")]
pub(super) const fn instant(time: UnixTime) -> f64 {
    time.as_millis() as f64 / 1000.0
}

/// Milliseconds in seconds.
#[expect(clippy::cast_precision_loss, reason = "an offset between clocks beyond 2^53 milliseconds does not exist")]
pub(super) const fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}
