//! F28: a certificate, authority or token in a file ends soon or has ended, or watched files cannot be read.
//!
//! What an endpoint serves is F26's, and the same certificate on disk is told there. What was replaced beside itself
//! (the dated files of a kubelet, a backup) is not told at all. Our own credentials are told as such.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::certificate::{Class, Fingerprint};
use crate::model::inventory::{FileWatch, Own, OwnPart, Towards};
use crate::model::rule::{Level, RuleId};
use crate::model::stored::{Held, ItemKind, Life, SourceReading};
use crate::model::subject::{Name, Subject};
use crate::model::time::UnixTime;
use crate::model::verdict::{Band, Evidence, Finding, Verdict, Why};
use crate::observe::stored::{Shelf, SourceStanding};

use super::edges::Edge;
use super::expiry::bands::Ladder;
use super::expiry::level;
use super::scene::Scene;
use super::words::{Addresses, Words};
use super::{Rule, phrases};
use spare::Depended;

mod spare;

/// F28: something in a file reaches its end, or cannot be read.
pub struct StoredEnds;

/// Items told one by one in one cluster, the first to end first; beyond that the metrics and the page speak.
const MAX_FINDINGS: usize = 64;
/// Paths kept as evidence.
const MAX_PATHS: usize = 16;
/// The earliest notice, and a little more: what ends later is in no band.
const HORIZON: Duration = Duration::from_secs(731 * 86_400);
/// What was made together ends together: bands are entered on this grid, a little early, so that it is told together.
const GRID: Duration = Duration::from_secs(3600);

impl Words for StoredEnds {
    fn id(&self) -> RuleId {
        RuleId::F28
    }

