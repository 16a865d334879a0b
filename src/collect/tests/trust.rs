//! The chain is always seen; what strict verification says decides about tokens and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rcgen::{KeyPair, PKCS_ECDSA_P521_SHA512};
use tokio_rustls::TlsAcceptor;

use super::servers::{
    FOREIGN, Fixture, Pair, Server, TRUSTED, answer, endpoint, health, inline, instance, request, tls, unseen,
};
use crate::config::settings::{ExecPlugin, Source};
use crate::model::certificate::Trust;
use crate::model::health::Foreign;
use crate::model::observation::{Observation, Reading};
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

        let seen = Fixture::new().apiserver(server.address).see(ProbeKind::Readyz).await;

        assert_eq!(health(&seen).status, 200);
        let served = seen.served.unwrap();
        assert_eq!(served.trust, trust);
        assert_eq!(served.leaf().unwrap().fingerprint, crate::parse::x509::fingerprint(&pair.chain[0]));
    }
}

#[tokio::test]
async fn without_anchors_nothing_is_verified() {
    let (server, _heads) = Server::answering(&FOREIGN.server(), answer("200 OK", "ok")).await;

    let fixture = Fixture::new().apiserver(server.address).credentials(|c| c.anchors = None);

    assert_eq!(trust(&fixture.see(ProbeKind::Chain).await), Trust::Unverified);
}

#[tokio::test]
async fn a_leaf_that_is_itself_trusted_is_trusted_as_kubectl_would() {
    let key = || KeyPair::generate().unwrap();
    let leaf = TRUSTED.server();
    let own = |change: fn(&mut rcgen::CertificateParams)| self_signed(change);
    let authority = |params: &mut rcgen::CertificateParams| {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    };
    for (what, pair, anchors, trust) in [
        ("issued by somebody else", leaf.clone(), leaf.chain_pem.clone(), Trust::Trusted),
        ("self-signed, no authority", own(|_| {}), String::new(), Trust::Trusted),
        ("self-signed, an authority", own(authority), String::new(), Trust::Trusted),
        ("beside others", leaf.clone(), FOREIGN.pem() + &leaf.chain_pem, Trust::Trusted),
        ("another of the same holder", TRUSTED.server(), leaf.chain_pem.clone(), Trust::UnknownAuthority),
        (
            "ended",
            own(|params| {
                params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
                params.not_before = rcgen::date_time_ymd(2020, 1, 1);
                params.not_after = rcgen::date_time_ymd(2021, 1, 1);
            }),
            String::new(),
            Trust::Expired,
        ),
        (
            "not begun",
            own(|params| {
                params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
                params.not_before = rcgen::date_time_ymd(2090, 1, 1);
            }),
            String::new(),
            Trust::NotYetValid,
        ),
        (
            "for another name",
            own(|params| {
                params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
                params.subject_alt_names.clear();
            }),
            String::new(),
            Trust::WrongName,
        ),
        (
            "for clients",
            own(|params| {
                params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
                params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
            }),
            String::new(),
            Trust::WrongPurpose,
        ),
        (
            "issued for clients",
            TRUSTED.issue(&key(), |params| {
                params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
            }),
            TRUSTED.pem(),
            Trust::WrongPurpose,
        ),
    ] {
        let (server, mut heads) = Server::answering(&pair, answer("200 OK", "ok")).await;
        let anchors = if anchors.is_empty() { pair.chain_pem.clone() } else { anchors };
        let fixture = Fixture::new().apiserver(server.address).credentials(|c| {
            c.anchors = Some(inline(&anchors));
            c.token = Some(inline("s3cr3t"));
        });

        let seen = fixture.see(ProbeKind::Readyz).await;

        let served = seen.served.unwrap();
        assert_eq!(served.trust, trust, "{what}");
        assert_eq!(served.trusted.is_empty(), trust.distrust().is_none(), "{what}");
        let is_sent = heads.recv().await.unwrap().contains("authorization: bearer s3cr3t");
        assert_eq!(is_sent, trust == Trust::Trusted, "{what}");
    }
}

