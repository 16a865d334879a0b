//! Prometheus' text format and OpenMetrics: the wanted samples of a page, as the page arrives.
//!
//! `reader.rs` takes a page in pieces that may be cut anywhere and holds one line of it at most; `families.rs` says which
//! families are wanted, so that the others are passed over line by line without being read; `sample.rs` reads one line.
//! A page of 64 MB therefore takes the memory of a page of 1 MB. Comments, types, timestamps and exemplars are not read;
//! what a sample means is the caller's business. Called by `parse/etcd_page.rs`.

mod families;
mod reader;
mod sample;
#[cfg(test)]
mod tests;

pub use families::Families;
pub use reader::{Flaw, MAX_LINE, Reader};
pub use sample::Sample;
