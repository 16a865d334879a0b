//! The connection that is kept open: reused, watched, and left politely.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};

use super::servers::{Fixture, Server, TRUSTED, answer, client, head, health, instance, request, tls, tls_of, unseen};
use crate::model::observation::Observation;
use crate::model::phase::{Cause, Phase, Unseen};
use crate::model::probe::{Connection, Probe, ProbeKind};

/// Long enough for a loaded machine; nothing waits for it to pass.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_second_probe_rides_the_open_connection() {
    let (server, mut heads) = Server::answering(&TRUSTED.server(), answer("200 OK", "ok")).await;
    let (collectors, _observations) = Fixture::new().apiserver(server.address).collectors();

    let first = collectors.probe(request(livez())).await;
    let second = collectors.probe(request(Probe::reused(instance(), ProbeKind::Version))).await;

    assert!(first.phases.tls.is_some() && first.served.is_some());
    assert_eq!((second.phases.dial, second.phases.tls, second.served), (None, None, None));
    assert!(second.phases.first_byte.is_some() && second.phases.body.is_some());
    assert_eq!(server.accepted(), 1);
    assert!(!heads.recv().await.unwrap().contains("connection: close"));
}

#[tokio::test]
async fn probes_at_the_same_moment_share_one_connection() {
    let (server, _heads) = Server::answering(&TRUSTED.server(), answer("200 OK", "ok")).await;
    let (collectors, mut observations) = Fixture::new().apiserver(server.address).collectors();

    for _ in 0..4 {
        collectors.start(request(livez()));
    }

    for _ in 0..4 {
        assert_eq!(health(&soon(&mut observations).await).status, 200);
    }
    assert_eq!(server.accepted(), 1);
    assert!(observations.try_recv().is_err(), "exactly one observation for each look");
}

#[tokio::test]
async fn a_break_without_announcement_reports_by_itself_and_at_once() {
    for (is_reset, cause) in [(true, Cause::Reset), (false, Cause::Closed)] {
        let kill = Arc::new(Notify::new());
        let server = mortal(&kill, is_reset).await;
        let (collectors, mut observations) = Fixture::new().apiserver(server.address).collectors();
        assert_eq!(health(&collectors.probe(request(livez())).await).status, 200);

        kill.notify_one();

        let tripped = soon(&mut observations).await;
        assert_eq!(tripped.request, None);
        assert_eq!(tripped.probe.subject, instance());
        assert_eq!((tripped.probe.kind, tripped.probe.connection), (ProbeKind::Tripwire, Connection::Reused));
        assert_eq!(unseen(&tripped), Unseen { phase: Phase::Idle, cause });
        assert_eq!(tripped.scheduled, tripped.finished);
        assert!(!tripped.proves_path, "loopback proves nothing about the path");
    }
}

#[tokio::test]
async fn a_break_under_a_question_fails_the_probe_and_reports_as_well() {
    let server = Server::tls(tls(&TRUSTED.server(), None, b"http/1.1"), |mut stream| async move {
        head(&mut stream).await;
        stream.write_all(answer("200 OK", "ok").as_bytes()).await.unwrap();
        head(&mut stream).await;
        stream.get_ref().0.set_zero_linger().unwrap();
    })
    .await;
    let (collectors, mut observations) = Fixture::new().apiserver(server.address).collectors();
    collectors.probe(request(livez())).await;

    let failed = collectors.probe(request(livez())).await;

    assert_eq!(unseen(&failed), Unseen { phase: Phase::FirstByte, cause: Cause::Reset });
    assert_eq!(soon(&mut observations).await.probe.kind, ProbeKind::Tripwire);
    assert_eq!(server.accepted(), 1, "a break is a sign, not a reason to try again");
}

#[tokio::test]
async fn an_announced_close_is_no_sign_and_the_next_probe_redials() {
    let kill = Arc::new(Notify::new());
    let leave = Arc::clone(&kill);
    let server = Server::tls(tls(&TRUSTED.server(), None, b"http/1.1"), move |mut stream| {
        let leave = Arc::clone(&leave);
        async move {
            head(&mut stream).await;
            stream.write_all(answer("200 OK", "ok").as_bytes()).await.unwrap();
            leave.notified().await;
            stream.shutdown().await.unwrap();
            // The close_notify in answer, so that this side does not close first.
            stream.read_to_end(&mut Vec::new()).await.ok();
        }
    })
    .await;
    let (collectors, mut observations) = Fixture::new().apiserver(server.address).collectors();
    collectors.probe(request(livez())).await;

    kill.notify_one();
    kill.notify_one();

    let next = collectors.probe(request(livez())).await;
    assert_eq!(health(&next).status, 200);
    collectors.shutdown().await;
    assert!(observations.try_recv().is_err(), "no tripwire");
}

