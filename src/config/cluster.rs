//! One cluster as written: how to prove who we are, where its parts are, and that no part is named twice.

use std::collections::BTreeMap;

use url::Url;

use super::load::{self, Desk};
use super::material::Use;
use super::raw::{Section, Wrong};
use super::settings::{Address, Cluster, Credentials, Endpoint, Etcd};
use crate::model::subject::{Name, VANTAGE};
use crate::parse::flaw::Flaw;
use crate::parse::yaml::{Mark, Node};

pub(super) const KEYS: [&str; 7] = ["name", "kubeconfig", "credentials", "vip", "apiservers", "etcd", "levels"];
pub(super) const CREDENTIALS_KEYS: [&str; 5] = ["ca", "client_certificate", "client_key", "token", "proxy"];
pub(super) const VIP_KEYS: [&str; 3] = ["address", "server_name", "failover"];
pub(super) const ENDPOINT_KEYS: [&str; 3] = ["name", "address", "server_name"];
pub(super) const ETCD_KEYS: [&str; 5] = ["name", "ca", "client_certificate", "client_key", "members"];

/// A cluster and where it stands.
pub(super) struct Written {
    pub(super) mark: Mark,
    pub(super) cluster: Cluster,
}

/// What has been used up already, by its text.
#[derive(Default)]
pub(super) struct Taken(BTreeMap<String, Mark>);

impl Taken {
    /// Complains when `text` was there before.
    pub(super) fn take(&mut self, desk: &Desk<'_>, what: &str, text: &str, mark: Mark) {
        match self.0.get(text) {
            Some(first) => {
                desk.complaints.add(Flaw::error(mark, format!("{what} '{text}' is already in line {}", first.line)));
            }
            None => {
                self.0.insert(text.to_owned(), mark);
            }
        }
    }
}

