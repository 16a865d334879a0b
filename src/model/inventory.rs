//! What the configuration names: all that the engine knows before the first probe.
//!
//! Holds no credential and resolves no name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::canary::{Canaries, Canary};
use super::certificate::Class;
use super::flat_map::FlatMap;
use super::host_access::{Credential, HostAccess, Named};
use super::links::Links;
use super::place::Place;
use super::rule::{Level, RuleId};
use super::subject::{Name, Role, Subject};
use super::zone::{self, Zone};

/// Everything to watch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Inventory {
    /// Name of this vantage, as mails show it.
    pub vantage: String,
    /// The file of the configuration; empty where it was read from none.
    #[serde(default)]
    pub configuration: String,
    /// Clusters by name.
    pub clusters: BTreeMap<Name, Cluster>,
    /// Places that prove our path.
    pub references: Vec<Reference>,
    /// DNS servers that are probed.
    pub resolvers: Vec<Reference>,
    /// Files with certificates and tokens that belong to no cluster, by name of their source.
    #[serde(default, skip_serializing_if = "FlatMap::is_empty")]
    pub files: FlatMap<Name, FileWatch>,
    /// Levels changed by the configuration, for all clusters.
    pub levels: BTreeMap<RuleId, Level>,
    /// Addresses that mails carry.
    #[serde(default)]
    pub links: Links,
    /// The time zone whose local time is shown beside UTC; `None` for UTC alone.
    #[serde(default, deserialize_with = "zone::lenient", skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<Zone>,
    /// Whether mail is configured; without it nothing is composed.
    pub mails: bool,
    /// Mail addresses of the recipients, without display names.
    #[serde(default)]
    pub recipients: BTreeSet<String>,
    /// Whether the mail relay is on this machine: then mail can be handed over while the vantage is isolated.
    pub relay_is_local: bool,
    /// Whether a heartbeat is configured.
    pub heartbeat: bool,
}

/// One cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cluster {
    /// The address clients use.
    pub vip: Option<Endpoint>,
    /// Whether the VIP moves to another host when its host fails (keepalived); the alarm of such a VIP is held for 10
    /// s.
    pub vip_fails_over: bool,
    /// Instances by name.
    pub apiservers: FlatMap<Name, Endpoint>,
    /// Whether a CA is configured to verify what the apiservers and the API VIP serve.
    #[serde(default)]
    pub is_verified: bool,
    /// The proxy that API VIP and instances are reached through; etcd is asked directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
    /// etcd clusters by name.
    pub etcds: FlatMap<Name, Etcd>,
    /// Whether its apiservers are asked who uses them.
    #[serde(default)]
    pub flow_control: bool,
    /// Whether the metrics of its apiservers are read.
    #[serde(default)]
    pub apiserver_metrics: bool,
    /// The canaries; `None` without a credential for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canaries: Option<Canaries>,
    /// Whether its apiservers are asked for their z-pages.
    #[serde(default)]
    pub zpages: bool,
    /// Files with certificates and tokens, by name of their source.
    #[serde(default, skip_serializing_if = "FlatMap::is_empty")]
    pub files: FlatMap<Name, FileWatch>,
    /// The configuration of its hosts.
    #[serde(default)]
    pub hosts: HostAccess,
    /// Files with what is shown to its apiservers and trusted of them.
    #[serde(default)]
    pub credential: Credential,
    /// Levels changed for this cluster.
    pub levels: BTreeMap<RuleId, Level>,
}

impl Cluster {
    /// The instances of this cluster, which is named `name`; its API VIP stands in for them where none is configured.
    #[must_use]
    pub fn instances(&self, name: &Name) -> Vec<Subject> {
        let instances: Vec<Subject> = self.apiserver_subjects(name).collect();
        match (instances.is_empty(), &self.vip) {
            (true, Some(_)) => vec![Subject::Vip(name.clone())],
            _ => instances,
        }
    }
}

/// A proxy that is part of the path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Proxy {
    /// Its name: host and port.
    pub name: Name,
    /// Its URL as curl takes it, without the login; where there is one, it is replaced by `USER:PASSWORD`.
    pub url: String,
}

/// One etcd cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Etcd {
    /// Members by name, dialled at their client port, or at their metrics listener where that is all we have.
    pub members: FlatMap<Name, Endpoint>,
    /// Backend quota in bytes as configured, for members that do not report theirs.
    pub quota_bytes: Option<u64>,
    /// Metrics listeners by the name of their member.
    pub listeners: FlatMap<Name, MetricsListener>,
    /// Whether the client ports cannot be used: then the members are evaluated by their metrics listeners.
    pub is_metrics_only: bool,
    /// Whether a CA is configured to verify what the members serve.
    #[serde(default)]
    pub is_verified: bool,
    /// Files with what is shown to its members and trusted of them.
    #[serde(default)]
    pub credential: Credential,
}

