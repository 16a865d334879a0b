//! The form of the configuration as a JSON Schema (draft 2020-12), for editors that check while somebody types.
//!
//! A mirror of what the readers of the sections accept, held to them by a test: each section here has exactly the keys
//! that its reader knows. It tells form, not meaning: what belongs together, what is there and what it costs a cluster
//! only `vedette check` can tell. Called by `vedette schema`.
#![expect(dead_code, reason = "the types below are never made; their schema is")]

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::duration;
use super::timing::KNOBS;
use crate::model::certificate::Class;
use crate::model::host_access::Distribution;
use crate::model::policy::Policy;
use crate::model::rule::{Level, RuleId};

/// The schema, indented, with a line end.
#[must_use]
pub fn text() -> String {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Configuration>();
    serde_json::to_string_pretty(&schema).expect("a schema is plain JSON") + "\n"
}

/// What vedette monitors, from where, and whom it notifies. `vedette check` reports more than this schema can.
#[derive(JsonSchema)]
#[schemars(title = "vedette", deny_unknown_fields)]
struct Configuration {
    /// The host that vedette runs on and probes from. All optional.
    vantage: Option<Vantage>,
    /// How mail goes out. Without it no notifications are sent.
    mail: Option<Mail>,
    /// Addresses that mails carry. Default: none.
    links: Option<Links>,
    /// A dead man's switch: GET to a URL as long as vedette probes, decides and can notify. Default: none.
    heartbeat: Option<Heartbeat>,
    /// Severities of rules, for all clusters. Default: each rule's own. Example: `F49: info`.
    severities: Option<Severities>,
    /// Certificates and tokens in files that belong to no cluster, whose expiry is monitored. Default: only those that
    /// vedette itself uses.
    files: Option<Vec<Files>>,
    /// What to monitor. At least one.
    #[schemars(length(min = 1))]
    clusters: Vec<Cluster>,
    /// Intervals, timeouts and grace periods.
    timing: Option<Timing>,
}

/// The host that vedette runs on and probes from.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Vantage {
    /// How mails call this host, and how it greets the mail relay (EHLO). Default: its host name. Example: `bastion-1`.
    name: Option<Name>,
    /// Where the status page and metrics are served; a change takes a restart. Default: `127.0.0.1:9876`.
    listen: Option<Address>,
    /// Whether `listen` may be reached from outside without TLS and authentication. Default: false.
    allow_insecure_listen: Option<bool>,
    /// TLS, users and client certificates for `listen`: a file in the form of Prometheus exporter-toolkit's
    /// `web-config.yml`, reloaded when it changes; another path takes a restart. Default: none.
    /// Example: `web-config.yml`.
    web_config: Option<String>,
    /// The database of incidents and unsent mail; a change takes a restart. Default: `vedette.db` in
    /// `$STATE_DIRECTORY`, else in `/var/lib/vedette`.
    store: Option<String>,
    /// Room for recordings of the last minutes, for `vedette replay`, and as much again for those around the beginning
    /// of an incident; or `off`. A change takes a restart. Default: `64MiB`.
    recordings: Option<NumberOrText>,
    /// The socket for `vedette status`, `silence` and `incidents`, or `off`; a change takes a restart. Default:
    /// `/run/vedette/control.sock`.
    control: Option<String>,
    /// DNS servers to probe, by IP address. Default: the nameservers in `/etc/resolv.conf`. `[]` is none.
    resolvers: Option<Vec<Address>>,
    /// Reference targets outside the clusters: if they respond, this host's network works. The mail relay and the
    /// resolvers are always among them. Default: no others.
    references: Option<Vec<Reference>>,
    /// A name of the IANA time zone database: mails and the status page show its local time beside UTC. Default: UTC
    /// alone. Example: `Europe/Berlin`.
    time_zone: Option<String>,
}

/// A target outside the clusters that shows, by responding, that this host's network works.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Reference {
    /// Its name in mails and metrics.
    name: Name,
    /// Where a TCP connection is opened to.
    address: Address,
}

/// How mail goes out.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Mail {
    /// The relay. Example: `smtp.example.com:587`.
    relay: Address,
    /// Protection of the connection. Default: starttls.
    tls: Option<MailTls>,
    /// CA of the relay's certificate, or that certificate itself. Default: the CAs this host trusts.
    ca: Option<Source>,
    /// Login, together with `password`. Default: none.
    username: Option<String>,
    /// Where the password is.
    password: Option<Source>,
    /// Sender. Example: `vedette <vedette@example.com>`.
    from: String,
    /// Recipients.
    #[schemars(length(min = 1))]
    to: Vec<String>,
    /// Where answers go. Default: the sender.
    reply_to: Option<String>,
}

