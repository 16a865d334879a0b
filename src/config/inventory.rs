//! Settings to the engine's view of the world: what should exist, without credentials.

use lettre::message::Mailbox;

use super::settings::{Cluster, Credentials, FilePlace, MetricsListener, Settings, Source, WatchedFiles};
use crate::model::host_access::Credential;
use crate::model::inventory::{self, FileWatch, Inventory};
use crate::model::subject::Name;

impl Settings {
    /// What the engine may know of this.
    #[must_use]
    pub fn inventory(&self) -> Inventory {
        Inventory {
            vantage: self.vantage.name.clone(),
            configuration: shown(&self.file.display().to_string()),
            clusters: self.clusters.iter().map(|cluster| (cluster.name.clone(), cluster.listed())).collect(),
            references: self.vantage.references.iter().map(|reference| reference.listed()).collect(),
            resolvers: self.vantage.resolvers.iter().map(|resolver| resolver.listed()).collect(),
            files: self.watched_files().iter().map(listed_files).collect(),
            levels: self.levels.clone(),
            links: self.links.clone(),
            time_zone: self.vantage.time_zone.clone(),
            mails: self.mail.is_some(),
            recipients: self.mail.iter().flat_map(|mail| &mail.to).filter_map(|to| address(to)).collect(),
            relay_is_local: self.mail.as_ref().is_some_and(|mail| mail.relay.host.is_loopback()),
            heartbeat: self.heartbeat.is_some(),
        }
    }
}

/// The address of a recipient without the display name.
fn address(recipient: &str) -> Option<String> {
    recipient.parse::<Mailbox>().ok().map(|mailbox| mailbox.email.to_string())
}

impl MetricsListener {
    fn listed(&self) -> inventory::MetricsListener {
        let scheme = if self.is_tls { "https" } else { "http" };
        inventory::MetricsListener { url: format!("{scheme}://{}", self.endpoint.address), is_tls: self.is_tls }
    }
}

impl Cluster {
    /// What the engine may know of it.
    pub(super) fn listed(&self) -> inventory::Cluster {
        inventory::Cluster {
            vip: self.vip.as_ref().map(|vip| vip.listed()),
            vip_fails_over: self.vip_fails_over,
            is_verified: self.credentials.anchors.is_some(),
            apiservers: self.apiservers.iter().map(|(name, endpoint)| (name.clone(), endpoint.listed())).collect(),
            proxy: self.credentials.proxy.as_ref().map(|proxy| proxy.listed()),
            etcds: self
                .etcds
                .iter()
                .map(|etcd| {
                    let members =
                        etcd.members.iter().map(|(name, endpoint)| (name.clone(), endpoint.listed())).collect();
                    let listeners =
                        etcd.listeners.iter().map(|(name, listener)| (name.clone(), listener.listed())).collect();
                    let shown_to = if etcd.is_metrics_only { &etcd.at_listeners } else { &etcd.credentials };
                    let known = inventory::Etcd {
                        members,
                        quota_bytes: etcd.quota_bytes,
                        listeners,
                        is_metrics_only: etcd.is_metrics_only,
                        is_verified: shown_to.anchors.is_some(),
                        credential: files_of(shown_to),
                    };
                    (etcd.name.clone(), known)
                })
                .collect(),
            flow_control: self.flow_control,
            apiserver_metrics: self.apiserver_metrics,
            canaries: self.canaries.clone(),
            zpages: self.zpages,
            files: self.watched_files().iter().map(listed_files).collect(),
            hosts: self.hosts.clone(),
            credential: files_of(&self.credentials),
            levels: self.levels.clone(),
        }
    }
}

/// The files a credential is in, as far as it is in files.
fn files_of(credentials: &Credentials) -> Credential {
    let file = |source: &Source| match source {
        Source::File(path) => Some(shown(&path.display().to_string())),
        Source::Credential(_) | Source::Env(_) | Source::Inline(_) => None,
    };
    Credential {
        ca: credentials.anchors.as_ref().and_then(file),
        certificate: credentials.client.as_ref().and_then(|pair| file(&pair.certificate)),
        key: credentials.client.as_ref().and_then(|pair| file(&pair.key)),
        kubeconfig: credentials.kubeconfig.as_ref().map(|path| shown(&path.display().to_string())),
    }
}

fn listed_files(files: &WatchedFiles) -> (Name, FileWatch) {
    let path = match &files.place {
        FilePlace::Pattern(path) => shown(&path.display().to_string()),
        FilePlace::Source(source) => shown(&format!("{source:?}")),
    };
    let watch = FileWatch {
        path,
        certificates: files.certificates,
        renewed_at_permille: files.renewed_at_permille,
        serves: files.serves.clone(),
        own: files.own.clone(),
    };
    (files.name.clone(), watch)
}

/// A path as it is shown: what does not print is escaped.
fn shown(path: &str) -> String {
    path.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}
