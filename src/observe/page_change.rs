//! What webhooks did and lists read at one apiserver between its latest two pages of metrics.
//!
//! Pages are minutes apart and hold hundreds of names: the few with the most are kept, with the times they are between.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::model::apiserver_metrics::{ApiserverMetrics, Listed, WebhookCounts};
use crate::model::time::Now;

/// Webhooks and resources kept: a mail names three.
const MOST: usize = 6;

/// What was counted between two pages of one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageChange {
    /// When the former was asked for.
    pub from: Now,
    /// When the latter was.
    pub until: Now,
    /// Webhooks that were called, those first that could not be, then by the time that they took.
    pub webhooks: Vec<(String, WebhookCounts)>,
    /// Resources of which lists read objects, those with the most first.
    pub listed: Vec<(String, Listed)>,
    /// Objects of all resources that lists read.
    pub listed_in_all: u64,
}

impl PageChange {
    /// From one page to the next. What a page does not name had not been counted then.
    #[must_use]
    pub fn between((from, before): (Now, &ApiserverMetrics), (until, page): (Now, &ApiserverMetrics)) -> Self {
        let webhook = |(name, counts): (&String, &WebhookCounts)| {
            (name.clone(), counts.since(before.webhooks.get(name).copied().unwrap_or_default()))
        };
        let mut webhooks: Vec<_> = page.webhooks.iter().map(webhook).filter(|(_, counts)| counts.calls > 0).collect();
        webhooks.sort_by_key(|(_, counts)| Reverse((counts.failures(), counts.millis)));
        webhooks.truncate(MOST);

        let resource = |(name, counts): (&String, &Listed)| {
            (name.clone(), counts.since(before.listed.get(name).copied().unwrap_or_default()))
        };
        let mut listed: Vec<_> = page.listed.iter().map(resource).filter(|(_, counts)| counts.all() > 0).collect();
        let listed_in_all = listed.iter().map(|(_, counts)| counts.all()).fold(0, u64::saturating_add);
        listed.sort_by_key(|(_, counts)| Reverse(counts.all()));
        listed.truncate(MOST);
        Self { from, until, webhooks, listed, listed_in_all }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::time::{Mono, UnixTime};

    const START: Now = Now { mono: Mono::ORIGIN, wall: UnixTime::from_secs(1_700_000_000) };

    fn between(before: &ApiserverMetrics, page: &ApiserverMetrics) -> PageChange {
        PageChange::between((START, before), (START.plus(Duration::from_secs(60)), page))
    }

    fn webhook(calls: u64, millis: u64, not_called: u64) -> WebhookCounts {
        WebhookCounts { calls, millis, not_called, failed_open: 0 }
    }

    #[test]
    fn only_what_rose_counts_and_what_was_not_there_before_rose_from_nothing() {
        let with = |webhooks: &[(&str, WebhookCounts)], listed: &[(&str, u64, u64)]| ApiserverMetrics {
            webhooks: webhooks.iter().map(|(name, counts)| ((*name).to_owned(), *counts)).collect(),
            listed: listed
                .iter()
                .map(|(name, from_etcd, from_cache)| {
                    ((*name).to_owned(), Listed { from_etcd: *from_etcd, from_cache: *from_cache })
                })
                .collect(),
            ..ApiserverMetrics::default()
        };
        let before = with(&[("busy", webhook(100, 900, 3)), ("idle", webhook(7, 7000, 9))], &[("pods", 5, 5)]);
        let after = with(
            &[("busy", webhook(300, 90_000, 3)), ("idle", webhook(7, 7000, 9)), ("new", webhook(2, 8000, 2))],
            &[("pods", 6, 5), ("configmaps", 0, 900)],
        );

        let change = between(&before, &after);

        let expected = [("new".to_owned(), webhook(2, 8000, 2)), ("busy".to_owned(), webhook(200, 89_100, 0))];
        assert_eq!(change.webhooks, expected, "those first that could not be called");
        let names: Vec<_> = change.listed.iter().map(|(name, counts)| (name.as_str(), counts.all())).collect();
        assert_eq!((names, change.listed_in_all), (vec![("configmaps", 900), ("pods", 1)], 901));
    }

    #[test]
    fn a_page_of_many_names_leaves_a_few() {
        let many = |count| ApiserverMetrics {
            webhooks: (0..100).map(|n| (format!("w{n}"), webhook(count, count, 0))).collect(),
            listed: (0..100).map(|n| (format!("r{n}"), Listed { from_etcd: count, from_cache: 0 })).collect(),
            ..ApiserverMetrics::default()
        };

        let change = between(&many(1), &many(3));

        assert_eq!((change.webhooks.len(), change.listed.len(), change.listed_in_all), (MOST, MOST, 200));
    }
}
