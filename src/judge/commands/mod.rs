//! The commands for people, in one place: a rule asks by intent and writes no shell text.
//!
//! One file per distribution holds its paths and programs (`layout.rs`); `etcd`, `hosts`, `certificates`, `network` and
//! `credentials` hold the commands by topic. Nothing here runs anything. A command only reads unless it says that it
//! changes something, and is then shown under its own heading, below the others.

mod certificates;
mod control_plane_hosts;
mod credentials;
mod etcd;
pub mod guess;
mod k3s;
mod kubeadm;
mod layout;
mod network;
mod openshift;
mod rke2;

use std::net::IpAddr;

use crate::model::host_access::{Basis, Credential, Distribution};
use crate::model::subject::Subject;

use super::phrases;

pub use crate::model::command::{Command, Commands, Id};
pub use control_plane_hosts::Program;
use layout::Layout;
pub use network::any_host;

impl Command {
    /// A command that only reads.
    fn read(id: Id, line: impl Into<String>) -> Self {
        Self { id, line: line.into(), note: None, changes: false }
    }

    /// A command that changes something.
    fn change(id: Id, line: impl Into<String>) -> Self {
        Self { changes: true, ..Self::read(id, line) }
    }

    /// The same among those that change something, where it belongs between them.
    fn below(self) -> Self {
        Self { changes: true, ..self }
    }

    /// The same with something to know about it.
    #[must_use]
    pub(super) fn note(self, note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..self }
    }
}

impl Commands<'_> {
    /// The paths and programs of its hosts; `None` on Talos, whose hosts have no shell.
    const fn layout(&self) -> Option<&'static Layout> {
        match self.hosts.distribution {
            Distribution::Kubeadm => Some(&kubeadm::LAYOUT),
            Distribution::K3s => Some(&k3s::LAYOUT),
            Distribution::Rke2 => Some(&rke2::LAYOUT),
            Distribution::Openshift => Some(&openshift::LAYOUT),
            Distribution::Talos => None,
        }
    }

    /// Where and as whom `commands` are to be run, in one sentence; `vantage` is the host that vedette runs on.
    #[must_use]
    pub fn place(&self, vantage: &str, commands: &[Command]) -> String {
        if !commands.iter().any(|command| command.id.is_on_hosts()) {
            return format!("Run on {vantage}.");
        }
        let name = self.hosts.distribution.as_str();
        let doubt = match self.hosts.basis {
            Basis::Configured | Basis::Seen => "",
            Basis::Renewal => " (or RKE2: 'distribution' in the configuration says which)",
            Basis::Assumed => " (assumed: 'distribution' in the configuration changes it)",
        };
        if self.layout().is_none() {
            return format!("Run on {vantage}, with a talosconfig of the cluster.");
        }
        let whom = match self.user() {
            None | Some("root") => "host commands as root".to_owned(),
            Some(user) => format!("host commands as {user} with sudo"),
        };
        format!("Run on {vantage}; {whom} on the hosts, {name} paths{doubt}.")
    }

    /// Whom ssh logs in.
    fn user(&self) -> Option<&str> {
        self.hosts.ssh_user.as_deref().or_else(|| self.layout().and_then(|layout| layout.user))
    }

    /// What stands before a program that needs root.
    fn sudo(&self) -> &'static str {
        if matches!(self.user(), None | Some("root")) { "" } else { "sudo " }
    }

    /// ssh to `host`, which may be a shell variable.
    fn login(&self, host: &str) -> String {
        self.user().map_or_else(|| format!("ssh {host}"), |user| format!("ssh {user}@{host}"))
    }

    /// `script` on `host`.
    fn on(&self, host: &str, script: &str) -> String {
        format!("{} {}", self.login(host), quoted(script))
    }

    /// `script` on each of `hosts`, and the failure of one does not stop the others.
    fn on_each(&self, hosts: &[String], script: &str) -> String {
        match hosts {
            [only] => self.on(only, script),
            several => format!("for h in {}; do {} {}; done", several.join(" "), self.login("$h"), quoted(script)),
        }
    }

    /// The host of `subject`; an API VIP is on none that could be named.
    fn host(&self, subject: &Subject) -> String {
        if subject.is_vip() { "CONTROL-PLANE-HOST".to_owned() } else { phrases::host_of(subject, self.addresses) }
    }

    /// The hosts of `subjects`, each once.
    fn host_names(&self, subjects: &[Subject]) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in subjects.iter().map(|subject| self.host(subject)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Known members of the etcd cluster that `subject` is or belongs to; itself where none is known.
    #[must_use]
    pub(super) fn members(&self, subject: &Subject) -> Vec<Subject> {
        let members = phrases::members(subject, self.addresses);
        if members.is_empty() { vec![subject.clone()] } else { members }
    }

    /// What vedette shows `subject` and trusts of it.
    fn credential(&self, subject: &Subject) -> Option<&Credential> {
        let named = &self.hosts.named;
        subject.etcd_name().map_or(Some(&named.apiservers), |etcd| named.etcds.get(etcd))
    }

    /// What openssl needs to ask `subject` by the name that vedette expects there: nothing for an address.
    fn server_name(&self, subject: &Subject) -> String {
        let address = self.address(subject);
        let host = phrases::host(&address);
        let connected = host.parse::<IpAddr>().is_err().then_some(host);
        let name = self.hosts.named.server_names.get(subject).map(String::as_str).or(connected);
        name.map_or_else(String::new, |name| format!(" -servername {name}"))
    }

    fn address(&self, subject: &Subject) -> String {
        phrases::address(subject, self.addresses)
    }
}

/// A path as one word of a POSIX shell: as it is where that is one.
fn path_word(path: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:,".contains(c);
    if !path.is_empty() && path.chars().all(is_plain) { path.to_owned() } else { quoted(path) }
}

/// `text` as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::host_access::Hosts;
    use crate::samples::{addresses, subject};

    #[test]
    fn quotes_survive_the_local_and_the_remote_shell() {
        for (text, expected) in [("df -h /", "'df -h /'"), ("echo 'a b'", "'echo '\\''a b'\\'''")] {
            assert_eq!(quoted(text), expected);
        }
    }

    #[test]
    fn whoever_is_not_root_gets_sudo_and_root_gets_none() {
        let addresses = addresses();
        let member = subject("prod-eu1/etcd/etcd/etcd-2");
        for (distribution, user, line) in [
            (Distribution::Kubeadm, None, "ssh 10.0.0.22 'crictl ps -a --name \"^etcd$\"'"),
            (Distribution::Kubeadm, Some("root"), "ssh root@10.0.0.22 'crictl ps -a --name \"^etcd$\"'"),
            (Distribution::Kubeadm, Some("anna"), "ssh anna@10.0.0.22 'sudo crictl ps -a --name \"^etcd$\"'"),
            (Distribution::Openshift, None, "ssh core@10.0.0.22 'sudo crictl ps -a --name \"^etcd$\"'"),
            (Distribution::Talos, Some("anna"), "talosctl -n 10.0.0.22 service etcd"),
        ] {
            let hosts = Hosts { distribution, ssh_user: user.map(str::to_owned), ..Hosts::default() };

            assert_eq!(Commands::new(&addresses, &hosts).containers(&member, Program::Etcd).line, line);
        }
    }
}
