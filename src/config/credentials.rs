//! Which systemd credentials the configuration names: what a command by hand lacks, because only a unit is given them.

use std::collections::BTreeSet;

use super::settings::{Credentials, FilePlace, Mail, Settings, Source};

impl Mail {
    /// Names of the credentials that sending mail reads.
    #[must_use]
    pub fn credentials(&self) -> BTreeSet<&str> {
        let password = self.login.as_ref().map(|login| &login.password);
        named(self.ca.iter().chain(password))
    }
}

impl Settings {
    /// Names of all credentials.
    #[must_use]
    pub fn credentials(&self) -> BTreeSet<&str> {
        let mut all = self.mail.as_ref().map(Mail::credentials).unwrap_or_default();
        all.extend(named(self.heartbeat.iter().filter_map(|heartbeat| heartbeat.ca.as_ref())));
        for cluster in &self.clusters {
            all.extend(named(sources(&cluster.credentials)));
            all.extend(named(cluster.writer.iter().flat_map(sources)));
            for etcd in &cluster.etcds {
                let password = etcd.login.as_ref().map(|login| &login.password);
                all.extend(named(sources(&etcd.credentials).chain(sources(&etcd.at_listeners)).chain(password)));
            }
        }
        let files = self.clusters.iter().flat_map(|cluster| &cluster.files).chain(&self.files);
        all.extend(named(files.filter_map(|files| match &files.place {
            FilePlace::Source(source) => Some(source),
            FilePlace::Pattern(_) => None,
        })));
        all
    }
}

fn sources(credentials: &Credentials) -> impl Iterator<Item = &Source> {
    let pair = credentials.client.iter().flat_map(|pair| [&pair.certificate, &pair.key]);
    credentials.anchors.iter().chain(&credentials.token).chain(pair)
}

fn named<'a>(sources: impl Iterator<Item = &'a Source>) -> BTreeSet<&'a str> {
    let name = |source: &'a Source| match source {
        Source::Credential(name) => Some(name.as_str()),
        Source::File(_) | Source::Env(_) | Source::Inline(_) => None,
    };
    sources.filter_map(name).collect()
}
