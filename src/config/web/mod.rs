//! Prometheus exporter-toolkit's `web-config.yml`: TLS, clients' certificates, users, headers and a limit of requests
//! for our own listener.
//!
//! Read more strictly than the toolkit does: what it silently ignores (a key it does not know, a section without a
//! certificate, allowed names where nobody is asked for a certificate) would leave pages open that seem protected, so
//! it is an error. What the TLS stack lacks is an error too, and names the alternative. Every file named in it is
//! opened here, so that a broken one is found before it is used. Called by the reader of the vantage and by the
//! listener, which reads it again when it changes.

mod material;
mod numbers;
mod respond;
mod tls;
mod users;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use http::{HeaderName, HeaderValue};
use secrecy::ExposeSecret as _;

use super::environment::{Environment, Sources};
use super::problem::{Complaints, Problem};
use super::read_context::ReadContext;
use super::source;
use super::yaml_tree::Section;
use crate::model::error_chain::chain;
use crate::parse::diagnostic::Diagnostic;
use crate::parse::yaml::Position;
use crate::parse::{invisible, text, yaml};

pub use numbers::Version;
pub use respond::RateLimit;
pub use tls::{ClientAuth, Tls};
pub use users::PasswordHash;

pub(super) const KEYS: [&str; 4] = ["tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"];

/// How our own listener is protected.
#[derive(Debug, Clone)]
pub struct WebConfig {
    /// TLS; `None` for plain HTTP.
    pub tls: Option<Tls>,
    /// Whether HTTP/2 is offered; with TLS only.
    pub http2: bool,
    /// Headers added to every response.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Who may read, with hashed passwords; everybody when empty.
    pub users: BTreeMap<String, PasswordHash>,
    /// How many requests are answered.
    pub rate_limit: Option<RateLimit>,
}

/// The result of reading the file.
#[derive(Debug)]
pub struct Reading {
    /// The file and every file it names, whether they could be read or not: a change of any of them is a reason to read
    /// again.
    pub files: Vec<PathBuf>,
    /// What it says with what is worth a word, or everything that is wrong, warnings included.
    pub result: Result<(WebConfig, Vec<Problem>), Vec<Problem>>,
}

impl Default for WebConfig {
    fn default() -> Self {
        Self { tls: None, http2: true, headers: Vec::new(), users: BTreeMap::new(), rate_limit: None }
    }
}

impl WebConfig {
    /// Whether it has both authentication and encryption: TLS together with users, or with clients' certificates that
    /// are required and verified.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        let verifies = |tls: &Tls| tls.client_auth == ClientAuth::RequireAndVerify;
        self.tls.as_ref().is_some_and(|tls| verifies(tls) || !self.users.is_empty())
    }
}

/// Reads the file at `path` and what it names. Blocks for as long as the file system does.
#[must_use]
pub fn read(path: &Path) -> Reading {
    match source::read_file(path) {
        Ok(contents) => from_bytes(contents.bytes.expose_secret(), contents.mode, path),
        Err(error) => {
            let problem =
                Problem { file: path.display().to_string(), diagnostic: Diagnostic::error(None, chain(&error)) };
            Reading { files: vec![path.to_owned()], result: Err(vec![problem]) }
        }
    }
}

/// Reads `bytes`, the content of `path`, which has the permission bits `mode`; what it names is opened.
#[must_use]
pub fn from_bytes(bytes: &[u8], mode: u32, path: &Path) -> Reading {
    let complaints = Complaints::about(path.display().to_string());
    // Only the folder and the permission to open files matter to the readers of sources.
    let environment = Environment {
        host_name: String::new(),
        state_directory: None,
        resolvers: Vec::new(),
        sources: Sources::Examined,
    };
    let reader = Reader {
        context: ReadContext {
            complaints: &complaints,
            folder: path.parent().unwrap_or(Path::new("")),
            environment: &environment,
            kubeconfigs: RefCell::default(),
        },
        path,
        mode,
        files: RefCell::new(vec![path.to_owned()]),
    };
    let config = reader.config(&text::decode(bytes).0);
    let files = reader.files.take();
    let problems = complaints.sorted();
    let result = match config {
        Some(config) if !problems.iter().any(Problem::is_error) => Ok((config, problems)),
        Some(_) | None => Err(problems),
    };
    Reading { files, result }
}

/// Shared by the readers of the sections.
struct Reader<'a> {
    context: ReadContext<'a>,
    path: &'a Path,
    /// Permission bits of the file itself.
    mode: u32,
    /// Files opened so far.
    files: RefCell<Vec<PathBuf>>,
}

impl Reader<'_> {
    /// `None` only together with an error among the complaints; settings may still be incomplete beside errors.
    fn config(&self, text: &str) -> Option<WebConfig> {
        let complaints = self.context.complaints;
        invisible::diagnostics(text).into_iter().for_each(|diagnostic| complaints.add(diagnostic));
        let documents =
            yaml::documents(text).map_err(|fault| complaints.add(Diagnostic::error(fault.position, fault.what)));
        let documents = documents.ok()?;
        if let Some(second) = documents.get(1) {
            complaints
                .add(Diagnostic::error(second.position, "a second document").hint("one file describes one listener"));
            return None;
        }
        let mut config = WebConfig::default();
        if let Some(root) = documents.first() {
            let section = Section::open(root, &KEYS, complaints)?;
            config.tls = section.find("tls_server_config").and_then(|node| self.tls(node));
            if let Some(node) = section.find("http_server_config") {
                (config.http2, config.headers) = self.http(node);
            }
            config.users = section.find("basic_auth_users").map(|node| self.users(node)).unwrap_or_default();
            config.rate_limit = section.find("rate_limit").and_then(|node| self.rate_limit(node));
        }
        if config.tls.is_none() && config.users.is_empty() && !complaints.has_errors() {
            let position = documents.first().map_or(Position { line: 1, column: 1 }, |root| root.position);
            let diagnostic =
                Diagnostic::warning(position, "neither TLS nor users: the listener is as open as without this file");
            complaints.add(diagnostic.hint("add 'tls_server_config', 'basic_auth_users' or both"));
        }
        Some(config)
    }
}

#[cfg(test)]
mod tests;
