//! Cells of the matrix: the latest probe of each kind at each subject.

use std::sync::Arc;

use crate::model::observation::Observation;
use crate::model::phase::Phases;
use crate::model::probe::{Connection, Probe, ProbeKind};
use crate::model::snapshot::ClusterSnapshot;
use crate::model::subject::Subject;
use crate::render::evidence::kind;
use crate::render::metrics::Page;
use crate::render::metrics::fresh::is_fresh;
use crate::render::table::Pass;
use crate::render::table::row::{Row, Saw};
use crate::render::table::rows;

use super::facts::{Cell, EvidenceLine, PhaseShare, State};
use super::moment::{mono, short};

/// Kinds of probes at an endpoint that serves an API, in the order of the matrix.
pub(super) const API: [ProbeKind; 3] = [ProbeKind::Readyz, ProbeKind::Livez, ProbeKind::Version];

/// Canaries, in the order of their matrix.
pub(super) const CANARIES: [ProbeKind; 6] = [
    ProbeKind::LeaseWrite,
    ProbeKind::LeaseRead,
    ProbeKind::CreateConfigMap,
    ProbeKind::CreatePod,
    ProbeKind::AccessReview,
    ProbeKind::SecretRead,
];

/// The latest probe of `kind` at `subject`, over whichever connection.
pub(super) fn latest<'a>(
    cluster_snapshot: &'a ClusterSnapshot,
    subject: &Subject,
    kind: ProbeKind,
) -> Option<&'a Arc<Observation>> {
    let of = |connection| cluster_snapshot.observations.get(&Probe { subject: subject.clone(), kind, connection });
    let both = [of(Connection::New), of(Connection::Reused)];
    both.into_iter().flatten().max_by_key(|observation| observation.scheduled.mono)
}

/// The probe at the kept connection, when it broke and nothing has gone well over a connection since.
pub(super) fn broken<'a>(cluster_snapshot: &'a ClusterSnapshot, subject: &Subject) -> Option<&'a Arc<Observation>> {
    let tripped = latest(cluster_snapshot, subject, ProbeKind::Tripwire)?;
    let is_later = |kind: &ProbeKind| {
        latest(cluster_snapshot, subject, *kind)
            .is_some_and(|observation| observation.scheduled.mono >= tripped.scheduled.mono)
    };
    (!API.iter().any(is_later)).then_some(tripped)
}

/// A cell for each member or subject that `observation` reports.
pub(super) fn cells(page: Page<'_>, observation: &Observation) -> Vec<(Subject, Cell)> {
    let is_fresh = is_fresh(page, observation);
    rows(page, observation)
        .into_iter()
        .map(|row| {
            let subject = row.subject.clone();
            (subject, cell(page, observation, &row, is_fresh))
        })
        .collect()
}

/// The cell of `subject` in `observation`.
pub(super) fn cell_of(page: Page<'_>, observation: &Observation, subject: &Subject) -> Option<Cell> {
    cells(page, observation).into_iter().find(|(of, _)| of == subject).map(|(_, cell)| cell)
}

/// A probe that has never ended.
pub(super) fn never(of: ProbeKind) -> Cell {
    Cell {
        probe: kind(of),
        connection: "",
        state: State::Unknown,
        outcome: "no result",
        result: String::new(),
        seen: None,
        is_fresh: false,
        phases: Vec::new(),
        total: String::new(),
    }
}

/// A line of evidence from each row of `observation`.
pub(super) fn lines(page: Page<'_>, observation: &Observation) -> Vec<EvidenceLine> {
    let named = |(subject, cell): (Subject, Cell)| EvidenceLine {
        target: subject.short().to_owned(),
        address: short(page.snapshot.inventory.address(&subject)),
        cell,
    };
    cells(page, observation).into_iter().map(named).collect()
}

/// What a probe saw of each subject, in one word.
pub(super) fn saw(page: Page<'_>, observation: &Observation) -> Vec<(Subject, Saw, String)> {
    rows(page, observation).into_iter().map(|row| (row.subject, row.saw, short(&row.result))).collect()
}

fn rows(page: Page<'_>, observation: &Observation) -> Vec<Row> {
    let pass = Pass {
        now: page.now,
        inventory: &page.snapshot.inventory,
        observations: &[],
        findings: &[],
        unknowns: &[],
        headline: &|_| String::new(),
        title: &|_| "",
    };
    rows::of(pass, observation)
}

fn cell(page: Page<'_>, observation: &Observation, row: &Row, is_fresh: bool) -> Cell {
    Cell {
        probe: kind(row.probe.kind),
        connection: row.probe.connection.as_str(),
        state: if is_fresh { seen(page, row.saw, &row.subject) } else { State::Unknown },
        outcome: if is_fresh { row.saw.as_str() } else { "outdated" },
        result: short(&row.result),
        seen: Some(mono(observation.scheduled, page.now)),
        is_fresh,
        phases: shares(&row.phases),
        total: total(&row.phases),
    }
}

/// While the vantage has no network, a failed probe of a cluster is shown as unknown: it shows nothing about the
/// cluster.
fn seen(page: Page<'_>, saw: Saw, subject: &Subject) -> State {
    let is_isolated = page.snapshot.isolated_since.is_some() && subject.cluster().is_some();
    if is_isolated && saw != Saw::Ok { State::Unknown } else { state(saw) }
}

const fn state(saw: Saw) -> State {
    match saw {
        Saw::Ok => State::Ok,
        Saw::Shed | Saw::Alarm => State::Degraded,
        Saw::Refused | Saw::Unknown => State::Unknown,
        Saw::NotReady | Saw::Foreign | Saw::NoLeader | Saw::Unreachable | Saw::Down => State::Down,
    }
}

fn shares(phases: &Phases) -> Vec<PhaseShare> {
    phases
        .reached()
        .map(|(phase, spent)| PhaseShare {
            phase: phase.as_str(),
            millis: format!("{:.1}", spent.as_secs_f64() * 1000.0),
            seconds: spent.as_secs_f64(),
        })
        .collect()
}

fn total(phases: &Phases) -> String {
    let reached = phases.reached().next();
    reached.map_or_else(String::new, |_| format!("{:.1} ms", phases.total().as_secs_f64() * 1000.0))
}
