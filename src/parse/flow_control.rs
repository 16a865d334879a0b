//! The dumps of API Priority and Fairness: `dump_priority_levels`, and `dump_requests` with the details of requests.
//!
//! Both are tables for people: a row of headings, then cells that end in a comma and are padded with blanks so that
//! columns line up. `columns.rs` finds the cells, `levels.rs` and `requests.rs` read them as they arrive, so that a dump
//! of any length takes the memory of what is kept of it. Source of the form: kube-apiserver 1.36 and
//! `apiserver/pkg/util/flowcontrol/apf_controller_debug.go`.

mod columns;
mod levels;
mod requests;
#[cfg(test)]
mod tests;

pub use levels::LevelsReader;
pub use requests::RequestsReader;

/// Bytes of a row that is still read: every row is padded to the widest cell of each column, and the path of a request
/// may have some thousand.
const MAX_ROW: usize = 16 * 1024;

/// Longest text kept of a cell; names in Kubernetes have 253 at most, paths are shortened.
const MAX_TEXT: usize = 256;
