//! What the configuration takes from the machine: names, resolvers, folders, and whether files may be opened.
//!
//! A value, so that tests and `check --offline` can set it.

use std::env;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// The machine as the configuration sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Default of `vantage.name`.
    pub host_name: String,
    /// Folder for the store, when systemd gives one (`StateDirectory=`).
    pub state_directory: Option<PathBuf>,
    /// Default of `vantage.resolvers`.
    pub resolvers: Vec<SocketAddr>,
    /// Whether the files, credentials and variables that the configuration names are read.
    pub sources: Sources,
}

/// Whether what the configuration names is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sources {
    /// Each is read and its content checked.
    Examined,
    /// None is touched: for checks on a machine that has none of them.
    Untouched,
}

impl Environment {
    /// This machine.
    #[must_use]
    pub fn here(sources: Sources) -> Self {
        let host_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        // systemd lists several folders with colons between; the unit asks for one.
        let state_directory = env::var_os("STATE_DIRECTORY")
            .and_then(|folders| env::split_paths(&folders).next())
            .filter(|folder| !folder.as_os_str().is_empty());
        let resolvers = fs::read_to_string("/etc/resolv.conf").map(|text| nameservers(&text)).unwrap_or_default();
        Self { host_name, state_directory, resolvers, sources }
    }
}

/// The servers of a resolv.conf, each once. Link-local ones with a scope are left out: they cannot be written down
/// as an address in the configuration either.
fn nameservers(text: &str) -> Vec<SocketAddr> {
    let mut servers = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let server = (words.next() == Some("nameserver")).then(|| words.next()?.parse::<IpAddr>().ok()).flatten();
        if let Some(server) = server.map(|ip| SocketAddr::new(ip, 53)).filter(|server| !servers.contains(server)) {
            servers.push(server);
        }
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nameservers_are_read_as_the_resolver_library_does() {
        let text = "# nameserver 9.9.9.9\nsearch x\nnameserver 10.0.0.53\n nameserver\t2001:db8::53 # x\n\
            nameserver fe80::1%eth0\nnameserver 10.0.0.53\nnameserver\n";

        let servers: Vec<String> = nameservers(text).iter().map(SocketAddr::to_string).collect();

        assert_eq!(servers, ["10.0.0.53:53", "[2001:db8::53]:53"]);
    }
}
