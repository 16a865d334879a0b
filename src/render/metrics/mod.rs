//! The metrics page: one [`Snapshot`] as Prometheus metric families.
//!
//! Every family is built anew from the snapshot on every scrape, so what left the inventory leaves the page with it.
//! What is not known is absent: no `-1`, no `NaN`, no value that outlived the probe it came from. Labels come from the
//! configuration and from closed enums; error texts, names in certificates and serials never become one.
//! Called by `expose` for `/metrics`; reads no clock and no process state.

mod certificate;
mod certificate_files;
mod cluster;
mod etcd;
mod etcd_page;
mod family;
pub(in crate::render) mod fresh;
mod incident;
mod own;
mod pieces;
mod probes;
mod rounds;
mod tallied;

use crate::model::snapshot::Snapshot;
use crate::model::time::Now;

pub use family::{Family, Labels, encode};
pub use pieces::Pieces;

/// Everything a family is made from.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// What the engine knows. The intervals of its policy decide when a probe is too old.
    pub snapshot: &'a Snapshot,
    /// The time of the scrape. So the values of a stalled engine disappear instead of staying as they were.
    pub now: Now,
}

/// The media type of a page's text.
pub const MEDIA_TYPE: &str = prometheus::TEXT_FORMAT;

#[cfg(test)]
mod tests;
