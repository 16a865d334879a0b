//! One cluster as written: how to prove who we are, where its parts are, and that no part is named twice.

use std::collections::BTreeMap;

use super::canaries;
use super::material::Use;
use super::proxy::Proxy;
use super::read_context::ReadContext;
use super::scalar;
use super::settings::{Address, Cluster, Credentials, Endpoint};
use super::size;
use super::yaml_tree::{Section, Wrong, nearest, shortened};
use crate::model::certificate::Class;
use crate::model::host_access::{Distribution, HostAccess};
use crate::model::subject::{Name, VANTAGE};
use crate::parse::diagnostic::Diagnostic;
use crate::parse::yaml::{Node, Position, Value};

pub(super) const KEYS: [&str; 16] = [
    "name",
    "distribution",
    "ssh_user",
    "kubeconfig",
    "credentials",
    "certificates",
    "vip",
    "apiservers",
    "etcd",
    "files",
    "flow_control",
    "apiserver_metrics",
    "writer",
    "canaries",
    "zpages",
    "severities",
];
pub(super) const CREDENTIALS_KEYS: [&str; 5] = ["ca", "client_certificate", "client_key", "token", "proxy"];
pub(super) const VIP_KEYS: [&str; 4] = ["address", "server_name", "failover", "certificates"];
pub(super) const ENDPOINT_KEYS: [&str; 4] = ["name", "address", "server_name", "certificates"];
pub(super) const ETCD_KEYS: [&str; 10] = [
    "name",
    "ca",
    "client_certificate",
    "client_key",
    "username",
    "password",
    "certificates",
    "quota",
    "metrics",
    "members",
];

/// A cluster and where it stands.
pub(super) struct Written {
    pub(super) position: Position,
    pub(super) cluster: Cluster,
}

/// What has been used up already, by its text.
#[derive(Default)]
pub(super) struct Taken(BTreeMap<String, Position>);

impl Taken {
    /// Complains when `text` was there before.
    pub(super) fn take(&mut self, context: &ReadContext<'_>, what: &str, text: &str, position: Position) {
        match self.0.get(text) {
            Some(first) => {
                context
                    .complaints
                    .add(Diagnostic::error(position, format!("{what} '{text}' is already in line {}", first.line)));
            }
            None => {
                self.0.insert(text.to_owned(), position);
            }
        }
    }
}