/// A metrics listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsListener {
    /// `http://host:port` or `https://host:port`.
    pub url: String,
    /// Whether it uses TLS, and so serves a chain.
    pub is_tls: bool,
}

/// The address of something, as the configuration has it, and the name expected there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// `host:port`, with brackets around IPv6.
    pub address: String,
    /// Expected name in the certificate; equal to the host unless configured.
    pub server_name: String,
    /// Whether the address is on this machine, so that it proves nothing about our path.
    pub is_loopback: bool,
    /// Who renews the certificates served there.
    pub certificates: Class,
}

impl Endpoint {
    /// Whether it is connected to by a name, which may have several addresses.
    #[must_use]
    pub fn is_named(&self) -> bool {
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        host.trim_matches(['[', ']']).parse::<IpAddr>().is_err()
    }
}

/// A source of stored certificates and tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileWatch {
    /// What the configuration names: a path, a glob, or in words where a credential comes from.
    pub path: String,
    /// Who renews what is in it.
    pub certificates: Class,
    /// When a program renews it, in thousandths of its life; `None` for two thirds.
    pub renewed_at_permille: Option<u16>,
    /// The endpoint that should serve the newest certificate in it.
    pub serves: Option<Subject>,
    /// What we use it for ourselves.
    pub own: Option<Own>,
}

/// What vedette itself uses a stored item for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own {
    /// In which part.
    pub part: OwnPart,
    /// Towards whom.
    pub towards: Towards,
}

/// The part a stored item plays for vedette.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnPart {
    /// Proves who we are: a client certificate.
    Client,
    /// Proves who we are: a bearer token.
    Token,
    /// Whom we trust.
    Authority,
}

/// The other side of a credential or CA of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Towards {
    /// The apiservers of the cluster.
    Apiservers,
    /// The apiservers of the cluster, for the canaries.
    Canaries,
    /// One etcd cluster of it.
    Etcd(Name),
    /// The metrics listeners of one etcd cluster of it, where they want other credentials.
    Listeners(Name),
    /// The mail relay.
    Relay,
    /// The receiver of heartbeats.
    Heartbeat,
}

/// A reference target or resolver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Its name.
    pub name: Name,
    /// `host:port`.
    pub address: String,
    /// Whether the address is on this machine.
    pub is_loopback: bool,
}

impl Inventory {
    /// What the configuration names, as far as it concerns `cluster` or, without one, the vantage.
    #[must_use]
    pub fn named(&self, cluster: Option<&Name>) -> Named {
        let known = cluster.and_then(|name| self.clusters.get_key_value(name));
        let configuration = (!self.configuration.is_empty()).then(|| self.configuration.clone());
        let Some((name, cluster)) = known else { return Named { configuration, ..Named::default() } };
        let vip = cluster.vip.iter().map(|endpoint| (Subject::Vip(name.clone()), endpoint));
        let apiservers = cluster.apiservers.iter();
        let apiservers = apiservers.map(|(one, endpoint)| (Subject::Apiserver(name.clone(), one.clone()), endpoint));
        let members = cluster.etcds.iter().flat_map(|(etcd, known)| {
            let at = |one: &Name| Subject::EtcdMember(name.clone(), etcd.clone(), one.clone());
            known.members.iter().map(move |(one, endpoint)| (at(one), endpoint))
        });
        let expected = vip.chain(apiservers).chain(members).filter_map(|(subject, endpoint)| {
            let is_name = endpoint.server_name.parse::<IpAddr>().is_err();
            let is_connect = endpoint.address.rsplit_once(':').is_some_and(|(host, _)| host == endpoint.server_name);
            (is_name && !is_connect).then(|| (subject, endpoint.server_name.clone()))
        });
        Named {
            configuration,
            apiservers: cluster.credential.clone(),
            etcds: cluster.etcds.iter().map(|(etcd, known)| (etcd.clone(), known.credential.clone())).collect(),
            server_names: expected.collect(),
        }
    }

    /// The address configured for `subject`, as a person would write it; empty for what has none of its own.
    #[must_use]
    pub fn address(&self, subject: &Subject) -> &str {
        let of_endpoint = self.endpoint(subject).map(|endpoint| endpoint.address.as_str());
        let of_reference = || self.reference(subject).map(|reference| reference.address.as_str());
        let of_proxy = || self.proxy(subject).map(|proxy| proxy.url.as_str());
        of_endpoint.or_else(of_reference).or_else(of_proxy).unwrap_or_default()
    }

