//! The commands that a finding proposes: what one is, and what all are made from. `judge/commands` writes them.

use super::addresses::Addresses;
use super::host_access::Hosts;

pub use super::command_id::Id;

/// One line to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Which one it is, whatever hosts and paths it names.
    pub id: Id,
    /// The line for the shell.
    pub line: String,
    /// What to know about it, without a `#`.
    pub note: Option<String>,
    /// Whether it changes something, or belongs to the steps that do.
    pub changes: bool,
}

/// An object of the Kubernetes API, for people to apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its name, and that of a file to keep it in.
    pub name: String,
    /// What it does, as the begin of a sentence.
    pub what: String,
    /// Its YAML; lines without a common indentation.
    pub yaml: String,
}

/// What commands are made from: where everything is, and how its hosts are reached.
#[derive(Debug, Clone, Copy)]
pub struct Commands<'a> {
    /// The configured addresses.
    pub addresses: &'a Addresses,
    /// The hosts of the cluster, and who may log in there.
    pub hosts: &'a Hosts,
}

impl<'a> Commands<'a> {
    /// Commands for a cluster with these addresses on these hosts.
    #[must_use]
    pub const fn new(addresses: &'a Addresses, hosts: &'a Hosts) -> Self {
        Self { addresses, hosts }
    }
}
