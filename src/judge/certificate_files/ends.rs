//! Which certificates and tokens in files end, and what becomes of those that were reported.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::judge::context::RuleContext;
use crate::judge::expiry::level;
use crate::judge::expiry::thresholds::Thresholds;
use crate::model::certificate::{Class, Fingerprint};
use crate::model::certificate_files::{Held, ItemKind, Life};
use crate::model::flat_map::FlatMap;
use crate::model::inventory::FileWatch;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::{Name, Subject};
use crate::model::time::UnixTime;
use crate::model::verdict::{ExpiryThreshold, Finding, Verdict, Why};
use crate::observe::certificate_files::FilesView;

use super::item::StoredExpiry;
use super::spare::Depended;

/// Findings about single items in one cluster, the first to end first; the others are in the metrics and on the status
/// page. An item that was reported once keeps its verdict, so that one that ends sooner does not resolve its alarm.
const MAX_FINDINGS: usize = 64;
/// Paths kept as evidence.
pub(super) const MAX_PATHS: usize = 16;
/// A little more than the earliest notice: an item that ends later is in no band.
const HORIZON: Duration = Duration::from_secs(731 * 86_400);
/// Items that were made together end together: bands are entered on this grid, a little early, so that one mail has
/// them all.
const GRID: Duration = Duration::from_secs(3600);

/// The files of one cluster, or of the vantage, under evaluation.
pub(super) struct Watched<'a> {
    pub(super) context: &'a RuleContext<'a>,
    pub(super) scope: Option<&'a Name>,
    pub(super) watches: &'a FlatMap<Name, FileWatch>,
    pub(super) files_view: Option<&'a FilesView>,
    pub(super) is_clock_trusted: bool,
    pub(super) depended: Depended<'a>,
}

impl Watched<'_> {
    pub(super) fn subject(&self, name: Name) -> Subject {
        Subject::Stored(self.scope.cloned(), name)
    }

    /// A verdict for the first items to end, and for every item that was raised and of which a source is watched still.
    pub(super) fn ends(&self) -> Vec<(Subject, Verdict)> {
        let raised: BTreeMap<&Subject, Option<&StoredExpiry>> =
            self.context.raised(RuleId::F28).map(|finding| (&finding.subject, finding.seen())).collect();
        let mut verdicts = BTreeMap::new();
        if let Some(files_view) = self.files_view {
            let judged_as_served = served_first(self.context);
            for held in files_view.reading().held() {
                let Some(life) = held.item().life else { break };
                if life.not_after > self.context.now.wall.plus(HORIZON) || verdicts.len() >= MAX_FINDINGS {
                    break;
                }
                let fingerprint = held.item().fingerprint;
                let subject = self.subject(name_of(fingerprint));
                // An item that was reported as stored stays so, even where an endpoint serves it since.
                if judged_as_served.contains(&fingerprint) && !raised.contains_key(&subject) {
                    continue;
                }
                if let Some(verdict) = self.end(files_view, &subject, held, life) {
                    verdicts.insert(subject, verdict);
                }
            }
        }
        for (subject, evidence) in raised {
            if !verdicts.contains_key(subject)
                && let Some(verdict) = evidence.and_then(|evidence| self.raised_end(subject, evidence))
            {
                verdicts.insert(subject.clone(), verdict);
            }
        }
        verdicts.into_iter().collect()
    }

    /// The verdict about an item that is in a file; `None` when there is nothing to report.
    fn end(&self, files_view: &FilesView, subject: &Subject, held: Held<'_>, life: Life) -> Option<Verdict> {
        if !held.places().any(|(source, _, _)| self.watches.contains_key(&source.name)) {
            return None;
        }
        let evidence = in_band(self.context, files_view, held, life, &self.depended, |name| self.watches.get(name))?;
        if !self.is_clock_trusted {
            return Some(Verdict::Unknown(Why::Vantage));
        }
        let is_leftover = is_replaced_where_served(self.context, held);
        Some(Verdict::Bad(finding(subject.clone(), evidence, is_leftover, files_view)))
    }

    /// What becomes of an item that was raised and is none of the first to end. It is over when it was replaced beside
    /// itself, or when all sources that held it were read and it is in no file any more.
    fn raised_end(&self, subject: &Subject, evidence: &StoredExpiry) -> Option<Verdict> {
        let StoredExpiry { fingerprint, not_after, sources, paths, more, .. } = evidence;
        // Where not all files are known by name, any could be one of them.
        let paths = if *more > 0 { &[][..] } else { paths.as_slice() };
        let mut holders = sources.iter().filter(|source| self.watches.contains_key(*source)).peekable();
        if holders.peek().is_none() && !sources.is_empty() {
            return None;
        }
        let Some(files_view) = self.files_view else { return Some(Verdict::Unknown(Why::NeverSeen)) };
        let may_be_hidden = if sources.is_empty() {
            files_view.may_hide(None, paths)
        } else {
            holders.any(|source| files_view.may_hide(Some(source), paths))
        };
        match files_view.reading().find(*fingerprint, *not_after) {
            Some(held) => {
                let verdict = held.item().life.and_then(|life| self.end(files_view, subject, held, life));
                Some(verdict.unwrap_or_else(|| self.over(files_view, sources)))
            }
            None if may_be_hidden => Some(Verdict::Unknown(Why::Unclear)),
            None => Some(self.over(files_view, sources)),
        }
    }

    /// An all-clear by the probes at `sources`, or at all where none is named.
    fn over(&self, files_view: &FilesView, sources: &[Name]) -> Verdict {
        if !self.is_clock_trusted {
            return Verdict::Unknown(Why::Vantage);
        }
        let concerned =
            files_view.source_states().iter().filter(|(name, _)| sources.is_empty() || sources.contains(name));
        let probes = concerned.map(|(_, subject_state)| (subject_state.since, subject_state.probes));
        let all = probes.reduce(|all, one| (if one.0.mono > all.0.mono { one.0 } else { all.0 }, all.1.min(one.1)));
        all.map_or(Verdict::Unknown(Why::Unclear), |(since, probes)| Verdict::Good {
            since,
            until: files_view.at(),
            probes,
        })
    }
}