    fn title(&self) -> &'static str {
        "certificate or token in a file ends soon, has ended, or cannot be read"
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "other evidence is of other rules")]
    fn headline(&self, finding: &Finding) -> String {
        match &finding.evidence {
            Evidence::Stored { own: Some(own), .. } => match own.part {
                OwnPart::Client => format!("vedette's certificate{} expires", towards(own, 9)),
                OwnPart::Token => format!("vedette's token{} expires", towards(own, 12)),
                OwnPart::Authority => format!("trusted authority{} expires", towards(own, 10)),
            },
            Evidence::Stored { kind, holder, .. } => {
                let whose = phrases::fit(&common_name(holder), 22);
                match kind {
                    ItemKind::Authority => format!("authority {whose} expires"),
                    ItemKind::KubeconfigClient => format!("kubeconfig of {whose} expires"),
                    ItemKind::TalosClient => format!("talosconfig of {whose} expires"),
                    ItemKind::KubeconfigToken | ItemKind::Token => format!("token of {whose} expires"),
                    ItemKind::Client => format!("client certificate {whose} expires"),
                    ItemKind::Leaf => format!("stored certificate {whose} expires"),
                }
            }
            Evidence::Unread { path, .. } => format!("cannot read {}", phrases::fit(path, 36)),
            _ => "something in a file expires".into(),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "other evidence is of other rules")]
    fn what(&self, finding: &Finding, _: &Addresses) -> String {
        match &finding.evidence {
            Evidence::Stored { kind, holder, not_after, band, paths, more, last_read, .. } => {
                let what = noun(*kind);
                let ends = if *band == Band::Expired { "ended" } else { "ends" };
                let places = places(paths, *more);
                let seen = last_read.map_or_else(String::new, |at| {
                    format!(" The file cannot be read any more; this is what it held when it was last read, at {at}.")
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
                    format!(" What was known then still counts: the first end is {end}.")
                });
                format!("Watched files cannot be read: {}{more} (configured as {path}).{read}{end}", named.join("; "))
            }
            _ => "Something in a file reaches its end.".into(),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "other evidence is of other rules")]
    fn impact(&self, finding: &Finding) -> String {
        match &finding.evidence {
            Evidence::Stored { is_spare: true, .. } => {
                "Nothing: its successor lies beside it, and no chain that was verified depends on it.".into()
            }
            Evidence::Stored { own: Some(own), band, .. } => {
                let from = if *band == Band::Expired { "It has ended" } else { "From its end on" };
                format!("{from}: {}", effect(own))
            }
            Evidence::Stored { kind, band, .. } => {
                let who = match kind {
                    ItemKind::Authority => "everything signed by it is refused by whoever trusts it, all at once",
                    ItemKind::KubeconfigClient | ItemKind::KubeconfigToken => {
                        "whoever uses this kubeconfig is locked out: people, pipelines, backups"
                    }
                    ItemKind::TalosClient => "talosctl is locked out with this talosconfig: the nodes run on",
                    ItemKind::Client => "the program that uses it is refused by the servers it calls",
                    ItemKind::Token => "whoever uses this token gets 401",
                    ItemKind::Leaf => "clients that verify refuse to talk to whatever serves it",
                };
                if *band == Band::Expired {
                    format!("It has ended: {who}.")
                } else {
                    format!("Nothing yet. From its end on {who}.")
                }
            }
            Evidence::Unread { own: Some(own), .. } => {
                format!("When what vedette holds in memory is lost: {}", effect(own))
            }
            _ => "For users: nothing. Until it can be read again, an end that comes nearer, and a renewal, are unseen."
                .into(),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "other evidence is of other rules")]
    fn likely_cause(&self, finding: &Finding) -> String {
        match &finding.evidence {
            Evidence::Stored { is_spare: true, .. } => {
                "The authority was rotated, and the one before was left in the bundle."
            }
            Evidence::Stored { kind: ItemKind::Authority, .. } => {
                "Nothing renews an authority: it must be rotated, which takes preparation. Renewing what it signed does \
                 not help."
            }
            Evidence::Stored { kind: ItemKind::TalosClient, .. } => {
                "Talos renews what is on its nodes, and nobody's talosconfig: its owner makes a new one."
            }
            Evidence::Stored { kind, .. } if kind.is_in_kubeconfig() => {
                "A kubeconfig is a copy of a credential: renewing the original leaves its copies as they are."
            }
            Evidence::Stored { class: Class::Automatic, .. } => {
                "By the configuration a program renews it, and that is overdue: the program is stuck, or it renews \
                 another file."
            }
            Evidence::Stored { class: Class::Restart, .. } => {
                "By the configuration the server renews it when it starts, and it has not been started since that fell \
                 due."
            }
            Evidence::Stored { .. } => "By the configuration a person renews it, and nobody has.",
            _ => "The files were moved, removed, or made unreadable for the user that vedette runs as.",
        }
        .into()
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "other evidence is of other rules")]
    fn next_commands(&self, finding: &Finding, _: &Addresses) -> Vec<String> {
        match &finding.evidence {
            Evidence::Stored { paths, kind, own, .. } => {
                let path = paths.first().map_or("FILE", String::as_str);
                let look = match kind {
                    ItemKind::KubeconfigClient => format!(
                        "kubectl --kubeconfig {path} config view --raw -o jsonpath='{{.users[*].user.client-certificate-data}}' | base64 -d | openssl x509 -noout -subject -enddate"
                    ),
                    ItemKind::TalosClient => {
                        format!("talosctl --talosconfig {path} config info")
                    }
                    ItemKind::KubeconfigToken | ItemKind::Token => {
                        format!("ls -l {path} # a bearer token: its exp has the date")
                    }
                    ItemKind::Leaf | ItemKind::Client | ItemKind::Authority => {
                        format!("openssl x509 -noout -subject -issuer -enddate -in {path}")
                    }
                };
                let renew = match (own, kind) {
                    (_, ItemKind::Authority) => {
                        "kubeadm certs check-expiration # on a control-plane host: authorities are listed last"
                    }
                    (_, ItemKind::TalosClient) => {
                        "talosctl config new NEW-TALOSCONFIG --roles os:admin # with a talosconfig that still works"
                    }
                    (Some(_), _) => {
                        "vedette check /etc/vedette/vedette.yaml # after a new one is in place; it is read without a restart"
                    }
                    (None, _) => {
                        "kubeadm certs check-expiration # on a control-plane host; then kubeadm certs renew NAME"
                    }
                };
                vec![look, renew.into()]
            }
            Evidence::Unread { faults, .. } => {
                let path = faults.first().map_or("FILE", |(path, _)| path.as_str());
                vec![format!("namei -l {path}"), "vedette check /etc/vedette/vedette.yaml".into()]
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
                Some("a person, by rotating this authority: new authority first, then everything it has signed")
            }
            Evidence::Stored { class: Class::Manual, .. } => Some("a person"),
            Evidence::Stored { class: Class::Automatic, .. } => {
                Some("a program (class automatic in the configuration), which is late: find out why")
            }
            Evidence::Stored { class: Class::Restart, .. } => Some(
                "the server itself when it starts (class restart in the configuration): a person, by restarting it",
            ),
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
            Evidence::Stored { own, band: Band::Expired, .. } | Evidence::Unread { own, .. } => proves_us(own),
            _ => false,
        }
    }

    fn judge(&self, scene: &Scene<'_>) -> Vec<(Subject, Verdict)> {
        let scope = scene.cluster.map(|(name, _)| name);
        let (Some(shelf), Some(watches)) = (scene.view.shelf(scope), scene.view.inventory().files(scope)) else {
            return Vec::new();
        };
        let subject = |name: Name| Subject::Stored(scope.cloned(), name);
        let is_clock_wrong = !scene.view.is_wall_clock_trusted(scene.now.mono);
        let judged_as_served = served_first(scene);
        let depended = Depended::of(scene);
        let mut verdicts = Vec::new();
        for held in shelf.reading().held() {
            let Some(life) = held.item().life else { break };
            if life.not_after > scene.now.wall.plus(HORIZON) || verdicts.len() >= MAX_FINDINGS {
                break;
            }
            if judged_as_served.contains(&held.item().fingerprint) {
                continue;
            }
            let Some(evidence) = in_band(scene, shelf, held, life, &depended, |name| watches.get(name)) else {
                continue;
            };
            let subject = subject(name_of(held.item().fingerprint));
            let verdict = if is_clock_wrong {
                Verdict::Unknown(Why::Vantage)
            } else {
                Verdict::Bad(finding(subject.clone(), evidence, is_replaced_where_served(scene, held), shelf))
            };
            verdicts.push((subject, verdict));
        }
        let gone = shelf.gone().iter().filter(|gone| !judged_as_served.contains(*gone));
        verdicts.extend(gone.map(|gone| (subject(name_of(*gone)), Verdict::Unknown(Why::Unclear))));
        for source in &shelf.reading().sources {
            let (Some(standing), Some(watch)) = (shelf.standings().get(&source.name), watches.get(&source.name)) else {
                continue;
            };
            let subject = subject(source.name.clone());
            verdicts.push((subject.clone(), readable(scene, shelf, subject, source, standing, watch)));
        }
        verdicts
    }
}

