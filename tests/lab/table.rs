//! The figures drills measure, printed as one table at the end: fault-to-mail seconds and the like.

use std::fmt;
use std::time::{Duration, Instant};

/// Rows of what happened, and how long after its cause.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    what: String,
    time: Duration,
    /// From a hard fault to its mail: what design.md section 6 sets a goal for.
    is_page: bool,
}

/// How a lane hands its rows to the one who prints them all: tabs between, one row a line.
const MARK: &str = "figure\t";

impl Table {
    /// Notes that `what` took from `cause` to `effect`.
    pub(crate) fn note(&mut self, what: impl Into<String>, cause: Instant, effect: Instant) {
        let time = effect.saturating_duration_since(cause);
        self.rows.push(Row { what: what.into(), time, is_page: false });
    }

    /// Notes how long the mail of a hard fault took.
    pub(crate) fn note_page(&mut self, what: impl Into<String>, cause: Instant, effect: Instant) {
        let time = effect.saturating_duration_since(cause);
        self.rows.push(Row { what: what.into(), time, is_page: true });
    }

    /// Takes over the rows of another table.
    pub(crate) fn append(&mut self, other: &mut Self) {
        self.rows.append(&mut other.rows);
    }

    /// Whether nothing was noted.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows as lines that [`Table::read`] understands.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.rows.iter().map(|row| format!("{MARK}{}\t{}\t{}", row.is_page, row.time.as_millis(), row.what))
    }

    /// Takes in a line of [`Table::lines`]; anything else is not one.
    pub(crate) fn read(&mut self, line: &str) -> bool {
        let Some(row) = line.strip_prefix(MARK) else { return false };
        let mut parts = row.splitn(3, '\t');
        let (Some(is_page), Some(millis), Some(what)) = (parts.next(), parts.next(), parts.next()) else {
            return false;
        };
        let time = Duration::from_millis(millis.parse().unwrap_or(0));
        self.rows.push(Row { what: what.to_owned(), time, is_page: is_page == "true" });
        true
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.what.chars().count()).max().unwrap_or(0);
        for Row { what, time, .. } in &self.rows {
            writeln!(f, "{what:width$}  {:7.2} s", time.as_secs_f64())?;
        }
        let mut pages: Vec<Duration> = self.rows.iter().filter(|row| row.is_page).map(|row| row.time).collect();
        pages.sort();
        let (Some(median), Some(worst)) = (pages.get(pages.len() / 2), pages.last()) else { return Ok(()) };
        write!(
            f,
            "hard faults to mail: median {:.2} s, worst {:.2} s of {}",
            median.as_secs_f64(),
            worst.as_secs_f64(),
            pages.len()
        )
    }
}
