//! Prometheus' protobuf format, which the `prometheus` crate has without native histograms.
//!
//! The messages are those of `metrics.proto` of prometheus/client_model 0.6.3, as far as vedette sends them; its numbers
//! are the format.

use prost::Message;

use crate::model::histogram::Histogram;

use super::sample::{Head, Kind, Labels, Sample, Value};

/// The media type of a page.
pub(super) const MEDIA_TYPE: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
/// Durations up to this count as zero: client_golang's default, 2^-128. A histogram with a threshold is a native one
/// even while it is empty.
const ZERO_THRESHOLD: f64 = 2.938_735_877_055_719e-39;
/// Empty buckets that are written out rather than skipped: as in client_golang, a new span costs as much as two.
const WRITTEN_OUT: i32 = 2;

#[derive(Clone, PartialEq, Message)]
pub(super) struct MetricFamily {
    #[prost(string, optional, tag = "1")]
    pub(super) name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(super) help: Option<String>,
    #[prost(enumeration = "MetricType", optional, tag = "3")]
    pub(super) r#type: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    pub(super) metric: Vec<Metric>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum MetricType {
    Counter = 0,
    Gauge = 1,
    Summary = 2,
    Histogram = 4,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Metric {
    #[prost(message, repeated, tag = "1")]
    pub(super) label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    pub(super) gauge: Option<Gauge>,
    #[prost(message, optional, tag = "3")]
    pub(super) counter: Option<Counter>,
    #[prost(message, optional, tag = "4")]
    pub(super) summary: Option<Summary>,
    #[prost(message, optional, boxed, tag = "7")]
    pub(super) histogram: Option<Box<NativeHistogram>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LabelPair {
    #[prost(string, optional, tag = "1")]
    pub(super) name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(super) value: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Gauge {
    #[prost(double, optional, tag = "1")]
    pub(super) value: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Counter {
    #[prost(double, optional, tag = "1")]
    pub(super) value: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Summary {
    #[prost(uint64, optional, tag = "1")]
    pub(super) sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub(super) sample_sum: Option<f64>,
}

/// `Histogram` of the format, with its classic and its native buckets.
#[derive(Clone, PartialEq, Message)]
pub(super) struct NativeHistogram {
    #[prost(uint64, optional, tag = "1")]
    pub(super) sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub(super) sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    pub(super) bucket: Vec<Bucket>,
    #[prost(sint32, optional, tag = "5")]
    pub(super) schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    pub(super) zero_threshold: Option<f64>,
    #[prost(uint64, optional, tag = "7")]
    pub(super) zero_count: Option<u64>,
    #[prost(message, repeated, tag = "12")]
    pub(super) positive_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, packed = "false", tag = "13")]
    pub(super) positive_delta: Vec<i64>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    pub(super) cumulative_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub(super) upper_bound: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct BucketSpan {
    #[prost(sint32, optional, tag = "1")]
    pub(super) offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    pub(super) length: Option<u32>,
}

/// `samples` of the family `head` as one message behind its length.
pub(super) fn delimited(head: &Head, samples: Vec<Sample>) -> Vec<u8> {
    let kind = match head.kind {
        Kind::Gauge => MetricType::Gauge,
        Kind::Counter => MetricType::Counter,
        Kind::Summary => MetricType::Summary,
        Kind::Histogram => MetricType::Histogram,
    };
    let message = MetricFamily {
        name: Some(head.name.clone()),
        help: Some(head.help.clone()),
        r#type: Some(kind.into()),
        metric: samples.into_iter().map(|sample| metric(head.kind, sample)).collect(),
    };
    message.encode_length_delimited_to_vec()
}

fn metric(kind: Kind, sample: Sample) -> Metric {
    let mut metric = Metric { label: pairs(sample.labels), ..Metric::default() };
    match sample.value {
        Value::Number(value) if kind == Kind::Counter => metric.counter = Some(Counter { value: Some(value) }),
        Value::Number(value) => metric.gauge = Some(Gauge { value: Some(value) }),
        Value::Sum(sum) => {
            metric.summary = Some(Summary { sample_count: Some(sum.count), sample_sum: Some(sum.seconds) });
        }
        Value::Distribution(histogram) => metric.histogram = Some(Box::new(both(&histogram))),
    }
    metric
}

fn pairs(labels: Labels) -> Vec<LabelPair> {
    labels.into_iter().map(|(name, value)| LabelPair { name: Some(name.to_owned()), value: Some(value) }).collect()
}

/// A distribution with the classic buckets, for who asks for these as well, and the native ones.
fn both(histogram: &Histogram) -> NativeHistogram {
    let buckets =
        histogram.cumulative().map(|(bound, below)| Bucket { cumulative_count: Some(below), upper_bound: Some(bound) });
    let (positive_span, positive_delta) = spans(histogram.native());
    NativeHistogram {
        sample_count: Some(histogram.count()),
        sample_sum: Some(histogram.sum()),
        bucket: buckets.collect(),
        schema: Some(Histogram::SCHEMA),
        zero_threshold: Some(ZERO_THRESHOLD),
        zero_count: Some(0),
        positive_span,
        positive_delta,
    }
}

/// Runs of neighbouring buckets, each with its distance to the one before (the first: its index), and the count of each
/// bucket as the difference to the bucket before.
fn spans(buckets: impl Iterator<Item = (i32, u64)>) -> (Vec<BucketSpan>, Vec<i64>) {
    let (mut spans, mut deltas) = (Vec::<BucketSpan>::new(), Vec::new());
    let (mut next, mut before) = (0, 0);
    for (index, count) in buckets {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let gap = index - next;
        let empty = if spans.is_empty() || gap > WRITTEN_OUT { 0 } else { gap };
        for count in std::iter::repeat_n(0, usize::try_from(empty).unwrap_or(0)).chain([count]) {
            deltas.push(count - before);
            before = count;
        }
        let grown = u32::try_from(empty).unwrap_or(0) + 1;
        match spans.last_mut().filter(|_| gap <= WRITTEN_OUT) {
            Some(span) => span.length = span.length.map(|length| length + grown),
            None => spans.push(BucketSpan { offset: Some(gap), length: Some(grown) }),
        }
        next = index + 1;
    }
    (spans, deltas)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn read(spans: &[BucketSpan], deltas: &[i64]) -> BTreeMap<i32, u64> {
        let (mut index, mut count, mut deltas) = (0, 0, deltas.iter());
        let mut found = BTreeMap::new();
        for span in spans {
            index += span.offset.unwrap();
            for _ in 0..span.length.unwrap() {
                count += deltas.next().unwrap();
                found.insert(index, u64::try_from(count).unwrap());
                index += 1;
            }
        }
        assert!(deltas.next().is_none(), "more counts than buckets");
        found.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    #[test]
    fn neighbours_share_a_span_and_what_is_far_begins_another() {
        let (runs, deltas) = spans([(-5, 3), (-4, 1), (-1, 7), (9, 2)].into_iter());

        let shown: Vec<_> = runs.iter().map(|span| (span.offset.unwrap(), span.length.unwrap())).collect();
        assert_eq!(shown, [(-5, 5), (9, 1)]);
        assert_eq!(deltas, [3, -2, -1, 0, 7, -5]);
    }

    proptest! {
        #[test]
        fn every_set_of_buckets_is_read_as_it_was(buckets: BTreeMap<i8, u32>) {
            let buckets: BTreeMap<i32, u64> =
                buckets.into_iter().filter(|(_, n)| *n > 0).map(|(at, n)| (i32::from(at), u64::from(n))).collect();
            let (runs, deltas) = spans(buckets.clone().into_iter());

            prop_assert_eq!(read(&runs, &deltas), buckets);
        }
    }
}
