//! What the readers of all sections share: where errors go, and what may be read.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use super::environment::{Environment, Sources};
use super::problem::Complaints;

/// Shared by all readers of one configuration.
pub(super) struct ReadContext<'a> {
    pub(super) complaints: &'a Complaints,
    /// Where relative paths start: the configuration's folder.
    pub(super) folder: &'a Path,
    pub(super) environment: &'a Environment,
    /// Kubeconfigs that were opened. Shared by all readers of one configuration, hence the cell.
    pub(super) kubeconfigs: RefCell<Vec<PathBuf>>,
}

impl ReadContext<'_> {
    /// Whether files, credentials and variables may be read.
    pub(super) fn examines(&self) -> bool {
        self.environment.sources == Sources::Examined
    }
}