impl Desk<'_> {
    /// The cluster in `node`. Without a usable name there is none.
    pub(super) fn cluster(&self, node: &Node, names: &mut Taken) -> Option<Written> {
        let section = Section::open(node, &KEYS, self.complaints)?;
        let name = section.read_required("name", |text| match load::name(text)? {
            name if name.as_str() == VANTAGE => Err(Wrong::new(
                format!("no cluster can be called '{VANTAGE}'"),
                "that name stands for the machine vedette runs on",
            )),
            name => Ok(name),
        });
        let mark = section.find("name").map_or(section.mark, |node| node.mark);
        if let Some(name) = &name {
            names.take(self, "cluster", name.as_str(), mark);
        }
        let mut addresses = Taken::default();
        let apiservers = self.endpoints(&section, "apiservers", "apiserver", &mut addresses);
        let etcds = self.etcds(&section, &mut addresses);
        let (credentials, vip, vip_fails_over) = self.access(&section, &apiservers, &mut addresses);
        let levels = self.levels(&section);
        let is_empty = ["vip", "kubeconfig", "apiservers", "etcd"].iter().all(|key| section.find(key).is_none());
        if is_empty {
            let hint = "give at least one of kubeconfig, vip, apiservers and etcd";
            self.complaints.add(Flaw::error(mark, "the cluster has nothing to watch").hint(hint));
        }
        let cluster = Cluster { name: name?, credentials, vip, vip_fails_over, apiservers, etcds, levels };
        Some(Written { mark, cluster })
    }

    /// Credentials and the address clients use: written here, or out of the kubeconfig.
    fn access(
        &self,
        section: &Section<'_>,
        apiservers: &[(Name, Endpoint)],
        addresses: &mut Taken,
    ) -> (Credentials, Option<Endpoint>, bool) {
        let literal = section.find("credentials").map(|node| self.credentials(node));
        let given = section.find("kubeconfig").and_then(|node| self.kubeconfig(node));
        if let (Some(node), true) = (section.find("credentials"), section.find("kubeconfig").is_some()) {
            self.complaints
                .add(Flaw::error(node.mark, "both 'kubeconfig' and 'credentials'").hint("keep one of the two"));
        }
        let vip_section = section.find("vip").and_then(|node| Section::open(node, &VIP_KEYS, self.complaints));
        let vip = vip_section.map(|vip| Vip {
            address: vip.read("address", load::address),
            server_name: vip.read("server_name", load::host),
            has_address: vip.find("address").is_some(),
            fails_over: vip.flag("failover"),
            mark: vip.find("address").map_or(vip.mark, |node| node.mark),
        });
        if let Some(Vip { address: Some(address), mark, .. }) = &vip {
            addresses.take(self, "address", &address.to_string(), *mark);
        }
        if let (Some(vip), None) = (&vip, section.find("kubeconfig"))
            && !vip.has_address
        {
            self.complaints
                .add(Flaw::error(vip.mark, "'address' is missing").hint("only a kubeconfig can stand in for it"));
        }
        let fails_over = vip.as_ref().is_some_and(|vip| vip.fails_over);
        let (credentials, mut default, detour) = match given {
            Some(given) => (given.credentials, given.endpoint, given.detour),
            None => (literal.unwrap_or_default(), None, None),
        };
        let wants_default = vip.as_ref().is_none_or(|vip| !vip.has_address);
        if let (true, Some((file, flaw))) = (wants_default, detour) {
            self.complaints.add_in(&file, flaw);
            default = None;
        }
        // A kubeconfig often points at one of the instances; then there is no shared address to watch.
        let is_instance = |endpoint: &Endpoint| apiservers.iter().any(|(_, known)| known.address == endpoint.address);
        let default = default.filter(|default| wants_default && !is_instance(default));
        let watches_apiservers = !apiservers.is_empty() || vip.is_some() || default.is_some();
        if credentials.anchors.is_none() && watches_apiservers && self.examines() {
            let hint = "give the cluster's CA (certificate-authority in a kubeconfig, 'ca' in credentials)";
            let flaw =
                Flaw::warning(section.mark, "no CA, so certificates served by the apiservers cannot be verified");
            self.complaints.add(flaw.hint(hint));
        }
        let endpoint = match vip {
            Some(Vip { address: Some(address), server_name, .. }) => Some(Endpoint::new(address, server_name)),
            Some(Vip { server_name, .. }) => {
                default.map(|default| Endpoint { server_name: server_name.unwrap_or(default.server_name), ..default })
            }
            None => default,
        };
        (credentials, endpoint, fails_over)
    }

    fn credentials(&self, node: &Node) -> Credentials {
        let Some(section) = Section::open(node, &CREDENTIALS_KEYS, self.complaints) else {
            return Credentials::default();
        };
        let proxy = |text: &str| {
            let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https" | "socks5"));
            url.filter(Url::has_host).ok_or_else(|| {
                Wrong::new("no http, https or socks5 URL", "write for example 'http://proxy.example.com:3128'")
            })
        };
        Credentials {
            anchors: self.source(&section, "ca", Use::Authorities),
            client: self.client_pair(&section),
            token: self.source(&section, "token", Use::Token),
            exec: None,
            proxy: section.read("proxy", proxy),
        }
    }

    fn etcds(&self, section: &Section<'_>, addresses: &mut Taken) -> Vec<Etcd> {
        let mut names = Taken::default();
        let read = |node| {
            let section = Section::open(node, &ETCD_KEYS, self.complaints)?;
            let name = section.read_required("name", load::name);
            if let (Some(name), Some(node)) = (&name, section.find("name")) {
                names.take(self, "etcd", name.as_str(), node.mark);
            }
            let credentials = Credentials {
                anchors: self.source(&section, "ca", Use::Authorities),
                client: self.client_pair(&section),
                ..Credentials::default()
            };
            if section.find("ca").is_none() {
                let flaw = Flaw::warning(section.mark, "no 'ca', so certificates served by etcd cannot be verified");
                self.complaints.add(flaw.hint("give etcd's CA, on kubeadm clusters /etc/kubernetes/pki/etcd/ca.crt"));
            }
            if section.find("members").is_none() {
                self.complaints.add(Flaw::error(section.mark, "'members' is missing"));
            }
            let members = self.endpoints(&section, "members", "member", addresses);
            Some(Etcd { name: name?, credentials, members })
        };
        section.list("etcd").unwrap_or_default().iter().filter_map(read).collect()
    }

    /// The named endpoints under `key`.
    fn endpoints(&self, section: &Section<'_>, key: &str, what: &str, addresses: &mut Taken) -> Vec<(Name, Endpoint)> {
        let mut names = Taken::default();
        let read = |node| {
            let section = Section::open(node, &ENDPOINT_KEYS, self.complaints)?;
            let name = section.read_required("name", load::name);
            let address = section.read_required("address", load::address);
            let server_name = section.read("server_name", load::host);
            if let (Some(name), Some(node)) = (&name, section.find("name")) {
                names.take(self, what, name.as_str(), node.mark);
            }
            if let (Some(address), Some(node)) = (&address, section.find("address")) {
                addresses.take(self, "address", &address.to_string(), node.mark);
            }
            Some((name?, Endpoint::new(address?, server_name)))
        };
        section.list(key).unwrap_or_default().iter().filter_map(read).collect()
    }
}

/// The `vip` section as written.
struct Vip {
    address: Option<Address>,
    server_name: Option<super::settings::Host>,
    has_address: bool,
    fails_over: bool,
    mark: Mark,
}
