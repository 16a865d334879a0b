//! Our credentials for a cluster and the CAs we trust there: parsed, kept ready, renewed when their files change.
//!
//! A credential that cannot be read never stops a probe: it goes on with the last valid one, or without, because chains
//! and health need no credential, and a refusal is then reported as our own fault. A rotation writes one file after the
//! other, so changed files are read once they stop changing, and a certificate without its key changes nothing.
//! Connects to nothing.

mod load;
mod plugin;
mod ready;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokio::task::JoinHandle;

use self::load::Load;
use self::plugin::Plugin;
pub(crate) use self::ready::ReadyCredentials;
use super::credentials;
use super::exec::{self, ClusterHint};
use super::handshake::Tls;
use crate::config::blocking::BlockingPool;
use crate::config::file_stamp::FileStamp;
use crate::config::settings::{Credentials, ExecPlugin, Source};
use crate::model::subject::Subject;
use crate::model::time::{Clock, Mono, Now};

/// Files are checked for changes at most this often. Checking takes a tenth of the time of a probe; but files that are
/// rotated together must be noticed together, or the refusal of the old ones leads to two mails.
const CHECK_AFTER: Duration = Duration::from_secs(1);
/// When a file system does not answer for this long, the credentials read before are used.
const FILES_DEADLINE: Duration = Duration::from_secs(1);

/// One set of credentials.
pub(crate) struct Identity {
    /// Who uses them, or the first of those who do, for the log.
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

        let credentials = self.credentials.clone();
        let stamp = move || sources(&credentials).into_iter().map(credentials::stamp).collect::<Vec<_>>();
        let stamps = self.files.run(FILES_DEADLINE, stamp).await;
        // Those who waited behind a file system that hangs do not each wait for it again.
        state.checked = Some(self.clock.now().mono);
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

/// Sources in a fixed order, the token last.
fn sources(credentials: &Credentials) -> Vec<&Source> {
    let client = credentials.client.iter().flat_map(|pair| [&pair.certificate, &pair.key]);
    credentials.anchors.iter().chain(client).chain(&credentials.token).collect()
}
