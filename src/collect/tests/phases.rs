//! Every way to fail has its phase and cause, and the time is where it was spent.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::closed_port::Reserved;
use super::servers::{
    FOREIGN, Fixture, Server, TRUSTED, answer, client, head, health, instance, request, tls, tls_of, unseen,
};
use crate::model::observation::Reading;
use crate::model::phase::{Cause, Phase, Phases, Unseen};
use crate::model::probe::{Probe, ProbeKind};

const SHORT: Duration = Duration::from_millis(150);

#[tokio::test]
async fn a_healthy_instance_is_seen_and_every_phase_is_timed() {
    let (server, mut heads) =
        Server::answering(&TRUSTED.server(), answer("200 OK", "[+]ping ok\n[+]etcd ok\nreadyz check passed\n")).await;

    let seen = Fixture::new().apiserver(server.address).see(ProbeKind::Readyz).await;

    let health = health(&seen);
    assert_eq!((health.status, health.listed, health.failing.len()), (200, 2, 0));
    assert_eq!(health.server_date.unwrap().to_string(), "1994-11-06T08:49:37Z");
    let reached: Vec<Phase> = seen.phases.reached().map(|(phase, _)| phase).collect();
    assert_eq!(reached, [Phase::Dial, Phase::Tls, Phase::FirstByte, Phase::Body]);
    assert!(seen.phases.total() <= seen.finished.mono.since(crate::model::time::Mono::ORIGIN));
    assert!(!seen.proves_path, "loopback proves nothing about the path");
    let head = heads.recv().await.unwrap();
    assert!(head.starts_with("get /readyz?verbose http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nuser-agent: vedette/"), "{head}");
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
}

#[tokio::test]
async fn failing_parts_are_named_by_a_500() {
    let body = "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n";
    let (server, _heads) = Server::answering(&TRUSTED.server(), answer("500 Internal Server Error", body)).await;

    let seen = Fixture::new().apiserver(server.address).see(ProbeKind::Readyz).await;

    assert_eq!(health(&seen).status, 500);
    assert_eq!(health(&seen).failing, ["etcd"]);
}

