//! The chain is always seen; what strict verification says decides about tokens and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rcgen::{KeyPair, PKCS_ECDSA_P521_SHA512};
use tokio_rustls::TlsAcceptor;

use super::farm::{Bench, FOREIGN, Server, TRUSTED, answer, endpoint, health, inline, instance, look, tls, unseen};
use crate::config::settings::{ExecPlugin, Source};
use crate::model::certificate::Trust;
use crate::model::observation::Observation;
use crate::model::phase::Cause;
use crate::model::probe::{Probe, ProbeKind};

#[tokio::test]
async fn faulty_chains_are_seen_and_named_and_the_answer_still_counts() {
    let key = || KeyPair::generate().unwrap();
    let expired = |params: &mut rcgen::CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    };
    let future = |params: &mut rcgen::CertificateParams| params.not_before = rcgen::date_time_ymd(2090, 1, 1);
    let elsewhere = |params: &mut rcgen::CertificateParams| params.subject_alt_names.clear();
    let p521 = || KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512).unwrap();
    for (pair, trust) in [
        (TRUSTED.server(), Trust::Trusted),
        (TRUSTED.issue(&p521(), |_| {}), Trust::Trusted),
        (TRUSTED.issue(&key(), expired), Trust::Expired),
        (TRUSTED.issue(&key(), future), Trust::NotYetValid),
        (TRUSTED.issue(&key(), elsewhere), Trust::WrongName),
        (FOREIGN.server(), Trust::UnknownAuthority),
    ] {
        let (server, _heads) = Server::answering(&pair, answer("200 OK", "ok")).await;

        let seen = Bench::new().apiserver(server.address).see(ProbeKind::Readyz).await;

        assert_eq!(health(&seen).status, 200);
        let served = seen.served.unwrap();
        assert_eq!(served.trust, trust);
        assert_eq!(served.leaf().unwrap().fingerprint, crate::parse::x509::fingerprint(&pair.chain[0]));
    }
}

#[tokio::test]
async fn without_anchors_nothing_is_verified() {
    let (server, _heads) = Server::answering(&FOREIGN.server(), answer("200 OK", "ok")).await;

    let bench = Bench::new().apiserver(server.address).credentials(|c| c.anchors = None);

    assert_eq!(trust(&bench.see(ProbeKind::Chain).await), Trust::Unverified);
}

#[tokio::test]
async fn an_expected_address_is_verified_as_one() {
    let (server, _heads) = Server::answering(&TRUSTED.server(), answer("200 OK", "ok")).await;
    for (expected, verdict) in [("127.0.0.1", Trust::Trusted), ("127.0.0.2", Trust::WrongName)] {
        let mut bench = Bench::new().apiserver(server.address);
        bench.settings.clusters[0].apiservers[0].1 = endpoint(server.address, expected);

        assert_eq!(trust(&bench.see(ProbeKind::Chain).await), verdict);
    }
}

#[tokio::test]
async fn a_token_goes_to_a_trusted_server_and_to_nobody_else() {
    for (pair, is_sent) in [(TRUSTED.server(), true), (FOREIGN.server(), false)] {
        let (server, mut heads) = Server::answering(&pair, answer("200 OK", "ok")).await;
        let bench = Bench::new().apiserver(server.address).credentials(|c| c.token = Some(inline("s3cr3t\n")));
        let (collectors, _observations) = bench.collectors();

        collectors.look(look(Probe::anew(instance(), ProbeKind::Readyz))).await;
        collectors.look(look(Probe::reused(instance(), ProbeKind::Version))).await;

        for _ in 0..2 {
            let head = heads.recv().await.unwrap();
            assert_eq!(head.contains("authorization: bearer s3cr3t\r\n"), is_sent, "{head}");
        }
    }
    let (server, mut heads) = Server::answering(&TRUSTED.server(), answer("200 OK", "ok")).await;
    let unverified = Bench::new().apiserver(server.address).credentials(|c| {
        c.token = Some(inline("s3cr3t"));
        c.anchors = None;
    });

    unverified.see(ProbeKind::Readyz).await;

    assert!(!heads.recv().await.unwrap().contains("authorization"));
}

