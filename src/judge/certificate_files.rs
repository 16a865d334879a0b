//! F28: a certificate, CA or token in a file ends soon or has ended, or watched files cannot be read.
//!
//! What an endpoint serves is reported by F26, and so is the same certificate on disk. What was replaced beside itself
//! (the dated files of a kubelet, a backup) is not reported. Our own credentials are reported as such.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::certificate::{Class, Fingerprint};
use crate::model::certificate_files::{Held, ItemKind, Life, SourceReading};
use crate::model::inventory::{FileWatch, Own, OwnPart, Towards};
use crate::model::rule::{Level, RuleId};
use crate::model::subject::{Name, Subject};
use crate::model::time::UnixTime;
use crate::model::verdict::{Evidence, ExpiryThreshold, Finding, Verdict, Why};
use crate::observe::certificate_files::{FilesView, SourceState};

use super::commands::{Command, Commands};
use super::context::RuleContext;
use super::edges::Edge;
use super::expiry::level;
use super::expiry::thresholds::Thresholds;
use super::words::Words;
use super::{Rule, phrases};
use crate::model::addresses::Addresses;
use spare::Depended;

mod spare;

/// F28: something in a file reaches its end, or cannot be read.
pub struct StoredEnds;

/// Findings about single items in one cluster, the first to end first; the others are in the metrics and on the status
/// page. An item that was reported once keeps its verdict, so that one that ends sooner does not resolve its alarm.
const MAX_FINDINGS: usize = 64;
/// Paths kept as evidence.
const MAX_PATHS: usize = 16;
/// A little more than the earliest notice: an item that ends later is in no band.
const HORIZON: Duration = Duration::from_secs(731 * 86_400);
/// Items that were made together end together: bands are entered on this grid, a little early, so that one mail has
/// them all.
const GRID: Duration = Duration::from_secs(3600);

impl Words for StoredEnds {
    fn id(&self) -> RuleId {
        RuleId::F28
    }