#[tokio::test]
async fn versions_and_shed_load_are_told() {
    let (server, mut heads) =
        Server::answering(&TRUSTED.server(), answer("200 OK", r#"{"gitVersion":"v1.36.3"}"#)).await;
    let (shedding, _heads) = Server::answering(
        &TRUSTED.server(),
        "HTTP/1.1 429 Too Many Requests\r\nretry-after: 5\r\ncontent-length: 0\r\n\r\n",
    )
    .await;

    let seen = Fixture::new().apiserver(server.address).see(ProbeKind::Version).await;
    let shed = Fixture::new().apiserver(shedding.address).see(ProbeKind::Version).await;

    let Ok(Reading::Version(version)) = &seen.outcome else { panic!("{seen:?}") };
    assert_eq!(version.git_version.as_deref(), Some("v1.36.3"));
    let head = heads.recv().await.unwrap();
    assert!(head.starts_with("get /version?timeout=4s ") && head.contains("accept: application/json"), "{head}");
    let Ok(Reading::Version(version)) = &shed.outcome else { panic!("{shed:?}") };
    assert_eq!((version.status, version.retry_after_secs), (429, Some(5)));
}

#[tokio::test]
async fn a_closed_port_is_refused_while_connecting() {
    let closed = Reserved::new().unwrap();

    let seen = Fixture::new().apiserver(closed.address).see(ProbeKind::Readyz).await;

    assert_eq!(unseen(&seen), Unseen { phase: Phase::Dial, cause: Cause::Refused });
    assert_eq!(seen.phases, Phases { dial: seen.phases.dial, ..Phases::default() });
    assert!(seen.phases.dial.is_some() && seen.served.is_none());
}

#[tokio::test]
async fn a_reserved_port_is_closed_until_somebody_who_knows_it_listens() {
    let reserved = Reserved::new().unwrap();

    let refused = TcpStream::connect(reserved.address).await.unwrap_err();
    let _listener = TcpListener::bind(reserved.address).await.unwrap();
    let connected = TcpStream::connect(reserved.address).await;

    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(connected.is_ok());
}

#[tokio::test]
async fn a_frozen_process_hangs_in_the_handshake() {
    let server = Server::raw(|stream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;

    let seen = Fixture::new().apiserver(server.address).policy(|p| p.tls_timeout = SHORT).see(ProbeKind::Readyz).await;

    assert_eq!(unseen(&seen), Unseen { phase: Phase::Tls, cause: Cause::Timeout });
    assert!(seen.phases.tls.unwrap() >= SHORT);
    assert!(seen.phases.first_byte.is_none() && seen.served.is_none());
}

#[tokio::test]
async fn a_peer_that_does_not_shake_hands_is_told_by_how_it_ends() {
    let reset = Server::raw(|stream| async move {
        stream.readable().await.unwrap();
        stream.set_zero_linger().unwrap();
    })
    .await;
    let closed = Server::raw(|mut stream| async move {
        tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 4096]).await.unwrap();
    })
    .await;
    let plain = Server::raw(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\nClient sent an HTTPS request").await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;

    for (server, cause) in [(&reset, Cause::Reset), (&closed, Cause::Closed), (&plain, Cause::WithoutTls)] {
        let seen = Fixture::new().apiserver(server.address).see(ProbeKind::Readyz).await;

        assert_eq!(unseen(&seen), Unseen { phase: Phase::Tls, cause });
    }
}

/// Go's net/http and nginx answer a plain request on their TLS port with 400: that shows nothing where the handshake
/// before it was dropped, as by a middlebox that takes no large hello.
#[tokio::test]
async fn a_tls_server_that_answers_plain_requests_with_400_is_not_called_one_without_tls() {
    for is_closed in [true, false] {
        let server = Server::raw(move |mut stream| async move {
            let mut first = [0_u8; 1];
            let is_plain = tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first).await.is_ok() && first != [22];
            if is_plain {
                let said = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
                stream.write_all(said).await.unwrap();
            } else if !is_closed {
                std::future::pending::<()>().await;
            }
        })
        .await;
        let fixture = Fixture::new().apiserver(server.address).policy(|p| p.tls_timeout = 4 * SHORT);
        let (collectors, _observations) = fixture.collectors();

        // A silent one is asked beside the second handshake.
        for _ in 0..2 {
            let seen = collectors.probe(request(Probe::anew(instance(), ProbeKind::Readyz))).await;

            let cause = unseen(&seen).cause;
            let expected = if is_closed { &[Cause::Closed, Cause::Reset][..] } else { &[Cause::Timeout] };
            assert!(expected.contains(&cause), "{is_closed}: {cause:?}");
        }
    }
}

#[tokio::test]
async fn silence_and_ends_after_the_request_belong_to_the_first_byte() {
    let config = || tls(&TRUSTED.server(), None, b"http/1.1");
    let silent = Server::tls(config(), |mut stream| async move {
        head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let reset = Server::tls(config(), |mut stream| async move {
        head(&mut stream).await;
        stream.get_ref().0.set_zero_linger().unwrap();
    })
    .await;
    let dropped = Server::tls(config(), |mut stream| async move {
        head(&mut stream).await;
    })
    .await;
    let polite = Server::tls(config(), |mut stream| async move {
        head(&mut stream).await;
        stream.shutdown().await.unwrap();
    })
    .await;
    let babbling = Server::tls(config(), |mut stream| async move {
        head(&mut stream).await;
        stream.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;

    for (server, cause) in [
        (&silent, Cause::Timeout),
        (&reset, Cause::Reset),
        (&dropped, Cause::Closed),
        (&polite, Cause::Closed),
        (&babbling, Cause::ProtocolBroken),
    ] {
        let fixture = Fixture::new().apiserver(server.address);
        let fixture = if cause == Cause::Timeout { fixture.policy(|p| p.response_timeout = SHORT) } else { fixture };
        let seen = fixture.see(ProbeKind::Readyz).await;

        assert_eq!(unseen(&seen), Unseen { phase: Phase::FirstByte, cause });
        assert!(seen.phases.first_byte.is_some() && seen.phases.body.is_none());
        assert!(seen.served.is_some());
    }
}

#[tokio::test]
async fn bodies_have_an_end_in_size_and_in_time() {
    let config = || tls(&TRUSTED.server(), None, b"http/1.1");
    let endless = Server::tls(config(), |mut stream| async move {
        head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while stream.write_all(&[b'x'; 8192]).await.is_ok() {}
    })
    .await;
    let slow = Server::tls(config(), |mut stream| async move {
        head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab").await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let cut = Server::tls(config(), |mut stream| async move {
        head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab").await.unwrap();
        stream.shutdown().await.unwrap();
    })
    .await;

    for (server, cause) in [(&endless, Cause::TooLarge), (&slow, Cause::Timeout), (&cut, Cause::Closed)] {
        let fixture = Fixture::new().apiserver(server.address);
        let fixture =
            if cause == Cause::Timeout { fixture.policy(|p| p.response_timeout = 2 * SHORT) } else { fixture };
        let seen = fixture.see(ProbeKind::Livez).await;

        assert_eq!(unseen(&seen), Unseen { phase: Phase::Body, cause });
        assert!(seen.phases.body.is_some());
    }
}

#[tokio::test]
async fn redirects_are_told_and_not_followed() {
    let (other, _heads) = Server::answering(&TRUSTED.server(), answer("200 OK", "ok")).await;
    let location = format!("HTTP/1.1 302 Found\r\nlocation: https://{}/\r\ncontent-length: 0\r\n\r\n", other.address);
    let (server, _heads) = Server::answering(&TRUSTED.server(), location).await;

    let seen = Fixture::new().apiserver(server.address).see(ProbeKind::Readyz).await;

    assert_eq!(health(&seen).status, 302);
    assert_eq!((server.accepted(), other.accepted()), (1, 0));
}

#[tokio::test]
async fn a_refused_credential_is_not_a_dead_server() {
    for status in ["401 Unauthorized", "403 Forbidden"] {
        let (server, _heads) = Server::answering(&TRUSTED.server(), answer(status, "{}")).await;

        let fixture =
            Fixture::new().apiserver(server.address).credentials(|c| c.client = Some(client(&TRUSTED.server())));
        let seen = fixture.see(ProbeKind::Version).await;

        assert_eq!(unseen(&seen).cause, Cause::CredentialRejected, "{status}");
    }
}

#[tokio::test]
async fn a_missing_or_foreign_client_certificate_is_named_and_the_chain_is_seen() {
    let stranger = FOREIGN.server();
    for (version, phase) in [(&rustls::version::TLS12, Phase::Tls), (&rustls::version::TLS13, Phase::FirstByte)] {
        let config = tls_of(&TRUSTED.server(), Some(&TRUSTED), b"http/1.1", &[version]);
        let server = Server::tls(config, |mut stream| async move {
            head(&mut stream).await;
        })
        .await;
        for (credential, cause) in
            [(None, Cause::NoCredential), (Some(client(&stranger)), Cause::ClientCertificateRejected)]
        {
            let fixture = Fixture::new().apiserver(server.address).credentials(|c| c.client = credential);

            let seen = fixture.see(ProbeKind::Readyz).await;
            let chain = fixture.see(ProbeKind::Chain).await;

            assert_eq!(unseen(&seen), Unseen { phase, cause }, "{version:?}");
            assert_eq!(seen.served.as_ref().unwrap().client_authorities, 1);
            assert_eq!(chain.outcome, Ok(Reading::Chain));
            assert!(chain.served.is_some());
        }
    }
}

#[tokio::test]
async fn a_good_client_certificate_opens_the_door() {
    let config = tls(&TRUSTED.server(), Some(&TRUSTED), b"http/1.1");
    let server = Server::tls(config, |mut stream| async move {
        head(&mut stream).await;
        stream.write_all(answer("200 OK", "ok").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    })
    .await;

    let fixture = Fixture::new().apiserver(server.address).credentials(|c| c.client = Some(client(&TRUSTED.server())));

    assert_eq!(health(&fixture.see(ProbeKind::Livez).await).status, 200);
}

#[tokio::test]
async fn a_new_connection_ends_with_goodbyes_on_both_sides() {
    let (told, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::tls(tls(&TRUSTED.server(), None, b"http/1.1"), move |mut stream| {
        let told = told.clone();
        async move {
            head(&mut stream).await;
            stream.write_all(answer("200 OK", "ok").as_bytes()).await.unwrap();
            let end = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 16]).await;
            told.send(end.map_err(|error| error.kind())).unwrap();
        }
    })
    .await;

    Fixture::new().apiserver(server.address).see(ProbeKind::Readyz).await;

    assert_eq!(ends.recv().await, Some(Ok(0)), "a bare FIN or a reset would be an error here");
}
