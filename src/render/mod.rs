//! Words and pictures from model values: metrics, tables, messages.
//!
//! Pure: no clock, no I/O, no decision. Whoever has a reader asks here: `expose`, `notify` and `cli`.

pub mod metrics;
#[cfg(test)]
pub(crate) mod specimen;
pub mod table;