impl ReadContext<'_> {
    /// The cluster in `node`, monitored from `vantage`. Without a usable name there is none.
    pub(super) fn cluster(&self, node: &Node, names: &mut Taken, vantage: &str) -> Option<Written> {
        let section = Section::open(node, &KEYS, self.complaints)?;
        let name = section.read_required("name", |text| match scalar::name(text)? {
            name if name.as_str() == VANTAGE => {
                Err(Wrong::new(format!("'{VANTAGE}' is a reserved name"), "it means the host that vedette runs on"))
            }
            name => Ok(name),
        });
        let position = section.find("name").map_or(section.position, |node| node.position);
        if let Some(name) = &name {
            names.take(self, "cluster", name.as_str(), position);
        }
        let mut addresses = Taken::default();
        let class = section.read("certificates", class).unwrap_or_default();
        let vip = section.find("vip").and_then(|node| self.vip(node, class, &mut addresses));
        let apiservers = self.endpoints(&section, "apiservers", "apiserver", class, &mut addresses);
        let etcds = self.etcds(&section, class, &mut addresses);
        let hosts = HostAccess {
            distribution: section.read("distribution", distribution),
            ssh_user: section.read("ssh_user", ssh_user),
        };
        let levels = self.levels(&section);
        let switch = |key: &str| section.find(key).map(|_| section.flag(key));
        let flow_control = switch("flow_control");
        let (metrics, zpages) = (switch("apiserver_metrics"), switch("zpages"));
        let has = |key: &str| section.find(key).is_some_and(|node| node.value != Value::List(Vec::new()));
        if !["vip", "kubeconfig", "apiservers", "etcd", "files"].into_iter().any(has) {
            let hint = "give at least one of kubeconfig, vip, apiservers, etcd and files";
            self.complaints.add(Diagnostic::error(position, "the cluster has nothing to monitor").hint(hint));
        }
        let vip_fails_over = vip.as_ref().is_some_and(|vip| vip.fails_over);
        let class = vip.as_ref().map_or(class, |vip| vip.certificates);
        let (credentials, vip) = match section.find("kubeconfig") {
            Some(node) => self.through_kubeconfig(&section, node, vip, &apiservers),
            None => self.written_out(&section, vip, has("apiservers")),
        };
        let vip = vip.map(|vip| Endpoint { certificates: class, ..vip });
        let canaries::Written { writer, canaries } = self.canaries(&section, &credentials, vantage);
        let files = Vec::new();
        let name = name?;
        // Without a credential the answer could only be that there is none.
        let proves_itself = credentials.prove_who_we_are();
        let mut cluster = Cluster {
            name,
            credentials,
            writer,
            canaries,
            vip,
            vip_fails_over,
            apiservers,
            etcds,
            flow_control: flow_control.unwrap_or(proves_itself),
            apiserver_metrics: metrics.unwrap_or(proves_itself),
            zpages: zpages.unwrap_or(proves_itself),
            files,
            hosts,
            levels,
        };
        cluster.files = self.files(&section, Some(&cluster));
        Some(Written { position, cluster })
    }

    /// Credentials and the address clients use as they stand here.
    fn written_out(
        &self,
        section: &Section<'_>,
        vip: Option<Vip>,
        has_instances: bool,
    ) -> (Credentials, Option<Endpoint>) {
        let node = section.find("credentials");
        let has_authority = node.is_some_and(|node| node.field("ca").is_some());
        if !has_authority && (has_instances || vip.is_some()) {
            let position = node.map_or(section.position, |node| node.position);
            let diagnostic =
                Diagnostic::warning(position, "no CA, so certificates served by the apiservers cannot be verified");
            self.complaints.add(diagnostic.hint("give the cluster's CA as 'ca' under 'credentials'"));
        }
        if let Some(vip) = vip.as_ref().filter(|vip| !vip.has_address) {
            let diagnostic = Diagnostic::error(vip.position, "'address' is missing");
            self.complaints.add(diagnostic.hint("only a kubeconfig can stand in for it"));
        }
        let credentials = node.map(|node| self.credentials(node)).unwrap_or_default();
        (credentials, vip.and_then(|vip| Some(Endpoint::new(vip.address?, vip.server_name))))
    }

    /// Credentials out of the kubeconfig in `node`, and the address clients use unless it is written here.
    fn through_kubeconfig(
        &self,
        section: &Section<'_>,
        node: &Node,
        vip: Option<Vip>,
        apiservers: &[(Name, Endpoint)],
    ) -> (Credentials, Option<Endpoint>) {
        if let Some(node) = section.find("credentials") {
            let diagnostic =
                Diagnostic::error(node.position, "both 'kubeconfig' and 'credentials'").hint("keep one of the two");
            self.complaints.add(diagnostic);
            self.credentials(node);
        }
        let given = self.kubeconfig(node);
        let (credentials, server, detour) = given.map_or_else(
            || (Credentials::default(), None, None),
            |given| (given.credentials, given.endpoint, given.detour),
        );
        if let Some(Vip { has_address: true, address, server_name, .. }) = vip {
            return (credentials, address.map(|address| Endpoint::new(address, server_name)));
        }
        if let Some((file, diagnostic)) = detour {
            self.complaints.add_in(&file, diagnostic);
            return (credentials, None);
        }
        // A kubeconfig often points at one of the instances; then there is no API VIP to watch.
        let is_instance =
            server.as_ref().is_some_and(|server| apiservers.iter().any(|(_, known)| known.address == server.address));
        if let (Some(vip), true) = (&vip, is_instance) {
            let diagnostic = Diagnostic::error(
                vip.position,
                "'address' is missing, and the kubeconfig's server is one of the apiservers",
            );
            self.complaints.add(diagnostic.hint("give the address that clients use, or leave 'vip' out"));
        }
        let server_name = vip.and_then(|vip| vip.server_name);
        let endpoint = server
            .filter(|_| !is_instance)
            .map(|server| Endpoint { server_name: server_name.unwrap_or(server.server_name), ..server });
        (credentials, endpoint)
    }

    fn vip(&self, node: &Node, inherited: Class, addresses: &mut Taken) -> Option<Vip> {
        let section = Section::open(node, &VIP_KEYS, self.complaints)?;
        let address = section.read("address", scalar::address);
        let written = section.find("address");
        let position = written.map_or(section.position, |node| node.position);
        if let Some(address) = &address {
            addresses.take(self, "address", &address.to_string(), position);
        }
        Some(Vip {
            address,
            server_name: section.read("server_name", scalar::host),
            has_address: written.is_some(),
            fails_over: section.flag("failover"),
            certificates: section.read("certificates", class).unwrap_or(inherited),
            position,
        })
    }

    fn credentials(&self, node: &Node) -> Credentials {
        let Some(section) = Section::open(node, &CREDENTIALS_KEYS, self.complaints) else {
            return Credentials::default();
        };
        let proxy = |text: &str| text.parse::<Proxy>().map_err(|bad| Wrong::new(bad.what, bad.hint));
        Credentials {
            anchors: self.source(&section, "ca", Use::Authorities),
            kubeconfig: None,
            client: self.client_pair(&section),
            token: self.source(&section, "token", Use::Token),
            exec: None,
            proxy: section.read("proxy", proxy),
        }
    }

    /// The named endpoints under `key`.
    fn endpoints(
        &self,
        section: &Section<'_>,
        key: &str,
        what: &str,
        inherited: Class,
        addresses: &mut Taken,
    ) -> Vec<(Name, Endpoint)> {
        let mut names = Taken::default();
        let read = |node| {
            let section = Section::open(node, &ENDPOINT_KEYS, self.complaints)?;
            let name = section.read_required("name", scalar::name);
            let address = section.read_required("address", scalar::address);
            let server_name = section.read("server_name", scalar::host);
            let certificates = section.read("certificates", class).unwrap_or(inherited);
            if let (Some(name), Some(node)) = (&name, section.find("name")) {
                names.take(self, what, name.as_str(), node.position);
            }
            if let (Some(address), Some(node)) = (&address, section.find("address")) {
                addresses.take(self, "address", &address.to_string(), node.position);
            }
            Some((name?, Endpoint { certificates, ..Endpoint::new(address?, server_name) }))
        };
        section.list(key).unwrap_or_default().iter().filter_map(read).collect()
    }
}