/// Protection of the connection to the relay.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum MailTls {
    /// Required upgrade, on port 587 or 25.
    StartTls,
    /// TLS from the first byte, on port 465.
    Implicit,
    /// None; only to this host.
    None,
}

/// Where heartbeats go.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Heartbeat {
    /// An http or https URL. Example: `https://beats.example.com/ping/vedette`.
    url: String,
    /// How often, 5s to 1h. Default: 30s.
    interval: Option<Duration>,
    /// CA of the receiver's certificate, or that certificate itself. Default: the CAs this host trusts.
    ca: Option<Source>,
}

/// Addresses that mails carry. `{cluster}`, `{rule}` and `{incident}` are filled in.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Links {
    /// The status page. Example: `https://bastion-1.example.com:9876/?cluster={cluster}`.
    status: Option<String>,
    /// A dashboard. Example: `https://grafana.example.com/d/vedette-overview?var-cluster={cluster}`.
    dashboard: Option<String>,
    /// What to do about a rule. Example: `https://wiki.example.com/vedette#{rule}`.
    runbook: Option<String>,
}

/// One cluster.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Cluster {
    /// Every mail and metric about the cluster bears it. Example: `prod-eu1`.
    name: Name,
    /// What it was installed with: the commands in mails depend on it. Default: guessed from what is seen, else
    /// kubeadm.
    distribution: Option<Installed>,
    /// Whom ssh logs in on its hosts; commands use sudo for anyone but root. Default: whoever types the command.
    ssh_user: Option<LoginName>,
    /// A kubeconfig with credentials and the API endpoint. Either this or `credentials`.
    kubeconfig: Option<Kubeconfig>,
    /// Credentials of vedette for the apiservers, and their CA. Either this or `kubeconfig`.
    credentials: Option<Credentials>,
    /// Who renews the certificates that its endpoints serve. Default: manual.
    certificates: Option<Renewal>,
    /// The API endpoint that clients use: a VIP or load balancer. Default: the server in the kubeconfig.
    vip: Option<Vip>,
    /// The kube-apiservers behind it. Default: none.
    apiservers: Option<Vec<Endpoint>>,
    /// etcd clusters. Default: none.
    etcd: Option<Vec<Etcd>>,
    /// Certificates and tokens in files, whose expiry is monitored. Default: only those that vedette itself uses.
    files: Option<Vec<Files>>,
    /// Whether its apiservers are asked which user, verb and resource holds their seats (API Priority and Fairness), to
    /// name who overloads them. Needs the rights in config/rbac/vedette.yaml. Default: true where a credential is given.
    flow_control: Option<bool>,
    /// Whether the `/metrics` of its apiservers are read, one of them a minute and less often where they are large: seats
    /// taken, pods scheduled, audit events lost, webhooks that fail, configuration that could not be read again. Needs the
    /// rights in config/rbac/vedette.yaml. Default: true where a credential is given.
    apiserver_metrics: Option<bool>,
    /// A credential of its own for the canaries, the only one that vedette writes with. Default: none, and then vedette
    /// writes nothing.
    writer: Option<Writer>,
    /// Small requests that go the whole way of a client's request. All are on where `writer` is given, and need the
    /// objects and rights in config/rbac/canaries.yaml.
    canaries: Option<Canaries>,
    /// Whether its apiservers are asked for their z-pages (/statusz and /flagz, Kubernetes 1.36 and newer), to find
    /// instances that run with other flags or restart again and again. Needs the rights in config/rbac/zpages.yaml.
    /// Default: true where a credential is given.
    zpages: Option<bool>,
    /// Severities of rules, for this cluster. Default: none.
    severities: Option<Severities>,
}

/// A kubeconfig to read.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Kubeconfig {
    /// The file, read again when it changes.
    path: String,
    /// Default: its current-context.
    context: Option<String>,
    /// Whether a credential plugin named there may run. Default: false.
    allow_exec: Option<bool>,
}

/// The credential of the canaries: a kubeconfig, a client certificate with its key, or a token.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Writer {
    /// A kubeconfig, for its credential alone: the addresses are the cluster's.
    kubeconfig: Option<Kubeconfig>,
    /// Client certificate chain, PEM, together with `client_key`.
    client_certificate: Option<Source>,
    /// Its private key, PEM.
    client_key: Option<Source>,
    /// Bearer token. Default: none.
    token: Option<Source>,
}