    fn title(&self) -> &'static str {
        "certificate or token in a file expires soon, has expired, or cannot be read"
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "other evidence is of other rules")]
    fn headline(&self, finding: &Finding) -> String {
        match &finding.evidence {
            Evidence::Stored { own: Some(own), .. } => match own.part {
                OwnPart::Client => format!("vedette's certificate{}: expiry", towards(own, 9)),
                OwnPart::Token => format!("vedette's token{}: expiry", towards(own, 12)),
                OwnPart::Authority => format!("trusted CA{}: expiry", towards(own, 16)),
            },
            Evidence::Stored { kind, holder, .. } => {
                let whose = phrases::fit(&common_name(holder), 22);
                match kind {
                    ItemKind::Authority => format!("CA {whose}: expiry"),
                    ItemKind::KubeconfigClient => format!("kubeconfig of {whose}: expiry"),
                    ItemKind::TalosClient => format!("talosconfig of {whose}: expiry"),
                    ItemKind::KubeconfigToken | ItemKind::Token => format!("token of {whose}: expiry"),
                    ItemKind::Client => format!("client certificate {whose}: expiry"),
                    ItemKind::Leaf => format!("certificate file {whose}: expiry"),
                }
            }
            Evidence::Unread { path, .. } => format!("cannot read {}", phrases::fit(path, 36)),
            _ => "certificate or token in a file: expiry".into(),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "other evidence is of other rules")]
    fn what(&self, finding: &Finding, _: &Addresses) -> String {
        match &finding.evidence {
            Evidence::Stored { kind, holder, not_after, band, paths, more, last_read, .. } => {
                let what = noun(*kind);
                let ends = if *band == ExpiryThreshold::Expired { "expired" } else { "expires" };
                let places = places(paths, *more);
                let seen = last_read.map_or_else(String::new, |at| {
                    format!(" The file can no longer be read; this is what it held when it was last read, at {at}.")
                });
                format!("The {what} of {holder} in {places} {ends} at {not_after}.{seen}")
            }
            Evidence::Unread { path, faults, more, last_read, first_end, .. } => {
                let named: Vec<String> =
                    faults.iter().map(|(path, fault)| format!("{path} {}", fault.words())).collect();
                let more = if *more > 0 { format!(" and {more} more") } else { String::new() };
                let read = last_read.map_or_else(
                    || " It was never read since vedette started.".to_owned(),
                    |at| format!(" It was last read at {at}."),
                );
                let end = first_end.map_or_else(String::new, |end| {
                    format!(" What was known then still counts: the first expiry is {end}.")
                });
                format!("Monitored files cannot be read: {}{more} (configured as {path}).{read}{end}", named.join("; "))
            }
            _ => "A certificate or token in a file expires.".into(),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "other evidence is of other rules")]
    fn impact(&self, finding: &Finding) -> String {
        match &finding.evidence {
            Evidence::Stored { is_spare: true, .. } => {
                "Nothing: its successor is in the same bundle, and no chain that was verified depends on it.".into()
            }
            Evidence::Stored { own: Some(own), band, .. } => {
                let from = if *band == ExpiryThreshold::Expired { "Expired" } else { "When it expires" };
                format!("{from}: {}", effect(own))
            }
            Evidence::Stored { kind, band, .. } => {
                let who = match kind {
                    ItemKind::Authority => "everything signed by it is rejected by whoever trusts it, all at once",
                    ItemKind::KubeconfigClient | ItemKind::KubeconfigToken => {
                        "whoever uses this kubeconfig is locked out: people, pipelines, backups"
                    }
                    ItemKind::TalosClient => "talosctl is locked out with this talosconfig: the nodes run on",
                    ItemKind::Client => "the program that uses it is rejected by the servers it calls",
                    ItemKind::Token => "whoever uses this token gets 401",
                    ItemKind::Leaf => "clients reject whatever serves it (x509: certificate has expired)",
                };
                if *band == ExpiryThreshold::Expired {
                    format!("Expired: {who}.")
                } else {
                    format!("Nothing yet. When it expires {who}.")
                }
            }
            Evidence::Unread { own: Some(own), .. } => {
                format!("When what vedette holds in memory is lost: {}", effect(own))
            }
            Evidence::Unread { .. } => {
                "For users: nothing. Until it can be read again, neither its expiry nor a renewal is monitored.".into()
            }
            _ => "When it expires its user is locked out; an unreadable file hides that.".into(),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "other evidence is of other rules")]
    fn likely_cause(&self, finding: &Finding) -> String {
        match &finding.evidence {
            Evidence::Stored { is_spare: true, .. } => "The CA was rotated, and the one before was left in the bundle.",
            Evidence::Stored { kind: ItemKind::Authority, .. } => {
                "A CA is not renewed by itself: it must be rotated, which takes preparation. Renewing what it signed \
                 does not help."
            }
            Evidence::Stored { kind: ItemKind::TalosClient, .. } => {
                "Talos renews what is on its nodes, but no talosconfig: its owner makes a new one."
            }
            Evidence::Stored { kind, .. } if kind.is_in_kubeconfig() => {
                "A kubeconfig is a copy of a credential: renewing the original leaves its copies as they are."
            }
            Evidence::Stored { class: Class::Automatic, .. } => {
                "Configured as renewed by a program (certificates: automatic), and that is overdue: the program is \
                 stuck, or it renews another file."
            }
            Evidence::Stored { class: Class::Restart, .. } => {
                "Configured as renewed by the server when it starts (certificates: restart), and it has not been \
                 restarted since that was due."
            }
            Evidence::Stored { .. } => "Configured as manually renewed (certificates: manual) and not renewed yet.",
            Evidence::Unread { .. } => {
                "The files were moved, removed, or made unreadable for the user that vedette runs as."
            }
            _ => "Not renewed, or the file is missing or unreadable.",
        }
        .into()
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "other evidence is of other rules")]
    fn next_commands(&self, finding: &Finding, commands: &Commands<'_>) -> Vec<Command> {
        match &finding.evidence {
            Evidence::Stored { paths, kind, own, .. } => {
                let path = paths.first().map_or("FILE", String::as_str);
                let mut next = vec![match kind {
                    ItemKind::KubeconfigClient => commands.kubeconfig_certificate(path),
                    ItemKind::TalosClient => commands.talos_certificate(path),
                    ItemKind::KubeconfigToken | ItemKind::Token => commands.token_file(path),
                    ItemKind::Leaf | ItemKind::Client | ItemKind::Authority => {
                        commands.file(path, "-subject -issuer -enddate")
                    }
                }];
                let is_client = matches!(kind, ItemKind::Client | ItemKind::KubeconfigClient);
                match own.as_deref() {
                    _ if *kind == ItemKind::TalosClient => next.push(commands.talos_renew()),
                    Some(Own { towards: Towards::Apiservers, .. }) if is_client => {
                        next.push(commands.check().note("afterwards: it is read without a restart"));
                        next.extend(commands.new_credential());
                    }
                    Some(_) if *kind != ItemKind::Authority => {
                        next.push(commands.check().note("after a new one is in place; it is read without a restart"));
                    }
                    Some(_) | None => next.push(commands.expirations(&finding.subject)),
                }
                next
            }
            Evidence::Unread { faults, .. } => {
                let path = faults.first().map_or("FILE", |(path, _)| path.as_str());
                vec![commands.path_to(path), commands.check()]
            }
            _ => Vec::new(),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "other evidence is of other rules")]
    fn renewed_by(&self, finding: &Finding) -> Option<&'static str> {
        match &finding.evidence {
            Evidence::Stored { is_spare: true, .. } => {
                Some("nobody: take it out of the bundle when no client needs it")
            }
            Evidence::Stored { own: Some(_), .. } => Some("a person, by giving vedette a new one in the same place"),
            Evidence::Stored { kind: ItemKind::Authority, .. } => {
                Some("a person, by rotating this CA: new CA first, then everything it has signed")
            }
            Evidence::Stored { class: Class::Manual, .. } => Some("a person"),
            Evidence::Stored { class: Class::Automatic, .. } => {
                Some("a program (certificates: automatic), which is late: find out why")
            }
            Evidence::Stored { class: Class::Restart, .. } => {
                Some("the server itself when it starts (certificates: restart): restart it")
            }
            _ => None,
        }
    }
}

