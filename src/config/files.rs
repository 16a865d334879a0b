//! Files with certificates and tokens as written, and those that vedette uses itself, which need not be listed.
//!
//! Opens none of them: what a pattern matches is found by the edge that reads it, and `vedette check` asks that edge.

use std::path::{Component, Path, PathBuf};

use super::cluster::{Taken, class};
use super::read_context::ReadContext;
use super::settings::{Cluster, Credentials, Etcd, FilePlace, Settings, Source, WatchedFiles};
use super::yaml_tree::{Section, Wrong, nearest, shortened};
use crate::model::certificate::Class;
use crate::model::digest::stable_hash;
use crate::model::inventory::{Own, OwnPart, Towards};
use crate::model::subject::{Name, Subject};
use crate::parse::diagnostic::Diagnostic;
use crate::parse::yaml::Node;

pub(super) const KEYS: [&str; 4] = ["path", "certificates", "renewed_at", "serves"];

/// Entries of one list: each may hold a thread while its file system hangs.
const MAX_ENTRIES: usize = 64;

impl ReadContext<'_> {
    /// The entries under `files`; those of a cluster may say which of its endpoints should serve them.
    pub(super) fn files(&self, section: &Section<'_>, cluster: Option<&Cluster>) -> Vec<WatchedFiles> {
        let Some(items) = section.list("files") else { return Vec::new() };
        if let Some(node) = items.get(MAX_ENTRIES) {
            let diagnostic = Diagnostic::error(node.position, format!("more than {MAX_ENTRIES} entries under 'files'"));
            self.complaints.add(diagnostic.hint("name a directory or a glob instead of each file"));
        }
        let mut taken = Taken::default();
        items.iter().take(MAX_ENTRIES).filter_map(|node| self.entry(node, cluster, &mut taken)).collect()
    }

    fn entry(&self, node: &Node, cluster: Option<&Cluster>, taken: &mut Taken) -> Option<WatchedFiles> {
        let section = Section::open(node, &KEYS, self.complaints)?;
        let pattern = section.read_required("path", |text| self.pattern(text));
        let certificates = section.read("certificates", class).unwrap_or_default();
        let renewed_at_permille = section.read("renewed_at", fraction);
        if let (Some(node), true) = (section.find("renewed_at"), certificates != Class::Automatic) {
            let diagnostic = Diagnostic::error(node.position, "'renewed_at' is for what a program renews");
            self.complaints.add(diagnostic.hint("add 'certificates: automatic', or leave 'renewed_at' out"));
        }
        let serves = section.read("serves", |text| match cluster {
            Some(cluster) => endpoint(text, cluster),
            None => Err(Wrong::new(
                "these files belong to no cluster, so no endpoint can serve them",
                "list them under 'files' of the cluster",
            )),
        });
        let pattern = pattern?;
        let shown = pattern.display().to_string();
        let position = section.find("path").map_or(section.position, |node| node.position);
        taken.take(self, "path", &shown, position);
        Some(WatchedFiles {
            name: source_name(&shown),
            position: Some(position),
            place: FilePlace::Pattern(pattern),
            certificates,
            renewed_at_permille,
            serves,
            own: None,
        })
    }

    fn pattern(&self, text: &str) -> Result<PathBuf, Wrong> {
        if text.is_empty() || text.contains('\0') {
            return Err(Wrong::new("no path", "write a file, a directory, or a pattern such as '/etc/pki/*.crt'"));
        }
        if text.starts_with("~/") || text.starts_with('$') {
            let hint = "write it out: there is no home and no shell here";
            return Err(Wrong::new(format!("'{}' is not expanded", shortened(text)), hint));
        }
        let path = self.folder.join(text);
        if path.components().any(|part| part == Component::ParentDir) && text.contains(['*', '?', '[']) {
            return Err(Wrong::new("'..' in a pattern", "write the path without it"));
        }
        Ok(path)
    }
}

impl Settings {
    /// The files that belong to no cluster, and the CAs that vedette itself trusts for mail and heartbeats.
    #[must_use]
    pub fn watched_files(&self) -> Vec<WatchedFiles> {
        let relay = self.mail.as_ref().and_then(|mail| mail.ca.as_ref()).map(|ca| (Towards::Relay, ca));
        let beats = self.heartbeat.as_ref().and_then(|beats| beats.ca.as_ref()).map(|ca| (Towards::Heartbeat, ca));
        let own = relay.into_iter().chain(beats).map(|(towards, ca)| own(towards, OwnPart::Authority, ca));
        self.files.iter().cloned().chain(own).collect()
    }
}

