//! Our credentials for a cluster and the CAs we trust there: parsed, kept ready, renewed when their files change.
//!
//! A credential that cannot be read never stops a probe: it goes on with the last valid one, or without, because chains
//! and health need no credential, and a refusal is then reported as our own fault. A rotation writes one file after the
//! other, so changed files are read once they stop changing, and a certificate without its key changes nothing.
//! Connects to nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::HeaderValue;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use secrecy::{ExposeSecret as _, SecretSlice};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::credentials;
use super::exec::{self, ClusterHint, Issued};
use super::handshake::Tls;
use super::verification::Strict;
use crate::config::blocking::BlockingPool;
use crate::config::file_stamp::FileStamp;
use crate::config::settings::{Credentials, ExecPlugin, Source};
use crate::model::certificate::Fingerprint;
use crate::model::phase::Cause;
use crate::model::subject::Subject;
use crate::model::time::{Clock, Mono, Now};
use crate::parse::pem::{self, Scan};
use crate::parse::x509;

/// Files are checked for changes at most this often. Checking takes a tenth of the time of a probe; but files that are
/// rotated together must be noticed together, or the refusal of the old ones leads to two mails.
const CHECK_AFTER: Duration = Duration::from_secs(1);
/// When a file system does not answer for this long, the credentials read before are used.
const FILES_DEADLINE: Duration = Duration::from_secs(1);
/// A plugin that failed is run again after this.
const PLUGIN_RETRY: Duration = Duration::from_secs(30);
/// A plugin's credential is renewed this long before its end.
const RENEW_BEFORE: Duration = Duration::from_secs(60);

/// Credentials ready for use.
#[derive(Clone)]
pub(crate) struct ReadyCredentials {
    /// Changes when the anchors or the client certificate change; kept connections of another generation are closed.
    pub(crate) generation: u64,
    /// Strict verification; `None` without anchors.
    pub(crate) strict: Option<Arc<Strict>>,
    /// Client certificate.
    pub(crate) client: Option<Arc<CertifiedKey>>,
    /// `Bearer …`, marked sensitive. Sent only to a trusted server.
    pub(crate) token: Option<HeaderValue>,
    /// Whether something that is configured could not be read or understood.
    pub(crate) is_flawed: bool,
    /// The reason, without secrets, where it is known.
    pub(crate) diagnostic: Option<Arc<str>>,
    /// What the generation stands for: the anchors and the client's chain.
    print: Print,
}

/// A digest that shows whether anything that TLS uses has changed, without keeping a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Print {
    anchors: Vec<Fingerprint>,
    client: Vec<Fingerprint>,
}

impl ReadyCredentials {
    /// No credentials, and trust in no CA.
    fn nothing() -> Self {
        Self {
            generation: 0,
            strict: None,
            client: None,
            token: None,
            is_flawed: true,
            diagnostic: None,
            print: Print::default(),
        }
    }

    /// The cause to report when the server answered `cause`. A refusal is our own fault when a configured credential
    /// cannot be used; with none configured, it is reported as a missing credential.
    pub(crate) fn blame(&self, cause: Cause) -> Cause {
        if self.is_flawed && cause.is_refusal() {
            Cause::OwnCredential
        } else if cause == Cause::ClientCertificateRejected && self.client.is_none() && self.token.is_none() {
            Cause::NoCredential
        } else {
            cause
        }
    }

    /// The same for an answer to a request: only the caller knows whether the token was sent.
    pub(crate) fn blame_for_answer(&self, cause: Cause, token_was_sent: bool) -> Cause {
        let cause = self.blame(cause);
        match (&self.token, &self.client) {
            _ if cause != Cause::CredentialRejected => cause,
            (Some(_), _) if !token_was_sent => Cause::TokenWithheld,
            (None, None) => Cause::NoCredential,
            (Some(_), _) | (None, Some(_)) => cause,
        }
    }
}

/// One set of credentials.
pub(crate) struct Identity {
    /// Whose they are, for the log.
    of: Subject,
    credentials: Credentials,
    cluster: String,
    tls: Tls,
    clock: Clock,
    files: BlockingPool,
    state: tokio::sync::Mutex<State>,
    was_refused: AtomicBool,
}