impl Rule for StoredEnds {
    fn explains(&self) -> &'static [Edge] {
        const EDGES: [Edge; 1] = [Edge::in_cluster(RuleId::F52)];
        &EDGES
    }

    /// Only a credential of ours that has ended or cannot be read makes a server refuse us.
    #[expect(clippy::wildcard_enum_match_arm, reason = "other evidence is of other rules")]
    fn is_cause(&self, finding: &Finding) -> bool {
        let proves_us = |own: &Option<Box<Own>>| own.as_ref().is_some_and(|own| own.part != OwnPart::Authority);
        match &finding.evidence {
            Evidence::Stored { own, band: ExpiryThreshold::Expired, .. } | Evidence::Unread { own, .. } => {
                proves_us(own)
            }
            _ => false,
        }
    }

    fn judge(&self, context: &RuleContext<'_>) -> Vec<(Subject, Verdict)> {
        let scope = context.cluster.map(|(name, _)| name);
        let Some(watches) = context.view.inventory().files(scope).filter(|watches| !watches.is_empty()) else {
            return Vec::new();
        };
        let is_clock_trusted = context.view.is_wall_clock_trusted(context.now.mono);
        let depended = Depended::of(context);
        let stored =
            Stored { context, scope, watches, files_view: context.view.files_view(scope), is_clock_trusted, depended };
        let mut verdicts = stored.ends();
        verdicts.extend(watches.iter().map(|(name, watch)| {
            let subject = stored.subject(name.clone());
            (subject.clone(), stored.readable(subject, name, watch))
        }));
        verdicts
    }
}

/// The files of one cluster, or of the vantage, under evaluation.
struct Stored<'a> {
    context: &'a RuleContext<'a>,
    scope: Option<&'a Name>,
    watches: &'a BTreeMap<Name, FileWatch>,
    files_view: Option<&'a FilesView>,
    is_clock_trusted: bool,
    depended: Depended<'a>,
}

