//! One metric family under construction, and the labels of its samples.
//!
//! Samples become text a few at a time: as text they take a fraction of the room, and a page can have millions.

use prometheus::proto::{self, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

use crate::model::subject::Subject;
use crate::model::tally::Histogram;
use crate::model::time::UnixTime;

/// Samples that become text together.
const TOGETHER: usize = 64;

/// A metric family that collects its samples.
#[derive(Debug)]
pub struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    is_begun: bool,
    metrics: Vec<Metric>,
    text: Vec<u8>,
    fault: Option<prometheus::Error>,
}

/// Labels of one sample, in reading order.
#[derive(Debug, Clone, Default)]
pub struct Labels(Vec<(&'static str, String)>);

impl Family {
    /// A value that goes up and down.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, MetricType::GAUGE)
    }

    /// A value that only rises while the process lives.
    #[must_use]
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, MetricType::COUNTER)
    }

    /// Distributions over [`Histogram::BOUNDS`].
    #[must_use]
    pub const fn histogram(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, MetricType::HISTOGRAM)
    }

    const fn new(name: &'static str, help: &'static str, kind: MetricType) -> Self {
        Self { name, help, kind, is_begun: false, metrics: Vec::new(), text: Vec::new(), fault: None }
    }

    /// This family, whose help and type were written before its first samples, elsewhere.
    #[must_use]
    pub const fn continued(mut self) -> Self {
        self.is_begun = true;
        self
    }

    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.metrics.is_empty() && self.text.is_empty()
    }

    /// Adds one sample of a gauge or counter.
    pub fn sample(&mut self, labels: &Labels, value: f64) {
        let mut metric = Metric::from_label(labels.pairs());
        if self.kind == MetricType::COUNTER {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.add(metric);
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

    /// Adds one distribution.
    pub fn distribution(&mut self, labels: &Labels, histogram: &Histogram) {
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
        let mut metric = Metric::from_label(labels.pairs());
        metric.set_histogram(drawn);
        self.add(metric);
    }

    /// This family with one sample that has no labels.
    #[must_use]
    pub fn alone(mut self, value: Option<f64>) -> Self {
        self.known(&Labels::default(), value);
        self
    }

    /// Its text in the Prometheus text format 0.0.4; empty without a sample.
    ///
    /// # Errors
    /// When it has no name.
    pub fn finish(mut self) -> prometheus::Result<Vec<u8>> {
        self.write();
        self.fault.map_or(Ok(self.text), Err)
    }

    fn add(&mut self, metric: Metric) {
        self.metrics.push(metric);
        if self.metrics.len() >= TOGETHER {
            self.write();
        }
    }

    fn write(&mut self) {
        if self.metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind);
        family.set_metric(std::mem::take(&mut self.metrics));
        match encode(&[family]) {
            Ok(text) => self.text.extend_from_slice(if self.is_begun { without_head(&text) } else { &text }),
            Err(fault) => self.fault = Some(fault),
        }
        self.is_begun = true;
    }
}

/// The families in the Prometheus text format 0.0.4.
///
/// # Errors
/// When a family has no name or no sample.
pub fn encode(families: &[MetricFamily]) -> prometheus::Result<Vec<u8>> {
    let mut text = Vec::new();
    TextEncoder::new().encode(families, &mut text)?;
    Ok(text)
}

/// The text of a family that is continued: its help and type may appear only once.
fn without_head(mut text: &[u8]) -> &[u8] {
    while text.starts_with(b"# ") {
        text = text.iter().position(|byte| *byte == b'\n').and_then(|end| text.get(end + 1..)).unwrap_or_default();
    }
    text
}

impl Labels {
    /// The identity of a subject: cluster, component, etcd cluster, instance, as far as it has them.
    ///
    /// A member bears the name of its etcd cluster as well, because two of them may use the same member names.
    #[must_use]
    pub fn of(subject: &Subject) -> Self {
        let mut labels = Self::default();
        if let Some(cluster) = subject.cluster() {
            labels = labels.with("cluster", cluster.as_str());
        }
        labels = labels.with("component", subject.component());
        match subject {
            Subject::Etcd(_, etcd) => labels.with("etcd", etcd.as_str()),
            Subject::EtcdMember(_, etcd, member) => {
                labels.with("etcd", etcd.as_str()).with("instance", member.as_str())
            }
            Subject::Vip(_)
            | Subject::Apiserver(..)
            | Subject::Reference(_)
            | Subject::Resolver(_)
            | Subject::Proxy(_) => labels.with("instance", subject.short()),
            Subject::Stored(_, name) => labels.with("item", name.as_str()),
            Subject::Chain(_, etcd, reason) => match etcd {
                Some(etcd) => labels.with("etcd", etcd.as_str()).with("item", reason.as_str()),
                None => labels.with("item", reason.as_str()),
            },
            Subject::Vantage | Subject::Cluster(_) => labels,
        }
    }

    /// These labels and one more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.push((name, value.into()));
        self
    }

    fn pairs(&self) -> Vec<LabelPair> {
        self.0
            .iter()
            .map(|(name, value)| {
                let mut pair = LabelPair::default();
                pair.set_name((*name).to_owned());
                pair.set_value(value.clone());
                pair
            })
            .collect()
    }
}

impl FromIterator<(&'static str, String)> for Labels {
    fn from_iter<T: IntoIterator<Item = (&'static str, String)>>(pairs: T) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl IntoIterator for Labels {
    type Item = (&'static str, String);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
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