#[derive(Default)]
struct State {
    checked: Option<Mono>,
    stamps: Vec<FileStamp>,
    /// Files that were changing when they were last checked.
    unsettled: Option<Vec<FileStamp>>,
    plugin: Plugin,
    ready_credentials: Option<Arc<ReadyCredentials>>,
    complaints: Vec<String>,
}

#[derive(Default)]
struct Plugin {
    issued: Option<Issued>,
    failure: Option<exec::Failed>,
    /// Counts what was issued.
    serial: u64,
    ended: Option<Mono>,
    running: Option<JoinHandle<Result<Issued, exec::Failed>>>,
}

/// Everything one load reads, so that it can run on a thread that may block.
struct Load {
    credentials: Credentials,
    tls: Tls,
    issued: Option<Issued>,
    diagnostic: Option<exec::Failed>,
    before: Option<Arc<ReadyCredentials>>,
}

impl Identity {
    /// `cluster` is the URL that an exec plugin gets.
    pub(crate) fn new(of: Subject, credentials: Credentials, cluster: String, tls: Tls, clock: Clock) -> Self {
        let state = tokio::sync::Mutex::default();
        Self {
            of,
            credentials,
            cluster,
            tls,
            clock,
            files: BlockingPool::new(1),
            state,
            was_refused: AtomicBool::new(false),
        }
    }

    /// Whether it was made from these: then it may go on as it is.
    pub(crate) fn is_of(&self, credentials: &Credentials, cluster: &str) -> bool {
        // Only a plugin gets the cluster it is for.
        self.credentials == *credentials && (credentials.exec.is_none() || self.cluster == cluster)
    }

    /// A server refused the credential; a plugin is asked for another one.
    pub(crate) fn refused(&self) {
        self.was_refused.store(true, Ordering::Relaxed);
    }

    /// The credentials as they are now.
    ///
    /// Waits for a plugin only the first time, then at most [`exec::DEADLINE`]; files may cost [`FILES_DEADLINE`].
    pub(crate) async fn current(&self) -> Arc<ReadyCredentials> {
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        let is_fresh = state.checked.is_some_and(|checked| now.mono.since(checked) < CHECK_AFTER);
        if let Some(ready_credentials) = state.ready_credentials.as_ref().filter(|_| is_fresh) {
            return Arc::clone(ready_credentials);
        }
        let issued_before = state.plugin.serial;
        self.ask_plugin(&mut state.plugin, now).await;
        state.checked = Some(now.mono);

        let credentials = self.credentials.clone();
        let stamp = move || sources(&credentials).into_iter().map(credentials::stamp).collect::<Vec<_>>();
        let stamps = self.files.run(FILES_DEADLINE, stamp).await;
        let has_changed = stamps.as_ref().is_some_and(|stamps| *stamps != state.stamps);
        let is_unsettled = has_changed && state.unsettled != stamps;
        state.unsettled = stamps.clone().filter(|_| has_changed);
        let is_plugin_same = state.plugin.serial == issued_before && state.plugin.failure.is_none();
        let holds =
            |ready_credentials: &&Arc<ReadyCredentials>| !has_changed && is_plugin_same && !ready_credentials.is_flawed;
        if let Some(ready_credentials) =
            state.ready_credentials.as_ref().filter(|ready_credentials| is_unsettled || holds(ready_credentials))
        {
            return Arc::clone(ready_credentials);
        }
        let ready_credentials = self.load(&mut state, stamps.unwrap_or_default()).await;
        state.ready_credentials = Some(Arc::clone(&ready_credentials));
        ready_credentials
    }

    async fn load(&self, state: &mut State, stamps: Vec<FileStamp>) -> Arc<ReadyCredentials> {
        let load = Load {
            credentials: self.credentials.clone(),
            tls: self.tls.clone(),
            issued: state.plugin.issued.clone(),
            diagnostic: state.plugin.failure.clone(),
            before: state.ready_credentials.clone(),
        };
        let Some((ready_credentials, complaints)) = self.files.run(FILES_DEADLINE, move || load.run()).await else {
            return state.ready_credentials.clone().unwrap_or_else(|| Arc::new(ReadyCredentials::nothing()));
        };
        if complaints != state.complaints {
            for complaint in &complaints {
                tracing::warn!(of = %self.of, "credentials of {}: {complaint}", self.of);
            }
            state.complaints = complaints;
        }
        state.stamps = stamps;
        Arc::new(ready_credentials)
    }

