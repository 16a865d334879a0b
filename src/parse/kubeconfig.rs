//! A kubeconfig to the one cluster and user that a context chooses.
//!
//! Complains only about what the chosen context uses: other contexts may be broken or foreign. Opens no file it
//! names and runs no program; whether a plugin may run at all is the configuration's decision. Called by it.

pub mod embedded;

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use secrecy::{SecretSlice, SecretString};
use url::{Host, Url};

use super::diagnostic::Diagnostic;
use super::invisible;
use super::text;
use super::yaml::{self, Node, Position, Value};

/// What a context chooses. Absent means that the kubeconfig does not say.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// Name of the context.
    pub context: String,
    /// Where the cluster is.
    pub server: Option<Server>,
    /// Name to expect in the certificate instead of the server's host.
    pub server_name: Option<Located<String>>,
    /// CA certificates; `None` as well when verification is switched off.
    pub authorities: Option<Located<Material>>,
    /// Client certificate chain.
    pub certificate: Option<Located<Material>>,
    /// Client key.
    pub key: Option<Located<Material>>,
    /// Bearer token.
    pub token: Option<Located<Material>>,
    /// Command that prints a credential.
    pub exec: Option<Located<Exec>>,
    /// URL of a proxy for all connections, as written; it may hold a password.
    pub proxy: Option<Located<SecretString>>,
}

/// A value and its place in the kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// Where.
    pub position: Position,
    /// What.
    pub value: T,
}

/// A cluster's address out of its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its place.
    pub position: Position,
    /// Host, without brackets.
    pub host: Host<String>,
    /// Port; 443 when the URL has none.
    pub port: u16,
    /// Path below which the API is served, as multi-cluster proxies have it; empty for the API itself.
    pub path: String,
}

/// Credential or certificate.
#[derive(Clone)]
pub enum Material {
    /// Embedded.
    Inline(Arc<SecretSlice<u8>>),
    /// In a file; a relative name starts at the kubeconfig's folder.
    File(String),
}

/// A credential plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// `client.authentication.k8s.io/v1` or `v1beta1`.
    pub api_version: String,
    /// Program; with a slash in it relative to the kubeconfig's folder, else looked up in `PATH`.
    pub command: String,
    /// Arguments.
    pub args: Vec<String>,
    /// Variables added to its environment.
    pub env: BTreeMap<String, String>,
    /// Whether it wants the cluster's data.
    pub provides_cluster_info: bool,
}

/// What `context` (else `current-context`) chooses in the kubeconfig `bytes`, and everything wrong on the way.
///
/// YAML or JSON, one or more documents, of which the first to define a name wins, as in kubectl.
#[must_use]
pub fn choose(bytes: &[u8], context: Option<&str>) -> (Option<Chosen>, Vec<Diagnostic>) {
    let text = text::decode(bytes).0;
    let documents = match yaml::documents(&text) {
        Ok(documents) => documents,
        Err(fault) => {
            let fault = Diagnostic::error(fault.position, fault.what);
            return (None, std::iter::once(fault).chain(invisible::diagnostics(&text)).collect());
        }
    };
    let mut reading = Reading { documents: &documents, diagnostics: Vec::new() };
    let chosen = reading.choose(context);
    let mut diagnostics = reading.diagnostics;
    diagnostics.extend(invisible::diagnostics(&text));
    (chosen, diagnostics)
}

