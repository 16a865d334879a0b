//! The machine we run on, as written: name, listener, store, resolvers, and the places that prove our path.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::cluster::Taken;
use super::read_context::ReadContext;
use super::scalar;
use super::settings::{Address, Host, Mail, NamedAddress, Vantage, WebPlace};
use super::size;
use super::web::{self, WebConfig};
use super::yaml_tree::{Section, Wrong, shortened};
use crate::model::subject::Name;
use crate::parse::diagnostic::Diagnostic;
use crate::parse::yaml::Node;

pub(super) const KEYS: [&str; 10] = [
    "name",
    "listen",
    "allow_insecure_listen",
    "web_config",
    "store",
    "recordings",
    "control",
    "resolvers",
    "references",
    "time_zone",
];
pub(super) const REFERENCE_KEYS: [&str; 2] = ["name", "address"];

/// Where the status page, the API, metrics and health are served unless configured.
const LISTEN: &str = "127.0.0.1:9876";
/// Folder of the store without systemd's `StateDirectory=`.
pub(super) const STATE_DIRECTORY: &str = "/var/lib/vedette";
/// What the room for recordings looks like.
const RECORDINGS_FORM: &str = "write a whole number and MiB or GiB, such as '64MiB', or 'off'";
/// The value of `control` and of `recordings` that turns them off.
const OFF: &str = "off";
/// The file in it.
const STORE: &str = "vedette.db";

impl ReadContext<'_> {
    /// The vantage in `node`, defaults where it is silent. The mail relay is a reference target by default.
    pub(super) fn vantage(&self, node: Option<&Node>, mail: Option<&Mail>) -> Vantage {
        let section = node.and_then(|node| Section::open(node, &KEYS, self.complaints));
        let section = section.as_ref();
        let name = section.and_then(|section| section.read("name", scalar::name)).map(String::from);
        let store = section.and_then(|section| section.read("store", |text| Ok(self.folder.join(text))));
        let control = section
            .and_then(|section| section.read("control", |text| Ok((text != OFF).then(|| self.folder.join(text)))));
        let resolvers = section
            .and_then(|section| self.resolvers(section))
            .unwrap_or_else(|| self.environment.resolvers.iter().map(|server| resolver(*server)).collect());
        let web = section.and_then(|section| self.web_config(section));
        let listen = section.and_then(|section| self.listen(section, web.as_ref())).unwrap_or_else(default_listen);
        let is_wide = !listen.ip().to_canonical().is_loopback();
        let must_guard = is_wide && !section.is_some_and(|section| section.flag("allow_insecure_listen"));
        let mut references = section.map(|section| self.references(section)).unwrap_or_default();
        add_defaults(&mut references, mail, &resolvers);
        Vantage {
            name: name.unwrap_or_else(|| self.environment.host_name.clone()),
            listen,
            web_config: web.map(|(path, _)| WebPlace { path, must_guard }),
            store: store.unwrap_or_else(|| self.default_store()),
            recordings: self.recordings(section),
            control: control.unwrap_or_else(|| Some(PathBuf::from(Vantage::CONTROL))),
            resolvers,
            references,
            time_zone: section.and_then(|section| section.read("time_zone", scalar::zone)),
        }
    }

    /// The file, and its content; `None` as content where it may not be opened, or cannot be used, which is then
    /// reported.
    fn web_config(&self, section: &Section<'_>) -> Option<(PathBuf, Option<WebConfig>)> {
        let node = section.find("web_config")?;
        let path = section.read("web_config", |text| match text {
            "" => Err(Wrong::new("not a valid path", "write a path; relative ones start at this file's folder")),
            text => Ok(self.folder.join(text)),
        })?;
        if !self.examines() {
            return Some((path, None));
        }
        let (config, problems) = match web::read(&path).result {
            Ok((config, warnings)) => (Some(config), warnings),
            Err(problems) => (None, problems),
        };
        for problem in problems {
            match problem.diagnostic.position {
                Some(_) => self.complaints.add_in(&problem.file, problem.diagnostic),
                // Not about a place in it, but about the file.
                None => self.complaints.add(Diagnostic { position: Some(node.position), ..problem.diagnostic }),
            }
        }
        Some((path, config))
    }

    fn listen(&self, section: &Section<'_>, web: Option<&(PathBuf, Option<WebConfig>)>) -> Option<SocketAddr> {
        let listen = section.read("listen", |text| {
            let hint = format!("write an IP address of this machine and a port, such as '{LISTEN}'");
            let parsed = text.parse::<SocketAddr>().ok().filter(|listen| listen.port() > 0);
            parsed.ok_or_else(|| Wrong::new(format!("'{}' is not a valid listen address", shortened(text)), hint))
        })?;
        let is_allowed = section.flag("allow_insecure_listen");
        let is_open = match web {
            None => true,
            Some((_, Some(config))) => !config.is_guarded(),
            // It cannot be used, which is reported already, or must not be opened.
            Some((_, None)) => false,
        };
        if !is_allowed && is_open && !listen.ip().to_canonical().is_loopback() {
            let position = section.find("listen").map_or(section.position, |node| node.position);
            let (what, hint) = match web {
                None => (
                    "the endpoints ask nobody who they are",
                    "listen on 127.0.0.1, give 'web_config' a file with TLS and users or verified client certificates, \
                     or set 'allow_insecure_listen: true' behind a firewall",
                ),
                Some(_) => (
                    "the file under 'web_config' gives no TLS together with users or verified client certificates",
                    "add what is missing there, listen on 127.0.0.1, or set 'allow_insecure_listen: true' behind a firewall",
                ),
            };
            self.complaints.add(
                Diagnostic::error(position, format!("'{listen}' can be reached from outside, and {what}")).hint(hint),
            );
        }
        Some(listen)
    }

    fn default_store(&self) -> PathBuf {
        self.environment.state_directory.as_deref().unwrap_or(Path::new(STATE_DIRECTORY)).join(STORE)
    }

    fn recordings(&self, section: Option<&Section<'_>>) -> Option<u64> {
        let read = |text: &str| match text {
            OFF => Ok(None),
            text => size::parse(text).map(Some).map_err(|what| Wrong::new(what, RECORDINGS_FORM)),
        };
        section.and_then(|section| section.read("recordings", read)).unwrap_or(Some(Vantage::RECORDINGS))
    }

    fn resolvers(&self, section: &Section<'_>) -> Option<Vec<NamedAddress>> {
        let mut taken = Taken::default();
        let read = |node: &Node| {
            let server = section.scalar(node, |text| match scalar::address(text)? {
                Address { host: Host::Ip(ip), port } => Ok(SocketAddr::new(ip, port)),
                Address { host: Host::Name(_), .. } => {
                    Err(Wrong::new("a resolver needs an IP address", "without it no name can be resolved"))
                }
            })?;
            taken.take(self, "resolver", &server.to_string(), node.position);
            Some(resolver(server))
        };
        Some(section.list("resolvers")?.iter().filter_map(read).collect())
    }

    fn references(&self, section: &Section<'_>) -> Vec<NamedAddress> {
        let (mut names, mut addresses) = (Taken::default(), Taken::default());
        let read = |node: &Node| {
            let section = Section::open(node, &REFERENCE_KEYS, self.complaints)?;
            let name = section.read_required("name", scalar::name);
            let address = section.read_required("address", scalar::address);
            if let (Some(name), Some(node)) = (&name, section.find("name")) {
                names.take(self, "reference target", name.as_str(), node.position);
            }
            if let (Some(address), Some(node)) = (&address, section.find("address")) {
                addresses.take(self, "address", &address.to_string(), node.position);
            }
            Some(NamedAddress { name: name?, address: address? })
        };
        section.list("references").unwrap_or_default().iter().filter_map(read).collect()
    }
}