impl Stored<'_> {
    fn subject(&self, name: Name) -> Subject {
        Subject::Stored(self.scope.cloned(), name)
    }

    /// A verdict for the first items to end, and for every item that was raised and of which a source is watched still.
    fn ends(&self) -> Vec<(Subject, Verdict)> {
        let raised: BTreeMap<&Subject, &Evidence> =
            self.context.raised(RuleId::F28).map(|finding| (&finding.subject, &finding.evidence)).collect();
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
                && let Some(verdict) = self.raised_end(subject, evidence)
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
    #[expect(clippy::wildcard_enum_match_arm, reason = "other evidence is of sources")]
    fn raised_end(&self, subject: &Subject, evidence: &Evidence) -> Option<Verdict> {
        let (fingerprint, not_after, sources, paths) = match evidence {
            Evidence::Stored { fingerprint, not_after, sources, paths, more, .. } => {
                // Where not all files are known by name, any could be one of them.
                (*fingerprint, *not_after, sources, if *more > 0 { &[][..] } else { paths.as_slice() })
            }
            _ => return None,
        };
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
        match files_view.reading().find(fingerprint, not_after) {
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

    fn readable(&self, subject: Subject, name: &Name, watch: &FileWatch) -> Verdict {
        let seen = self.files_view.and_then(|files_view| {
            let source = files_view.reading().sources.iter().find(|source| source.name == *name)?;
            Some((files_view, source, files_view.source_states().get(name)?))
        });
        let Some((files_view, source, subject_state)) = seen else { return Verdict::Unknown(Why::NeverSeen) };
        readable(self.context, files_view, subject, source, subject_state, watch)
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
) -> Option<Evidence> {
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
    Some(Evidence::Stored {
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

fn finding(subject: Subject, evidence: Evidence, is_leftover: bool, files_view: &FilesView) -> Finding {
    let mut finding = Finding {
        rule: RuleId::F28,
        subject,
        level: Level::Info,
        since: files_view.at().wall,
        hold: Duration::ZERO,
        path_unproven: false,
        evidence,
    };
    let is_spare = matches!(finding.evidence, Evidence::Stored { is_spare: true, .. });
    if let Some(band) = finding.band().filter(|_| !is_leftover && !is_spare) {
        finding.level = level(band);
    }
    finding
}

fn readable(
    context: &RuleContext<'_>,
    files_view: &FilesView,
    subject: Subject,
    source: &SourceReading,
    subject_state: &SourceState,
    watch: &FileWatch,
) -> Verdict {
    if !subject_state.is_faulty {
        return Verdict::Good { since: subject_state.since, until: files_view.at(), probes: subject_state.probes };
    }
    if subject_state.probes < context.policy().unread_probes {
        return Verdict::Unknown(Why::Suspected { since: subject_state.since });
    }
    let whole = source.fault.map(|fault| (watch.path.clone(), fault));
    let files = || source.files.iter().filter_map(|file| Some((file, file.fault?)));
    let all: Vec<_> =
        whole.into_iter().chain(files().map(|(file, trouble)| (file.path.to_string(), trouble.fault))).collect();
    let lives = source.files.iter().flat_map(|file| file.items.iter()).filter_map(|item| item.life);
    let first_end = lives.map(|life| life.not_after).filter(|end| !end.is_endless()).min();
    let last_read = files().filter_map(|(_, trouble)| trouble.last_read).max();
    let more = all.len().saturating_sub(MAX_PATHS);
    Verdict::Bad(Finding {
        rule: RuleId::F28,
        subject,
        level: Level::Warning,
        since: subject_state.since.wall,
        hold: Duration::ZERO,
        path_unproven: false,
        evidence: Evidence::Unread {
            path: watch.path.clone(),
            faults: all.into_iter().take(MAX_PATHS).collect(),
            more,
            own: watch.own.clone().map(Box::new),
            first_end,
            last_read,
        },
    })
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

/// The common name of a subject, else all of it.
fn common_name(holder: &str) -> String {
    let common = holder.split(',').find_map(|part| part.trim().strip_prefix("CN="));
    match common.unwrap_or(holder) {
        "" => "unnamed".to_owned(),
        name => name.to_owned(),
    }
}

const fn noun(kind: ItemKind) -> &'static str {
    match kind {
        ItemKind::Leaf => "certificate",
        ItemKind::Client | ItemKind::KubeconfigClient | ItemKind::TalosClient => "client certificate",
        ItemKind::Authority => "CA certificate",
        ItemKind::KubeconfigToken | ItemKind::Token => "bearer token",
    }
}

fn places(paths: &[String], more: usize) -> String {
    let listed = if paths.is_empty() { "a watched source".to_owned() } else { phrases::list(paths) };
    if more > 0 { format!("{listed} (and {more} files more)") } else { listed }
}

fn towards(own: &Own, most: usize) -> String {
    match &own.towards {
        Towards::Apiservers => String::new(),
        Towards::Etcd(name) | Towards::Listeners(name) => {
            format!(" for {}", phrases::fit(&format!("etcd {name}"), most))
        }
        Towards::Relay => " for mail".to_owned(),
        Towards::Heartbeat => " for heartbeats".to_owned(),
    }
}

/// What happens to vedette itself.
fn effect(own: &Own) -> String {
    match (own.part, &own.towards) {
        (OwnPart::Client | OwnPart::Token, Towards::Apiservers) => {
            "vedette can no longer authenticate to the apiservers; only unauthenticated health endpoints stay \
             visible. The cluster itself is not affected."
                .into()
        }
        (OwnPart::Client | OwnPart::Token, Towards::Etcd(name)) => {
            format!(
                "vedette can no longer probe etcd {name}, which serves nobody without a certificate. etcd itself \
                     is not affected."
            )
        }
        (OwnPart::Client | OwnPart::Token, Towards::Listeners(name)) => {
            format!(
                "vedette can no longer read the metrics listeners of etcd {name}, nor what only they report. etcd \
                 itself is not affected."
            )
        }
        (OwnPart::Authority, Towards::Apiservers | Towards::Etcd(_) | Towards::Listeners(_)) => {
            "vedette can no longer verify what the servers serve, nor send them a token; nor can anybody else who \
             trusts this CA."
                .into()
        }
        (OwnPart::Authority, Towards::Relay) | (_, Towards::Relay) => {
            "vedette no longer accepts the mail relay's certificate, and its mails stay queued: nobody is \
             notified."
                .into()
        }
        (_, Towards::Heartbeat) => {
            "vedette can no longer send heartbeats, and whoever receives them raises the alarm.".into()
        }
    }
}