struct Reading<'a> {
    documents: &'a [Node],
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Reading<'a> {
    fn choose(&mut self, wanted: Option<&str>) -> Option<Chosen> {
        let current = self.documents.iter().find_map(|document| document.field("current-context"));
        let Some(name) = wanted.or_else(|| current?.scalar()).filter(|name| !name.is_empty()) else {
            let hint = format!("name the context to use; there are: {}", self.names("contexts"));
            self.diagnostics.push(Diagnostic::error(None, "no current-context is set").hint(hint));
            return None;
        };
        let position = current.filter(|_| wanted.is_none()).map(|node| node.position);
        let context = self.named("contexts", "context", name, position)?;
        let cluster = self
            .text(context, "cluster")
            .and_then(|it| self.named("clusters", "cluster", &it.value, Some(it.position)));
        // A context without a user is anonymous access, which is enough for health endpoints. `kubectl config
        // set-context` writes an empty name for it.
        let user = self
            .text(context, "user")
            .filter(|name| !name.value.is_empty())
            .and_then(|it| self.named("users", "user", &it.value, Some(it.position)));
        if context.field("cluster").is_none() {
            self.diagnostics.push(Diagnostic::error(context.position, format!("context '{name}' names no cluster")));
        }
        let mut chosen = Chosen {
            context: name.to_owned(),
            server: None,
            server_name: None,
            authorities: None,
            certificate: None,
            key: None,
            token: None,
            exec: None,
            proxy: None,
        };
        if let Some(cluster) = cluster {
            self.cluster(cluster, &mut chosen);
        }
        if let Some(user) = user {
            self.user(user, &mut chosen);
        }
        Some(chosen)
    }

    fn cluster(&mut self, cluster: &'a Node, chosen: &mut Chosen) {
        match self.text(cluster, "server") {
            Some(url) => match server(&url) {
                Ok(server) => chosen.server = Some(server),
                Err(diagnostic) => self.diagnostics.push(diagnostic),
            },
            None if cluster.field("server").is_none() => {
                self.diagnostics.push(Diagnostic::error(cluster.position, "the cluster has no server"));
            }
            None => {}
        }
        chosen.server_name = self.text(cluster, "tls-server-name").filter(|name| !name.value.is_empty());
        chosen.authorities = self.material(cluster, "certificate-authority-data", "certificate-authority");
        let insecure = cluster.field("insecure-skip-tls-verify").filter(|node| node.scalar() == Some("true"));
        let has_authority = ["certificate-authority-data", "certificate-authority"]
            .iter()
            .any(|key| cluster.field(key).is_some_and(|node| node.scalar() != Some("")));
        if !has_authority && insecure.is_none() {
            self.diagnostics.push(
                Diagnostic::warning(
                    cluster.position,
                    "no certificate-authority, so certificates served cannot be verified",
                )
                .hint("kubectl trusts this machine's authorities here; vedette trusts none it was not given"),
            );
        }
        if let Some(node) = insecure {
            chosen.authorities = None;
            self.diagnostics.push(
                Diagnostic::warning(
                    node.position,
                    "certificate verification is switched off, so nothing is known of the chain",
                )
                .hint("give certificate-authority(-data) instead of insecure-skip-tls-verify"),
            );
        }
        let proxy = self.text(cluster, "proxy-url").filter(|url| !url.value.is_empty());
        chosen.proxy = proxy.map(|Located { position, value }| Located { position, value: value.into() });
    }

    fn user(&mut self, user: &'a Node, chosen: &mut Chosen) {
        for (key, instead) in [
            ("username", "basic authentication has been gone from Kubernetes since 1.19"),
            ("password", "basic authentication has been gone from Kubernetes since 1.19"),
            ("auth-provider", "use an exec plugin, or a client certificate or token made for vedette"),
        ] {
            // Tools write every key, and those that they do not use as an empty text.
            if let Some(node) = user.field(key).filter(|node| says_something(node)) {
                self.diagnostics
                    .push(Diagnostic::error(node.position, format!("'{key}' is not supported")).hint(instead));
            }
        }
        for key in ["as", "as-uid", "as-groups", "as-user-extra"] {
            if let Some(node) = user.field(key).filter(|node| says_something(node)) {
                self.diagnostics.push(
                    Diagnostic::warning(node.position, format!("'{key}' is ignored: vedette impersonates nobody"))
                        .hint("give it a user that has the rights itself"),
                );
            }
        }
        chosen.certificate = self.material(user, "client-certificate-data", "client-certificate");
        chosen.key = self.material(user, "client-key-data", "client-key");
        chosen.token = self.token(user);
        chosen.exec = user.field("exec").and_then(|node| {
            let value = self.exec(node)?;
            Some(Located { position: node.position, value })
        });
    }

    /// tokenFile goes before token, because it is the one that is kept fresh (client-go does the same).
    fn token(&mut self, user: &'a Node) -> Option<Located<Material>> {
        let file = self.text(user, "tokenFile").filter(|file| !file.value.is_empty());
        let token = self.text(user, "token").filter(|token| !token.value.is_empty());
        file.map(|file| Located { position: file.position, value: Material::File(file.value) }).or_else(|| {
            token.map(|token| Located { position: token.position, value: inline(token.value.into_bytes()) })
        })
    }

    fn exec(&mut self, node: &'a Node) -> Option<Exec> {
        let flaws_before = self.diagnostics.len();
        let api_version = self.text(node, "apiVersion").map(|text| text.value).unwrap_or_default();
        if !matches!(api_version.as_str(), "client.authentication.k8s.io/v1" | "client.authentication.k8s.io/v1beta1") {
            self.diagnostics.push(
                Diagnostic::error(
                    node.position,
                    "the exec plugin speaks neither client.authentication.k8s.io/v1 nor v1beta1",
                )
                .hint("update the plugin, then let it write the kubeconfig again"),
            );
        }
        let command = self.text(node, "command").map(|text| text.value).unwrap_or_default();
        if command.is_empty() {
            self.diagnostics.push(Diagnostic::error(node.position, "the exec plugin has no command"));
        }
        if let Some(mode) = node.field("interactiveMode").filter(|mode| mode.scalar() == Some("Always")) {
            self.diagnostics
                .push(Diagnostic::error(mode.position, "the exec plugin wants to talk to a person, and there is none"));
        }
        let args = self.list(node, "args").iter().filter_map(|arg| self.scalar("args", arg)).collect();
        let mut env = BTreeMap::new();
        for variable in self.list(node, "env") {
            if let (Some(name), Some(value)) = (self.text(variable, "name"), self.text(variable, "value")) {
                env.insert(name.value, value.value);
            }
        }
        let provides_cluster_info =
            node.field("provideClusterInfo").is_some_and(|answer| answer.scalar() == Some("true"));
        let is_sound = self.diagnostics.len() == flaws_before;
        is_sound.then_some(Exec { api_version, command, args, env, provides_cluster_info })
    }

    /// The body of the first entry of `list` with this name, over all documents.
    fn named(&mut self, list: &str, body: &str, name: &str, position: Option<Position>) -> Option<&'a Node> {
        let entry = self.entries(list).find(|entry| entry.field("name").and_then(Node::scalar) == Some(name));
        let Some(entry) = entry else {
            let hint = format!("there are: {}", self.names(list));
            self.diagnostics
                .push(Diagnostic::error(position, format!("no {body} '{}'", name.escape_debug())).hint(hint));
            return None;
        };
        entry.field(body).or_else(|| {
            // A user without any credentials is an anonymous one, as for kubectl.
            if body == "user" {
                return None;
            }
            self.diagnostics
                .push(Diagnostic::error(entry.position, format!("{body} '{}' is empty", name.escape_debug())));
            None
        })
    }

    fn entries(&self, list: &str) -> impl Iterator<Item = &'a Node> + use<'a> {
        let lists: Vec<&'a Node> = self.documents.iter().filter_map(|document| document.field(list)).collect();
        lists.into_iter().flat_map(|node| match &node.value {
            Value::List(items) => items.as_slice(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Map(_) => &[],
        })
    }

    fn names(&self, list: &str) -> String {
        let names: Vec<String> = self
            .entries(list)
            .filter_map(|entry| entry.field("name")?.scalar())
            .map(|name| name.chars().take(64).collect::<String>().escape_debug().to_string())
            .take(8)
            .collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }

    /// Embedded bytes go before a file, as in kubectl.
    fn material(&mut self, node: &'a Node, embedded: &str, file: &str) -> Option<Located<Material>> {
        if let Some(text) = self.text(node, embedded).filter(|text| !text.value.trim().is_empty()) {
            let compact: String = text.value.chars().filter(|c| !c.is_whitespace()).collect();
            return match base64::engine::general_purpose::STANDARD.decode(compact) {
                Ok(bytes) => Some(Located { position: text.position, value: inline(bytes) }),
                Err(_) => {
                    self.diagnostics.push(
                        Diagnostic::error(text.position, format!("'{embedded}' is not base64"))
                            .hint(format!("for a file name use '{file}'")),
                    );
                    None
                }
            };
        }
        let path = self.text(node, file).filter(|path| !path.value.is_empty())?;
        Some(Located { position: path.position, value: Material::File(path.value) })
    }

    fn text(&mut self, node: &'a Node, key: &str) -> Option<Located<String>> {
        let field = node.field(key)?;
        let value = self.scalar(key, field)?;
        Some(Located { position: field.position, value })
    }

    fn scalar(&mut self, key: &str, node: &Node) -> Option<String> {
        let text = node.scalar();
        if text.is_none() {
            self.diagnostics
                .push(Diagnostic::error(node.position, format!("'{key}' must be a string, and is {}", node.kind())));
        }
        text.map(str::to_owned)
    }

    /// Cloud tools write `env: null` and `args: null`: nothing is an empty list.
    fn list(&mut self, node: &'a Node, key: &str) -> &'a [Node] {
        match node.field(key).map(|field| (&field.value, field)) {
            None => &[],
            Some((Value::List(items), _)) => items,
            Some((_, field)) => {
                self.diagnostics.push(Diagnostic::error(
                    field.position,
                    format!("'{key}' must be a list, and is {}", field.kind()),
                ));
                &[]
            }
        }
    }
}

/// Whether a value is neither an empty text nor an empty list or mapping.
const fn says_something(node: &Node) -> bool {
    match &node.value {
        Value::Null => false,
        Value::Text(text) => !text.is_empty(),
        Value::List(items) => !items.is_empty(),
        Value::Map(entries) => !entries.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn server(url: &Located<String>) -> Result<Server, Diagnostic> {
    let Located { position, value } = url;
    // kubectl accepts a bare host as well, and then uses plain HTTP.
    let parsed = Url::parse(value).ok().filter(|url| url.scheme() == "https");
    let Some((parsed, host)) = parsed.as_ref().and_then(|url| Some((url, url.host()?))) else {
        return Err(Diagnostic::error(*position, "the server is not an https URL"));
    };
    Ok(Server {
        position: *position,
        host: host.to_owned(),
        port: parsed.port().unwrap_or(443),
        path: parsed.path().trim_end_matches('/').to_owned(),
    })
}

fn inline(bytes: Vec<u8>) -> Material {
    Material::Inline(Arc::new(bytes.into()))
}

impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("inline:***"),
            Self::File(path) => write!(f, "file:{path}"),
        }
    }
}

#[cfg(test)]
mod tests;
