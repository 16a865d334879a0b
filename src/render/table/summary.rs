//! The worst state, in one line and one exit code.

use std::collections::BTreeSet;

use crate::model::probe::ProbeKind;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::Subject;
use crate::model::verdict::{Finding, Why};

use super::row::{Row, Saw};
use super::rows::rows;
use super::{Pass, Unknown, printable};

/// Findings or subjects that the line names before it counts the rest.
const NAMED: usize = 3;

/// The worst state of a pass, by the monitoring-plugins contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Every row is ok, and no finding is above `info`.
    Ok,
    /// A finding of level `warning`, a row that is not well, or a suspicion: what `vedette run` holds back for a while
    /// before it says so.
    Warning,
    /// A finding of level `critical`.
    Critical,
    /// Nothing is known to be wrong, but something could not be determined, or nothing was probed.
    Unknown,
}

impl State {
    /// The worst state of `pass`. What is known to be wrong outweighs what is not known.
    #[must_use]
    pub fn of(pass: Pass<'_>) -> Self {
        let (result, others): (Vec<&Finding>, Vec<&Finding>) =
            pass.findings.iter().partition(|finding| finding.rule == RuleId::F60);
        let loudest = others.iter().map(|finding| finding.level).max();
        let rows = rows(pass);
        if loudest == Some(Level::Critical) {
            Self::Critical
        } else if !result.is_empty() {
            // Everything behind the proxy may be down, which is more severe than a warning about something else.
            Self::Unknown
        } else if loudest == Some(Level::Warning)
            || pass.unknowns.iter().any(is_suspicion)
            || rows.iter().any(|row| row.saw.is_amiss())
        {
            Self::Warning
        } else if !pass.unknowns.is_empty() || rows.is_empty() || rows.iter().any(|row| row.saw != Saw::Ok) {
            Self::Unknown
        } else {
            Self::Ok
        }
    }

    /// The word that begins the line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// The exit code.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }
}

/// `STATE - text | label=value …`, on one line.
#[must_use]
pub fn summary(pass: Pass<'_>) -> String {
    let state = State::of(pass);
    format!("{} - {} | {}", state.as_str(), printable(&said(pass, state)), figures(pass).join(" "))
}

/// The text of the line: the most severe findings, or what could not be determined.
pub(super) fn said(pass: Pass<'_>, state: State) -> String {
    match state {
        State::Ok => format!("{} probes, all good", probed(&rows(pass), pass)),
        State::Warning => named(warnings(pass)),
        State::Critical => named(findings(pass, Level::Critical)),
        State::Unknown if pass.observations.is_empty() => "nothing was probed".to_owned(),
        State::Unknown => {
            let of_rules = pass.unknowns.iter().map(|unknown| format!("{} ({})", unknown.subject, reason(unknown.why)));
            let rows = rows(pass);
            let unclear = rows.iter().filter(|row| row.saw == Saw::Unknown);
            let subjects: BTreeSet<String> =
                of_rules.chain(unclear.map(|row| format!("{} ({})", row.named(), row.result))).collect();
            let isolated = pass.findings.iter().filter(|finding| finding.rule == RuleId::F60);
            let texts = isolated.map(|finding| sentence(pass, finding)).chain(subjects).collect();
            format!("unknown: {}", named(texts))
        }
    }
}

/// The findings of that level; where there are none, what is suspected, and else the rows that are not well.
fn warnings(pass: Pass<'_>) -> Vec<String> {
    let found = findings(pass, Level::Warning);
    if !found.is_empty() {
        return found;
    }
    let suspicions = pass.unknowns.iter().filter(|unknown| is_suspicion(unknown));
    let suspected: BTreeSet<String> = suspicions
        .map(|unknown| format!("{}: {}? One pass cannot confirm it", unknown.subject, (pass.title)(unknown.rule)))
        .collect();
    if !suspected.is_empty() {
        return suspected.into_iter().collect();
    }
    let rows = rows(pass);
    let amiss = rows.iter().filter(|row| row.saw.is_amiss());
    amiss.map(|row| format!("{} {} {}", row.named(), row.probe.kind.as_str(), row.saw.as_str())).collect()
}

const fn is_suspicion(unknown: &Unknown) -> bool {
    matches!(unknown.why, Why::Suspected { .. })
}

/// The finding in words, with the cluster in front.
pub(super) fn sentence(pass: Pass<'_>, finding: &Finding) -> String {
    let place = finding.subject.cluster().map_or(pass.inventory.vantage.as_str(), |cluster| cluster.as_str());
    format!("{place}: {}", (pass.headline)(finding))
}

/// Why the state is unknown, in a bounded word.
pub(super) const fn reason(why: Why) -> &'static str {
    match why {
        Why::Suspected { .. } => "suspected",
        Why::NeverSeen => "no result",
        Why::Stale => "stale",
        Why::Unclear => "unclear",
        Why::Vantage => "vantage",
    }
}

fn findings(pass: Pass<'_>, level: Level) -> Vec<String> {
    pass.findings.iter().filter(|finding| finding.level == level).map(|finding| sentence(pass, finding)).collect()
}

fn named(mut texts: Vec<String>) -> String {
    let rest = texts.len().saturating_sub(NAMED);
    texts.truncate(NAMED);
    if rest > 0 {
        texts.push(format!("{rest} more"));
    }
    texts.join("; ")
}

/// Figures as plugins read them: `label=value[unit];warn;crit;min`.
fn figures(pass: Pass<'_>) -> Vec<String> {
    let rows = rows(pass);
    let level = |level: Level| pass.findings.iter().filter(|finding| finding.level == level).count();
    let unknown: BTreeSet<&Subject> = pass.unknowns.iter().map(|unknown| &unknown.subject).collect();
    let not_ok = rows.iter().filter(|row| row.saw != Saw::Ok).count();
    let mut figures = vec![
        format!("probes={};;;0", probed(&rows, pass)),
        format!("probes_failed={not_ok};;;0"),
        format!("critical={};;;0", level(Level::Critical)),
        format!("warning={};;;0", level(Level::Warning)),
        format!("unknown={};;;0", unknown.len()),
    ];
    if let Some(slowest) = rows.iter().map(|row| row.phases.total()).max() {
        figures.push(format!("slowest={:.3}s;;;0", slowest.as_secs_f64()));
    }
    if let Some(days) = days_left(&rows) {
        figures.push(format!("certificate_days_left={days:.1};14:;1:"));
    }
    figures
}

/// Rows of one probe each, and the probes of files, which have many rows.
pub(super) fn probed(rows: &[Row], pass: Pass<'_>) -> usize {
    let at_files = pass.observations.iter().filter(|observation| observation.probe.kind == ProbeKind::Files).count();
    rows.iter().filter(|row| row.probe.kind != ProbeKind::Files).count() + at_files
}

fn days_left(rows: &[Row]) -> Option<f64> {
    rows.iter().filter_map(|row| row.end.as_ref()?.days_left).min_by(f64::total_cmp)
}
