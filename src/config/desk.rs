//! What every reader of a section has at hand: where to complain, and what may be looked at.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use super::problem::Complaints;
use super::surroundings::{Sources, Surroundings};

/// Shared by all readers of one configuration.
pub(super) struct Desk<'a> {
    pub(super) complaints: &'a Complaints,
    /// Where relative paths start: the configuration's folder.
    pub(super) folder: &'a Path,
    pub(super) surroundings: &'a Surroundings,
    /// Kubeconfigs that were opened. Shared by all readers of one configuration, hence the cell.
    pub(super) kubeconfigs: RefCell<Vec<PathBuf>>,
}

impl Desk<'_> {
    /// Whether files, credentials and variables may be looked at.
    pub(super) fn examines(&self) -> bool {
        self.surroundings.sources == Sources::Examined
    }
}