    /// The endpoint behind `subject`, for subjects that are one.
    #[must_use]
    pub fn endpoint(&self, subject: &Subject) -> Option<&Endpoint> {
        let cluster = self.clusters.get(subject.cluster().filter(|_| subject.is_endpoint())?)?;
        if let Subject::EtcdMember(_, etcd, member) = subject {
            cluster.etcds.get(etcd)?.members.get(member)
        } else if let Subject::Apiserver(_, name) = subject {
            cluster.apiservers.get(name)
        } else {
            cluster.vip.as_ref()
        }
    }

    /// `subject` as the place of a certificate that it serves, at its configured address.
    #[must_use]
    pub fn place(&self, subject: &Subject) -> Place {
        let endpoint = self.endpoint(subject);
        let of = |text: fn(&Endpoint) -> &String| endpoint.map(text).cloned().unwrap_or_default();
        let (address, server_name) = (of(|endpoint| &endpoint.address), of(|endpoint| &endpoint.server_name));
        Place::Endpoint { subject: subject.clone(), address, server_name }
    }

    /// The reference target or resolver that `subject` is.
    #[must_use]
    pub fn reference(&self, subject: &Subject) -> Option<&Reference> {
        if subject.role() != Role::Outside {
            return None;
        }
        let list = if subject.is_resolver() { &self.resolvers } else { &self.references };
        list.iter().find(|known| known.name.as_str() == subject.short())
    }

    /// The sources of stored items of a cluster, or of the vantage.
    #[must_use]
    pub fn files(&self, cluster: Option<&Name>) -> Option<&FlatMap<Name, FileWatch>> {
        match cluster {
            Some(name) => self.clusters.get(name).map(|cluster| &cluster.files),
            None => Some(&self.files),
        }
    }

    /// Whether `canary` is sent to `instance`.
    #[must_use]
    pub fn has_canary(&self, instance: &Subject, canary: Canary) -> bool {
        let known = instance.cluster().and_then(|name| self.clusters.get_key_value(name));
        known.is_some_and(|(name, cluster)| {
            let is_on = cluster.canaries.as_ref().is_some_and(|canaries| canaries.has(canary));
            is_on && cluster.instances(name).contains(instance)
        })
    }

    /// The etcd cluster that `subject` is.
    #[must_use]
    pub fn etcd(&self, subject: &Subject) -> Option<&Etcd> {
        let Subject::Etcd(cluster, etcd) = subject else { return None };
        self.clusters.get(cluster)?.etcds.get(etcd)
    }

    /// Subjects of the members of the etcd cluster that `subject` is; none for anything else.
    pub fn members<'a>(&'a self, subject: &'a Subject) -> impl Iterator<Item = Subject> + 'a {
        let names = self.etcd(subject).into_iter().flat_map(|etcd| etcd.members.keys());
        names.filter_map(|name| subject.member(name))
    }

    /// Whether `subject` is probed, or consists of subjects that are.
    #[must_use]
    pub fn watches(&self, subject: &Subject) -> bool {
        let cluster = |name| self.clusters.get(name);
        match subject {
            Subject::Vantage => true,
            Subject::Reference(_) | Subject::Resolver(_) => self.reference(subject).is_some(),
            Subject::Proxy(_) => self.proxy(subject).is_some(),
            Subject::Cluster(name) => cluster(name).is_some(),
            Subject::Etcd(name, etcd) => cluster(name).is_some_and(|known| known.etcds.contains_key(etcd)),
            Subject::Chain(name, etcd, _) => cluster(name).is_some_and(|known| match etcd {
                None => known.is_verified,
                Some(etcd) => known.etcds.get(etcd).is_some_and(|etcd| etcd.is_verified),
            }),
            Subject::Stored(scope, _) => self.files(scope.as_ref()).is_some_and(|files| !files.is_empty()),
            Subject::Vip(_) | Subject::Apiserver(..) | Subject::EtcdMember(..) => self.endpoint(subject).is_some(),
        }
    }

    /// Whether an answer of `subject` proves that our path to the outside works.
    #[must_use]
    pub fn is_remote(&self, subject: &Subject) -> bool {
        let is_loopback = self.endpoint(subject).map(|endpoint| endpoint.is_loopback);
        let is_loopback = is_loopback.or_else(|| self.reference(subject).map(|reference| reference.is_loopback));
        is_loopback.is_some_and(|is_loopback| !is_loopback)
    }

    /// The proxies, each with the clusters behind it.
    #[must_use]
    pub fn proxies(&self) -> BTreeMap<&Proxy, Vec<&Name>> {
        let mut proxies: BTreeMap<&Proxy, Vec<&Name>> = BTreeMap::new();
        for (name, cluster) in &self.clusters {
            if let Some(proxy) = &cluster.proxy {
                proxies.entry(proxy).or_default().push(name);
            }
        }
        proxies
    }