/// Fingerprints that F26 judges, wherever they lie.
fn served_first(scene: &Scene<'_>) -> BTreeSet<Fingerprint> {
    let endpoints = scene.served_endpoints();
    let seen = endpoints.iter().filter_map(|endpoint| scene.view.served(endpoint));
    seen.filter_map(|seen| seen.served.earliest()).map(|first| first.fingerprint).collect()
}

/// What lies on disk was replaced by a newer one that is served: a leftover, and nobody's trouble.
fn is_replaced_where_served(scene: &Scene<'_>, held: Held<'_>) -> bool {
    let item = held.item();
    let is_newer = |endpoint: &Subject| {
        scene.view.served(endpoint).and_then(|seen| seen.served.leaf()).is_some_and(|leaf| {
            let has_same_key = item.key.is_some() && leaf.key.and_then(|key| key.beginning()) == item.key;
            (leaf.identity() == item.identity || has_same_key)
                && item.life.is_some_and(|life| leaf.not_after > life.not_after)
        })
    };
    item.kind == ItemKind::Leaf && scene.served_endpoints().iter().any(is_newer)
}

fn in_band<'a>(
    scene: &Scene<'_>,
    shelf: &Shelf,
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
    // Whoever lists a file knows who renews it; of our own credentials nothing is said.
    let said = watches().find(|watch| watch.own.is_none()).or_else(|| watches().next());
    let class = said.map_or(Class::Manual, |watch| watch.certificates);
    let ladder = if item.kind == ItemKind::Authority { Ladder::Authority } else { Ladder::Leaf(class) };
    let renewed_at = said.and_then(|watch| watch.renewed_at_permille);
    let band = ladder.band_of(life.not_before, life.not_after, renewed_at, scene.now.wall).or_else(|| {
        let soon = next_on_grid(scene.now.wall, life);
        // An end itself is told when it comes, and not before.
        ladder.band_of(life.not_before, life.not_after, renewed_at, soon).map(|band| band.min(Band::Page))
    })?;
    let (paths, more) = shelf.paths(item.fingerprint, life.not_after, MAX_PATHS);
    let read: Option<UnixTime> = held
        .places()
        .all(|(source, file, _)| source.fault.is_some() || file.fault.is_some())
        .then(|| held.places().filter_map(|(_, file, _)| file.fault?.last_read).max().unwrap_or(scene.now.wall));
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
        last_read: read,
        is_spare: depended.is_spare(scene, held),
    })
}

