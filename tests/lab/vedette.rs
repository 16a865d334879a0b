//! vedette on the bastion: its configuration for this world, and the running daemon.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;

use crate::heartbeat;
use crate::http::{self, Answer};
use crate::net::Place;
use crate::pki;
use crate::process::Server;
use crate::smtp;
use crate::world::World;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_vedette");
/// Where it listens inside the bastion.
pub(crate) const LISTEN: &str = "127.0.0.1:9876";
/// Its name among the world's servers.
pub(crate) const NAME: &str = "vedette";

/// Which mail server vedette is told to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relay {
    /// The programmable server, STARTTLS and a password.
    StartTls,
    /// The programmable server, TLS from the first byte and a password.
    Implicit,
    /// Postfix, STARTTLS, no password.
    Postfix,
}

/// What a drill may want different in the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The mail server.
    pub(crate) relay: Relay,
    /// Addresses of resolvers to look at.
    pub(crate) resolvers: Vec<String>,
    /// Whether the mail server is named as a reference target, beside being the relay.
    pub(crate) references: bool,
    /// Whether heartbeats are sent.
    pub(crate) heartbeat: bool,
    /// Whether the servers of the cluster are named rather than numbered; takes a resolver that knows them.
    pub(crate) by_name: bool,
    /// Files with certificates of the cluster.
    pub(crate) files: Vec<PathBuf>,
    /// Whether there are canaries, with a credential of their own.
    pub(crate) canaries: bool,
    /// Keys under `timing` and their values.
    pub(crate) timing: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            relay: Relay::StartTls,
            resolvers: Vec::new(),
            references: true,
            heartbeat: true,
            by_name: false,
            files: Vec::new(),
            canaries: false,
            timing: Vec::new(),
        }
    }
}

impl World {
    /// Writes the configuration and returns its path.
    pub(crate) fn write_vedette_config(&self, options: &Options) -> Result<PathBuf> {
        let file = self.folder.join("vedette.yaml");
        pki::write(&file, &self.vedette_config(options)?, 0o600)?;
        Ok(file)
    }

    /// Starts `vedette run` on the bastion; it counts as one of the world's servers, under [`NAME`].
    pub(crate) fn start_vedette(&mut self, config: &Path) -> Result<Instant> {
        self.add_vedette(config);
        self.start(NAME)
    }

    /// Adds `vedette run` to the servers, stopped.
    pub(crate) fn add_vedette(&mut self, config: &Path) {
        let log = self.folder.join("logs/vedette.log");
        let arguments = vec!["run".to_owned(), config.display().to_string()];
        self.add(Server::new(NAME, Place::Bastion, BINARY, arguments, log));
    }

    /// Gets a page of the running vedette, such as `/metrics`.
    pub(crate) fn page(&self, path: &str) -> Result<Answer> {
        let url = format!("http://{LISTEN}{path}");
        self.network.inside(Place::Bastion, || http::get(&url, None))
    }

    /// Where vedette records.
    pub(crate) fn recordings(&self) -> PathBuf {
        self.folder.join("recordings")
    }

    /// The end of vedette's log, for the report of a failed drill; empty when it never ran.
    pub(crate) fn what_vedette_said(&mut self) -> String {
        self.server(NAME)
            .map_or_else(|_| String::new(), |server| format!("vedette's log ends with\n{}\n", server.last_words()))
    }

    fn vedette_config(&self, options: &Options) -> Result<String> {
        let mut text = self.vantage_and_outlets(options)?;
        let file = |path: PathBuf| format!("{{ file: {} }}", path.display());
        let kubeconfig = crate::rbac::vedette(&self.folder);
        let host = |place: Place| if options.by_name { place.name() } else { place.ip().to_string() };
        writeln!(
            text,
            "clusters:\n  - name: lab\n    kubeconfig: {{ path: {} }}\n    vip: {{ address: \"{}:6443\" }}\n    apiservers:",
            kubeconfig.display(),
            host(Place::Vip)
        )?;
        for place in (1..=self.size.instances).map(Place::Api) {
            writeln!(text, "      - {{ name: {}, address: \"{}:6443\" }}", place.name(), host(place))?;
        }
        let client = self.pki.leaf("etcd/vedette");
        writeln!(
            text,
            "    etcd:\n      - name: main\n        ca: {}\n        client_certificate: {}\n        client_key: {}\n        members:",
            file(self.pki.file("etcd/ca", "crt")),
            file(client.cert),
            file(client.key)
        )?;
        for place in (1..=self.size.members).map(Place::Etcd) {
            writeln!(
                text,
                "          - {{ name: {}, address: \"{}:2379\", metrics: \"http://{}:2381\" }}",
                place.name(),
                host(place),
                host(place)
            )?;
        }
        if options.canaries {
            let writer = self.pki.leaf("vedette-writer");
            let (certificate, key) = (file(writer.cert), file(writer.key));
            writeln!(text, "    writer: {{ client_certificate: {certificate}, client_key: {key} }}")?;
        }
        if !options.files.is_empty() {
            writeln!(text, "    files:")?;
        }
        for path in &options.files {
            writeln!(text, "      - path: {}", path.display())?;
        }
        if !options.timing.is_empty() {
            writeln!(text, "timing:")?;
        }
        for (key, value) in &options.timing {
            writeln!(text, "  {key}: {value}")?;
        }
        Ok(text)
    }

    /// What stands above the clusters: the vantage, mail and heartbeats.
    pub(crate) fn vantage_and_outlets(&self, options: &Options) -> Result<String> {
        let mail_ip = Place::Mail.ip();
        let port = match options.relay {
            Relay::StartTls => smtp::STARTTLS_PORT,
            Relay::Implicit => smtp::IMPLICIT_PORT,
            Relay::Postfix => 25,
        };
        let tls = if options.relay == Relay::Implicit { "implicit" } else { "starttls" };
        let references = if options.references {
            format!("[ {{ name: relay, address: \"{mail_ip}:{port}\" }} ]")
        } else {
            "[]".to_owned()
        };
        let here = self.folder.display();
        let file = |path: PathBuf| format!("{{ file: {} }}", path.display());
        let resolvers: Vec<String> = options.resolvers.iter().map(|r| format!("\"{r}\"")).collect();
        let mut text = format!(
            "vantage:\n  name: bastion-1\n  listen: \"{LISTEN}\"\n  store: {here}/vedette.db\n  control: {here}/control.sock\n  \
             resolvers: [{}]\n  references: {references}\n\
             mail:\n  relay: \"{mail_ip}:{port}\"\n  tls: {tls}\n  ca: {}\n",
            resolvers.join(", "),
            file(self.pki.file("mail/ca", "crt")),
        );
        if options.relay != Relay::Postfix {
            let password = self.folder.join("mail-password");
            pki::write(&password, smtp::PASSWORD, 0o600)?;
            writeln!(text, "  username: {}\n  password: {}", smtp::USER, file(password))?;
        }
        writeln!(text, "  from: vedette@bastion.test\n  to: [oncall@{}]", crate::postfix::DOMAIN)?;
        if options.heartbeat {
            writeln!(text, "heartbeat:\n  url: \"http://{mail_ip}:{}/beat\"\n  interval: 5s", heartbeat::PORT)?;
        }
        Ok(text)
    }
}
