//! How the rows become lines: aligned columns where they fit the terminal, and where they do not, the long parts of a
//! row on lines of their own below it. Names, paths and addresses are never cut or broken.

use std::time::Duration;

use crate::model::phase::Phases;
use crate::model::probe::ProbeKind;

use super::row::Row;

const COLUMNS: [&str; 8] = ["TARGET", "ADDRESS", "PROBE", "CONN", "STATE", "RESULT", "MILLISECONDS", "CERT DAYS"];
/// The same with nothing but the sum under the time.
const SHORT: [&str; 8] = ["TARGET", "ADDRESS", "PROBE", "CONN", "STATE", "RESULT", "MS", "CERT DAYS"];
/// The columns that go below a row that does not fit: address and connection, result.
const BELOW: [usize; 3] = [ADDRESS, CONN, RESULT];
const ADDRESS: usize = 1;
const CONN: usize = 3;
const RESULT: usize = 5;
const GAP: usize = 2;

type Titles = [&'static str; COLUMNS.len()];
type Cells = [String; COLUMNS.len()];

/// The rows as text, at most `width` columns where words and names allow it; on one line each without a width, as
/// programs read them.
pub(super) fn lines(rows: &[Row], width: Option<usize>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let whole: Vec<Cells> = rows.iter().map(|row| cells(row, milliseconds(&row.phases))).collect();
    let Some(width) = width.filter(|width| widest(&COLUMNS, &whole) > *width) else { return aligned(&COLUMNS, &whole) };
    let short: Vec<Cells> = rows.iter().map(|row| cells(row, total(&row.phases))).collect();
    if widest(&SHORT, &short) <= width { aligned(&SHORT, &short) } else { folded(&short, width) }
}

fn cells(row: &Row, time: String) -> Cells {
    let days = row
        .end
        .as_ref()
        .map_or_else(String::new, |end| end.days_left.map_or_else(|| "never".to_owned(), |days| format!("{days:.1}")));
    let is_connect = !matches!(row.probe.kind, ProbeKind::Files | ProbeKind::OwnClock);
    let connection = if is_connect { row.probe.connection.as_str() } else { "" };
    [
        row.target(),
        row.address.clone(),
        row.probe.kind.as_str().to_owned(),
        connection.to_owned(),
        row.saw.as_str().to_owned(),
        row.result.clone(),
        time,
        days,
    ]
}

/// Widths of the columns, their titles included.
fn widths(titles: &Titles, rows: &[Cells], left_out: &[usize]) -> [usize; COLUMNS.len()] {
    std::array::from_fn(|column| {
        let cells = rows.iter().map(|cells| cells[column].chars().count());
        let is_shown = !left_out.contains(&column);
        if is_shown { cells.chain([titles[column].len()]).max().unwrap_or_default() } else { 0 }
    })
}

fn widest(titles: &Titles, rows: &[Cells]) -> usize {
    widths(titles, rows, &[]).iter().map(|width| width + GAP).sum::<usize>().saturating_sub(GAP)
}

fn aligned(titles: &Titles, rows: &[Cells]) -> String {
    let widths = widths(titles, rows, &[]);
    let mut text = line(&titles.map(str::to_owned), &widths, &[]);
    rows.iter().for_each(|cells| text.push_str(&line(cells, &widths, &[])));
    text
}

fn line(cells: &Cells, widths: &[usize; COLUMNS.len()], left_out: &[usize]) -> String {
    let mut line = String::new();
    for (column, cell) in cells.iter().enumerate().filter(|(column, _)| !left_out.contains(column)) {
        line.push_str(&format!("{cell:<width$}", width = widths[column] + GAP));
    }
    format!("{}\n", line.trim_end())
}

/// Each row on one line without its address, connection and result, and these below it.
fn folded(rows: &[Cells], width: usize) -> String {
    let widths = widths(&SHORT, rows, &BELOW);
    let mut text = line(&SHORT.map(str::to_owned), &widths, &BELOW);
    for cells in rows {
        text.push_str(&line(cells, &widths, &BELOW));
        if !cells[ADDRESS].is_empty() {
            let connection = &cells[CONN];
            let behind = if connection.is_empty() { String::new() } else { format!(", {connection} connection") };
            wrapped(&mut text, &format!("{}{behind}", cells[ADDRESS]), width);
        }
        if !cells[RESULT].is_empty() {
            wrapped(&mut text, &cells[RESULT], width);
        }
    }
    text
}

/// `words` below a row, broken at blanks only.
fn wrapped(text: &mut String, words: &str, width: usize) {
    const INDENT: &str = "    ";
    let mut line = String::new();
    for word in words.split(' ') {
        if !line.is_empty() && INDENT.len() + line.chars().count() + 1 + word.chars().count() > width {
            text.push_str(&format!("{INDENT}{line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    text.push_str(&format!("{INDENT}{line}\n"));
}

/// `connect 1.0 + tls 4.6 = 5.6`; empty when no phase was reached.
fn milliseconds(phases: &Phases) -> String {
    let reached: Vec<String> =
        phases.reached().map(|(phase, spent)| format!("{} {}", phase.as_str(), figure(spent))).collect();
    match reached.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        several => format!("{} = {}", several.join(" + "), total(phases)),
    }
}

/// `5.6`; empty when no phase was reached.
pub(super) fn total(phases: &Phases) -> String {
    phases.reached().next().map_or_else(String::new, |_| figure(phases.total()))
}

fn figure(spent: Duration) -> String {
    format!("{:.1}", spent.as_secs_f64() * 1000.0)
}
