//! The configuration after validation: final types, nothing left to check.
//!
//! Credentials stay sources, not values: they are re-read on use, so that a rotated file is seen without a restart.

use std::path::PathBuf;
use std::time::Duration;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use url::Url;

pub use super::address::{Address, Endpoint, Host, NamedAddress};
use super::proxy::Proxy;
use crate::model::canary::Canaries;
use crate::model::certificate::Class;
use crate::model::host_access::HostAccess;
use crate::model::inventory::Own;
use crate::model::links::Links;
use crate::model::policy::Policy;
use crate::model::rule::{Level, RuleId};
use crate::model::subject::{Name, Subject};
use crate::model::zone::Zone;
use crate::parse::yaml::Position;

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The file this was read from.
    pub file: PathBuf,
    /// The machine we run on.
    pub vantage: Vantage,
    /// How mail is sent; `None` when none is configured.
    pub mail: Option<Mail>,
    /// Addresses that mails carry.
    pub links: Links,
    /// Where heartbeats go.
    pub heartbeat: Option<Heartbeat>,
    /// What to watch.
    pub clusters: Vec<Cluster>,
    /// Files with certificates and tokens that belong to no cluster.
    pub files: Vec<WatchedFiles>,
    /// Levels changed for all clusters.
    pub levels: BTreeMap<RuleId, Level>,
    /// Every number that decides.
    pub policy: Policy,
    /// Kubeconfigs that were read on the way here: what they say is part of this.
    pub kubeconfigs: Vec<PathBuf>,
}

/// The machine we run on.
#[derive(Debug, Clone)]
pub struct Vantage {
    /// Its name in mails; the host name unless configured.
    pub name: String,
    /// Where the status page, the API, metrics and health are served.
    pub listen: SocketAddr,
    /// How that is protected; `None` for plain HTTP without logins.
    pub web_config: Option<WebPlace>,
    /// The database file.
    pub store: PathBuf,
    /// Room for the latest recordings, in bytes, and as much again for those that are kept; `None` when nothing is
    /// recorded.
    pub recordings: Option<u64>,
    /// The socket for people on this machine; `None` when it is turned off.
    pub control: Option<PathBuf>,
    /// DNS servers to probe.
    pub resolvers: Vec<NamedAddress>,
    /// Places that prove our path.
    pub references: Vec<NamedAddress>,
    /// Whose local time mails and page show beside UTC.
    pub time_zone: Option<Zone>,
}

/// Where the protection of our own listener is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebPlace {
    /// The file, in the form of Prometheus exporter-toolkit's `web-config.yml`.
    pub path: PathBuf,
    /// Whether the listener can be reached from outside, so that the file must ask who is there, over TLS.
    pub must_guard: bool,
}

impl Vantage {
    /// The database file, where neither the configuration nor systemd says otherwise.
    pub const STORE: &str = "/var/lib/vedette/vedette.db";

    /// Room for the latest recordings unless configured.
    pub const RECORDINGS: u64 = 64 << 20;

    /// The control socket unless configured; systemd makes its folder (`RuntimeDirectory=`).
    pub const CONTROL: &str = "/run/vedette/control.sock";
}

/// How mail goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The relay.
    pub relay: Address,
    /// How the connection is protected.
    pub tls: MailTls,
    /// CA of the relay's certificate, or that certificate itself; the system's store when `None`.
    pub ca: Option<Source>,
    /// Login, if the relay wants one.
    pub login: Option<Login>,
    /// Envelope and header sender.
    pub from: String,
    /// Recipients.
    pub to: Vec<String>,
    /// Where answers should go.
    pub reply_to: Option<String>,
}

/// Protection of the mail connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// Required upgrade after EHLO (port 587 or 25).
    StartTls,
    /// TLS from the first byte (port 465).
    Implicit,
    /// None; only to loopback.
    Plain,
}

/// A login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// User name.
    pub username: String,
    /// Where the password is.
    pub password: Source,
}

/// Where heartbeats go.
#[derive(Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// GET is sent here.
    pub url: Url,
    /// How often.
    pub interval: Duration,
    /// CA of the receiver's certificate; the system's store when `None`.
    pub ca: Option<Source>,
}

/// One cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
    pub name: Name,
    /// Our credentials for its apiservers, and the CAs we trust.
    pub credentials: Credentials,
    /// The credential of the canaries, which nothing else uses; `None` without canaries.
    pub writer: Option<Credentials>,
    /// The canaries; `None` without a credential for them.
    pub canaries: Option<Canaries>,
    /// The address clients use.
    pub vip: Option<Endpoint>,
    /// Whether the VIP moves to another host when its host fails (keepalived).
    pub vip_fails_over: bool,
    /// Instances.
    pub apiservers: Vec<(Name, Endpoint)>,
    /// etcd clusters.
    pub etcds: Vec<Etcd>,
    /// Whether its apiservers are asked who uses them.
    pub flow_control: bool,
    /// Whether the metrics of its apiservers are read.
    pub apiserver_metrics: bool,
    /// Whether its apiservers are asked for their z-pages.
    pub zpages: bool,
    /// Files with certificates and tokens, without those that vedette uses itself.
    pub files: Vec<WatchedFiles>,
    /// What it was installed with, and the user for ssh on its hosts.
    pub hosts: HostAccess,
    /// Levels changed for this cluster.
    pub levels: BTreeMap<RuleId, Level>,
}

