//! The samples of a family, and what a family is beside them: what both formats are written from.

use crate::model::histogram::Histogram;
use crate::model::subject::Subject;
use crate::model::tally::Sum;

/// A family without its samples.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) name: String,
    pub(super) help: String,
    pub(super) kind: Kind,
}

/// What the values of a family are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A value that goes up and down.
    Gauge,
    /// A value that only rises while the process lives.
    Counter,
    /// A count and a sum.
    Summary,
    /// A distribution.
    Histogram,
}

/// One value with its labels.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) labels: Labels,
    pub(super) value: Value,
}

/// A value of its family's [`Kind`].
#[derive(Debug)]
pub(super) enum Value {
    /// Of a gauge or counter.
    Number(f64),
    /// Of a summary.
    Sum(Sum),
    /// Of a histogram.
    Distribution(Histogram),
}

/// Labels of one sample, in reading order.
#[derive(Debug, Clone, Default)]
pub struct Labels(Vec<(&'static str, String)>);

impl Labels {
    /// The identity of a subject: cluster, component, etcd cluster, instance, as far as it has them.
    #[must_use]
    pub fn of(subject: &Subject) -> Self {
        let mut labels = Self::default();
        if let Some(cluster) = subject.cluster() {
            labels = labels.with("cluster", cluster.as_str());
        }
        labels = labels.with("component", subject.component());
        subject.labels().into_iter().fold(labels, |labels, (name, value)| labels.with(name, value))
    }

    /// These labels and one more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.push((name, value.into()));
        self
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
