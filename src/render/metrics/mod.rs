//! The metrics page: one [`Snapshot`] as Prometheus metric families.
//!
//! Every family is built anew from the snapshot on every scrape, so what left the inventory leaves the page with it.
//! What is not known is absent: no `-1`, no `NaN`, no value that outlived the probe it came from. Labels come from the
//! configuration and from closed enums; error texts, names in certificates and serials never become one.
//! Called by `expose` for `/metrics`; reads no clock and no process state.

mod apiserver;
mod certificate;
mod certificate_files;
mod cluster;
mod drawing;
mod etcd;
mod etcd_page;
mod family;
mod flow_control;
mod format;
pub(in crate::render) mod fresh;
mod incident;
mod own;
mod pieces;
mod probes;
mod protobuf;
mod rounds;
mod sample;
mod tallied;
mod zpages;

use crate::model::snapshot::Snapshot;
use crate::model::time::Now;

pub use family::Family;
pub use format::Format;
pub use pieces::Pieces;
pub use sample::Labels;

/// Everything a family is made from.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// What the engine knows. The intervals of its policy decide when a probe is too old.
    pub snapshot: &'a Snapshot,
    /// The time of the scrape. So the values of a stalled engine disappear instead of staying as they were.
    pub now: Now,
    /// How the families are written.
    pub format: Format,
}

impl<'a> Page<'a> {
    /// What is made from `snapshot` at `now`, as text.
    #[must_use]
    pub const fn new(snapshot: &'a Snapshot, now: Now) -> Self {
        Self { snapshot, now, format: Format::Text }
    }
}

#[cfg(test)]
mod tests;