#[tokio::test]
async fn an_expected_address_is_verified_as_one() {
    let (server, _heads) = Server::answering(&TRUSTED.server(), answer("200 OK", "ok")).await;
    for (expected, verdict) in [("127.0.0.1", Trust::Trusted), ("127.0.0.2", Trust::WrongName)] {
        let mut fixture = Fixture::new().apiserver(server.address);
        fixture.settings.clusters[0].apiservers[0].1 = endpoint(server.address, expected);

        assert_eq!(trust(&fixture.see(ProbeKind::Chain).await), verdict);
    }
}

#[tokio::test]
async fn a_token_goes_to_a_trusted_server_and_to_nobody_else() {
    for (pair, is_sent) in [(TRUSTED.server(), true), (FOREIGN.server(), false)] {
        let (server, mut heads) = Server::answering(&pair, answer("200 OK", "ok")).await;
        let fixture = Fixture::new().apiserver(server.address).credentials(|c| c.token = Some(inline("s3cr3t\n")));
        let (collectors, _observations) = fixture.collectors();

        collectors.probe(request(Probe::anew(instance(), ProbeKind::Readyz))).await;
        collectors.probe(request(Probe::reused(instance(), ProbeKind::Version))).await;

        for _ in 0..2 {
            let head = heads.recv().await.unwrap();
            assert_eq!(head.contains("authorization: bearer s3cr3t\r\n"), is_sent, "{head}");
        }
    }
    let (server, mut heads) = Server::answering(&TRUSTED.server(), answer("200 OK", "ok")).await;
    let unverified = Fixture::new().apiserver(server.address).credentials(|c| {
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
    let fixture = Fixture::new().apiserver(server.address).credentials(|c| c.token = Some(Source::File(path.clone())));
    let (collectors, _observations) = fixture.collectors();
    let probe = Probe::reused(instance(), ProbeKind::Version);
    collectors.probe(request(probe.clone())).await;
    assert!(heads.recv().await.unwrap().contains("bearer first"));

    std::fs::write(&path, "second").unwrap();

    loop {
        collectors.probe(request(probe.clone())).await;
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
    let missing = |fixture: Fixture| fixture.credentials(|c| c.token = Some(Source::File("/nonexistent/token".into())));

    let refused = missing(Fixture::new().apiserver(server.address)).see(ProbeKind::Version).await;
    let seen = missing(Fixture::new().apiserver(healthy.address)).see(ProbeKind::Readyz).await;

    assert_eq!(unseen(&refused).cause, Cause::OwnCredential);
    assert_eq!(health(&seen).status, 200, "health is told to anybody");
}

#[tokio::test]
async fn a_probe_that_is_refused_for_a_plugin_says_what_the_plugin_did() {
    let plugin = |script: &str| ExecPlugin {
        api_version: "client.authentication.k8s.io/v1".into(),
        command: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: [].into(),
        provides_cluster_info: false,
    };
    let (server, _heads) = Server::answering(&TRUSTED.server(), answer("401 Unauthorized", "")).await;
    let probe_with =
        |credential: ExecPlugin| Fixture::new().apiserver(server.address).credentials(|c| c.exec = Some(credential));

    let refused = probe_with(plugin("echo session has ended >&2; exit 1")).see(ProbeKind::Version).await;
    let good = r#"{"kind":"ExecCredential","status":{"token":"t"}}"#;
    let revoked = probe_with(plugin(&format!("echo '{good}'"))).see(ProbeKind::Version).await;

    assert_eq!(unseen(&refused).cause, Cause::OwnCredential);
    let did = "the exec plugin sh ended with exit code 1, and says: session has ended";
    assert_eq!(refused.own_flaw.as_deref(), Some(did));
    assert_eq!((unseen(&revoked).cause, revoked.own_flaw), (Cause::CredentialRejected, None));
}

#[tokio::test]
async fn a_plugin_is_run_once_for_many_probes() {
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
    let fixture = Fixture::new().apiserver(server.address).credentials(|c| c.exec = Some(plugin));
    let (collectors, _observations) = fixture.collectors();

    for _ in 0..3 {
        collectors.probe(request(Probe::anew(instance(), ProbeKind::Readyz))).await;
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
    let fixture = Fixture::new().apiserver(server.address);
    let (collectors, _observations) = fixture.collectors();
    let probe = Probe::anew(instance(), ProbeKind::Chain);
    let before = collectors.probe(request(probe.clone())).await;
    let again = collectors.probe(request(probe.clone())).await;

    is_renewed.store(true, Ordering::SeqCst);
    let after = collectors.probe(request(probe)).await;

    assert!(Arc::ptr_eq(before.served.as_ref().unwrap(), again.served.as_ref().unwrap()));
    assert_eq!((trust(&before), trust(&after)), (Trust::Trusted, Trust::UnknownAuthority));
}

#[tokio::test]
async fn a_refusal_says_whether_the_login_was_refused_withheld_or_never_configured() {
    let token = |fixture: Fixture| fixture.credentials(|c| c.token = Some(inline("s3cr3t")));
    let certificate =
        |fixture: Fixture| fixture.credentials(|c| c.client = Some(super::servers::client(&TRUSTED.server())));
    let without_anchors = |fixture: Fixture| fixture.credentials(|c| c.anchors = None);
    let plain = |fixture: Fixture| fixture;
    type With = Box<dyn Fn(Fixture) -> Fixture>;
    for (status, pair, with, cause) in [
        ("401 Unauthorized", TRUSTED.server(), Box::new(token) as With, Cause::CredentialRejected),
        ("403 Forbidden", TRUSTED.server(), Box::new(token), Cause::CredentialRejected),
        ("401 Unauthorized", FOREIGN.server(), Box::new(token), Cause::TokenWithheld),
        ("403 Forbidden", FOREIGN.server(), Box::new(token), Cause::TokenWithheld),
        (
            "401 Unauthorized",
            TRUSTED.server(),
            Box::new(move |fixture| without_anchors(token(fixture))),
            Cause::TokenWithheld,
        ),
        ("401 Unauthorized", FOREIGN.server(), Box::new(certificate), Cause::CredentialRejected),
        ("401 Unauthorized", TRUSTED.server(), Box::new(plain), Cause::NoCredential),
        ("403 Forbidden", FOREIGN.server(), Box::new(plain), Cause::NoCredential),
    ] {
        let (server, _heads) = Server::answering(&pair, answer(status, "")).await;
        let (collectors, _observations) = with(Fixture::new().apiserver(server.address)).collectors();

        for probe in [Probe::anew(instance(), ProbeKind::Readyz), Probe::reused(instance(), ProbeKind::Version)] {
            let seen = collectors.probe(request(probe)).await;

            assert_eq!(unseen(&seen).cause, cause, "{status}");
        }
    }
}

#[tokio::test]
async fn a_page_of_something_else_is_told_from_an_apiservers() {
    for (what, instead) in [
        (answer("200 OK", "<!DOCTYPE html><html>Sign in</html>"), Some(Foreign::Html)),
        (answer("200 OK", ""), Some(Foreign::Empty)),
        (answer("302 Found", ""), Some(Foreign::Redirect)),
        (answer("200 OK", "[]"), Some(Foreign::Json)),
        (answer("503 Service Unavailable", "<html>no backend</html>"), None),
    ] {
        let (server, _heads) = Server::answering(&TRUSTED.server(), what).await;
        let fixture = Fixture::new().apiserver(server.address);

        let readyz = fixture.see(ProbeKind::Readyz).await;
        let version = fixture.see(ProbeKind::Version).await;

        assert_eq!(health(&readyz).foreign, instead);
        let Ok(Reading::Version(version)) = version.outcome else { panic!("{version:?}") };
        assert_eq!(version.foreign, instead);
    }
}

/// A certificate for the server's name, signed by itself.
fn self_signed(change: impl FnOnce(&mut rcgen::CertificateParams)) -> Pair {
    let key = KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new([super::servers::SERVER.to_owned()]).unwrap();
    change(&mut params);
    let certificate = params.self_signed(&key).unwrap();
    Pair {
        chain: vec![certificate.der().to_vec()],
        chain_pem: certificate.pem(),
        key: key.serialize_der(),
        key_pem: key.serialize_pem(),
    }
}

fn trust(observation: &Observation) -> Trust {
    assert!(observation.outcome.is_ok(), "{observation:?}");
    observation.served.as_ref().unwrap().trust
}
