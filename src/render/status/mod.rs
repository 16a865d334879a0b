//! The status page: one model of what is known, and the same as HTML, as text and as JSON.
//!
//! [`Status::of`] reads the snapshot and decides what is shown in which order; the renderings decide only its form.
//! Pure: no clock, no request, no state. Nothing here judges: states are read from what the rules have found, and what
//! could not be seen is shown as unknown instead of good. Called by `expose`, and by `cli` for a page it fetched.
//!
//! Bounds: a page shows 50 clusters, the details of the worst of them as far as 72 cells go (always one),
//! six incidents in full, twelve certificates, thirty gaps. What finds no room is counted and one request away
//! (`?cluster=NAME`).

mod certificates;
mod clusters;
mod facts;
mod gaps;
mod html;
mod incidents;
mod itself;
mod load;
mod members;
mod moment;
mod notices;
mod probes;
mod recordings;
mod style;
#[cfg(test)]
mod tests;
mod text;

use std::time::Duration;

use crate::model::incident::Incident;
use crate::model::snapshot::ClusterSnapshot;
use crate::model::subject::Name;

pub use facts::{
    Backend, Cell, CertificateFacts, ClusterLine, CommandLine, Detail, Ended, Endpoint, EvidenceLine, Extent, Gap,
    IncidentFacts, Member, Moment, Notice, Own, PhaseShare, State, Status, Tally, Value,
};
pub use html::{REFRESH, html};
pub use style::{POLICY, STYLE};
pub use text::{WIDTH, text};

use super::message::VERSION;
use super::metrics::Page;
use gaps::Missing;
use moment::mono;

/// A snapshot older than this belongs to an engine that is stalled: the fastest ticks of the schedule, 2 and 3 s apart,
/// renew it even when every probe fails.
pub const STANDSTILL: Duration = Duration::from_secs(5);

const FORMAT: u32 = 1;
const CLUSTERS: usize = 50;
const CELLS: usize = 72;
const INCIDENTS: usize = 6;
const INCIDENT_LINES: usize = 30;
const CERTIFICATES: usize = 12;
const GAPS: usize = 30;
const ENDED: usize = 10;

/// Which clusters a page is about. Only what is configured can be named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// A page of all of them, worst first, counted from 1.
    Page(usize),
    /// One.
    Only(Name),
}

/// Why there is no such page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchPage {
    /// Beyond the last one.
    #[error("there are pages 1 to {0}")]
    Page(usize),
    /// No cluster of that name is configured.
    #[error("no cluster of that name is configured")]
    Cluster,
}

/// One cluster on its way onto the page.
struct Part<'a> {
    name: &'a Name,
    cluster_snapshot: &'a ClusterSnapshot,
    gaps: Vec<Missing>,
    line: ClusterLine,
}

impl Status {
    /// What is known at `page.now`, about the clusters of `choice`.
    ///
    /// # Errors
    ///
    /// When `choice` names what does not exist.
    pub fn of(page: Page<'_>, choice: &Choice) -> Result<Self, NoSuchPage> {
        let snapshot = page.snapshot;
        let is_stale = page.now.since(snapshot.at) >= STANDSTILL;
        let unseen = ClusterSnapshot::default();
        let mut parts: Vec<Part<'_>> = snapshot
            .inventory
            .clusters
            .keys()
            .map(|name| part(page, name, snapshot.clusters.get(name).map_or(&unseen, AsRef::as_ref)))
            .collect();
        // Stable: clusters of one rank stay in the order of their names.
        parts.sort_by_key(|part| (std::cmp::Reverse(part.line.state), part.line.silenced.is_some()));
        let tally = tally(&parts);
        let (state, headline, since) = head(page, &parts, is_stale);
        let (extent, parts) = select(parts, choice)?;

        let (incidents, more_incidents) = open_incidents(page, &extent);
        let (certificates, more_certificates) = certificates(page, &parts);
        let mut gaps: Vec<Gap> = Vec::new();
        let mut sorted: Vec<(bool, &Gap)> =
            parts.iter().flat_map(|part| part.gaps.iter().map(|missing| (!missing.decides, &missing.gap))).collect();
        sorted.sort_by_key(|(rank, _)| *rank);
        gaps.extend(sorted.iter().take(GAPS).map(|(_, gap)| (*gap).clone()));
        Ok(Self {
            format: FORMAT,
            state,
            headline,
            since,
            vantage: moment::said(&snapshot.inventory.vantage),
            version: VERSION,
            time_zone: snapshot.inventory.time_zone.clone(),
            snapshot: mono(snapshot.at, page.now),
            is_stale,
            is_isolated: snapshot.isolated_since.is_some(),
            notices: notices::all(page, is_stale),
            incidents,
            more_incidents,
            tally,
            details: details(page, &parts),
            certificates,
            more_certificates,
            more_gaps: sorted.len() - gaps.len(),
            gaps,
            own: notices::own(page),
            resolved_incidents: ended(page, &extent),
            clusters: parts.into_iter().map(|part| part.line).collect(),
            extent,
        })
    }

    /// The page as JSON, with a line break at its end.
    #[must_use]
    pub fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("texts, numbers and lists always serialise");
        text.push('\n');
        text
    }
}

fn part<'a>(page: Page<'_>, name: &'a Name, cluster_snapshot: &'a ClusterSnapshot) -> Part<'a> {
    let gaps = gaps::of(page, name, cluster_snapshot);
    let line = clusters::line(page, name, cluster_snapshot, &gaps);
    Part { name, cluster_snapshot, gaps, line }
}