fn finding(subject: Subject, evidence: Evidence, is_leftover: bool, shelf: &Shelf) -> Finding {
    let mut finding = Finding {
        rule: RuleId::F28,
        subject,
        level: Level::Info,
        since: shelf.at().wall,
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
    scene: &Scene<'_>,
    shelf: &Shelf,
    subject: Subject,
    source: &SourceReading,
    standing: &SourceStanding,
    watch: &FileWatch,
) -> Verdict {
    if !standing.is_faulty {
        return Verdict::Good { since: standing.since, until: shelf.at(), looks: standing.looks };
    }
    if standing.looks < scene.policy().unread_looks {
        return Verdict::Unknown(Why::Suspected { since: standing.since });
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
        since: standing.since.wall,
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

/// The common name of a holder, else all of it.
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
        ItemKind::Authority => "authority",
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

/// What becomes of vedette itself.
fn effect(own: &Own) -> String {
    match (own.part, &own.towards) {
        (OwnPart::Client | OwnPart::Token, Towards::Apiservers) => {
            "vedette can no longer log in to the apiservers, and will be blind to everything that they do not tell \
             anybody. The cluster itself is not touched by it."
                .into()
        }
        (OwnPart::Client | OwnPart::Token, Towards::Etcd(name)) => {
            format!("vedette will be blind to etcd {name}, which answers nobody without a certificate. etcd itself is not touched by it.")
        }
        (OwnPart::Client | OwnPart::Token, Towards::Listeners(name)) => {
            format!(
                "vedette can no longer ask the metrics listeners of etcd {name}, and will be blind to what they alone \
                 tell. etcd itself is not touched by it."
            )
        }
        (OwnPart::Authority, Towards::Apiservers | Towards::Etcd(_) | Towards::Listeners(_)) => {
            "vedette can no longer verify what the servers serve, nor send them a token. So can nobody else who trusts this authority."
                .into()
        }
        (OwnPart::Authority, Towards::Relay) | (_, Towards::Relay) => {
            "vedette no longer accepts the mail relay's certificate, and its mails stay in the outbox: nobody is told anything.".into()
        }
        (_, Towards::Heartbeat) => {
            "vedette can no longer send heartbeats, and whoever receives them raises the alarm.".into()
        }
    }
}
