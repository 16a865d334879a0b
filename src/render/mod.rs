//! Text from model values: mails, tables, the metrics, the status page.
//!
//! Pure: no clock, no I/O, no decision. Called by `expose`, `notify` and `cli`.

pub mod certificate_calendar;
pub mod certificate_list;
pub mod document;
pub mod evidence;
#[cfg(test)]
pub(crate) mod fixture;
pub mod harmless;
pub mod html;
pub mod incident_report;
mod local;
pub mod mail;
pub mod message;
pub mod metrics;
mod recovered;
pub mod silence;
mod silence_note;
pub mod status;
pub mod subject_line;
pub mod table;
#[cfg(test)]
mod tests;
pub mod text;
mod unreachable_site;