#[tokio::test]
async fn a_replaced_token_file_is_seen_and_the_open_connection_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "first").unwrap();
    let (server, mut heads) = Server::answering(&TRUSTED.server(), answer("200 OK", "ok")).await;
    let bench = Bench::new().apiserver(server.address).credentials(|c| c.token = Some(Source::File(path.clone())));
    let (collectors, _observations) = bench.collectors();
    let probe = Probe::reused(instance(), ProbeKind::Version);
    collectors.look(look(probe.clone())).await;
    assert!(heads.recv().await.unwrap().contains("bearer first"));

    std::fs::write(&path, "second").unwrap();

    loop {
        collectors.look(look(probe.clone())).await;
        if heads.recv().await.unwrap().contains("bearer second") {
            break;
        }
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_refusal_is_our_own_fault_when_our_credential_cannot_be_read() {
    let (server, _heads) = Server::answering(&TRUSTED.server(), answer("401 Unauthorized", "")).await;
    let (healthy, _heads) = Server::answering(&TRUSTED.server(), answer("200 OK", "ok")).await;
    let missing = |bench: Bench| bench.credentials(|c| c.token = Some(Source::File("/nonexistent/token".into())));

    let refused = missing(Bench::new().apiserver(server.address)).see(ProbeKind::Version).await;
    let seen = missing(Bench::new().apiserver(healthy.address)).see(ProbeKind::Readyz).await;

    assert_eq!(unseen(&refused).cause, Cause::OwnCredential);
    assert_eq!(health(&seen).status, 200, "health is told to anybody");
}

#[tokio::test]
async fn a_look_that_is_refused_for_a_plugin_says_what_the_plugin_did() {
    let plugin = |script: &str| ExecPlugin {
        api_version: "client.authentication.k8s.io/v1".into(),
        command: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: [].into(),
        provides_cluster_info: false,
    };
    let (server, _heads) = Server::answering(&TRUSTED.server(), answer("401 Unauthorized", "")).await;
    let look_with =
        |credential: ExecPlugin| Bench::new().apiserver(server.address).credentials(|c| c.exec = Some(credential));

    let refused = look_with(plugin("echo session has ended >&2; exit 1")).see(ProbeKind::Version).await;
    let good = r#"{"kind":"ExecCredential","status":{"token":"t"}}"#;
    let revoked = look_with(plugin(&format!("echo '{good}'"))).see(ProbeKind::Version).await;

    assert_eq!(unseen(&refused).cause, Cause::OwnCredential);
    let did = "the exec plugin sh ended with exit code 1, and says: session has ended";
    assert_eq!(refused.own_flaw.as_deref(), Some(did));
    assert_eq!((unseen(&revoked).cause, revoked.own_flaw), (Cause::CredentialRefused, None));
}

#[tokio::test]
async fn a_plugin_is_run_once_for_many_looks() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let script = format!(
        "echo run >> {}; echo '{{\"kind\":\"ExecCredential\",\"status\":{{\"token\":\"plugged\"}}}}'",
        runs.display()
    );
    let plugin = ExecPlugin {
        api_version: "client.authentication.k8s.io/v1".into(),
        command: "/bin/sh".into(),
        args: vec!["-c".into(), script],
        env: [].into(),
        provides_cluster_info: false,
    };
    let (server, mut heads) = Server::answering(&TRUSTED.server(), answer("200 OK", "ok")).await;
    let bench = Bench::new().apiserver(server.address).credentials(|c| c.exec = Some(plugin));
    let (collectors, _observations) = bench.collectors();

    for _ in 0..3 {
        collectors.look(look(Probe::anew(instance(), ProbeKind::Readyz))).await;
        assert!(heads.recv().await.unwrap().contains("authorization: bearer plugged"));
    }

    assert_eq!(std::fs::read_to_string(runs).unwrap(), "run\n");
}

#[tokio::test]
async fn a_chain_that_changes_is_read_again() {
    let acceptors = [TRUSTED.server(), FOREIGN.server()].map(|pair| TlsAcceptor::from(tls(&pair, None, b"http/1.1")));
    let is_renewed = Arc::new(AtomicBool::new(false));
    let server = Server::raw({
        let is_renewed = Arc::clone(&is_renewed);
        move |stream| {
            let acceptor = acceptors[usize::from(is_renewed.load(Ordering::SeqCst))].clone();
            async move { drop(acceptor.accept(stream).await) }
        }
    })
    .await;
    let bench = Bench::new().apiserver(server.address);
    let (collectors, _observations) = bench.collectors();
    let probe = Probe::anew(instance(), ProbeKind::Chain);
    let before = collectors.look(look(probe.clone())).await;
    let again = collectors.look(look(probe.clone())).await;

    is_renewed.store(true, Ordering::SeqCst);
    let after = collectors.look(look(probe)).await;

    assert!(Arc::ptr_eq(before.served.as_ref().unwrap(), again.served.as_ref().unwrap()));
    assert_eq!((trust(&before), trust(&after)), (Trust::Trusted, Trust::UnknownAuthority));
}

fn trust(observation: &Observation) -> Trust {
    assert!(observation.outcome.is_ok(), "{observation:?}");
    observation.served.as_ref().unwrap().trust
}
