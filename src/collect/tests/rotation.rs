//! Credentials that are replaced while they are used: the old ones hold until the new ones are whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::servers::{FOREIGN, Fixture, Pair, Server, TRUSTED, answer, health, inline, instance, name, request};
use crate::collect::Collectors;
use crate::collect::handshake::Tls;
use crate::collect::identity::{Identity, ReadyCredentials};
use crate::config::settings::{ClientPair, Cluster, Credentials, Source};
use crate::model::probe::{Probe, ProbeKind};
use crate::model::subject::Subject;
use crate::model::time::{Clock, Mono, Now, UnixTime};

/// A folder of credentials and an identity that reads them, a second of virtual time between two uses.
struct Rotated {
    folder: tempfile::TempDir,
    identity: Identity,
    seconds: Arc<AtomicU64>,
}

impl Rotated {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pair = TRUSTED.server();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("ca"), TRUSTED.pem()).unwrap();
        fs::write(at("certificate"), &pair.chain_pem).unwrap();
        fs::write(at("key"), &pair.key_pem).unwrap();
        let seconds = Arc::new(AtomicU64::new(0));
        let read = Arc::clone(&seconds);
        let clock = Clock::new(move || {
            let mono = Mono(Duration::from_secs(read.load(Ordering::Relaxed)));
            Now { wall: UnixTime::from_secs(1_790_000_000), mono }
        });
        let identity = Identity::new(instance(), credentials(folder.path()), String::new(), Tls::new(), clock);
        Self { folder, identity, seconds }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The credentials after three uses, a second apart: a change is seen, has settled and is read.
    async fn later(&self) -> Arc<ReadyCredentials> {
        for _ in 0..2 {
            self.seconds.fetch_add(1, Ordering::Relaxed);
            self.identity.current().await;
        }
        self.seconds.fetch_add(1, Ordering::Relaxed);
        self.identity.current().await
    }
}

fn credentials(folder: &Path) -> Credentials {
    let file = |name: &str| Source::File(folder.join(name));
    let client = ClientPair { certificate: file("certificate"), key: file("key") };
    Credentials { anchors: Some(file("ca")), client: Some(client), ..Credentials::default() }
}

fn leaf(ready_credentials: &ReadyCredentials) -> Vec<u8> {
    ready_credentials.client.as_ref().unwrap().cert[0].to_vec()
}

#[tokio::test]
async fn a_certificate_whose_key_is_still_to_come_is_not_used() {
    let rotated = Rotated::new();
    let before = rotated.identity.current().await;
    let next: Pair = TRUSTED.server();

    fs::write(rotated.at("certificate"), &next.chain_pem).unwrap();
    let between = rotated.later().await;
    fs::write(rotated.at("key"), &next.key_pem).unwrap();
    let after = rotated.later().await;

    assert_eq!((leaf(&between), between.generation), (leaf(&before), before.generation));
    assert!(between.is_flawed, "nobody would know");
    assert_eq!((leaf(&after), after.generation), (next.chain[0].clone(), before.generation + 1));
    assert!(!after.is_flawed);
}

#[tokio::test]
async fn a_bundle_that_is_being_written_is_not_used() {
    let rotated = Rotated::new();
    let before = rotated.identity.current().await;

    for half in ["", "-----BEGIN CERTIFICATE-----\nMIIB"] {
        fs::write(rotated.at("ca"), half).unwrap();
        let between = rotated.later().await;
        assert!(Arc::ptr_eq(between.strict.as_ref().unwrap(), before.strict.as_ref().unwrap()));
        assert_eq!(between.generation, before.generation);
    }
    fs::write(rotated.at("ca"), TRUSTED.pem() + &FOREIGN.pem()).unwrap();
    let after = rotated.later().await;

    assert_eq!((after.generation, after.is_flawed), (before.generation + 1, false));
}

#[tokio::test]
async fn files_written_anew_with_the_same_content_leave_connections_alone() {
    let rotated = Rotated::new();
    let before = rotated.identity.current().await;
    let same = fs::read(rotated.at("certificate")).unwrap();

    fs::write(rotated.at("certificate"), same).unwrap();
    let after = rotated.later().await;

    assert_eq!((after.generation, after.is_flawed), (before.generation, false));
}

#[tokio::test]
async fn a_kept_connection_is_connected_anew_with_the_new_certificate_and_no_probe_fails() {
    let folder = tempfile::tempdir().unwrap();
    let write = |pair: &Pair| {
        fs::write(folder.path().join("certificate"), &pair.chain_pem).unwrap();
        fs::write(folder.path().join("key"), &pair.key_pem).unwrap();
    };
    fs::write(folder.path().join("ca"), TRUSTED.pem()).unwrap();
    write(&TRUSTED.server());
    let (server, _heads) = Server::answering(&TRUSTED.server(), answer("200 OK", "ok")).await;
    let fixture = Fixture::new().apiserver(server.address).credentials(|c| *c = credentials(folder.path()));
    let (collectors, _observations) = fixture.collectors();
    let probe = Probe::reused(instance(), ProbeKind::Livez);
    health(&collectors.probe(request(probe.clone())).await);
    assert_eq!(server.accepted(), 1);

    write(&TRUSTED.server());

    while server.accepted() == 1 {
        assert_eq!(health(&collectors.probe(request(probe.clone())).await).status, 200);
    }
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn settings_that_change_elsewhere_leave_an_open_connection_alone() {
    let (server, _heads) = Server::answering(&TRUSTED.server(), answer("200 OK", "ok")).await;
    let mut fixture = Fixture::new().apiserver(server.address);
    let (collectors, _observations) = fixture.collectors();
    let probe = Probe::reused(instance(), ProbeKind::Livez);
    health(&collectors.probe(request(probe.clone())).await);

    fixture.settings.vantage.name = "elsewhere".into();
    fixture.settings.policy.response_timeout = Duration::from_secs(7);
    let same = collectors.replaced(&fixture.settings).unwrap();
    drop(collectors);
    health(&same.probe(request(probe.clone())).await);
    let accepted = server.accepted();
    fixture.settings.clusters[0].apiservers[0].1.server_name = "127.0.0.1".parse().unwrap();
    let other = same.replaced(&fixture.settings).unwrap();
    health(&other.probe(request(probe)).await);

    assert_eq!((accepted, server.accepted()), (1, 2));
}

#[tokio::test]
async fn clusters_with_the_same_credentials_are_seen_with_one_identity() {
    let mut fixture = Fixture::new().apiserver(([127, 0, 0, 1], 1).into());
    let first = fixture.settings.clusters[0].clone();
    // What is embedded differs in nothing that is shown.
    let others = Credentials { anchors: Some(inline(&FOREIGN.pem())), ..Credentials::default() };
    let clusters = [("same", first.credentials.clone()), ("other", others)];
    let clusters = clusters.map(|(of, credentials)| Cluster { name: name(of), credentials, ..first.clone() });
    fixture.settings.clusters.extend(clusters);
    let (before, _observations) = fixture.collectors();
    let after = before.replaced(&fixture.settings).unwrap();
    let identity = |collectors: &Collectors, of: &str| {
        let target = &collectors.target_set.targets[&Subject::Apiserver(name(of), name("a"))];
        std::ptr::from_ref(target.identity().unwrap())
    };

    assert_eq!(identity(&before, "c"), identity(&before, "same"));
    assert_ne!(identity(&before, "c"), identity(&before, "other"));
    for of in ["c", "same", "other"] {
        assert_eq!(identity(&before, of), identity(&after, of), "{of}");
    }
}