/// Which canaries there are, and where.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Canaries {
    /// The namespace in which all of them stay. Default: vedette.
    namespace: Option<String>,
    /// The Lease that is written. Default: vedette- and the name of the vantage.
    lease_name: Option<String>,
    /// The Secret that is read. Default: vedette-canary.
    secret_name: Option<String>,
    /// Whether the Lease is written every 15s, through one apiserver after the other. Default: true.
    lease: Option<bool>,
    /// Whether it is read from the watch cache of each apiserver (F38). Default: true.
    propagation: Option<bool>,
    /// Whether a ConfigMap and a Pod are created as dry runs every 30s (F21). Default: true.
    create: Option<bool>,
    /// Whether a SelfSubjectAccessReview is asked for every 30s (F34). Default: true.
    authorization: Option<bool>,
    /// Whether the Secret is read every minute (F35). Default: true.
    secret: Option<bool>,
}

/// Credentials of vedette, and the CA to trust.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Credentials {
    /// The cluster's CA, PEM. Without it certificates are seen but not verified.
    ca: Option<Source>,
    /// Client certificate chain, PEM, together with `client_key`.
    client_certificate: Option<Source>,
    /// Its private key, PEM.
    client_key: Option<Source>,
    /// Bearer token. Default: none.
    token: Option<Source>,
    /// Proxy for connections to the apiservers: an http, https or socks5 URL. Default: none.
    proxy: Option<String>,
}

/// The API endpoint that clients use: a VIP or load balancer.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Vip {
    /// Required without a kubeconfig.
    address: Option<Address>,
    /// Name to expect in the certificate. Default: the host in `address`.
    server_name: Option<String>,
    /// Whether the address moves by itself when the host that owns it fails (keepalived, kube-vip); it is given 10s
    /// then. Default: false.
    failover: Option<bool>,
    /// Who renews its certificates. Default: the cluster's.
    certificates: Option<Renewal>,
}

/// A kube-apiserver.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Endpoint {
    /// Different for each.
    name: Name,
    /// Different for everything in the cluster.
    address: Address,
    /// Name to expect in the certificate. Default: the host in `address`.
    server_name: Option<String>,
    /// Who renews its certificates. Default: the cluster's.
    certificates: Option<Renewal>,
}

/// An etcd cluster.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Etcd {
    /// Different for each.
    name: Name,
    /// etcd's CA, PEM. Without it certificates are seen but not verified.
    ca: Option<Source>,
    /// Client certificate chain, PEM, together with `client_key`.
    client_certificate: Option<Source>,
    /// Its private key, PEM.
    client_key: Option<Source>,
    /// Who renews its certificates. Default: the cluster's.
    certificates: Option<Renewal>,
    /// Quota of the database, in MiB, GiB or bytes. Only for etcd before 3.6, which does not report it. Default: none.
    /// Example: `8GiB`.
    quota: Option<NumberOrText>,
    /// User of etcd's own authentication, together with `password` and `ca`. Needs no role. Default: none.
    username: Option<String>,
    /// The user's password.
    password: Option<Source>,
    /// Credentials for the members' metrics listeners, where these use TLS.
    metrics: Option<Listener>,
    /// All members.
    members: Vec<Member>,
}

/// A member of an etcd cluster.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Member {
    /// Different for each.
    name: Name,
    /// Client port, different for everything in the cluster. All members have one, or none has: then only their
    /// metrics listeners are monitored.
    address: Option<Address>,
    /// Name to expect in the certificate. Default: the host in `address`.
    server_name: Option<String>,
    /// Who renews its certificates. Default: the cluster's.
    certificates: Option<Renewal>,
    /// Metrics listener (`--listen-metrics-urls`), such as `http://10.0.0.21:2381`. Default: none.
    metrics: Option<String>,
}

/// Credentials of metrics listeners.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Listener {
    /// Their CA, PEM. Without it certificates are seen but not verified.
    ca: Option<Source>,
    /// Client certificate chain, PEM, together with `client_key`.
    client_certificate: Option<Source>,
    /// Its private key, PEM.
    client_key: Option<Source>,
}

/// Files with certificates and tokens.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Files {
    /// A file, a directory with all below it, or a pattern with `*`, `?` and `[...]`.
    path: String,
    /// Who renews what is in them. Default: manual.
    certificates: Option<Renewal>,
    /// The fraction of the lifetime after which a program renews what is in them, from 0.1 to 0.99. Default: two
    /// thirds.
    renewed_at: Option<NumberOrText>,
    /// The endpoint of the cluster that should serve the newest certificate in it. Default: the one whose certificate
    /// has the same subject, issuer and names.
    serves: Option<String>,
}

/// Where a credential or certificate is: exactly one of the three. Read again whenever it is used.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1, "maxProperties" = 1))]
struct Source {
    /// A file; one with a secret must not be world-readable.
    file: Option<String>,
    /// A systemd credential (`LoadCredential=` in the unit).
    credential: Option<String>,
    /// An environment variable.
    env: Option<String>,
}