    async fn ask_plugin(&self, plugin: &mut Plugin, now: Now) {
        let Some(command) = &self.credentials.exec else { return };
        if plugin.ended.is_none() {
            let result = exec::run(command, &self.hint(command).await).await;
            plugin.take(result, self.clock.now().mono);
            return;
        }
        if plugin.running.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(running) = plugin.running.take()
        {
            plugin.take(running.await.unwrap_or_else(|_| Err(exec::Failed::lost(command))), now.mono);
        }
        if plugin.running.is_none() && plugin.is_due(now, self.was_refused.load(Ordering::Relaxed)) {
            self.was_refused.store(false, Ordering::Relaxed);
            let (command, hint) = (command.clone(), self.hint(command).await);
            plugin.running = Some(tokio::spawn(async move { exec::run(&command, &hint).await }));
        }
        if plugin.issued.as_ref().is_some_and(|issued| issued.expires.is_some_and(|end| end <= now.wall)) {
            plugin.issued = None;
            plugin.serial += 1;
        }
    }

    async fn hint(&self, plugin: &ExecPlugin) -> ClusterHint {
        let server = self.cluster.clone();
        let Some(source) = self.credentials.anchors.clone().filter(|_| plugin.provides_cluster_info) else {
            return ClusterHint { server, anchors: Vec::new() };
        };
        let read = move || source.read().map(|bytes| bytes.expose_secret().to_vec()).unwrap_or_default();
        ClusterHint { server, anchors: self.files.run(FILES_DEADLINE, read).await.unwrap_or_default() }
    }
}

impl Plugin {
    fn take(&mut self, result: Result<Issued, exec::Failed>, now: Mono) {
        self.ended = Some(now);
        self.serial += 1;
        match result {
            Ok(issued) => {
                self.issued = Some(issued);
                self.failure = None;
            }
            // What was issued before stays until its own end.
            Err(failed) => self.failure = Some(failed),
        }
    }

    fn is_due(&self, now: Now, was_refused: bool) -> bool {
        let ends = self.issued.as_ref().and_then(|issued| issued.expires);
        let ends_soon = ends.is_some_and(|end| end <= now.wall.plus(RENEW_BEFORE));
        let waited = self.ended.is_none_or(|ended| now.mono.since(ended) >= PLUGIN_RETRY);
        waited && (self.failure.is_some() || self.issued.is_none() || ends_soon || was_refused)
    }
}

impl Load {
    /// Of what cannot be parsed, the last valid one is kept.
    fn run(self) -> (ReadyCredentials, Vec<String>) {
        let mut complaints = Vec::new();
        let mut remarks = Vec::new();
        let before = self.before.clone();
        let before = before.as_deref();
        let strict = self.credentials.anchors.as_ref().map(|source| self.verifier(source, &mut remarks));
        let (strict, anchors) = match strict {
            Some(Ok((strict, print))) => (Some(strict), print),
            Some(Err(complaint)) => {
                complaints.push(complaint);
                before.map(|known| (known.strict.clone(), known.print.anchors.clone())).unwrap_or_default()
            }
            None => (None, Vec::new()),
        };
        let (client, chain) = match self.client() {
            Some(Ok(certified)) => {
                let print = certified.cert.iter().map(|der| x509::fingerprint(der)).collect();
                (Some(certified), print)
            }
            Some(Err(complaint)) => {
                complaints.push(complaint);
                before.map(|known| (known.client.clone(), known.print.client.clone())).unwrap_or_default()
            }
            None => (None, Vec::new()),
        };
        let token = match self.token() {
            Some(Ok(token)) => Some(token),
            Some(Err(complaint)) => {
                complaints.push(complaint);
                before.and_then(|known| known.token.clone())
            }
            None => None,
        };
        // A failed renewal counts as a fault only once the credential issued before has expired.
        if let Some(failed) = self.diagnostic.as_ref().filter(|_| self.issued.is_none()) {
            complaints.push(failed.to_string());
        } else if self.credentials.exec.is_some() && self.issued.is_none() {
            complaints.push("the exec plugin's credential has ended".to_owned());
        }
        let is_flawed = !complaints.is_empty();
        let diagnostic = is_flawed.then(|| complaints.join("; ").into());
        complaints.append(&mut remarks);
        let print = Print { anchors, client: chain };
        let generation = before.map_or(0, |known| known.generation + u64::from(known.print != print));
        (ReadyCredentials { generation, strict, client, token, is_flawed, diagnostic, print }, complaints)
    }

