//! The etcd clusters of a cluster as written: who we are to them, their client ports, their metrics listeners.
//!
//! A cluster is watched through its client ports, with metrics listeners beside them where there are any, or through
//! metrics listeners alone. Called by the reader of clusters.

use url::Url;

use super::cluster::{ENDPOINT_KEYS, ETCD_KEYS, Taken, class, quota};
use super::material::Use;
use super::read_context::ReadContext;
use super::scalar;
use super::settings::{Address, Credentials, Endpoint, Etcd, MetricsListener};
use super::yaml_tree::{Section, Wrong, shortened};
use crate::model::certificate::Class;
use crate::model::subject::Name;
use crate::parse::diagnostic::Diagnostic;
use crate::parse::yaml::Node;

pub(super) const MEMBER_KEYS: [&str; 5] =
    [ENDPOINT_KEYS[0], ENDPOINT_KEYS[1], ENDPOINT_KEYS[2], ENDPOINT_KEYS[3], "metrics"];
pub(super) const LISTENER_KEYS: [&str; 3] = ["ca", "client_certificate", "client_key"];

/// A member as written.
struct Written {
    name: Name,
    client: Option<Endpoint>,
    listener: Option<MetricsListener>,
}

impl ReadContext<'_> {
    pub(super) fn etcds(&self, section: &Section<'_>, inherited: Class, addresses: &mut Taken) -> Vec<Etcd> {
        let mut names = Taken::default();
        let read = |node| self.etcd(node, inherited, &mut names, addresses);
        section.list("etcd").unwrap_or_default().iter().filter_map(read).collect()
    }

    fn etcd(&self, node: &Node, inherited: Class, names: &mut Taken, addresses: &mut Taken) -> Option<Etcd> {
        let section = Section::open(node, &ETCD_KEYS, self.complaints)?;
        let name = section.read_required("name", scalar::name);
        if let (Some(name), Some(node)) = (&name, section.find("name")) {
            names.take(self, "etcd", name.as_str(), node.position);
        }
        let credentials = self.etcd_credentials(&section);
        let login = self.login(&section);
        if let (Some(node), None) = (section.find("username"), section.find("ca")) {
            let diagnostic =
                Diagnostic::error(node.position, "'username' without 'ca': a password only goes to verified members");
            self.complaints.add(diagnostic.hint("give etcd's CA"));
        }
        if section.find("members").is_none() {
            self.complaints.add(Diagnostic::error(section.position, "'members' is missing"));
        }
        let class = section.read("certificates", class).unwrap_or(inherited);
        let at_listeners = section
            .find("metrics")
            .and_then(|node| Section::open(node, &LISTENER_KEYS, self.complaints))
            .map_or_else(|| credentials.clone(), |section| self.etcd_credentials(&section));
        let members = self.members(&section, class, addresses);
        let quota_bytes = section.read("quota", quota);
        let is_metrics_only = members.iter().all(|member| member.client.is_none()) && !members.is_empty();
        let shows_chains = members
            .iter()
            .any(|member| member.client.is_some() || member.listener.as_ref().is_some_and(|listener| listener.is_tls));
        if section.find("ca").is_none() && (shows_chains || members.is_empty()) {
            let diagnostic =
                Diagnostic::warning(section.position, "no 'ca', so certificates served by etcd cannot be verified");
            self.complaints.add(diagnostic.hint("give etcd's CA, on kubeadm clusters /etc/kubernetes/pki/etcd/ca.crt"));
        }
        if let (Some(node), true) = (section.find("username"), is_metrics_only) {
            let diagnostic = Diagnostic::warning(node.position, "'username' is never used: no member has an 'address'");
            self.complaints.add(diagnostic.hint("metrics listeners have no users"));
        }
        let listeners = members.iter().filter_map(|member| Some((member.name.clone(), member.listener.clone()?)));
        let listeners: Vec<_> = listeners.collect();
        let at = |member: Written| {
            let own = member.client.or_else(|| member.listener.map(|listener| listener.endpoint));
            Some((member.name, own?))
        };
        let members = members.into_iter().filter_map(at).collect();
        Some(Etcd { name: name?, credentials, quota_bytes, login, members, listeners, at_listeners, is_metrics_only })
    }

    fn etcd_credentials(&self, section: &Section<'_>) -> Credentials {
        Credentials {
            anchors: self.source(section, "ca", Use::Authorities),
            client: self.client_pair(section),
            ..Credentials::default()
        }
    }

    fn members(&self, section: &Section<'_>, inherited: Class, addresses: &mut Taken) -> Vec<Written> {
        let items = section.list("members").unwrap_or_default();
        let has_client = items.iter().any(|node| node.field("address").is_some());
        let mut names = Taken::default();
        let read = |node: &Node| {
            let section = Section::open(node, &MEMBER_KEYS, self.complaints)?;
            let name = section.read_required("name", scalar::name);
            let address = section.read("address", scalar::address);
            let server_name = section.read("server_name", scalar::host);
            let certificates = section.read("certificates", class).unwrap_or(inherited);
            let listener = section.read("metrics", listener);
            if let (Some(name), Some(node)) = (&name, section.find("name")) {
                names.take(self, "member", name.as_str(), node.position);
            }
            let metrics = listener.as_ref().map(|(_, address)| address);
            if let (Some(client), Some(node)) =
                (address.as_ref().filter(|client| metrics == Some(client)), section.find("metrics"))
            {
                let what = format!("'{client}' is the member's client address, not a metrics listener");
                let hint = "give the port of --listen-metrics-urls (kubeadm: 2381)";
                self.complaints.add(Diagnostic::error(node.position, what).hint(hint));
            }
            let metrics = metrics.filter(|metrics| address.as_ref() != Some(metrics));
            for (key, address) in [("address", address.as_ref()), ("metrics", metrics)] {
                if let (Some(address), Some(node)) = (address, section.find(key)) {
                    addresses.take(self, "address", &address.to_string(), node.position);
                }
            }
            if section.find("address").is_none() {
                let hint = match (has_client, section.find("metrics")) {
                    (true, Some(_)) => Some("other members have one: give it to all of them, or to none"),
                    (_, None) => Some("give the client port as 'address', the metrics listener as 'metrics', or both"),
                    (false, Some(_)) => None,
                };
                if let Some(hint) = hint {
                    self.complaints.add(Diagnostic::error(section.position, "'address' is missing").hint(hint));
                }
            }
            let endpoint = |address, server_name| Endpoint { certificates, ..Endpoint::new(address, server_name) };
            let listener = listener
                .map(|(is_tls, address)| MetricsListener { is_tls, endpoint: endpoint(address, server_name.clone()) });
            let client = address.map(|address| endpoint(address, server_name));
            Some(Written { name: name?, client, listener })
        };
        items.iter().filter_map(read).collect()
    }
}

/// Whether it uses TLS, and where it is.
fn listener(text: &str) -> Result<(bool, Address), Wrong> {
    let wrong = || {
        let what = format!("'{}' is not a valid metrics listener", shortened(text));
        Wrong::new(what, "write for example 'http://10.0.0.21:2381', the value of --listen-metrics-urls")
    };
    let url = Url::parse(text).map_err(|_| wrong())?;
    let is_bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    let has_user = !url.username().is_empty() || url.password().is_some();
    let is_tls = match url.scheme() {
        "http" => false,
        "https" => true,
        _ => return Err(wrong()),
    };
    let host = url.host_str().filter(|_| is_bare && !has_user).ok_or_else(wrong)?;
    let port = url.port().ok_or_else(wrong)?;
    let address = scalar::address(&format!("{host}:{port}"))?;
    Ok((is_tls, address))
}