    fn proxy(&self, subject: &Subject) -> Option<&Proxy> {
        let Subject::Proxy(name) = subject else { return None };
        self.clusters.values().filter_map(|cluster| cluster.proxy.as_ref()).find(|proxy| proxy.name == *name)
    }

    /// The proxy that `subject` is probed through.
    #[must_use]
    pub fn proxy_before(&self, subject: &Subject) -> Option<&Proxy> {
        self.clusters.get(subject.cluster().filter(|_| subject.is_api())?)?.proxy.as_ref()
    }

    /// Reference targets and resolvers outside this machine.
    pub fn remote_points(&self) -> impl Iterator<Item = Subject> + '_ {
        let references = self.references.iter().filter(|known| !known.is_loopback);
        let resolvers = self.resolvers.iter().filter(|known| !known.is_loopback);
        references
            .map(|known| Subject::Reference(known.name.clone()))
            .chain(resolvers.map(|known| Subject::Resolver(known.name.clone())))
    }

    /// Clusters that are not wholly on this machine, so that their answers say something of our path.
    pub fn remote_clusters(&self) -> impl Iterator<Item = &Name> {
        self.clusters.iter().filter(|(_, cluster)| cluster.is_remote()).map(|(name, _)| name)
    }

    /// Whether there are two such clusters, so that each has another that says something of our path.
    #[must_use]
    pub fn has_several_remote_clusters(&self) -> bool {
        self.remote_clusters().nth(1).is_some()
    }

    /// Whether any configured place outside the machine could prove our path besides the clusters themselves.
    #[must_use]
    pub fn has_remote_reference(&self) -> bool {
        self.remote_points().next().is_some() || self.has_several_remote_clusters()
    }
}

impl Cluster {
    /// Whether anything of it is not on this machine, so that its answers say something of our path.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        let members = self.etcds.values().flat_map(|etcd| etcd.members.values());
        self.vip.iter().chain(self.apiservers.values()).chain(members).any(|endpoint| !endpoint.is_loopback)
    }

    /// Subjects of everything that serves a certificate: instances, the API VIP, etcd members.
    pub fn served_subjects<'a>(&'a self, cluster: &'a Name) -> impl Iterator<Item = Subject> + 'a {
        let vip = self.vip.iter().map(|_| Subject::Vip(cluster.clone()));
        let members = self.etcds.iter().flat_map(|(etcd, known)| known.member_subjects(cluster, etcd));
        self.apiserver_subjects(cluster).chain(vip).chain(members)
    }

    /// Everything that is connected to for a handshake, with where.
    pub fn connected<'a>(&'a self, cluster: &'a Name) -> impl Iterator<Item = (Subject, &'a Endpoint)> + 'a {
        let instance = move |name: &Name| Subject::Apiserver(cluster.clone(), name.clone());
        let instances = self.apiservers.iter().map(move |(name, endpoint)| (instance(name), endpoint));
        let vip = self.vip.iter().map(|endpoint| (Subject::Vip(cluster.clone()), endpoint));
        let members = self.etcds.iter().flat_map(move |(etcd, known)| {
            let member = move |name: &Name| Subject::EtcdMember(cluster.clone(), etcd.clone(), name.clone());
            let shown = known.members.iter().filter(move |(name, _)| known.shows_chain(name));
            shown.map(move |(name, endpoint)| (member(name), endpoint))
        });
        instances.chain(vip).chain(members)
    }

    /// Subjects of all instances.
    pub fn apiserver_subjects<'a>(&'a self, cluster: &'a Name) -> impl Iterator<Item = Subject> + 'a {
        self.apiservers.keys().map(|name| Subject::Apiserver(cluster.clone(), name.clone()))
    }
}

impl Etcd {
    /// Whether every member has a metrics listener.
    #[must_use]
    pub fn listens_everywhere(&self) -> bool {
        self.members.keys().all(|member| self.listeners.contains_key(member))
    }

    /// Whether a handshake at the member's own address shows a chain.
    #[must_use]
    pub fn shows_chain(&self, member: &Name) -> bool {
        !self.is_metrics_only || self.listeners.get(member).is_some_and(|listener| listener.is_tls)
    }

    /// Subjects of all members.
    pub fn member_subjects<'a>(&'a self, cluster: &'a Name, etcd: &'a Name) -> impl Iterator<Item = Subject> + 'a {
        self.members.keys().map(|name| Subject::EtcdMember(cluster.clone(), etcd.clone(), name.clone()))
    }
}
