//! Which resources an overload is about, by the latest pages of metrics: what lists read, and what is watched.
//!
//! The page counts by resource and knows no user, so that it never says who. It also comes minutes apart, and none while
//! an overload is suspected: each figure bears its time.

use std::cmp::Reverse;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::who::Who;
use crate::judge::context::RuleContext;
use crate::judge::{pages, phrases};
use crate::model::addresses::Addresses;
use crate::model::apiserver_metrics::Listed;
use crate::model::subject::Subject;
use crate::model::time::UnixTime;

/// How old a page may be: two instances are asked in turn, once a minute, and none while requests are slow.
const DECIDES_FOR: Duration = Duration::from_secs(300);

/// As many objects as this between two pages are what lists always read: the controllers of an idle cluster read some
/// hundreds.
const FEW_OBJECTS: u64 = 10_000;

/// Fewer open watches are no storm: an apiserver of a small cluster has some 300, each node adds about ten.
const FEW_WATCHES: u64 = 1_000;

/// Resources that one mail names.
const NAMED: usize = 3;

/// What the pages show; nothing where they are too old, or nothing stands out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Resources {
    /// What lists read.
    pub lists: Option<Lists>,
    /// What is watched.
    pub watches: Option<Watches>,
}

/// Objects that lists read at the instance where they read most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lists {
    /// Where.
    pub instance: Subject,
    /// Between two pages that were asked for at these times.
    pub between: (UnixTime, UnixTime),
    /// By resource, those with the most first.
    pub resources: Vec<(String, Listed)>,
    /// Of all resources together.
    pub of: u64,
}

/// Open watches at the instance that has most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watches {
    /// Where.
    pub instance: Subject,
    /// By a page that was asked for then.
    pub at: UnixTime,
    /// By resource, those with the most first.
    pub resources: Vec<(String, u64)>,
    /// Of all resources together.
    pub of: u64,
}

impl Resources {
    /// What the latest pages show.
    pub(super) fn of(context: &RuleContext<'_>) -> Self {
        let known = pages::instances(context).into_iter().filter_map(|(instance, known)| Some((instance, known.ok()?)));
        let known: Vec<_> = known
            .filter(|(_, known)| known.latest().is_some_and(|(at, _)| context.now.since(*at) <= DECIDES_FOR))
            .collect();
        let lists = known.iter().filter_map(|(instance, known)| {
            let change = known.change().filter(|change| change.listed_in_all >= FEW_OBJECTS)?;
            Some(Lists {
                instance: instance.clone(),
                between: (change.from.wall, change.until.wall),
                resources: change.listed.iter().take(NAMED).cloned().collect(),
                of: change.listed_in_all,
            })
        });
        let watches = known.iter().filter_map(|(instance, known)| {
            let (at, page) = known.latest()?;
            let of = page.watches.values().copied().fold(0, u64::saturating_add);
            let mut resources: Vec<(String, u64)> =
                page.watches.iter().map(|(name, open)| (name.clone(), *open)).filter(|(_, open)| *open > 0).collect();
            resources.sort_by_key(|(_, open)| Reverse(*open));
            resources.truncate(NAMED);
            (of >= FEW_WATCHES).then(|| Watches { instance: instance.clone(), at: at.wall, resources, of })
        });
        Self { lists: lists.max_by_key(|lists| lists.of), watches: watches.max_by_key(|watches| watches.of) }
    }

    /// This, after `before` was known: pages stop while the overload lasts.
    pub(super) fn after(self, before: Option<&Self>) -> Self {
        let Some(before) = before else { return self };
        Self {
            lists: self.lists.or_else(|| before.lists.clone()),
            watches: self.watches.or_else(|| before.watches.clone()),
        }
    }

    /// What a mail says of them beside `who`, one sentence each without its full stop.
    pub(super) fn items(&self, who: &Who, addresses: &Addresses) -> Vec<String> {
        let lists = self.lists.as_ref().map(|lists| lists.words(who, addresses));
        // Watches are nobody's seats: they matter where the requests that wait explain nothing.
        let is_dark = who.culprits().is_empty();
        let watches = self.watches.as_ref().filter(|_| is_dark).map(|watches| watches.words(addresses));
        lists.into_iter().chain(watches).collect()
    }
}

impl Lists {
    /// The resource of which more than half of all was read.
    fn main(&self) -> Option<&str> {
        let (name, counts) = self.resources.first()?;
        (counts.all().saturating_mul(2) > self.of).then_some(name)
    }

    fn words(&self, who: &Who, addresses: &Addresses) -> String {
        let each = |(name, counts): &(String, Listed)| {
            let source = match (counts.from_etcd, counts.from_cache) {
                (_, 0) => "from etcd".to_owned(),
                (0, _) => "from the watch cache".to_owned(),
                (etcd, cache) => format!("{etcd} from etcd, {cache} from the watch cache"),
            };
            format!("{} {name} ({} %, {source})", counts.all(), percent(counts.all(), self.of))
        };
        let each: Vec<String> = self.resources.iter().map(each).collect();
        let (from, until) = self.between;
        let place = phrases::place(&self.instance, addresses);
        let read = format!("lists at {place} read, from {from} to {until}: {}", phrases::list(&each));
        let Some(main) = self.main() else { return read };
        let lists_it = |what: &str| what.split('/').next() == Some(main);
        let culprit = who.culprits().iter().find(|one| one.sender.verb == "list" && lists_it(&one.sender.what));
        match culprit {
            Some(culprit) => format!("{read}; probably {} (the page of metrics knows no user)", culprit.sender.user),
            None if who.culprits().is_empty() => {
                format!(
                    "{read}; the load is probably lists of {main}, user not visible (the page of metrics knows none)"
                )
            }
            None => read,
        }
    }
}

impl Watches {
    fn words(&self, addresses: &Addresses) -> String {
        let each: Vec<String> = self.resources.iter().map(|(name, open)| format!("watch {name}: {open}")).collect();
        format!(
            "{} watches were open at {} at {}, user not visible: {}",
            self.of,
            phrases::place(&self.instance, addresses),
            self.at,
            phrases::list(&each)
        )
    }
}

fn percent(part: u64, of: u64) -> u64 {
    part.saturating_mul(100).checked_div(of).unwrap_or(0)
}