impl Cluster {
    /// The files of the cluster, and the credentials and CAs that vedette itself uses there.
    #[must_use]
    pub fn watched_files(&self) -> Vec<WatchedFiles> {
        let of_apiservers = owned(&Towards::Apiservers, &self.credentials);
        let of_canaries = self.writer.iter().flat_map(|writer| of_writer(writer, &self.credentials));
        let of_etcds = self.etcds.iter().flat_map(|etcd| owned(&Towards::Etcd(etcd.name.clone()), &etcd.credentials));
        let of_listeners = self.etcds.iter().flat_map(at_listeners);
        self.files.iter().cloned().chain(of_apiservers).chain(of_canaries).chain(of_etcds).chain(of_listeners).collect()
    }
}

/// What proves who the canaries are; what the reader has too is watched as the reader's.
fn of_writer(writer: &Credentials, reader: &Credentials) -> Vec<WatchedFiles> {
    let known = owned(&Towards::Apiservers, reader);
    let mut own = owned(&Towards::Canaries, writer);
    own.retain(|watch| known.iter().all(|known| known.place != watch.place));
    own
}

/// What metrics listeners over TLS want that the client ports do not.
fn at_listeners(etcd: &Etcd) -> Vec<WatchedFiles> {
    if !etcd.listeners.iter().any(|(_, listener)| listener.is_tls) {
        return Vec::new();
    }
    let at_clients = owned(&Towards::Etcd(etcd.name.clone()), &etcd.credentials);
    let mut at_listeners = owned(&Towards::Listeners(etcd.name.clone()), &etcd.at_listeners);
    at_listeners.retain(|watch| at_clients.iter().all(|known| known.place != watch.place));
    at_listeners
}

fn owned(towards: &Towards, credentials: &Credentials) -> Vec<WatchedFiles> {
    let client = credentials.client.as_ref().map(|pair| (OwnPart::Client, &pair.certificate));
    let token = credentials.token.as_ref().map(|token| (OwnPart::Token, token));
    let anchors = credentials.anchors.as_ref().map(|anchors| (OwnPart::Authority, anchors));
    let parts = [client, token, anchors].into_iter().flatten();
    parts.map(|(part, source)| own(towards.clone(), part, source)).collect()
}

fn own(towards: Towards, part: OwnPart, source: &Source) -> WatchedFiles {
    let whose = match &towards {
        Towards::Apiservers => "apiservers".to_owned(),
        Towards::Canaries => "canaries".to_owned(),
        Towards::Etcd(name) => format!("etcd-{name}"),
        Towards::Listeners(name) => format!("listeners-{name}"),
        Towards::Relay => "relay".to_owned(),
        Towards::Heartbeat => "heartbeat".to_owned(),
    };
    let what = match part {
        OwnPart::Client => "client",
        OwnPart::Token => "token",
        OwnPart::Authority => "ca",
    };
    let place = match source {
        Source::File(path) => FilePlace::Pattern(path.clone()),
        Source::Credential(_) | Source::Env(_) | Source::Inline(_) => FilePlace::Source(source.clone()),
    };
    WatchedFiles {
        name: source_name(&format!("own-{whose}-{what}")),
        position: None,
        place,
        certificates: Class::Manual,
        renewed_at_permille: None,
        serves: None,
        own: Some(Own { part, towards }),
    }
}

/// A name for a source: the end of its path in letters that a name may have, and a hash that keeps two apart.
fn source_name(text: &str) -> Name {
    const TAIL: usize = 44;
    if let Ok(name) = text.parse() {
        return name;
    }
    let mut plain = String::new();
    for c in text.chars() {
        let kept = if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '-' };
        if kept != '-' || !plain.ends_with('-') {
            plain.push(kept);
        }
    }
    let tail = plain.len().saturating_sub(TAIL);
    let tail = plain[tail..].trim_matches(['-', '.', '_']);
    let hash = stable_hash(&[text]) >> 32;
    let name = if tail.is_empty() { format!("files-{hash:08x}") } else { format!("{tail}-{hash:08x}") };
    name.parse().expect("starts with a letter or digit, at most 53 of the alphabet of names")
}

/// `0.9`, between a tenth and 0.99 of a life.
fn fraction(text: &str) -> Result<u16, Wrong> {
    let wrong = || {
        Wrong::new(
            format!("'{}' is not a valid fraction of the lifetime", shortened(text)),
            "write a number from 0.1 to 0.99, such as 0.9 for kubelets",
        )
    };
    let digits = text.strip_prefix("0.").filter(|digits| (1..=3).contains(&digits.len())).ok_or_else(wrong)?;
    let number: u16 =
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten().ok_or_else(wrong)?;
    let permille = match digits.len() {
        1 => number * 100,
        2 => number * 10,
        _ => number,
    };
    if (100..=990).contains(&permille) { Ok(permille) } else { Err(wrong()) }
}