#[tokio::test]
async fn a_goodbye_that_crosses_the_question_redials_once() {
    let server = Server::tls(tls(&TRUSTED.server(), None, b"http/1.1"), |mut stream| async move {
        head(&mut stream).await;
        stream.write_all(answer("200 OK", "ok").as_bytes()).await.unwrap();
        // The second request of each connection is answered with a close_notify.
        head(&mut stream).await;
        stream.shutdown().await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.ok();
    })
    .await;
    let (collectors, mut observations) = Fixture::new().apiserver(server.address).collectors();
    collectors.probe(request(livez())).await;

    let second = collectors.probe(request(livez())).await;

    assert_eq!(health(&second).status, 200);
    assert!(second.served.is_some() && second.phases.dial.is_some());
    assert_eq!(server.accepted(), 2);
    collectors.shutdown().await;
    assert!(observations.try_recv().is_err(), "no tripwire");
}

#[tokio::test]
async fn connection_close_is_an_announcement_even_without_a_goodbye() {
    let server = Server::tls(tls(&TRUSTED.server(), None, b"http/1.1"), |mut stream| async move {
        head(&mut stream).await;
        let close_gracefully = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
        stream.write_all(close_gracefully.as_bytes()).await.unwrap();
    })
    .await;
    let (collectors, mut observations) = Fixture::new().apiserver(server.address).collectors();

    for _ in 0..3 {
        assert_eq!(health(&collectors.probe(request(livez())).await).status, 200);
    }

    assert_eq!(server.accepted(), 3);
    collectors.shutdown().await;
    assert!(observations.try_recv().is_err(), "no tripwire");
}

#[tokio::test]
async fn a_refused_client_certificate_is_the_probes_matter_and_no_tripwire() {
    let config = tls_of(&TRUSTED.server(), Some(&TRUSTED), b"http/1.1", &[&rustls::version::TLS13]);
    let server = Server::tls(config, |_| async {}).await;
    let (collectors, mut observations) = Fixture::new().apiserver(server.address).collectors();

    let refused = collectors.probe(request(livez())).await;

    assert_eq!(unseen(&refused).cause, Cause::NoCredential);
    collectors.shutdown().await;
    assert!(observations.try_recv().is_err(), "no tripwire");
}

#[tokio::test]
async fn another_client_certificate_means_another_connection() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("crt"), folder.path().join("key"));
    let pair = TRUSTED.server();
    std::fs::write(&certificate, &pair.chain_pem).unwrap();
    std::fs::write(&key, &pair.key_pem).unwrap();
    let (server, _heads) = Server::answering(&TRUSTED.server(), answer("200 OK", "ok")).await;
    let fixture = Fixture::new().apiserver(server.address).credentials(|c| {
        let mut source = client(&pair);
        source.certificate = crate::config::settings::Source::File(certificate.clone());
        source.key = crate::config::settings::Source::File(key.clone());
        c.client = Some(source);
    });
    let (collectors, mut observations) = fixture.collectors();
    collectors.probe(request(livez())).await;

    let renewed = TRUSTED.server();
    std::fs::write(&certificate, &renewed.chain_pem).unwrap();
    std::fs::write(&key, &renewed.key_pem).unwrap();

    while server.accepted() < 2 {
        assert_eq!(health(&collectors.probe(request(livez())).await).status, 200);
    }
    collectors.shutdown().await;
    assert!(observations.try_recv().is_err(), "no tripwire");
}

#[tokio::test]
async fn shutting_down_says_goodbye() {
    let (told, mut ends) = mpsc::unbounded_channel();
    let server = Server::tls(tls(&TRUSTED.server(), None, b"http/1.1"), move |mut stream| {
        let told = told.clone();
        async move {
            head(&mut stream).await;
            stream.write_all(answer("200 OK", "ok").as_bytes()).await.unwrap();
            told.send(stream.read(&mut [0; 16]).await.map_err(|error| error.kind())).unwrap();
        }
    })
    .await;
    let (collectors, mut observations) = Fixture::new().apiserver(server.address).collectors();
    collectors.probe(request(livez())).await;

    collectors.shutdown().await;

    assert_eq!(ends.recv().await, Some(Ok(0)));
    assert!(observations.try_recv().is_err(), "no tripwire");
}

fn livez() -> Probe {
    Probe::reused(instance(), ProbeKind::Livez)
}

/// A server that answers until it is killed: its kernel then resets, or just ends, what was open.
async fn mortal(kill: &Arc<Notify>, is_reset: bool) -> Server {
    let kill = Arc::clone(kill);
    Server::tls(tls(&TRUSTED.server(), None, b"http/1.1"), move |mut stream| {
        let kill = Arc::clone(&kill);
        async move {
            loop {
                tokio::select! {
                    asked = head(&mut stream) => {
                        if asked.is_none() || stream.write_all(answer("200 OK", "ok").as_bytes()).await.is_err() {
                            return;
                        }
                    }
                    () = kill.notified() => {
                        if is_reset {
                            stream.get_ref().0.set_zero_linger().unwrap();
                        }
                        return;
                    }
                }
            }
        }
    })
    .await
}

async fn soon(observations: &mut mpsc::Receiver<Observation>) -> Observation {
    tokio::time::timeout(SOON, observations.recv()).await.unwrap().unwrap()
}
