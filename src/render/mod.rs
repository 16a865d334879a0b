//! Words and pictures from model values: mails, tables, the metrics page, the status page.
//!
//! Pure: no clock, no I/O, no decision. Whoever has a reader asks here: `expose`, `notify` and `cli`.

pub mod document;
pub mod evidence;
pub mod harmless;
pub mod html;
mod hush;
mod local;
pub mod mail;
pub mod message;
pub mod metrics;
mod recovered;
pub mod silence;
mod site;
#[cfg(test)]
pub(crate) mod specimen;
pub mod status;
pub mod story;
pub mod subject_line;
pub mod table;
#[cfg(test)]
mod tests;
pub mod text;