fn tally(parts: &[Part<'_>]) -> Tally {
    let count = |state: State| parts.iter().filter(|part| part.line.state == state).count();
    Tally {
        ok: count(State::Ok),
        unknown: count(State::Unknown),
        degraded: count(State::Degraded),
        down: count(State::Down),
        silenced: parts.iter().filter(|part| part.line.silenced.is_some()).count(),
    }
}

/// The worst of everything in one sentence, and since when.
fn head(page: Page<'_>, parts: &[Part<'_>], is_stale: bool) -> (State, String, Option<Moment>) {
    if is_stale {
        let text = format!("vedette on {} is stalled", page.snapshot.inventory.vantage);
        return (State::Down, moment::said(&text), Some(mono(page.snapshot.at, page.now)));
    }
    if let Some(since) = page.snapshot.isolated_since {
        let text = format!("{} has no network: data below is from before {since}", page.snapshot.inventory.vantage);
        return (State::Unknown, moment::said(&text), Some(moment::wall(since, page.now)));
    }
    let Some(worst) = parts.first() else {
        return (State::Unknown, "no cluster is configured".to_owned(), None);
    };
    let line = &worst.line;
    let others = parts.iter().skip(1).filter(|part| part.line.state != State::Ok).count();
    let more = match others {
        0 => String::new(),
        1 => "; 1 more cluster is not ok".to_owned(),
        others => format!("; {others} more clusters are not ok"),
    };
    match (line.state, parts.len()) {
        (State::Ok, 1) => (State::Ok, format!("{} is ok", line.name), None),
        (State::Ok, all) => (State::Ok, format!("all {all} clusters are ok"), None),
        (State::Unknown, _) => {
            (State::Unknown, format!("{} is not known: {}{more}", line.name, line.why), line.since.clone())
        }
        (state @ (State::Degraded | State::Down), _) => {
            (state, format!("{} is {}: {}{more}", line.name, state.as_str(), line.why), line.since.clone())
        }
    }
}

fn select<'a>(mut parts: Vec<Part<'a>>, choice: &Choice) -> Result<(Extent, Vec<Part<'a>>), NoSuchPage> {
    let clusters = parts.len();
    match choice {
        Choice::Only(name) => {
            parts.retain(|part| part.name == name);
            let only = Some(parts.first().ok_or(NoSuchPage::Cluster)?.name.to_string());
            Ok((Extent { page: 1, pages: 1, clusters, only }, parts))
        }
        Choice::Page(number) => {
            let pages = clusters.div_ceil(CLUSTERS).max(1);
            let first = number.checked_sub(1).filter(|before| *before < pages).ok_or(NoSuchPage::Page(pages))?;
            let parts = parts.into_iter().skip(first * CLUSTERS).take(CLUSTERS).collect();
            Ok((Extent { page: *number, pages, clusters, only: None }, parts))
        }
    }
}

/// Details of the worst clusters, as far as the cells go.
fn details(page: Page<'_>, parts: &[Part<'_>]) -> Vec<Detail> {
    let mut cells = 0;
    let mut all = Vec::new();
    for part in parts {
        let detail = clusters::detail(page, part.name, part.cluster_snapshot);
        cells += detail.endpoints.iter().map(|endpoint| endpoint.cells.len()).sum::<usize>()
            + detail.members.iter().map(|member| member.cells.len() + 1).sum::<usize>();
        if cells > CELLS && !all.is_empty() {
            break;
        }
        all.push(detail);
    }
    all
}

fn concerns(incident: &Incident, extent: &Extent) -> bool {
    let only = extent.only.as_deref();
    only.is_none() || incident.cluster.as_ref().is_none_or(|cluster| Some(cluster.as_str()) == only)
}

fn open_incidents(page: Page<'_>, extent: &Extent) -> (Vec<IncidentFacts>, Vec<String>) {
    let mut open: Vec<&Incident> = page
        .snapshot
        .incidents
        .iter()
        .map(AsRef::as_ref)
        .filter(|incident| incident.over.is_none() && concerns(incident, extent))
        .collect();
    open.sort_by_key(|incident| (std::cmp::Reverse((incident.cluster.is_none(), incident.level)), incident.opened));
    let shown = open.iter().take(INCIDENTS).map(|incident| incidents::open(page, incident)).collect();
    let rest = open.len().saturating_sub(INCIDENTS);
    let mut more: Vec<String> = open
        .iter()
        .skip(INCIDENTS)
        .take(INCIDENT_LINES)
        .map(|incident| {
            format!("{}: {}, since {}", incident.level, incidents::headline(page, incident), incident.opened)
        })
        .collect();
    if rest > INCIDENT_LINES {
        more.push(format!("and {} more", rest - INCIDENT_LINES));
    }
    (shown, more)
}

fn ended(page: Page<'_>, extent: &Extent) -> Vec<Ended> {
    let over = page.snapshot.incidents.iter().filter(|incident| concerns(incident, extent));
    over.filter_map(|incident| incidents::ended(page, incident)).take(ENDED).collect()
}

fn certificates(page: Page<'_>, parts: &[Part<'_>]) -> (Vec<CertificateFacts>, usize) {
    let mut all: Vec<_> =
        parts.iter().flat_map(|part| certificates::of(page, part.name, part.cluster_snapshot)).collect();
    if parts.len() == page.snapshot.clusters.len() {
        all.extend(certificates::of_vantage(page));
    }
    all.sort_by_key(|(ends, _)| *ends);
    let more = all.len().saturating_sub(CERTIFICATES);
    (all.into_iter().take(CERTIFICATES).map(|(_, facts)| facts).collect(), more)
}
