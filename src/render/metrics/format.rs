//! The formats of the page: text, which everybody reads, and Prometheus' protobuf, the only one with native histograms.

use prometheus::proto::{self, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder as _, TextEncoder};

use super::protobuf;
use super::sample::{Head, Kind, Labels, Sample, Value};

/// The format of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// The Prometheus text format 0.0.4.
    #[default]
    Text,
    /// Messages `io.prometheus.client.MetricFamily`, each behind its length.
    Protobuf,
}

impl Format {
    /// The media type of such a page.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Text => prometheus::TEXT_FORMAT,
            Self::Protobuf => protobuf::MEDIA_TYPE,
        }
    }

    /// `samples` of the family `head`, some of which were drawn before if it is begun.
    ///
    /// # Errors
    /// When the family has no name.
    pub(super) fn draw(self, head: &Head, samples: Vec<Sample>, is_begun: bool) -> prometheus::Result<Vec<u8>> {
        match self {
            // A family in several messages is read as one.
            Self::Protobuf => Ok(protobuf::delimited(head, samples)),
            Self::Text => {
                let mut text = Vec::new();
                TextEncoder::new().encode(&[as_text(head, samples)], &mut text)?;
                Ok(if is_begun { without_head(&text).to_vec() } else { text })
            }
        }
    }
}

fn as_text(head: &Head, samples: Vec<Sample>) -> MetricFamily {
    let mut all = MetricFamily::default();
    all.set_name(head.name.clone());
    all.set_help(head.help.clone());
    all.set_field_type(match head.kind {
        Kind::Gauge => MetricType::GAUGE,
        Kind::Counter => MetricType::COUNTER,
        Kind::Summary => MetricType::SUMMARY,
        Kind::Histogram => MetricType::HISTOGRAM,
    });
    all.set_metric(samples.into_iter().map(|sample| metric(head.kind, sample)).collect());
    all
}

fn metric(kind: Kind, sample: Sample) -> Metric {
    let mut metric = Metric::from_label(pairs(sample.labels));
    match sample.value {
        Value::Number(value) if kind == Kind::Counter => {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        }
        Value::Number(value) => {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        Value::Sum(sum) => {
            let mut summary = proto::Summary::default();
            summary.set_sample_count(sum.count);
            summary.set_sample_sum(sum.seconds);
            metric.set_summary(summary);
        }
        Value::Distribution(histogram) => {
            let buckets = histogram.cumulative().map(|(bound, below)| {
                let mut bucket = proto::Bucket::default();
                bucket.set_upper_bound(bound);
                bucket.set_cumulative_count(below);
                bucket
            });
            let mut drawn = proto::Histogram::default();
            drawn.set_bucket(buckets.collect());
            drawn.set_sample_count(histogram.count());
            drawn.set_sample_sum(histogram.sum());
            metric.set_histogram(drawn);
        }
    }
    metric
}

fn pairs(labels: Labels) -> Vec<LabelPair> {
    labels
        .into_iter()
        .map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.to_owned());
            pair.set_value(value);
            pair
        })
        .collect()
}

/// The text of a family that is continued: its help and type may appear only once.
fn without_head(mut text: &[u8]) -> &[u8] {
    while text.starts_with(b"# ") {
        text = text.iter().position(|byte| *byte == b'\n').and_then(|end| text.get(end + 1..)).unwrap_or_default();
    }
    text
}