/// Fingerprints that F26 evaluates, in all files.
fn served_first(context: &RuleContext<'_>) -> BTreeSet<Fingerprint> {
    let endpoints = context.served_endpoints();
    let seen = endpoints.iter().filter_map(|endpoint| context.view.served(endpoint));
    seen.filter_map(|seen| seen.served.earliest()).map(|first| first.fingerprint).collect()
}

/// Whether the endpoint serves a newer one than the stored item, which then is a leftover on which nobody has to act.
fn is_replaced_where_served(context: &RuleContext<'_>, held: Held<'_>) -> bool {
    let item = held.item();
    let is_newer = |endpoint: &Subject| {
        context.view.served(endpoint).and_then(|seen| seen.served.leaf()).is_some_and(|leaf| {
            let has_same_key = item.key.is_some() && leaf.key.and_then(|key| key.beginning()) == item.key;
            (leaf.identity() == item.identity || has_same_key)
                && item.life.is_some_and(|life| leaf.not_after > life.not_after)
        })
    };
    item.kind == ItemKind::Leaf && context.served_endpoints().iter().any(is_newer)
}

fn in_band<'a>(
    context: &RuleContext<'_>,
    files_view: &FilesView,
    held: Held<'_>,
    life: Life,
    depended: &Depended<'_>,
    watch: impl Fn(&Name) -> Option<&'a FileWatch>,
) -> Option<StoredExpiry> {
    let item = held.item();
    let watches = || held.places().filter_map(|(source, _, _)| watch(&source.name));
    let own = watches().find_map(|watch| watch.own.clone());
    let is_nobodys = own.is_none() && held.is_superseded() || !held.is_current() && held.is_foreign();
    if is_nobodys && !depended.is_on(item.fingerprint) {
        return None;
    }
    // A listed file has a configured class; for our own credentials none can be configured.
    let said = watches().find(|watch| watch.own.is_none()).or_else(|| watches().next());
    let class = said.map_or(Class::Manual, |watch| watch.certificates);
    let thresholds = if item.kind == ItemKind::Authority { Thresholds::Authority } else { Thresholds::Leaf(class) };
    let renewed_at = said.and_then(|watch| watch.renewed_at_permille);
    let band = thresholds.band_of(life.not_before, life.not_after, renewed_at, context.now.wall).or_else(|| {
        let soon = next_on_grid(context.now.wall, life);
        // Expiry itself is reported when it comes, and not before.
        thresholds
            .band_of(life.not_before, life.not_after, renewed_at, soon)
            .map(|band| band.min(ExpiryThreshold::Page))
    })?;
    let (paths, more) = files_view.paths(item.fingerprint, life.not_after, MAX_PATHS);
    let read: Option<UnixTime> = held
        .places()
        .all(|(source, file, _)| source.fault.is_some() || file.fault.is_some())
        .then(|| held.places().filter_map(|(_, file, _)| file.fault?.last_read).max().unwrap_or(context.now.wall));
    Some(StoredExpiry {
        fingerprint: item.fingerprint,
        holder: item.holder.to_string(),
        issuer: item.issuer.to_string(),
        not_after: life.not_after,
        band,
        class,
        kind: held.places().map(|(_, _, item)| item.kind).max().unwrap_or(item.kind),
        own: own.map(Box::new),
        paths,
        more,
        sources: held
            .places()
            .map(|(source, _, _)| &source.name)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .cloned()
            .collect(),
        last_read: read,
        is_spare: depended.is_spare(context, held),
    })
}

fn finding(subject: Subject, evidence: StoredExpiry, is_leftover: bool, files_view: &FilesView) -> Finding {
    Finding {
        rule: RuleId::F28,
        subject,
        level: if is_leftover || evidence.is_spare { Level::Info } else { level(evidence.band) },
        since: files_view.at().wall,
        hold: Duration::ZERO,
        path_unproven: false,
        evidence: Arc::new(evidence),
    }
}

/// The next full hour; for a short life a finer grid, which its bands need.
fn next_on_grid(now: UnixTime, life: Life) -> UnixTime {
    let lived = life.not_after.since(life.not_before);
    let grid = i64::try_from(GRID.min(lived / 2_000).as_millis()).unwrap_or(1).max(1);
    UnixTime::from_millis(now.as_millis().div_euclid(grid).saturating_add(1).saturating_mul(grid))
}

fn name_of(fingerprint: Fingerprint) -> Name {
    fingerprint.short().parse().expect("16 hex digits are a name")
}