    fn client(&self) -> Option<Result<Arc<CertifiedKey>, String>> {
        let pair = match (&self.credentials.client, self.issued.as_ref().and_then(|issued| issued.client.as_ref())) {
            (Some(pair), _) => read(&pair.certificate).and_then(|chain| Ok((chain, read(&pair.key)?))),
            (None, Some((chain, key))) => Ok((chain.to_vec().into(), key.to_vec().into())),
            (None, None) => return None,
        };
        Some(pair.and_then(|(chain, key)| self.certified(chain.expose_secret(), key.expose_secret())))
    }

    fn token(&self) -> Option<Result<HeaderValue, String>> {
        match (&self.credentials.token, self.issued.as_ref().and_then(|issued| issued.token.as_ref())) {
            (Some(source), _) => Some(read(source).and_then(|bytes| bearer(bytes.expose_secret()))),
            (None, Some(token)) => Some(bearer(token.as_bytes())),
            (None, None) => None,
        }
    }

    fn verifier(&self, source: &Source, remarks: &mut Vec<String>) -> Result<(Arc<Strict>, Vec<Fingerprint>), String> {
        let found = pem::scan(read(source)?.expose_secret());
        let anchors: Vec<_> = certificates(&found).collect();
        let (strict, refused) =
            Strict::new(&anchors, self.tls.provider()).map_err(|why| format!("{source:?}: {why}"))?;
        if refused + found.faults.len() > 0 {
            remarks.push(format!("{source:?}: {} of its certificates are left out", refused + found.faults.len()));
        }
        Ok((Arc::new(strict), anchors.iter().map(|der| x509::fingerprint(der)).collect()))
    }

    fn certified(&self, chain: &[u8], key: &[u8]) -> Result<Arc<CertifiedKey>, String> {
        let chain: Vec<_> = certificates(&pem::scan(chain)).collect();
        if chain.is_empty() {
            return Err("the client certificate's source holds no certificate".to_owned());
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| "the client key's source holds no private key that is not encrypted".to_owned())?;
        CertifiedKey::from_der(chain, key, self.tls.provider())
            .map(Arc::new)
            // rustls' text names the kind of fault and holds nothing of the key.
            .map_err(|error| format!("client certificate and key: {error}"))
    }
}

fn certificates(found: &Scan) -> impl Iterator<Item = CertificateDer<'static>> + '_ {
    found.certificates.iter().map(|certificate| CertificateDer::from(certificate.der.clone()))
}

fn bearer(token: &[u8]) -> Result<HeaderValue, String> {
    let token = token.trim_ascii();
    if token.is_empty() {
        return Err("the token is empty".to_owned());
    }
    let value = Zeroizing::new([b"Bearer ", token].concat());
    let mut value =
        HeaderValue::from_bytes(&value).map_err(|_| "the token holds characters that no token has".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

fn read(source: &Source) -> Result<SecretSlice<u8>, String> {
    source.read().map_err(|error| match std::error::Error::source(&error) {
        Some(why) => format!("{error}: {why}"),
        None => error.to_string(),
    })
}

/// Sources in a fixed order, the token last.
fn sources(credentials: &Credentials) -> Vec<&Source> {
    let client = credentials.client.iter().flat_map(|pair| [&pair.certificate, &pair.key]);
    credentials.anchors.iter().chain(client).chain(&credentials.token).collect()
}