/// An apiserver, an etcd member, or `vip`, by its name; `ETCD/MEMBER` where two etcd clusters share a name.
fn endpoint(text: &str, cluster: &Cluster) -> Result<Subject, Wrong> {
    let name = &cluster.name;
    let vip = cluster.vip.iter().map(|_| ("vip".to_owned(), Subject::Vip(name.clone())));
    let apiservers = cluster
        .apiservers
        .iter()
        .map(|(instance, _)| (instance.to_string(), Subject::Apiserver(name.clone(), instance.clone())));
    let members = cluster.etcds.iter().flat_map(|etcd| {
        etcd.members.iter().flat_map(|(member, _)| {
            let subject = Subject::EtcdMember(name.clone(), etcd.name.clone(), member.clone());
            [(member.to_string(), subject.clone()), (format!("{}/{member}", etcd.name), subject)]
        })
    });
    let known: Vec<(String, Subject)> = vip.chain(apiservers).chain(members).collect();
    let mut meant = known.iter().filter(|(written, _)| written == text);
    let words: Vec<&str> =
        known.iter().map(|(written, _)| written.as_str()).filter(|word| !word.contains('/')).collect();
    match (meant.next(), meant.next()) {
        (Some((_, subject)), None) => Ok(subject.clone()),
        (Some(_), Some(_)) => Err(Wrong::new(
            format!("'{}' is the name of more than one endpoint", shortened(text)),
            "write ETCD/MEMBER for a member",
        )),
        (None, _) => {
            let hint = nearest(text, &words).map_or_else(
                || if words.is_empty() { "it has none".to_owned() } else { format!("one of {}", words.join(", ")) },
                |near| format!("did you mean '{near}'?"),
            );
            Err(Wrong::new(format!("the cluster has no endpoint '{}'", shortened(text)), hint))
        }
    }
}

/// Whether a path is a pattern, and not one file or directory.
#[must_use]
pub fn is_pattern(path: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt as _;
    path.as_os_str().as_bytes().iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::{Address, ClientPair, Endpoint, Host, MetricsListener};

    #[test]
    fn what_metrics_listeners_want_is_watched_where_client_ports_do_not_want_it_too() {
        let client = |name: &str| Credentials {
            anchors: Some(Source::File("/pki/ca.crt".into())),
            client: Some(ClientPair {
                certificate: Source::File(format!("/pki/{name}.crt").into()),
                key: Source::File(format!("/pki/{name}.key").into()),
            }),
            ..Credentials::default()
        };
        for (at_listeners, is_tls, watched) in [
            (client("etcd"), true, &[][..]),
            (client("metrics"), false, &[]),
            (client("metrics"), true, &["own-listeners-main-client"]),
        ] {
            let etcd = etcd(client("etcd"), at_listeners, is_tls);
            let cluster = Cluster { etcds: vec![etcd], ..cluster() };

            let names: Vec<String> = cluster.watched_files().iter().map(|watch| watch.name.to_string()).collect();

            assert_eq!(names, [&["own-etcd-main-client", "own-etcd-main-ca"], watched].concat());
        }
    }

    fn etcd(credentials: Credentials, at_listeners: Credentials, is_tls: bool) -> Etcd {
        let address = Address { host: Host::Name("etcd-1".into()), port: 2381 };
        let endpoint = Endpoint::new(address, None);
        let name: Name = "etcd-1".parse().unwrap();
        Etcd {
            name: "main".parse().unwrap(),
            credentials,
            quota_bytes: None,
            login: None,
            members: vec![(name.clone(), endpoint.clone())],
            listeners: vec![(name, MetricsListener { is_tls, endpoint })],
            at_listeners,
            is_metrics_only: false,
        }
    }

    fn cluster() -> Cluster {
        Cluster {
            name: "prod".parse().unwrap(),
            credentials: Credentials::default(),
            vip: None,
            vip_fails_over: false,
            apiservers: Vec::new(),
            etcds: Vec::new(),
            flow_control: false,
            apiserver_metrics: false,
            writer: None,
            canaries: None,
            zpages: false,
            files: Vec::new(),
            hosts: Default::default(),
            levels: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn parts_of_a_life_are_read_to_the_thousandth() {
        for (text, permille) in [("0.9", Some(900)), ("0.85", Some(850)), ("0.333", Some(333)), ("0.1", Some(100))] {
            assert_eq!(fraction(text).ok(), permille, "{text}");
        }
        for text in ["1", "0", "0.", "0.05", "0.999", "90%", "-0.5", "0.+9", "0.1234", ".9"] {
            assert!(fraction(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_path_gives_a_name_and_two_paths_give_two() {
        let mut names = std::collections::BTreeSet::new();
        for path in [
            "/",
            "/etc/kubernetes/pki/*.crt",
            "/etc/kubernetes/pki/?.crt",
            "/ü/é",
            "own-etcd-main-client",
            &"/x".repeat(200),
        ] {
            assert!(names.insert(source_name(path)), "{path}");
        }
    }
}