/// The mail relay and the resolvers prove our path as well, unless they are on this machine or already listed.
fn add_defaults(references: &mut Vec<NamedAddress>, mail: Option<&Mail>, resolvers: &[NamedAddress]) {
    let relay = mail.map(|mail| NamedAddress { name: fixed_name("relay"), address: mail.relay.clone() });
    for candidate in relay.into_iter().chain(resolvers.iter().cloned()) {
        let is_known = references.iter().any(|r| r.name == candidate.name || r.address == candidate.address);
        if !is_known && !candidate.address.host.is_loopback() {
            references.push(candidate);
        }
    }
}

/// A resolver is called by its address. Names have no brackets, so an IPv6 address and its port are parted by a dot,
/// and one that begins with a colon gets the zero that the colon stands for.
fn resolver(server: SocketAddr) -> NamedAddress {
    let name = match server {
        SocketAddr::V4(server) => server.to_string(),
        SocketAddr::V6(server) => {
            let ip = server.ip().to_string();
            let zero = if ip.starts_with(':') { "0" } else { "" };
            format!("{zero}{ip}.{}", server.port())
        }
    };
    NamedAddress { name: fixed_name(&name), address: Address { host: Host::Ip(server.ip()), port: server.port() } }
}

fn fixed_name(text: &str) -> Name {
    text.parse().expect("letters, digits, dots and colons, at most 51")
}

fn default_listen() -> SocketAddr {
    LISTEN.parse().expect("a literal address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resolver_has_a_name() {
        for (server, name) in [
            ("10.0.0.53:53", "10.0.0.53:53"),
            ("[2001:db8::53]:53", "2001:db8::53.53"),
            ("[::1]:5353", "0::1.5353"),
            ("[2001:db8:1111:2222:3333:4444:5555:6666]:65535", "2001:db8:1111:2222:3333:4444:5555:6666.65535"),
            ("[::ffff:255.255.255.255]:65535", "0::ffff:255.255.255.255.65535"),
        ] {
            assert_eq!(resolver(server.parse().unwrap()).name.as_str(), name);
        }
        assert!(default_listen().ip().is_loopback());
    }
}