/// `host:port`, with brackets around IPv6: `[2001:db8::1]:6443`.
#[derive(JsonSchema)]
struct Address(#[schemars(regex(pattern = r":[0-9]{1,5}$"))] String);

/// 1 to 63 letters, digits, '.', '_', ':' and '-'; the first is a letter or digit.
#[derive(JsonSchema)]
struct Name(#[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,62}$"))] String);

/// Whole numbers with units, such as 500ms, 15s, 2m, 1h30m and 1d. Never a bare number.
#[derive(JsonSchema)]
struct Duration(#[schemars(regex(pattern = PATTERN))] String);

const PATTERN: &str = r"^([0-9]+(ms|s|m|h|d))+$";

/// A number, or a number with a unit.
struct NumberOrText;
/// Rules by name, each with a level.
struct Severities;
/// Who renews.
struct Renewal;
/// A login name that a shell takes as it is.
#[derive(JsonSchema)]
struct LoginName(#[schemars(regex(pattern = r"^[A-Za-z0-9._][A-Za-z0-9._-]{0,31}$"))] String);
/// What a cluster was installed with.
struct Installed;
/// The knobs.
struct Timing;

impl JsonSchema for NumberOrText {
    fn schema_name() -> Cow<'static, str> {
        "NumberOrText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "string"] })
    }
}

impl JsonSchema for Severities {
    fn schema_name() -> Cow<'static, str> {
        "Severities".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let levels = [Level::Info, Level::Warning, Level::Critical].map(Level::as_str);
        json_schema!({
            "description": "Rules by name: info (only listed), warning (mailed), critical (mailed, and repeated).",
            "type": "object",
            "propertyNames": { "enum": RuleId::ALL.map(RuleId::as_str).to_vec() },
            "additionalProperties": { "enum": levels },
        })
    }
}

impl JsonSchema for Renewal {
    fn schema_name() -> Cow<'static, str> {
        "Renewal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Who renews: a person (manual), a program (automatic), the server when it starts (restart).",
            "enum": Class::ALL.map(Class::as_str),
        })
    }
}

/// Keys, ranges and defaults are those of the table that the reader uses.
impl JsonSchema for Installed {
    fn schema_name() -> Cow<'static, str> {
        "Distribution".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "What the cluster was installed with.",
            "enum": Distribution::ALL.map(Distribution::as_str),
        })
    }
}

impl JsonSchema for Timing {
    fn schema_name() -> Cow<'static, str> {
        "Timing".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut defaults = Policy::default();
        let properties: serde_json::Map<_, _> = KNOBS
            .iter()
            .map(|timing_key| {
                let (least, most) = (duration::show(timing_key.range.0), duration::show(timing_key.range.1));
                let default = duration::show(*(timing_key.of)(&mut defaults));
                let schema = json_schema!({
                    "description": format!("From {least} to {most}. Default: {default}."),
                    "type": ["string", "null"],
                    "pattern": PATTERN,
                    "default": default,
                });
                (timing_key.key.to_owned(), schema.to_value())
            })
            .collect();
        json_schema!({
            "description": "Intervals, timeouts and grace periods.",
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::config::{
        canaries, cluster, files, kubeconfig, links, load, mail_and_heartbeat, vantage, written_source,
    };

    #[test]
    fn every_section_has_the_keys_that_its_reader_knows() {
        let schema: Value = serde_json::from_str(&text()).unwrap();
        let knobs = KNOBS.map(|timing_key| timing_key.key);
        let sections: [(&str, &[&str]); 17] = [
            ("", &load::KEYS),
            ("Vantage", &vantage::KEYS),
            ("Reference", &vantage::REFERENCE_KEYS),
            ("Mail", &mail_and_heartbeat::MAIL_KEYS),
            ("Heartbeat", &mail_and_heartbeat::HEARTBEAT_KEYS),
            ("Links", &links::KEYS),
            ("Source", &written_source::SOURCE_KEYS),
            ("Cluster", &cluster::KEYS),
            ("Credentials", &cluster::CREDENTIALS_KEYS),
            ("Writer", &canaries::WRITER_KEYS),
            ("Canaries", &canaries::KEYS),
            ("Vip", &cluster::VIP_KEYS),
            ("Endpoint", &cluster::ENDPOINT_KEYS),
            ("Etcd", &cluster::ETCD_KEYS),
            ("Files", &files::KEYS),
            ("Kubeconfig", &kubeconfig::KEYS),
            ("Timing", &knobs),
        ];
        for (name, keys) in sections {
            let section = if name.is_empty() { &schema } else { &schema["$defs"][name] };
            let mut written: Vec<&str> =
                section["properties"].as_object().unwrap().keys().map(String::as_str).collect();
            let mut keys = keys.to_vec();
            written.sort_unstable();
            keys.sort_unstable();

            assert_eq!(written, keys, "{name}");
            assert_eq!(section["additionalProperties"], Value::Bool(false), "{name}");
        }
    }
}
