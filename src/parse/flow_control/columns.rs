//! Rows and cells of a dump.
//!
//! A user's name may hold commas and blanks, so a row is cut where the headings begin: the server pads every cell to the
//! width of its column. A name with a line break ends that order for the rows behind it; those are cut at commas, where
//! that gives as many cells as there are headings.

use super::MAX_ROW;
use crate::parse::line_buffer::LineBuffer;

/// The rows of a dump that arrives in pieces. Holds one row at most.
#[derive(Debug, Default)]
pub(super) struct Rows {
    begun: LineBuffer<MAX_ROW>,
    columns: Option<Columns>,
    unread: u32,
}

/// Where the columns begin, in characters, by the row of headings.
#[derive(Debug)]
struct Columns {
    names: Vec<String>,
    starts: Vec<usize>,
}

/// The cells of one row.
#[derive(Debug)]
pub(super) struct Row<'a> {
    columns: &'a Columns,
    cells: Vec<&'a str>,
}

impl Rows {
    /// Takes the next piece, and gives each row that it completes to `take`; that one says whether it could read it.
    pub(super) fn push(&mut self, piece: &[u8], mut take: impl FnMut(&Row<'_>) -> bool) {
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.begun.add(&rest[..end]);
            rest = &rest[end + 1..];
            let Some(row) = self.begun.take() else {
                self.unread = self.unread.saturating_add(1);
                continue;
            };
            self.row(&String::from_utf8_lossy(&row), &mut take);
            self.begun.reuse(row);
        }
        self.begun.add(rest);
    }

    /// Rows that could not be read, and whether the dump ends within a row or has none.
    pub(super) fn finish(self) -> (u32, bool) {
        (self.unread, self.begun.has_begun() || self.columns.is_none())
    }

    fn row(&mut self, line: &str, take: &mut impl FnMut(&Row<'_>) -> bool) {
        if line.trim().is_empty() {
            return;
        }
        let Some(columns) = &self.columns else {
            self.columns = Some(Columns::of(line));
            return;
        };
        let is_read = columns.cells(line).is_some_and(|cells| take(&Row { columns, cells }));
        self.unread = self.unread.saturating_add(u32::from(!is_read));
    }
}

impl Columns {
    fn of(headings: &str) -> Self {
        let mut starts = Vec::new();
        let mut names = Vec::new();
        let mut at = 0;
        for part in headings.split(',') {
            let name = part.trim_start();
            starts.push(at + part.chars().count() - name.chars().count());
            names.push(name.trim_end().to_owned());
            at += part.chars().count() + 1;
        }
        // A comma behind the last heading ends it and begins none.
        if names.last().is_some_and(String::is_empty) {
            names.pop();
            starts.pop();
        }
        Self { names, starts }
    }

    fn cells<'a>(&self, line: &'a str) -> Option<Vec<&'a str>> {
        self.by_place(line).or_else(|| self.by_commas(line))
    }

    /// Every cell but the last ends in a comma and blanks, right before the next begins.
    fn by_place<'a>(&self, line: &'a str) -> Option<Vec<&'a str>> {
        let mut places = line.char_indices().map(|(at, _)| at).chain([line.len()]);
        let mut passed = 0;
        let mut bytes = Vec::with_capacity(self.starts.len());
        for start in &self.starts {
            bytes.push(places.nth(start - passed)?);
            passed = start + 1;
        }
        let ends = bytes.iter().skip(1).copied().chain([line.len()]);
        let cells = bytes.iter().zip(ends).enumerate().map(|(n, (start, end))| {
            let cell = line[*start..end].trim_end();
            let is_last = n + 1 == self.starts.len();
            cell.strip_suffix(',').or(is_last.then_some(cell))
        });
        cells.collect()
    }

    fn by_commas<'a>(&self, line: &'a str) -> Option<Vec<&'a str>> {
        let line = line.trim_end();
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let has_comma_behind = cells.len() == self.starts.len() + 1 && cells.last().is_some_and(|cell| cell.is_empty());
        match cells.len() {
            count if count == self.starts.len() => Some(cells),
            _ if has_comma_behind => Some(cells[..self.starts.len()].to_vec()),
            _ => None,
        }
    }
}

impl Row<'_> {
    /// The cell under `heading`.
    pub(super) fn get(&self, heading: &str) -> Option<&str> {
        let at = self.columns.names.iter().position(|name| name == heading)?;
        self.cells.get(at).copied()
    }

    /// The number under `heading`.
    pub(super) fn number<T: std::str::FromStr>(&self, heading: &str) -> Option<T> {
        self.get(heading)?.parse().ok()
    }
}
