//! What is good, in one line for each cluster: a healthy fleet fits a screen.

use std::collections::BTreeMap;

use crate::judge::phrases;
use crate::model::probe::ProbeKind;

use super::layout::total;
use super::row::Row;
use super::{Pass, printable};

/// One line for each cluster, the vantage last, and how to see every probe; empty without good rows.
pub(super) fn lines(pass: Pass<'_>, good: &[Row]) -> String {
    if good.is_empty() {
        return String::new();
    }
    let mut places: BTreeMap<(bool, &str), Vec<&Row>> = BTreeMap::new();
    for row in good {
        let cluster = row.subject.cluster();
        let name = cluster.map_or(pass.inventory.vantage.as_str(), |cluster| cluster.as_str());
        places.entry((cluster.is_none(), name)).or_default().push(row);
    }
    let widest = places.keys().map(|(_, name)| name.chars().count()).max().unwrap_or_default();
    let mut text: String =
        places.iter().map(|((_, name), rows)| format!("{:<widest$}  {}\n", printable(name), place(rows))).collect();
    text.push_str("(what is good is counted; --all lists every probe)\n");
    text
}

/// `24 probes good, slowest 7.6 ms; 12 certificates and tokens in files; first to expire: CN=x in 40 d`.
fn place(rows: &[&Row]) -> String {
    let (in_files, probes): (Vec<&Row>, Vec<&Row>) =
        rows.iter().copied().partition(|row| row.probe.kind == ProbeKind::Files);
    let mut parts = Vec::new();
    if !probes.is_empty() {
        let slowest =
            probes.iter().filter(|row| row.phases.reached().next().is_some()).max_by_key(|row| row.phases.total());
        let slowest = slowest.map_or_else(String::new, |row| format!(", slowest {} ms", total(&row.phases)));
        parts.push(format!("{}{slowest}", counted(probes.len(), "probe good", "probes good")));
    }
    let items = in_files.iter().filter(|row| row.end.is_some()).count();
    if items > 0 {
        parts.push(counted(items, "certificate or token in files", "certificates and tokens in files"));
    }
    let ends = rows.iter().filter_map(|row| row.end.as_ref().and_then(|end| Some((end.days_left?, end))));
    if let Some((days, end)) = ends.min_by(|(one, _), (other, _)| one.total_cmp(other)) {
        parts.push(format!("first to expire: {} {}", end.holder, away(days)));
    }
    parts.join("; ")
}

fn counted(number: usize, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

/// `in 40 d`, `2 d ago`.
fn away(days: f64) -> String {
    let distance = phrases::lasting(std::time::Duration::from_secs_f64(days.abs() * 86_400.0));
    if days < 0.0 { format!("{distance} ago") } else { format!("in {distance}") }
}