/// Who renews, as the configuration says it.
pub(super) fn class(text: &str) -> Result<Class, Wrong> {
    let known = Class::ALL.map(Class::as_str);
    Class::ALL.into_iter().find(|class| class.as_str() == text).ok_or_else(|| {
        let hint = nearest(text, &known);
        let hint = hint.map_or(format!("one of {}", known.join(", ")), |near| format!("did you mean '{near}'?"));
        Wrong::new(format!("'{}' is not a valid value of 'certificates'", shortened(text)), hint)
    })
}

/// What the cluster was installed with, as the configuration says it.
fn distribution(text: &str) -> Result<Distribution, Wrong> {
    let known = Distribution::ALL.map(Distribution::as_str);
    Distribution::ALL.into_iter().find(|distribution| distribution.as_str() == text).ok_or_else(|| {
        let hint = nearest(text, &known);
        let hint = hint.map_or(format!("one of {}", known.join(", ")), |near| format!("did you mean '{near}'?"));
        Wrong::new(format!("'{}' is not a known distribution", shortened(text)), hint)
    })
}

/// A login name that a shell takes as it is: it is pasted into commands. Source: useradd(8), and dots, which many
/// allow.
fn ssh_user(text: &str) -> Result<String, Wrong> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if text.len() <= LONGEST_USER && text.bytes().all(is_plain) && !text.is_empty() && !text.starts_with('-') {
        return Ok(text.to_owned());
    }
    let hint = format!("letters, digits, '.', '_' and '-', at most {LONGEST_USER}, such as 'admin'");
    Err(Wrong::new(format!("'{}' is not a valid login name", shortened(text)), hint))
}

/// Source: useradd(8), "Usernames may only be up to 32 characters long".
const LONGEST_USER: usize = 32;

pub(super) fn quota(text: &str) -> Result<u64, Wrong> {
    size::parse(text).map_err(|what| Wrong::new(shortened(&what), size::FORM))
}

/// The `vip` section as written.
struct Vip {
    address: Option<Address>,
    server_name: Option<super::settings::Host>,
    has_address: bool,
    fails_over: bool,
    certificates: Class,
    position: Position,
}