/// One etcd cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Etcd {
    /// Its name.
    pub name: Name,
    /// How we prove who we are, and whom we trust.
    pub credentials: Credentials,
    /// Backend quota in bytes, where it is written.
    pub quota_bytes: Option<u64>,
    /// A user of etcd's own, for an etcd with authentication on; one without a role suffices.
    pub login: Option<Login>,
    /// Members, at their client ports, or at their metrics listeners where that is all we have.
    pub members: Vec<(Name, Endpoint)>,
    /// Metrics listeners, by the name of their member.
    pub listeners: Vec<(Name, MetricsListener)>,
    /// How we prove who we are to metrics listeners over TLS.
    pub at_listeners: Credentials,
    /// Whether no client port is given.
    pub is_metrics_only: bool,
}

/// A metrics listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsListener {
    /// Whether it uses TLS.
    pub is_tls: bool,
    /// Where to dial and, with TLS, whom to expect there.
    pub endpoint: Endpoint,
}

/// How we prove who we are, and whom we trust.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// CA certificates, PEM.
    pub anchors: Option<Source>,
    /// The kubeconfig all of it is from.
    pub kubeconfig: Option<PathBuf>,
    /// Client certificate chain and key, PEM.
    pub client: Option<ClientPair>,
    /// Bearer token.
    pub token: Option<Source>,
    /// A kubeconfig exec plugin, present only when the configuration allows it.
    pub exec: Option<ExecPlugin>,
    /// A proxy every connection to the apiservers goes through.
    pub proxy: Option<Proxy>,
}

impl Credentials {
    /// Whether there is anything in them by which a server knows who we are.
    #[must_use]
    pub const fn prove_who_we_are(&self) -> bool {
        self.client.is_some() || self.token.is_some() || self.exec.is_some()
    }
}

/// Files with certificates and tokens, or a credential of our own that is watched like them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedFiles {
    /// Its name in the inventory.
    pub name: Name,
    /// Where it stands in the configuration; `None` for our own, which stand elsewhere.
    pub position: Option<Position>,
    /// Where to read.
    pub place: FilePlace,
    /// Who renews what is there.
    pub certificates: Class,
    /// When a program renews it, in thousandths of its life; `None` for two thirds.
    pub renewed_at_permille: Option<u16>,
    /// The endpoint that should serve the newest certificate in it.
    pub serves: Option<Subject>,
    /// What we use it for ourselves.
    pub own: Option<Own>,
}

/// Where certificates and tokens are searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilePlace {
    /// A file, a directory, or a glob.
    Pattern(PathBuf),
    /// A credential or CA of ours.
    Source(Source),
}

/// A client certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientPair {
    /// Certificate chain, PEM.
    pub certificate: Source,
    /// Private key, PEM.
    pub key: Source,
}

/// A command that prints a credential, as kubeconfig defines it.
#[derive(Clone, PartialEq, Eq)]
pub struct ExecPlugin {
    /// `client.authentication.k8s.io/v1` or `v1beta1`.
    pub api_version: String,
    /// The program.
    pub command: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables added to its environment.
    pub env: BTreeMap<String, String>,
    /// Whether it wants the cluster's data (`KUBERNETES_EXEC_INFO`).
    pub provides_cluster_info: bool,
}

/// Where a credential or certificate comes from; read again on every use.
#[derive(Clone)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// A systemd credential, by name, under `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// An environment variable.
    Env(String),
    /// Bytes embedded in a kubeconfig.
    Inline(std::sync::Arc<secrecy::SecretSlice<u8>>),
}

/// Whether the same bytes are read from the same place.
impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        use secrecy::ExposeSecret as _;
        match (self, other) {
            (Self::File(one), Self::File(other)) => one == other,
            (Self::Credential(one), Self::Credential(other)) | (Self::Env(one), Self::Env(other)) => one == other,
            (Self::Inline(one), Self::Inline(other)) => one.expose_secret() == other.expose_secret(),
            (Self::File(_) | Self::Credential(_) | Self::Env(_) | Self::Inline(_), _) => false,
        }
    }
}

impl Eq for Source {}

/// Without the path, which is often the receiver's secret.
impl std::fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = self.url.host_str().unwrap_or_default();
        f.debug_struct("Heartbeat").field("host", &host).field("interval", &self.interval).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("anchors", &self.anchors)
            .field("kubeconfig", &self.kubeconfig)
            .field("client", &self.client)
            .field("token", &self.token)
            .field("exec", &self.exec)
            .field("proxy", &self.proxy)
            .finish()
    }
}

/// Without arguments and environment, where people put tokens.
impl std::fmt::Debug for ExecPlugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExecPlugin").field("command", &self.command).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Credential(name) => write!(f, "credential:{name}"),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::Inline(_) => f.write_str("inline:***"),
        }
    }
}
